//! A path that is forwarded, for long: connections to the node's metadata service that are not used again would run out.

use std::process::Stdio;
use std::time::Duration;

use anyhow::ensure;
use tokio::time::{Instant, sleep};

use crate::cost::{cpu, pid};
use crate::node::{self, PODS};
use crate::requests::{NO_LIMIT, forwarded};
use crate::wrk::{Figures, Load};

/// Connections of wrk.
const CONNECTIONS: usize = 64;

/// Of one row.
const SLICE: u64 = 10;

pub(crate) async fn run(seconds: u64) -> anyhow::Result<()> {
    if seconds == 0 {
        return Ok(());
    }
    let scripts = tempfile::tempdir()?;
    let mut node = node::node(PODS, 1, NO_LIMIT, None).await;
    node::up(&mut node, PODS).await?;
    let pid = pid(&node)?;
    println!(
        "\ninstance-id, forwarded, {CONNECTIONS} connections, {seconds} s; target: at most 5.0 s of CPU, and flat (kube2iam: 405 req/s and 433 s)\n"
    );
    println!("{:<8} {:>9} {:>7}", "", "req/s", "CPU s");
    let load = Load { connections: CONNECTIONS, seconds, ..forwarded() };
    let wrk = load.command(&node, 0, scripts.path())?.stdout(Stdio::piped()).spawn()?;
    for slice in 0..seconds.div_ceil(SLICE) {
        let (begun, seen, spent) = (Instant::now(), node.imds.requests_seen(), cpu(pid)?);
        let length = SLICE.min(seconds - slice * SLICE);
        sleep(Duration::from_secs(length)).await;
        let (took, answered) = (begun.elapsed().as_secs_f64(), node.imds.requests_seen() - seen);
        ensure!(answered > 0, "nothing is forwarded any more: {}", node.said());
        let cost = (cpu(pid)? - spent).as_secs_f64() / answered as f64 * 1e5;
        let name = format!("{}-{} s", slice * SLICE, slice * SLICE + length);
        println!("{name:<8} {:>9.0} {cost:>7.2}", answered as f64 / took);
    }
    let output = tokio::task::block_in_place(|| wrk.wait_with_output())?;
    let figures = Figures::read(&String::from_utf8_lossy(&output.stdout))?;
    println!(
        "{:<8} {:>9.0}   p50 {:.2} ms, p99 {:.2} ms, {} broken",
        "all", figures.per_second, figures.p50_ms, figures.p99_ms, figures.broken
    );
    Ok(())
}
