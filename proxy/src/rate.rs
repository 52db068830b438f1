//! How much one address may ask: a bucket of requests for each, filled at an even pace.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Addresses that are remembered. Beyond that all buckets begin anew, full.
const MOST: usize = 4_096;

/// One bucket for each address.
#[derive(Debug)]
pub(crate) struct Rates {
    per_second: f64,
    buckets: Mutex<HashMap<IpAddr, Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Rates {
    /// `per_second` on average, and twice that at once; 0 is no bound.
    pub(crate) fn new(per_second: u32) -> Self {
        Self { per_second: f64::from(per_second), buckets: Mutex::default() }
    }

    /// Whether one more request of this address is answered.
    pub(crate) fn admit(&self, address: IpAddr, now: Instant) -> bool {
        if self.per_second == 0.0 {
            return true;
        }
        let most = self.per_second * 2.0;
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MOST {
            let full = Duration::from_secs(2);
            buckets.retain(|_, bucket| now.duration_since(bucket.at) < full);
            if buckets.len() >= MOST {
                buckets.clear();
            }
        }
        let bucket = buckets.entry(address).or_insert(Bucket { left: most, at: now });
        let filled = now.saturating_duration_since(bucket.at).as_secs_f64() * self.per_second;
        *bucket = Bucket { left: (bucket.left + filled).min(most), at: now };
        let admitted = bucket.left >= 1.0;
        if admitted {
            bucket.left -= 1.0;
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_address_gets_its_pace_and_no_other_suffers() {
        let rates = Rates::new(10);
        let (one, two): (IpAddr, IpAddr) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let begun = Instant::now();
        let admitted = |address, seconds: u64| {
            let now = begun + Duration::from_secs(seconds);
            (0..1_000).filter(|_| rates.admit(address, now)).count()
        };
        assert_eq!(admitted(one, 0), 20);
        assert_eq!(admitted(two, 0), 20);
        assert_eq!(admitted(one, 1), 10);
        assert_eq!(admitted(one, 3_600), 20);
        assert!((0..1_000).all(|_| Rates::new(0).admit(one, begun)));
    }
}
