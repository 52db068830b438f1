//! How the proxy stands: whether it lives, and whether pods get from it what they should.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use safeguard_daemon::clock;
use safeguard_pods::Reader;
use serde::Serialize;

use crate::redirect::{Freshness, State};

/// The event loop is expected to turn at least this often.
const LOOP_SILENCE_MS: i64 = 10_000;

/// Whether the process makes progress. Nothing outside of it counts: a restart would not mend that (jtblin/kube2iam#251, #254).
#[derive(Debug, Clone, Serialize)]
pub struct Health {
    /// The event loop turns.
    pub healthy: bool,
    /// Why it is not.
    pub reasons: Vec<String>,
}

/// Whether pods get what they should.
#[derive(Debug, Clone, Serialize)]
pub struct Readiness {
    /// Everything below is as it should be.
    pub ready: bool,
    /// What is not.
    pub reasons: Vec<String>,
    /// Everything was listed once.
    pub synced: bool,
    /// Since the Kubernetes API last gave a sign of life.
    pub watch_silent_seconds: f64,
    /// Whether the last check found the redirect whole; `null` where nobody has checked of late.
    pub redirect_ok: Option<bool>,
}

/// Judges.
#[derive(Debug)]
pub(crate) struct Standing {
    pods: Reader,
    redirect_state: PathBuf,
    stale_after: Duration,
    turned_ms: AtomicI64,
}

impl Standing {
    /// The Kubernetes API may be silent for as long as `stale_after`.
    pub(crate) fn new(pods: Reader, redirect_state: PathBuf, stale_after: Duration) -> Self {
        Self { pods, redirect_state, stale_after, turned_ms: AtomicI64::new(clock::now_ms()) }
    }

    /// The event loop has come round.
    pub(crate) fn turned(&self) {
        self.turned_ms.store(clock::now_ms(), Ordering::Relaxed);
    }

    pub(crate) fn health(&self) -> Health {
        let silent_ms = clock::now_ms() - self.turned_ms.load(Ordering::Relaxed);
        let healthy = silent_ms < LOOP_SILENCE_MS;
        let reason = format!("the event loop has not come round for {} s", silent_ms / 1_000);
        Health { healthy, reasons: if healthy { Vec::new() } else { vec![reason] } }
    }

    /// Whether the redirect was found whole of late, or why nobody knows.
    pub(crate) fn redirect(&self) -> Result<bool, String> {
        let state = State::read(&self.redirect_state).map_err(|error| error.to_string())?;
        match state.freshness(clock::now_ms()) {
            Freshness::Fresh { .. } => Ok(state.ok),
            Freshness::Old { age_ms } => {
                Err(format!("the redirect was last checked {} s ago: is its timer running?", age_ms / 1_000))
            }
        }
    }

    pub(crate) fn readiness(&self) -> Readiness {
        let watch = self.pods.health();
        let redirect = self.redirect();
        let mut reasons = Vec::new();
        if !watch.synced {
            reasons.push("Kubernetes has not told of this node's pods yet".to_owned());
        }
        if watch.silent_for > self.stale_after {
            reasons.push(format!("Kubernetes has been silent for {} s", watch.silent_for.as_secs()));
        }
        if let Some(error) = watch.last_error.filter(|_| !reasons.is_empty()) {
            reasons.push(error.to_string());
        }
        match &redirect {
            Ok(true) => {}
            Ok(false) => reasons.push("the redirect is not whole: see `safeguard-proxy redirect check`".to_owned()),
            Err(error) => reasons.push(error.clone()),
        }
        Readiness {
            ready: reasons.is_empty(),
            reasons,
            synced: watch.synced,
            watch_silent_seconds: watch.silent_for.as_secs_f64(),
            redirect_ok: redirect.ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// jtblin/kube2iam#251, #254: liveness that hung on the metadata service restarted what could not be mended by that.
    #[test]
    fn nothing_outside_of_the_process_makes_it_unhealthy() {
        let (_writer, pods) = safeguard_pods::index();
        let standing = Standing::new(pods, "/nowhere/redirect.json".into(), Duration::from_secs(150));
        let readiness = standing.readiness();
        assert!(!readiness.ready && !readiness.synced && readiness.redirect_ok.is_none(), "{readiness:?}");
        assert!(standing.health().healthy, "{:?}", standing.health());
        // The process itself is another matter.
        standing.turned_ms.fetch_sub(LOOP_SILENCE_MS, Ordering::Relaxed);
        assert!(!standing.health().healthy);
        standing.turned();
        assert!(standing.health().healthy);
    }
}
