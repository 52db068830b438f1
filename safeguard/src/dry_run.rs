//! Pure: what `terminate` would do to a node, and why not. Nothing here or elsewhere does it.

use crate::store::read::{Exclusion, Fleet, Node};

/// How long a node is missing before anything would be done about it, in milliseconds: an hour, so that a reboot and an outage of the
/// network end by themselves.
pub const PATIENCE_MS: i64 = 3_600_000;
/// The fleet brake: when more of the fleet than this went missing within an hour, in tenths of a percent, the trouble is here or in
/// the network and not in the nodes.
pub const BRAKE_PERMILLE: u32 = 100;
/// Nodes that would be terminated within an hour at most.
pub const PER_HOUR: u32 = 2;

/// What would be done to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What speaks for it.
    pub because: Vec<String>,
    /// What speaks against it. It would be terminated only if there is nothing.
    pub unless: Vec<String>,
}

impl Verdict {
    /// Whether it would be terminated.
    #[must_use]
    pub fn would(&self) -> bool {
        self.unless.is_empty()
    }
}

/// Whether the fleet brake holds everything.
#[must_use]
pub fn braked(fleet: &Fleet) -> bool {
    // A small fleet is no flood: one of five nodes is 20 percent.
    fleet.lately > 2 && u64::from(fleet.lately) * 1_000 > u64::from(fleet.nodes) * u64::from(BRAKE_PERMILLE)
}

/// What would be done to each of the nodes, in their order. `today` is `YYYY-MM-DD`.
#[must_use]
pub fn judge(fleet: &Fleet, exclusions: &[Exclusion], now_ms: i64, today: &str) -> Vec<Verdict> {
    let brake = braked(fleet);
    let mut done = 0;
    let judged = fleet.doubtful.iter().map(|node| {
        let mut verdict = one(node, exclusions, now_ms, today);
        if brake {
            verdict.unless.push("the fleet brake is on".to_owned());
        }
        if verdict.would() {
            done += 1;
            if done > PER_HOUR {
                verdict.unless.push(format!("at most {PER_HOUR} nodes an hour"));
            }
        }
        verdict
    });
    judged.collect()
}

fn one(node: &Node, exclusions: &[Exclusion], now_ms: i64, today: &str) -> Verdict {
    let mut verdict = Verdict { because: Vec::new(), unless: Vec::new() };
    let silent = node.last_live_ms.map(|last| now_ms.saturating_sub(last));
    match node.state.as_str() {
        "missing" => {
            verdict.because.push("nothing that it says here counts as live".to_owned());
            if silent.is_none_or(|silent| silent < PATIENCE_MS) {
                verdict.unless.push("it has been silent for less than an hour".to_owned());
            }
        }
        "suspect" => {
            verdict.because.push("what it says does not fit".to_owned());
            verdict.unless.push("a person has to look at a suspect node first: it is evidence".to_owned());
        }
        _ => {
            verdict.because.push("a critical control fails".to_owned());
            verdict.unless.push("it is alive: it is reported, not terminated".to_owned());
        }
    }
    // One source is never enough, and an instance that EC2 sees run is no second one.
    verdict.unless.push(match &node.ec2_state {
        None => "no second source says so: neither EC2 nor the cluster was asked".to_owned(),
        Some(state) => {
            format!("no second source says so: EC2 says that its instance is {state}, and the cluster is not asked")
        }
    });
    if node.simulated {
        verdict.unless.push("it is simulated".to_owned());
    }
    for exclusion in exclusions.iter().filter(|exclusion| covers(exclusion, node, today)) {
        verdict
            .unless
            .push(format!("excluded until {} by {}: {}", exclusion.expires, exclusion.owner, exclusion.reason));
    }
    verdict
}

/// Whether an exclusion covers a node today.
#[must_use]
pub fn covers(exclusion: &Exclusion, node: &Node, today: &str) -> bool {
    let group = exclusion.group.is_none() || exclusion.group == node.group;
    exclusion.account == node.account && group && exclusion.expires.as_str() >= today
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::read::Tally;

    const NOW: i64 = 1_800_000_000_000;

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
            ec2_state: None,
            cluster_state: None,
            checks: Tally::default(),
            passed_permille: None,
        }
    }

    fn fleet(doubtful: Vec<Node>, lately: u32) -> Fleet {
        Fleet { nodes: 100, missing: lately, lately, all: 1, doubtful }
    }

    #[test]
    fn one_source_is_never_enough() {
        for state in ["missing", "suspect", "non-compliant"] {
            let judged = judge(&fleet(vec![node(state, 2 * PATIENCE_MS)], 1), &[], NOW, "2027-01-15");
            assert!(!judged[0].would(), "{state}: {judged:?}");
            assert!(judged[0].unless.iter().any(|why| why.contains("second source")));
        }
    }

    #[test]
    fn a_fleet_that_goes_missing_at_once_is_braked() {
        assert!(!braked(&fleet(Vec::new(), 10)));
        assert!(braked(&fleet(Vec::new(), 11)));
        assert!(!braked(&Fleet { nodes: 5, ..fleet(Vec::new(), 2) }));
        let judged = judge(&fleet(vec![node("missing", 2 * PATIENCE_MS)], 11), &[], NOW, "2027-01-15");
        assert!(judged[0].unless.contains(&"the fleet brake is on".to_owned()));
    }

    #[test]
    fn an_exclusion_covers_its_group_until_its_last_day() {
        let exclusion = Exclusion {
            id: 1,
            account: "111111111111".to_owned(),
            group: Some("workers".to_owned()),
            reason: "migration".to_owned(),
            owner: "ops".to_owned(),
            expires: "2027-01-15".to_owned(),
        };
        let node = node("missing", 0);
        assert!(covers(&exclusion, &node, "2027-01-15"));
        assert!(!covers(&exclusion, &node, "2027-01-16"));
        assert!(covers(&Exclusion { group: None, ..exclusion.clone() }, &node, "2027-01-15"));
        assert!(!covers(&Exclusion { account: "2".to_owned(), ..exclusion }, &node, "2027-01-15"));
    }
}
