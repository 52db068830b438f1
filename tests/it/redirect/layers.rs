//! What each layer holds, alone and with the others.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Instant;

use safeguard_proxy::redirect::{Ipv6, METADATA_V4, METADATA_V6};
use safeguard_tests::fabric::{NODE_V4, NODE_V6, OUTSIDE_V4, Place, Wiring};
use tokio::net::TcpSocket;

use super::{BOTH, COMES, Client, Got, IMDS, MUST_NOT, PROXY, Rig, Server};
use safeguard_tests::parts::{Part, here};

const DELETE_TABLE: &str = "delete table inet safeguard_redirect";

const DELETE_RULES: &str = "rule del pref 4\nrule del pref 5\n-6 rule del pref 4\n-6 rule del pref 5";

/// What answers `from` in a namespace, and as whom it is known there.
fn answer(name: &str, peer: impl Into<IpAddr>) -> Got {
    Got::Answer(name.to_owned(), peer.into())
}

fn delete_rules(rig: &Rig) {
    // Not as a batch, which knows no families.
    for rule in DELETE_RULES.lines() {
        rig.printed("ip", &rule.split(' ').collect::<Vec<_>>());
    }
}

/// jtblin/kube2iam#329, uswitch/kiam#265: with the wrong interface in the rule, pods silently got the node's role.
#[test]
fn with_all_layers_pods_reach_the_proxy_and_never_the_metadata_service() {
    if !here("with_all_layers_pods_reach_the_proxy_and_never_the_metadata_service", Part::Network) {
        return;
    }
    for (wiring, strict) in [(Wiring::Vpc, "0"), (Wiring::Vpc, "1"), (Wiring::Bridge, "0"), (Wiring::Bridge, "1")] {
        let mut rig = Rig::new(wiring, 2);
        rig.fabric.sysctl(Place::Node, "net/ipv4/conf/all/rp_filter", strict).unwrap();
        assert_eq!(rig.up(), Ipv6::Redirected);
        for number in [0, 1] {
            let pod = rig.fabric.pod(number);
            assert_eq!(rig.get(Place::Pod(number), METADATA_V4.into()), answer(PROXY, pod.v4), "{wiring:?} {strict}");
            assert_eq!(rig.get(Place::Pod(number), METADATA_V6.into()), answer(PROXY, pod.v6), "{wiring:?} {strict}");
        }
        // The node's own processes go on as before: the kubelet, the proxy itself, host-network pods.
        assert_eq!(rig.get(Place::Node, METADATA_V4.into()), answer(IMDS, NODE_V4), "{wiring:?} {strict}");
        assert_eq!(rig.get(Place::Node, METADATA_V6.into()), answer(IMDS, NODE_V6), "{wiring:?} {strict}");
        // Other ports and protocols of the metadata service are none of a pod's business either.
        for metadata in BOTH {
            assert_eq!(rig.refused(Place::Pod(0), (metadata, 443).into()), Got::Refused, "{wiring:?}");
        }
        // And what is not the metadata service's is not touched.
        let other = Server::start(rig.fabric.listener_in(Place::Outside, (OUTSIDE_V4, 80).into()).unwrap(), "OTHER");
        assert_eq!(rig.ask(Place::Pod(0), (OUTSIDE_V4, 80).into()), answer("OTHER", rig.fabric.pod(0).v4));
        drop(other);
        rig.no_pod_was_seen_by_imds();
    }
}

#[test]
fn without_the_redirect_pods_reach_the_metadata_service_or_these_tests_would_prove_nothing() {
    if !here("without_the_redirect_pods_reach_the_metadata_service_or_these_tests_would_prove_nothing", Part::Network) {
        return;
    }
    let mut rig = Rig::new(Wiring::Vpc, 1);
    let leaks = |rig: &Rig| BOTH.map(|metadata| rig.get(Place::Pod(0), metadata)).iter().all(|got| got.is_from(IMDS));
    assert!(leaks(&rig));
    rig.up();
    rig.nft(DELETE_TABLE);
    delete_rules(&rig);
    assert!(leaks(&rig));
}

/// jtblin/kube2iam#170 and kiam#395: what holds when the rules of the firewall are gone.
#[test]
fn with_the_table_deleted_the_routing_rules_alone_refuse_pods_and_let_the_node_through() {
    if !here("with_the_table_deleted_the_routing_rules_alone_refuse_pods_and_let_the_node_through", Part::Network) {
        return;
    }
    for wiring in [Wiring::Vpc, Wiring::Bridge] {
        let mut rig = Rig::new(wiring, 1);
        rig.up();
        rig.nft(DELETE_TABLE);
        for metadata in BOTH {
            assert_eq!(rig.get(Place::Pod(0), metadata), Got::NoRoute, "{wiring:?}");
            assert!(rig.get(Place::Node, metadata).is_from(IMDS));
        }
        rig.no_pod_was_seen_by_imds();
    }
}

#[test]
fn with_the_routing_rules_deleted_the_table_alone_redirects_and_refuses_what_it_does_not_redirect() {
    if !here("with_the_routing_rules_deleted_the_table_alone_redirects", Part::Network) {
        return;
    }
    let mut rig = Rig::new(Wiring::Vpc, 1);
    rig.up();
    delete_rules(&rig);
    for metadata in BOTH {
        let listener = rig.fabric.listener_in(Place::Outside, (metadata, 443).into()).unwrap();
        let secure = Server::start(listener, IMDS);
        assert!(rig.get(Place::Pod(0), metadata).is_from(PROXY));
        assert_eq!(rig.refused(Place::Pod(0), (metadata, 443).into()), Got::Refused);
        assert!(rig.get(Place::Node, metadata).is_from(IMDS));
        // Without the two chains that refuse, that would have got through.
        rig.nft("flush chain inet safeguard_redirect strayed\nflush chain inet safeguard_redirect forwarded");
        assert!(rig.ask(Place::Pod(0), (metadata, 443).into()).is_from(IMDS));
        drop(secure);
        rig.bring_up().unwrap();
        delete_rules(&rig);
    }
    rig.no_pod_was_seen_by_imds();
}

/// Seen with jtblin/kube2iam: a connection from before its rule kept returning the node's credentials, since a connection
/// that the kernel already tracks is not translated any more.
#[test]
fn a_connection_from_before_leaks_without_the_refusing_layers_and_with_any_one_of_them_it_does_not() {
    if !here("a_connection_from_before_leaks_without_the_refusing_layers", Part::Network) {
        return;
    }
    let chains = ["strayed", "forwarded"];
    for (metadata, keeps) in
        BOTH.into_iter().flat_map(|of| [None, Some("strayed"), Some("forwarded"), Some("rules")].map(|k| (of, k)))
    {
        let rig = Rig::new(Wiring::Vpc, 1);
        // Somebody else's table, for which connections are tracked from the start.
        rig.nft("table inet other { chain c { type filter hook forward priority 0; ct state established accept; }; }");
        let mut client = rig.fabric.in_pod(0, || Client::connect((metadata, 80).into(), COMES)).ok().unwrap();
        assert!(client.get(COMES).is_from(IMDS));
        rig.bring_up().unwrap();
        let flushed = chains.iter().filter(|chain| keeps != Some(**chain));
        rig.nft(&flushed.map(|chain| format!("flush chain inet safeguard_redirect {chain}\n")).collect::<String>());
        if keeps != Some("rules") {
            delete_rules(&rig);
        }
        let got = client.get(MUST_NOT);
        match keeps {
            None => assert!(got.is_from(IMDS), "{metadata}: the test proves nothing: {got:?}"),
            // Routing tells it by ICMP, which does not end a connection that is established.
            Some("rules") => assert!([Got::Silence, Got::NoRoute].contains(&got), "{metadata}: {got:?}"),
            Some(chain) => assert_eq!(got, Got::Refused, "{metadata} {chain}"),
        }
    }
}

#[test]
fn a_pooled_connection_from_before_is_reset_at_once_and_the_next_one_reaches_the_proxy() {
    if !here("a_pooled_connection_from_before_is_reset_at_once_and_the_next_one_reaches_the_proxy", Part::Network) {
        return;
    }
    let mut rig = Rig::new(Wiring::Vpc, 1);
    rig.nft("table inet other { chain c { type filter hook forward priority 0; ct state established accept; }; }");
    for metadata in BOTH {
        let mut client = rig.fabric.in_pod(0, || Client::connect((metadata, 80).into(), COMES)).ok().unwrap();
        assert!(client.get(COMES).is_from(IMDS));
        rig.up();
        assert_eq!(client.get(MUST_NOT), Got::Refused);
        assert!(rig.get(Place::Pod(0), metadata).is_from(PROXY));
        rig.proxy.clear();
        rig.down();
    }
}

/// Some nodes run something of their own at the metadata service's address. What is delivered here is not forwarded.
#[test]
fn a_metadata_service_on_the_node_itself_is_kept_from_pods_too() {
    if !here("a_metadata_service_on_the_node_itself_is_kept_from_pods_too", Part::Network) {
        return;
    }
    let mut rig = Rig::new(Wiring::Vpc, 1);
    rig.ip(&format!("addr add {METADATA_V4}/32 dev lo\naddr add {METADATA_V6}/128 dev lo"));
    rig.imds = BOTH.map(|of| Server::start(rig.fabric.listener_in(Place::Node, (of, 80).into()).unwrap(), IMDS)).into();
    rig.up();
    for metadata in BOTH {
        assert!(rig.get(Place::Pod(0), metadata).is_from(PROXY));
        assert!(rig.get(Place::Node, metadata).is_from(IMDS));
    }
    rig.nft("flush chain inet safeguard_redirect redirected");
    for metadata in BOTH {
        assert_eq!(rig.refused(Place::Pod(0), (metadata, 80).into()), Got::Refused);
    }
    rig.nft("flush chain inet safeguard_redirect strayed");
    for metadata in BOTH {
        assert!(rig.get(Place::Pod(0), metadata).is_from(IMDS), "{metadata}: the test proves nothing");
    }
}

/// jtblin/kube2iam#152: it listens on all addresses, so any host of the VPC asks it for credentials.
#[test]
fn nobody_reaches_the_proxy_but_by_the_metadata_services_address() {
    if !here("nobody_reaches_the_proxy_but_by_the_metadata_services_address", Part::Network) {
        return;
    }
    let mut rig = Rig::new(Wiring::Vpc, 1);
    rig.up();
    let port = rig.redirect.port();
    let proxies = [IpAddr::from(rig.redirect.v4()), rig.redirect.v6().unwrap().into()];
    let (v4, v6) = (rig.redirect.v4(), rig.redirect.v6().unwrap());
    let outside = format!("route add {v4}/32 via {NODE_V4}\nroute add {v6}/128 via {NODE_V6}");
    rig.fabric.ip(Place::Outside, &outside).unwrap();
    let everybody = [Place::Pod(0), Place::Outside, Place::Node];
    for from in everybody {
        for proxy in proxies {
            assert_eq!(rig.refused(from, (proxy, port).into()), Got::Refused, "{from:?} to {proxy}");
        }
        for node in [IpAddr::from(NODE_V4), NODE_V6.into()] {
            assert_eq!(rig.refused(from, (node, port).into()), Got::Refused, "{from:?} to {node}");
        }
    }
    assert!(rig.proxy.iter().all(|server| server.seen().is_empty()));
    // The chain is what refuses: without it each of them gets in.
    rig.nft("flush chain inet safeguard_redirect arrived");
    for from in everybody {
        for proxy in proxies {
            assert!(rig.ask(from, (proxy, port).into()).is_from(PROXY), "{from:?} to {proxy}: the test proves nothing");
        }
    }
}

/// On the VPC CNI the host's end of a pod has no address, so the kernel looks for a source on other interfaces, `lo` first.
#[test]
fn the_nodes_own_connections_to_pods_do_not_come_from_the_proxys_address() {
    if !here("the_nodes_own_connections_to_pods_do_not_come_from_the_proxys_address", Part::Network) {
        return;
    }
    let mut rig = Rig::new(Wiring::Vpc, 1);
    // An address for which ours would be the better source by its label (RFC 6724, rule 6).
    let local: Ipv6Addr = "fd00:1234::9".parse().unwrap();
    rig.fabric.ip(Place::Pod(0), &format!("addr add {local}/128 dev eth0")).unwrap();
    rig.ip(&format!("route add {local}/128 dev eni0"));
    rig.up();
    let listen = |address: IpAddr| rig.fabric.listener_in(Place::Pod(0), (address, 0).into()).unwrap();
    let source = |listener: &TcpListener| {
        let to = listener.local_addr().unwrap();
        rig.fabric.in_node(|| TcpStream::connect_timeout(&to, COMES)).unwrap();
        listener.accept().unwrap().1.ip()
    };
    let (v4, v6, ula) =
        (listen(rig.fabric.pod(0).v4.into()), listen(rig.fabric.pod(0).v6.into()), listen(local.into()));
    assert_eq!(source(&v4), IpAddr::from(NODE_V4));
    let ours = [IpAddr::from(rig.redirect.v4()), rig.redirect.v6().unwrap().into()];
    for listener in [&v6, &ula] {
        assert!(!ours.contains(&source(listener)));
    }
    // As one would put the addresses there by hand they are chosen, and the proxy's own guard then drops the answers.
    rig.ip(&format!("addr del {0}/32 dev lo\naddr add {0}/32 dev lo\naddr del {1}/128 dev lo", ours[0], ours[1]));
    rig.ip(&format!("addr add {}/128 dev lo", ours[1]));
    for listener in [&v4, &ula] {
        let to = listener.local_addr().unwrap();
        let stuck = rig.fabric.in_node(|| TcpStream::connect_timeout(&to, MUST_NOT));
        assert!(stuck.is_err(), "the test proves nothing");
    }
}

/// A pod that pretends to be another. The second address is one that no pod has: its answer would leave through `eth0`.
#[test]
fn a_request_from_an_address_that_lives_elsewhere_is_dropped() {
    if !here("a_request_from_an_address_that_lives_elsewhere_is_dropped", Part::Network) {
        return;
    }
    let mut rig = Rig::new(Wiring::Vpc, 2);
    rig.up();
    let (v4, v6) = (rig.fabric.pod(1).v4, rig.fabric.pod(1).v6);
    let nobody = "2001:db8:2::fc".parse::<Ipv6Addr>().unwrap();
    for (pretended, metadata) in [
        (IpAddr::from(v4), BOTH[0]),
        (IpAddr::from([10, 0, 1, 252]), BOTH[0]),
        (IpAddr::from(v6), BOTH[1]),
        (IpAddr::from(nobody), BOTH[1]),
    ] {
        let length = if pretended.is_ipv4() { 32 } else { 128 };
        rig.fabric.ip(Place::Pod(0), &format!("addr add {pretended}/{length} dev eth0")).unwrap();
        let before = dropped(&rig, metadata);
        let reached = arrived(&rig, metadata);
        let until = Instant::now() + COMES;
        // The kernel takes a moment until one can speak from a new address.
        while dropped(&rig, metadata) == before {
            assert!(Instant::now() < until, "{pretended} is not dropped");
            let got = rig.fabric.in_pod(0, || connect_from(pretended, (metadata, 80).into()));
            assert!(got.is_err(), "{pretended} is let in");
        }
        // Not even its first packet: an answer to that would go to whom it pretends to be.
        assert_eq!(arrived(&rig, metadata), reached, "{pretended}");
        assert!(rig.proxy.iter().all(|server| !server.seen().contains(&pretended)));
    }
    // With their own addresses both are served as before.
    for (number, metadata) in [(0, BOTH[0]), (1, BOTH[0]), (1, BOTH[1])] {
        assert!(rig.get(Place::Pod(number), metadata).is_from(PROXY), "{number} {metadata}");
    }
    rig.no_pod_was_seen_by_imds();
}

/// Connects with a source address of one's choice.
fn connect_from(source: IpAddr, to: SocketAddr) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let socket = if source.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.bind((source, 0).into())?;
        tokio::time::timeout(MUST_NOT, socket.connect(to)).await??;
        Ok(())
    })
}

/// How many packets to a metadata service were dropped for their sender.
fn dropped(rig: &Rig, metadata: IpAddr) -> u32 {
    counted(rig, "spoofed", metadata)
}

/// How many reached the proxy's address.
fn arrived(rig: &Rig, metadata: IpAddr) -> u32 {
    counted(rig, "arrived", metadata)
}

fn counted(rig: &Rig, chain: &str, metadata: IpAddr) -> u32 {
    let listed = rig.printed("nft", &["list", "chain", "inet", "safeguard_redirect", chain]);
    let rule = listed.lines().find(|line| line.contains(&metadata.to_string())).unwrap();
    rule.split_once("packets ").unwrap().1.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn pods_see_connection_refused_at_once_while_the_proxy_does_not_run() {
    if !here("pods_see_connection_refused_at_once_while_the_proxy_does_not_run", Part::Network) {
        return;
    }
    let mut rig = Rig::new(Wiring::Vpc, 1);
    rig.up();
    rig.proxy.clear();
    for metadata in BOTH {
        let started = Instant::now();
        assert_eq!(rig.get(Place::Pod(0), metadata), Got::Refused);
        assert!(started.elapsed() < MUST_NOT, "{:?}", started.elapsed());
    }
    rig.no_pod_was_seen_by_imds();
}

#[test]
fn where_the_node_has_ipv6_off_ipv4_is_redirected_and_ipv6_refused() {
    if !here("where_the_node_has_ipv6_off_ipv4_is_redirected_and_ipv6_refused", Part::Network) {
        return;
    }
    let mut rig = Rig::new(Wiring::Vpc, 1);
    rig.fabric.sysctl(Place::Node, "net/ipv6/conf/lo/disable_ipv6", "1").unwrap();
    assert_eq!(rig.up(), Ipv6::Refused);
    assert!(rig.get(Place::Pod(0), METADATA_V4.into()).is_from(PROXY));
    assert_eq!(rig.refused(Place::Pod(0), (METADATA_V6, 80).into()), Got::Refused);
    let report = rig.check(false);
    assert!(report.state.ok && report.ipv6 == Ipv6::Refused, "{report:?}");
    // All of it off, as on nodes that were built without.
    rig.fabric.sysctl(Place::Node, "net/ipv6/conf/all/disable_ipv6", "1").unwrap();
    let report = rig.check(true);
    assert!(report.state.ok, "{report:?}");
    assert!(report.probes.iter().any(|probe| probe.text.contains("switched off")), "{report:?}");
    rig.no_pod_was_seen_by_imds();
}
