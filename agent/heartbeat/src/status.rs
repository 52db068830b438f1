//! What the engineer on call is told of the heartbeat.

use safeguard_protocol::{Assurance, Code, KeyId, Posture};
use serde::{Deserialize, Serialize};

/// How the heartbeat goes. Times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Status {
    /// Where beats go.
    pub url: String,
    /// Whose node it is.
    pub tenant: String,
    /// The node's key; `None` before there is one.
    pub key_id: Option<KeyId>,
    /// What vouches for the node, as the safeguard verified it; `None` before it enrolled.
    pub assurance: Option<Assurance>,
    /// When the key was enrolled last.
    pub enrolled_at_ms: Option<i64>,
    /// The number of the last beat that was made.
    pub sequence: u64,
    /// The newest beat that the safeguard has, and took for live.
    pub acknowledged: Option<Acknowledged>,
    /// How the safeguard sees the node, as its last reply said.
    pub posture: Option<Posture>,
    /// The node's clock minus the safeguard's, in milliseconds, as the last reply showed it.
    pub clock_offset_ms: Option<i64>,
    /// Beats that wait to be sent.
    pub waiting: u32,
    /// When the oldest of them was made.
    pub oldest_waiting_ms: Option<i64>,
    /// Beats that will never be sent and are not declared yet.
    pub dropped: u64,
    /// Seconds between beats.
    pub interval_s: u64,
    /// Why the last try failed; `None` when it did not.
    pub trouble: Option<Trouble>,
}

/// A beat that the safeguard has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledged {
    /// Its number.
    pub sequence: u64,
    /// When it was made, by the node's clock.
    pub made_at_ms: i64,
    /// When the reply came, by the node's clock.
    pub at_ms: i64,
}

/// Why beats do not arrive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// Since when no try has succeeded.
    pub since_ms: i64,
    /// Tries that failed since then.
    pub tries: u32,
    /// The code of the safeguard's refusal; `None` if there was no reply, or none that it signed.
    pub code: Option<Code>,
    /// What happened, in plain words.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
    /// When it is tried again.
    pub next_try_ms: i64,
}
