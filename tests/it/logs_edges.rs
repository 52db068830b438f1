//! Rare ends of files: torn archives, deleted pods, and draining in the middle of something.

use std::time::Duration;

use safeguard_logs::{NameKind, Selector, Settings, Status, Template};
use safeguard_standins::Fault;

use crate::rig::{LogPath, Rig, line, piece};

/// A `.gz` that the kubelet did not finish: what can be read of it is delivered, the status says why the rest is not, and
/// nothing waits for it any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_torn_gz_delivers_what_can_be_read_and_ends() {
    use std::io::Write;
    let mut rig = Rig::new().await;
    rig.settings.missing_period = Duration::from_secs(1);
    let log = rig.log("web", "app");
    let contents: Vec<_> = (0..20_000).map(|n| format!("line {n}, whole")).collect();
    let text: String = contents.iter().map(|c| line(c)).collect();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    let packed = encoder.finish().unwrap();
    std::fs::write(log.path("0.log.20261123-000000.gz"), &packed[..packed.len() / 2]).unwrap();
    log.write("0.log", &["after it"]);
    rig.start();
    rig.until("the next file", |r| r.messages().iter().any(|m| m == "after it")).await;
    rig.settled().await;
    let messages = rig.messages();
    // All up to the tear, each once; the line at the tear is cut.
    let whole = messages.iter().filter(|m| contents.contains(m)).count();
    assert!(whole > 5_000 && messages.len() - whole <= 2, "{whole} of {}", messages.len());
    assert!(contents[..whole - 1].iter().all(|c| messages.iter().filter(|m| *m == c).count() == 1));
    // It is over: nothing is behind, it is not read again, and listings of its directory do not hide what was wrong.
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(rig.messages().len(), messages.len());
    let status = rig.status().await;
    assert_eq!((status.behind_bytes, status.logs[0].open_files), (0, 1));
    let error = status.logs[0].last_error.clone().unwrap_or_default();
    assert!(error.contains("0.log.20261123-000000.gz"), "{error:?}");
    std::fs::remove_file(log.path("0.log.20261123-000000.gz")).unwrap();
    for _ in 0..200 {
        if rig.status().await.logs[0].last_error.is_none() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{:#?}", rig.status().await);
}

/// Pieces of a line whose end has not come stay for the next start, and draining does not say that all is done.
#[tokio::test(flavor = "multi_thread")]
async fn draining_is_not_complete_while_a_line_waits_for_its_end() {
    let mut rig = Rig::new().await;
    rig.settings.partial_period = Duration::from_secs(60);
    for (pod, unfinished) in [("pieces", piece("stdout", "P", "half of a")), ("bytes", "2026-11-23T10".to_owned())] {
        rig.start();
        let log = rig.log(pod, "app");
        log.write("0.log", &[pod]);
        log.append("0.log", unfinished.as_bytes());
        rig.until("the whole line", |r| r.messages().iter().any(|m| m == pod)).await;
        let drained = rig.drain().await;
        assert_eq!((drained.complete, drained.status.behind_bytes), (false, unfinished.len() as u64), "{pod}");
        let end = if pod == "pieces" { piece("stdout", "F", " line") } else { ":00:00Z stdout F x\n".to_owned() };
        log.append("0.log", end.as_bytes());
        rig.start();
        rig.until("the other line", |r| r.messages().iter().any(|m| m == "half of a line")).await;
        rig.settled().await;
        let drained = rig.drain().await;
        assert_eq!((drained.complete, drained.status.behind_bytes), (true, 0), "{pod}");
    }
}

/// A run that another one follows has said its last words: draining does not leave them behind.
#[tokio::test(flavor = "multi_thread")]
async fn draining_sends_the_last_words_of_a_run_that_another_one_follows() {
    let mut rig = Rig::new().await;
    rig.settings.quiet_period = Duration::from_secs(60);
    rig.start();
    let log = rig.log("web", "app");
    log.write("0.log", &["first run"]);
    log.append("0.log", piece("stderr", "P", "panic at").as_bytes());
    log.write("1.log", &["second run"]);
    rig.delivered(&["first run", "second run"]).await;
    let drained = rig.drain().await;
    assert!(rig.messages().iter().any(|m| m == "panic at"), "{:?}", rig.messages());
    assert_eq!((drained.complete, drained.status.behind_bytes), (true, 0));
}

/// A file that the disk does not give waits to be tried again: it is not drained.
#[tokio::test(flavor = "multi_thread")]
async fn draining_is_not_complete_while_a_file_cannot_be_read() {
    use nix::mount::{MntFlags, MsFlags, mount, umount2};
    let mut rig = Rig::new().await;
    let log = rig.log("web", "app");
    log.write("0.log", &["a line"]);
    let (path, none) = (log.path("0.log"), None::<&str>);
    // Every read of this file is an error: the loopback interface has no duplex mode.
    mount(Some("/sys/class/net/lo/duplex"), &path, none, MsFlags::MS_BIND, none).expect("this test needs root");
    rig.start();
    for _ in 0..100 {
        if rig.status().await.logs.first().is_some_and(|log| log.behind_bytes > 0) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let drained = rig.drain_within(Duration::from_millis(700)).await;
    umount2(&path, MntFlags::MNT_DETACH).unwrap();
    assert!(drained.status.behind_bytes > 0, "{:#?}", drained.status);
    assert!(!drained.complete);
}

/// Waits until the status says something.
async fn status_that(rig: &Rig, what: &str, holds: impl Fn(&Status) -> bool) -> Status {
    for _ in 0..600 {
        let status = rig.status().await;
        if holds(&status) {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what}: {:#?}", rig.status().await);
}

fn size_of(log: &LogPath) -> u64 {
    std::fs::metadata(log.path("0.log")).unwrap().len()
}

fn remove_pod(log: &LogPath) {
    std::fs::remove_dir_all(log.0.parent().unwrap()).unwrap();
}

/// Of a file that is deleted while the agent is down, only the bytes that were not delivered are given up.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_delivered_of_a_file_deleted_while_down_is_not_given_up() {
    let mut rig = Rig::new().await;
    (rig.settings.partial_period, rig.settings.missing_period) = (Duration::from_secs(60), Duration::from_secs(1));
    rig.start();
    let log = rig.log("job", "main");
    let waiting = piece("stderr", "P", "no end");
    log.append("0.log", waiting.as_bytes());
    log.write("0.log", &(0..100).map(|n| format!("line {n}")).collect::<Vec<_>>());
    rig.until("all lines", |r| r.messages().len() == 100).await;
    let delivered = rig.drain().await.status.total.delivered.bytes;
    let size = size_of(&log);
    remove_pod(&log);
    rig.start();
    let status = status_that(&rig, "bytes given up", |s| s.total.abandoned_bytes > 0).await;
    assert_eq!(status.total.abandoned_bytes, waiting.len() as u64);
    assert_eq!(delivered + status.total.abandoned_bytes, size);
}

/// The same for a file whose lines were given back in an outage and that is deleted and let go.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_delivered_of_a_file_that_is_let_go_is_not_given_up() {
    let mut rig = Rig::new().await;
    (rig.settings.partial_period, rig.settings.pinned_bytes) = (Duration::from_secs(60), 100_000);
    rig.settings.memory_budget = 1;
    rig.start();
    let log = rig.log("job", "main");
    let lines = |from: usize, to: usize| (from..to).map(|n| format!("{n} {}", "x".repeat(200))).collect::<Vec<_>>();
    log.append("0.log", piece("stderr", "P", "no end").as_bytes());
    log.write("0.log", &lines(0, 5_000));
    rig.until("the first lines", |r| r.messages().len() == 5_000).await;
    rig.service.go_down().await;
    log.write("0.log", &lines(5_000, 20_000));
    status_that(&rig, "lines given back", |s| s.total.returned.events > 0).await;
    let size = size_of(&log);
    remove_pod(&log);
    status_that(&rig, "the file let go", |s| s.total.abandoned_bytes > 0 && s.pinned_bytes == 0).await;
    rig.service.come_up().await.unwrap();
    let status = rig.settled().await;
    assert_eq!(status.total.delivered.bytes + status.total.abandoned_bytes, size, "{:#?}", status.total);
}

/// Compressed files whose group refuses them do not keep those of other groups from being read.
#[tokio::test(flavor = "multi_thread")]
async fn compressed_files_of_a_denied_group_hold_no_place() {
    let mut rig = Rig::new().await;
    rig.settings.application_group = Template::new(NameKind::Group, "/logs/{namespace}/{pod}").unwrap();
    rig.settings.memory_budget = 4 * 1024 * 1024;
    rig.service.faults().when(|r| r.group.contains("denied").then(Fault::denied));
    let compressed = |rig: &Rig, pod: &str, lines: usize| {
        let log = rig.log(pod, "app");
        log.write("0.log.20261123-000000", &(0..lines).map(|n| format!("{n} {}", "z".repeat(200))).collect::<Vec<_>>());
        log.gzip("0.log.20261123-000000");
    };
    // More than are read at the same time, each more than the memory.
    (0..12).for_each(|i| compressed(&rig, &format!("denied-{i}"), 20_000));
    rig.start();
    let refused = |s: &Status| s.targets.iter().filter(|t| t.failures > 0).count();
    status_that(&rig, "eight that are refused", |s| refused(s) >= 8).await;
    compressed(&rig, "fine", 100);
    rig.until("the group that is allowed", |r| r.service.events("/logs/default/fine", "node-1").len() == 100).await;
}

/// What is excluded after its pod was deleted holds no disk space any more.
#[tokio::test(flavor = "multi_thread")]
async fn excluding_a_deleted_pod_frees_its_disk_space() {
    let mut rig = Rig::started().await;
    let log = rig.log("job", "main");
    log.write("0.log", &["first"]);
    rig.delivered(&["first"]).await;
    rig.service.go_down().await;
    log.write("0.log", &(0..1_000).map(|n| format!("line {n}")).collect::<Vec<_>>());
    remove_pod(&log);
    status_that(&rig, "a deleted file that is held open", |s| s.pinned_bytes > 0 && s.logs[0].gone).await;
    rig.settings.exclude = vec![Selector::new("*/job").unwrap()];
    let settings: Settings = rig.settings.clone();
    rig.logs.as_ref().unwrap().reload(settings);
    status_that(&rig, "nothing held", |s| s.pinned_bytes == 0 && s.logs[0].open_files == 0).await;
    // It stays so, also when what was in flight comes back.
    rig.service.come_up().await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let status = rig.status().await;
    assert_eq!((status.pinned_bytes, status.logs[0].open_files, status.behind_bytes), (0, 0, 0), "{status:#?}");
}

/// The file in which a line was to go on is cut: the line's first pieces are given up, and the file they stand in ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_carried_line_whose_next_file_is_cut_is_given_up() {
    let mut rig = Rig::new().await;
    rig.settings.partial_period = Duration::from_secs(60);
    rig.start();
    let log = rig.log("web", "app");
    let first = piece("stdout", "P", "no end");
    log.append("0.log", (line("a") + &first).as_bytes());
    rig.delivered(&["a"]).await;
    log.rename("0.log", "0.log.20261123-000001");
    let second = piece("stdout", "P", " yet");
    log.append("0.log", (second.clone() + &piece("stderr", "F", "b")).as_bytes());
    rig.delivered(&["a", "b"]).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    std::fs::File::options().write(true).open(log.path("0.log")).unwrap().set_len(0).unwrap();
    let cut = |s: &Status| s.total.abandoned_bytes > 0;
    status_that(&rig, "bytes given up", cut).await;
    log.write("0.log", &["c"]);
    rig.delivered(&["a", "b", "c"]).await;
    let status = status_that(&rig, "the first file closed", |s| s.logs[0].open_files == 1 && s.behind_bytes == 0).await;
    assert_eq!(status.total.abandoned_bytes, (first.len() + second.len()) as u64);
}
