//! Live writers: what arrives, how often, and how soon, with the agent killed in between.

use std::time::Duration;

use safeguard_standins::{CloudWatch, Options};
use safeguard_tests::node::{Output, SampleNode};
use tokio::time::Instant;

use crate::agent::Agent;

const CONTAINERS: u64 = 10;
const ROTATE_AT: u64 = 3_000_000;
const TICK: Duration = Duration::from_millis(20);

pub(crate) async fn run(rate: u64, seconds: u64, kills: u32) -> anyhow::Result<()> {
    let settings = "format = \"json\"";
    let node = SampleNode::new(1)?;
    let service = CloudWatch::start(Options::default()).await?;
    let mut writers = Vec::new();
    for i in 0..CONTAINERS {
        writers.push(node.container("bench", &format!("pod-{i}"), "app")?);
    }
    let mut agent = Agent::start(&service, node.root(), settings)?;
    let start = Instant::now();
    let (mut written, mut killed, mut cpu) = (0, 0, Duration::ZERO);
    while start.elapsed() < Duration::from_secs(seconds) {
        let due = u64::try_from(start.elapsed().as_millis())? * rate / 1000;
        let each = due.saturating_sub(written) / CONTAINERS;
        for writer in &mut writers {
            if each > 0 {
                writer.lines(Output::Stdout, each)?;
            }
            if writer.length() > ROTATE_AT {
                writer.rotate()?;
            }
        }
        written += each * CONTAINERS;
        if killed < kills && start.elapsed().as_secs() >= (u64::from(killed) + 1) * seconds / (u64::from(kills) + 1) {
            killed += 1;
            cpu += agent.cost()?.cpu;
            agent.kill()?;
            tokio::time::sleep(Duration::from_millis(300)).await;
            agent = Agent::start(&service, node.root(), settings)?;
        }
        tokio::time::sleep(TICK).await;
    }
    let oracle = node.oracle();
    let deadline = Instant::now() + Duration::from_secs(60);
    let report = loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut check = oracle.check();
        service.for_each_event(|group, stream, event| check.see(group, stream, event.timestamp, event.message));
        let report = check.report();
        if report.lost() == 0 || Instant::now() > deadline {
            break report;
        }
    };
    let cost = agent.cost()?;
    cpu += cost.cpu;
    println!(
        "{written} lines at {rate}/s over {CONTAINERS} containers, rotation at {ROTATE_AT} B, {killed} kill -9:\n\
         lost {}, duplicated {} ({:.2} %), out of order {}; {:.2} us of CPU a line, peak {:.1} MiB",
        report.lost(),
        report.duplicated(),
        report.duplicated() as f64 / written as f64 * 100.0,
        report.out_of_order(),
        cpu.as_secs_f64() * 1e6 / written as f64,
        cost.peak_rss_kib as f64 / 1024.0,
    );
    agent.stop()
}

pub(crate) async fn latency(rate: u64, seconds: u64) -> anyhow::Result<()> {
    for (name, rate) in [("slow, batches flushed by time", rate), ("fast, batches full", 40_000)] {
        let node = SampleNode::new(1)?;
        let service = CloudWatch::start(Options::default()).await?;
        let mut writers = Vec::new();
        for i in 0..CONTAINERS {
            writers.push(node.container("bench", &format!("pod-{i}"), "app")?);
        }
        let agent = Agent::start(&service, node.root(), "format = \"json\"")?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let start = Instant::now();
        let mut written = 0;
        while start.elapsed() < Duration::from_secs(seconds) {
            let due = u64::try_from(start.elapsed().as_millis())? * rate / 1000;
            let each = due.saturating_sub(written).div_ceil(CONTAINERS);
            for writer in &mut writers {
                if each > 0 {
                    writer.lines(Output::Stdout, each)?;
                }
                if writer.length() > ROTATE_AT {
                    writer.rotate()?;
                }
            }
            written += each * CONTAINERS;
            tokio::time::sleep(TICK).await;
        }
        tokio::time::sleep(Duration::from_secs(8)).await;
        let mut delays = Vec::new();
        service.for_each_event(|_, _, event| delays.push(event.ingestion_time - event.timestamp));
        delays.sort_unstable();
        let at = |percent: usize| delays.get(delays.len() * percent / 100).or(delays.last()).copied().unwrap_or(0);
        println!(
            "{name}: {rate} lines/s, {} of {written} arrived; ms from written to accepted: p50 {} p99 {} max {}",
            delays.len(),
            at(50),
            at(99),
            at(100)
        );
        agent.stop()?;
    }
    Ok(())
}
