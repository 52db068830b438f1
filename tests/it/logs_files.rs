//! Plain files of the node: rotation by renaming and by copying, identity, globs, and lines that belong together.

use std::path::PathBuf;
use std::time::Duration;

use safeguard_logs::{Format, LogName, Multiline, PathGlob, Selector};
use serde_json::Value;

use crate::rig::{PATIENCE, Rig, line, piece};

const HOST: &str = "/aws/containerinsights/prod/host";

/// A rig that reads plain files.
async fn rig(paths: &[&str]) -> Rig {
    let mut rig = Rig::new().await;
    rig.settings.files.paths = paths.iter().map(|p| PathGlob::new(p).unwrap()).collect();
    rig.settings.missing_period = Duration::from_secs(5);
    std::fs::create_dir_all(rig.root.path().join("var/log/app")).unwrap();
    rig
}

fn path(rig: &Rig, name: &str) -> PathBuf {
    rig.root.path().join("var/log/app").join(name)
}

fn append(rig: &Rig, name: &str, text: &str) {
    use std::io::Write;
    let mut file = std::fs::File::options().append(true).create(true).open(path(rig, name)).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn host_messages(rig: &Rig) -> Vec<String> {
    let streams = rig.service.streams(HOST);
    streams.iter().flat_map(|s| rig.service.events(HOST, s)).map(|e| e.message).collect()
}

/// Waits until exactly these lines are in the host group, in any order.
async fn delivered(rig: &Rig, expected: &[String]) {
    let mut expected = expected.to_vec();
    expected.sort();
    let late = tokio::time::Instant::now() + PATIENCE;
    loop {
        let mut found = host_messages(rig);
        found.sort();
        if found == expected {
            return;
        }
        if tokio::time::Instant::now() > late {
            let missing: Vec<_> = expected.iter().filter(|m| found.binary_search(m).is_err()).take(5).collect();
            let twice: Vec<_> = found.windows(2).filter(|w| w[0] == w[1]).map(|w| &w[0]).collect();
            let status = rig.status().await;
            panic!(
                "{} of {}; missing {missing:?}, {} twice: {:?}; {status:#?}",
                found.len(),
                expected.len(),
                twice.len(),
                twice.first(),
            );
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn numbered(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|n| format!("2026-11-24 07:00:00 line {n}")).collect()
}

fn text(lines: &[String]) -> String {
    lines.iter().map(|l| format!("{l}\n")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_a_file_are_events_of_the_host_group() {
    let mut rig = rig(&["/var/log/app/*.log"]).await;
    rig.settings.format = Format::Json;
    append(&rig, "a.log", "type=SYSCALL msg=audit(1795456242.123:4711): arch=c000003e\nwithout a time\n");
    rig.start();
    rig.until("two events", |r| host_messages(r).len() == 2).await;
    let status = rig.settled().await;
    let event: Value = serde_json::from_str(&host_messages(&rig)[0]).unwrap();
    assert_eq!(event["file"], "/var/log/app/a.log");
    assert!(event["log"].as_str().unwrap().starts_with("type=SYSCALL"));
    let times: Vec<i64> = rig.service.events(HOST, "node-1").iter().map(|e| e.timestamp).collect();
    assert_eq!(times[0], 1_795_456_242_123, "the time is the line's own");
    assert_eq!(status.logs.len(), 1);
    assert_eq!(status.logs[0].name, LogName::File { path: "/var/log/app/a.log".into() });
    assert_eq!(status.logs[0].ledger.delivered.events, 2);
}

/// fluent/fluent-bit#5114, #1712, aws/amazon-cloudwatch-agent#447, open-telemetry/opentelemetry-collector-contrib#2946,
/// #35777, #40200: after renaming, the old file is read to its end and the new one from its start; a banner that all of them
/// begin with changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn rotation_by_renaming_loses_and_repeats_nothing() {
    let mut rig = rig(&["/var/log/app/a.log"]).await;
    let banner = format!("# {}\n", "this file starts like all of its kind ".repeat(8));
    append(&rig, "a.log", &banner);
    rig.start();
    let mut expected = vec![banner.trim_end_matches('\n').to_owned()];
    for rotation in 0..6 {
        let (from, to) = (rotation * 100, rotation * 100 + 90);
        append(&rig, "a.log", &text(&numbered(from, to)));
        expected.extend(numbered(from, to));
        if rotation == 3 {
            delivered(&rig, &expected).await;
            // Until the checkpoint is written: what was delivered since would be delivered again.
            tokio::time::sleep(Duration::from_secs(1)).await;
            rig.restart().await;
        }
        if rotation == 4 {
            rig.settled().await;
            rig.drain().await;
        }
        for n in (1..4).rev() {
            if path(&rig, &format!("a.log.{n}")).exists() {
                std::fs::rename(path(&rig, &format!("a.log.{n}")), path(&rig, &format!("a.log.{}", n + 1))).unwrap();
            }
        }
        std::fs::rename(path(&rig, "a.log"), path(&rig, "a.log.1")).unwrap();
        // The writer has not reopened yet.
        append(&rig, "a.log.1", &text(&numbered(to, to + 10)));
        append(&rig, "a.log", &banner);
        expected.extend(numbered(to, to + 10));
        expected.push(banner.trim_end_matches('\n').to_owned());
        if rotation == 4 {
            rig.start();
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    delivered(&rig, &expected).await;
    assert_eq!(rig.settled().await.total.abandoned_bytes, 0);
}

/// aws/amazon-cloudwatch-agent PR#1645: rotation is noticed after a reload as well.
#[tokio::test(flavor = "multi_thread")]
async fn rotation_is_noticed_after_a_reload() {
    let mut rig = rig(&["/var/log/app/a.log"]).await;
    rig.start();
    append(&rig, "a.log", &text(&numbered(0, 10)));
    delivered(&rig, &numbered(0, 10)).await;
    rig.logs.as_ref().unwrap().reload(rig.settings.clone());
    for rotation in 1..4 {
        append(&rig, "a.log", &text(&numbered(rotation * 10, rotation * 10 + 10)));
        std::fs::rename(path(&rig, "a.log"), path(&rig, &format!("a.log-2026112{rotation}"))).unwrap();
    }
    append(&rig, "a.log", &text(&numbered(40, 50)));
    delivered(&rig, &numbered(0, 50)).await;
}

/// fluent/fluent-bit PR#4143, PR#4297: bytes that are no UTF-8 and lines full of escapes arrive, and stop nothing.
#[tokio::test(flavor = "multi_thread")]
async fn any_bytes_arrive() {
    use std::io::Write;
    let mut rig = rig(&["/var/log/app/a.log"]).await;
    rig.settings.format = Format::Json;
    let mut file = std::fs::File::create(path(&rig, "a.log")).unwrap();
    file.write_all(b"broken \xff\xfe here\n\\\"\\\x01\x7f\t\r\n\n").unwrap();
    for _ in 0..3 {
        file.write_all(&[&[0x80; 700_000][..], b"\\\n"].concat()).unwrap();
    }
    file.write_all(b"end\n").unwrap();
    rig.start();
    rig.until("the end", |r| host_messages(r).iter().any(|m| m.contains("\"end\""))).await;
    let status = rig.settled().await;
    assert_eq!(status.total.delivered.events, 7, "{:#?}", status.total);
    assert_eq!(status.total.repaired, 4);
    let texts: Vec<String> = host_messages(&rig)
        .iter()
        .map(|m| serde_json::from_str::<Value>(m).unwrap()["log"].as_str().unwrap().to_owned())
        .collect();
    // Batches of one stream that were sent again may change places.
    for expected in ["broken \u{fffd}\u{fffd} here", "\\\"\\\u{1}\u{7f}\t\r"] {
        assert_eq!(texts.iter().filter(|text| *text == expected).count(), 1, "{expected:?}");
    }
}

/// logrotate's `copytruncate`: what was not read of the original is read in the copy, and what was read is not read again.
#[tokio::test(flavor = "multi_thread")]
async fn rotation_by_copying_loses_and_repeats_nothing() {
    let mut rig = rig(&["/var/log/app/a.log"]).await;
    rig.start();
    let mut expected = Vec::new();
    for rotation in 0..5usize {
        if rotation == 2 {
            // Nothing of this round is read before the original is cut.
            rig.service.go_down().await;
        }
        if rotation == 3 {
            rig.settled().await;
            rig.drain().await;
        }
        let lines = numbered(rotation * 100, rotation * 100 + 100);
        append(&rig, "a.log", &text(&lines));
        expected.extend(lines);
        tokio::time::sleep(Duration::from_millis(if rotation % 2 == 0 { 10 } else { 300 })).await;
        if path(&rig, "a.log.1").exists() {
            std::fs::rename(path(&rig, "a.log.1"), path(&rig, "a.log.2")).unwrap();
        }
        std::fs::copy(path(&rig, "a.log"), path(&rig, "a.log.1")).unwrap();
        std::fs::File::options().write(true).open(path(&rig, "a.log")).unwrap().set_len(0).unwrap();
        if rotation == 3 {
            rig.start();
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        if rotation == 2 {
            rig.service.come_up().await.unwrap();
            delivered(&rig, &expected).await;
        }
    }
    delivered(&rig, &expected).await;
    assert_eq!(rig.settled().await.total.abandoned_bytes, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_cut_without_a_copy_is_counted() {
    let mut rig = rig(&["/var/log/app/a.log"]).await;
    rig.settings.memory_budget = 1;
    rig.start();
    append(&rig, "a.log", &text(&numbered(0, 1)));
    delivered(&rig, &numbered(0, 1)).await;
    rig.settled().await;
    rig.service.go_down().await;
    append(&rig, "a.log", &text(&numbered(1, 60_000)));
    tokio::time::sleep(Duration::from_millis(500)).await;
    std::fs::File::options().write(true).open(path(&rig, "a.log")).unwrap().set_len(0).unwrap();
    append(&rig, "a.log", &text(&numbered(60_000, 60_001)));
    tokio::time::sleep(Duration::from_millis(500)).await;
    rig.service.come_up().await.unwrap();
    rig.until("the line after the cut", |r| host_messages(r).contains(&numbered(60_000, 60_001)[0])).await;
    let mut status = rig.status().await;
    for _ in 0..300 {
        if status.total.abandoned_bytes > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        status = rig.status().await;
    }
    let size = text(&numbered(0, 60_001)).len() as u64;
    let accounted = status.total.delivered.bytes + status.total.abandoned_bytes;
    assert_eq!(accounted, size, "{status:#?}");
}

/// A writer that keeps its offset leaves a hole when its file is cut; ten gigabytes of it are not read.
#[tokio::test(flavor = "multi_thread")]
async fn a_hole_of_ten_gigabytes_is_passed_over() {
    use std::os::unix::fs::FileExt;
    let mut rig = rig(&["/var/log/app/a.log"]).await;
    append(&rig, "a.log", "before\n");
    let file = std::fs::File::options().write(true).open(path(&rig, "a.log")).unwrap();
    file.write_all_at(b"behind\n", 10_000_000_000).unwrap();
    rig.start();
    delivered(&rig, &["before".to_owned(), "behind".to_owned()]).await;
    rig.settled().await;
}

/// What is not a regular file of this host is not read: a link out of the host root, a FIFO, a directory.
#[tokio::test(flavor = "multi_thread")]
async fn only_regular_files_are_read() {
    let mut rig = rig(&["/var/log/app/*"]).await;
    std::os::unix::fs::symlink("/etc/passwd", path(&rig, "passwd")).unwrap();
    std::os::unix::fs::symlink("../../../../../../etc/passwd", path(&rig, "relative")).unwrap();
    nix::unistd::mkfifo(&path(&rig, "fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::fs::create_dir(path(&rig, "dir")).unwrap();
    append(&rig, "good", "good\n");
    rig.start();
    delivered(&rig, &["good".to_owned()]).await;
    let status = rig.settled().await;
    let refused: Vec<String> = status.logs.iter().filter_map(|l| l.last_error.clone()).collect();
    assert_eq!(refused.len(), 3, "{refused:?}");
    assert!(refused.iter().all(|e| e.contains("not a regular file")), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_is_made_again_is_read() {
    let mut rig = rig(&["/var/log/app/*.log"]).await;
    rig.start();
    append(&rig, "a.log", "first\n");
    delivered(&rig, &["first".to_owned()]).await;
    rig.settled().await;
    std::fs::remove_dir_all(rig.root.path().join("var/log/app")).unwrap();
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    std::fs::create_dir_all(rig.root.path().join("var/log/app")).unwrap();
    append(&rig, "a.log", "second\n");
    delivered(&rig, &["first".to_owned(), "second".to_owned()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_glob_that_matches_5000_files_is_read() {
    let mut rig = rig(&["/var/log/app/*.log"]).await;
    let mut expected = Vec::new();
    for n in 0..5_000 {
        append(&rig, &format!("{n}.log"), &format!("of {n}\n"));
        expected.push(format!("of {n}"));
    }
    rig.start();
    delivered(&rig, &expected).await;
    append(&rig, "4321.log", "more\n");
    expected.push("more".to_owned());
    delivered(&rig, &expected).await;
    assert_eq!(rig.settled().await.logs.len(), 5_000);
}

/// fluent/fluent-bit#3926, #8353: the lines of a trace stay together although the service is away, the agent is restarted,
/// and the log is rotated in the middle.
#[tokio::test(flavor = "multi_thread")]
async fn a_stack_trace_is_one_event_whatever_happens_meanwhile() {
    let mut rig = rig(&["/var/log/app/a.log"]).await;
    rig.settings.multiline.files.push((PathGlob::new("/var/log/app/*").unwrap(), Multiline::StackTraces));
    rig.settings.multiline.containers.push((Selector::new("default/web").unwrap(), Multiline::StackTraces));
    rig.settings.multiline.period = Duration::from_secs(3);
    rig.start();
    let start = "java.lang.IllegalStateException: no stock\n\tat a.B.c(B.java:1)\n";
    let end = "\tat a.B.d(B.java:2)\nCaused by: x.Y: z\n\tat a.B.e(B.java:3)\n";
    append(&rig, "a.log", start);
    tokio::time::sleep(Duration::from_millis(500)).await;
    rig.service.go_down().await;
    rig.restart().await;
    std::fs::rename(path(&rig, "a.log"), path(&rig, "a.log.1")).unwrap();
    append(&rig, "a.log", end);
    append(&rig, "a.log", "next\n");
    let log = rig.log("web", "app");
    log.append("0.log", (line("a.b.CException: x") + &piece("stderr", "F", "other")).as_bytes());
    log.append("0.log", (piece("stdout", "P", "\tat a.") + &piece("stdout", "F", "b") + &line("end")).as_bytes());
    tokio::time::sleep(Duration::from_millis(700)).await;
    rig.service.come_up().await.unwrap();
    delivered(&rig, &[format!("{start}{end}").trim_end().to_owned(), "next".to_owned()]).await;
    rig.delivered(&["a.b.CException: x\n\tat a.b", "other", "end"]).await;
    rig.settled().await;
}

/// fluent/fluent-bit#11478: lines that belong together without end do not wait without end, in time or in memory.
#[tokio::test(flavor = "multi_thread")]
async fn lines_that_never_end_an_event_are_sent_all_the_same() {
    let mut rig = rig(&["/var/log/app/a.log"]).await;
    let start = Multiline::start("^BEGIN").unwrap();
    rig.settings.multiline.files.push((PathGlob::new("/var/log/app/*").unwrap(), start));
    rig.start();
    append(&rig, "a.log", "BEGIN one\nmore\n");
    delivered(&rig, &["BEGIN one\nmore".to_owned()]).await;
    let long: String = (0..60_000).map(|n| format!("continuation line number {n}\n")).collect();
    append(&rig, "a.log", &format!("BEGIN two\n{long}"));
    rig.until("all of it", |r| host_messages(r).iter().map(String::len).sum::<usize>() > long.len()).await;
    let status = rig.settled().await;
    let longest = host_messages(&rig).iter().map(String::len).max().unwrap();
    assert!(longest <= 1_048_550 && status.total.delivered.events >= 3, "{longest}");
    let parts: Vec<String> = host_messages(&rig).into_iter().filter(|m| m.contains("continuation")).collect();
    let lines: usize = parts.iter().map(|p| p.lines().filter(|l| l.starts_with("continuation")).count()).sum();
    assert_eq!(lines, 60_000, "cut between lines only");
}
