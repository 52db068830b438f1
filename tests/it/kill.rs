//! The real program is killed at random moments while containers write. At least once: nothing is lost, nothing is damaged,
//! and what comes twice was in flight or younger than the last checkpoint.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use safeguard_standins::{CloudWatch, Options};
use safeguard_tests::lines::Mix;
use safeguard_tests::node::{Output, Report, SampleNode, Writer};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::program::Home;
use crate::rig::PATIENCE;

/// How often the program is killed in one run.
const KILLS: u32 = 20;

/// Shortest and longest life, in milliseconds: some are killed before they are ready, others while all is quiet.
const LIFE_MS: std::ops::Range<u64> = 100..2_000;

/// Size at which a log is rotated. The kubelet's ten files of 10 MiB would take the whole test.
const ROTATE_AT: u64 = 300_000;

/// A checkpoint is written at least this often while offsets move (1 s), and takes a moment to be written.
const CHECKPOINT_MS: i64 = 1_500;

/// Requests in flight at once, to one stream.
const IN_FLIGHT: usize = 2;

/// Quick settings; the checkpoint is at its default, which the bound above is made of.
const SETTINGS: &str = "flush_interval = \"200ms\"\nmax_puts_per_second = 20\nquiet_period = \"1s\"\n\
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
        let mut writers: Vec<Writer> = (0..6).map(writer).collect();
        // One whose lines are mostly longer than containerd's pieces.
        writers.push(writer(6).with_lines(40_000, Mix::STANDARD));
        let stop = Arc::<AtomicBool>::default();
        let stopped = stop.clone();
        let mut random = fastrand::Rng::with_seed(seed);
        let writing = tokio::spawn(async move {
            let mut restarts = vec![0u32; writers.len()];
            while !stopped.load(Ordering::Acquire) {
                for (writer, restarts) in writers.iter_mut().zip(&mut restarts) {
                    some_lines(writer, restarts, &mut random)?;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            for mut writer in writers {
                writer.end(random.bool())?;
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

/// What one container does in ten milliseconds.
fn some_lines(writer: &mut Writer, restarts: &mut u32, random: &mut fastrand::Rng) -> std::io::Result<()> {
    for output in Output::ALL {
        if random.u8(..) < 100 {
            writer.lines(output, random.u64(1..=10))?;
        }
    }
    match random.u16(..1_000) {
        // Pieces of both outputs, one inside the other.
        0..=99 => {
            writer.begin(Output::Stdout)?;
            writer.begin(Output::Stderr)?;
            writer.lines(Output::Stdout, 1)?;
            writer.finish(Output::Stderr)?;
        }
        // A container that ends, now and then in the middle of a line, and is started again. One dead one is kept.
        100..=104 => {
            writer.end(random.bool())?;
            writer.restart()?;
            *restarts += 1;
            if *restarts > 1 {
                writer.remove_restart(*restarts - 2)?;
            }
        }
        _ => {}
    }
    if writer.length() > ROTATE_AT {
        // A line that the rotation cuts.
        writer.begin(Output::Stdout)?;
        writer.rotate()?;
        writer.finish(Output::Stdout)?;
    }
    Ok(())
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

/// The most that kills at these times may have delivered twice: what was accepted since the last checkpoint, and the
/// requests in flight, taken at the size of the largest one.
fn bound(service: &CloudWatch, kills: &[i64]) -> u64 {
    let mut recent = 0;
    let mut requests: HashMap<u64, u64> = HashMap::new();
    let mut streams = std::collections::HashSet::new();
    service.for_each_event(|group, stream, event| {
        let before = |kill: &&i64| (event.ingestion_time..event.ingestion_time + CHECKPOINT_MS).contains(*kill);
        recent += kills.iter().filter(before).count() as u64;
        *requests.entry(event.request).or_default() += 1;
        if !streams.contains(stream) {
            streams.insert(stream.to_owned());
        }
        assert!(group.ends_with("/application"));
    });
    let largest = requests.into_values().max().unwrap_or(0);
    recent + (kills.len() * streams.len() * IN_FLIGHT) as u64 * largest
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
    assert!(report.is_complete(), "seed {seed}: {report}\n{:#?}\n{}", program.status().await, home.said());
    assert_eq!(report.unmarked, 0, "seed {seed}: {report}");
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
