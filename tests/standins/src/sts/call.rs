//! What was asked.

use std::net::SocketAddr;

use crate::Principal;

/// An operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StsOp {
    /// `AssumeRole`
    AssumeRole,
    /// `GetCallerIdentity`
    GetCallerIdentity,
    /// Anything else; refused with `InvalidAction`.
    Other,
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was carried out, whatever a trouble then did to the reply. AssumeRole made this key.
    Done(Option<String>),
    /// It was refused, with this code.
    Refused(String),
    /// There was no reply, or has not been one yet.
    None,
}

/// A call as it arrived. What it names is as it was sent, valid or not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Call {
    /// Its number, from 1.
    pub serial: u64,
    /// Milliseconds since the epoch, by the stand-in's clock.
    pub at_ms: i64,
    /// Who connected.
    pub peer: SocketAddr,
    /// `User-Agent`, or nothing.
    pub user_agent: String,
    /// Which operation.
    pub op: StsOp,
    /// Who signed; none when the signature does not count.
    pub caller: Option<Principal>,
    /// `RoleArn`
    pub role_arn: Option<String>,
    /// `RoleSessionName`
    pub session_name: Option<String>,
    /// `ExternalId`
    pub external_id: Option<String>,
    /// `DurationSeconds`
    pub duration_seconds: Option<String>,
    /// `Tags`, in their order.
    pub tags: Vec<(String, String)>,
    /// `TransitiveTagKeys`
    pub transitive_tag_keys: Vec<String>,
    /// `SourceIdentity`
    pub source_identity: Option<String>,
    /// `Policy`
    pub policy: Option<String>,
    /// What came of it.
    pub outcome: Outcome,
}
