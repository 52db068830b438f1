//! What the kernel says of a process: CPU time and memory.

use std::time::Duration;

use anyhow::Context as _;
use safeguard_tests::proxied::Proxied;

/// A tick of `/proc/<pid>/stat`: `USER_HZ` is 100 on every architecture that this runs on (proc(5)).
const TICK_MS: u64 = 10;

/// User and system time so far.
pub(crate) fn cpu(pid: u32) -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may hold spaces; `utime` and `stime` are the 12th and 13th after it.
    let after = stat.rsplit(')').next().unwrap_or_default();
    let mut ticks = after.split_whitespace().skip(11).map(str::parse::<u64>);
    let (user, system) = (ticks.next().context("no utime")??, ticks.next().context("no stime")??);
    Ok(Duration::from_millis((user + system) * TICK_MS))
}

/// Memory of a process, in KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Memory {
    /// What is its own: heap and stacks.
    pub(crate) anon: u64,
    /// The same with the pages of the program and its libraries.
    pub(crate) rss: u64,
}

pub(crate) fn memory(pid: u32) -> anyhow::Result<Memory> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = |name: &str| -> anyhow::Result<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
        Ok(line.split_whitespace().next().unwrap_or_default().parse()?)
    };
    Ok(Memory { anon: kib("RssAnon:")?, rss: kib("VmRSS:")? })
}

/// The proxy of a node.
pub(crate) fn pid(node: &Proxied) -> anyhow::Result<u32> {
    node.pid().context("no proxy runs")
}

pub(crate) fn mib(kib: u64) -> f64 {
    kib as f64 / 1_024.0
}
