//! The agent's settings: a TOML file in which every key has a default that works on a stock EKS node.
//!
//! `raw` is what can be written, `check` what it may say, `discover` and `resolve` find what was left open. What AWS users
//! expect by another name keeps that name and comes from the [`Environment`].

mod check;
mod discover;
mod environment;
mod file;
mod filter;
mod raw;
mod resolve;
mod restart;
mod show;
mod units;

pub use check::{Problem, Problems};
pub use environment::Environment;
pub use file::{DEFAULT_PATH, FileError, SettingsFile};
pub use filter::quiet;
pub use raw::{Aws, Class, Format, Groups, Logs, Node, Oversize, Process, Settings};
pub use resolve::{Missing, Resolved, Source, resolve};
pub use show::{document, rows};
pub use units::{HumanBytes, HumanDuration, UnitError};

pub(crate) use check::Checked;
pub(crate) use resolve::resolve_checked;
pub(crate) use restart::{merge, needs_restart};

/// The commented example: every key, with its default.
pub const EXAMPLE: &str = include_str!("config/example.toml");

#[cfg(test)]
mod tests;
