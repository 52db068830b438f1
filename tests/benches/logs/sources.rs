//! What an event costs by where it comes from: the same messages as container lines, as lines of plain files, and as entries
//! of a journal.

use std::fs;
use std::path::Path;

use anyhow::ensure;
use safeguard_standins::{CloudWatch, Journald, Options, Shape};
use safeguard_tests::lines::Lines;
use safeguard_tests::node::{Output, SampleNode};

use crate::agent::Agent;

/// Files of a kind.
const FILES: u64 = 3;
const AVERAGE: usize = 200;

/// Puts events of one kind on a node.
type Write = fn(&SampleNode, u64) -> anyhow::Result<()>;

pub(crate) async fn run(events: u64) -> anyhow::Result<()> {
    println!("{events} events of about {AVERAGE} B of each kind, JSON with gzip; log level info");
    println!("{:<22} {:>12} {:>8} {:>10}", "", "us an event", "ratio", "peak MiB");
    let mut container_us = 0.0;
    let kinds: [(&str, Write); 3] =
        [("container lines", containers), ("file lines", files), ("journal entries", journal)];
    for (name, write) in kinds {
        let node = SampleNode::new(1)?;
        write(&node, events)?;
        let service = CloudWatch::start(Options { discard: true, ..Options::default() }).await?;
        let mut agent = Agent::start(&service, node.root(), "files.paths = [\"/var/log/app/*.log\"]")?;
        let status = agent.delivered(events).await?;
        let cost = agent.cost()?;
        ensure!(status["total"]["read"]["events"].as_u64() == Some(events), "not all of it was read");
        let us = cost.cpu.as_secs_f64() * 1e6 / events as f64;
        if container_us == 0.0 {
            container_us = us;
        }
        println!("{name:<22} {us:>12.2} {:>8.2} {:>10.1}", us / container_us, cost.peak_rss_kib as f64 / 1024.0);
        agent.stop()?;
    }
    Ok(())
}

fn containers(node: &SampleNode, events: u64) -> anyhow::Result<()> {
    for n in 0..FILES {
        node.container("bench", &format!("pod-{n}"), "app")?.lines(Output::Stdout, events / FILES)?;
    }
    Ok(())
}

fn files(node: &SampleNode, events: u64) -> anyhow::Result<()> {
    let dir = node.root().join("var/log/app");
    fs::create_dir_all(&dir)?;
    for n in 0..FILES {
        let mut lines = Lines::new(n, format!("file-{n}"), AVERAGE);
        let mut text = Vec::new();
        for _ in 0..events / FILES {
            // As rsyslog dates its lines.
            text.extend_from_slice(b"2026-11-24T01:00:00.123456+00:00 ");
            lines.append(&mut text);
            text.push(b'\n');
        }
        fs::write(dir.join(format!("{n}.log")), text)?;
    }
    Ok(())
}

/// Entries with the fields that journald gives each.
fn journal(node: &SampleNode, events: u64) -> anyhow::Result<()> {
    let dir = node.root().join("var/log/journal/0123456789abcdef0123456789abcdef");
    fs::create_dir_all(&dir)?;
    write_journal(&dir.join("system.journal"), events)
}

pub(crate) fn write_journal(path: &Path, events: u64) -> anyhow::Result<()> {
    let mut journal = Journald::create(path, 1, 1, Shape { compact: true })?;
    let mut lines = Lines::new(1, "unit", AVERAGE);
    let now_us = u64::try_from(safeguard_daemon::clock::now_ms())? * 1_000;
    for n in 0..events {
        let mut message = Vec::new();
        lines.append(&mut message);
        let at = (now_us + n).to_string();
        let unit: &[u8] = [&b"kubelet.service"[..], b"containerd.service", b"sshd.service"][usize::try_from(n % 3)?];
        let fields: [(&str, &[u8]); 20] = [
            ("MESSAGE", &message),
            ("PRIORITY", b"6"),
            ("SYSLOG_FACILITY", b"3"),
            ("SYSLOG_IDENTIFIER", &unit[..unit.len() - 8]),
            ("_TRANSPORT", b"stdout"),
            ("_STREAM_ID", b"11f5fdb0c1d94d4ea8b0a0a3a5e6b7c8"),
            ("_PID", b"1234"),
            ("_UID", b"0"),
            ("_GID", b"0"),
            ("_COMM", b"kubelet"),
            ("_EXE", b"/usr/bin/kubelet"),
            ("_CMDLINE", b"/usr/bin/kubelet --config /etc/kubernetes/kubelet/config.json"),
            ("_CAP_EFFECTIVE", b"1ffffffffff"),
            ("_SYSTEMD_CGROUP", b"/runtime.slice/kubelet.service"),
            ("_SYSTEMD_UNIT", unit),
            ("_SYSTEMD_SLICE", b"runtime.slice"),
            ("_SYSTEMD_INVOCATION_ID", b"22f5fdb0c1d94d4ea8b0a0a3a5e6b7c8"),
            ("_MACHINE_ID", b"0123456789abcdef0123456789abcdef"),
            ("_HOSTNAME", b"ip-10-0-12-34.eu-central-1.compute.internal"),
            ("_SOURCE_REALTIME_TIMESTAMP", at.as_bytes()),
        ];
        journal.append(now_us + n, &fields)?;
    }
    Ok(())
}
