//! Healthy means progress, not that a process exists.

use std::time::Duration;

use safeguard_checks::continuous::Checks;
use safeguard_heartbeat::Heartbeat;
use safeguard_logs::Logs;
use serde::{Deserialize, Serialize};

/// The rooms' loops go round several times a minute even when there is nothing to do, or say how long they mean to wait; silence for
/// this long means that one is stuck.
pub const MAX_SILENCE: Duration = Duration::from_secs(30);

/// Whether the agent makes progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Whether it does: if not, the watchdog of systemd or the kubelet starts it again.
    pub healthy: bool,
    /// What does not, in sentences; also what a restart would not mend.
    pub reasons: Vec<String>,
}

impl Health {
    pub(crate) fn of(logs: Option<&Logs>, checks: Option<&Checks>, heartbeat: Option<&Heartbeat>) -> Self {
        let progress = logs.map(Logs::health);
        let (reading, shipping) = progress.map_or_else(Default::default, |p| (p.reading, p.shipping));
        let beating = heartbeat.map(Heartbeat::silence).unwrap_or_default();
        Self::judge(reading, shipping, checks.map(Checks::silence).unwrap_or_default(), beating)
    }

    fn judge(reading: Duration, shipping: Duration, checking: Duration, beating: Duration) -> Self {
        let stuck = |what: &str, silence: Duration| {
            let seconds = silence.as_secs();
            (silence >= MAX_SILENCE).then(|| format!("{what} has made no progress for {seconds} s"))
        };
        let reading = stuck("reading log files (a disk or file system that does not answer?)", reading);
        let shipping = stuck("shipping to CloudWatch Logs", shipping);
        let checking = stuck("looking at the host (a disk or file system that does not answer?)", checking);
        let beating = stuck("the heartbeat (a disk that does not answer?)", beating);
        // Logs have to flow. A look at the host or a heartbeat that hangs is told, and shows by its age; to be started again would
        // not mend the disk it waits for, and would stop the logs.
        let healthy = reading.is_none() && shipping.is_none();
        Self { healthy, reasons: [reading, shipping, checking, beating].into_iter().flatten().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_of_any_loop_is_a_reason() {
        let (short, long) = (Duration::from_secs(29), Duration::from_secs(31));
        assert!(Health::judge(short, short, short, short).healthy);
        let health = Health::judge(long, short, short, short);
        assert!(!health.healthy && health.reasons[0].contains("reading") && health.reasons[0].contains("31 s"));
        assert!(Health::judge(short, long, short, short).reasons[0].contains("shipping"));
        assert_eq!(Health::judge(long, long, long, long).reasons.len(), 4);
        let checking = Health::judge(short, short, long, long);
        assert!(
            checking.healthy && checking.reasons[0].contains("looking at the host"),
            "told, and no reason to be killed"
        );
    }
}
