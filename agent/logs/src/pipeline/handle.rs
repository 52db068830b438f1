//! The log room as the assembler sees it: start, ask, reload, drain.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use safeguard_host::HostRoot;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::save::Saver;
use super::{Channels, Pipeline, Request, milliseconds};
use crate::checkpoint::{Checkpoints, LoadError, Records};
use crate::exclude::Exclusions;
use crate::settings::Settings;
use crate::ship::{self, LogsApi};
use crate::status::Status;
use crate::watch::Watch;

/// The log room cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The checkpoint must not be touched.
    #[error("{0}")]
    Checkpoint(String),
    /// The kernel gave no thread or no runtime.
    #[error("cannot start the log thread: {0}")]
    Thread(std::io::Error),
}

/// How it ended.
#[derive(Debug)]
pub struct Drained {
    /// Whether everything that was there when draining began is settled. If not, the rest stays in its files.
    pub complete: bool,
    /// The last word: what is `behind` stays in its file for the next start.
    pub status: Status,
}

/// Whether the log room makes progress. A process that exists proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// Since the reading thread last went round its loop. It does so several times a second.
    pub reading: Duration,
    /// Since the shipping task last went round its loop. It does so every 5 seconds at least.
    pub shipping: Duration,
}

/// The running log room.
#[derive(Debug)]
pub struct Logs {
    requests: UnboundedSender<Request>,
    started: Instant,
    reading: Arc<AtomicU64>,
    shipping: Arc<AtomicU64>,
}

impl Logs {
    /// Starts reading and shipping. `now_ms` tells the time of day in Unix ms. Has to be called inside a tokio runtime,
    /// which runs the network side; reading has a thread of its own. With `exclusions`, these are known before anything is
    /// read; see [`Logs::exclude`].
    ///
    /// # Errors
    /// [`StartError`] if the checkpoint was written by a later version, or there is no thread to be had.
    pub fn start<A: LogsApi>(
        settings: Settings,
        host: HostRoot,
        api: A,
        now_ms: fn() -> i64,
        exclusions: Option<Exclusions>,
    ) -> Result<Self, StartError> {
        let checkpoints = Checkpoints::new(&settings.state_dir);
        let (records, load_error) = match checkpoints.load() {
            Ok(records) => (records, None),
            Err(error @ LoadError::Later { .. }) => return Err(StartError::Checkpoint(error.to_string())),
            Err(error) => {
                tracing::error!(%error, "Starting without a checkpoint.");
                (Records::default(), Some(error.to_string()))
            }
        };
        let (requests, requests_in) = unbounded_channel();
        let (commands, commands_in) = unbounded_channel();
        let (outcomes, outcomes_in) = unbounded_channel();
        let started = Instant::now();
        let (reading, shipping) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());

        let beat = shipping.clone();
        let beat = move || beat.store(milliseconds(started.elapsed()), Ordering::Relaxed);
        tokio::spawn(ship::run(api, settings.new_groups.clone(), commands_in, outcomes, beat));

        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .max_blocking_threads(1)
            .build()
            .map_err(StartError::Thread)?;
        let beat = reading.clone();
        let run = move || {
            runtime.block_on(async move {
                let (watch, news) = Watch::new();
                let saver = Saver::new(checkpoints, load_error);
                let mut pipeline = Pipeline::new(settings, host, now_ms, commands, watch, saver, beat);
                exclusions.into_iter().for_each(|first| pipeline.exclude(first));
                pipeline.remember(records);
                pipeline.run(Channels { requests: requests_in, outcomes: outcomes_in, news }).await;
            });
        };
        std::thread::Builder::new().name("logs".into()).spawn(run).map_err(StartError::Thread)?;
        Ok(Self { requests, started, reading, shipping })
    }

    /// A snapshot. `None` if the reading thread does not answer in time: it is stuck in the disk, or gone.
    pub async fn status(&self, deadline: Duration) -> Option<Status> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::Status(reply)).ok()?;
        tokio::time::timeout(deadline, answer).await.ok()?.ok()
    }

    /// Takes over settings that may change while it runs: `include`, `exclude`, `oversize`, `flush_interval`,
    /// `max_puts_per_second`, `rescan_interval`, `pinned_bytes`, `partial_period`, `quiet_period`. The caller refuses others.
    pub fn reload(&self, settings: Settings) {
        // It is gone only when the process ends.
        drop(self.requests.send(Request::Reload(Box::new(settings))));
    }

    /// Tells which containers are left out by word of their pods. Their lines are read, settled and counted as excluded, and not
    /// shipped. See [`Exclusions`] for from when on.
    pub fn exclude(&self, exclusions: Exclusions) {
        // It is gone only when the process ends.
        drop(self.requests.send(Request::Exclude(exclusions)));
    }

    /// Reads what is there now, delivers it, writes the last checkpoint, and ends; after `grace` at the latest.
    pub async fn drain(&self, grace: Duration) -> Option<Drained> {
        let (done, answer) = oneshot::channel();
        self.requests.send(Request::Drain { deadline: Instant::now() + grace, done }).ok()?;
        // The thread may be stuck in the disk: its word is waited for a little longer, not for ever.
        tokio::time::timeout(grace + Duration::from_secs(2), answer).await.ok()?.ok()
    }

    /// Whether it makes progress.
    #[must_use]
    pub fn health(&self) -> Health {
        let since = |beat: &AtomicU64| {
            self.started.elapsed().saturating_sub(Duration::from_millis(beat.load(Ordering::Relaxed)))
        };
        Health { reading: since(&self.reading), shipping: since(&self.shipping) }
    }
}
