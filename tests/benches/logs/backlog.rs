//! A backlog, delivered as fast as it goes.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use safeguard_standins::{CloudWatch, Options};
use safeguard_tests::node::{Output, SampleNode};

use crate::agent::Agent;

pub(crate) async fn run(files: usize, lines: u64) -> anyhow::Result<()> {
    let (node, bytes) = written(files, lines)?;
    let root = node.root();
    let total = files as u64 * lines;
    println!(
        "{total} lines in {files} files, {:.0} B a line with the runtime's head; log level info",
        bytes as f64 / total as f64
    );
    println!(
        "{:<34} {:>12} {:>8} {:>12} {:>10} {:>10}",
        "", "us a line", "ratio", "lines/s CPU", "peak MiB", "wire MiB"
    );
    let mut floor_us = 0.0;
    for tls in [false, true] {
        let floor = floor(files, lines, tls).await?;
        if !tls {
            floor_us = per_line(floor, total);
        }
        row(&format!("floor: plain SDK, raw{}", suffix(tls)), per_line(floor, total), floor_us, None);
    }
    for tls in [false, true] {
        for (name, settings) in [
            ("raw", "format = \"raw\"\ngzip_level = 0"),
            ("raw, gzip", "format = \"raw\"\ngzip_level = 1"),
            ("JSON", "format = \"json\"\ngzip_level = 0"),
            ("JSON, gzip (default)", "format = \"json\"\ngzip_level = 1"),
        ] {
            let service = service(tls).await?;
            drop(std::fs::remove_dir_all(root.join("agent")));
            let mut agent = Agent::start(&service, root, settings)?;
            let status = agent.delivered(total).await?;
            let cost = agent.cost()?;
            let read = status["total"]["read"]["events"].as_u64();
            ensure!(read == Some(total), "{read:?} of {total} read");
            ensure!(service.counts().events_stored == total, "the service has {:?}", service.counts().events_stored);
            let wire = service.counts().bytes_received as f64 / 1_048_576.0;
            let peak = cost.peak_rss_kib as f64 / 1024.0;
            row(&format!("agent: {name}{}", suffix(tls)), per_line(cost.cpu, total), floor_us, Some((peak, wire)));
            agent.stop()?;
        }
    }
    Ok(())
}

fn suffix(tls: bool) -> &'static str {
    if tls { ", TLS" } else { "" }
}

fn per_line(cpu: Duration, lines: u64) -> f64 {
    cpu.as_secs_f64() * 1e6 / lines as f64
}

fn row(name: &str, us: f64, floor_us: f64, rest: Option<(f64, f64)>) {
    let (peak, wire) = rest.map_or(("-".to_owned(), "-".to_owned()), |(p, w)| (format!("{p:.1}"), format!("{w:.0}")));
    println!("{name:<34} {us:>12.2} {:>8.2} {:>12.0} {peak:>10} {wire:>10}", us / floor_us, 1e6 / us);
}

async fn service(tls: bool) -> anyhow::Result<CloudWatch> {
    Ok(CloudWatch::start(Options { discard: true, tls, ..Options::default() }).await?)
}

/// A node whose containers have written their lines already, and how many bytes that are.
pub(crate) fn written(containers: usize, lines: u64) -> anyhow::Result<(SampleNode, u64)> {
    let node = SampleNode::new(1)?;
    let mut size = 0;
    for container in 0..containers {
        let mut writer = node.container("bench", &format!("pod-{container}"), "app")?;
        writer.lines(Output::Stdout, lines)?;
        size += writer.length();
    }
    Ok((node, size))
}

async fn floor(files: usize, lines: u64, tls: bool) -> anyhow::Result<Duration> {
    let service = service(tls).await?;
    let dir = tempfile::tempdir()?;
    let credential = service.credential();
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["floor", &service.url(), &files.to_string(), &lines.to_string()])
        .env("AWS_ACCESS_KEY_ID", &credential.access_key_id)
        .env("AWS_SECRET_ACCESS_KEY", &credential.secret_access_key);
    if let Some(pem) = service.ca_pem() {
        std::fs::write(dir.path().join("ca.pem"), pem)?;
        command.arg("--ca").arg(dir.path().join("ca.pem"));
    }
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let micros: u64 = String::from_utf8_lossy(&output.stdout).trim().parse().context("the floor printed no number")?;
    Ok(Duration::from_micros(micros))
}
