//! One session as it is now, and what is being done about it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::{AssumeError, AssumeErrorKind, Session};

/// After a failure nobody asks again for this long, doubled with each further one, and up to half of it more by chance.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Longest pause where STS is away or throttles; and where it refuses: whoever mends a trust policy waits that long.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What went wrong last.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) error: AssumeError,
    /// When, in milliseconds since the epoch.
    pub(crate) at_ms: i64,
    /// In a row.
    pub(crate) times: u32,
    pub(crate) until: Instant,
}

/// A session, there or not.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) session: Option<Arc<Session>>,
    pub(crate) failure: Option<Failure>,
    /// While it is being fetched: to be told when somebody waits for it.
    pub(crate) fetching: Option<Arc<Notify>>,
    /// Counts fetches that ended.
    pub(crate) done: watch::Sender<u64>,
    /// When somebody asked last.
    pub(crate) used: Instant,
}

impl Slot {
    pub(crate) fn new(now: Instant) -> Self {
        Self { session: None, failure: None, fetching: None, done: watch::Sender::new(0), used: now }
    }

    /// Whether to ask STS now.
    pub(crate) fn wants_fetching(&self, now_ms: i64, now: Instant) -> bool {
        let pausing = self.failure.as_ref().is_some_and(|failure| now < failure.until);
        let old = self.session.as_ref().is_none_or(|session| session.is_old(now_ms));
        self.fetching.is_none() && !pausing && old
    }

    pub(crate) fn failed(&mut self, error: AssumeError, now_ms: i64, now: Instant) -> Failure {
        let times = self.failure.as_ref().map_or(0, |failure| failure.times).saturating_add(1);
        // What is refused is refused for a reason that takes somebody a while to mend.
        let first = match error.kind {
            AssumeErrorKind::Denied => FIRST_PAUSE * 5,
            AssumeErrorKind::Unavailable => FIRST_PAUSE,
        };
        let pause = first.saturating_mul(1 << (times - 1).min(10)).min(LONGEST_PAUSE);
        let failure = Failure { error, at_ms: now_ms, times, until: now + pause.mul_f64(1.0 + fastrand::f64() / 2.0) };
        self.failure = Some(failure.clone());
        failure
    }
}
