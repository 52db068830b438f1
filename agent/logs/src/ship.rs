//! Batches become requests, and requests become receipts.
//!
//! Every log stream has a lane. A lane that fails waits by itself: it holds no worker, and no other lane waits for it.
//! What all lanes share is the pace, because the service counts requests per account: one limiter slows down on the
//! first throttled reply and recovers slowly.

mod api;
mod attempt;
mod limiter;
mod sdk;

pub use api::{Failure, FailureKind, LogsApi, Rejected};
pub use sdk::{Deadlines, SdkLogs};

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::batch::{Claim, Sealed};
use crate::ledger::{Count, Reason};
use crate::settings::NewGroups;
use crate::{Target, TargetNo};
use attempt::{Attempted, Creation, Work};
use limiter::Limiter;

/// Requests of one stream that may be under way at once. Two keep the connection busy while the next batch is made.
pub(crate) const LANE_REQUESTS: usize = 2;

/// Requests of all streams that may be under way at once.
const REQUESTS: usize = 16;

/// First wait after a failure, doubled with each further one.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// Longest wait after failures.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// While a lane fails, it says so again after this long.
const REMIND: Duration = Duration::from_secs(300);

/// What the pipeline asks of this stage.
#[derive(Debug)]
pub(crate) enum Command {
    /// Deliver a batch. The number of batches on their way is bounded by who sends them.
    Ship(Arc<Target>, Box<Sealed>),
    /// Memory is short: give back what waits for a stream that fails.
    Relieve,
}

/// What this stage tells the pipeline.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// A batch is settled.
    Settled(Receipt),
    /// A batch was given back, undelivered: its lines have to be read again, not before `again_at`.
    Returned { target: TargetNo, claims: Vec<Claim>, memory: usize, again_at: Instant },
    /// A stream fails, or works again (`None`).
    Trouble { target: TargetNo, trouble: Option<Trouble> },
}

/// Why nothing is delivered to a stream at present.
#[derive(Debug, Clone)]
pub(crate) struct Trouble {
    pub(crate) since: Instant,
    pub(crate) failures: u32,
    pub(crate) message: String,
}

/// Proof of what became of a batch. Only this stage makes receipts, and only receipts move checkpoints.
#[derive(Debug)]
pub(crate) struct Receipt {
    pub(crate) target: TargetNo,
    pub(crate) claims: Vec<Claim>,
    /// Events of a claim (by index) that were not delivered, and why.
    pub(crate) lost: Vec<(usize, Reason, Count)>,
    pub(crate) quarantined: Vec<Quarantined>,
    /// Memory that is free again.
    pub(crate) memory: usize,
    /// Bytes of the file and events that the batch stood for.
    pub(crate) size: Count,
    /// Bytes of the request's body.
    pub(crate) wire_bytes: u64,
}

/// An event that the service refused by itself.
#[derive(Debug, Clone)]
pub(crate) struct Quarantined {
    pub(crate) text: bytes::Bytes,
    pub(crate) why: String,
}

/// One log stream's work.
#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<Work>,
    under_way: usize,
    failures: u32,
    failing_since: Option<Instant>,
    said_at: Option<Instant>,
    not_before: Option<Instant>,
    served_at: Option<Instant>,
    /// Tries in a row that refused everything: kept when a batch is given back, so that its lines do not start over.
    refused_rounds: u32,
}

impl Lane {
    /// Whether another request may start now, as far as this lane is concerned.
    fn may_start(&self, now: Instant) -> bool {
        // A lane that failed tries one request until it works again.
        let allowed = if self.failures > 0 { 1 } else { LANE_REQUESTS };
        !self.waiting.is_empty() && self.under_way < allowed && self.not_before.is_none_or(|t| t <= now)
    }
}

struct Shipper<A> {
    api: Arc<A>,
    creation: Arc<Creation>,
    lanes: HashMap<TargetNo, (Arc<Target>, Lane)>,
    limiter: Limiter,
    attempts: JoinSet<Attempted>,
    outcomes: UnboundedSender<Outcome>,
}

/// Runs until the other side closes the commands; requests under way are then dropped.
pub(crate) async fn run<A: LogsApi>(
    api: A,
    new_groups: NewGroups,
    mut commands: UnboundedReceiver<Command>,
    outcomes: UnboundedSender<Outcome>,
    beat: impl Fn() + Send,
) {
    let mut shipper = Shipper {
        api: Arc::new(api),
        creation: Arc::new(Creation::new(new_groups)),
        lanes: HashMap::new(),
        limiter: Limiter::new(Instant::now()),
        attempts: JoinSet::new(),
        outcomes,
    };
    loop {
        beat();
        let wake = shipper.start_requests();
        tokio::select! {
            command = commands.recv() => match command {
                Some(Command::Ship(target, sealed)) => shipper.accept(target, *sealed),
                Some(Command::Relieve) => shipper.relieve(),
                None => return,
            },
            Some(attempted) = shipper.attempts.join_next() => match attempted {
                Ok(attempted) => shipper.finish(attempted),
                Err(error) => {
                    // A defect. Its batch is lost to this process, so this stage ends: health turns red, the watchdog
                    // restarts the agent, and the lines are read again.
                    tracing::error!(%error, "A request ended abnormally; shipping ends.");
                    return;
                }
            },
            () = tokio::time::sleep_until(wake) => {}
        }
    }
}

impl<A: LogsApi> Shipper<A> {
    fn accept(&mut self, target: Arc<Target>, sealed: Sealed) {
        let fresh = || (target, Lane { served_at: Some(Instant::now()), ..Lane::default() });
        let (_, lane) = self.lanes.entry(sealed.target).or_insert_with(fresh);
        lane.waiting.push_back(Work::new(sealed));
    }

    /// Starts what may start. Returns when to look again if nothing happens before.
    fn start_requests(&mut self) -> Instant {
        let now = Instant::now();
        // The longest sleep only keeps the beat going: every event wakes the loop anyway.
        let mut wake = now + Duration::from_secs(5);
        // Who waits longest comes first: at a slow pace, a busy stream must not starve the others.
        let mut order: Vec<_> = self.lanes.iter().map(|(n, (_, lane))| (lane.served_at, *n)).collect();
        order.sort_unstable();
        for (_, number) in order {
            let Some((target, lane)) = self.lanes.get_mut(&number) else { continue };
            while lane.may_start(now) && self.attempts.len() < REQUESTS {
                let start = self.limiter.next_start(now);
                if start > now {
                    wake = wake.min(start);
                    break;
                }
                let Some(mut work) = lane.waiting.pop_front() else { break };
                work.rounds = work.rounds.max(lane.refused_rounds);
                self.limiter.started(now);
                lane.under_way += 1;
                lane.served_at = Some(now);
                let (api, creation, target) = (self.api.clone(), self.creation.clone(), target.clone());
                self.attempts.spawn(async move { attempt::run(api, &creation, target, work).await });
            }
            if let Some(time) = lane.not_before.filter(|t| *t > now && !lane.waiting.is_empty()) {
                wake = wake.min(time);
            }
        }
        wake
    }

    fn finish(&mut self, attempted: Attempted) {
        let now = Instant::now();
        let number = attempted.work.sealed.target;
        let Some((target, lane)) = self.lanes.get_mut(&number) else { return };
        lane.under_way = lane.under_way.saturating_sub(1);
        match attempted.failure {
            None => {
                self.limiter.accepted();
                if lane.failures > 0 {
                    let seconds = lane.failing_since.map_or(0, |s| now.duration_since(s).as_secs());
                    tracing::info!(group = target.group, stream = target.stream, seconds, "Delivery works again.");
                    self.tell(Outcome::Trouble { target: number, trouble: None });
                }
                let (_, lane) = self.lanes.get_mut(&number).expect("looked up above");
                (lane.failures, lane.failing_since, lane.said_at, lane.not_before) = (0, None, None, None);
                lane.refused_rounds = 0;
                if lane.waiting.is_empty() && lane.under_way == 0 {
                    // It comes back with its next batch; streams of pods that are gone do not pile up.
                    self.lanes.remove(&number);
                }
                self.tell(Outcome::Settled(attempted.work.receipt()));
            }
            Some(failure) => {
                // Creating has a quota of its own: its throttling is that lane's matter.
                if failure.kind == FailureKind::Throttled && failure.operation == attempt::PUT {
                    self.limiter.throttled(now);
                }
                if failure.kind == FailureKind::Credentials {
                    self.api.credentials_refused();
                }
                lane.refused_rounds = attempted.work.rounds;
                lane.waiting.push_front(attempted.work);
                lane.failures = lane.failures.saturating_add(1);
                lane.not_before = Some(now + wait(lane.failures));
                let since = *lane.failing_since.get_or_insert(now);
                if lane.said_at.is_none_or(|said| now.duration_since(said) >= REMIND) {
                    lane.said_at = Some(now);
                    tracing::warn!(
                        group = target.group, stream = target.stream, failures = lane.failures, error = %failure,
                        "Delivery fails. Lines stay in their files and are tried again."
                    );
                }
                let trouble = Trouble { since, failures: lane.failures, message: failure.to_string() };
                self.tell(Outcome::Trouble { target: number, trouble: Some(trouble) });
            }
        }
    }

    /// Gives back everything that waits in lanes that fail and have no request under way.
    fn relieve(&mut self) {
        let now = Instant::now();
        let mut returned = Vec::new();
        for (number, (_, lane)) in &mut self.lanes {
            if lane.failures == 0 || lane.under_way > 0 {
                continue;
            }
            let again_at = lane.not_before.unwrap_or(now);
            // What is half done stays: parts of it were accepted.
            let (half_done, whole): (VecDeque<_>, VecDeque<_>) = lane.waiting.drain(..).partition(Work::is_begun);
            lane.waiting = half_done;
            returned.extend(whole.into_iter().map(|work| Outcome::Returned {
                target: *number,
                memory: work.sealed.memory(),
                claims: work.sealed.claims,
                again_at,
            }));
        }
        for outcome in returned {
            self.tell(outcome);
        }
    }

    fn tell(&self, outcome: Outcome) {
        // The pipeline is gone only when the process ends.
        drop(self.outcomes.send(outcome));
    }
}

/// How long to wait after the n-th failure in a row: doubling, with jitter so that a fleet does not come back at once.
fn wait(failures: u32) -> Duration {
    let longest = FIRST_WAIT.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST_WAIT);
    longest.mul_f64(fastrand::f64().mul_add(0.5, 0.5))
}

#[cfg(test)]
mod tests;
