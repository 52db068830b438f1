//! What was asked.

use std::net::SocketAddr;

use super::resource::{Resource, Verb};

/// A call as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Call {
    /// Its number, from 1.
    pub serial: u64,
    /// Milliseconds since the epoch, by the stand-in's clock.
    pub at_ms: i64,
    /// Who connected.
    pub peer: SocketAddr,
    /// Such as `GET`.
    pub method: String,
    /// What it does, in the words of RBAC.
    pub verb: Verb,
    /// To what; none when there is no such thing.
    pub resource: Option<Resource>,
    /// In which namespace; none for the cluster.
    pub namespace: Option<String>,
    /// To which one.
    pub name: Option<String>,
    /// The path, as on the wire.
    pub path: String,
    /// The query, decoded, in its order.
    pub query: Vec<(String, String)>,
    /// `User-Agent`, or nothing.
    pub user_agent: String,
    /// `Accept`, or nothing.
    pub accept: String,
    /// The user of its token; none when the token does not count.
    pub user: Option<String>,
    /// The status of the reply; none while there is none.
    pub status: Option<u16>,
}

/// True in one of the ways that the API server's language reads (Go, `strconv.ParseBool`).
pub(super) fn is_true(value: &str) -> bool {
    matches!(value, "1" | "t" | "T" | "true" | "True" | "TRUE")
}

impl Call {
    /// A parameter of the query.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}
