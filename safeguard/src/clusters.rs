//! Which nodes a cluster has, and whether they are Ready, by the word of its API server: with EC2, the other of the two sources
//! that a node is lost.
//!
//! Comes in: an API server, and a token that may `list` `nodes`. Goes out: all nodes of the cluster that are instances of AWS, or
//! why there is no list.
//!
//! Never: changes anything in a cluster, or takes a part of a list for the whole.

mod api_server;
mod listing;
mod reply;

pub(crate) use api_server::{ApiServer, MAX_TOKEN_BYTES, instance_of};
pub use listing::{Listing, Outcome, Place};
pub(crate) use listing::{asked, watch};

/// What a cluster says of a node of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// Its kubelet says that it is Ready.
    Ready,
    /// Its kubelet says that it is not.
    NotReady,
    /// Its kubelet says nothing (any more).
    Unknown,
    /// The cluster has no node that is this instance.
    Absent,
}

impl Readiness {
    /// What is called so.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        let all = [Self::Ready, Self::NotReady, Self::Unknown, Self::Absent];
        all.into_iter().find(|readiness| readiness.as_str() == name)
    }

    /// As it is stored, and as the API has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::NotReady => "not ready",
            Self::Unknown => "unknown",
            Self::Absent => "absent",
        }
    }
}

#[cfg(test)]
mod tests;
