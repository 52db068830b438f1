//! One try to deliver a batch: put first, create what is missing, and find the event that is to blame for a refusal.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::api::{Failure, FailureKind, LogsApi, Rejected};
use super::{Quarantined, Receipt};
use crate::Target;
use crate::batch::Sealed;
use crate::ledger::{Count, Reason};
use crate::settings::NewGroups;

/// The operation that everything is about.
pub(super) const PUT: &str = "PutLogEvents";

/// A refusal of this many single events, with nothing of the batch accepted, is not about the events. (Where a region
/// still has the old limit of 256 KiB an event, at most 4 events of a batch are refused for it.)
const REFUSALS: usize = 8;

/// How often a batch of which nothing is accepted is tried before its events are held to be to blame.
const ROUNDS: u32 = 3;

/// The same where so many are refused that something else is to blame: a quarter of an hour at least. Then the events go to
/// the quarantine, because whatever is wrong does not pass, and everything behind them waits.
const HOPELESS_ROUNDS: u32 = 64;

/// Between requests for single events when a batch is given up event by event: it is past hurrying, and has no share in
/// the common pace.
const EVENT_BY_EVENT: Duration = Duration::from_millis(50);

/// A batch and how far its delivery is.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) sealed: Sealed,
    /// Events that are not settled, as ranges to send one after the other. One range is the whole batch as it was sealed.
    pending: Vec<Range<usize>>,
    /// Whether the batch was taken apart because the service refused it whole.
    apart: bool,
    accepted: usize,
    lost: Vec<(usize, Reason)>,
    quarantined: Vec<Quarantined>,
    refused: Vec<Range<usize>>,
    why: String,
    /// Tries in a row that refused everything.
    pub(super) rounds: u32,
}

/// A try that ended: without `failure`, the batch is settled.
#[derive(Debug)]
pub(super) struct Attempted {
    pub(super) work: Work,
    pub(super) failure: Option<Failure>,
}

impl Work {
    pub(super) fn new(sealed: Sealed) -> Self {
        let all = 0..sealed.events.len();
        Self {
            sealed,
            pending: vec![all],
            apart: false,
            accepted: 0,
            lost: Vec::new(),
            quarantined: Vec::new(),
            refused: Vec::new(),
            why: String::new(),
            rounds: 0,
        }
    }

    /// Whether a part of it was accepted already.
    pub(super) fn is_begun(&self) -> bool {
        self.accepted > 0 || !self.quarantined.is_empty()
    }

    fn accept(&mut self, range: &Range<usize>, rejected: Rejected) {
        self.accepted += range.len();
        let (mut from, end) = (range.start, range.end);
        let place = |index: usize| (range.start + index).min(end);
        for (index, reason) in [(rejected.too_old_end, Reason::TooOld), (rejected.expired_end, Reason::Expired)] {
            let to = index.map_or(from, place).max(from);
            self.lost.extend((from..to).map(|i| (i, reason)));
            from = to;
        }
        let too_new = rejected.too_new_start.map_or(end, place).max(from);
        self.lost.extend((too_new..end).map(|i| (i, Reason::TooNew)));
    }

    /// The service refused these events together.
    fn refuse(&mut self, range: Range<usize>, failure: &Failure) {
        if !self.apart {
            // Perhaps it is only the compression that is not understood: the same once more without it.
            self.apart = true;
            if self.sealed.gzip {
                self.pending.push(range);
                return;
            }
        }
        if range.len() > 1 {
            let middle = range.start + range.len() / 2;
            // The last one pushed is sent next.
            self.pending.push(middle..range.end);
            self.pending.push(range.start..middle);
        } else {
            self.why.clone_from(&failure.message);
            self.refused.push(range);
        }
    }

    /// What the receipt says once everything is settled.
    fn quarantine_refused(&mut self) {
        for range in std::mem::take(&mut self.refused) {
            for index in range {
                self.lost.push((index, Reason::Quarantined));
                self.quarantined.push(Quarantined { text: self.sealed.event_text(index), why: self.why.clone() });
            }
        }
    }

    pub(super) fn receipt(self) -> Receipt {
        let Sealed { target, events, claims, .. } = &self.sealed;
        let mut lost: HashMap<(usize, &'static str), (Reason, Count)> = HashMap::new();
        for (index, reason) in &self.lost {
            let Some(event) = events.get(*index) else { continue };
            let entry = lost.entry((event.claim as usize, reason.name())).or_insert((*reason, Count::default()));
            entry.1.add(Count::new(1, u64::from(event.file_bytes)));
        }
        let mut size = Count::default();
        for claim in claims {
            size.add(Count::new(claim.events, claim.file_bytes));
        }
        Receipt {
            target: *target,
            lost: lost.into_iter().map(|((claim, _), (reason, count))| (claim, reason, count)).collect(),
            quarantined: self.quarantined,
            memory: self.sealed.memory(),
            size,
            wire_bytes: self.sealed.body.len() as u64,
            claims: self.sealed.claims,
        }
    }
}

/// Sends what is pending of a batch until all of it is settled or a failure stops it.
pub(super) async fn run<A: LogsApi>(
    api: Arc<A>,
    creation: &Creation,
    target: Arc<Target>,
    mut work: Work,
) -> Attempted {
    let mut created = false;
    while let Some(range) = work.pending.pop() {
        if work.refused.len() >= REFUSALS {
            tokio::time::sleep(EVENT_BY_EVENT).await;
        }
        let body = if work.apart { work.sealed.body_of(range.clone()) } else { work.sealed.body.clone() };
        match api.put(body, work.sealed.gzip && !work.apart).await {
            Ok(rejected) => work.accept(&range, rejected),
            Err(failure) if failure.kind == FailureKind::NotFound && !created => {
                work.pending.push(range);
                created = true;
                if let Err(failure) = creation.ensure(&api, &target).await {
                    return Attempted { work, failure: Some(failure) };
                }
            }
            Err(failure) if failure.kind == FailureKind::Invalid => {
                work.refuse(range, &failure);
                let hopeless = work.refused.len() >= REFUSALS && work.rounds < HOPELESS_ROUNDS;
                let all_refused = work.pending.is_empty() && work.rounds < ROUNDS;
                if work.accepted == 0 && (hopeless || all_refused) {
                    // Not one event is accepted: perhaps something else is wrong, and nothing is given up for it yet.
                    let rounds = work.rounds + 1;
                    return Attempted { work: Work { rounds, ..Work::new(work.sealed) }, failure: Some(failure) };
                }
            }
            Err(failure) => {
                work.pending.push(range);
                return Attempted { work, failure: Some(failure) };
            }
        }
    }
    work.quarantine_refused();
    Attempted { work, failure: None }
}

/// Creates groups and streams, each group by one request at a time.
#[derive(Debug)]
pub(super) struct Creation {
    new_groups: NewGroups,
    groups: std::sync::Mutex<HashMap<String, Arc<Mutex<()>>>>,
}

impl Creation {
    pub(super) fn new(new_groups: NewGroups) -> Self {
        Self { new_groups, groups: std::sync::Mutex::default() }
    }

    /// Makes sure that a group and a stream exist.
    async fn ensure<A: LogsApi>(&self, api: &Arc<A>, target: &Target) -> Result<(), Failure> {
        match exists(api.create_stream(&target.group, &target.stream).await) {
            Err(failure) if failure.kind == FailureKind::NotFound => {}
            other => return other,
        }
        if !self.new_groups.create {
            return Err(Failure {
                kind: FailureKind::Denied,
                operation: "CreateLogGroup",
                message: format!(
                    "the log group {} does not exist, and `logs.groups.create` is off; create it, or switch that on",
                    target.group
                ),
            });
        }
        let lock = {
            let mut groups = self.groups.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            groups.entry(target.group.to_string()).or_default().clone()
        };
        let _one_at_a_time = lock.lock().await;
        match api.create_group(&target.group, &self.new_groups).await {
            Ok(()) => {
                tracing::info!(group = target.group, "Created the log group.");
                if let Some(days) = self.new_groups.retention_days {
                    // Neither this batch nor the other streams of the group wait for it.
                    tokio::spawn(set_retention(api.clone(), target.group.clone(), days));
                }
            }
            Err(failure) if failure.kind == FailureKind::AlreadyExists => {}
            Err(failure) => return Err(failure),
        }
        exists(api.create_stream(&target.group, &target.stream).await)
    }
}

/// A group without its retention keeps events for ever: worth a few tries and a word, but never a batch
/// (aws/amazon-cloudwatch-logs-for-fluent-bit#314).
async fn set_retention<A: LogsApi>(api: Arc<A>, group: String, days: u32) {
    for pause in [200, 500, 1_000, 2_000, 0] {
        let Err(failure) = api.set_retention(&group, days).await else { return };
        if pause == 0 || failure.kind == FailureKind::Denied {
            tracing::warn!(
                group, days, error = %failure,
                "Could not set the retention of the new log group; set it by hand with `aws logs put-retention-policy`."
            );
            return;
        }
        tokio::time::sleep(Duration::from_millis(pause).mul_f64(fastrand::f64() + 0.5)).await;
    }
}

fn exists(result: Result<(), Failure>) -> Result<(), Failure> {
    match result {
        Err(failure) if failure.kind == FailureKind::AlreadyExists => Ok(()),
        other => other,
    }
}
