//! The answers, as the API gives them and the page shows them. Every text in them may be a node's own, and hostile.

use safeguard_protocol::State;
use schemars::JsonSchema;
use serde::Serialize;

/// What a question is limited to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Filter {
    /// The tenant.
    pub tenant: Option<String>,
    /// The cluster.
    pub cluster: Option<String>,
    /// The node group; `-` for nodes that have none.
    pub group: Option<String>,
    /// Nodes that are assessed against this policy, and their results against it alone.
    pub policy: Option<String>,
    /// The state. Without one, every state but retired.
    pub state: Option<State>,
    /// What the node's name, instance, image or account contains.
    pub text: Option<String>,
}

/// How many checks came out how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Tally {
    /// Held.
    pub pass: u32,
    /// Did not hold.
    pub fail: u32,
    /// Did not hold, and somebody answers for that.
    pub excepted: u32,
    /// Could not be observed: never a pass.
    pub unknown: u32,
    /// A person has to look.
    pub manual: u32,
    /// Do not apply.
    pub not_applicable: u32,
}

impl Tally {
    /// Checks that are enabled: they apply, and a program can decide them.
    #[must_use]
    pub fn enabled(&self) -> u32 {
        [self.pass, self.fail, self.excepted, self.unknown].into_iter().fold(0, u32::saturating_add)
    }

    /// Passed of enabled in tenths of a percent, rounded down: 1000 only when every one passed. None are enabled: `None`.
    #[must_use]
    pub fn permille(&self) -> Option<u16> {
        permille(self.pass, self.enabled())
    }

    pub(crate) fn add(&mut self, other: Self) {
        let sum = |mine: &mut u32, theirs: u32| *mine = mine.saturating_add(theirs);
        sum(&mut self.pass, other.pass);
        sum(&mut self.fail, other.fail);
        sum(&mut self.excepted, other.excepted);
        sum(&mut self.unknown, other.unknown);
        sum(&mut self.manual, other.manual);
        sum(&mut self.not_applicable, other.not_applicable);
    }
}

pub(crate) fn permille(part: u32, whole: u32) -> Option<u16> {
    let permille = (u64::from(part) * 1_000).checked_div(u64::from(whole))?;
    Some(u16::try_from(permille).unwrap_or(u16::MAX))
}

/// Compliance of some nodes, summed up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Roll {
    /// Whose they are; absent where they are of more than one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The cluster; absent where it is of more than one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// The node group, `-` for nodes without one; absent where it is of more than one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The policy; absent where it is of more than one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Nodes.
    pub nodes: u32,
    /// Nodes that were assessed at least once.
    pub assessed: u32,
    /// Nodes that an exclusion leaves alone at present. They and their checks are counted here as well: nobody hides behind one.
    pub left_alone: u32,
    /// Their checks.
    pub checks: Tally,
    /// Passed of enabled, in tenths of a percent, rounded down; null where nothing is enabled.
    pub passed_permille: Option<u16>,
}

/// How many nodes are in a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct InState {
    /// The state: `never-enrolled`, `compliant`, `non-compliant`, `stale`, `missing`, `suspect` or `retired`.
    pub state: String,
    /// Nodes.
    pub nodes: u32,
}

/// A day of the trend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Day {
    /// The day (UTC): `YYYY-MM-DD`.
    pub day: String,
    /// Nodes that were assessed.
    pub nodes: u32,
    /// Checks that passed.
    pub pass: u32,
    /// Checks that were decided.
    pub decided: u32,
    /// Checks that were enabled.
    pub enabled: u32,
    /// Passed of enabled, in tenths of a percent, rounded down.
    pub passed_permille: Option<u16>,
}

/// A control, over all nodes of the question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Control {
    /// Its policy.
    pub policy: String,
    /// Its id in the policy.
    pub control: String,
    /// Its title.
    pub title: String,
    /// Its level in the benchmark.
    pub level: Option<u32>,
    /// Its section.
    pub section: Option<String>,
    /// Nodes on which it does not hold.
    pub fail: u32,
    /// Nodes on which it could not be observed.
    pub unknown: u32,
    /// Nodes on which it does not hold and is excepted.
    pub excepted: u32,
    /// Nodes on which a person has to look.
    pub manual: u32,
    /// Since when it fails on the node where it fails longest, in milliseconds since 1970.
    pub oldest_fail_ms: Option<i64>,
}

/// The first page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Overview {
    /// Everything in one line.
    pub total: Roll,
    /// Nodes per state; those of no node are left out.
    pub states: Vec<InState>,
    /// Nodes that are simulated: part of a demonstration.
    pub simulated: u32,
    /// By cluster. At most 200.
    pub clusters: Vec<Roll>,
    /// By node group. At most 500.
    pub groups: Vec<Roll>,
    /// By policy. At most 64.
    pub policies: Vec<Roll>,
    /// Controls that fail or could not be observed, the one with the most failing nodes first. At most 15.
    pub controls: Vec<Control>,
    /// How many such controls there are.
    pub controls_all: u32,
    /// The last 30 days.
    pub trend: Vec<Day>,
    /// Nodes that are late, missing or doubtful, the gravest first. At most 12.
    pub attention: Vec<Node>,
    /// How many such nodes there are.
    pub attention_all: u32,
    /// Of where EC2 is asked which instances there are, whatever was asked for here; those where it does not tell come first.
    /// At most 500.
    pub ec2: Vec<Place>,
    /// Clusters that are asked which nodes they have, whatever was asked for here; those that do not tell come first. At most 500.
    pub asked_clusters: Vec<ClusterPlace>,
}

/// Of where EC2 is asked which instances there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Place {
    /// AWS account.
    pub account: String,
    /// AWS region.
    pub region: String,
    /// When it told last, in milliseconds since 1970; absent if it never did.
    pub listed_ms: Option<i64>,
    /// How many instances of clusters there were then.
    pub instances: u32,
    /// Since when it does not tell, in milliseconds since 1970. What never spoke, and what is gone, is not seen since then.
    pub silent_since_ms: Option<i64>,
    /// Why it does not.
    pub reason: Option<String>,
}

/// A cluster that is asked which nodes it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ClusterPlace {
    /// Whose it is.
    pub tenant: String,
    /// Its name.
    pub cluster: String,
    /// When it told last, in milliseconds since 1970; absent if it never did.
    pub listed_ms: Option<i64>,
    /// How many nodes that are instances of AWS it had then.
    pub nodes: u32,
    /// Since when it does not tell, in milliseconds since 1970.
    pub silent_since_ms: Option<i64>,
    /// Why it does not.
    pub reason: Option<String>,
}

/// A node in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Node {
    /// Its number here.
    pub id: i64,
    /// Whose it is.
    pub tenant: String,
    /// AWS account.
    pub account: String,
    /// AWS region.
    pub region: String,
    /// EC2 instance.
    pub instance_id: String,
    /// Its cluster.
    pub cluster: String,
    /// Its node group.
    pub group: Option<String>,
    /// Its name in the cluster.
    pub name: String,
    /// Its AMI, as AWS signed it where the proof says so.
    pub image_id: String,
    /// What vouches for it: `none`, `iid`, `iid+sts` or `iid+sts+psat`.
    pub assurance: String,
    /// Its state.
    pub state: String,
    /// Since when, in milliseconds since 1970.
    pub state_since_ms: i64,
    /// Why, in plain words.
    pub reasons: Vec<String>,
    /// When a beat last proved it alive, in milliseconds since 1970.
    pub last_live_ms: Option<i64>,
    /// When its last assessment ended, in milliseconds since 1970.
    pub assessed_ms: Option<i64>,
    /// Whether it is part of a demonstration.
    pub simulated: bool,
    /// What EC2 says that its instance is doing, where EC2 is asked.
    pub ec2_state: Option<String>,
    /// What its cluster says of it, where that is asked: `ready`, `not ready`, `unknown` (its kubelet is not heard) or `absent`.
    pub cluster_state: Option<String>,
    /// Its checks.
    pub checks: Tally,
    /// Passed of enabled, in tenths of a percent, rounded down.
    pub passed_permille: Option<u16>,
}

/// A control on a node that does not simply pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Finding {
    /// The node's number here.
    pub node_id: i64,
    /// The node's name.
    pub node: String,
    /// The node's cluster.
    pub cluster: String,
    /// The node's group.
    pub group: Option<String>,
    /// The policy.
    pub policy: String,
    /// The control's id.
    pub control: String,
    /// `fail`, `excepted`, `manual` or `unknown`.
    pub verdict: String,
    /// The control's title.
    pub title: String,
    /// Its level.
    pub level: Option<u32>,
    /// Its section.
    pub section: Option<String>,
    /// Since when the verdict is this one, in milliseconds since 1970.
    pub since_ms: i64,
    /// What the node saw: text, or the list that its report has.
    pub evidence: Option<String>,
    /// What to do.
    pub remedy: Option<String>,
}

/// A part of a list, and where the next part begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Page<T> {
    /// The part.
    pub items: Vec<T>,
    /// How many there are in all.
    pub total: u32,
    /// Give this as `after` for the next part; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Event {
    /// Its number; later ones are higher.
    pub id: i64,
    /// The node's number, where it is about a node that is known.
    pub node_id: Option<i64>,
    /// The node's name.
    pub node: Option<String>,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// What: `drift`, `enrolled`, `rekeyed`, `gap`, `suspect`, `refused`, ...
    pub kind: String,
    /// More about it, as the kind has it.
    pub detail: serde_json::Value,
}

/// Nodes of an account or a node group that are left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Exclusion {
    /// Its number.
    pub id: i64,
    /// The AWS account.
    pub account: String,
    /// The node group; absent for the whole account.
    pub group: Option<String>,
    /// Why.
    pub reason: String,
    /// Who answers for it.
    pub owner: String,
    /// The last day (UTC) on which it is good: `YYYY-MM-DD`.
    pub expires: String,
}

/// Everything that is known of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct NodeDetail {
    /// As in a list.
    pub node: Node,
    /// When it was first known, in milliseconds since 1970.
    pub first_seen_ms: i64,
    /// When the instance was launched, as AWS signed it, in milliseconds since 1970.
    pub pending_time_ms: Option<i64>,
    /// When anything of it was last received, in milliseconds since 1970.
    pub last_beat_ms: Option<i64>,
    /// When it said that its next beat is due, in seconds after the last.
    pub next_due_s: Option<u32>,
    /// Its keys, the newest first. At most 16.
    pub keys: Vec<NodeKey>,
    /// By policy.
    pub policies: Vec<Roll>,
    /// Its last statement without what changes with every beat, as the protocol has it.
    pub statement: Option<serde_json::Value>,
    /// Changes of its state, the newest first. At most 50.
    pub states: Vec<StateChange>,
    /// Beats that did not come, the newest first. At most 50.
    pub gaps: Vec<Gap>,
    /// Hours of the last two days, the oldest first.
    pub hours: Vec<Hour>,
    /// What happened, the newest first. At most 50.
    pub events: Vec<Event>,
    /// Controls that do not simply pass. At most 1000.
    pub findings: Vec<Finding>,
}

/// A key of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct NodeKey {
    /// Its name.
    pub key_id: String,
    /// When it was enrolled, in milliseconds since 1970.
    pub enrolled_ms: i64,
    /// When another took its place, in milliseconds since 1970.
    pub retired_ms: Option<i64>,
    /// The highest sequence number that is known.
    pub sequence: i64,
}

/// A change of a node's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct StateChange {
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// The state before.
    pub from: Option<String>,
    /// The state after.
    pub to: String,
    /// Why.
    pub reasons: Vec<String>,
    /// Whether the signed beat that caused it is kept as evidence.
    pub evidence: bool,
}

/// Beats that did not come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Gap {
    /// The first sequence number that is not there.
    pub first: i64,
    /// The last.
    pub last: i64,
    /// When it was noticed, in milliseconds since 1970.
    pub opened_ms: i64,
    /// When it was filled or declared, in milliseconds since 1970.
    pub closed_ms: Option<i64>,
    /// Whether the node itself said that they will never come.
    pub declared: bool,
}

/// An hour of beats.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Hour {
    /// Its beginning, in milliseconds since 1970.
    pub hour_ms: i64,
    /// Beats that came in time.
    pub live: u32,
    /// Beats that came late.
    pub late: u32,
    /// Gaps that opened.
    pub gaps: u32,
}

/// Nodes that an action would be about, and the fleet around them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Fleet {
    /// Nodes that are not retired.
    pub nodes: u32,
    /// Of them missing.
    pub missing: u32,
    /// Of them missing for less than an hour.
    pub lately: u32,
    /// Nodes that are missing, suspect or non-compliant.
    pub all: u32,
    /// The first 200 of these.
    pub doubtful: Vec<Node>,
}
