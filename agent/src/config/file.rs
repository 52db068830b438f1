//! The settings file itself.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use safeguard_daemon::settings::{Loaded, SettingsError};

use super::check::Problems;
use super::raw::Settings;

/// Where settings are, unless the command line says otherwise.
pub const DEFAULT_PATH: &str = "/etc/safeguard/agent.toml";

/// A file of settings is a page or two.
const MAX_BYTES: u64 = 1024 * 1024;

/// Where settings come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsFile {
    path: PathBuf,
    /// Whether it has to exist.
    named: bool,
}

/// Why settings are refused.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file cannot be read.
    #[error("{}: {reason}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// It is not TOML, has keys that nobody knows, or values of the wrong type.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// It has values that are not allowed.
    #[error("{}", problems.0.iter().map(|p| format!("{}: {p}", path.display())).collect::<Vec<_>>().join("\n"))]
    Values {
        /// The file.
        path: PathBuf,
        /// All of them.
        problems: Problems,
    },
}

impl SettingsFile {
    /// The file that was named, which has to exist; or else the usual one, without which everything has its default.
    #[must_use]
    pub fn new(named: Option<PathBuf>) -> Self {
        Self { named: named.is_some(), path: named.unwrap_or_else(|| DEFAULT_PATH.into()) }
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads and judges it.
    ///
    /// # Errors
    /// [`FileError`] with everything that is wrong.
    pub fn load(&self) -> Result<Loaded<Settings>, FileError> {
        let path = &self.path;
        let text = match read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound && !self.named => String::new(),
            Err(error) => return Err(FileError::Read { path: path.clone(), reason: error.to_string() }),
        };
        let loaded = Settings::parse(&text, &path.display().to_string())?;
        loaded.value.check().map_err(|problems| FileError::Values { path: path.clone(), problems })?;
        Ok(loaded)
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    let file = open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    let mut text = String::new();
    file.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(std::io::Error::other(format!("it is larger than {MAX_BYTES} bytes")));
    }
    Ok(text)
}

#[expect(clippy::disallowed_methods, reason = "our own settings, not a file of the host")]
fn open(path: &Path) -> std::io::Result<File> {
    // A reload happens beside the pipeline: a FIFO in the place of the file must not stop it.
    OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)
}
