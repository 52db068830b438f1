//! The sample node's containers: what they are called, how they write, and how their lives go.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use crate::lines::{AVERAGE, Mix};
use crate::node::{Output, SampleNode, Writer};

/// How often a container writes.
const TICK: Duration = Duration::from_millis(100);

/// A container's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// Runs to the end.
    Steady,
    /// Crashes and is restarted again and again, in the middle of a line.
    Crashes { every: Duration },
    /// Ends, and some time later the kubelet deletes its logs.
    Ends { after: Duration, removed: Duration },
}

/// A container and its habits.
#[derive(Clone, Copy, Debug)]
struct Workload {
    namespace: &'static str,
    pod: &'static str,
    container: &'static str,
    /// Of standard output. Every twentieth tick also writes a line to standard error.
    lines_per_second: f64,
    /// Bytes of a line.
    average: usize,
    mix: Mix,
    /// Bytes at which the log is rotated. The kubelet's default is 10 MiB.
    rotate_at: u64,
    life: Life,
}

const STEADY: Workload = Workload {
    namespace: "",
    pod: "",
    container: "",
    lines_per_second: 1.0,
    average: AVERAGE,
    mix: Mix::STANDARD,
    rotate_at: 2 << 20,
    life: Life::Steady,
};

/// `end` is when the container that ends does so.
fn workloads(end: Duration) -> [Workload; 7] {
    let ends = Life::Ends { after: end, removed: end + Duration::from_secs(3) };
    let crashes = Life::Crashes { every: Duration::from_secs(5) };
    [
        Workload {
            namespace: "shop",
            pod: "checkout-7c9d5b9f4-x2x8z",
            container: "app",
            lines_per_second: 2000.0,
            ..STEADY
        },
        Workload {
            namespace: "shop",
            pod: "catalog-6f7b8c6d5-q9w4t",
            container: "api",
            lines_per_second: 500.0,
            mix: Mix::JSON,
            rotate_at: 1 << 20,
            ..STEADY
        },
        Workload {
            namespace: "clinic",
            pod: "reports-0",
            container: "render",
            lines_per_second: 6.0,
            average: 40_000,
            ..STEADY
        },
        Workload { namespace: "clinic", pod: "reminders-5d4c-7hj2k", container: "cron", ..STEADY },
        Workload {
            namespace: "clinic",
            pod: "import-58d9c-m6n5b",
            container: "import",
            lines_per_second: 200.0,
            life: crashes,
            ..STEADY
        },
        Workload {
            namespace: "shop",
            pod: "migrate-4kq2p",
            container: "job",
            lines_per_second: 300.0,
            rotate_at: 256 << 10,
            life: ends,
            ..STEADY
        },
        Workload {
            namespace: "kube-system",
            pod: "coredns-5d78c9869d-4jz7v",
            container: "coredns",
            lines_per_second: 50.0,
            ..STEADY
        },
    ]
}

/// The running containers.
#[derive(Debug)]
pub(super) struct Pods {
    tasks: JoinSet<io::Result<()>>,
    stop: watch::Sender<bool>,
}

impl Pods {
    /// Starts them all. `length` is how long they will write, if that is known.
    pub(super) fn start(node: &Arc<SampleNode>, length: Option<Duration>) -> io::Result<Self> {
        let end = length.map_or(Duration::from_secs(10), |length| length / 3);
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for workload in workloads(end) {
            let writer = node.container(workload.namespace, workload.pod, workload.container)?;
            let writer = writer.with_lines(workload.average, workload.mix);
            tasks.spawn(live(Arc::clone(node), workload, writer, stopped.clone()));
        }
        Ok(Self { tasks, stop })
    }

    /// Stops writing: every line that was begun is finished.
    ///
    /// # Errors
    /// What went wrong in a container's file meanwhile.
    pub(super) async fn stop(mut self) -> io::Result<()> {
        self.stop.send_replace(true);
        while let Some(ended) = self.tasks.join_next().await {
            ended.map_err(io::Error::other)??;
        }
        Ok(())
    }
}

/// Waits until writing is to stop; without [`Pods`], that is at once.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

/// A container from its start to its end.
async fn live(
    node: Arc<SampleNode>,
    workload: Workload,
    writer: Writer,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let started = Instant::now();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut container =
        Container { workload, writer, owed: 0.0, ticks: 0, rotations: 0, lives: 1, away: false, down: false };
    loop {
        tokio::select! {
            biased;
            () = stopped(&mut stop) => {
                if container.down {
                    tokio::time::sleep(TICK).await;
                }
                return container.settle();
            }
            _ = tick.tick() => {}
        }
        if let Life::Ends { after, removed } = workload.life
            && started.elapsed() >= after
        {
            container.settle()?;
            container.writer.end(true)?;
            tokio::select! {
                () = stopped(&mut stop) => return Ok(()),
                () = tokio::time::sleep_until(started + removed) => {}
            }
            container.writer.remove()?;
            return node.remove_pod(workload.namespace, workload.pod);
        }
        // Compressing a rotated log takes some milliseconds.
        tokio::task::block_in_place(|| container.tick(started.elapsed()))?;
    }
}

struct Container {
    workload: Workload,
    writer: Writer,
    owed: f64,
    ticks: u64,
    rotations: u64,
    /// Lives begun.
    lives: u32,
    /// Whether the log is renamed and not reopened.
    away: bool,
    /// Whether the process has died and is not started again yet.
    down: bool,
}

impl Container {
    fn tick(&mut self, elapsed: Duration) -> io::Result<()> {
        self.ticks += 1;
        if self.down {
            return self.start_again();
        }
        if let Life::Crashes { every } = self.workload.life
            && elapsed >= every * self.lives
        {
            return self.crash();
        }
        self.owed += self.workload.lines_per_second * TICK.as_secs_f64();
        let mut bulk = 0;
        while self.owed >= 1.0 {
            self.owed -= 1.0;
            bulk += 1;
        }
        if bulk > 0 && self.ticks.is_multiple_of(20) {
            // Standard error in the middle of a line of standard output.
            self.writer.begin(Output::Stdout)?;
            self.writer.line(Output::Stderr)?;
            self.writer.finish(Output::Stdout)?;
            bulk -= 1;
        }
        self.writer.lines(Output::Stdout, bulk)?;
        if self.away {
            self.away = false;
            self.writer.reopen()?;
        } else if self.writer.length() >= self.workload.rotate_at {
            self.rotate()?;
        }
        Ok(())
    }

    /// The three ways in which a rotation meets a busy container.
    fn rotate(&mut self) -> io::Result<()> {
        self.rotations += 1;
        match self.rotations % 3 {
            1 => self.writer.rotate().map(drop),
            2 => {
                self.writer.begin(Output::Stdout)?;
                self.writer.rotate()?;
                self.writer.finish(Output::Stdout)
            }
            _ => {
                crate::node::rotation::prepare(&self.writer.log_path(), crate::node::rotation::MAX_FILES)?;
                self.writer.rename_away()?;
                self.away = true;
                Ok(())
            }
        }
    }

    /// The process dies in the middle of a line.
    fn crash(&mut self) -> io::Result<()> {
        self.finish_rotation()?;
        self.down = true;
        self.writer.end(true)
    }

    /// It is started again and says so. The kubelet keeps the logs of one former life.
    fn start_again(&mut self) -> io::Result<()> {
        self.down = false;
        self.writer.restart()?;
        self.writer.line(Output::Stdout)?;
        self.lives += 1;
        match self.lives.checked_sub(3) {
            Some(old) => self.writer.remove_restart(old),
            None => Ok(()),
        }
    }

    /// Ends what is under way.
    fn settle(&mut self) -> io::Result<()> {
        if self.down {
            self.start_again()?;
        }
        self.finish_rotation()
    }

    fn finish_rotation(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.away) {
            self.writer.reopen()?;
        }
        Ok(())
    }
}
