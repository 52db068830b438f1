use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::Kind;

/// Why something of the host could not be had. Every message names the path as this process sees it.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// It is not there (any more).
    #[error("{}: does not exist", path.display())]
    NotFound {
        /// The path that was asked for.
        path: PathBuf,
    },
    /// It may not be opened by this process.
    #[error("cannot {what} {}: permission denied; reading host files needs root or CAP_DAC_READ_SEARCH", path.display())]
    Denied {
        /// What was tried.
        what: &'static str,
        /// The path that was asked for.
        path: PathBuf,
    },
    /// It is a symbolic link, or leads through one, where none is followed; or it leads out of the root.
    #[error("{}: is or leads through a symbolic link, which is not followed here", path.display())]
    Symlink {
        /// The path that was asked for.
        path: PathBuf,
    },
    /// It is a FIFO, socket, device or directory where a regular file was expected.
    #[error("{}: is not a regular file ({kind:?}), not opened", path.display())]
    NotRegular {
        /// The path that was asked for.
        path: PathBuf,
        /// What it is.
        kind: Kind,
    },
    /// It is larger than the reader accepts.
    #[error("{}: is larger than {max} bytes", path.display())]
    TooLarge {
        /// The path that was asked for.
        path: PathBuf,
        /// The bound, in bytes.
        max: u64,
    },
    /// Anything else the kernel said.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// The path that was asked for.
        path: PathBuf,
        /// The kernel's word.
        source: std::io::Error,
    },
}

impl HostError {
    pub(crate) fn new(what: &'static str, path: &Path, errno: Errno) -> Self {
        let path = path.to_path_buf();
        match errno {
            Errno::ENOENT => Self::NotFound { path },
            Errno::EACCES | Errno::EPERM => Self::Denied { what, path },
            Errno::ELOOP | Errno::EXDEV => Self::Symlink { path },
            other => Self::Io { what, path, source: other.into() },
        }
    }

    pub(crate) fn io(what: &'static str, path: &Path, error: &std::io::Error) -> Self {
        Self::new(what, path, Errno::from_raw(error.raw_os_error().unwrap_or(0)))
    }

    pub(crate) fn not_regular(path: &Path, kind: Kind) -> Self {
        match kind {
            Kind::Symlink => Self::Symlink { path: path.to_path_buf() },
            kind => Self::NotRegular { path: path.to_path_buf(), kind },
        }
    }

    pub(crate) fn too_large(path: &Path, max: u64) -> Self {
        Self::TooLarge { path: path.to_path_buf(), max }
    }

    /// Whether the thing is simply not there (any more).
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }
}
