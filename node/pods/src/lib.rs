//! The pods of this node, and the namespaces of the cluster, as the Kubernetes API says they are.
//!
//! Comes in: the lists and watches of the Kubernetes API. Goes out: a [`Reader`] that anyone may hold, and that answers from
//! memory at once, whether the API server is up or not.
//!
//! Beside that, [`configz`] asks this node's kubelet what it runs with.
//!
//! Never: writes to Kubernetes, keeps more of a pod than is asked for, runs a program to get a token, or decides what a pod
//! may have.
//!
//! A pod that cannot be read is a pod that is not known: whoever asks is told nothing, rather than what it was before.
//!
//! Depends on no crate of ours.

mod access;
mod backoff;
mod client;
mod configz;
mod health;
mod index;
mod kubeconfig;
mod limits;
mod list;
mod minted;
mod object;
mod server;
mod standing;
mod token;
mod trouble;
mod watch;

pub use access::{Access, AccessError, AccessMode, AccessSettings, Chosen, Contradiction, Means, Surroundings};
pub use configz::{ConfigzError, configz};
pub use health::{Feed, Health};
pub use index::{Reader, Writer, index};
pub use kubeconfig::{Kubeconfig, KubeconfigError};
pub use limits::{MAX_ANNOTATION_BYTES, MAX_PREFIXED};
pub use minted::{Minted, MintedToken};
pub use object::{TOO_LONG, Wanted};
pub use server::{ApiServer, ApiServerError, Deadlines};
pub use standing::{Standing, StandingError, standing};
pub use token::{FileToken, FixedToken, Token, TokenError, TokenFuture, TokenSource};
pub use watch::watch;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Annotations that were asked for; no others are kept. They are whatever somebody wrote: check before use.
pub type Annotations = BTreeMap<Arc<str>, Arc<str>>;

/// A pod of this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// `metadata.uid`. Another pod of the same name has another.
    pub uid: Arc<str>,
    /// `metadata.namespace`
    pub namespace: Arc<str>,
    /// `metadata.name`
    pub name: Arc<str>,
    /// `spec.serviceAccountName`; `default` where it is not given.
    pub service_account: Arc<str>,
    /// `spec.hostNetwork`: it has the addresses of the node.
    pub host_network: bool,
    /// `status.phase`
    pub phase: Phase,
    /// `metadata.deletionTimestamp` is set.
    pub deleting: bool,
    /// `status.podIPs`; empty until the kubelet has reported them.
    pub addresses: Vec<IpAddr>,
    /// The annotations that were asked for.
    pub annotations: Annotations,
}

/// `status.phase` (Kubernetes API, PodPhase).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    /// Accepted; containers are not all started.
    #[default]
    Pending,
    /// At least one container runs or starts.
    Running,
    /// All containers ended well and will not start again.
    Succeeded,
    /// All containers ended, at least one of them badly.
    Failed,
    /// The kubelet cannot be asked.
    Unknown,
}

impl Pod {
    /// Whether it will never run again. Its addresses may be another pod's by now.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        matches!(self.phase, Phase::Succeeded | Phase::Failed)
    }
}

/// A namespace of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// `metadata.name`
    pub name: Arc<str>,
    /// The annotations that were asked for.
    pub annotations: Annotations,
}
