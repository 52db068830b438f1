//! Wires the stages: one thread reads, parses and batches; the caller's runtime ships.
//!
//! The thread owns every file, every offset and every account, so nothing of them is locked. It speaks with the rest
//! through channels: batches go out, receipts come back, and people ask for a status. Reading blocks this thread and
//! nothing else.

mod batcher;
mod container;
mod files;
mod handle;
mod journal;
mod plain;
mod read;
mod rescan;
mod save;
mod sink;

pub use handle::{Drained, Health, Logs, StartError};

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use safeguard_host::HostRoot;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::batch::{Claim, Compression};
use crate::checkpoint::{Owner, Records};
use crate::discover::{ContainerDir, LogName, Origin, Place, PlainLog};
use crate::exclude::{Exclusions, PodKey, Told};
use crate::ledger::{Count, Ledger};
use crate::quarantine::Quarantine;
use crate::settings::Settings;
use crate::ship::{Command, Outcome, Receipt};
use crate::status::{ExclusionStatus, Status, TargetStatus};
use crate::tail::{Syntax, Window};
use crate::watch::{News, Watch};
use crate::{ContainerNo, FileNo};
use batcher::Batcher;
use container::Container;
use files::LogFile;
use journal::Journal;
use save::Saver;

/// Version of [`Status`].
const STATUS_VERSION: u32 = 2;

/// Looks at files are lined up on this grid, so that many files cost one wake-up.
const TICK: Duration = Duration::from_millis(50);

/// What others ask of the thread.
#[derive(Debug)]
enum Request {
    Status(oneshot::Sender<Status>),
    Reload(Box<Settings>),
    Exclude(Exclusions),
    Drain { deadline: Instant, done: oneshot::Sender<Drained> },
}

/// When the pipeline has read what there was as it began to end.
#[derive(Debug)]
struct Draining {
    deadline: Instant,
    /// How far each file is read: its size when draining began.
    until: HashMap<FileNo, u64>,
    done: oneshot::Sender<Drained>,
}

#[derive(Debug)]
struct Pipeline {
    settings: Settings,
    host: HostRoot,
    now_ms: fn() -> i64,
    started: Instant,
    containers: HashMap<ContainerNo, Container>,
    by_origin: HashMap<Origin, ContainerNo>,
    journal: Journal,
    /// What pods have left out; `None` if nobody tells.
    told: Option<Told>,
    next_container: ContainerNo,
    next_file: FileNo,
    /// Containers that may have something to read.
    ready: VecDeque<ContainerNo>,
    /// Containers that have something to read and no room for it.
    blocked: HashSet<ContainerNo>,
    next_unblock: Instant,
    batcher: Batcher,
    window: Window,
    scratch: Vec<u8>,
    watch: Watch,
    /// Directories that inotify says have changed.
    dirty: Vec<PathBuf>,
    next_rescan: Instant,
    next_look: Instant,
    saver: Saver,
    quarantine: Quarantine,
    /// Why the directory of all pods cannot be listed, if so.
    missing_pods_dir: Option<String>,
    /// Why directories of plain files cannot be listed, if so.
    listing_errors: Vec<String>,
    /// A copy is being made: the next listing comes soon.
    rescan_soon: bool,
    soon_rescans: u32,
    /// Accounts of containers that are gone.
    past: Ledger,
    requests: u64,
    wire_bytes: u64,
    draining: Option<Draining>,
    beat: Arc<AtomicU64>,
}

/// The channels of the thread.
#[derive(Debug)]
struct Channels {
    requests: UnboundedReceiver<Request>,
    outcomes: UnboundedReceiver<Outcome>,
    news: UnboundedReceiver<News>,
}

impl Pipeline {
    fn new(
        settings: Settings,
        host: HostRoot,
        now_ms: fn() -> i64,
        commands: UnboundedSender<Command>,
        watch: Watch,
        saver: Saver,
        beat: Arc<AtomicU64>,
    ) -> Self {
        let now = Instant::now();
        let compression = settings.gzip_level.map_or(Compression::None, Compression::gzip);
        let batcher = Batcher::new(
            compression,
            settings.memory_budget,
            settings.flush_interval,
            settings.max_puts_per_second,
            commands,
        );
        Self {
            quarantine: Quarantine::new(&settings.state_dir),
            settings,
            host,
            now_ms,
            started: now,
            containers: HashMap::new(),
            by_origin: HashMap::new(),
            journal: Journal::default(),
            told: None,
            next_container: 0,
            next_file: 0,
            ready: VecDeque::new(),
            blocked: HashSet::new(),
            next_unblock: now,
            batcher,
            window: Window::default(),
            scratch: Vec::new(),
            watch,
            dirty: Vec::new(),
            next_rescan: now,
            next_look: now,
            saver,
            missing_pods_dir: None,
            listing_errors: Vec::new(),
            rescan_soon: false,
            soon_rescans: 0,
            past: Ledger::default(),
            requests: 0,
            wire_bytes: 0,
            draining: None,
            beat,
        }
    }

    /// Takes over what the last run knew.
    fn remember(&mut self, records: Records) {
        use std::os::unix::ffi::OsStringExt;
        let now = Instant::now();
        let os = std::ffi::OsString::from_vec;
        for record in records.files {
            let name = os(record.name.clone());
            let (origin, place, syntax) = match record.owner.clone() {
                Owner::Container { pod, container } => {
                    let dir = ContainerDir { pod: os(pod), container: os(container) };
                    (Origin::Container(dir), Place::of(&name), Syntax::Cri)
                }
                Owner::Plain { dir, base } => {
                    let log = PlainLog { dir: os(dir).into(), base: os(base) };
                    let place = log.place(&name);
                    (Origin::Plain(log), place, Syntax::Plain)
                }
            };
            let (Some(number), Some(place)) = (self.container(&origin), place) else { continue };
            let file_number = self.next_file;
            self.next_file += 1;
            let file = LogFile::remembered(file_number, number, &record, place, syntax, now);
            if let Some(container) = self.containers.get_mut(&number) {
                container.files.push(file);
            }
        }
        self.journal.remember(records.journals, &mut self.next_file, now);
    }

    /// The number of a log, known or new. `None` if it is a directory that is not that of a pod's container.
    fn container(&mut self, origin: &Origin) -> Option<ContainerNo> {
        if let Some(number) = self.by_origin.get(origin) {
            return Some(*number);
        }
        let mut container = Container::new(origin.clone(), &self.settings, &mut self.batcher, Instant::now())?;
        self.told.iter().for_each(|told| container.exclude(told));
        let number = self.next_container;
        self.next_container += 1;
        self.containers.insert(number, container);
        self.by_origin.insert(origin.clone(), number);
        Some(number)
    }

    /// Runs until draining is done or nobody listens any more.
    async fn run(mut self, mut channels: Channels) {
        loop {
            self.beat.store(milliseconds(self.started.elapsed()), Ordering::Relaxed);
            if !self.take_in(&mut channels) {
                return;
            }
            let now = Instant::now();
            self.rescan(now);
            self.look(now);
            if now >= self.next_unblock {
                self.next_unblock = now + Duration::from_secs(1);
                self.unblock();
            }
            self.read(now);
            self.read_journal(now);
            self.batcher.flush(now, self.draining.is_some());
            self.relieve(now);
            self.saver.save_if_due(now, self.settings.checkpoint_interval, &self.containers, &self.journal).await;
            if self.is_drained(now) {
                return self.end().await;
            }
            if !self.ready.is_empty() || self.journal.is_ready() {
                // There is more to read: only let the other tasks of this thread have a turn.
                tokio::task::yield_now().await;
                continue;
            }
            let wake = self.wake(now);
            tokio::select! {
                biased;
                request = channels.requests.recv() => match request {
                    Some(request) => self.answer(request),
                    None => return,
                },
                Some(outcome) = channels.outcomes.recv() => self.apply(outcome),
                Some(news) = channels.news.recv() => self.note(news),
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }

    /// Takes what has come in meanwhile, without waiting. `false` when nobody listens any more.
    fn take_in(&mut self, channels: &mut Channels) -> bool {
        while let Ok(outcome) = channels.outcomes.try_recv() {
            self.apply(outcome);
        }
        while let Ok(news) = channels.news.try_recv() {
            self.note(news);
        }
        loop {
            match channels.requests.try_recv() {
                Ok(request) => self.answer(request),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    /// When to go on if nothing comes in.
    fn wake(&self, now: Instant) -> Instant {
        let mut wake = self.next_look.min(self.next_rescan).min(self.journal.next_look());
        if let Some(flush) = self.batcher.next_flush(now) {
            wake = wake.min(flush);
        }
        if let Some(save) = self.saver.next(now, self.settings.checkpoint_interval) {
            wake = wake.min(save);
        }
        for lane in self.batcher.lanes.values() {
            if let Some(again) = lane.paused_until.filter(|t| *t > now) {
                wake = wake.min(again);
            }
        }
        if self.draining.is_some() {
            wake = wake.min(now + TICK);
        }
        wake.max(now + Duration::from_millis(1))
    }

    fn note(&mut self, news: News) {
        match news {
            News::Changed(dir) if !self.dirty.contains(&dir) => self.dirty.push(dir),
            News::Changed(_) => {}
            News::Lost => self.next_rescan = Instant::now(),
        }
    }

    fn answer(&mut self, request: Request) {
        match request {
            // Who asked may have gone away.
            Request::Status(reply) => drop(reply.send(self.status())),
            Request::Reload(settings) => self.reload(*settings),
            Request::Exclude(exclusions) => self.exclude(exclusions),
            Request::Drain { deadline, done } => {
                let now = Instant::now();
                self.next_rescan = now;
                self.rescan(now);
                self.look_at_all(now);
                self.journal.stop_at_what_there_is(now);
                let files = self.containers.values().flat_map(|c| &c.files);
                let until = files.map(|f| (f.number, f.drain_until())).collect();
                self.draining = Some(Draining { deadline, until, done });
            }
        }
    }

    /// Takes over the settings that may change while the agent runs.
    fn reload(&mut self, new: Settings) {
        self.batcher.flush_interval = new.flush_interval;
        self.batcher.puts_per_second = f64::from(new.max_puts_per_second.max(1));
        self.settings = new;
        for container in self.containers.values_mut() {
            container.choose(&self.settings);
            if !container.shipped {
                container.files.iter_mut().for_each(LogFile::close);
            }
        }
        self.journal.forget_units();
        self.next_rescan = Instant::now();
    }

    /// Takes over what pods have left out.
    fn exclude(&mut self, new: Exclusions) {
        let with_files = self.containers.values().filter_map(|c| match &c.name {
            LogName::Container(key) => Some(PodKey::of(key)),
            LogName::File { .. } | LogName::Unit { .. } => None,
        });
        let told = self.told.get_or_insert_default();
        told.tell(new, &with_files.collect(), (self.now_ms)());
        self.containers.values_mut().for_each(|container| container.exclude(told));
    }

    fn apply(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Settled(receipt) => self.settle(receipt),
            Outcome::Returned { target, claims, memory, again_at } => {
                self.batcher.settled(target, memory);
                if let Some(lane) = self.batcher.lanes.get_mut(&target) {
                    lane.paused_until = Some(again_at);
                }
                self.give_back(&claims);
            }
            Outcome::Trouble { target, trouble } => {
                if let Some(lane) = self.batcher.lanes.get_mut(&target) {
                    lane.trouble = trouble;
                    if lane.trouble.is_none() {
                        lane.paused_until = None;
                    }
                }
            }
        }
        // There is room again, or a reason to look for it.
        self.unblock();
    }

    /// Books a receipt: the only way by which bytes become settled as delivered.
    fn settle(&mut self, receipt: Receipt) {
        self.batcher.settled(receipt.target, receipt.memory);
        self.requests += 1;
        self.wire_bytes += receipt.wire_bytes;
        self.saver.settled(receipt.size.bytes);
        if !receipt.quarantined.is_empty() {
            self.keep_in_quarantine(&receipt);
        }
        let mut delivered: Vec<Count> = receipt.claims.iter().map(|c| Count::new(c.events, c.file_bytes)).collect();
        for (index, reason, count) in &receipt.lost {
            let (Some(left), Some(claim)) = (delivered.get_mut(*index), receipt.claims.get(*index)) else { continue };
            left.take(*count);
            self.ledger(claim.container).reason_mut(*reason).add(*count);
        }
        for (claim, delivered) in receipt.claims.iter().zip(delivered) {
            let ledger = self.ledger(claim.container);
            ledger.in_flight.take(Count::new(claim.events, claim.file_bytes));
            ledger.delivered.add(delivered);
            if let Some(file) = self.file(claim.container, claim.file) {
                file.settled.insert_all(&claim.ranges);
            } else {
                self.journal.settle(claim);
            }
        }
    }

    fn keep_in_quarantine(&mut self, receipt: &Receipt) {
        let Some(lane) = self.batcher.lanes.get(&receipt.target) else { return };
        let events = receipt.quarantined.len();
        let why = receipt.quarantined.first().map_or("", |q| &q.why);
        match self.quarantine.keep(&lane.target, &receipt.quarantined, (self.now_ms)()) {
            Ok(()) => tracing::warn!(
                events, group = lane.target.group, error = why, kept = %self.quarantine.path().display(),
                "CloudWatch Logs refuses events by themselves; they are kept aside and the rest goes on."
            ),
            Err(error) => tracing::error!(
                events, group = lane.target.group, why, %error,
                "CloudWatch Logs refuses events by themselves, and they cannot be kept either."
            ),
        }
    }

    /// Lines of batches that were given up for now are read again later.
    fn give_back(&mut self, claims: &[Claim]) {
        for claim in claims {
            let count = Count::new(claim.events, claim.file_bytes);
            let ledger = self.ledger(claim.container);
            ledger.in_flight.take(count);
            ledger.returned.add(count);
            if self.journal.give_back(claim) {
                continue;
            }
            match self.file(claim.container, claim.file).filter(|f| !f.given_up) {
                Some(file) => {
                    file.tail.give_back(&claim.ranges);
                    (file.finished, file.caught_up_at) = (false, 0);
                }
                // Its file is gone for good, so these lines are as well.
                None => self.ledger(claim.container).abandoned_bytes += claim.ranges.len(),
            }
            self.queue(claim.container);
        }
    }

    fn relieve(&mut self, now: Instant) {
        let claims = self.batcher.relieve(now);
        self.give_back(&claims);
    }

    fn ledger(&mut self, container: ContainerNo) -> &mut Ledger {
        match self.containers.get_mut(&container) {
            Some(container) => &mut container.ledger,
            None => &mut self.past,
        }
    }

    fn file(&mut self, container: ContainerNo, file: FileNo) -> Option<&mut LogFile> {
        self.containers.get_mut(&container)?.files.iter_mut().find(|f| f.number == file)
    }

    fn queue(&mut self, number: ContainerNo) {
        if let Some(container) = self.containers.get_mut(&number)
            && !container.queued
        {
            container.queued = true;
            self.ready.push_back(number);
        }
    }

    fn status(&mut self) -> Status {
        let mut logs: Vec<_> = self
            .containers
            .values_mut()
            .filter_map(|c| Some(c.status(&self.batcher.lanes.get(&c.target)?.target)))
            .collect();
        logs.sort_by(|a, b| a.name.cmp(&b.name));
        let excluded = logs.iter().filter(|log| log.excluded_by.is_some()).count();
        let exclusions = self.told.as_ref().map(|told| ExclusionStatus {
            containers: u32::try_from(excluded).unwrap_or(u32::MAX),
            problem: told.problem(),
        });
        let mut total = self.past.clone();
        logs.iter().for_each(|c| total.add(&c.ledger));
        let targets = self.batcher.lanes.values().map(|lane| TargetStatus {
            group: lane.target.group.clone(),
            stream: lane.target.stream.clone(),
            outstanding: u32::try_from(lane.outstanding).unwrap_or(u32::MAX),
            failures: lane.trouble.as_ref().map_or(0, |t| t.failures),
            failing_seconds: lane.trouble.as_ref().map(|t| t.since.elapsed().as_secs()),
            error: lane.trouble.as_ref().map(|t| t.message.clone()),
        });
        Status {
            version: STATUS_VERSION,
            at_ms: (self.now_ms)(),
            behind_bytes: logs.iter().map(|c| c.behind_bytes).sum(),
            targets: targets.collect(),
            logs,
            journal: self.settings.journal.is_some().then(|| self.journal.status()),
            exclusions,
            listing_errors: self.listing_errors.clone(),
            total,
            memory_bytes: self.batcher.memory() as u64,
            memory_budget_bytes: self.settings.memory_budget as u64,
            pinned_bytes: self.containers.values().flat_map(|c| &c.files).map(|f| f.pinned).sum::<u64>()
                + self.journal.pinned(),
            requests: self.requests,
            wire_bytes: self.wire_bytes,
            checkpoint_age_ms: self.saver.age().map(milliseconds),
            checkpoint_error: self.saver.error(),
            started_without_checkpoint: self.saver.load_error(),
            inotify: self.watch.is_live(),
            pods_dir_error: self.missing_pods_dir.clone(),
        }
    }

    /// Whether nothing more can be done about what was there when draining began, or there is no more time.
    fn is_drained(&self, now: Instant) -> bool {
        let Some(draining) = &self.draining else { return false };
        let is_idle = self.batcher.is_idle() && self.ready.is_empty() && self.blocked.is_empty();
        let is_read =
            || self.journal.is_read() && !self.files_to_drain(draining).any(|(f, until)| f.is_to_be_read(until));
        now >= draining.deadline || is_idle && is_read()
    }

    /// Whether all that was there when draining began is settled. Pieces of a line whose end has not come are not: they stay
    /// for the next start.
    fn is_settled(&self, draining: &Draining) -> bool {
        let mut files = self.files_to_drain(draining);
        self.batcher.is_idle() && self.journal.is_read() && files.all(|(f, until)| f.is_settled_until(until))
    }

    /// The files that were there when draining began, and how far they are drained.
    fn files_to_drain<'a>(&'a self, draining: &'a Draining) -> impl Iterator<Item = (&'a LogFile, u64)> {
        let files = self.containers.values().filter(|c| c.shipped).flat_map(|c| &c.files);
        files.filter_map(|f| Some((f, *draining.until.get(&f.number)?)))
    }

    async fn end(mut self) {
        self.saver.save_last(&self.containers, &self.journal).await;
        let status = self.status();
        let Some(draining) = self.draining.take() else { return };
        let complete = self.is_settled(&draining);
        // Who asked may have gone away.
        drop(draining.done.send(Drained { complete, status }));
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
