//! The settings file itself.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::marker::PhantomData;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::problem::Problems;
use super::{Loaded, SettingsError, known_keys, load};

/// A file of settings is a page or two.
const MAX_BYTES: u64 = 1024 * 1024;

/// The settings of a program. It and its tables have `#[serde(default, deny_unknown_fields)]`.
pub trait ProgramSettings: Default + Serialize + DeserializeOwned {
    /// Where they are, unless the command line says otherwise.
    const DEFAULT_PATH: &'static str;

    /// Judges every value.
    ///
    /// # Errors
    /// [`Problems`], all of them.
    fn check(&self) -> Result<(), Problems>;

    /// Every dotted key.
    #[must_use]
    fn keys() -> Vec<String> {
        known_keys(&Self::default())
    }

    /// Reads the text of a settings file that messages call `origin`. Values are not judged yet; see [`Self::check`].
    ///
    /// # Errors
    /// [`SettingsError`] naming file, line and key.
    fn parse(text: &str, origin: &str) -> Result<Loaded<Self>, SettingsError> {
        let keys = Self::keys();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        load(text, origin, &keys)
    }
}

/// Where settings come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsFile<T> {
    path: PathBuf,
    /// Whether it has to exist.
    named: bool,
    settings: PhantomData<fn() -> T>,
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

impl<T: ProgramSettings> SettingsFile<T> {
    /// The file that was named, which has to exist; or else the usual one, without which everything has its default.
    #[must_use]
    pub fn new(named: Option<PathBuf>) -> Self {
        let is_named = named.is_some();
        Self { named: is_named, path: named.unwrap_or_else(|| T::DEFAULT_PATH.into()), settings: PhantomData }
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
    pub fn load(&self) -> Result<Loaded<T>, FileError> {
        let path = &self.path;
        let text = match read_regular(path, MAX_BYTES) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound && !self.named => String::new(),
            Err(error) => return Err(FileError::Read { path: path.clone(), reason: error.to_string() }),
        };
        let loaded = T::parse(&text, &path.display().to_string())?;
        loaded.value.check().map_err(|problems| FileError::Values { path: path.clone(), problems })?;
        Ok(loaded)
    }
}

/// Reads a file that the operator named for this process: settings, a token, a kubeconfig. Regular files only, and `most` bytes.
/// Blocks as long as its disk does.
///
/// # Errors
/// What the kernel said, or that it is too large, no regular file, or no UTF-8.
pub fn read_regular(path: &Path, most: u64) -> std::io::Result<String> {
    let file = open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    let mut text = String::new();
    file.take(most + 1).read_to_string(&mut text)?;
    if text.len() as u64 > most {
        return Err(std::io::Error::other(format!("it is larger than {most} bytes")));
    }
    Ok(text)
}

#[expect(clippy::disallowed_methods, reason = "a file that the operator named for this process, not one of the host")]
fn open(path: &Path) -> std::io::Result<File> {
    // A reload happens beside the work: a FIFO in the place of the file must not stop it.
    OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)
}
