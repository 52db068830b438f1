//! What the proxy holds: with a full node, after load, in a large cluster, and when somebody leaves requests half open.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::sleep;

use crate::cost::{Memory, memory, mib, pid};
use crate::half_open;
use crate::node::{self, PODS};
use crate::requests::{NO_LIMIT, all_kinds};

/// Until what was needed for the start is given back.
const SETTLED: Duration = Duration::from_secs(5);

pub(crate) async fn run(
    seconds: u64,
    cluster: usize,
    half_open: usize,
    program: Option<PathBuf>,
) -> anyhow::Result<()> {
    let each = Duration::from_secs(seconds);
    println!("MiB, the targets too (8, 18 and 26 MB); load: all kinds of requests for {seconds} s each\n");
    println!("{:<44} {:>8} {:>7} {:>8} {:>7}   {:<14}", "", "RssAnon", "target", "VmRSS", "target", "kube2iam VmRSS");
    {
        let mut node = node::node(PODS, 1, NO_LIMIT, program.clone()).await;
        node::up(&mut node, PODS).await?;
        sleep(SETTLED).await;
        row(&format!("{PODS} pods"), memory(pid(&node)?)?, ("7.6", "17.2"), "34.2");
        all_kinds(&node, each)?;
        row("the same after load", memory(pid(&node)?)?, ("7.6", "17.2"), "44");
    }
    {
        let mut node = node::node(PODS, 1, NO_LIMIT, program.clone()).await;
        node::add_cluster(&node, cluster.saturating_sub(usize::from(PODS)));
        node::up(&mut node, PODS).await?;
        sleep(SETTLED).await;
        row(&format!("{PODS} pods, {cluster} in the cluster"), memory(pid(&node)?)?, ("", "24.8"), "150");
        all_kinds(&node, each)?;
        row("the same after load", memory(pid(&node)?)?, ("", "24.8"), "");
    }
    half_open::run(half_open, program).await
}

fn row(name: &str, memory: Memory, targets: (&str, &str), kube2iam: &str) {
    let Memory { anon, rss } = memory;
    let (anon, rss) = (mib(anon), mib(rss));
    println!("{name:<44} {anon:>8.1} {:>7} {rss:>8.1} {:>7}   {kube2iam:<14}", targets.0, targets.1);
}
