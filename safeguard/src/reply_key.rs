//! The key that signs replies: made at the first start, kept where only its owner may read it.

#![expect(clippy::disallowed_methods, reason = "the key is our own file in our own state directory")]

use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use safeguard_protocol::{KeyError, SigningKey};

/// The file, in the state directory: PKCS#8.
const FILE: &str = "reply.key";
/// A key has less than a hundred bytes.
const MOST: u64 = 4_096;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum ReplyKeyError {
    /// The file.
    #[error("the key that signs replies, {}, cannot be used: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is in it.
    #[error(
        "the key that signs replies, {}, is none: {source}. Restore it from the backup: agents trust no other one until their \
         `server_keys` name it",
        path.display()
    )]
    Key {
        /// Which.
        path: PathBuf,
        /// Why.
        source: KeyError,
    },
}

/// The key of this state directory; a new one if there is none.
///
/// # Errors
/// [`ReplyKeyError`].
pub fn load_or_make(state_dir: &Path) -> Result<SigningKey, ReplyKeyError> {
    match load(state_dir) {
        Err(ReplyKeyError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => make(state_dir),
        result => result,
    }
}

/// The key of this state directory.
///
/// # Errors
/// [`ReplyKeyError`], also if there is none.
pub fn load(state_dir: &Path) -> Result<SigningKey, ReplyKeyError> {
    let path = state_dir.join(FILE);
    let failed = |source| ReplyKeyError::File { path: path.clone(), source };
    let mut options = std::fs::OpenOptions::new();
    // Not through a link, and not waiting for a FIFO.
    let file =
        options.read(true).custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK).open(&path).map_err(failed)?;
    let mut document = Vec::new();
    file.take(MOST).read_to_end(&mut document).map_err(failed)?;
    SigningKey::from_pkcs8(&document).map_err(|source| ReplyKeyError::Key { path: path.clone(), source })
}

fn make(state_dir: &Path) -> Result<SigningKey, ReplyKeyError> {
    let path = state_dir.join(FILE);
    let (key, document) = SigningKey::generate().map_err(|source| ReplyKeyError::Key { path: path.clone(), source })?;
    let write = || {
        // Complete or not there at all: beside it first, then renamed.
        let beside = state_dir.join("reply.key.new");
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(&document)?;
        file.sync_all()?;
        std::fs::rename(&beside, &path)?;
        std::fs::File::open(state_dir)?.sync_all()
    };
    write().map_err(|source| ReplyKeyError::File { path: path.clone(), source })?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn it_is_made_once_and_only_its_owner_may_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let made = load_or_make(dir.path()).unwrap();
        assert_eq!(load_or_make(dir.path()).unwrap().public(), made.public());
        let mode = std::fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn one_that_is_damaged_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), b"half").unwrap();
        let said = load_or_make(dir.path()).unwrap_err().to_string();
        assert!(said.contains("reply.key") && said.contains("backup"), "{said}");
        assert_eq!(std::fs::read(dir.path().join(FILE)).unwrap(), b"half");
    }
}
