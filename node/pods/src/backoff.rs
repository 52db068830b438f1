//! How long to wait before the next attempt.

use std::time::Duration;

use crate::limits::{BACKOFF_FIRST, BACKOFF_MOST};

/// Doubles from one attempt to the next, within bounds. Half of each wait is drawn by lot, so that the nodes of a cluster
/// do not come back all at once.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    attempts: u32,
}

impl Backoff {
    pub(crate) fn next(&mut self) -> Duration {
        let whole = BACKOFF_FIRST.saturating_mul(1 << self.attempts.min(16)).min(BACKOFF_MOST);
        self.attempts = self.attempts.saturating_add(1);
        whole.mul_f64(0.5 + 0.5 * fastrand::f64())
    }

    pub(crate) fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_within_its_bounds_and_differs() {
        let mut backoff = Backoff::default();
        let waits: Vec<Duration> = (0..100).map(|_| backoff.next()).collect();
        for (i, wait) in waits.iter().enumerate() {
            let whole = Duration::from_millis(250 << i.min(7)).min(Duration::from_secs(30));
            assert!(*wait >= whole / 2 && *wait <= whole, "{i}: {wait:?}");
        }
        assert!(waits.iter().skip(10).collect::<std::collections::HashSet<_>>().len() > 10, "no jitter");
        backoff.reset();
        assert!(backoff.next() <= BACKOFF_FIRST);
    }
}
