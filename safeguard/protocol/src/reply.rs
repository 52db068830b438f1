//! What the safeguard answers, signed with a key that the agent was given.

use serde::{Deserialize, Serialize};

use crate::{Assurance, Digest, KeyId};

/// The answer to `GET /v1/challenge`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// [`crate::VERSION`].
    pub version: u32,
    /// 32 random bytes in base64url without padding. Good for one enrolment.
    pub nonce: String,
    /// How long it may be used, in seconds.
    pub expires_in_s: u32,
    /// The safeguard's clock, in milliseconds since 1970.
    pub server_time_ms: i64,
}

/// The answer to an enrolment that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled {
    /// [`crate::VERSION`].
    pub version: u32,
    /// Digest of the enrolment's payload.
    pub in_reply_to: Digest,
    /// The key that is known now.
    pub key_id: KeyId,
    /// What vouches for the node, as the safeguard verified it.
    pub assurance: Assurance,
    /// The highest sequence number that the safeguard has of this key; 0 for a new one.
    pub sequence: u64,
    /// The safeguard's clock, in milliseconds since 1970.
    pub server_time_ms: i64,
    /// To be repeated in the next statement. What is in it is the safeguard's to know.
    pub nonce: String,
    /// Seconds between beats.
    pub interval_s: u32,
}

/// The answer to a beat that was stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// [`crate::VERSION`].
    pub version: u32,
    /// Digest of the statement.
    pub in_reply_to: Digest,
    /// Its key.
    pub key_id: KeyId,
    /// Its sequence number.
    pub sequence: u64,
    /// What it counted as.
    pub received: Received,
    /// The safeguard's clock, in milliseconds since 1970.
    pub server_time_ms: i64,
    /// To be repeated in the next statement. What is in it is the safeguard's to know.
    pub nonce: String,
    /// Seconds between beats.
    pub interval_s: u32,
    /// Reports that the safeguard does not have. At most 4.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub want: Vec<Digest>,
    /// How the safeguard sees the node now.
    pub posture: Posture,
}

/// What a beat counted as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Received {
    /// The newest, in time: the node is alive.
    Live,
    /// It fills a gap, its clock is off by more than five minutes, or it repeats no nonce that the node was given lately: it is kept,
    /// and proves nothing about now.
    Late,
    /// It was known, to the byte.
    Duplicate,
}

/// How the safeguard sees a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posture {
    /// The state.
    pub state: State,
    /// Since when, in milliseconds since 1970, by the safeguard's clock.
    pub since_ms: i64,
    /// Why, in plain words. At most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
}

/// The states of a node. docs/protocol.md, "States", says how one becomes another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It should be there and has not spoken.
    NeverEnrolled,
    /// It is alive, and was assessed lately and well.
    Compliant,
    /// It is alive, and was assessed badly.
    NonCompliant,
    /// It is alive, and was not assessed lately.
    Stale,
    /// It is silent.
    Missing,
    /// What it says does not fit what it or others said.
    Suspect,
    /// Its instance is gone.
    Retired,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::NeverEnrolled,
        Self::Compliant,
        Self::NonCompliant,
        Self::Stale,
        Self::Missing,
        Self::Suspect,
        Self::Retired,
    ];

    /// As it is written in messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NeverEnrolled => "never-enrolled",
            Self::Compliant => "compliant",
            Self::NonCompliant => "non-compliant",
            Self::Stale => "stale",
            Self::Missing => "missing",
            Self::Suspect => "suspect",
            Self::Retired => "retired",
        }
    }
}
