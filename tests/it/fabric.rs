//! The network that the tests of the proxy stand on.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use safeguard_tests::fabric::{Fabric, METADATA_V4, METADATA_V6, NODE_V4, NODE_V6, Place, Wiring};
use safeguard_tests::proxied::{Proxied, ask};

use safeguard_tests::parts::{Part, here};

const SOON: Duration = Duration::from_secs(3);

/// Whom a listener in `at` sees when `from` connects to it.
fn seen_by(fabric: &Fabric, at: Place, address: IpAddr, from: Place) -> IpAddr {
    let listener = fabric.listener_in(at, (address, 0).into()).unwrap();
    let to = listener.local_addr().unwrap();
    let mut near = fabric.within(from, || TcpStream::connect_timeout(&to, SOON)).unwrap();
    let (mut far, peer) = listener.accept().unwrap();
    far.write_all(b"x").unwrap();
    near.set_read_timeout(Some(SOON)).unwrap();
    near.read_exact(&mut [0]).unwrap();
    peer.ip()
}

#[test]
fn pods_reach_the_metadata_service_through_the_node_with_their_own_addresses() {
    if !here("pods_reach_the_metadata_service_through_the_node_with_their_own_addresses", Part::Network) {
        return;
    }
    for wiring in [Wiring::Vpc, Wiring::Bridge] {
        let fabric = Fabric::build(wiring, 2).unwrap();
        for number in [0, 1] {
            let (pod, from) = (fabric.pod(number), Place::Pod(number));
            assert_eq!(seen_by(&fabric, Place::Outside, METADATA_V4.into(), from), pod.v4);
            assert_eq!(seen_by(&fabric, Place::Outside, METADATA_V6.into(), from), pod.v6);
        }
        assert_eq!(seen_by(&fabric, Place::Outside, METADATA_V4.into(), Place::Node), NODE_V4);
        assert_eq!(seen_by(&fabric, Place::Outside, METADATA_V6.into(), Place::Node), NODE_V6);
        let (pod, other) = (fabric.pod(0).v4, fabric.pod(1).v4);
        assert_eq!(seen_by(&fabric, Place::Pod(0), pod.into(), Place::Pod(1)), other);
        // Without the node there is no way: it is what the packets go through.
        fabric.sysctl(Place::Node, "net/ipv4/ip_forward", "0").unwrap();
        let listener = fabric.listener_in(Place::Outside, (METADATA_V4, 0).into()).unwrap();
        let to = listener.local_addr().unwrap();
        fabric.in_pod(0, || TcpStream::connect_timeout(&to, Duration::from_millis(200))).unwrap_err();
    }
}

#[test]
fn a_pod_ends_and_another_takes_its_address() {
    if !here("a_pod_ends_and_another_takes_its_address", Part::Network) {
        return;
    }
    let mut fabric = Fabric::build(Wiring::Vpc, 1).unwrap();
    let address = fabric.pod(0).v4;
    for _ in 0..3 {
        fabric.remove_pod(0).unwrap();
        fabric.add_pod(0, Wiring::Vpc).unwrap();
        assert_eq!(fabric.pod(0).v4, address);
        assert_eq!(seen_by(&fabric, Place::Outside, METADATA_V4.into(), Place::Pod(0)), address);
    }
}

#[test]
fn fabrics_do_not_meet_and_the_machine_does_not_see_them() {
    if !here("fabrics_do_not_meet_and_the_machine_does_not_see_them", Part::Network) {
        return;
    }
    let (one, other) = (Fabric::build(Wiring::Vpc, 1).unwrap(), Fabric::build(Wiring::Vpc, 1).unwrap());
    let address = SocketAddr::from((NODE_V4, 8181));
    let _listener = one.listener_in(Place::Node, address).unwrap();
    one.in_node(|| TcpStream::connect_timeout(&address, SOON)).unwrap();
    other.in_node(|| TcpStream::connect_timeout(&address, SOON)).unwrap_err();
    let said = one.command_in(Place::Node, "ip").args(["-o", "link"]).output().unwrap();
    assert!(String::from_utf8_lossy(&said.stdout).contains("eni0"));
    let said = std::process::Command::new("ip").args(["-o", "link"]).output().unwrap();
    assert!(!String::from_utf8_lossy(&said.stdout).contains("eni0"));
}

/// Design section 9: with the hop limit of 1 that EC2 has by default, the answer to a PUT for a token ends at the node (EC2 User Guide,
/// "Use IMDSv2"). So what a pod gets here it has from the proxy, and tests without it would not pass by accident.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_token_of_the_metadata_service_does_not_get_past_the_node() {
    if !here("a_token_of_the_metadata_service_does_not_get_past_the_node", Part::Network) {
        return;
    }
    for wiring in [Wiring::Vpc, Wiring::Bridge] {
        let node = Proxied::new(wiring, 1).await;
        let service = SocketAddr::from((METADATA_V4, 80));
        let ttl = [("X-aws-ec2-metadata-token-ttl-seconds", "60")];
        let put = || ask(service, "PUT", "/latest/api/token", &ttl);
        let (at_node, at_pod, data) = tokio::task::block_in_place(|| {
            let at_node = node.fabric.in_node(put);
            (at_node, node.fabric.in_pod(0, put), node.get(0, "/latest/meta-data/instance-id"))
        });
        assert_eq!(at_node.unwrap().status, 200);
        let silence = at_pod.unwrap_err().kind();
        assert!(matches!(silence, std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut), "{silence}");
        assert_eq!(data.unwrap().status, 401, "other answers arrive, and want a token");
    }
}
