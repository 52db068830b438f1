//! What the sample node itself writes: an audit log, which is a plain file, and the journal of two units.

use std::io;
use std::time::Duration;

use tokio::sync::{mpsc::UnboundedSender, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

use crate::node::{AuditLog, Journal, SampleNode};

/// How often lines are written.
const TICK: Duration = Duration::from_millis(100);

/// Lines of the audit log, and messages of each unit, that one tick writes.
const LINES: u64 = 10;
const MESSAGES: u64 = 3;

/// One of the node's own machinery, which goes to the dataplane group, and one of the host.
const UNITS: [&str; 2] = ["kubelet.service", "sshd.service"];

/// The files, of which the first listing of the agent already finds the names.
#[derive(Debug)]
pub(super) struct HostLogs {
    audit: AuditLog,
    journal: Journal,
}

/// The same while they are written.
#[derive(Debug)]
pub(super) struct WrittenHostLogs {
    task: JoinHandle<io::Result<()>>,
    stop: watch::Sender<bool>,
}

impl HostLogs {
    pub(super) fn new(node: &SampleNode) -> io::Result<Self> {
        Ok(Self { audit: node.audit_log()?, journal: node.journal(&UNITS)? })
    }

    /// Writes, for `length` if that is known, and rotates each once in each way that there is.
    pub(super) fn start(self, length: Option<Duration>, say: UnboundedSender<String>) -> WrittenHostLogs {
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(self.live(length.unwrap_or(Duration::from_secs(30)), say, stopped));
        WrittenHostLogs { task, stop }
    }

    async fn live(
        mut self,
        length: Duration,
        say: UnboundedSender<String>,
        mut stop: watch::Receiver<bool>,
    ) -> io::Result<()> {
        let started = Instant::now();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
        // Who listens is gone only when the demo is over.
        let said = |text: &str| drop(say.send(text.to_owned()));
        let mut rotations = 0;
        loop {
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
                _ = tick.tick() => {}
            }
            self.audit.lines(LINES)?;
            for _ in 0..MESSAGES {
                self.journal.messages()?;
            }
            let elapsed = started.elapsed();
            match rotations {
                0 if elapsed >= length / 4 => {
                    self.audit.rotate_by_renaming()?;
                    said("the audit log is rotated: renamed, and another file begun");
                }
                1 if elapsed >= length / 2 => {
                    self.journal.rotate()?;
                    said("the journal is rotated: its file is archived and renamed, and another one begun");
                }
                2 if elapsed >= length * 3 / 4 => {
                    self.audit.rotate_by_copying()?;
                    said("the audit log is rotated: copied, and cut to nothing");
                }
                _ => continue,
            }
            rotations += 1;
        }
    }
}

impl WrittenHostLogs {
    /// Stops writing.
    ///
    /// # Errors
    /// What went wrong in a file meanwhile.
    pub(super) async fn stop(self) -> io::Result<()> {
        self.stop.send_replace(true);
        self.task.await.map_err(io::Error::other)?
    }
}
