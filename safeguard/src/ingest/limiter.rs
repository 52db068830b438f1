//! How much is taken of one: a bucket that fills again with time.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

/// Buckets that are kept. Full ones need not be.
const MOST: usize = 50_000;

/// A bucket for each of whom something is taken.
#[derive(Debug)]
pub(super) struct Limiter<K> {
    burst: u32,
    per_second: u32,
    /// What is left, in thousandths, and when that was.
    buckets: Mutex<HashMap<K, (i64, i64)>>,
}

impl<K: Eq + Hash> Limiter<K> {
    /// So much at once, and so much each second after that.
    pub(super) fn new(burst: u32, per_second: u32) -> Self {
        Self { burst, per_second, buckets: Mutex::default() }
    }

    /// Takes one, if there is one left.
    pub(super) fn allows(&self, who: K, now_ms: i64) -> bool {
        let full = i64::from(self.burst) * 1_000;
        let filled = |(left, at): (i64, i64)| {
            let more = now_ms.saturating_sub(at).max(0).saturating_mul(i64::from(self.per_second));
            left.saturating_add(more).min(full)
        };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MOST && !buckets.contains_key(&who) {
            buckets.retain(|_, bucket| filled(*bucket) < full);
            if buckets.len() >= MOST {
                return false;
            }
        }
        let bucket = buckets.entry(who).or_insert((full, now_ms));
        let left = filled(*bucket);
        *bucket = (if left >= 1_000 { left - 1_000 } else { left }, now_ms);
        left >= 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_taken_and_then_so_many_a_second() {
        let limiter = Limiter::new(3, 2);
        let taken = |now_ms| (0..10).filter(|_| limiter.allows("a", now_ms)).count();
        assert_eq!((taken(0), taken(0), taken(500), taken(1_500), taken(3_600_000)), (3, 0, 1, 2, 3));
        assert!(limiter.allows("b", 0), "another one's bucket");
        assert_eq!(taken(0), 0, "a clock that goes back fills nothing");
    }
}
