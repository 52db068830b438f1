//! The Safeguard metadata proxy, put together: the only place where its stages meet.
//!
//! Comes in: requests of pods for the instance metadata service. Goes out: the credentials of the role that the pod is
//! entitled to, or an error.
//!
//! ```text
//! peer -> identify -> authorise -> assume -> serve      each answer is a type that the next one needs
//! ```
//!
//! Never: answers with the node's credentials or another pod's, changes the firewall while serving, or starts a process.

mod answer;
mod assume;
mod audit;
mod authorise;
mod cni;
pub mod config;
mod connections;
mod decide;
pub mod explain;
mod forward;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod head;
mod identify;
mod kubernetes;
mod limits;
mod listen;
mod metrics;
mod path;
mod proxy;
mod rate;
pub mod redirect;
mod role;
mod routes;
mod serve;
pub mod settings;
mod standing;
mod sts;
#[cfg(test)]
mod testing;
mod token;
mod upkeep;

pub use proxy::{Other, Proxy, StartError};
pub use role::{RoleArn, RoleBase, RoleError, SessionNames, SessionTemplate};
pub use settings::Settings;
pub use standing::{Health, Readiness};
