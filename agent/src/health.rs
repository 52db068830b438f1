//! Healthy means progress, not that a process exists.

use std::time::Duration;

use safeguard_logs::Logs;
use serde::{Deserialize, Serialize};

/// The log room's loops go round several times a minute even when there is nothing to do; silence for this long means
/// that one is stuck.
pub const MAX_SILENCE: Duration = Duration::from_secs(30);

/// Whether the agent makes progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Whether it does.
    pub healthy: bool,
    /// What does not, in sentences.
    pub reasons: Vec<String>,
}

impl Health {
    pub(crate) fn of(logs: Option<&Logs>) -> Self {
        let Some(progress) = logs.map(Logs::health) else { return Self { healthy: true, reasons: Vec::new() } };
        Self::judge(progress.reading, progress.shipping)
    }

    fn judge(reading: Duration, shipping: Duration) -> Self {
        let stuck = |what: &str, silence: Duration| {
            let seconds = silence.as_secs();
            (silence >= MAX_SILENCE).then(|| format!("{what} has made no progress for {seconds} s"))
        };
        let reading = stuck("reading log files (a disk or file system that does not answer?)", reading);
        let shipping = stuck("shipping to CloudWatch Logs", shipping);
        let reasons: Vec<String> = reading.into_iter().chain(shipping).collect();
        Self { healthy: reasons.is_empty(), reasons }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_of_either_loop_is_a_reason() {
        let (short, long) = (Duration::from_secs(29), Duration::from_secs(31));
        assert!(Health::judge(short, short).healthy);
        let health = Health::judge(long, short);
        assert!(!health.healthy && health.reasons[0].contains("reading") && health.reasons[0].contains("31 s"));
        assert!(Health::judge(short, long).reasons[0].contains("shipping"));
        assert_eq!(Health::judge(long, long).reasons.len(), 2);
    }
}
