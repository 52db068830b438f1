//! Rotation, identity and restarts: nothing that a container wrote is lost while its file exists.

use std::time::Duration;

use crate::rig::{Rig, line, of_pod, piece, time_of};

fn numbered(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|n| format!("line {n}")).collect()
}

fn refs(lines: &[String]) -> Vec<&str> {
    lines.iter().map(String::as_str).collect()
}

/// fluent/fluent-bit#10414, #2847: a rotated file with pending bytes is read to its end, however long the service is away.
#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_file_is_drained_after_an_outage() {
    let rig = Rig::started().await;
    let log = rig.log("web", "app");
    rig.service.go_down().await;
    log.write("0.log", &numbered(0, 1000));
    tokio::time::sleep(Duration::from_millis(300)).await;
    for rotation in 1..4 {
        log.rename("0.log", &format!("0.log.20261123-00000{rotation}"));
        log.write("0.log", &numbered(rotation * 1000, rotation * 1000 + 1000));
        if rotation > 1 {
            log.gzip(&format!("0.log.20261123-00000{}", rotation - 1));
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    rig.service.come_up().await.unwrap();
    rig.delivered(&refs(&numbered(0, 4000))).await;
    let status = rig.settled().await;
    assert_eq!(status.total.delivered.events, 4000);
    assert_eq!(status.total.abandoned_bytes, 0);
}

/// fluent/fluent-bit#1108, #2110, #5799, fluent/fluentd#4693, fluent/fluentd-kubernetes-daemonset#465,
/// vectordotdev/vector#7934, #12014, #18710: back-to-back rotations under load.
#[tokio::test(flavor = "multi_thread")]
async fn back_to_back_rotations_lose_nothing() {
    let rig = Rig::started().await;
    let log = rig.log("web", "app");
    let mut n = 0;
    for rotation in 0..30 {
        for _ in 0..5 {
            log.write("0.log", &numbered(n, n + 200));
            n += 200;
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        let rotated = format!("0.log.20261123-0000{rotation:02}");
        log.rename("0.log", &rotated);
        // The runtime keeps writing to the renamed file until it reopens.
        log.write(&rotated, &numbered(n, n + 50));
        n += 50;
        log.write("0.log", &numbered(n, n + 10));
        n += 10;
        if rotation >= 1 {
            log.gzip(&format!("0.log.20261123-0000{:02}", rotation - 1));
        }
        if rotation >= 4 {
            std::fs::remove_file(log.path(&format!("0.log.20261123-0000{:02}.gz", rotation - 4))).unwrap();
        }
    }
    rig.delivered(&refs(&numbered(0, n))).await;
    assert_eq!(rig.settled().await.total.returned.events, 0);
}

/// The kubelet renames a file back when the runtime does not reopen it.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_gets_its_name_back_is_still_the_same_file() {
    let rig = Rig::started().await;
    let log = rig.log("web", "app");
    log.write("0.log", &numbered(0, 10));
    rig.delivered(&refs(&numbered(0, 10))).await;
    log.rename("0.log", "0.log.20261123-000001");
    log.write("0.log.20261123-000001", &numbered(10, 20));
    tokio::time::sleep(Duration::from_millis(2500)).await;
    log.rename("0.log.20261123-000001", "0.log");
    log.write("0.log", &numbered(20, 30));
    rig.delivered(&refs(&numbered(0, 30))).await;
}

/// fluent/fluent-bit#5024, #2123: after several rotations while it was down, the agent goes on where it was, inside the `.gz`.
#[tokio::test(flavor = "multi_thread")]
async fn reading_goes_on_inside_the_gz_after_being_down_for_several_rotations() {
    let mut rig = Rig::started().await;
    let log = rig.log("web", "app");
    log.write("0.log", &numbered(0, 500));
    rig.delivered(&refs(&numbered(0, 500))).await;
    rig.settled().await;
    rig.drain().await;
    log.write("0.log", &numbered(500, 1000));
    log.rename("0.log", "0.log.20261123-000001");
    log.write("0.log", &numbered(1000, 1500));
    log.gzip("0.log.20261123-000001");
    log.rename("0.log", "0.log.20261123-000002");
    log.gzip("0.log.20261123-000002");
    log.write("0.log", &numbered(1500, 2000));
    log.rename("0.log", "0.log.20261123-000003");
    log.write("0.log", &numbered(2000, 2010));
    rig.start();
    rig.delivered(&refs(&numbered(0, 2010))).await;
    rig.settled().await;
    // Delivered once, they are not read again after another restart, nor when the last plain one is compressed.
    rig.drain().await;
    log.gzip("0.log.20261123-000003");
    rig.start();
    log.write("0.log", &numbered(2010, 2020));
    rig.delivered(&refs(&numbered(0, 2020))).await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    rig.delivered(&refs(&numbered(0, 2020))).await;
}

/// fluent/fluent-bit#4895, #8025, #1875, vectordotdev/vector#1910, aws/amazon-cloudwatch-agent#447: an inode, or a path, that now
/// is another file is read from its start.
#[tokio::test(flavor = "multi_thread")]
async fn a_reused_inode_or_path_is_another_file() {
    let mut rig = Rig::started().await;
    let log = rig.log("web", "app");
    log.write("0.log", &numbered(0, 100));
    rig.delivered(&refs(&numbered(0, 100))).await;
    rig.settled().await;
    rig.drain().await;
    // The same inode, whatever the file system does: cut and written anew, longer than before.
    std::fs::write(log.path("0.log"), numbered(100, 300).iter().map(|l| line(l)).collect::<String>()).unwrap();
    rig.start();
    rig.delivered(&refs(&numbered(0, 300))).await;
}

/// The kubelet removes a log that it has compressed, and the runtime's next log gets its inode, all while the agent is down: a
/// line that the rotation cut goes on in the new log, not in the old one.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_log_with_the_inode_of_a_compressed_one_is_another_file() {
    use std::os::unix::fs::MetadataExt;
    let mut rig = Rig::started().await;
    let log = rig.log("web", "app");
    log.write("0.log", &numbered(0, 100));
    rig.delivered(&refs(&numbered(0, 100))).await;
    rig.settled().await;
    rig.drain().await;
    log.write("0.log", &numbered(100, 200));
    let inode = std::fs::metadata(log.path("0.log")).unwrap().ino();
    log.rename("0.log", "0.log.20261123-000001");
    log.write("0.log", &numbered(200, 300));
    log.append("0.log", piece("stdout", "P", "cut in ").as_bytes());
    let others = log.path("others");
    std::fs::create_dir(&others).unwrap();
    log.gzip("0.log.20261123-000001");
    log.rename("0.log", "0.log.20261123-000002");
    // File systems give a free inode away soon, if not to the first who asks.
    let reused = (0..10_000).map(|n| others.join(n.to_string())).find(|other| {
        std::fs::write(other, "").unwrap();
        std::fs::metadata(other).unwrap().ino() == inode
    });
    if let Some(reused) = reused {
        std::fs::rename(reused, log.path("0.log")).unwrap();
    }
    std::fs::remove_dir_all(&others).unwrap();
    log.append("0.log", piece("stdout", "F", "two").as_bytes());
    log.write("0.log", &numbered(300, 400));
    rig.start();
    let mut expected = numbered(0, 400);
    expected.push("cut in two".to_owned());
    rig.delivered(&refs(&expected)).await;
    assert_eq!(rig.settled().await.total.abandoned_bytes, 0);
}

/// fluent/fluent-bit#11455: a stored offset beyond the end of the file is a new file, not a reason to wait.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_cut_is_read_from_its_start() {
    let rig = Rig::started().await;
    let log = rig.log("web", "app");
    log.write("0.log", &numbered(0, 100));
    rig.delivered(&refs(&numbered(0, 100))).await;
    std::fs::write(log.path("0.log"), line("after the cut")).unwrap();
    rig.until("the line after the cut", |r| r.messages().contains(&"after the cut".to_owned())).await;
    let status = rig.settled().await;
    assert_eq!(status.total.delivered.events, 101);
}

/// vectordotdev/vector#7462, open-telemetry/opentelemetry-collector-contrib#31074: what was not accepted before a crash is
/// delivered after it, and duplicates are bounded by what was in flight.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_during_an_outage_loses_nothing() {
    let mut rig = Rig::started().await;
    let log = rig.log("web", "app");
    log.write("0.log", &numbered(0, 100));
    rig.delivered(&refs(&numbered(0, 100))).await;
    tokio::time::sleep(Duration::from_millis(800)).await;
    rig.service.go_down().await;
    log.write("0.log", &numbered(100, 200));
    tokio::time::sleep(Duration::from_millis(800)).await;
    rig.crash().await;
    log.write("0.log", &numbered(200, 300));
    rig.service.come_up().await.unwrap();
    rig.start();
    rig.delivered(&refs(&numbered(0, 300))).await;
}

/// A container that is deleted while nobody could read on is read to its end: the open file outlives its name.
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_container_is_read_to_its_end() {
    let rig = Rig::started().await;
    let log = rig.log("job", "main");
    log.write("0.log", &["first"]);
    rig.delivered(&["first"]).await;
    rig.service.go_down().await;
    log.write("0.log", &numbered(0, 500));
    log.append("0.log", piece("stderr", "P", "last words").as_bytes());
    tokio::time::sleep(Duration::from_millis(600)).await;
    std::fs::remove_dir_all(log.0.parent().unwrap()).unwrap();
    tokio::time::sleep(Duration::from_millis(600)).await;
    rig.service.come_up().await.unwrap();
    let mut expected = numbered(0, 500);
    expected.extend(["first".into(), "last words".into()]);
    rig.delivered(&refs(&expected)).await;
    rig.until("the file to be let go", |_| true).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let status = rig.settled().await;
    assert_eq!((status.pinned_bytes, status.total.abandoned_bytes), (0, 0), "{status:#?}");
    assert_eq!(status.logs[0].open_files, 0, "vectordotdev/vector#8101, #11742: deleted files are not kept open");
}

/// vectordotdev/vector#18088, #22143: deleted files hold the disk only within the operator's bound, and what is given up for it
/// is counted.
#[tokio::test(flavor = "multi_thread")]
async fn deleted_files_hold_disk_space_only_within_the_bound() {
    let mut rig = Rig::new().await;
    rig.settings.pinned_bytes = 100_000;
    rig.settings.memory_budget = 1;
    rig.service.go_down().await;
    rig.start();
    let log = rig.log("job", "main");
    let lines: Vec<_> = (0..20_000).map(|n| format!("{n} {}", "x".repeat(200))).collect();
    log.write("0.log", &lines);
    tokio::time::sleep(Duration::from_millis(800)).await;
    std::fs::remove_dir_all(log.0.parent().unwrap()).unwrap();
    tokio::time::sleep(Duration::from_secs(4)).await;
    let status = rig.status().await;
    assert_eq!(status.pinned_bytes, 0);
    assert!(status.total.abandoned_bytes > 1_000_000, "{status:#?}");
    // What was read before is still delivered, and the account says so.
    rig.service.come_up().await.unwrap();
    let status = rig.settled().await;
    let written: u64 = lines.iter().map(|l| line(l).len() as u64).sum();
    let read_once = status.total.read.bytes - status.total.returned.bytes;
    assert_eq!(read_once + status.total.abandoned_bytes, written);
}

/// Files deleted while the agent was down: counted, not passed over in silence.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_deleted_while_the_agent_was_down_are_counted() {
    let mut rig = Rig::started().await;
    rig.settings.checkpoint_interval = Duration::from_millis(200);
    let log = rig.log("job", "main");
    log.write("0.log", &["delivered"]);
    rig.delivered(&["delivered"]).await;
    rig.service.go_down().await;
    log.write("0.log", &["never delivered"]);
    tokio::time::sleep(Duration::from_millis(800)).await;
    rig.drain_within(Duration::from_millis(500)).await;
    std::fs::remove_dir_all(log.0.parent().unwrap()).unwrap();
    rig.service.come_up().await.unwrap();
    rig.settings.missing_period = Duration::from_secs(1);
    rig.start();
    for _ in 0..200 {
        let status = rig.status().await;
        if status.total.abandoned_bytes > 0 {
            assert!(status.logs[0].last_error.as_ref().unwrap().contains("deleted"), "{status:#?}");
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{:#?}", rig.status().await);
}

/// waifulabs/infrastructure#5551: a backlog far beyond the memory bound, with a crash in its middle, does not start over.
#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_read_within_bounded_memory_and_a_crash_does_not_start_it_over() {
    let mut rig = Rig::new().await;
    rig.settings.memory_budget = 3 * 1024 * 1024;
    let logs: Vec<_> = (0..20).map(|i| rig.log(&format!("pod-{i}"), "app")).collect();
    for (i, log) in logs.iter().enumerate() {
        let lines: Vec<_> = (0..10_000).map(|n| format!("{i}-{n} {}", "y".repeat(200))).collect();
        log.write("0.log", &lines);
    }
    rig.service.faults().when(|r| {
        (r.op == safeguard_standins::Op::PutLogEvents)
            .then(|| safeguard_standins::Fault::Latency(Duration::from_millis(30)))
    });
    rig.start();
    let mut crashed = false;
    let mut most = 0;
    loop {
        let status = rig.status().await;
        most = most.max(status.memory_bytes);
        if !crashed && rig.service.counts().events_stored > 60_000 {
            crashed = true;
            rig.restart().await;
        }
        if crashed && status.behind_bytes == 0 && status.total.in_flight.events == 0 && status.total.read.events > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(most < 6 * 1024 * 1024, "{most} bytes in batches");
    let mut seen = std::collections::HashSet::new();
    let messages = rig.messages();
    seen.extend(messages.iter().map(|m| m.split(' ').next().unwrap().to_owned()));
    assert_eq!(seen.len(), 200_000);
    let twice = messages.len() - seen.len();
    assert!(
        twice < 40_000,
        "{twice} of 200,000 twice: what was in flight, and what was accepted since the last checkpoint"
    );
}

/// containerd on a busy node: what it had read for the old log is written there after the new log has its first lines.
#[tokio::test(flavor = "multi_thread")]
async fn the_start_of_a_cut_line_may_come_late() {
    let rig = Rig::started().await;
    let log = rig.log("web", "app");
    log.write("0.log", &["before"]);
    rig.until("the line before", |r| !r.messages().is_empty()).await;
    log.write("0.log", &["and"]);
    log.rename("0.log", "0.log.20261123-000001");
    log.append("0.log", piece("stdout", "F", "345").as_bytes());
    tokio::time::sleep(Duration::from_millis(250)).await;
    log.append("0.log.20261123-000001", piece("stdout", "P", "12").as_bytes());
    log.write("0.log", &["behind"]);
    rig.delivered(&["before", "and", "12345", "behind"]).await;
    rig.settled().await;
}

/// kubernetes/kubernetes#64760, containerd: a line that rotation cuts in two is one event.
#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_rotation_cut_is_one_event() {
    let mut rig = Rig::started().await;
    let log = rig.log("web", "app");
    log.append("0.log", (line("a") + &piece("stdout", "P", "16") + &piece("stderr", "P", "err")).as_bytes());
    tokio::time::sleep(Duration::from_millis(300)).await;
    log.rename("0.log", "0.log.20261123-000001");
    log.append("0.log", (piece("stdout", "F", "8") + &line("b") + &piece("stderr", "F", "or")).as_bytes());
    rig.delivered(&["a", "168", "b", "error"]).await;
    // The same while the agent is down, and with the first file compressed.
    rig.settled().await;
    rig.drain().await;
    log.append("0.log", piece("stdout", "P", "25").as_bytes());
    log.rename("0.log", "0.log.20261123-000002");
    log.append("0.log", piece("stdout", "F", "6").as_bytes());
    log.gzip("0.log.20261123-000001");
    log.gzip("0.log.20261123-000002");
    rig.start();
    rig.delivered(&["a", "168", "b", "error", "256"]).await;
}

/// A container that restarts, and one that ends with half a line.
#[tokio::test(flavor = "multi_thread")]
async fn restarts_and_last_words() {
    let rig = Rig::started().await;
    let log = rig.log("web", "app");
    log.write("0.log", &["first run"]);
    log.append("0.log", piece("stderr", "P", "panic at").as_bytes());
    log.write("1.log", &["second run"]);
    rig.delivered(&["first run", "panic at", "second run"]).await;
    // And where no next run ever tells that this one has ended.
    log.append("1.log", piece("stderr", "P", "out of memory").as_bytes());
    rig.delivered(&["first run", "panic at", "second run", "out of memory"]).await;
}

/// VictoriaMetrics/VictoriaLogs#1796 and every writable /var/log: what is no regular file is named and not read.
#[tokio::test(flavor = "multi_thread")]
async fn only_regular_files_inside_the_pods_directory_are_read() {
    let rig = Rig::new().await;
    let mut rig = rig;
    std::fs::write(rig.root.path().join("secret"), line("the secret")).unwrap();
    let log = rig.log("evil", "app");
    std::os::unix::fs::symlink(rig.root.path().join("secret"), log.path("0.log")).unwrap();
    std::os::unix::fs::symlink("/etc/shadow", log.path("1.log")).unwrap();
    nix::unistd::mkfifo(&log.path("2.log"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::fs::create_dir(log.path("3.log")).unwrap();
    std::os::unix::fs::symlink(rig.root.path(), rig.pods().join("default_link_uid")).unwrap();
    std::fs::create_dir_all(rig.pods().join("not a pod/x")).unwrap();
    std::fs::write(rig.pods().join("file"), "x").unwrap();
    let good = rig.log("good", "app");
    good.write("0.log", &["fine"]);
    rig.start();
    rig.delivered(&["fine"]).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    rig.delivered(&["fine"]).await;
    let status = rig.settled().await;
    let evil = of_pod(&status, "evil");
    assert!(evil.last_error.as_ref().unwrap().contains("not a regular file"), "{evil:#?}");
    assert_eq!(evil.files, 0);
}

/// The clock of the node jumps: lines keep their own times, and those beyond what the service accepts keep it as text.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_loses_nothing() {
    let mut rig = Rig::new().await;
    rig.settings.format = safeguard_logs::Format::Json;
    rig.start();
    let log = rig.log("web", "app");
    let now = safeguard_daemon::clock::now_ms();
    for (i, offset) in
        [0i64, 3_600_000, -3_600_000, 5 * 3_600_000, -26 * 3_600_000, 86_400_000 * 400, 0].into_iter().enumerate()
    {
        log.append("0.log", format!("{} stdout F n{i}\n", time_of(now + offset, 1)).as_bytes());
    }
    rig.until("seven lines", |r| r.messages().len() == 7).await;
    let status = rig.settled().await;
    assert_eq!((status.total.delivered.events, status.total.retimed), (7, 2));
    let retimed: Vec<_> = rig.messages().into_iter().filter(|m| m.contains("\"time\"")).collect();
    assert_eq!(retimed.len(), 2, "their own time is kept beside the line: {retimed:?}");
}

/// What a deleted file still holds goes with the agent: draining sends all of it, half a line included.
#[tokio::test(flavor = "multi_thread")]
async fn draining_sends_the_last_words_of_a_deleted_container() {
    let mut rig = Rig::started().await;
    let log = rig.log("job", "main");
    log.write("0.log", &["first"]);
    rig.delivered(&["first"]).await;
    log.append("0.log", piece("stderr", "P", "last words").as_bytes());
    std::fs::remove_dir_all(log.0.parent().unwrap()).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(rig.drain().await.complete);
    let mut messages = rig.messages();
    messages.sort();
    assert_eq!(messages, ["first", "last words"]);
}
