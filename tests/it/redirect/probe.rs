//! What the probe proves, and with what evidence.

use std::net::SocketAddr;

use safeguard_proxy::redirect::{Outcome, Standing};
use safeguard_tests::fabric::{NODE_V4, OUTSIDE_V4, OUTSIDE_V6, Place, Wiring};

use super::{Rig, Server};
use safeguard_tests::parts::{Part, here};

fn outcomes(rig: &Rig) -> Vec<Outcome> {
    rig.check(false).probes.iter().map(|probe| probe.outcome).collect()
}

#[test]
fn a_running_proxy_and_one_that_does_not_run_are_told_apart_and_both_are_well_redirected() {
    if !here("a_running_proxy_and_one_that_does_not_run_are_told_apart_and_both_are_well_redirected", Part::Network) {
        return;
    }
    for wiring in [Wiring::Vpc, Wiring::Bridge] {
        let mut rig = Rig::new(wiring, 0);
        rig.up();
        assert_eq!(outcomes(&rig), [Outcome::Answered, Outcome::Answered]);
        rig.proxy.clear();
        assert_eq!(outcomes(&rig), [Outcome::Nobody, Outcome::Nobody]);
        assert!(rig.check(false).state.ok);
        rig.no_pod_was_seen_by_imds();
    }
}

/// A refusal is no proof: this one is the metadata service's own.
#[test]
fn without_any_layer_it_is_a_leak_also_when_the_metadata_service_refuses() {
    if !here("without_any_layer_it_is_a_leak_also_when_the_metadata_service_refuses", Part::Network) {
        return;
    }
    let mut rig = Rig::new(Wiring::Vpc, 0);
    assert_eq!(outcomes(&rig), [Outcome::Leaked, Outcome::Leaked]);
    rig.imds.clear();
    assert_eq!(outcomes(&rig), [Outcome::Leaked, Outcome::Leaked]);
    let report = rig.check(false);
    let told = &report.state.problems;
    assert!(told.iter().any(|problem| problem.text.contains("through eth0 to 169.254.169.254:80")), "{told:?}");
    assert!(told.iter().any(|problem| problem.text.contains("through eth0 to [fd00:ec2::254]:80")), "{told:?}");
}

/// cilium/cilium#40273: another translation takes the connection before ours does. All of our layers are in place.
#[test]
fn a_translation_of_somebody_else_before_ours_is_a_leak_that_is_told_with_where_it_goes() {
    if !here("a_translation_of_somebody_else_before_ours_is_a_leak_that_is_told_with_where_it_goes", Part::Network) {
        return;
    }
    let mut rig = Rig::new(Wiring::Vpc, 1);
    rig.up();
    let other = Server::start(rig.fabric.listener_in(Place::Outside, (OUTSIDE_V4, 8080).into()).unwrap(), "OTHER");
    let sabotage = |v4: SocketAddr| {
        format!(
            "table inet early\ndelete table inet early
             table inet early {{ chain c {{ type nat hook prerouting priority -150;
                ip daddr 169.254.169.254 tcp dport 80 dnat ip to {v4}
                ip6 daddr fd00:ec2::254 tcp dport 80 dnat ip6 to [{OUTSIDE_V6}]:8080
             }}; }}"
        )
    };
    rig.nft(&sabotage((OUTSIDE_V4, 8080).into()));
    assert!(rig.get(Place::Pod(0), super::BOTH[0]).is_from("OTHER"));
    let report = rig.check(true);
    let layers = report.state.layers;
    assert_eq!([layers.address, layers.table, layers.routing], [Standing::Holds; 3]);
    assert!(!report.state.ok && layers.probe == Standing::Broken, "{report:?}");
    assert!(report.probes.iter().all(|probe| probe.outcome == Outcome::Leaked), "{report:?}");
    let told = |text: &str| report.state.problems.iter().any(|problem| problem.text.contains(text));
    assert!(told("through eth0 to 10.0.0.254:8080") && told("through eth0 to [2001:db8:1::254]:8080"), "{report:?}");
    assert!(report.warnings.iter().any(|warning| warning.contains("inet early c")), "{report:?}");
    // To somebody on the node, that listens or not.
    rig.nft(&sabotage((NODE_V4, 9999).into()));
    let report = rig.check(true);
    assert_eq!(report.probes[0].outcome, Outcome::Leaked);
    assert!(report.probes[0].text.contains("10.0.0.1:9999"), "{report:?}");
    drop(other);
}

#[test]
fn what_is_kept_from_the_proxy_and_from_the_metadata_service_is_told_as_that() {
    if !here("what_is_kept_from_the_proxy_and_from_the_metadata_service_is_told_as_that", Part::Network) {
        return;
    }
    let mut rig = Rig::new(Wiring::Vpc, 1);
    rig.up();
    // Packets that are not tracked are not translated.
    rig.nft(
        "table inet other { chain c { type filter hook prerouting priority raw; ip daddr 169.254.169.254 notrack; }; }",
    );
    let report = rig.check(true);
    assert_eq!(report.probes[0].outcome, Outcome::Refused, "{report:?}");
    assert_eq!(report.probes[1].outcome, Outcome::Answered, "{report:?}");
    assert!(!report.state.ok);
    assert!(report.warnings.iter().any(|warning| warning.contains("inet other c")), "{report:?}");
    // A firewall that knows nothing of the proxy.
    rig.nft("delete table inet other\ntable inet other { chain c { type filter hook input priority 0; tcp dport 8181 drop; }; }");
    let report = rig.check(true);
    assert!(report.probes.iter().all(|probe| probe.outcome == Outcome::Unanswered), "{report:?}");
    assert!(!report.state.ok);
    rig.nft("delete table inet other");
    // A rule that routes the metadata service elsewhere is seen, and does no harm while the table holds.
    rig.ip("rule add pref 1 to 169.254.0.0/16 lookup main");
    let report = rig.check(true);
    assert!(report.state.ok, "{report:?}");
    assert!(report.warnings.iter().any(|warning| warning.contains("priority 1 ")), "{report:?}");
    rig.no_pod_was_seen_by_imds();
}
