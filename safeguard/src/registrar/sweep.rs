//! What time alone does: nodes go missing and stale, days end, and what is old is deleted. A little at a time, so that no beat
//! waits long.

use safeguard_protocol::State;
use serde_json::json;

use super::Registrar;
use crate::store::Batch;
use crate::store::tidy::Kept;

const DAY_MS: i64 = 86_400_000;
/// The trend's day is written this often.
const TODAY_MS: i64 = 60_000;
/// Keys whose beats are looked through at a time.
const KEYS: u32 = 200;
/// Between two passes over all keys: whole hours of beats are summed up and deleted, so more often there is nothing to do.
const TIDY_MS: i64 = 3_600_000;
/// Silences that begin within this time are counted together.
const WINDOW_MS: i64 = 600_000;
/// Fewer nodes that go missing are no incident, whatever their share.
const LEAST: usize = 5;

/// How long things are kept, in days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Hours of beats, events, and reports that a newer one replaced.
    pub recent_days: i64,
    /// Changes of state and the signed statements behind them. HIPAA asks for six years (45 CFR 164.316(b)(2)(i)).
    pub evidence_days: i64,
    /// Share of a fleet that may go missing within ten minutes, in percent, before that is an incident of ours or of the network.
    pub brake_percent: usize,
}

impl Default for Retention {
    fn default() -> Self {
        Self { recent_days: 31, evidence_days: 2_192, brake_percent: 20 }
    }
}

/// Where the sweep is.
#[derive(Debug)]
pub(super) struct Sweep {
    retention: Retention,
    today_at_ms: i64,
    tidy_at_ms: i64,
    after_key: Option<i64>,
    incident: bool,
}

impl Sweep {
    pub(super) fn new(retention: Retention) -> Self {
        Self { retention, today_at_ms: 0, tidy_at_ms: 0, after_key: None, incident: false }
    }
}

impl Registrar {
    pub(super) fn sweep(&mut self, batch: &Batch<'_>, now_ms: i64) -> rusqlite::Result<()> {
        let today: String = safeguard_daemon::clock::utc(now_ms).chars().take(10).collect();
        self.excluded = batch.exclusions(&today)?;
        let ids: Vec<i64> = self.fleet.nodes.keys().copied().collect();
        for id in ids {
            self.judge(batch, id, None, now_ms)?;
        }
        self.brake(batch, now_ms)?;
        if now_ms - self.sweep.today_at_ms >= TODAY_MS {
            self.sweep.today_at_ms = now_ms;
            batch.today(&today)?;
        }
        if self.sweep.after_key.is_none() && now_ms - self.sweep.tidy_at_ms >= TIDY_MS {
            (self.sweep.after_key, self.sweep.tidy_at_ms) = (Some(0), now_ms);
        }
        if let Some(after) = self.sweep.after_key {
            let kept = Kept {
                beats_ms: now_ms - 2 * DAY_MS,
                recent_ms: now_ms - self.sweep.retention.recent_days * DAY_MS,
                evidence_ms: now_ms - self.sweep.retention.evidence_days * DAY_MS,
            };
            self.sweep.after_key = batch.tidy(after, KEYS, &kept)?;
        }
        Ok(())
    }

    /// Many that go missing at once are one incident, and more likely ours or the network's than theirs.
    fn brake(&mut self, batch: &Batch<'_>, now_ms: i64) -> rusqlite::Result<()> {
        let counted = self.fleet.nodes.values().filter(|node| node.posture.state != State::Retired);
        let (mut all, mut lately) = (0, 0);
        for node in counted {
            all += 1;
            lately += usize::from(node.posture.state == State::Missing && now_ms - node.posture.since_ms < WINDOW_MS);
        }
        let incident = lately >= LEAST && lately * 100 > all * self.sweep.retention.brake_percent;
        if incident && !self.sweep.incident {
            let detail = json!({ "missing": lately, "nodes": all, "within_s": WINDOW_MS / 1_000 });
            batch.event(None, "incident", &detail, now_ms)?;
            tracing::error!(
                missing = lately,
                nodes = all,
                "Many nodes went missing at once: look at the network and at this server first."
            );
        }
        self.sweep.incident = incident;
        Ok(())
    }
}
