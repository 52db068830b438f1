//! Real logrotate: whatever it does to a log, every line arrives, and once.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use safeguard_logs::PathGlob;
use tokio::time::Instant;

use crate::rig::{PATIENCE, Rig};
use safeguard_tests::parts::{Part, here};

const HOST: &str = "/aws/containerinsights/prod/host";
const ROTATIONS: usize = 6;

fn append(path: &Path, from: usize, to: usize) {
    use std::io::Write;
    let text: String = (from..to).map(|n| format!("2026-11-24 01:00:00 line {n}\n")).collect();
    let mut file = std::fs::File::options().append(true).create(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn rotate(dir: &Path, options: &str) {
    let conf = dir.join("rotate.conf");
    let block = format!("\"{}/app.log\" {{\n  su root root\n  rotate 20\n  {options}\n}}\n", dir.display());
    std::fs::write(&conf, block).unwrap();
    std::fs::set_permissions(&conf, std::fs::Permissions::from_mode(0o644)).unwrap();
    let run =
        Command::new("/usr/sbin/logrotate").arg("-s").arg(dir.join("state")).arg("-f").arg(&conf).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
}

/// Writes, rotates, and now and then stops the agent or the service; then every line is there, and once.
async fn survives(test: &str, options: &str, pause: Duration) {
    if !here(test, Part::Logrotate) {
        return;
    }
    let mut rig = Rig::new().await;
    rig.settings.files.paths = vec![PathGlob::new("/var/log/app.log").unwrap()];
    let dir = rig.root.path().join("var/log");
    let log = dir.join("app.log");
    append(&log, 0, 10);
    rig.start();
    let mut next = 10;
    for rotation in 0..ROTATIONS {
        if rotation == 2 {
            // A request whose reply is cut off was stored, and is sent again: nobody can tell. Nothing may be on its way here.
            rig.settled().await;
            rig.service.go_down().await;
        }
        if rotation == 4 {
            rig.settled().await;
            assert!(rig.drain().await.complete);
        }
        append(&log, next, next + 500);
        next += 500;
        if rotation % 2 == 0 {
            tokio::time::sleep(Duration::from_millis(120)).await;
        }
        rotate(&dir, options);
        append(&log, next, next + 20);
        next += 20;
        match rotation {
            3 => rig.service.come_up().await.unwrap(),
            5 => rig.start(),
            _ => {}
        }
        tokio::time::sleep(pause).await;
    }
    let late = Instant::now() + PATIENCE;
    loop {
        let mut found: Vec<usize> = Vec::new();
        for stream in rig.service.streams(HOST) {
            let events = rig.service.events(HOST, &stream);
            found.extend(events.iter().map(|e| e.message.rsplit(' ').next().unwrap().parse::<usize>().unwrap()));
        }
        found.sort_unstable();
        if found.iter().copied().eq(0..next) {
            break;
        }
        if Instant::now() > late {
            let missing: Vec<usize> = (0..next).filter(|n| found.binary_search(n).is_err()).collect();
            let twice: Vec<usize> = found.windows(2).filter(|w| w[0] == w[1]).map(|w| w[0]).collect();
            let files: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|e| e.unwrap().file_name()).collect();
            panic!(
                "{} missing from {:?}, {} twice from {:?} to {:?}: {files:?} {:#?}",
                missing.len(),
                missing.first(),
                twice.len(),
                twice.first(),
                twice.last(),
                rig.status().await
            );
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(rig.settled().await.total.abandoned_bytes, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn create_and_compress_at_once() {
    let options = "compress\n  create 0640 root root";
    survives("logrotate::create_and_compress_at_once", options, Duration::from_millis(200)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn create_and_compress_later() {
    let options = "compress\n  delaycompress\n  create 0640 root root";
    survives("logrotate::create_and_compress_later", options, Duration::from_millis(200)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn copytruncate() {
    survives("logrotate::copytruncate", "copytruncate", Duration::from_millis(200)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn copytruncate_and_compress() {
    survives("logrotate::copytruncate_and_compress", "copytruncate\n  compress", Duration::from_millis(200)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_with_dates() {
    let options = "dateext\n  dateformat -%Y%m%d-%s\n  compress\n  delaycompress\n  create 0640 root root";
    survives("logrotate::names_with_dates", options, Duration::from_millis(1_100)).await;
}
