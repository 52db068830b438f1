//! How fast requests may start: as fast as they come until the service throttles, then half of that and slowly up again.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Requests a second that a node never exceeds: 1 in 50 of what an account may make, see
/// [`crate::limits::ACCOUNT_PUTS_PER_SECOND`].
const FASTEST: f64 = crate::limits::ACCOUNT_PUTS_PER_SECOND as f64 / 50.0;

/// Requests a second that it never falls below: what each of 5,000 nodes may have of the account's quota.
const SLOWEST: f64 = crate::limits::ACCOUNT_PUTS_PER_SECOND as f64 / 5_000.0;

/// What one accepted request adds, in requests a second.
const STEP: f64 = 0.5;

/// Replies to requests that were under way when the pace was cut say nothing new.
const CUT_AT_MOST_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Limiter {
    rate: f64,
    next: Instant,
    last_cut: Option<Instant>,
    recent: VecDeque<Instant>,
}

impl Limiter {
    pub(super) fn new(now: Instant) -> Self {
        Self { rate: FASTEST, next: now, last_cut: None, recent: VecDeque::new() }
    }

    /// When the next request may start.
    pub(super) fn next_start(&self, now: Instant) -> Instant {
        self.next.max(now)
    }

    /// A request starts.
    pub(super) fn started(&mut self, now: Instant) {
        self.recent.push_back(now);
        while self.recent.front().is_some_and(|t| now.duration_since(*t) > Duration::from_secs(1)) {
            self.recent.pop_front();
        }
        // A short burst is fine while nobody complains; after a cut the pace is even.
        let slack = if self.last_cut.is_none() { Duration::from_millis(200) } else { Duration::ZERO };
        let earliest = now.checked_sub(slack).unwrap_or(now);
        self.next = self.next.max(earliest) + Duration::from_secs_f64(1.0 / self.rate);
    }

    /// A request was accepted.
    pub(super) fn accepted(&mut self) {
        self.rate = (self.rate + STEP).min(FASTEST);
        if self.rate >= FASTEST {
            self.last_cut = None;
        }
    }

    /// A request was throttled.
    pub(super) fn throttled(&mut self, now: Instant) {
        if self.last_cut.is_some_and(|cut| now.duration_since(cut) < CUT_AT_MOST_EVERY) {
            return;
        }
        self.last_cut = Some(now);
        let seen = u32::try_from(self.recent.len().max(1)).map_or(FASTEST, f64::from);
        self.rate = (self.rate.min(seen) / 2.0).max(SLOWEST);
        self.next = now + Duration::from_secs_f64(1.0 / self.rate);
    }

    #[cfg(test)]
    pub(super) fn rate(&self) -> f64 {
        self.rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// fluent/fluent-bit#4293, #1938: one throttled reply slows all requests down, and accepted ones bring the pace back.
    #[tokio::test(start_paused = true)]
    async fn one_throttled_reply_halves_the_pace_and_accepted_ones_restore_it() {
        let start = Instant::now();
        let mut limiter = Limiter::new(start);
        for i in 0..20 {
            limiter.started(start + Duration::from_millis(i * 50));
        }
        let now = start + Duration::from_secs(1);
        limiter.throttled(now);
        let cut = limiter.rate();
        assert!((9.0..=11.0).contains(&cut), "half of the 20 a second that were sent: {cut}");
        limiter.throttled(now + Duration::from_millis(10));
        assert!((limiter.rate() - cut).abs() < 1e-9, "replies of the same burst count once");
        assert!(limiter.next_start(now) >= now + Duration::from_millis(90));
        for _ in 0..1000 {
            limiter.accepted();
        }
        assert!((limiter.rate() - FASTEST).abs() < 1e-9);
        for i in 0..100 {
            limiter.throttled(now + Duration::from_secs(i));
        }
        assert!(limiter.rate() >= SLOWEST, "it never stops altogether");
    }
}
