//! Pure: when the next beat is made, and when the next try is.
//!
//! Nodes must not speak in step: not when they were started together, and not when the safeguard comes back.

use std::time::Duration;

use tokio::time::Instant;

/// After a change of posture, between two beats.
const EARLY: Duration = Duration::from_secs(5);
/// Between two beats that waited.
const BACKFILL: Duration = Duration::from_millis(250);
/// After the first failure; doubled with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// The longest pause that nobody asked for. A node should not be missing for long after the safeguard is back.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// The longest pause that a reply may ask for.
pub(crate) const MOST_ASKED: Duration = Duration::from_secs(3_600);
/// Part of the interval by which a beat may come before its time, in percent.
const JITTER: u32 = 10;

/// The two alarms.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    next_beat: Instant,
    last_beat: Option<Instant>,
    next_try: Instant,
    failures: u32,
}

impl Schedule {
    /// The first beat is made at once.
    pub(crate) fn new(now: Instant) -> Self {
        Self { next_beat: now, last_beat: None, next_try: now, failures: 0 }
    }

    pub(crate) fn is_due(&self, now: Instant) -> bool {
        now >= self.next_beat
    }

    pub(crate) fn may_try(&self, now: Instant) -> bool {
        now >= self.next_try
    }

    pub(crate) fn next_try(&self) -> Instant {
        self.next_try
    }

    /// When something is to be done next, if beats wait.
    pub(crate) fn next(&self, waiting: bool) -> Instant {
        if waiting { self.next_beat.min(self.next_try) } else { self.next_beat }
    }

    /// A beat was made. `random` is from 0 to 99.
    pub(crate) fn made(&mut self, now: Instant, interval: Duration, random: u32) {
        self.last_beat = Some(now);
        self.next_beat = now + interval - interval * (random % 100) / 100 * JITTER / 100;
    }

    /// The safeguard asks for this interval: the next beat does not wait for the end of a longer one.
    pub(crate) fn at_the_latest(&mut self, interval: Duration) {
        if let Some(last) = self.last_beat {
            self.next_beat = self.next_beat.min(last + interval);
        }
    }

    /// The posture changed: the next beat is made soon.
    pub(crate) fn hurry(&mut self, now: Instant) {
        let soon = self.last_beat.map_or(now, |last| last + EARLY);
        self.next_beat = self.next_beat.min(soon.max(now));
    }

    /// A try succeeded. The next beat that waits is sent a moment later.
    pub(crate) fn succeeded(&mut self, now: Instant) {
        (self.failures, self.next_try) = (0, now + BACKFILL);
    }

    /// A try failed. The next is made after a pause that grows, of which half is random, and not before `asked`.
    pub(crate) fn failed(&mut self, now: Instant, asked: Duration, random: u32) {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(10)).min(LONGEST_PAUSE);
        let asked = asked.min(MOST_ASKED);
        // Who was asked to wait comes some time after that, not all at once.
        let pause = asked + pause / 2 + pause * (random % 100) / 200;
        self.failures = self.failures.saturating_add(1);
        self.next_try = now + pause;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn beats_come_a_little_before_their_time_and_never_in_step() {
        let now = Instant::now();
        let mut schedule = Schedule::new(now);
        assert!(schedule.is_due(now));
        for (random, after) in [(0, 60_000), (50, 57_000), (99, 54_060)] {
            schedule.made(now, MINUTE, random);
            assert_eq!(schedule.next(false) - now, Duration::from_millis(after));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_shorter_interval_counts_from_the_last_beat() {
        let now = Instant::now();
        let mut schedule = Schedule::new(now);
        schedule.made(now, MINUTE, 0);
        schedule.at_the_latest(Duration::from_secs(5));
        assert_eq!(schedule.next(false), now + Duration::from_secs(5));
        schedule.at_the_latest(MINUTE);
        assert_eq!(schedule.next(false), now + Duration::from_secs(5), "a longer one begins with the next beat");
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_told_soon_and_a_flapping_node_does_not_flood() {
        let now = Instant::now();
        let mut schedule = Schedule::new(now);
        schedule.made(now, MINUTE, 0);
        schedule.hurry(now + Duration::from_secs(1));
        assert_eq!(schedule.next(false), now + EARLY);
        schedule.made(now, MINUTE, 0);
        schedule.hurry(now + Duration::from_secs(30));
        assert_eq!(schedule.next(false), now + Duration::from_secs(30));
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_to_a_minute_and_obey_the_safeguard() {
        let now = Instant::now();
        let mut schedule = Schedule::new(now);
        let mut pauses = Vec::new();
        for _ in 0..8 {
            schedule.failed(now, Duration::ZERO, 0);
            pauses.push((schedule.next_try() - now).as_secs());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
        schedule.failed(now, Duration::from_secs(600), 99);
        let pause = (schedule.next_try() - now).as_secs();
        assert!((630..=660).contains(&pause), "{pause}");
        schedule.failed(now, Duration::MAX, 0);
        assert!(schedule.next_try() - now <= MOST_ASKED + MINUTE, "a reply cannot silence a node for good");
        schedule.succeeded(now);
        assert_eq!((schedule.failures, schedule.next_try()), (0, now + BACKFILL));
    }
}
