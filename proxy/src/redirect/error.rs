//! What can go wrong, and what to do then.

use std::io;
use std::path::PathBuf;

/// Why the redirect could not be changed or looked at.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No `nft` program.
    #[error(
        "the program nft is not at {tried}. Install the package `nftables`, or set its path in the settings of the \
         redirect"
    )]
    NftMissing {
        /// The paths that were tried.
        tried: String,
    },
    /// The kernel refused for want of rights.
    #[error(
        "not permitted to {action}: this needs CAP_NET_ADMIN in the node's network namespace. Run it as root, in a unit \
         with AmbientCapabilities=CAP_NET_ADMIN, or in a container with hostNetwork and that capability"
    )]
    NotPermitted {
        /// What was tried.
        action: String,
    },
    /// The kernel refused a network namespace of our own.
    #[error(
        "a throw-away network namespace could not be made: {source}. `redirect check` needs CAP_SYS_ADMIN for it, beside \
         the CAP_NET_ADMIN that `up` and `down` need"
    )]
    NoNamespace {
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel does not know what the table is made of.
    #[error(
        "the kernel refused the nftables table: {said}. It lacks a part that the table needs: load the modules \
         nf_tables, nft_chain_nat, nft_ct, nft_fib_inet and nft_reject_inet, or use a kernel from 5.10 on that has them"
    )]
    KernelLacks {
        /// What nft wrote.
        said: String,
    },
    /// `nft` ended with an error.
    #[error("{program} could not {action}: {said}")]
    Nft {
        /// Its path.
        program: PathBuf,
        /// What was tried.
        action: String,
        /// What it wrote, cut to a length.
        said: String,
    },
    /// `nft` could not be started, or its output not be read.
    #[error("{program} could not be run to {action}: {source}")]
    NftRun {
        /// Its path.
        program: PathBuf,
        /// What was tried.
        action: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// Something took too long.
    #[error("{action} took longer than {seconds} s and was given up. A node under heavy load may need another try")]
    TooLong {
        /// What was tried.
        action: String,
        /// The deadline, in seconds.
        seconds: u64,
    },
    /// The kernel refused a change of addresses, routes or rules.
    #[error("the kernel would not {action}: {source}")]
    Netlink {
        /// What was tried.
        action: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The proxy's address belongs to another interface.
    #[error(
        "the proxy's address {address} is on the interface {interface}. Take it off there, or set another address for \
         the proxy"
    )]
    AddressTaken {
        /// The address.
        address: std::net::IpAddr,
        /// The interface's name or number.
        interface: String,
    },
    /// IPv6 is `on`, and the kernel has it off.
    #[error("IPv6 is set to `on`, but {why}. Switch it on there, or set ipv6 to `auto`")]
    Ipv6Off {
        /// What the kernel says.
        why: String,
    },
    /// Another run did not end.
    #[error(
        "{} is held by another `redirect` run for longer than {seconds} s. If `fuser` shows a process that hangs, end it",
        path.display()
    )]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// How long it was waited for, in seconds.
        seconds: u64,
    },
    /// A file of ours could not be made, written or removed.
    #[error("cannot {action} {}: {source}. The directory must be writable by this process", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

impl Error {
    /// Of a refusal by the kernel, with the remedy where it is want of rights.
    pub(super) fn of_kernel(action: impl Into<String>, source: io::Error) -> Self {
        let action = action.into();
        // Not EACCES, which is how it says that IPv6 is off on an interface.
        let rights = source.raw_os_error() == Some(nix::errno::Errno::EPERM as i32);
        if rights { Self::NotPermitted { action } } else { Self::Netlink { action, source } }
    }
}
