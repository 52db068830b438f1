//! One end of a connection: when it was last used, and whether it may stay though it says nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// How long a connection is held for a node that was told so: two beats and a half, and less than the 350 seconds after which AWS network
/// load balancers and NAT gateways forget it. Application load balancers end it after 60 by default: the node then takes another.
pub(super) const HELD: Duration = Duration::from_secs(150);
/// The header that tells it: as [`HELD`], in seconds.
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const TIMEOUT: HeaderValue = HeaderValue::from_static("timeout=150");

/// Goes with a reply to a node that is known and comes again. Nobody else has a connection held.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ComesAgain;

/// What is known of who is connected.
#[derive(Debug)]
pub(super) struct Caller {
    since: Instant,
    /// Milliseconds after `since`, and one; nothing was asked while it is 0.
    spoke: AtomicU64,
    held: OnceLock<OwnedSemaphorePermit>,
}

impl Caller {
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), spoke: AtomicU64::new(0), held: OnceLock::new() }
    }

    /// A request begins, or its answer.
    pub(super) fn speaks(&self) {
        let millis = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.spoke.store(millis.saturating_add(1), Ordering::Relaxed);
    }

    /// When the last request began, or its answer if there is one.
    pub(super) fn spoke(&self) -> Option<Instant> {
        let millis = self.spoke.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.since + Duration::from_millis(millis))
    }

    /// The connection is one of those that there is room to hold.
    pub(super) fn is_held(&self) -> bool {
        self.held.get().is_some()
    }

    /// Tells a node that its connection is held, if it is, or if there is room for one more.
    pub(super) fn answers<B>(&self, response: &mut Response<B>, room: &Arc<Semaphore>) {
        let comes_again = response.extensions().get::<ComesAgain>().is_some();
        let takes = || Arc::clone(room).try_acquire_owned().is_ok_and(|permit| self.held.set(permit).is_ok());
        if self.is_held() || (comes_again && takes()) {
            response.headers_mut().insert(KEEP_ALIVE, TIMEOUT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_what_is_done() {
        assert_eq!(TIMEOUT, format!("timeout={}", HELD.as_secs()));
    }
}
