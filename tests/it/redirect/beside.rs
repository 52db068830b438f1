//! Beside what else is on a node.

use safeguard_proxy::redirect::METADATA_V4;
use safeguard_tests::fabric::{OUTSIDE_V4, Place, Wiring};

use super::{BOTH, PROXY, Rig, Server};
use safeguard_tests::parts::{Part, here};

/// As kube-proxy has them in its iptables mode, with a service at 172.20.0.10:53.
const KUBE_PROXY: &str = "*filter
:KUBE-FORWARD - [0:0]
:KUBE-FIREWALL - [0:0]
-A INPUT -j KUBE-FIREWALL
-A FORWARD -m comment --comment \"kubernetes forwarding rules\" -j KUBE-FORWARD
-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT
-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
COMMIT
*nat
:KUBE-SERVICES - [0:0]
:KUBE-SVC-TEST - [0:0]
:KUBE-SEP-TEST - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-POSTROUTING - [0:0]
-A PREROUTING -j KUBE-SERVICES
-A OUTPUT -j KUBE-SERVICES
-A POSTROUTING -j KUBE-POSTROUTING
-A KUBE-SERVICES -d 172.20.0.10/32 -p tcp -m tcp --dport 53 -j KUBE-SVC-TEST
-A KUBE-SVC-TEST -j KUBE-SEP-TEST
-A KUBE-SEP-TEST -p tcp -m tcp -j DNAT --to-destination 10.0.0.254:5353
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-POSTROUTING -m mark --mark 0x4000/0x4000 -j MASQUERADE
COMMIT
";

/// As kube2iam and kiam leave it behind.
const KUBE2IAM: &str = "*nat
-A PREROUTING -d 169.254.169.254/32 -i eni+ -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.1:8182
COMMIT
";

/// uswitch/kiam#180: rules of several programs in one table. Also jtblin/kube2iam#370, whose rule stays behind.
#[test]
fn it_works_beside_kube_proxy_and_a_rule_that_kube2iam_left_behind() {
    if !here("it_works_beside_kube_proxy_and_a_rule_that_kube2iam_left_behind", Part::Iptables) {
        return;
    }
    let mut rig = Rig::new(Wiring::Vpc, 1);
    rig.fed("iptables-nft-restore", &["--noflush"], KUBE_PROXY);
    rig.fed("iptables-nft-restore", &["--noflush"], KUBE2IAM);
    let left_behind =
        Server::start(rig.fabric.listener_in(Place::Node, ([10, 0, 0, 1], 8182).into()).unwrap(), "KUBE2IAM");
    let service = Server::start(rig.fabric.listener_in(Place::Outside, (OUTSIDE_V4, 5353).into()).unwrap(), "SERVICE");
    assert!(rig.get(Place::Pod(0), METADATA_V4.into()).is_from("KUBE2IAM"));
    rig.up();
    for metadata in BOTH {
        assert!(rig.get(Place::Pod(0), metadata).is_from(PROXY));
    }
    for from in [Place::Pod(0), Place::Node] {
        assert!(rig.ask(from, ([172, 20, 0, 10], 53).into()).is_from("SERVICE"), "{from:?}");
    }
    let report = rig.check(true);
    assert!(report.state.ok && report.mended.is_empty() && report.warnings.is_empty(), "{report:?}");
    // kube-proxy writes its tables anew all the time.
    rig.fed("iptables-nft-restore", &[], KUBE_PROXY);
    assert!(rig.check(false).state.ok);
    for metadata in BOTH {
        assert!(rig.get(Place::Pod(0), metadata).is_from(PROXY));
    }
    drop((left_behind, service));
    rig.no_pod_was_seen_by_imds();
}

/// With these, packets in a bridge pass the hooks of netfilter as well; kubeadm and kind set them.
#[test]
fn pods_on_a_bridge_are_redirected_whether_the_bridge_calls_netfilter_or_not() {
    if !here("pods_on_a_bridge_are_redirected_whether_the_bridge_calls_netfilter_or_not", Part::BridgeNetfilter) {
        return;
    }
    let mut rig = Rig::new(Wiring::Bridge, 2);
    rig.up();
    for calls in ["0", "1"] {
        rig.fabric.sysctl(Place::Node, "net/bridge/bridge-nf-call-iptables", calls).unwrap();
        rig.fabric.sysctl(Place::Node, "net/bridge/bridge-nf-call-ip6tables", calls).unwrap();
        for (number, metadata) in [(0, BOTH[0]), (1, BOTH[0]), (0, BOTH[1]), (1, BOTH[1])] {
            assert!(rig.get(Place::Pod(number), metadata).is_from(PROXY), "{number} {metadata} {calls}");
        }
        assert!(rig.check(true).state.ok, "{calls}");
    }
    rig.no_pod_was_seen_by_imds();
}
