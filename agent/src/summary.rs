//! What the agent left behind when it ended.

use safeguard_logs::{Count, Drained, Ledger};

/// A log of which something was not delivered. It stays where it is for the next start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// `namespace/pod/container`, a path, or the name of a unit.
    pub log: String,
    /// Bytes of its files that are not settled.
    pub behind_bytes: u64,
    /// What was sent, or ready to be sent, and had no answer. It may be stored already, and is sent again.
    pub in_flight: Count,
    /// What went wrong last, if anything did.
    pub error: Option<String>,
}

/// The last word of an agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Whether everything that had been written when draining began is delivered or accounted for.
    pub complete: bool,
    /// What was left, most bytes first; empty when the log room gave no last word.
    pub left: Vec<Left>,
    /// Bytes that were left, in all.
    pub behind_bytes: u64,
    /// The final account of all logs.
    pub total: Ledger,
    /// Whether the log room did not answer any more, so that what was left is not known.
    pub stuck: bool,
}

impl Summary {
    /// Logs were off.
    pub(crate) fn nothing() -> Self {
        Self { complete: true, ..Self::default() }
    }

    /// The log room is stuck, perhaps in the disk.
    pub(crate) fn unknown() -> Self {
        Self { stuck: true, ..Self::default() }
    }

    pub(crate) fn of(drained: &Drained) -> Self {
        let status = &drained.status;
        let unsettled = status.logs.iter().filter(|c| c.behind_bytes > 0 || c.ledger.in_flight != Count::default());
        let left = unsettled.map(|c| {
            let target = status.targets.iter().find(|t| t.group == c.group && t.stream == c.stream);
            Left {
                log: c.name.to_string(),
                behind_bytes: c.behind_bytes,
                in_flight: c.ledger.in_flight,
                error: target.and_then(|t| t.error.clone()).or_else(|| c.last_error.clone()),
            }
        });
        let mut left: Vec<Left> = left.collect();
        left.sort_by_key(|l| std::cmp::Reverse(l.behind_bytes));
        Self {
            complete: drained.complete,
            left,
            behind_bytes: status.behind_bytes,
            total: status.total.clone(),
            stuck: false,
        }
    }
}
