//! The kernel's routing socket: links, addresses, routes, neighbours and rules of one network namespace.

use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use rtnetlink::RouteMessageBuilder;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::link::{LinkAttribute, LinkMessage};
use rtnetlink::packet_route::route::RouteType;
use std::io;
use std::net::Ipv6Addr;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time;

use super::{Error, Family};

/// How long one question may take. The kernel answers in microseconds; routing on a node that reloads 10,000 rules holds
/// the same lock for a second or two.
const DEADLINE: Duration = Duration::from_secs(10);

/// Most objects that one listing may bring. A node has a few hundred addresses and rules; one that has more than this is
/// not looked at in full, which is told as an error.
const MOST: usize = 65_536;

/// How long an address may take to be ready, and how often that is asked.
const LOCAL: Duration = Duration::from_secs(2);
const LOCAL_AGAIN: Duration = Duration::from_millis(2);

/// An open socket. It stays in the network namespace in which it was opened.
#[derive(Debug)]
pub(super) struct Netlink {
    pub(super) handle: rtnetlink::Handle,
    connection: JoinHandle<()>,
}

impl Netlink {
    /// In the network namespace of the calling thread.
    pub(super) fn open() -> Result<Self, Error> {
        let opened = rtnetlink::new_connection();
        let (connection, handle, _) = opened.map_err(|source| Error::of_kernel("open a netlink socket", source))?;
        Ok(Self { handle, connection: tokio::spawn(connection) })
    }

    /// The number of an interface; None where there is none of that name.
    pub(super) async fn link(&self, name: &str) -> Result<Option<LinkMessage>, Error> {
        let action = format!("look up the interface {name}");
        let found = self.handle.link().get().match_name(name).execute();
        match list(&action, found).await {
            Ok(found) => Ok(found.into_iter().next()),
            Err(Error::Netlink { source, .. }) if source.raw_os_error() == Some(nix::errno::Errno::ENODEV as i32) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Waits until packets to an IPv6 address that was just added are delivered here. The kernel gets to that a moment after
    /// it has said that the address is there, and would forward them until then.
    pub(super) async fn until_local(&self, address: Ipv6Addr) -> Result<(), Error> {
        let action = format!("wait for {address} to be ready");
        let until = time::Instant::now() + LOCAL;
        loop {
            let to = RouteMessageBuilder::<Ipv6Addr>::new().destination_prefix(address, Family::V6.whole()).build();
            let found = list(&action, self.handle.route().get(to).execute()).await;
            match found {
                Ok(routes) if routes.iter().any(|route| route.header.kind == RouteType::Local) => return Ok(()),
                // No route at all is an error here, and no reason to stop waiting.
                Ok(_) | Err(Error::Netlink { .. }) if time::Instant::now() < until => time::sleep(LOCAL_AGAIN).await,
                Ok(_) => return Err(Error::TooLong { action, seconds: LOCAL.as_secs() }),
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for Netlink {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// The name of an interface in a listing, its number where it has none.
pub(super) fn name_of(link: &LinkMessage) -> String {
    let name = link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.clone()),
        _ => None,
    });
    name.unwrap_or_else(|| link.header.index.to_string())
}

/// As the kernel names a family.
pub(super) fn kernels(family: Family) -> AddressFamily {
    match family {
        Family::V4 => AddressFamily::Inet,
        Family::V6 => AddressFamily::Inet6,
    }
}

/// One change, with the deadline. `action` completes "not permitted to".
pub(super) async fn change<T>(
    action: &str,
    asked: impl Future<Output = Result<T, rtnetlink::Error>>,
) -> Result<T, Error> {
    match time::timeout(DEADLINE, asked).await {
        Ok(answer) => answer.map_err(|error| Error::of_kernel(action, io_error(error))),
        Err(_) => Err(Error::TooLong { action: action.to_owned(), seconds: DEADLINE.as_secs() }),
    }
}

/// One listing, with the deadline and the bound.
pub(super) async fn list<T>(
    action: &str,
    asked: impl Stream<Item = Result<T, rtnetlink::Error>>,
) -> Result<Vec<T>, Error> {
    let found = change(action, asked.take(MOST + 1).try_collect::<Vec<T>>()).await?;
    if found.len() > MOST {
        let source = io::Error::other(format!("there are more than {MOST} of them"));
        return Err(Error::Netlink { action: action.to_owned(), source });
    }
    Ok(found)
}

fn io_error(error: rtnetlink::Error) -> io::Error {
    match error {
        rtnetlink::Error::NetlinkError(said) => said.to_io(),
        other => io::Error::other(other.to_string()),
    }
}
