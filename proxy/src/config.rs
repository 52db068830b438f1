//! The proxy's settings: a TOML file in which every key has a default that works on a stock EKS node.
//!
//! `raw` is what can be written, `check` what it may say, `resolve` finds what was left open. Together they make
//! [`crate::Settings`]. What AWS users expect by another name keeps that name and comes from the [`Environment`].

mod check;
mod partition;
mod raw;
mod resolve;

pub use check::Checked;
pub use raw::{
    Annotations, Aws, Identity, Imds, Imdsv2, Ipv6, Kubernetes, Limits, Node, Patterns, Policy, Process, Redirect,
    Roles, Settings, Source,
};
pub use resolve::{Resolved, resolve};
pub use safeguard_aws::Environment;
pub use safeguard_daemon::settings::{Found, HumanDuration, Missing, Problems, ProgramSettings};
pub use safeguard_pods::{Access, AccessMode};

/// The settings file of the proxy.
pub type SettingsFile = safeguard_daemon::settings::SettingsFile<Settings>;

/// The commented example: every key, with its default.
pub const EXAMPLE: &str = include_str!("config/example.toml");

#[cfg(test)]
mod tests;
