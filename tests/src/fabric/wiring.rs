//! Which interfaces, addresses, routes and neighbours make a node, and a pod on it.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::namespace::Namespace;
use super::{METADATA_V4, METADATA_V6, NODE_V4, NODE_V6, OUTSIDE_V4, OUTSIDE_V6, Pod, Wiring};

/// The bridge's own addresses, the gateway of pods on it.
const BRIDGE_V4: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 1);
const BRIDGE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 3, 0, 0, 0, 0, 1);

/// The node and what is outside, joined by their `eth0`.
pub(super) fn node(node: &Namespace, outside: &Namespace) -> io::Result<()> {
    node.ip(&format!("link add eth0 type veth peer name eth0 netns {}", outside.path()))?;
    node.ip(&format!(
        "link set eth0 up
         addr add {NODE_V4}/24 dev eth0
         addr add {NODE_V6}/64 dev eth0
         route add default via {OUTSIDE_V4}
         route add default via {OUTSIDE_V6}
         link add cni0 type bridge
         link set cni0 up
         addr add {BRIDGE_V4}/24 dev cni0
         addr add {BRIDGE_V6}/64 dev cni0"
    ))?;
    for name in ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"] {
        node.sysctl(name, "1")?;
    }
    outside.ip(&format!(
        "link set eth0 up
         addr add {OUTSIDE_V4}/24 dev eth0
         addr add {OUTSIDE_V6}/64 dev eth0
         addr add {METADATA_V4}/32 dev eth0
         addr add {METADATA_V6}/128 dev eth0
         route add 10.0.1.0/24 via {NODE_V4}
         route add 10.244.0.0/24 via {NODE_V4}
         route add 2001:db8:2::/64 via {NODE_V6}
         route add 2001:db8:3::/64 via {NODE_V6}"
    ))
}

/// A pod on the node.
pub(super) fn pod(node: &Namespace, number: u8, wiring: Wiring) -> io::Result<Pod> {
    let namespace = Namespace::new()?;
    // 0 and 1 are the network and the gateway.
    let host = number.checked_add(2).ok_or_else(|| io::Error::other("pods have the numbers 0 to 253"))?;
    // Given, so that the neighbour on the pod's side is known without asking.
    let mac = format!("02:00:00:00:01:{number:02x}");
    let pod = match wiring {
        Wiring::Vpc => Pod {
            namespace,
            v4: Ipv4Addr::new(10, 0, 1, host),
            v6: Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, host.into()),
            interface: format!("eni{number}"),
        },
        Wiring::Bridge => Pod {
            namespace,
            v4: Ipv4Addr::new(10, 244, 0, host),
            v6: Ipv6Addr::new(0x2001, 0xdb8, 3, 0, 0, 0, 0, host.into()),
            interface: format!("veth{number}"),
        },
    };
    let Pod { namespace, v4, v6, interface } = &pod;
    node.ip(&format!("link add {interface} address {mac} type veth peer name eth0 netns {}", namespace.path()))?;
    match wiring {
        Wiring::Vpc => {
            node.ip(&format!(
                "link set {interface} up
                 route add {v4}/32 dev {interface} scope link
                 route add {v6}/128 dev {interface}"
            ))?;
            namespace.ip(&format!(
                "link set eth0 up
                 addr add {v4}/32 dev eth0
                 addr add {v6}/128 dev eth0
                 route add 169.254.1.1 dev eth0 scope link
                 route add default via 169.254.1.1 dev eth0
                 neigh add 169.254.1.1 lladdr {mac} dev eth0 nud permanent
                 route add default via fe80::1 dev eth0 onlink
                 neigh add fe80::1 lladdr {mac} dev eth0 nud permanent"
            ))?;
        }
        Wiring::Bridge => {
            node.ip(&format!(
                "link set {interface} master cni0
                 link set {interface} up"
            ))?;
            namespace.ip(&format!(
                "link set eth0 up
                 addr add {v4}/24 dev eth0
                 addr add {v6}/64 dev eth0
                 route add default via {BRIDGE_V4}
                 route add default via {BRIDGE_V6}"
            ))?;
        }
    }
    Ok(pod)
}
