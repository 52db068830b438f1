//! Pure: how logs are delivered, as a beat says it.

use std::collections::BTreeMap;

use safeguard_heartbeat::Logs;
use safeguard_logs::{Reason, Status};

/// What was in files that were deleted or cut before they were read; in bytes, because nobody counted its lines.
const ABANDONED: &str = "abandoned_bytes";

/// What the log room says, in the words of the protocol. Empty lines, which CloudWatch Logs does not take, are not lost.
pub(crate) fn told(status: &Status) -> Logs {
    let of_journal = status.journal.as_ref().and_then(|journal| journal.behind_since_ms);
    let oldest_unsent_ms = status.logs.iter().filter_map(|log| log.behind_since_ms).chain(of_journal).min();
    let total = &status.total;
    let lost = total.lost().into_iter().filter(|(reason, _)| *reason != Reason::Empty);
    let mut lost: BTreeMap<String, u64> = lost
        .filter(|(_, count)| count.events > 0)
        .map(|(reason, count)| (reason.name().to_owned(), count.events))
        .collect();
    if total.abandoned_bytes > 0 {
        lost.insert(ABANDONED.to_owned(), total.abandoned_bytes);
    }
    Logs { behind_bytes: status.behind_bytes, oldest_unsent_ms, excluded: total.excluded.events, lost }
}

#[cfg(test)]
mod tests {
    use safeguard_logs::{Count, JournalStatus, Ledger};

    use super::*;

    #[test]
    fn what_is_lost_is_told_by_reason_and_what_is_nothing_is_not() {
        let total = Ledger {
            too_old: Count::new(2, 20),
            empty: Count::new(9, 0),
            excluded: Count::new(4, 40),
            abandoned_bytes: 77,
            ..Ledger::default()
        };
        let journal = Some(JournalStatus { behind_since_ms: Some(5), ..JournalStatus::default() });
        let logs = told(&Status { total, journal, behind_bytes: 8, ..Status::default() });
        assert_eq!((logs.behind_bytes, logs.oldest_unsent_ms, logs.excluded), (8, Some(5), 4));
        let lost: Vec<_> = logs.lost.iter().map(|(reason, count)| (reason.as_str(), *count)).collect();
        assert_eq!(lost, [("abandoned_bytes", 77), ("too_old", 2)]);
        assert_eq!(told(&Status::default()), Logs::default());
    }
}
