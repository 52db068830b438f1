//! The state file: what the last check found, for other programs on the node.

use serde::{Deserialize, Serialize};
use std::fs::OpenOptions;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::Error;
use super::report::{Finding, Layers, Report};

/// The version of the format. A reader refuses a later one.
pub const VERSION: u32 = 1;

/// From this age on what a state says is not known any more, in milliseconds: three minutes, which is three runs of a timer
/// that runs each minute. One run may be late or wait for another; three are a timer that does not run.
pub const OLD_AFTER_MS: i64 = 3 * 60 * 1000;

/// How far ahead of the reader's clock a state may be dated, in milliseconds. Both are on one node; more means that the
/// clock was set back, so nothing is known of the age.
const AHEAD_MS: i64 = 5_000;

/// Most bytes that are read. A state with every problem that can be has 10 KB.
const MOST_BYTES: u64 = 256 * 1024;

/// What the last check found, as far as other programs go by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The version of the format.
    pub version: u32,
    /// Whether all layers held, the probe among them. It says nothing about whether the proxy runs.
    pub ok: bool,
    /// How often a check found and mended something.
    pub generation: u64,
    /// When the check ended, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// What was not as it should be when the check ended.
    pub problems: Vec<Finding>,
    /// How each layer stood.
    pub layers: Layers,
}

/// Whether a state can still be gone by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// It can.
    Fresh {
        /// In milliseconds.
        age_ms: i64,
    },
    /// It cannot: whether pods are kept from the metadata service is not known.
    Old {
        /// In milliseconds; negative when the clock was set back.
        age_ms: i64,
    },
}

/// Why there is no state.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// No check has run, or `down` has.
    #[error(
        "{} is not there: the redirect was never checked on this node since it started, or it was taken down. Run \
         `safeguard-proxy redirect up` and `redirect check`, or enable the units that do",
        path.display()
    )]
    Missing {
        /// The state file.
        path: PathBuf,
    },
    /// It could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The state file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// It is not a state that we know.
    #[error("{} is not a state of the redirect: {why}. The next `redirect check` writes it anew", path.display())]
    Strange {
        /// The state file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

impl State {
    /// Reads the state file.
    ///
    /// # Errors
    /// [`StateError::Missing`] before the first check and after `down`; the others when it cannot be read. None of them is
    /// "all is well".
    pub fn read(path: &Path) -> Result<Self, StateError> {
        let strange = |why: String| StateError::Strange { path: path.to_owned(), why };
        let bytes = read(path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => StateError::Missing { path: path.to_owned() },
            _ => StateError::Io { path: path.to_owned(), source },
        })?;
        // The version first: of a later one nothing else can be relied on.
        #[derive(Deserialize)]
        struct Dated {
            version: u32,
        }
        let dated: Dated = serde_json::from_slice(&bytes).map_err(|error| strange(error.to_string()))?;
        if dated.version > VERSION {
            return Err(strange(format!("it has version {}, and this program knows {VERSION}", dated.version)));
        }
        serde_json::from_slice(&bytes).map_err(|error| strange(error.to_string()))
    }

    /// Whether it can still be gone by at `now_ms`, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn freshness(&self, now_ms: i64) -> Freshness {
        let age_ms = now_ms.saturating_sub(self.at_ms);
        let fresh = (-AHEAD_MS..OLD_AFTER_MS).contains(&age_ms);
        if fresh { Freshness::Fresh { age_ms } } else { Freshness::Old { age_ms } }
    }
}

/// Writes the state file: readers see the old one or the new one, whole.
#[expect(clippy::disallowed_methods, reason = "our own file in our own runtime directory, written here alone")]
pub(super) fn write(path: &Path, report: &Report) -> Result<(), Error> {
    let failed = |source| Error::File { action: "write", path: path.to_owned(), source };
    // The lock is held, so the name is nobody else's. What a killed run left of it is of no use.
    let beside = path.with_extension("tmp");
    remove_file(&beside)?;
    let mut bytes = serde_json::to_vec_pretty(report).map_err(|error| failed(error.into()))?;
    bytes.push(b'\n');
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&beside)?;
        // Whatever the umask: others read it.
        nix::sys::stat::fchmod(&file, nix::sys::stat::Mode::from_bits_truncate(0o644))?;
        file.write_all(&bytes)?;
        std::fs::rename(&beside, path)
    })();
    written.map_err(failed)
}

/// Removes it; that it is not there is no error.
pub(super) fn remove(path: &Path) -> Result<(), Error> {
    remove_file(path)
}

#[expect(clippy::disallowed_methods, reason = "our own file in our own runtime directory, written here alone")]
fn remove_file(path: &Path) -> Result<(), Error> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(Error::File { action: "remove", path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

#[expect(clippy::disallowed_methods, reason = "a file of this program, not of the host")]
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let flags = (nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_NONBLOCK).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
