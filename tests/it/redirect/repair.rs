//! Damage: found, told, mended.

use safeguard_proxy::redirect::{Layer, METADATA_V4, Standing};
use safeguard_tests::fabric::{Place, Wiring};

use super::{BOTH, PROXY, Rig};
use safeguard_tests::parts::{Part, here};

/// What does the damage.
enum Damage {
    Nft(&'static str),
    Ip(&'static str),
}

use Damage::{Ip, Nft};

/// Each kind, the layer that it is in, and what the operator is told.
const DAMAGES: [(Damage, Layer, &str); 17] = [
    (Nft("delete table inet safeguard_redirect"), Layer::Table, "table inet safeguard_redirect is gone"),
    (Nft("flush ruleset"), Layer::Table, "table inet safeguard_redirect is gone"),
    (Nft("flush chain inet safeguard_redirect redirected"), Layer::Table, "it sends pods' requests to the proxy"),
    (Nft("flush chain inet safeguard_redirect strayed"), Layer::Table, "strayed of the table"),
    (Nft("flush chain inet safeguard_redirect forwarded"), Layer::Table, "has 0 of its 2 rules"),
    (Nft("flush chain inet safeguard_redirect arrived"), Layer::Table, "arrived of the table"),
    (Nft("flush chain inet safeguard_redirect spoofed"), Layer::Table, "spoofed of the table"),
    (
        Nft("delete chain inet safeguard_redirect forwarded"),
        Layer::Table,
        "forwarded of the table inet safeguard_redirect is gone",
    ),
    (Nft("insert rule inet safeguard_redirect strayed accept"), Layer::Table, "2 of its 2 rules and 1 others"),
    (Nft("add table inet safeguard_redirect { flags dormant; }"), Layer::Table, "flags"),
    (Ip("rule del pref 4"), Layer::Routing, "4: from all to 169.254.169.254 iif lo lookup main"),
    (Ip("rule del pref 5"), Layer::Routing, "5: from all to 169.254.169.254 prohibit"),
    (Ip("-6 rule del pref 4"), Layer::Routing, "4: from all to fd00:ec2::254 iif lo lookup main"),
    (Ip("-6 rule del pref 5"), Layer::Routing, "5: from all to fd00:ec2::254 prohibit"),
    (Ip("addr del 169.254.168.252/32 dev lo"), Layer::Address, "169.254.168.252 is not on lo"),
    (Ip("addr del fd0c:c696:c750::252/128 dev lo"), Layer::Address, "fd0c:c696:c750::252 is not on lo"),
    (Ip("addr change fd0c:c696:c750::252/128 dev lo preferred_lft forever"), Layer::Address, "source of its own"),
];

/// uswitch/kiam#477 and jtblin/kube2iam#44: rules that were set once, at the start, and lost to somebody else's flush.
#[test]
fn each_damage_is_found_and_told_and_mended_and_counts_as_a_generation() {
    if !here("each_damage_is_found_and_told_and_mended_and_counts_as_a_generation", Part::Network) {
        return;
    }
    let mut rig = Rig::new(Wiring::Vpc, 1);
    rig.up();
    let report = rig.check(true);
    assert!(report.state.ok && report.mended.is_empty() && report.state.generation == 0, "{report:?}");
    let whole = rig.setup();
    for (number, (damage, layer, told)) in (1..).zip(DAMAGES) {
        let text = match damage {
            Nft(lines) => {
                rig.nft(lines);
                lines
            }
            Ip(arguments) => {
                rig.printed("ip", &arguments.split(' ').collect::<Vec<_>>());
                arguments
            }
        };
        let found = rig.check(false);
        assert!(!found.state.ok, "{text}");
        assert!(found.state.problems.iter().any(|p| p.layer == layer && p.text.contains(told)), "{text}: {found:?}");
        assert_eq!(found.state.generation, number - 1, "{text}: looking is not mending");
        let standing = match layer {
            Layer::Address => found.state.layers.address,
            Layer::Table => found.state.layers.table,
            _ => found.state.layers.routing,
        };
        assert_eq!(standing, Standing::Broken, "{text}");
        // One layer's damage is not another's.
        let others = [found.state.layers.address, found.state.layers.table, found.state.layers.routing];
        assert_eq!(others.iter().filter(|of| **of == Standing::Broken).count(), 1, "{text}: {found:?}");

        let mended = rig.check(true);
        assert!(mended.state.ok, "{text}: {mended:?}");
        assert!(mended.mended.iter().any(|m| m.layer == layer && m.text.contains(told)), "{text}: {mended:?}");
        assert_eq!(mended.state.generation, number, "{text}");
        assert_eq!(rig.setup(), whole, "{text}");
        for metadata in BOTH {
            assert!(rig.get(Place::Pod(0), metadata).is_from(PROXY), "{text}");
        }
    }
    rig.no_pod_was_seen_by_imds();
}

#[test]
fn a_check_without_damage_leaves_everything_as_it_was() {
    if !here("a_check_without_damage_leaves_everything_as_it_was", Part::Network) {
        return;
    }
    let mut rig = Rig::new(Wiring::Bridge, 1);
    rig.up();
    let with_handles = |rig: &Rig| rig.printed("nft", &["-a", "list", "ruleset"]) + &rig.setup();
    let before = with_handles(&rig);
    for repair in [false, true] {
        let report = rig.check(repair);
        assert!(report.state.ok && report.mended.is_empty() && report.warnings.is_empty(), "{report:?}");
    }
    // Counters go on.
    let stateless = |text: &str| {
        let mut words: Vec<&str> = text.split_whitespace().collect();
        for at in 1..words.len() {
            if ["packets", "bytes"].contains(&words[at - 1]) {
                words[at] = "0";
            }
        }
        words.join(" ")
    };
    assert_eq!(stateless(&with_handles(&rig)), stateless(&before));
}

/// An address as `ip addr add` puts it there, without our scope.
#[test]
fn an_address_that_the_node_would_speak_from_is_made_again() {
    if !here("an_address_that_the_node_would_speak_from_is_made_again", Part::Network) {
        return;
    }
    let mut rig = Rig::new(Wiring::Vpc, 1);
    rig.ip("addr add 169.254.168.252/32 dev lo");
    rig.up();
    assert!(rig.printed("ip", &["-o", "addr", "show", "dev", "lo"]).contains("169.254.168.252/32 scope host"));
    rig.ip("addr del 169.254.168.252/32 dev lo\naddr add 169.254.168.252/32 dev lo");
    let found = rig.check(false);
    assert!(found.state.problems.iter().any(|problem| problem.text.contains("source of its own")), "{found:?}");
    assert!(rig.check(true).state.ok);
    // On another interface it is somebody's, and not ours to take.
    rig.down();
    rig.ip("addr add 169.254.168.252/32 dev eth0");
    let said = rig.bring_up().unwrap_err().to_string();
    assert!(said.contains("eth0") && said.contains("another address"), "{said}");
    assert!(!rig.get(Place::Pod(0), METADATA_V4.into()).is_from(super::IMDS));
}
