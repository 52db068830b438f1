//! One instance per node.
//!
//! Two agents that ship the same files would deliver every line twice and overwrite each other's checkpoints. The lock
//! is an flock(2) and not the existence of a file: the kernel releases it when the holder dies, however it dies.

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Holds the lock until it is dropped. The file stays behind, since removing it would let a third process lock a new
/// file of the same name while a second one still waits on the old.
#[derive(Debug)]
#[must_use = "the lock is released when this is dropped"]
pub struct InstanceLock {
    _file: Flock<File>,
}

/// Why this process may not run.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another live process holds the lock.
    #[error(
        "{} is held by {}: one instance runs per node. Stop that one (for a systemd unit `systemctl stop`, for a \
         DaemonSet label the node so that it stays off) and start again",
        path.display(),
        holder.map_or_else(|| "another process".to_owned(), |pid| format!("pid {pid}"))
    )]
    Held {
        /// The lock file.
        path: PathBuf,
        /// The holder as it sees itself: inside a container this is a pid of that container's namespace. None in the
        /// moment before the holder has written it.
        holder: Option<u32>,
    },
    /// The file or its directory could not be made, opened, locked or written.
    #[error("cannot {action} {}: {source}. The directory must be writable by this process", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

impl InstanceLock {
    /// Takes the lock on `path` without waiting, and writes our pid into the file.
    ///
    /// Makes the directory (0755, since the admin socket that lives beside it has its own mode) and the file (0600).
    ///
    /// # Errors
    /// [`LockError::Held`] when another process has it, [`LockError::Io`] for the rest.
    pub fn acquire(path: &Path) -> Result<Self, LockError> {
        let failed = |action| move |source| LockError::Io { action, path: path.to_owned(), source };
        if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            DirBuilder::new().recursive(true).mode(0o755).create(directory).map_err(failed("make the directory of"))?;
        }
        let mut file = match Flock::lock(open(path).map_err(failed("open"))?, FlockArg::LockExclusiveNonblock) {
            Ok(file) => file,
            Err((mut file, Errno::EWOULDBLOCK)) => {
                return Err(LockError::Held { path: path.to_owned(), holder: read_pid(&mut file) });
            }
            Err((_, errno)) => return Err(failed("lock")(errno.into())),
        };
        write_pid(&mut file).map_err(failed("write"))?;
        Ok(Self { _file: file })
    }
}

#[expect(clippy::disallowed_methods, reason = "the lock is our own file in our own runtime directory")]
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
        .open(path)
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    // A pid has at most ten digits; whatever else is in the file is not ours to load.
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.write_all_at(format!("{}\n", std::process::id()).as_bytes(), 0)
}

#[cfg(test)]
mod tests;
