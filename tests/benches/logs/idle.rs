//! Containers that write nothing, and a journal to which nothing is written.

use std::time::Duration;

use safeguard_standins::{CloudWatch, Options};

use crate::agent::Agent;
use crate::backlog;
use crate::sources::write_journal;

/// Entries of the journal that is there as well.
const JOURNAL: u64 = 100;

pub(crate) async fn run(containers: usize, seconds: u64) -> anyhow::Result<()> {
    let (node, _) = backlog::written(containers, 20)?;
    let service = CloudWatch::start(Options { discard: true, ..Options::default() }).await?;
    let dir = node.root().join("var/log/journal/0123456789abcdef0123456789abcdef");
    std::fs::create_dir_all(&dir)?;
    write_journal(&dir.join("system.journal"), JOURNAL)?;
    let mut agent = Agent::start(&service, node.root(), "")?;
    agent.delivered(containers as u64 * 20 + JOURNAL).await?;
    tokio::time::sleep(Duration::from_secs(15)).await;
    let before = agent.cost()?;
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let after = agent.cost()?;
    let percent = (after.cpu - before.cpu).as_secs_f64() / seconds as f64 * 100.0;
    println!(
        "{containers} idle containers and an idle journal over {seconds} s: {percent:.2} % of a core, RSS {:.1} MiB, peak {:.1} MiB",
        after.rss_kib as f64 / 1024.0,
        after.peak_rss_kib as f64 / 1024.0
    );
    agent.stop()
}
