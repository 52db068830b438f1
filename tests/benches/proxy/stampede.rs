//! Many ask at once for a session that is not there yet.

use std::sync::{Barrier, Mutex, PoisonError};
use std::time::Duration;

use anyhow::ensure;
use safeguard_standins::Trouble;
use safeguard_standins::sts::StsOp;
use safeguard_tests::fabric::{METADATA_V4, Place};
use safeguard_tests::proxied::{PATIENCE, Proxied, Wish, ask};
use tokio::time::{Instant, sleep};

use crate::node::{self, LIST};
use crate::requests::NO_LIMIT;

/// How long STS takes.
const STS: Duration = Duration::from_millis(300);

pub(crate) async fn run(rounds: u8, requests: usize) -> anyhow::Result<()> {
    let settings = format!("{NO_LIMIT}\n[roles]\nprefetch = false");
    let mut node = node::node(0, 1, &settings, None).await;
    node::up(&mut node, 0).await?;
    node.sts.troubles().when(|call| (call.op == StsOp::AssumeRole).then_some(Trouble::Latency(STS)));
    println!("{requests} requests at once for one role, STS at {} ms, prefetch off\n", STS.as_millis());
    println!(
        "{:<10} {:>9} {:>7} {:>9} {:>11} {:>7} {:>14}",
        "round", "STS calls", "target", "answered", "slowest ms", "target", "kube2iam calls"
    );
    for round in 0..rounds {
        let role = format!("cold-{round}");
        node.put_role(&role);
        node.end_pod(0);
        node.run_pod(0, Wish::role(0, &role));
        known(&node).await?;
        let before = node.sts.assumed().len();
        let times = at_once(&node, &format!("{LIST}{role}"), requests)?;
        let calls = node.sts.assumed().len() - before;
        let slowest = times.iter().max().map_or(f64::NAN, |time| time.as_secs_f64() * 1e3);
        // The node's own credentials are fetched with the first.
        let name = if round == 0 { "first".to_owned() } else { (round + 1).to_string() };
        println!("{name:<10} {calls:>9} {:>7} {:>9} {slowest:>11.1} {:>7} {:>14}", 1, times.len(), 400, "18 to 64");
        ensure!(calls == 1, "{calls} calls to STS");
        ensure!(times.len() == requests, "{} of {requests} got credentials: {}", times.len(), node.said());
    }
    node.nothing_leaked();
    Ok(())
}

/// Waits until the proxy knows the pod and its role, by a path that fetches no session.
async fn known(node: &Proxied) -> anyhow::Result<()> {
    let late = Instant::now() + PATIENCE;
    while node.get(0, "/latest/meta-data/iam/info").map_or(0, |reply| reply.status) != 200 {
        ensure!(Instant::now() < late, "the pod is not known: {}", node.said());
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// How long each took that got credentials.
fn at_once(node: &Proxied, path: &str, requests: usize) -> anyhow::Result<Vec<Duration>> {
    let (start, times) = (Barrier::new(requests), Mutex::new(Vec::new()));
    let entrance = node.fabric.entrance(Place::Pod(0))?;
    std::thread::scope(|scope| {
        for _ in 0..requests {
            scope.spawn(|| {
                let entered = entrance.enter();
                start.wait();
                let begun = Instant::now();
                let reply = entered.and_then(|()| ask((METADATA_V4, 80).into(), "GET", path, &[]));
                if reply.is_ok_and(|reply| reply.status == 200 && reply.body.contains("SecretAccessKey")) {
                    times.lock().unwrap_or_else(PoisonError::into_inner).push(begun.elapsed());
                }
            });
        }
    });
    Ok(times.into_inner().unwrap_or_else(PoisonError::into_inner))
}
