//! When a checkpoint is written: soon after receipts, never more often than the disk deserves, never on this thread.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::container::Container;
use super::journal::Journal;
use crate::ContainerNo;
use crate::checkpoint::{Checkpoints, Owner, Records, SaveError, encode};
use crate::discover::Origin;

/// After this many bytes were settled, a checkpoint is due at a fifth of the interval: a busy node would otherwise
/// deliver more again after a crash than was in flight.
const BUSY: u64 = 1024 * 1024;

#[derive(Debug)]
pub(super) struct Saver {
    checkpoints: Checkpoints,
    /// Something changed since the last one was begun.
    changed: bool,
    settled_bytes: u64,
    begun_at: Option<Instant>,
    saved_at: Option<Instant>,
    running: Option<JoinHandle<Result<(), SaveError>>>,
    load_error: Option<String>,
    error: Option<String>,
}

impl Saver {
    pub(super) fn new(checkpoints: Checkpoints, load_error: Option<String>) -> Self {
        Self {
            checkpoints,
            changed: false,
            settled_bytes: 0,
            begun_at: None,
            saved_at: None,
            running: None,
            load_error,
            error: None,
        }
    }

    /// Bytes were settled.
    pub(super) fn settled(&mut self, bytes: u64) {
        self.changed = true;
        self.settled_bytes += bytes;
    }

    /// Files came or went.
    pub(super) fn changed(&mut self) {
        self.changed = true;
    }

    /// Time since the last one was written.
    pub(super) fn age(&self) -> Option<Duration> {
        self.saved_at.map(|at| at.elapsed())
    }

    /// Why the last one could not be written.
    pub(super) fn error(&self) -> Option<String> {
        self.error.clone()
    }

    /// Why there was none to go on from.
    pub(super) fn load_error(&self) -> Option<String> {
        self.load_error.clone()
    }

    /// When the next one is due.
    pub(super) fn next(&self, now: Instant, interval: Duration) -> Option<Instant> {
        if self.running.is_some() {
            return Some(now + Duration::from_millis(20));
        }
        if !self.changed {
            return None;
        }
        let wait = if self.settled_bytes >= BUSY { interval / 5 } else { interval };
        Some(self.begun_at.map_or(now, |at| at + wait))
    }

    /// Begins a checkpoint if it is time, and notes how the last one went.
    pub(super) async fn save_if_due(
        &mut self,
        now: Instant,
        interval: Duration,
        containers: &HashMap<ContainerNo, Container>,
        journal: &Journal,
    ) {
        if let Some(running) = self.running.take_if(|r| r.is_finished()) {
            self.note(running.await, now);
        }
        if self.running.is_some() || self.next(now, interval).is_none_or(|due| due > now) {
            return;
        }
        self.begun_at = Some(now);
        self.changed = false;
        self.settled_bytes = 0;
        let bytes = encode(&records(containers, journal));
        let checkpoints = self.checkpoints.clone();
        self.running = Some(tokio::task::spawn_blocking(move || checkpoints.save(&bytes)));
    }

    /// Writes the last one and waits for it.
    pub(super) async fn save_last(&mut self, containers: &HashMap<ContainerNo, Container>, journal: &Journal) {
        if let Some(running) = self.running.take() {
            let result = running.await;
            self.note(result, Instant::now());
        }
        let bytes = encode(&records(containers, journal));
        let result = self.checkpoints.save(&bytes);
        self.note(Ok(result), Instant::now());
    }

    fn note(&mut self, result: Result<Result<(), SaveError>, tokio::task::JoinError>, now: Instant) {
        let error = match result {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        match (&error, &self.error) {
            (Some(error), None) => tracing::error!(error, "A checkpoint could not be written."),
            (None, Some(_)) => tracing::info!("Checkpoints are written again."),
            _ => {}
        }
        if error.is_none() {
            self.saved_at = Some(now);
        } else {
            // What it would have said is still unsaid.
            self.changed = true;
        }
        self.error = error;
    }
}

/// What is remembered of every file.
fn records(containers: &HashMap<ContainerNo, Container>, journal: &Journal) -> Records {
    let mut records = Records { files: Vec::new(), journals: journal.records() };
    for container in containers.values() {
        let owner = match &container.origin {
            Origin::Container(dir) => {
                Owner::Container { pod: dir.pod.as_bytes().to_vec(), container: dir.container.as_bytes().to_vec() }
            }
            Origin::Plain(log) => {
                let dir = log.dir.as_os_str().as_bytes().to_vec();
                Owner::Plain { dir, base: log.base.as_bytes().to_vec() }
            }
            Origin::Unit(_) => continue,
        };
        records.files.extend(container.files.iter().map(|f| f.record(owner.clone())));
    }
    records
}
