//! A node's network in network namespaces of its own: pods, the node, and outside of it the fabric with the metadata
//! service, which a packet only reaches through the node's interface, as on EC2.
//!
//! ```text
//! pod 0  eth0 --- eni0 \                                            / 169.254.169.254, fd00:ec2::254
//! pod 1  eth0 --- eni1 -- node: lo, eth0 --- eth0 outside: 10.0.0.254
//! pod 2  eth0 --- veth2 - cni0 /
//! ```
//!
//! Needs root, iproute2 and util-linux. The namespaces have no names: they are open files of this process, so they end with
//! it however it ends, and any number of them exist side by side. Nothing in them has a way to the machine's network.
#![expect(
    clippy::disallowed_methods,
    reason = "the harness makes namespaces and runs programs in them; only what is under test is held to those seams"
)]

mod namespace;
mod wiring;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use namespace::Namespace;

/// The node's own addresses, on its `eth0`.
pub const NODE_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// The same over IPv6.
pub const NODE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
/// The router outside, the node's default gateway. Also any other host out there.
pub const OUTSIDE_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 254);
/// The same over IPv6.
pub const OUTSIDE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x254);
/// The metadata service's addresses, which the fabric has.
pub const METADATA_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
/// The same over IPv6.
pub const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// How long a node or a new pod may take until it reaches the outside.
const READY: Duration = Duration::from_secs(10);

/// How long an address that was just added may take to be one that can be bound to.
const ADDED: Duration = Duration::from_secs(2);

const AGAIN: Duration = Duration::from_millis(5);

/// How pods are joined to the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wiring {
    /// As the VPC CNI: an address by itself, a gateway that exists only as a permanent neighbour, and a host's end `eniN`
    /// without an IPv4 address. The pod's address is one of the VPC.
    Vpc,
    /// As the bridge plugin: the host's end in the bridge `cni0`, whose address is the gateway.
    Bridge,
}

/// One of the namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The pod of that number.
    Pod(u8),
    /// The node.
    Node,
    /// What is beyond the node's interface.
    Outside,
}

/// A pod's network.
#[derive(Debug)]
pub struct Pod {
    namespace: Namespace,
    /// Its IPv4 address.
    pub v4: Ipv4Addr,
    /// Its IPv6 address.
    pub v6: Ipv6Addr,
    /// The name of its interface on the node.
    pub interface: String,
}

/// See [`Fabric::entrance`].
#[derive(Debug)]
pub struct Entrance(Namespace);

impl Entrance {
    /// Moves the calling thread into the namespace, for good: let it be a thread of its own.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn enter(&self) -> io::Result<()> {
        self.0.enter()
    }
}

/// The namespaces. Dropping it ends them, as soon as no process runs in them any more.
#[derive(Debug)]
pub struct Fabric {
    node: Namespace,
    outside: Namespace,
    pods: BTreeMap<u8, Pod>,
}

impl Fabric {
    /// What it needs and is not here, as Debian's packages. Empty when one can be built.
    pub fn missing() -> Vec<&'static str> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let here = |program: &str| std::env::split_paths(&path).any(|dir| dir.join(program).exists());
        let parts = [("ip", "iproute2"), ("nsenter", "util-linux"), ("setpriv", "util-linux")];
        let mut missing: Vec<_> = parts.iter().filter(|(name, _)| !here(name)).map(|(_, package)| *package).collect();
        if Namespace::new().is_err() {
            missing.push("root");
        }
        missing
    }

    /// A node with its outside, and pods of the numbers from 0 on. It is ready: all reach the outside over IPv4 and IPv6.
    ///
    /// # Errors
    /// What the kernel or iproute2 would not do.
    pub fn build(wiring: Wiring, pods: u8) -> io::Result<Self> {
        let (node, outside) = (Namespace::new()?, Namespace::new()?);
        wiring::node(&node, &outside)?;
        let mut fabric = Self { node, outside, pods: BTreeMap::new() };
        fabric.until_ready(
            Place::Node,
            &[OUTSIDE_V4.into(), METADATA_V4.into(), OUTSIDE_V6.into(), METADATA_V6.into()],
        )?;
        for number in 0..pods {
            fabric.add_pod(number, wiring)?;
        }
        Ok(fabric)
    }

    /// Starts another pod. Its addresses go by its number, so a number that is used again is an address that is used again.
    ///
    /// # Errors
    /// What the kernel or iproute2 would not do.
    ///
    /// # Panics
    /// When a pod of that number runs.
    pub fn add_pod(&mut self, number: u8, wiring: Wiring) -> io::Result<()> {
        assert!(!self.pods.contains_key(&number), "there is a pod {number}");
        let pod = wiring::pod(&self.node, number, wiring)?;
        self.pods.insert(number, pod);
        self.until_ready(Place::Pod(number), &[OUTSIDE_V4.into(), OUTSIDE_V6.into()])
    }

    /// Ends a pod: its interfaces and addresses are gone when this returns. Processes in it lose their network.
    ///
    /// # Errors
    /// What the kernel or iproute2 would not do.
    pub fn remove_pod(&mut self, number: u8) -> io::Result<()> {
        let Some(pod) = self.pods.remove(&number) else { return Ok(()) };
        self.node.ip(&format!("link del {}", pod.interface))
    }

    /// A running pod.
    ///
    /// # Panics
    /// When there is none of that number.
    pub fn pod(&self, number: u8) -> &Pod {
        self.pods.get(&number).unwrap_or_else(|| panic!("there is no pod {number}"))
    }

    /// Runs `work` on a thread inside a namespace, and returns what it returns. A panic of it goes on here.
    pub fn within<T: Send>(&self, place: Place, work: impl FnOnce() -> T + Send) -> T {
        self.namespace(place).within(work)
    }

    /// [`Self::within`] for a pod.
    pub fn in_pod<T: Send>(&self, number: u8, work: impl FnOnce() -> T + Send) -> T {
        self.within(Place::Pod(number), work)
    }

    /// [`Self::within`] for the node.
    pub fn in_node<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.within(Place::Node, work)
    }

    /// A socket that listens inside a namespace. It can be used, and handed to tokio, on any thread. An address that was
    /// added just now is waited for.
    ///
    /// # Errors
    /// What `bind` says.
    pub fn listener_in(&self, place: Place, address: SocketAddr) -> io::Result<TcpListener> {
        let until = Instant::now() + ADDED;
        loop {
            match self.within(place, || TcpListener::bind(address)) {
                Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable && Instant::now() < until => {
                    std::thread::sleep(AGAIN);
                }
                bound => return bound,
            }
        }
    }

    /// A program to be run inside a namespace. It is killed when the thread that starts it ends, so that none is left when
    /// the test process is killed; start it on a thread that lasts.
    pub fn command_in(&self, place: Place, program: &str) -> Command {
        self.namespace(place).command(program)
    }

    /// What programs that this process starts can open a namespace by, such as `nsenter --net=PATH`.
    pub fn path(&self, place: Place) -> PathBuf {
        self.namespace(place).path().into()
    }

    /// A way into a namespace for a thread that stays there, which does not borrow the fabric.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn entrance(&self, place: Place) -> io::Result<Entrance> {
        self.namespace(place).entrance().map(Entrance)
    }

    /// Runs iproute2 inside a namespace: lines as of `ip -batch`, such as `route add 10.1.0.0/16 dev eth0`.
    ///
    /// # Errors
    /// What it says, at the first line that fails.
    pub fn ip(&self, place: Place, lines: &str) -> io::Result<()> {
        self.namespace(place).ip(lines)
    }

    /// Sets a sysctl of a namespace, such as `net/ipv4/ip_forward`.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn sysctl(&self, place: Place, name: &str, value: &str) -> io::Result<()> {
        self.namespace(place).sysctl(name, value)
    }

    fn namespace(&self, place: Place) -> &Namespace {
        match place {
            Place::Pod(number) => &self.pod(number).namespace,
            Place::Node => &self.node,
            Place::Outside => &self.outside,
        }
    }

    /// Waits until connections get from a namespace to addresses outside, and answers back: neighbours are known, interfaces
    /// carry.
    fn until_ready(&self, place: Place, addresses: &[IpAddr]) -> io::Result<()> {
        for address in addresses {
            let door = self.listener_in(Place::Outside, (*address, 0).into())?;
            let to = door.local_addr()?;
            let until = Instant::now() + READY;
            let reached = || TcpStream::connect_timeout(&to, Duration::from_millis(300));
            while let Err(error) = self.within(place, reached) {
                if Instant::now() > until {
                    return Err(io::Error::other(format!("{place:?} does not reach {to}: {error}")));
                }
                std::thread::sleep(AGAIN);
            }
        }
        Ok(())
    }
}
