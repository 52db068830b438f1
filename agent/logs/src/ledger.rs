//! What became of every line: the account that has to balance.
//!
//! `read = delivered + in flight + returned + excluded + every reason`, in events and in bytes of the file, per container.

use serde::{Deserialize, Serialize};

/// Events, and the bytes of the log file that they stand for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Events.
    pub events: u64,
    /// Bytes of the file, the runtime's line head included.
    pub bytes: u64,
}

impl Count {
    /// A count.
    #[must_use]
    pub const fn new(events: u64, bytes: u64) -> Self {
        Self { events, bytes }
    }

    /// Adds.
    pub fn add(&mut self, other: Count) {
        self.events += other.events;
        self.bytes += other.bytes;
    }

    /// Takes away; never below nothing.
    pub fn take(&mut self, other: Count) {
        self.events = self.events.saturating_sub(other.events);
        self.bytes = self.bytes.saturating_sub(other.bytes);
    }
}

/// Why an event that was read was not delivered, and never will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Older than the 14 days that the service accepts.
    TooOld,
    /// Further in the future than the service accepts, by the service's clock.
    TooNew,
    /// Older than the retention of its group.
    Expired,
    /// The service refused the event by itself; its text is in the quarantine.
    Quarantined,
    /// An empty line in the `raw` format, which the service does not take.
    Empty,
    /// The rest of a line that was truncated, as set.
    Truncated,
}

impl Reason {
    /// Every reason, in the order of [`Ledger::lost`].
    pub const ALL: [Self; 6] =
        [Self::TooOld, Self::TooNew, Self::Expired, Self::Quarantined, Self::Empty, Self::Truncated];

    /// The name in metrics and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TooOld => "too_old",
            Self::TooNew => "too_new",
            Self::Expired => "expired",
            Self::Quarantined => "quarantined",
            Self::Empty => "empty",
            Self::Truncated => "truncated",
        }
    }
}

/// The account of one container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Handed from the file to a batch, or settled with a reason.
    pub read: Count,
    /// Accepted by CloudWatch Logs.
    pub delivered: Count,
    /// In a batch that is not settled.
    pub in_flight: Count,
    /// Given back to the file to be read again, because memory was needed while the service refused them.
    pub returned: Count,
    /// Read and left out, because the pod says so and the operator lets it. Not lost: somebody wanted it.
    #[serde(default)]
    pub excluded: Count,
    /// Older than 14 days.
    pub too_old: Count,
    /// Too far in the future by the service's clock.
    pub too_new: Count,
    /// Older than the retention of the group.
    pub expired: Count,
    /// Refused by the service and kept in the quarantine.
    pub quarantined: Count,
    /// Empty lines in the `raw` format.
    pub empty: Count,
    /// The rest of truncated lines.
    pub truncated: Count,

    /// Bytes that were in a file when it was deleted or cut, and had not been read. Not part of `read`.
    pub abandoned_bytes: u64,
    /// Delivered, but too long for one event: parts beyond the first.
    pub split_parts: u64,
    /// Delivered with U+FFFD (or `?` in very long lines) where the container wrote invalid UTF-8.
    pub repaired: u64,
    /// Delivered whole although the line is not in the CRI format.
    pub malformed: u64,
    /// Delivered under the present time, because the line's own was too far in the future.
    pub retimed: u64,
}

impl Ledger {
    /// The count of a reason.
    pub fn reason_mut(&mut self, reason: Reason) -> &mut Count {
        match reason {
            Reason::TooOld => &mut self.too_old,
            Reason::TooNew => &mut self.too_new,
            Reason::Expired => &mut self.expired,
            Reason::Quarantined => &mut self.quarantined,
            Reason::Empty => &mut self.empty,
            Reason::Truncated => &mut self.truncated,
        }
    }

    /// The counts of all reasons.
    #[must_use]
    pub fn lost(&self) -> [(Reason, Count); 6] {
        let counts = [self.too_old, self.too_new, self.expired, self.quarantined, self.empty, self.truncated];
        let mut lost = [(Reason::TooOld, Count::default()); 6];
        for (i, slot) in lost.iter_mut().enumerate() {
            *slot = (Reason::ALL[i], counts[i]);
        }
        lost
    }

    /// Adds another account, for totals.
    pub fn add(&mut self, other: &Ledger) {
        self.read.add(other.read);
        self.delivered.add(other.delivered);
        self.in_flight.add(other.in_flight);
        self.returned.add(other.returned);
        self.excluded.add(other.excluded);
        for (reason, count) in other.lost() {
            self.reason_mut(reason).add(count);
        }
        self.abandoned_bytes += other.abandoned_bytes;
        self.split_parts += other.split_parts;
        self.repaired += other.repaired;
        self.malformed += other.malformed;
        self.retimed += other.retimed;
    }

    /// `None` if the account balances, or a sentence that says by how much it does not.
    #[must_use]
    pub fn imbalance(&self) -> Option<String> {
        let mut sum = self.delivered;
        sum.add(self.in_flight);
        sum.add(self.returned);
        sum.add(self.excluded);
        for (_, count) in self.lost() {
            sum.add(count);
        }
        (sum != self.read).then(|| format!("read {:?}, but the parts sum to {sum:?}: {self:?}", self.read))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_excluded_is_part_of_the_balance_and_is_not_lost() {
        let mut ledger = Ledger { read: Count::new(3, 30), delivered: Count::new(2, 20), ..Ledger::default() };
        ledger.excluded.add(Count::new(1, 10));
        assert_eq!(ledger.imbalance(), None);
        assert!(ledger.lost().iter().all(|(_, count)| count.events == 0));
        let mut total = Ledger::default();
        total.add(&ledger);
        assert_eq!(total, ledger);
        // The word of an agent that did not know of exclusions.
        let mut old = serde_json::to_value(&ledger).unwrap();
        old.as_object_mut().unwrap().remove("excluded");
        assert_eq!(serde_json::from_value::<Ledger>(old).unwrap().excluded, Count::default());
    }

    #[test]
    fn every_reason_is_part_of_the_balance() {
        for reason in Reason::ALL {
            let mut ledger = Ledger { read: Count::new(3, 30), delivered: Count::new(2, 20), ..Ledger::default() };
            assert!(ledger.imbalance().is_some());
            ledger.reason_mut(reason).add(Count::new(1, 10));
            assert_eq!(ledger.imbalance(), None, "{reason:?}");
            let mut total = Ledger::default();
            total.add(&ledger);
            assert_eq!(total, ledger);
        }
    }
}
