use proptest::prelude::*;

use super::*;
use crate::store::read::Tally;

const NOW: i64 = 1_800_000_000_000;
const TODAY: &str = "2027-01-15";

fn node(state: &str, silent_ms: i64) -> Node {
    Node {
        id: 1,
        tenant: "t".to_owned(),
        account: "111111111111".to_owned(),
        region: "eu-central-1".to_owned(),
        instance_id: "i-1".to_owned(),
        cluster: "c".to_owned(),
        group: Some("workers".to_owned()),
        name: "n".to_owned(),
        image_id: "ami-1".to_owned(),
        assurance: "iid".to_owned(),
        state: state.to_owned(),
        state_since_ms: NOW - silent_ms,
        reasons: Vec::new(),
        last_live_ms: Some(NOW - silent_ms),
        assessed_ms: None,
        simulated: false,
        ec2_state: Some("running".to_owned()),
        cluster_state: Some("not ready".to_owned()),
        checks: Tally::default(),
        passed_permille: None,
    }
}

/// One that is lost by the word of everybody.
fn lost() -> Node {
    node("missing", 2 * PATIENCE_MS)
}

fn fleet(doubtful: Vec<Node>, lately: u32) -> Fleet {
    Fleet { nodes: 100, missing: lately, lately, all: 1, doubtful }
}

fn ec2_place() -> Place {
    Place {
        account: "111111111111".to_owned(),
        region: "eu-central-1".to_owned(),
        listed_ms: Some(NOW - FRESH_MS),
        instances: 100,
        silent_since_ms: None,
        reason: None,
    }
}

fn cluster_place() -> ClusterPlace {
    ClusterPlace {
        tenant: "t".to_owned(),
        cluster: "c".to_owned(),
        listed_ms: Some(NOW - FRESH_MS),
        nodes: 100,
        silent_since_ms: None,
        reason: None,
    }
}

fn judged(fleet: &Fleet, ec2: &Place, cluster: &ClusterPlace) -> Vec<Verdict> {
    let sources = Sources { ec2: std::slice::from_ref(ec2), clusters: std::slice::from_ref(cluster) };
    judge(fleet, sources, &[], NOW, TODAY)
}

fn only(node: Node, ec2: &Place, cluster: &ClusterPlace) -> Verdict {
    judged(&fleet(vec![node], 1), ec2, cluster).remove(0)
}

#[test]
fn a_node_that_all_have_lost_would_be_terminated_and_says_why() {
    for (state, word) in [
        ("not ready", "its cluster says that it is not Ready"),
        ("unknown", "its cluster does not hear its kubelet"),
        ("absent", "its cluster has no such node"),
    ] {
        let node = Node { cluster_state: Some(state.to_owned()), ..lost() };
        let verdict = only(node, &ec2_place(), &cluster_place());
        assert!(verdict.would(), "{state}: {verdict:?}");
        let wanted = ["nothing that it says here counts as live", "EC2 says that its instance runs", word];
        assert_eq!(verdict.because, wanted);
    }
}

/// A source with what it says of the node, and why that does not speak for it, if it does not.
type Case<P> = (P, Option<&'static str>, Option<&'static str>);

fn of_ec2() -> Vec<Case<Place>> {
    let place = ec2_place();
    let elsewhere = Place { region: "us-east-1".to_owned(), ..place.clone() };
    let other = Place { account: "222222222222".to_owned(), ..place.clone() };
    vec![
        (place.clone(), Some("running"), None),
        (place.clone(), Some("stopped"), Some("EC2 says that its instance is stopped")),
        (place.clone(), Some("pending"), Some("EC2 says that its instance is pending")),
        (place.clone(), Some("unknown"), Some("EC2 says that its instance is unknown")),
        (place.clone(), None, Some("EC2 does not have its instance among those of clusters")),
        (elsewhere, Some("running"), Some("EC2 is not asked what its instance does")),
        (other, Some("running"), Some("EC2 is not asked what its instance does")),
        (Place { listed_ms: None, ..place.clone() }, Some("running"), Some("EC2 has told nothing yet")),
        (
            Place { listed_ms: Some(NOW - FRESH_MS - 1), ..place.clone() },
            Some("running"),
            Some("EC2 told last at 2027-01-15 07:44:59 UTC: its word is old"),
        ),
        (
            Place { silent_since_ms: Some(NOW - 60_000), ..place.clone() },
            Some("running"),
            Some("EC2 has been silent since 2027-01-15 07:59:00 UTC: its word is old"),
        ),
        (
            Place { instances: 0, ..place },
            Some("running"),
            Some("EC2 lists no instance at all: that says nothing of this one"),
        ),
    ]
}

fn of_cluster() -> Vec<Case<ClusterPlace>> {
    let place = cluster_place();
    let alive = "its cluster says that it is Ready: the agent or the way to here is what is lost, and not the node";
    let other = ClusterPlace { cluster: "d".to_owned(), ..place.clone() };
    vec![
        (place.clone(), Some("not ready"), None),
        (place.clone(), Some("unknown"), None),
        (place.clone(), Some("absent"), None),
        (place.clone(), Some("ready"), Some(alive)),
        (place.clone(), None, Some("its cluster has not told of it yet")),
        (place.clone(), Some("what is this"), Some("its cluster has not told of it yet")),
        (other, Some("not ready"), Some("its cluster is not asked whether it is Ready")),
        (
            ClusterPlace { listed_ms: None, ..place.clone() },
            Some("not ready"),
            Some("its cluster has told nothing yet"),
        ),
        (
            ClusterPlace { listed_ms: Some(NOW - FRESH_MS - 1), ..place.clone() },
            Some("not ready"),
            Some("its cluster told last at 2027-01-15 07:44:59 UTC: its word is old"),
        ),
        (
            ClusterPlace { silent_since_ms: Some(NOW - 60_000), ..place.clone() },
            Some("not ready"),
            Some("its cluster has been silent since 2027-01-15 07:59:00 UTC: its word is old"),
        ),
        (
            ClusterPlace { nodes: 0, ..place },
            Some("absent"),
            Some("its cluster lists no node at all: that says nothing of this one"),
        ),
    ]
}

#[test]
fn each_source_that_does_not_say_so_is_a_reason_of_its_own() {
    let silences = [(PATIENCE_MS, None), (PATIENCE_MS - 1, Some("it has been missing for less than an hour"))];
    for (ec2, ec2_state, of_ec2) in of_ec2() {
        for (cluster, cluster_state, of_cluster) in of_cluster() {
            for (silent_ms, of_silence) in silences {
                let node = Node {
                    ec2_state: ec2_state.map(str::to_owned),
                    cluster_state: cluster_state.map(str::to_owned),
                    ..node("missing", silent_ms)
                };
                let verdict = only(node, &ec2, &cluster);
                let unless: Vec<&str> = [of_silence, of_ec2, of_cluster].into_iter().flatten().collect();
                assert_eq!(verdict.unless, unless, "{ec2:?} {ec2_state:?} {cluster:?} {cluster_state:?}");
                assert_eq!(verdict.because.len() + unless.len(), 3 + usize::from(of_silence.is_some()));
            }
        }
    }
}

#[test]
fn without_anybody_to_ask_nothing_would_be_done() {
    let judged = judge(&fleet(vec![lost()], 1), Sources { ec2: &[], clusters: &[] }, &[], NOW, TODAY);
    let wanted = ["EC2 is not asked what its instance does", "its cluster is not asked whether it is Ready"];
    assert_eq!(judged[0].unless, wanted);
}

#[test]
fn what_speaks_or_is_evidence_or_was_never_heard_is_left() {
    for (node, why) in [
        (node("suspect", 2 * PATIENCE_MS), "a suspect node"),
        (node("non-compliant", 2 * PATIENCE_MS), "it is alive"),
        (Node { last_live_ms: None, ..lost() }, "never been heard"),
        // The safeguard was away, and has missed it for five minutes.
        (Node { state_since_ms: NOW - 300_000, ..lost() }, "less than an hour"),
        (Node { simulated: true, ..lost() }, "simulated"),
    ] {
        let verdict = only(node, &ec2_place(), &cluster_place());
        assert_eq!(verdict.unless.len(), 1, "{verdict:?}");
        assert!(verdict.unless[0].contains(why), "{verdict:?}");
    }
}

#[test]
fn a_fleet_that_goes_missing_at_once_is_braked() {
    assert!(!braked(&fleet(Vec::new(), 10)));
    assert!(braked(&fleet(Vec::new(), 11)));
    assert!(!braked(&Fleet { nodes: 5, ..fleet(Vec::new(), 2) }));
    let of = |lately| judged(&fleet(vec![lost()], lately), &ec2_place(), &cluster_place()).remove(0);
    assert!(of(10).would());
    assert_eq!(of(11).unless, ["the fleet brake is on"]);
}

#[test]
fn of_many_lost_nodes_the_first_two_would_be_terminated() {
    let alive = Node { cluster_state: Some("ready".to_owned()), ..lost() };
    let nodes = vec![lost(), alive, lost(), lost(), lost()];
    let judged = judged(&fleet(nodes, 0), &ec2_place(), &cluster_place());
    let would: Vec<bool> = judged.iter().map(Verdict::would).collect();
    assert_eq!(would, [true, false, true, false, false]);
    assert_eq!(judged[3].unless, ["at most 2 nodes an hour"]);
    // One that is left for another reason takes nobody's place, and needs no second reason.
    assert!(judged[1].unless[0].contains("Ready"));
    assert_eq!(judged[1].unless.len(), 1);
}

#[test]
fn an_exclusion_covers_its_group_until_its_last_day() {
    let exclusion = Exclusion {
        id: 1,
        account: "111111111111".to_owned(),
        group: Some("workers".to_owned()),
        reason: "migration".to_owned(),
        owner: "ops".to_owned(),
        expires: TODAY.to_owned(),
    };
    let node = node("missing", 0);
    assert!(covers(&exclusion, &node, TODAY));
    assert!(!covers(&exclusion, &node, "2027-01-16"));
    assert!(covers(&Exclusion { group: None, ..exclusion.clone() }, &node, TODAY));
    assert!(!covers(&Exclusion { account: "2".to_owned(), ..exclusion.clone() }, &node, TODAY));

    let (ec2, cluster) = (ec2_place(), cluster_place());
    let sources = Sources { ec2: std::slice::from_ref(&ec2), clusters: std::slice::from_ref(&cluster) };
    let verdicts = judge(&fleet(vec![lost()], 1), sources, &[exclusion], NOW, TODAY);
    assert_eq!(verdicts[0].unless, ["excluded until 2027-01-15 by ops: migration"]);
}

fn time() -> impl Strategy<Value = Option<i64>> {
    let near = (-2 * FRESH_MS..2 * FRESH_MS).prop_map(|off| Some(NOW.saturating_add(off)));
    prop_oneof![1 => Just(None), 6 => near, 1 => any::<i64>().prop_map(Some)]
}

fn silence() -> impl Strategy<Value = Option<i64>> {
    prop_oneof![3 => Just(None), 1 => time()]
}

prop_compose! {
    fn any_node()(
        state in prop_oneof![4 => Just("missing"), 1 => Just("suspect"), 1 => Just("non-compliant")],
        silent_ms in 0..3 * PATIENCE_MS,
        ec2 in prop_oneof![Just(None), Just(Some("running")), Just(Some("stopped"))],
        said in prop_oneof![Just(None), Just(Some("ready")), Just(Some("not ready")), Just(Some("unknown")), Just(Some("absent"))],
        cluster in prop_oneof![3 => Just("c"), 1 => Just("d")],
        account in prop_oneof![3 => Just("111111111111"), 1 => Just("222222222222")],
    ) -> Node {
        Node {
            ec2_state: ec2.map(str::to_owned),
            cluster_state: said.map(str::to_owned),
            cluster: cluster.to_owned(),
            account: account.to_owned(),
            ..node(state, silent_ms)
        }
    }
}

proptest! {
    #[test]
    fn nothing_is_ever_done_without_two_words_of_now(
        nodes in proptest::collection::vec(any_node(), 1..6),
        (ec2_listed, ec2_silent, instances) in (time(), silence(), 0_u32..3),
        (listed, silent, count) in (time(), silence(), 0_u32..3),
        lately in 0_u32..12,
    ) {
        let ec2 = Place { listed_ms: ec2_listed, silent_since_ms: ec2_silent, instances, ..ec2_place() };
        let cluster = ClusterPlace { listed_ms: listed, silent_since_ms: silent, nodes: count, ..cluster_place() };
        let fresh = |at: Option<i64>| at.is_some_and(|at| NOW.abs_diff(at) <= 900_000);
        let fleet = fleet(nodes, lately);
        let judged = judged(&fleet, &ec2, &cluster);
        prop_assert!(judged.iter().filter(|verdict| verdict.would()).count() <= 2);
        for (node, verdict) in fleet.doubtful.iter().zip(&judged).filter(|(_, verdict)| verdict.would()) {
            prop_assert!(lately <= 10 && node.state == "missing");
            prop_assert!(node.last_live_ms.is_some_and(|last| NOW - last >= 3_600_000));
            prop_assert!(node.account == ec2.account && fresh(ec2_listed) && ec2_silent.is_none() && instances > 0);
            prop_assert!(node.cluster == cluster.cluster && fresh(listed) && silent.is_none() && count > 0);
            prop_assert_eq!(node.ec2_state.as_deref(), Some("running"));
            prop_assert!(!matches!(node.cluster_state.as_deref(), None | Some("ready")));
            prop_assert_eq!(verdict.because.len(), 3);
        }
    }
}
