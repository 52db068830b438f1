//! Stand-ins for the services the agent and the proxy talk to, for tests, the `demo` program and benchmarks.
//!
//! In: real HTTP requests on loopback, or in a network namespace of a test. Out: the replies the real service would
//! give, and an exact account of what was received. They are strict on purpose: what the real service refuses, they
//! refuse, with the same words. They never contact anything.
//!
//! What they share: an [`Account`] issues keys that all of them know, [`Listen`] says where a stand-in listens.

use std::sync::{Mutex, MutexGuard, PoisonError};

mod account;
mod body;
mod clock;
pub mod cloudwatch;
mod dates;
pub mod identity_ca;
pub mod imds;
pub mod journald;
mod kubelet;
pub mod kubernetes;
mod listen;
mod script;
mod serve;
mod sigv4;
mod small_disk;
pub mod sts;
mod tls;
mod trouble;
mod wire;

pub use account::{Account, Credential, Principal};
pub use clock::Clock;
pub use cloudwatch::{
    CloudWatch, Counts, EventRef, Fault, Faults, GroupInfo, Op, OpCounts, Options, RejectIndexes, Rejections,
    RequestView, StoredEvent, StreamInfo,
};
pub use identity_ca::IdentityCa;
pub use imds::{Imds, ImdsOptions};
pub use journald::{Journald, Shape};
pub use kubelet::Kubelet;
pub use kubernetes::{Kubernetes, KubernetesOptions};
pub use listen::Listen;
pub use small_disk::SmallDisk;
pub use sts::{Sts, StsOptions};
pub use tls::Tls;
pub use trouble::{Refusal, Trouble, Troubles};

/// A request that panicked must not hide what the others did.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
