//! The real program is killed at random moments while containers write. At least once: nothing is lost, nothing is damaged,
//! and what comes twice was in flight or younger than the last checkpoint.

use std::collections::{BTreeMap, HashMap};
use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use safeguard_standins::{CloudWatch, Options};
use safeguard_tests::lines::{self, Mix};
use safeguard_tests::node::{Output, Report, SampleNode, Writer};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::program::Home;
use crate::rig::PATIENCE;

/// How often the program is killed in one run.
const KILLS: u32 = 20;

/// Shortest and longest life, in milliseconds: some are killed before they are ready, others while all is quiet.
const LIFE_MS: std::ops::Range<u64> = 100..2_000;

/// Size at which a log is rotated. The kubelet's 10 MiB would take the whole test.
const ROTATE_AT: u64 = 300_000;

/// Least time between two rotations, or two restarts, of a container. The kubelet looks every 10 s and keeps five files; what it
/// deletes while nobody could read it is lost to everybody.
const APART: Duration = Duration::from_secs(4);

/// A checkpoint is written at least this often while offsets move (1 s), and takes a moment to be written.
const CHECKPOINT_MS: i64 = 1_500;

/// How long after a kill a request that was in flight may still be accepted.
const LATE_MS: i64 = 200;

/// Requests in flight at once, to one stream.
const IN_FLIGHT: usize = 2;

/// Quick settings: a short life must be able to finish a file. The checkpoint is at its default, which the bound above is made
/// of.
const SETTINGS: &str = "flush_interval = \"200ms\"\nmax_puts_per_second = 20\nquiet_period = \"300ms\"\n\
                        partial_period = \"3s\"\nrescan_interval = \"2s\"\nmemory_budget = \"8MB\"\n\
                        stream = \"{namespace}\"";

/// Containers that write until they are told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    writing: JoinHandle<std::io::Result<()>>,
}

impl Load {
    fn start(node: &SampleNode, seed: u64) -> Self {
        let writer = |i: u64| node.container("load", &format!("pod-{i}"), "app").unwrap();
        let mut containers: Vec<_> = (0..6).map(|i| Container::new(writer(i), 100)).collect();
        // One whose lines are longer than containerd's pieces. It writes fewer of them.
        containers.push(Container::new(writer(6).with_lines(40_000, Mix::STANDARD), 2));
        let stop = Arc::<AtomicBool>::default();
        let stopped = stop.clone();
        let mut random = fastrand::Rng::with_seed(seed);
        let writing = tokio::spawn(async move {
            while !stopped.load(Ordering::Acquire) {
                for container in &mut containers {
                    container.some_lines(&mut random)?;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            for mut container in containers {
                container.writer.end(random.bool())?;
            }
            Ok(())
        });
        Self { stop, writing }
    }

    async fn stop(self) {
        self.stop.store(true, Ordering::Release);
        self.writing.await.unwrap().unwrap();
    }
}

struct Container {
    writer: Writer,
    /// How often it writes, of 256 times.
    often: u8,
    restarts: u32,
    restarted: Instant,
    rotated: Instant,
}

impl Container {
    fn new(writer: Writer, often: u8) -> Self {
        let now = Instant::now();
        Self { writer, often, restarts: 0, restarted: now, rotated: now }
    }

    /// What it does in ten milliseconds.
    fn some_lines(&mut self, random: &mut fastrand::Rng) -> std::io::Result<()> {
        let writer = &mut self.writer;
        for output in Output::ALL {
            if random.u8(..) < self.often {
                writer.lines(output, random.u64(1..=10))?;
            }
        }
        // Pieces of both outputs, one inside the other, left as they are for a while, but for less than `partial_period`.
        if random.u8(..) < 50 {
            Output::ALL.iter().try_for_each(|output| writer.finish(*output))?;
        }
        if random.u8(..) < self.often / 2 {
            writer.begin(Output::Stdout)?;
            writer.begin(Output::Stderr)?;
            writer.lines(Output::Stdout, 1)?;
        }
        // A container that ends, now and then in the middle of a line, and is started again. One dead one is kept.
        if random.u8(..) == 0 && self.restarted.elapsed() > APART {
            self.restarted = Instant::now();
            writer.end(random.bool())?;
            writer.restart()?;
            self.restarts += 1;
            if self.restarts > 1 {
                writer.remove_restart(self.restarts - 2)?;
            }
        }
        if writer.length() > ROTATE_AT && self.rotated.elapsed() > APART {
            self.rotated = Instant::now();
            // A line that the rotation cuts.
            writer.begin(Output::Stdout)?;
            writer.rotate()?;
            writer.finish(Output::Stdout)?;
        }
        Ok(())
    }
}

/// Compares until everything has arrived, or it is clear that it will not.
async fn report(node: &SampleNode, service: &CloudWatch) -> Report {
    let oracle = node.oracle();
    let late = Instant::now() + PATIENCE;
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let mut check = oracle.check();
        service.for_each_event(|group, stream, event| check.see(group, stream, event.timestamp, event.message));
        let report = check.report();
        if report.lost() == 0 || Instant::now() > late {
            return report;
        }
    }
}

/// A request that was accepted.
struct Accepted {
    at_ms: i64,
    stream: String,
    events: u64,
}

/// The most that kills at these times may have delivered twice: what was accepted since the last checkpoint, and what was in
/// flight, which is accepted when nobody is there any more to take note of it.
fn bound(service: &CloudWatch, kills: &[i64]) -> u64 {
    let mut requests: BTreeMap<u64, Accepted> = BTreeMap::new();
    service.for_each_event(|_, stream, event| {
        let accepted = || Accepted { at_ms: event.ingestion_time, stream: stream.to_owned(), events: 0 };
        requests.entry(event.request).or_insert_with(accepted).events += 1;
    });
    let of_kill = |kill: &i64| {
        let mut in_flight: HashMap<&str, usize> = HashMap::new();
        let may_come_twice = requests.values().filter(|request| {
            let before = (kill - CHECKPOINT_MS..*kill).contains(&request.at_ms);
            let after = (*kill..kill + LATE_MS).contains(&request.at_ms);
            let number = in_flight.entry(&request.stream).or_default();
            *number += usize::from(after);
            before || after && *number <= IN_FLIGHT
        });
        may_come_twice.map(|request| request.events).sum::<u64>()
    };
    kills.iter().map(of_kill).sum()
}

/// What is wrong, for whoever has to find out why: what arrived damaged, when, and which lost lines are still in a file.
fn evidence(node: &SampleNode, service: &CloudWatch, report: &Report, kills: &[i64]) -> String {
    let mut text = format!("kills {kills:?}\n");
    service.for_each_event(|_, stream, event| {
        let mark = lines::mark(event.message);
        let at = event.message.find("\"log\"").unwrap_or(0);
        if mark.is_none() || lines::is_intact(event.message) == Some(false) {
            let start: String = event.message.chars().skip(at).take(120).collect();
            let (request, accepted, length) = (event.request, event.ingestion_time, event.message.len());
            let mark = mark.map(|mark| (mark.writer.to_owned(), mark.n));
            let time = event.timestamp;
            text += &format!("{stream} {mark:?} of {time} accepted {accepted} in {request}, {length} bytes: {start}\n");
        }
    });
    let lost: Vec<String> = report
        .writers
        .iter()
        .flat_map(|w| {
            w.lost.iter().flat_map(|range| [*range.start(), *range.end()]).map(|n| format!("w={} n={n:09} ", w.id))
        })
        .collect();
    let pods = std::fs::read_dir(node.pods_dir()).unwrap();
    let containers = pods.flat_map(|pod| std::fs::read_dir(pod.unwrap().path()).unwrap());
    let logs = containers.flat_map(|container| std::fs::read_dir(container.unwrap().path()).unwrap());
    for path in logs.map(|log| log.unwrap().path()) {
        let bytes = std::fs::read(&path).unwrap();
        let mut content = bytes.clone();
        if path.extension().is_some_and(|extension| extension == "gz") {
            content.clear();
            flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut content).unwrap();
        }
        let content = String::from_utf8_lossy(&content);
        let held: Vec<_> = lost.iter().filter(|mark| content.contains(mark.as_str())).collect();
        text += &format!("{}: {} bytes, lost and still there: {held:?}\n", path.display(), content.len());
    }
    text
}

/// `kill -9` at random moments, twenty times. open-telemetry/opentelemetry-collector-contrib#31074, vectordotdev/vector#7462,
/// and a checkpoint that is never found half-written.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_by_kill_9() {
    let seed = seed();
    let node = SampleNode::new(seed).unwrap();
    let service = CloudWatch::start(Options::default()).await.unwrap();
    let home = Home::new(&service, node.root(), SETTINGS);
    let load = Load::start(&node, seed);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut kills = Vec::new();
    for _ in 0..KILLS {
        let mut program = home.start();
        tokio::time::sleep(Duration::from_millis(random.u64(LIFE_MS))).await;
        assert!(program.runs(), "seed {seed}: it ended by itself: {}", home.said());
        kills.push(safeguard_daemon::clock::now_ms());
        program.kill();
    }
    let mut program = home.start();
    load.stop().await;
    let report = report(&node, &service).await;
    assert!(report.written() > 10_000, "seed {seed}: too little was written to mean anything: {report}");
    let well = report.is_complete() && report.unmarked == 0;
    assert!(well, "seed {seed}: {report}\n{}\n{}", evidence(&node, &service, &report, &kills), home.said());
    let bound = bound(&service, &kills);
    say(&format!("seed {seed}: {KILLS} kills, {report}; at most {bound} duplicates"));
    assert!(report.duplicated() <= bound, "seed {seed}: at most {bound} of them may come twice: {report}");
    assert!(!home.said().contains("panicked"), "seed {seed}: {}", home.said());
    assert!(program.runs());
    assert!(program.terminate().await.success());
}

/// SIGTERM while containers write, and a start after it: the drain and the checkpoint meet exactly.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_by_sigterm() {
    let seed = seed();
    let node = SampleNode::new(seed).unwrap();
    let service = CloudWatch::start(Options::default()).await.unwrap();
    let home = Home::new(&service, node.root(), SETTINGS);
    let load = Load::start(&node, seed);
    for _ in 0..3 {
        let mut program = home.start();
        program.ready(&home).await;
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let status = program.terminate().await;
        assert_eq!(status.code(), Some(0), "seed {seed}: {}", home.said());
    }
    let mut program = home.start();
    load.stop().await;
    let report = report(&node, &service).await;
    assert!(report.is_complete(), "seed {seed}: {report}\n{:#?}\n{}", program.status().await, home.said());
    assert_eq!(report.duplicated(), 0, "seed {seed}: {report}\n{}", home.said());
    assert!(program.runs());
    assert!(program.terminate().await.success());
}

/// Another one each time; `SAFEGUARD_TEST_SEED` repeats one that failed.
fn seed() -> u64 {
    let given = std::env::var("SAFEGUARD_TEST_SEED").ok().map(|seed| seed.parse().unwrap());
    let seed = given.unwrap_or_else(|| fastrand::u64(..1_000_000));
    say(&format!("SAFEGUARD_TEST_SEED={seed}"));
    seed
}

#[expect(clippy::print_stdout, reason = "shown by the test runner when the test fails, or with --nocapture")]
fn say(text: &str) {
    println!("{text}");
}
