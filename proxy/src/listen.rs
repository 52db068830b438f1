//! The sockets that pods are brought to. They are bound early, so that a wrong address is found at once, and listen late: until then
//! the kernel brings nobody here, but to the process that listened before (`SO_REUSEPORT`).

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

/// Connections that the kernel holds while we accept.
const BACKLOG: u32 = 1_024;

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// It is not on this machine.
    #[error("{address} is not an address of this node: run `safeguard-proxy redirect up`, which puts it on `lo`")]
    NotHere {
        /// The address.
        address: SocketAddr,
    },
    /// The kernel refused.
    #[error("cannot listen on {address}: {source}. Set another `redirect.port`, or stop the process that has it")]
    Refused {
        /// The address.
        address: SocketAddr,
        /// What it said.
        source: io::Error,
    },
}

/// Sockets that are bound and do not listen yet.
#[derive(Debug)]
pub(crate) struct Bound {
    sockets: Vec<(SocketAddr, TcpSocket)>,
}

impl Bound {
    /// Binds all of these addresses. With `v6_may_be_missing`, those of IPv6 that are not on this machine are left out, if others
    /// are not.
    ///
    /// # Errors
    /// [`ListenError`]
    pub(crate) fn new(addresses: &[SocketAddr], v6_may_be_missing: bool) -> Result<Self, ListenError> {
        let mut sockets = Vec::new();
        for address in addresses {
            match bind(*address) {
                Ok(socket) => sockets.push((*address, socket)),
                Err(error) => {
                    let absent =
                        matches!(error.raw_os_error(), Some(nix::libc::EADDRNOTAVAIL | nix::libc::EAFNOSUPPORT));
                    if absent && address.is_ipv6() && v6_may_be_missing {
                        tracing::debug!(%address, "This node has no such address; pods are not answered over IPv6.");
                    } else if absent {
                        return Err(ListenError::NotHere { address: *address });
                    } else {
                        return Err(ListenError::Refused { address: *address, source: error });
                    }
                }
            }
        }
        Ok(Self { sockets })
    }

    /// Lets connections in.
    ///
    /// # Errors
    /// [`ListenError::Refused`]
    pub(crate) fn listen(self) -> Result<Vec<TcpListener>, ListenError> {
        let listen = |(address, socket): (SocketAddr, TcpSocket)| {
            socket.listen(BACKLOG).map_err(|source| ListenError::Refused { address, source })
        };
        self.sockets.into_iter().map(listen).collect()
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}
