//! The room while the agent runs: evaluates at the start, when a file changes that a fact came from, and every few minutes.
//!
//! **In:** [`Settings`], the host, and a channel of [`Inputs`]. **Out:** the latest [`Snapshot`], and a [`Drift`] for each
//! evaluation that differs from the one before, across restarts too. A thread of its own reads: a disk that does not answer
//! stops nobody else, and shows in [`Checks::silence`].

mod history;
mod watch;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use safeguard_host::HostRoot;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{oneshot, watch as latest};
use tokio::time::{Instant, sleep_until};

use crate::evaluate::{Evaluation, Inputs};
use crate::facts::Facts;
use crate::host::{Host, Phase};
use crate::report::{Change, CoverageDrop, Report};
use crate::rulebook::{Rulebook, Sources};
pub use history::Day;
use history::History;
use watch::Watch;

/// After the first change, others are waited for as long as they come this close to each other: an editor writes a file in several
/// steps, a package manager many files.
const QUIET: Duration = Duration::from_millis(500);

/// But no longer than this, so that a change shows within 5 s.
const MOST_QUIET: Duration = Duration::from_secs(3);

/// What the operator decided, already checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Policies, exceptions, and what the node is for exceptions. Files are read again with each periodic evaluation.
    pub sources: Sources,
    /// How often everything is looked at again.
    pub interval: Duration,
    /// Where results are kept: a directory of this room's own.
    pub state_dir: PathBuf,
}

/// What came of the latest evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The report.
    pub report: Report,
    /// When it was finished: milliseconds since the epoch.
    pub finished_ms: i64,
    /// How long it took, in microseconds.
    pub took_us: u64,
    /// Why it was done.
    pub because: Occasion,
    /// What is wrong with policies, exceptions or the state directory, in sentences.
    pub problems: Vec<String>,
    /// Counts of each day, at most 30, oldest first; the last is today.
    pub days: Vec<Day>,
}

/// Why there was an evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Occasion {
    /// The agent started.
    Start,
    /// A file changed.
    Change,
    /// What is known besides files changed.
    Inputs,
    /// It was time.
    Interval,
}

/// What an evaluation found to be another than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// When: milliseconds since the epoch.
    pub at_ms: i64,
    /// Controls with another status.
    pub changes: Vec<Change>,
    /// Policies of which less is known or applies than before.
    pub coverage: Vec<CoverageDrop>,
}

/// The room cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state directory.
    #[error("cannot keep results in {}: {source}; make it a directory that the agent may write", path.display())]
    State {
        /// The directory.
        path: PathBuf,
        /// The kernel's word.
        source: std::io::Error,
    },
    /// The kernel gave no thread.
    #[error("cannot start the thread of the checks: {0}")]
    Thread(std::io::Error),
}

/// The running room. It ends when this is dropped, after the evaluation that is under way.
#[derive(Debug)]
pub struct Checks {
    latest: latest::Receiver<Option<Arc<Snapshot>>>,
    started: Instant,
    beat: Arc<AtomicU64>,
    _end: oneshot::Sender<()>,
}

impl Checks {
    /// Starts looking. `now_ms` tells the time of day in milliseconds since the epoch. The receiver gets what drifts; it may be
    /// dropped.
    ///
    /// # Errors
    /// [`StartError`]; a policy that cannot be read is no reason not to start, it is a problem of the snapshot.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(
        settings: Settings,
        host: HostRoot,
        inputs: latest::Receiver<Inputs>,
        now_ms: fn() -> i64,
    ) -> Result<(Self, UnboundedReceiver<Drift>), StartError> {
        let history = History::open(&settings.state_dir)
            .map_err(|source| StartError::State { path: settings.state_dir.clone(), source })?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(StartError::Thread)?;
        let (snapshots, latest) = latest::channel(None);
        let (drifts, drifted) = unbounded_channel();
        let (end, ended) = oneshot::channel();
        let (started, beat) = (Instant::now(), Arc::<AtomicU64>::default());
        let beating = beat.clone();
        let run = move || {
            runtime.block_on(async move {
                let host = Host::new(host, Phase::Run);
                let room = Room { settings, host: &host, history, now_ms, snapshots, drifts };
                let beat = move || beating.store(milliseconds(started.elapsed()), Ordering::Relaxed);
                tokio::select! {
                    () = room.run(inputs, beat) => {}
                    // An error is the end, too: nobody holds the room any more.
                    _ = ended => {}
                }
            });
        };
        std::thread::Builder::new().name("checks".into()).spawn(run).map_err(StartError::Thread)?;
        Ok((Self { latest, started, beat, _end: end }, drifted))
    }

    /// The latest evaluation; `None` before the first has ended.
    #[must_use]
    pub fn latest(&self) -> Option<Arc<Snapshot>> {
        self.latest.borrow().clone()
    }

    /// A receiver that is told of each evaluation.
    #[must_use]
    pub fn subscribe(&self) -> latest::Receiver<Option<Arc<Snapshot>>> {
        self.latest.clone()
    }

    /// Since the thread last went round its loop. It does so every 10 seconds at least, unless it waits for a disk.
    #[must_use]
    pub fn silence(&self) -> Duration {
        self.started.elapsed().saturating_sub(Duration::from_millis(self.beat.load(Ordering::Relaxed)))
    }
}

/// How often the thread shows that it is alive when there is nothing to do.
const BEAT: Duration = Duration::from_secs(10);

struct Room<'a> {
    settings: Settings,
    host: &'a Host,
    history: History,
    now_ms: fn() -> i64,
    snapshots: latest::Sender<Option<Arc<Snapshot>>>,
    drifts: UnboundedSender<Drift>,
}

impl Room<'_> {
    async fn run(mut self, mut inputs: latest::Receiver<Inputs>, beat: impl Fn()) {
        let (mut watch, mut news) = Watch::new(self.host.root().to_owned());
        let mut occasion = Occasion::Start;
        loop {
            // Everything is looked at afresh, with policies as they are now.
            let now = Inputs { now_ms: (self.now_ms)(), ..inputs.borrow_and_update().clone() };
            let rulebook = self.settings.sources.load();
            let mut facts = Facts::new(self.host, &now);
            let until = Instant::now() + self.settings.interval;
            let mut before = Instant::now();
            let mut evaluation = Evaluation::new(&facts, &rulebook.policies);
            loop {
                if watch.set(self.host.take_touched()) {
                    // What changed between a look and the watch that it led to was announced to nobody.
                    facts = Facts::new(self.host, &now);
                    evaluation = Evaluation::new(&facts, &rulebook.policies);
                    watch.set(self.host.take_touched());
                }
                self.publish(evaluation.report(&facts, &rulebook.policies), &rulebook, occasion, before.elapsed());
                let changed = tokio::select! {
                    changed = next(&mut news, &mut watch, until, &beat) => changed,
                    // No more inputs is no reason to end: the last ones stay.
                    Ok(()) = inputs.changed() => {
                        occasion = Occasion::Inputs;
                        break;
                    }
                };
                match changed {
                    Some(changed) => {
                        (occasion, before) = (Occasion::Change, Instant::now());
                        facts.set_now((self.now_ms)());
                        facts.forget(&changed);
                        evaluation.refresh(&facts, &rulebook.policies, &changed);
                    }
                    None => {
                        occasion = Occasion::Interval;
                        break;
                    }
                }
            }
        }
    }

    fn publish(&mut self, mut report: Report, rulebook: &Rulebook, because: Occasion, took: Duration) {
        let now_ms = (self.now_ms)();
        report.started_ms = now_ms;
        rulebook.except(&mut report, now_ms);
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let mut problems = rulebook.problems.clone();
        if let Some(drift) = self.drift(&report, now_ms) {
            // The assembler may not want to know.
            drop(self.drifts.send(drift));
        }
        problems.extend(self.history.keep(&report, now_ms).err());
        let days = self.history.days().to_vec();
        let snapshot = Snapshot { report, finished_ms: now_ms, took_us, because, problems, days };
        self.snapshots.send_replace(Some(Arc::new(snapshot)));
    }

    fn drift(&self, report: &Report, at_ms: i64) -> Option<Drift> {
        let before = self.history.last()?;
        let (changes, coverage) = (before.changes(report), before.coverage_drops(report));
        (!changes.is_empty() || !coverage.is_empty()).then_some(Drift { at_ms, changes, coverage })
    }
}

/// The files that changed, all of a burst at once; `None` when the time is up first.
async fn next(
    news: &mut UnboundedReceiver<PathBuf>,
    watch: &mut Watch,
    until: Instant,
    beat: &impl Fn(),
) -> Option<BTreeSet<PathBuf>> {
    let first = loop {
        beat();
        let round = until.min(Instant::now() + BEAT);
        tokio::select! {
            path = news.recv() => {
                // Without a watcher there is no news, ever: only the time is left.
                let Some(path) = path else { sleep_until(round).await; continue };
                if let Some(path) = watch.concerns(&path) {
                    break path;
                }
            }
            () = sleep_until(round) => {
                if round == until {
                    return None;
                }
            }
        }
    };
    let mut changed = BTreeSet::from([first]);
    let last = Instant::now() + MOST_QUIET;
    loop {
        tokio::select! {
            path = news.recv() => changed.extend(path.and_then(|path| watch.concerns(&path))),
            () = sleep_until(last.min(Instant::now() + QUIET)) => return Some(changed),
        }
        if Instant::now() >= last {
            return Some(changed);
        }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
