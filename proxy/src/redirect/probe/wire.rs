//! A pair of interfaces, one end in the throw-away namespace, wired as the VPC CNI does it: an address by itself, a gateway
//! that exists only as a permanent neighbour, and no address on the node's end.

use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags};
use rtnetlink::packet_route::link::{InfoData, InfoVeth, LinkAttribute, LinkMessage, State};
use rtnetlink::packet_route::route::RouteScope;
use rtnetlink::{LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd as _;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time;

use super::{PROBE_V4, PROBE_V6};
use crate::redirect::netlink::{Netlink, change};
use crate::redirect::sandbox::Outside;
use crate::redirect::{Error, Family, METADATA_PORT};

/// The node's end, by which an operator knows whose it is.
const ON_NODE: &str = "sgprobe0";

const IN_POD: &str = "eth0";

/// Of both ends, locally administered. Given rather than left to the kernel, since systemd-udevd changes an address that
/// the kernel chose, after the neighbours were set (`MACAddressPolicy=persistent`, systemd.link(5)).
const MAC_ON_NODE: [u8; 6] = [0x02, 0x53, 0x47, 0, 0, 1];
const MAC_IN_POD: [u8; 6] = [0x02, 0x53, 0x47, 0, 0, 2];

/// The gateway of pods on the VPC CNI ("Proposal: CNI plugin for Kubernetes networking over AWS VPC").
const GATEWAY_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);
const GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

/// How long a connection may take. Both ends are on this node, so a millisecond is usual; the second half of it is for one
/// lost packet, which is sent again after a second.
const CONNECT: Duration = Duration::from_millis(1_500);

/// How long the kernel may take to hand packets to a new interface, and how often it is asked. After that the connection
/// shows whether it does.
const CARRIER: Duration = Duration::from_secs(2);
const CARRIER_AGAIN: Duration = Duration::from_millis(2);

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// Somebody accepted it.
    Accepted,
    /// Somebody reset it.
    Reset,
    /// A router said that it will not.
    NoRoute,
    /// Nothing came.
    Silence,
    /// Something else.
    Other(String),
}

/// Wires this namespace and connects in each family.
pub(super) async fn connect(outside: Outside, families: &[Family]) -> Result<Vec<(Family, End)>, Error> {
    let inside = Netlink::open()?;
    let ends = wired(&outside, &inside, families).await;
    // At once, and not when the kernel gets to clearing the namespace.
    let removed = remove(&outside.netlink).await;
    let ends = ends?;
    removed?;
    Ok(ends)
}

/// Removes the interface on the node, and its other end with it.
pub(super) async fn remove(netlink: &Netlink) -> Result<(), Error> {
    let Some(link) = netlink.link(ON_NODE).await? else { return Ok(()) };
    let gone = change("remove the probe's interface", netlink.handle.link().del(link.header.index).execute()).await;
    match gone {
        // Its namespace ended just now.
        Err(Error::Netlink { source, .. }) if source.raw_os_error() == Some(nix::errno::Errno::ENODEV as i32) => Ok(()),
        gone => gone,
    }
}

async fn wired(outside: &Outside, inside: &Netlink, families: &[Family]) -> Result<Vec<(Family, End)>, Error> {
    let node = &outside.netlink;
    let peer = LinkMessageBuilder::<LinkUnspec>::new()
        .name(ON_NODE)
        .address(MAC_ON_NODE.to_vec())
        .setns_by_fd(outside.namespace.as_raw_fd())
        .build();
    let pair = LinkMessageBuilder::<LinkVeth>::new(IN_POD, ON_NODE)
        .address(MAC_IN_POD.to_vec())
        .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
        .build();
    change("make the probe's interface", inside.handle.link().add(pair).execute()).await?;
    let (on_node, in_pod) = (raise(node, ON_NODE).await?, raise(inside, IN_POD).await?);
    carrying(node, ON_NODE).await?;
    carrying(inside, IN_POD).await?;
    for family in families {
        let gateway: IpAddr = match family {
            Family::V4 => GATEWAY_V4.into(),
            Family::V6 => GATEWAY_V6.into(),
        };
        address(inside, in_pod, family.probe(), family.whole()).await?;
        neighbour(inside, in_pod, gateway, MAC_ON_NODE).await?;
        neighbour(node, on_node, family.probe(), MAC_IN_POD).await?;
        routes(node, on_node, inside, in_pod, *family).await?;
    }
    let mut ends = Vec::new();
    for family in families {
        ends.push((*family, attempt((family.metadata(), METADATA_PORT).into()).await));
    }
    Ok(ends)
}

async fn raise(netlink: &Netlink, name: &str) -> Result<u32, Error> {
    let gone = || Error::of_kernel(format!("find the probe's interface {name}"), io::ErrorKind::NotFound.into());
    let index = netlink.link(name).await?.ok_or_else(gone)?.header.index;
    let up = LinkUnspec::new_with_index(index).up().build();
    change("raise the probe's interface", netlink.handle.link().set(up).execute()).await?;
    Ok(index)
}

/// Waits until the kernel hands packets to an interface. It gets to that some time after the interface was raised, and drops
/// them until then, which would cost the second after which TCP tries again.
async fn carrying(netlink: &Netlink, name: &str) -> Result<(), Error> {
    let until = time::Instant::now() + CARRIER;
    let up = |link: LinkMessage| link.attributes.contains(&LinkAttribute::OperState(State::Up));
    while !netlink.link(name).await?.is_some_and(up) && time::Instant::now() < until {
        time::sleep(CARRIER_AGAIN).await;
    }
    Ok(())
}

async fn address(netlink: &Netlink, index: u32, address: IpAddr, length: u8) -> Result<(), Error> {
    let mut request = netlink.handle.address().add(index, address, length);
    if address.is_ipv6() {
        // Usable at once.
        request.message_mut().attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
    }
    change("give the probe its address", request.execute()).await?;
    if let IpAddr::V6(v6) = address { netlink.until_local(v6).await } else { Ok(()) }
}

async fn neighbour(netlink: &Netlink, index: u32, address: IpAddr, mac: [u8; 6]) -> Result<(), Error> {
    let request = netlink.handle.neighbours().add(index, address).link_layer_address(&mac);
    change("make a neighbour of the probe", request.execute()).await
}

async fn routes(node: &Netlink, on_node: u32, inside: &Netlink, in_pod: u32, family: Family) -> Result<(), Error> {
    let (back, out) = match family {
        Family::V4 => {
            let link = |to, index| {
                let builder = RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(to, 32);
                builder.output_interface(index).scope(RouteScope::Link).build()
            };
            let request = inside.handle.route().add(link(GATEWAY_V4, in_pod));
            change("give the probe a gateway", request.execute()).await?;
            let out = RouteMessageBuilder::<Ipv4Addr>::new().gateway(GATEWAY_V4).output_interface(in_pod).build();
            (link(PROBE_V4, on_node), out)
        }
        Family::V6 => {
            let back = RouteMessageBuilder::<Ipv6Addr>::new().destination_prefix(PROBE_V6, 128);
            let out = RouteMessageBuilder::<Ipv6Addr>::new().gateway(GATEWAY_V6).onlink();
            (back.output_interface(on_node).build(), out.output_interface(in_pod).build())
        }
    };
    change("make a route to the probe", node.handle.route().add(back).execute()).await?;
    change("make a route of the probe", inside.handle.route().add(out).execute()).await
}

async fn attempt(to: SocketAddr) -> End {
    let ended = time::timeout(CONNECT, TcpStream::connect(to)).await;
    match ended {
        Err(_) => End::Silence,
        Ok(Ok(stream)) => {
            drop(stream);
            End::Accepted
        }
        Ok(Err(error)) => match error.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => End::Reset,
            // EACCES is what IPv6 makes of "administratively prohibited".
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::PermissionDenied => {
                End::NoRoute
            }
            io::ErrorKind::TimedOut => End::Silence,
            _ => End::Other(error.to_string()),
        },
    }
}
