//! How long a pod waits for a proxy that has just been started.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use safeguard_tests::fabric::{METADATA_V4, Place};
use safeguard_tests::proxied::{PATIENCE, ask};
use tokio::time::Instant;

use crate::node::{self, PODS};
use crate::spread::Spread;

/// Between two attempts.
const PAUSE: Duration = Duration::from_micros(200);

pub(crate) async fn run(runs: usize, program: Option<PathBuf>) -> anyhow::Result<()> {
    println!(
        "from the start of the process to the first credentials of a pod that Kubernetes knows already; STS at 0 ms; {runs} runs\n"
    );
    println!("{:<10} {:>8} {:>8} {:>7} {:>12}", "", "p50 ms", "max ms", "target", "kube2iam");
    for pods in [1, PODS] {
        let times = Spread::new(times(pods, runs, program.clone()).await?);
        println!(
            "{:<10} {:>8.1} {:>8.1} {:>7} {:>12}",
            format!("{pods} pods"),
            times.at(50),
            times.at(100),
            100,
            "136 to 148"
        );
    }
    Ok(())
}

async fn times(pods: u8, runs: usize, program: Option<PathBuf>) -> anyhow::Result<Vec<Duration>> {
    let mut node = node::node(pods, 1, "", program).await;
    node.redirect_up();
    let mut times = Vec::new();
    for _ in 0..runs {
        let entrance = node.fabric.entrance(Place::Pod(0))?;
        let client = std::thread::spawn(move || {
            entrance.enter()?;
            let (path, late) = (node::credentials(0), Instant::now() + PATIENCE);
            while Instant::now() < late {
                // Refused at once while nobody listens.
                if ask((METADATA_V4, 80).into(), "GET", &path, &[]).is_ok_and(|reply| reply.status == 200) {
                    return Ok(Instant::now());
                }
                std::thread::sleep(PAUSE);
            }
            bail!("no credentials")
        });
        let begun = Instant::now();
        node.start(&[]);
        let answered = client.join().ok().context("the pod panicked")?.with_context(|| node.said())?;
        times.push(answered - begun);
        node.started().await;
        node.kill();
    }
    Ok(times)
}
