//! What a node says of itself: one beat.

use std::collections::BTreeMap;

mod seal;

use serde::{Deserialize, Serialize};

use crate::{Digest, KeyId, limits};
pub use seal::{SealError, Sealed};

/// One beat: who speaks, when, after what, and how the node stands. Signed with the enrolled key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// [`crate::VERSION`].
    pub version: u32,
    /// Whose node it is.
    pub tenant: String,
    /// AWS account, 12 digits.
    pub account: String,
    /// AWS region.
    pub region: String,
    /// EC2 instance id.
    pub instance_id: String,
    /// AMI, as the signed identity document says.
    pub image_id: String,
    /// The cluster's name.
    pub cluster: String,
    /// The node group's name, where the node has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_group: Option<String>,
    /// The node's name in its cluster.
    pub node_name: String,
    /// The key that signs.
    pub key_id: KeyId,
    /// Its place among the others.
    pub beat: Beat,
    /// The program that speaks.
    pub program: Program,
    /// Digest of the settings that are in force.
    pub configuration: Digest,
    /// The policies that are evaluated. At most [`limits::POLICIES`].
    pub policies: Vec<Policy>,
    /// What the checks found; absent until the first evaluation ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assessment: Option<Assessment>,
    /// Exceptions that are in force.
    pub exceptions: Exceptions,
    /// How the cluster sees the node.
    pub membership: Membership,
    /// How logs are delivered; absent where they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs: Option<Logs>,
    /// The metadata proxy; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Proxy>,
    /// What could not be sent in time.
    pub spool: Spool,
}

/// A beat's place among the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Beat {
    /// One more than that of the beat before, over boots and restarts. Stored on disk before the beat is sent.
    pub sequence: u64,
    /// The digest of the statement before; absent in a key's first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
    /// The boot in which it was made: the boot id of the enrolment.
    pub boot_id: String,
    /// The node's clock when it was made, in milliseconds since 1970.
    pub made_at_ms: i64,
    /// Time since boot, in milliseconds. It runs on when the clock is set.
    pub uptime_ms: u64,
    /// The node's clock minus the safeguard's, as the last reply showed it, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_offset_ms: Option<i64>,
    /// The nonce of the last reply that was verified: proof of recent contact, without which a beat is late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_nonce: Option<String>,
    /// When the next one is due at the latest, in seconds.
    pub next_due_s: u32,
}

/// A program: what it says it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// Its version.
    pub version: String,
    /// The digest of its executable file, where it could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binary: Option<Digest>,
}

/// A policy that is evaluated.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Its id, such as `cis-eks-1.8.0`.
    pub id: String,
    /// Its digest.
    pub digest: Digest,
}

/// What the checks found.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assessment {
    /// When it began, in milliseconds since 1970.
    pub started_at_ms: i64,
    /// When it ended, in milliseconds since 1970. Its age is judged by this, whatever the beats say.
    pub finished_at_ms: i64,
    /// Digest of the full report.
    pub report: Digest,
    /// How many controls came out how.
    pub counts: Counts,
    /// Controls whose result changed since the assessment before. At most [`limits::CHANGES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<Change>,
    /// Changed controls that are not named.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub changed_more: u32,
    /// Failing controls that make a node non-compliant by themselves, as `policy/control`. At most [`limits::CRITICAL`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub critical: Vec<String>,
    /// Such controls that are not named.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub critical_more: u32,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// How many controls came out how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Held.
    pub pass: u32,
    /// Did not hold.
    pub fail: u32,
    /// Did not hold, and are excepted.
    pub excepted: u32,
    /// Do not apply.
    pub not_applicable: u32,
    /// A person has to look.
    pub manual: u32,
    /// Could not be observed.
    pub unknown: u32,
}

/// How a control came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It holds.
    Pass,
    /// It does not hold.
    Fail,
    /// It does not hold, and is excepted.
    Excepted,
    /// It does not apply.
    NotApplicable,
    /// A person has to look.
    Manual,
    /// It could not be observed.
    Unknown,
}

/// A control whose result changed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// `policy/control`.
    pub control: String,
    /// How it came out before; absent for one that is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Verdict>,
    /// How it came out now; absent for one that is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Verdict>,
}

/// Exceptions that are in force.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exceptions {
    /// How many controls are excepted on this node.
    pub count: u32,
    /// Digest of the files that say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// When the next of them ends: `YYYY-MM-DD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_expiry: Option<String>,
}

/// How the cluster sees the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Membership {
    /// Whether the node is Ready; absent when the cluster could not be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<bool>,
    /// How long ago the kubelet renewed the node's lease, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_age_s: Option<u32>,
    /// Whether the cluster takes the node's role for a node's.
    pub role_mapping: RoleMapping,
}

/// Whether the cluster takes the node's role for a node's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoleMapping {
    /// The cluster answered to a token of the role.
    Seen,
    /// It was not seen to.
    Unknown,
}

/// How logs are delivered.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Logs {
    /// Bytes that are known to exist and are not accepted yet.
    pub behind_bytes: u64,
    /// The time of the oldest line that is not accepted yet, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_unsent_ms: Option<i64>,
    /// Events that the operator or a pod left out, since the agent's start.
    pub excluded: u64,
    /// Events that were lost, by reason, since the agent's start. At most [`limits::LOST_REASONS`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lost: BTreeMap<String, u64>,
}

/// The metadata proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proxy {
    /// Whether pods' requests go to it.
    pub redirect: Redirect,
    /// Requests that were refused, since its start.
    pub refusals: u64,
    /// Pods on the host's network, which it cannot tell apart from the node.
    pub host_network_pods: u32,
}

/// Whether pods' requests go to the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Redirect {
    /// They do.
    InPlace,
    /// They do not, or not all.
    Broken,
    /// It was not seen.
    Unknown,
}

/// What could not be sent in time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spool {
    /// Beats that wait.
    pub beats: u32,
    /// When the oldest of them was made, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_ms: Option<i64>,
    /// Sequence numbers that will never come: the spool was full. At most [`limits::DROPPED_RANGES`], joined where they touch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<SequenceRange>,
}

/// Sequence numbers from one to another, both counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SequenceRange {
    /// The first.
    pub first: u64,
    /// The last; not less than the first.
    pub last: u64,
}

impl Statement {
    /// What it says against a bound of [`limits`], if anything: a field and why.
    ///
    /// # Errors
    /// The first field that is out of bounds.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.version != crate::VERSION {
            return Err("version is not 1");
        }
        let names = [&self.tenant, &self.account, &self.region, &self.instance_id, &self.image_id, &self.cluster];
        let more = [&self.node_name, &self.program.version];
        let named = names.into_iter().chain(more).chain(&self.node_group);
        let controls = self.assessment.iter().flat_map(|a| a.changed.iter().map(|c| &c.control).chain(&a.critical));
        let ids = self.policies.iter().map(|p| &p.id).chain(controls);
        if named.chain(ids).any(|name| name.is_empty() || name.len() > limits::NAME_BYTES) {
            return Err("a name is empty or longer than 253 bytes");
        }
        let (changed, critical) = self.assessment.as_ref().map_or((0, 0), |a| (a.changed.len(), a.critical.len()));
        if changed > limits::CHANGES || critical > limits::CRITICAL || self.policies.len() > limits::POLICIES {
            return Err("a list is longer than docs/protocol.md allows");
        }
        let mut reasons = self.logs.iter().flat_map(|logs| logs.lost.keys());
        if self.logs.as_ref().is_some_and(|logs| logs.lost.len() > limits::LOST_REASONS)
            || reasons.any(|reason| reason.is_empty() || reason.len() > limits::REASON_BYTES)
        {
            return Err("logs.lost has more than 8 reasons, or one that is empty or longer than 64 bytes");
        }
        if self.beat.server_nonce.as_ref().is_some_and(|nonce| nonce.len() > limits::NONCE_CHARACTERS) {
            return Err("beat.server_nonce is longer than 64 characters");
        }
        if self.exceptions.next_expiry.as_ref().is_some_and(|day| !is_day(day)) {
            return Err("exceptions.next_expiry is not written as YYYY-MM-DD");
        }
        let dropped = &self.spool.dropped;
        if dropped.len() > limits::DROPPED_RANGES || dropped.iter().any(|r| r.first > r.last) {
            return Err("spool.dropped has more than 8 ranges, or one that ends before it begins");
        }
        if self.beat.boot_id.is_empty() || self.beat.boot_id.len() > limits::BOOT_ID_BYTES {
            return Err("beat.boot_id is empty or longer than 64 bytes");
        }
        if self.beat.sequence == 0 || self.beat.next_due_s == 0 || self.beat.next_due_s > limits::NEXT_DUE_SECONDS {
            return Err("beat.sequence begins at 1, and beat.next_due_s is from 1 to 3600");
        }
        Ok(())
    }
}

/// Whether it has the form `YYYY-MM-DD`.
fn is_day(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 10
        && bytes.iter().enumerate().all(|(i, b)| if matches!(i, 4 | 7) { *b == b'-' } else { b.is_ascii_digit() })
}

impl Counts {
    /// Controls that apply and can be decided by a program.
    #[must_use]
    pub fn applicable(&self) -> u32 {
        self.decided().saturating_add(self.unknown)
    }

    /// Controls that were decided.
    #[must_use]
    pub fn decided(&self) -> u32 {
        self.pass.saturating_add(self.fail).saturating_add(self.excepted)
    }
}

impl Assessment {
    /// Whether it makes the node non-compliant: a critical control fails.
    #[must_use]
    pub fn has_critical(&self) -> bool {
        !self.critical.is_empty() || self.critical_more > 0
    }
}
