//! What is counted, and how Prometheus reads it.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Credentials were handed out.
    Credentials,
    /// The name of the pod's role.
    Roles,
    /// A token was made.
    Token,
    /// A harmless path was fetched from the node's metadata service.
    Forwarded,
    /// There is no such path, or it is the node's own.
    NotFound,
    /// The pod names no role.
    NoRole,
    /// The pod may not have its role.
    Refused,
    /// Nobody knows who asks.
    Unidentified,
    /// IMDSv2 is required, and there was no token.
    NoToken,
    /// The token was another pod's, or too old.
    BadToken,
    /// More requests than one pod may make.
    TooMany,
    /// The request itself was wrong: method, host, headers, path.
    BadRequest,
    /// STS, or the node's metadata service, did not give what was needed.
    Failed,
}

impl Outcome {
    const ALL: [(Self, &'static str); 13] = [
        (Self::Credentials, "credentials"),
        (Self::Roles, "roles"),
        (Self::Token, "token"),
        (Self::Forwarded, "forwarded"),
        (Self::NotFound, "not_found"),
        (Self::NoRole, "no_role"),
        (Self::Refused, "refused"),
        (Self::Unidentified, "unidentified"),
        (Self::NoToken, "no_token"),
        (Self::BadToken, "bad_token"),
        (Self::TooMany, "too_many"),
        (Self::BadRequest, "bad_request"),
        (Self::Failed, "failed"),
    ];
}

/// Requests by how they ended.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    counts: [AtomicU64; Outcome::ALL.len()],
}

impl Tally {
    pub(crate) fn count(&self, outcome: Outcome) {
        if let Some(count) = self.counts.get(outcome as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn of(&self, outcome: Outcome) -> u64 {
        self.counts.get(outcome as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

/// Everything that is shown, at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown<'a> {
    pub(crate) tally: &'a Tally,
    pub(crate) connections: crate::connections::Counts,
    pub(crate) sessions: crate::assume::Counts,
    pub(crate) pods: usize,
    pub(crate) host_network_pods: usize,
    pub(crate) watch_silent_seconds: Option<f64>,
    pub(crate) ready: bool,
    /// `None` if nobody has checked of late.
    pub(crate) redirect_ok: Option<bool>,
}

/// Prometheus text format 0.0.4. No label holds anything that somebody else wrote.
pub(crate) fn encode(shown: &Shown<'_>) -> String {
    let mut text = String::with_capacity(4_096);
    let mut metric = |name: &str, kind: &str, help: &str, samples: &[(String, f64)]| {
        let written = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        debug_assert!(written.is_ok(), "writing to a String does not fail");
        for (labels, value) in samples {
            let written = writeln!(text, "{name}{labels} {value}");
            debug_assert!(written.is_ok(), "writing to a String does not fail");
        }
    };
    #[expect(clippy::cast_precision_loss, reason = "counts that a float holds exactly for centuries")]
    let number = |value: u64| value as f64;
    let whole = |value: usize| number(u64::try_from(value).unwrap_or(u64::MAX));
    let one = |value: f64| [(String::new(), value)];
    let outcomes: Vec<_> = Outcome::ALL
        .iter()
        .map(|(outcome, name)| (format!("{{outcome=\"{name}\"}}"), number(shown.tally.of(*outcome))))
        .collect();
    metric("safeguard_proxy_requests_total", "counter", "Requests of pods, by how they ended.", &outcomes);
    metric("safeguard_proxy_connections", "gauge", "Open connections of pods.", &one(whole(shown.connections.open)));
    metric(
        "safeguard_proxy_connections_evicted_total",
        "counter",
        "Idle connections that were closed to make room.",
        &one(number(shown.connections.evicted)),
    );
    metric(
        "safeguard_proxy_connections_refused_total",
        "counter",
        "Connections for which there was no room.",
        &one(number(shown.connections.refused)),
    );
    metric("safeguard_proxy_sessions", "gauge", "Sessions that can be served.", &one(whole(shown.sessions.sessions)));
    metric(
        "safeguard_proxy_sessions_failing",
        "gauge",
        "Sessions that STS refused or did not give when it was asked last.",
        &one(whole(shown.sessions.failing)),
    );
    if let Some(left) = shown.sessions.least_left_ms {
        let seconds = number(u64::try_from(left.max(0)).unwrap_or(0)) / 1_000.0;
        let help = "Life left of the session that ends first. Below 1800 STS has been failing for a while.";
        metric("safeguard_proxy_session_least_left_seconds", "gauge", help, &one(seconds));
    }
    metric("safeguard_proxy_pods", "gauge", "Pods of this node that Kubernetes tells of.", &one(whole(shown.pods)));
    metric(
        "safeguard_proxy_host_network_pods",
        "gauge",
        "Pods on the node's network: they keep the node's access.",
        &one(whole(shown.host_network_pods)),
    );
    if let Some(seconds) = shown.watch_silent_seconds {
        let help = "Since the Kubernetes API last gave a sign of life.";
        metric("safeguard_proxy_watch_silent_seconds", "gauge", help, &one(seconds));
    }
    metric(
        "safeguard_proxy_ready",
        "gauge",
        "1 if pods are answered as they should be.",
        &one(f64::from(u8::from(shown.ready))),
    );
    if let Some(ok) = shown.redirect_ok {
        let help = "1 if the last check found the redirect whole. Missing: nobody has checked of late.";
        metric("safeguard_proxy_redirect_ok", "gauge", help, &one(f64::from(u8::from(ok))));
    }
    text
}
