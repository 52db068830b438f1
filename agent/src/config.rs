//! The agent's settings: a TOML file in which every key has a default that works on a stock EKS node.
//!
//! `raw` is what can be written, `check` what it may say, `discover` and `resolve` find what was left open. What AWS users
//! expect by another name keeps that name and comes from the [`Environment`].

mod check;
mod discover;
mod raw;
mod resolve;
mod restart;

pub use raw::{Aws, Checks, Class, Format, Groups, Heartbeat, Kubernetes, Logs, Node, Oversize, Process, Settings};
pub use resolve::{Resolved, resolve};
pub use safeguard_aws::Environment;
pub use safeguard_daemon::settings::{Found, HumanBytes, HumanDuration, Missing, Problems, ProgramSettings, Source};
pub use safeguard_pods::{Access, AccessMode};

pub(crate) use check::Checked;
pub(crate) use resolve::{resolve_checked, way};
pub(crate) use restart::{merge, needs_restart};

/// The settings file of the agent.
pub type SettingsFile = safeguard_daemon::settings::SettingsFile<Settings>;

/// The commented example: every key, with its default.
pub const EXAMPLE: &str = include_str!("config/example.toml");

/// Where the operator's own policies are unless it is said otherwise.
pub const POLICY_DIR: &str = "/etc/safeguard/policies.d";

/// Where the operator's exceptions are unless it is said otherwise.
pub const EXCEPTIONS: &str = "/etc/safeguard/exceptions.yaml";

#[cfg(test)]
mod tests;
