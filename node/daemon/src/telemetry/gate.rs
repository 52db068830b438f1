//! Say it once, then seldom.

use std::time::Duration;
use tokio::time::Instant;

/// Lets the first of a kind of message through, and after that at most one every so often, counting the rest. One gate
/// per kind of message; a message that names what failed wants one gate per thing that can fail, within a bound.
#[derive(Debug, Clone)]
pub struct Gate {
    every: Duration,
    opens: Option<Instant>,
    suppressed: u64,
}

impl Gate {
    /// A gate that lets the first through.
    #[must_use]
    pub fn new(every: Duration) -> Self {
        Self { every, opens: None, suppressed: 0 }
    }

    /// Whether to speak at `now`; if so, how many were suppressed since the last time.
    #[must_use]
    pub fn allow(&mut self, now: Instant) -> Option<u64> {
        if self.opens.is_some_and(|opens| now < opens) {
            self.suppressed = self.suppressed.saturating_add(1);
            return None;
        }
        self.opens = now.checked_add(self.every);
        Some(std::mem::take(&mut self.suppressed))
    }

    /// Forgets the past, so that the next is let through: call it when what failed works again.
    pub fn reset(&mut self) {
        self.opens = None;
        self.suppressed = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn speaks_once_and_then_at_most_once_in_each_interval() {
        let mut gate = Gate::new(Duration::from_secs(60));
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(gate.allow(at(0)), Some(0));
        assert_eq!(gate.allow(at(1)), None);
        assert_eq!(gate.allow(at(59)), None);
        assert_eq!(gate.allow(at(60)), Some(2), "what was suppressed is told");
        assert_eq!(gate.allow(at(119)), None);
        assert_eq!(gate.allow(at(500)), Some(1));
        gate.reset();
        assert_eq!(gate.allow(at(501)), Some(0));
    }
}
