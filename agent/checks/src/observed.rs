//! A fact, or the reason why there is none.

use std::path::Path;

use safeguard_host::HostError;
use serde::{Deserialize, Serialize};

/// A fact about the host, or why it could not be observed. Something that is *not there* is a fact, not a failure: kinds of
/// facts say so with `Option` or an empty list.
pub type Observed<T> = Result<T, Unobserved>;

/// Why a fact could not be observed, in a form that a person can act on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Unobserved {
    /// The kind of reason.
    pub cause: Cause,
    /// What could not be observed and why, in one sentence that names the path (and the line).
    pub message: String,
}

/// Kinds of reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// There is no such fact in this phase: a dead image has no processes. Not a failure to observe.
    Phase,
    /// This process may not look.
    Permission,
    /// This process looks from another namespace than the host's.
    Namespace,
    /// What was read makes no sense.
    Parse,
    /// It is larger, longer or more than the agent is ready to read.
    TooMuch,
    /// It changed while it was read, again and again.
    Changing,
    /// Something that should be a file is a FIFO, a device, or a link that leads nowhere.
    NotAFile,
    /// Nothing of this run could tell, such as the instance metadata service.
    Missing,
    /// The kernel said something else.
    Io,
}

impl Unobserved {
    /// A reason of a kind.
    pub fn new(cause: Cause, message: impl Into<String>) -> Self {
        Self { cause, message: message.into() }
    }

    /// A fact of running hosts, asked of a dead one. `what` names the fact: `the processes`.
    #[must_use]
    pub fn in_this_phase(what: &str) -> Self {
        Self::new(Cause::Phase, format!("{what}: not applicable in this phase, the host is not running"))
    }

    /// A line (counted from 1) of a file that makes no sense.
    #[must_use]
    pub fn line(path: &Path, line: usize, problem: &str) -> Self {
        Self::new(Cause::Parse, format!("{}: line {line}: {problem}", path.display()))
    }

    /// A file that makes no sense as a whole.
    #[must_use]
    pub fn file(path: &Path, problem: &str) -> Self {
        Self::new(Cause::Parse, format!("{}: {problem}", path.display()))
    }
}

impl From<HostError> for Unobserved {
    fn from(error: HostError) -> Self {
        let cause = match &error {
            HostError::Denied { .. } => Cause::Permission,
            HostError::TooLarge { .. } => Cause::TooMuch,
            HostError::NotFound { .. } | HostError::Symlink { .. } | HostError::NotRegular { .. } => Cause::NotAFile,
            HostError::Io { .. } => Cause::Io,
        };
        Self::new(cause, error.to_string())
    }
}
