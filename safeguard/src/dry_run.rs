//! Pure: what `terminate` would do to a node, and why not. Nothing here or elsewhere does it.

use safeguard_daemon::clock::utc;

use crate::clusters::Readiness;
use crate::store::read::{ClusterPlace, Exclusion, Fleet, Node, Place};

/// How long a node is missing before anything would be done about it, in milliseconds: an hour, so that a reboot and an outage of the
/// network end by themselves.
pub const PATIENCE_MS: i64 = 3_600_000;
/// How long the word of EC2 and of a cluster counts, in milliseconds: three of the intervals at which they are asked by default.
pub const FRESH_MS: i64 = 900_000;
/// The fleet brake: when more of the fleet than this went missing within an hour, in tenths of a percent, the trouble is here or in
/// the network and not in the nodes.
pub const BRAKE_PERMILLE: u32 = 100;
/// Nodes that would be terminated within an hour at most: of a dry run, the first ones that it lists.
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

/// Who else is asked whether a node is lost, and how that goes.
#[derive(Debug, Clone, Copy)]
pub struct Sources<'a> {
    /// Of where EC2 is asked.
    pub ec2: &'a [Place],
    /// Clusters that are asked for their nodes.
    pub clusters: &'a [ClusterPlace],
}

/// What would be done to each of the nodes, in their order. `today` is `YYYY-MM-DD`.
#[must_use]
pub fn judge(fleet: &Fleet, sources: Sources<'_>, exclusions: &[Exclusion], now_ms: i64, today: &str) -> Vec<Verdict> {
    let brake = braked(fleet);
    let mut done = 0;
    let judged = fleet.doubtful.iter().map(|node| {
        let mut verdict = one(node, sources, now_ms);
        if node.simulated {
            verdict.unless.push("it is simulated".to_owned());
        }
        for exclusion in exclusions.iter().filter(|exclusion| covers(exclusion, node, today)) {
            let Exclusion { expires, owner, reason, .. } = exclusion;
            verdict.unless.push(format!("excluded until {expires} by {owner}: {reason}"));
        }
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

fn one(node: &Node, sources: Sources<'_>, now_ms: i64) -> Verdict {
    let mut verdict = Verdict { because: Vec::new(), unless: Vec::new() };
    match node.state.as_str() {
        "missing" => {
            verdict.because.push("nothing that it says here counts as live".to_owned());
            // Where the safeguard itself was away, a node may be silent for longer than it is missed.
            match node.last_live_ms.map(|last| now_ms.saturating_sub(last.max(node.state_since_ms))) {
                None => verdict.unless.push("it has never been heard alive".to_owned()),
                Some(silent) if silent < PATIENCE_MS => {
                    verdict.unless.push("it has been missing for less than an hour".to_owned());
                }
                Some(_) => {}
            }
            // Silence here is one source, and one is never enough.
            for said in [ec2(node, sources.ec2, now_ms), cluster(node, sources.clusters, now_ms)] {
                match said {
                    Ok(because) => verdict.because.push(because),
                    Err(unless) => verdict.unless.push(unless),
                }
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
    verdict
}

/// An instance that runs and does not speak is lost; one that is off is only off.
fn ec2(node: &Node, places: &[Place], now_ms: i64) -> Result<String, String> {
    let here = |place: &&Place| place.account == node.account && place.region == node.region;
    let place = places.iter().find(here).ok_or("EC2 is not asked what its instance does")?;
    counts("EC2", place.listed_ms, place.silent_since_ms, now_ms)?;
    if place.instances == 0 {
        // As in `registrar::expect`: the credentials may be of another account.
        return Err("EC2 lists no instance at all: that says nothing of this one".to_owned());
    }
    match node.ec2_state.as_deref() {
        Some("running") => Ok("EC2 says that its instance runs".to_owned()),
        Some(state) => Err(format!("EC2 says that its instance is {state}")),
        None => Err("EC2 does not have its instance among those of clusters".to_owned()),
    }
}

/// A node that its cluster has lost too is lost.
fn cluster(node: &Node, places: &[ClusterPlace], now_ms: i64) -> Result<String, String> {
    let place = places.iter().find(|place| place.tenant == node.tenant && place.cluster == node.cluster);
    let place = place.ok_or("its cluster is not asked whether it is Ready")?;
    counts("its cluster", place.listed_ms, place.silent_since_ms, now_ms)?;
    if place.nodes == 0 {
        return Err("its cluster lists no node at all: that says nothing of this one".to_owned());
    }
    match node.cluster_state.as_deref().and_then(Readiness::of) {
        Some(Readiness::Ready) => {
            Err("its cluster says that it is Ready: the agent or the way to here is what is lost, and not the node"
                .to_owned())
        }
        Some(Readiness::NotReady) => Ok("its cluster says that it is not Ready".to_owned()),
        Some(Readiness::Unknown) => Ok("its cluster does not hear its kubelet".to_owned()),
        Some(Readiness::Absent) => Ok("its cluster has no such node".to_owned()),
        None => Err("its cluster has not told of it yet".to_owned()),
    }
}

/// Whether a word is of now; why not, if it is not.
fn counts(who: &str, listed_ms: Option<i64>, silent_since_ms: Option<i64>, now_ms: i64) -> Result<(), String> {
    match (silent_since_ms, listed_ms) {
        (Some(since_ms), _) => Err(format!("{who} has been silent since {}: its word is old", utc(since_ms))),
        (None, None) => Err(format!("{who} has told nothing yet")),
        (None, Some(at_ms)) if now_ms.saturating_sub(at_ms).saturating_abs() > FRESH_MS => {
            Err(format!("{who} told last at {}: its word is old", utc(at_ms)))
        }
        (None, Some(_)) => Ok(()),
    }
}

/// Whether an exclusion covers a node today.
#[must_use]
pub fn covers(exclusion: &Exclusion, node: &Node, today: &str) -> bool {
    let group = exclusion.group.is_none() || exclusion.group == node.group;
    exclusion.account == node.account && group && exclusion.expires.as_str() >= today
}

#[cfg(test)]
mod tests;
