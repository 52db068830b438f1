//! Taking an address: a unix socket that only its owner may open, or a TCP port.

use super::serve::serve;
use super::{Handler, Limits};
use crate::shutdown::Shutdown;
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use std::fs::{DirBuilder, Metadata, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::{TcpListener, UnixListener, UnixSocket};

/// Connections that the kernel holds while we accept; the limit on those we serve is another.
const BACKLOG: u32 = 64;

/// Why an address cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// A live process answers there.
    #[error("another process already answers on {}: stop it, or set another socket path", path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// Something else has that name. It is left alone.
    #[error("{} exists and is not a socket: remove it, or set another socket path", path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// The file system or the kernel refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Unix {
        /// What was tried.
        action: &'static str,
        /// The socket.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The TCP address could not be taken.
    #[error("cannot listen on {address}: {source}. Set another address, or stop the process that has it")]
    Tcp {
        /// The address.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
}

/// A bound unix socket. Its file is removed when this, or the future of [`run`](Self::run), ends, unless another
/// process has put its own there.
#[derive(Debug)]
#[must_use = "it answers once it is run"]
pub struct UnixServer {
    listener: UnixListener,
    file: SocketFile,
    limits: Limits,
}

/// A bound TCP port.
#[derive(Debug)]
#[must_use = "it answers once it is run"]
pub struct TcpServer {
    listener: TcpListener,
    address: SocketAddr,
    limits: Limits,
}

/// Binds `path` with mode 0600, making its directory (0755) where it is missing. A socket that a dead process left is
/// replaced; one that still answers, or that we cannot try, is not. Two processes that start at the same moment are
/// kept apart by [`crate::lock`], which comes first.
///
/// # Errors
/// [`BindError`]; a path longer than 107 bytes is refused by the kernel.
///
/// # Panics
/// Outside a tokio runtime.
pub fn bind_unix(path: &Path) -> Result<UnixServer, BindError> {
    let failed = |action| move |source| BindError::Unix { action, path: path.to_owned(), source };
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o755).create(directory).map_err(failed("make the directory of"))?;
    }
    clear(path)?;
    let socket = UnixSocket::new_stream().map_err(failed("make a socket for"))?;
    socket.bind(path).map_err(failed("bind"))?;
    let file = SocketFile::at(path).map_err(failed("examine"))?;
    // Until it listens nobody can connect, so the mode that the umask left is never in force. The umask itself belongs
    // to the whole process.
    std::fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed("set the mode of"))?;
    let listener = socket.listen(BACKLOG).map_err(failed("listen on"))?;
    Ok(UnixServer { listener, file, limits: Limits::default() })
}

/// Listens on `address`, which should be a loopback address: whoever can connect is answered.
///
/// # Errors
/// [`BindError::Tcp`].
///
/// # Panics
/// Outside a tokio runtime.
pub fn bind_tcp(address: SocketAddr) -> Result<TcpServer, BindError> {
    let bind = || {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(TcpServer { listener: TcpListener::from_std(listener)?, address, limits: Limits::default() })
    };
    bind().map_err(|source| BindError::Tcp { address, source })
}

impl UnixServer {
    /// Where it is bound.
    #[must_use]
    pub fn local_path(&self) -> &Path {
        &self.file.path
    }

    /// Answers until `shutdown`, then gives running requests 1 s and removes the socket.
    pub async fn run(self, handler: Arc<dyn Handler>, shutdown: Shutdown) {
        let Self { listener, file, limits } = self;
        serve(listener, limits, handler, shutdown).await;
        drop(file);
    }

    #[cfg(test)]
    pub(super) fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }
}

impl TcpServer {
    /// Where it listens; tells the port when 0 was asked for.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `shutdown`, then gives running requests 1 s.
    pub async fn run(self, handler: Arc<dyn Handler>, shutdown: Shutdown) {
        serve(self.listener, self.limits, handler, shutdown).await;
    }
}

/// Makes room for a socket at `path`, without taking anything from a living process.
fn clear(path: &Path) -> Result<(), BindError> {
    let failed = |action| move |source| BindError::Unix { action, path: path.to_owned(), source };
    match examine(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("examine")(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(BindError::NotASocket { path: path.to_owned() });
        }
        Ok(_) => {}
    }
    match probe(path) {
        Err(Errno::ECONNREFUSED) => remove(path).map_err(failed("remove the stale socket")),
        Err(Errno::ENOENT) => Ok(()),
        // EAGAIN is a backlog that is full: somebody is there, and busy.
        Ok(()) | Err(Errno::EAGAIN) => Err(BindError::InUse { path: path.to_owned() }),
        Err(errno) => Err(failed("find out whether a process answers on")(errno.into())),
    }
}

/// Connects without waiting and hangs up.
fn probe(path: &Path) -> nix::Result<()> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect(socket.as_raw_fd(), &UnixAddr::new(path)?)
}

#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

impl SocketFile {
    fn at(path: &Path) -> io::Result<Self> {
        let metadata = examine(path)?;
        Ok(Self { path: path.to_owned(), identity: (metadata.dev(), metadata.ino()) })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = examine(&self.path).is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.identity);
        if ours && let Err(error) = remove(&self.path) {
            tracing::debug!(%error, path = %self.path.display(), "the admin socket's file stays behind");
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "our own socket in our own runtime directory")]
fn examine(path: &Path) -> io::Result<Metadata> {
    std::fs::symlink_metadata(path)
}

#[expect(clippy::disallowed_methods, reason = "our own socket in our own runtime directory")]
fn remove(path: &Path) -> io::Result<()> {
    std::fs::remove_file(path)
}
