//! Delivery to CloudWatch Logs under every fault of the service.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_sdk_cloudwatchlogs::config::Credentials;
use safeguard_logs::{Format, Reason, Selector};
use safeguard_standins::{CloudWatch, Fault, Op, Options};

use crate::rig::{APPLICATION, LogPath, Rig, line, of_pod, time_of};

fn write(log: &LogPath, from: usize, to: usize) {
    let lines: Vec<_> = (from..to).map(|n| format!("line {n}")).collect();
    log.write("0.log", &lines);
}

/// Every one of these replies may or may not mean that the batch was stored. None may lose it.
#[tokio::test(flavor = "multi_thread")]
async fn no_fault_of_the_service_loses_a_line() {
    // (fault, whether the stand-in stores the batch before it misbehaves)
    let faults = [
        ("fluent/fluent-bit#4553 reset", Fault::ResetMidBody, false),
        ("fluent/fluent-bit#4606 hung after headers", Fault::HangAfterHeaders, false),
        ("aws/aws-for-fluent-bit#525 hung", Fault::HangBeforeReply, false),
        ("stored, then hung", Fault::StoreThenHang, true),
        ("stored, then 500", Fault::StoreThen500, true),
        ("stored, then dropped", Fault::StoreThenDrop, true),
        ("aws/aws-for-fluent-bit#161 empty 200", Fault::EmptyBody200, false),
        ("fluent/fluent-bit#3477 truncated JSON", Fault::TruncatedJson, false),
        ("HTML with 200", Fault::NonJson200, false),
        ("HTML with 502", Fault::NonJson502, false),
        ("500", Fault::internal(), false),
        ("503", Fault::unavailable(), false),
        ("vectordotdev/vector#12253 throttled", Fault::throttled(), false),
        ("denied for a while", Fault::denied(), false),
        ("expired token", Fault::expired_token(), false),
        ("unknown key", Fault::unrecognized_client(), false),
    ];
    let rig = Rig::started().await;
    let log = rig.log("web", "app");
    let mut n = 0;
    let mut stored_twice = 0;
    for (name, fault, stores) in faults {
        rig.service.faults().next(Op::PutLogEvents, 2, fault);
        write(&log, n, n + 10);
        n += 10;
        stored_twice += if stores { 2 * 10 } else { 0 };
        rig.until(&format!("{name}: lines up to {n}"), |r| {
            let mut distinct = r.messages();
            distinct.sort();
            distinct.dedup();
            distinct.len() == n
        })
        .await;
        let extra = rig.messages().len() - n;
        assert!(extra <= stored_twice, "{name}: {extra} duplicates, at most {stored_twice} were stored before a fault");
    }
    let status = rig.settled().await;
    assert_eq!(status.total.delivered.events, n as u64);
}

/// The names, the class, the retention and the tags of groups that the agent creates.
#[tokio::test(flavor = "multi_thread")]
async fn groups_and_streams_are_created_as_set() {
    let mut rig = Rig::new().await;
    rig.settings.stream =
        safeguard_logs::Template::new(safeguard_logs::NameKind::Stream, "{namespace}/{pod}/{container}").unwrap();
    rig.settings.new_groups.class = safeguard_logs::GroupClass::InfrequentAccess;
    rig.settings.new_groups.tags = [("owner".to_owned(), "platform".to_owned())].into();
    let log = rig.log("a:b*c", "app");
    write(&log, 0, 1);
    let dns = rig.pods().join("kube-system_coredns-5d_uid/coredns");
    std::fs::create_dir_all(&dns).unwrap();
    std::fs::write(dns.join("0.log"), line("dns")).unwrap();
    rig.start();
    rig.delivered(&["line 0"]).await;
    assert_eq!(rig.service.streams(APPLICATION), ["default/a#3Ab#2Ac/app"]);
    rig.until("the retention", |r| r.service.groups().iter().all(|g| g.retention_days == Some(30))).await;
    let groups = rig.service.groups();
    assert_eq!(groups.len(), 2);
    assert!(
        groups.iter().all(|g| g.class == "INFREQUENT_ACCESS" && g.tags.get("owner").is_some_and(|t| t == "platform"))
    );
    assert_eq!(rig.service.events("/aws/containerinsights/prod/dataplane", "kube-system/coredns-5d/coredns").len(), 1);
}

/// aws/amazon-cloudwatch-logs-for-fluent-bit#95, aws/aws-for-fluent-bit#1164: a group or stream deleted under the agent, and
/// one that the service does not know yet right after creating it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_is_created_again() {
    let rig = Rig::started().await;
    let log = rig.log("web", "app");
    rig.service.faults().next(Op::CreateLogStream, 1, Fault::NotFoundAfterCreate(2));
    write(&log, 0, 10);
    rig.until("the first lines", |r| r.messages().len() == 10).await;
    assert!(rig.service.delete_stream(APPLICATION, "node-1"));
    write(&log, 10, 20);
    rig.until("lines after the stream was deleted", |r| r.messages().len() == 10).await;
    assert!(rig.service.delete_group(APPLICATION));
    write(&log, 20, 30);
    rig.until("lines after the group was deleted", |r| r.messages().len() == 10).await;
    assert_eq!(rig.settled().await.total.delivered.events, 30);
}

/// aws/amazon-cloudwatch-agent PR#2014: one group denied for the whole run; the others flow, memory stays bounded, and the denied
/// lines arrive once they are allowed.
#[tokio::test(flavor = "multi_thread")]
async fn a_denied_group_stops_nothing_else() {
    let mut rig = Rig::new().await;
    rig.settings.application_group =
        safeguard_logs::Template::new(safeguard_logs::NameKind::Group, "/logs/{namespace}/{pod}").unwrap();
    rig.settings.memory_budget = 4 * 1024 * 1024;
    rig.service.faults().when(|r| r.group.contains("denied").then(Fault::denied));
    rig.start();
    // Far more than the memory for batches, for eight denied groups.
    for i in 0..8 {
        let lines: Vec<_> = (0..10_000).map(|n| format!("{n} {}", "z".repeat(200))).collect();
        rig.log(&format!("denied-{i}"), "app").write("0.log", &lines);
    }
    let fine = rig.log("fine", "app");
    for n in 0..20 {
        fine.write("0.log", &[format!("fine {n}")]);
        rig.until("the group that is allowed", |r| r.service.events("/logs/default/fine", "node-1").len() == n + 1)
            .await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let status = rig.status().await;
    assert!(status.memory_bytes < 6 * 1024 * 1024, "{} bytes", status.memory_bytes);
    let denied = status.targets.iter().find(|t| t.group.contains("denied") && t.failures > 0).unwrap();
    assert!(denied.error.as_ref().unwrap().contains("AccessDenied"), "{denied:?}");
    assert_eq!(status.total.imbalance(), None);
    rig.service.faults().clear();
    rig.until("the denied lines", |r| r.service.counts().events_stored >= 80_020).await;
    let status = rig.settled().await;
    assert_eq!(status.total.delivered.events, 80_020);
    assert_eq!(rig.service.counts().events_stored, 80_020, "giving back does not duplicate");
}

/// Credentials that expire in the middle of the run, from a provider that the SDK asks again.
#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_expire_are_replaced() {
    let mut rig = Rig::new().await;
    let issuing = Issuing { service: rig.service.clone(), issued: Arc::default() };
    let issued = issuing.issued.clone();
    let client = rig.client_with(SharedCredentialsProvider::new(issuing));
    rig.start_with(client);
    let log = rig.log("web", "app");
    for n in 0..20 {
        write(&log, n * 10, n * 10 + 10);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    rig.until("all lines", |r| r.messages().len() == 200).await;
    assert!((3..60).contains(&issued.load(Ordering::Relaxed)), "{issued:?} times");
}

/// Credentials that claim to last and are refused after two seconds: what a clock that is off, or a revoked session, does.
#[derive(Debug)]
struct Issuing {
    service: Arc<CloudWatch>,
    issued: Arc<AtomicU64>,
}

impl ProvideCredentials for Issuing {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        self.issued.fetch_add(1, Ordering::Relaxed);
        let issued = self.service.issue(Some(2_000));
        future::ProvideCredentials::ready(Ok(Credentials::new(
            issued.access_key_id,
            issued.secret_access_key,
            issued.session_token,
            None,
            "test",
        )))
    }
}

/// fluent/fluent-bit#4203, aws/aws-for-fluent-bit#683, fluent/fluent-bit PR#4143, PR#4297, #3638: long lines, bytes that are not UTF-8,
/// quotes and backslashes at the cut, and many long lines in a row.
#[tokio::test(flavor = "multi_thread")]
async fn long_and_broken_lines_arrive() {
    let mut rig = Rig::new().await;
    rig.settings.format = Format::Json;
    rig.start();
    let log = rig.log("web", "app");
    let nasty = ["\\\"".repeat(400_000), "é".repeat(700_000), "\u{1}".repeat(300_000), "x".repeat(3_000_000)];
    for content in &nasty {
        log.append("0.log", line(content).as_bytes());
    }
    let mut broken = line("").trim_end().as_bytes().to_vec();
    broken.extend_from_slice(b" \xff\xc3( \xed\xa0\x80 \xf0\x9f \n");
    log.append("0.log", &broken);
    for _ in 0..30 {
        log.append("0.log", line(&"m".repeat(150_000)).as_bytes());
    }
    log.append("0.log", line("the end").as_bytes());
    rig.until("the last line", |r| r.messages().iter().any(|m| m.contains("the end"))).await;
    let status = rig.settled().await;
    assert_eq!(status.total.lost().iter().map(|(_, c)| c.events).sum::<u64>(), 0);
    assert_eq!(status.total.repaired, 1);
    let mut joined = String::new();
    let mut parts = 0;
    let mut messages: Vec<serde_json::Value> =
        rig.messages().iter().map(|m| serde_json::from_str(m).unwrap()).collect();
    messages.retain(|m| m.get("part").is_some());
    messages.sort_by_key(|m| m["part"].as_u64());
    for message in &messages {
        if message["log"].as_str().unwrap().starts_with("xxx") {
            parts += 1;
            joined.push_str(message["log"].as_str().unwrap());
        }
    }
    assert_eq!((parts, joined.len()), (3, 3_000_000));
}

/// aws/aws-for-fluent-bit#523: what the service rejects is counted by reason and the rest is delivered.
#[tokio::test(flavor = "multi_thread")]
async fn rejected_lines_are_counted_by_reason() {
    let rig = Rig::started().await;
    let log = rig.log("web", "app");
    let now = safeguard_daemon::clock::now_ms();
    let day = 86_400_000;
    for (i, age) in [20 * day, 16 * day, 13 * day, day, 0].into_iter().enumerate() {
        log.append("0.log", format!("{} stdout F n{i}\n", time_of(now - age, 1)).as_bytes());
    }
    rig.delivered(&["n2", "n3", "n4"]).await;
    let status = rig.settled().await;
    assert_eq!(status.total.too_old.events, 2);
    assert_eq!(status.total.delivered.events, 3);
    // Older than the retention of 30 days is older than 14 days too: a group with a shorter one tells them apart.
    assert_eq!(status.total.lost().iter().filter(|(r, _)| *r != Reason::TooOld).map(|(_, c)| c.events).sum::<u64>(), 0);
}

/// fluent/fluent-bit#4293: a burst of throttling slows down and loses nothing, and quotas of a fleet are kept.
#[tokio::test(flavor = "multi_thread")]
async fn throttling_slows_down_and_loses_nothing() {
    let mut rig = Rig::new().await;
    rig.settings.stream = safeguard_logs::Template::new(safeguard_logs::NameKind::Stream, "{pod}").unwrap();
    for i in 0..60 {
        write(&rig.log(&format!("pod-{i}"), "app"), 0, 5);
    }
    rig.service.faults().next(Op::PutLogEvents, 15, Fault::throttled());
    rig.service.faults().next(Op::CreateLogStream, 15, Fault::throttled());
    rig.start();
    rig.until("300 lines", |r| r.messages().len() == 300).await;
    assert_eq!(rig.settled().await.total.delivered.events, 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn quotas_of_the_account_are_survived() {
    let mut rig = Rig::with(Options { quotas: true, ..Options::default() }).await;
    rig.settings.stream = safeguard_logs::Template::new(safeguard_logs::NameKind::Stream, "{pod}").unwrap();
    for i in 0..200 {
        write(&rig.log(&format!("pod-{i}"), "app"), 0, 2);
    }
    rig.start();
    rig.until("400 lines", |r| r.messages().len() == 400).await;
    assert_eq!(rig.settled().await.total.delivered.events, 400);
}

/// Include and exclude, and the change of both while it runs.
#[tokio::test(flavor = "multi_thread")]
async fn include_and_exclude_can_change_while_it_runs() {
    let mut rig = Rig::new().await;
    rig.settings.missing_period = Duration::from_secs(1);
    rig.settings.exclude = vec![Selector::new("*/noisy").unwrap()];
    rig.start();
    let (noisy, web) = (rig.log("noisy", "app"), rig.log("web", "app"));
    noisy.write("0.log", &["noise"]);
    web.write("0.log", &["line"]);
    rig.delivered(&["line"]).await;
    let status = rig.settled().await;
    let excluded = of_pod(&status, "noisy");
    assert!(!excluded.shipped, "an exclusion is visible");
    let mut settings = rig.settings.clone();
    settings.exclude = vec![Selector::new("*/web").unwrap()];
    rig.logs.as_ref().unwrap().reload(settings);
    rig.delivered(&["line", "noise"]).await;
    web.write("0.log", &["not shipped any more"]);
    noisy.write("0.log", &["more"]);
    rig.delivered(&["line", "noise", "more"]).await;
    // What is excluded is not lost: included again, it goes on where it was.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(rig.settled().await.total.abandoned_bytes, 0);
    rig.logs.as_ref().unwrap().reload(safeguard_logs::Settings { exclude: Vec::new(), ..rig.settings.clone() });
    rig.delivered(&["line", "noise", "more", "not shipped any more"]).await;
}

/// Names with every legal and many illegal bytes.
#[tokio::test(flavor = "multi_thread")]
async fn names_with_any_byte_are_shipped_to_streams_of_their_own() {
    use std::os::unix::ffi::OsStrExt;
    let mut rig = Rig::new().await;
    rig.settings.stream =
        safeguard_logs::Template::new(safeguard_logs::NameKind::Stream, "{namespace}/{pod}/{container}").unwrap();
    rig.settings.format = Format::Json;
    let names: Vec<Vec<u8>> = (1..=255u8).filter(|b| *b != b'/' && *b != b'_').map(|b| vec![b'c', b]).collect();
    for name in &names {
        let dir = rig.pods().join("ns_pod_uid").join(std::ffi::OsStr::from_bytes(name));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("0.log"), line("x")).unwrap();
    }
    rig.start();
    rig.until("a line of each", |r| r.messages().len() == names.len()).await;
    assert_eq!(rig.service.streams(APPLICATION).len(), names.len());
    assert_eq!(rig.settled().await.total.delivered.events, names.len() as u64);
}

/// fluent/fluent-bit#11416, #8813: the state directory cannot be written, or its content makes no sense.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_state_directory_it_delivers_and_says_so() {
    let mut rig = Rig::new().await;
    // A file where the directory should be: no permission bits stop root.
    std::fs::write(rig.root.path().join("state"), "not a directory").unwrap();
    rig.start();
    let log = rig.log("web", "app");
    write(&log, 0, 10);
    rig.until("lines", |r| r.messages().len() == 10).await;
    for _ in 0..100 {
        if let Some(error) = rig.status().await.checkpoint_error {
            assert!(error.contains("state"), "{error}");
            std::fs::remove_file(rig.root.path().join("state")).unwrap();
            write(&log, 10, 20);
            rig.until("more lines", |r| r.messages().len() == 20).await;
            tokio::time::sleep(Duration::from_millis(1500)).await;
            assert_eq!(rig.status().await.checkpoint_error, None, "it recovers by itself");
            rig.restart().await;
            write(&log, 20, 21);
            rig.until("the new line alone", |r| r.messages().len() == 21).await;
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{:#?}", rig.status().await);
}

/// A torn checkpoint: the agent starts, says so, and reads again what it can.
#[tokio::test(flavor = "multi_thread")]
async fn a_torn_checkpoint_costs_duplicates_only() {
    let mut rig = Rig::started().await;
    let log = rig.log("web", "app");
    write(&log, 0, 50);
    rig.until("lines", |r| r.messages().len() == 50).await;
    rig.settled().await;
    rig.drain().await;
    let checkpoint = rig.root.path().join("state/logs.checkpoint");
    let whole = std::fs::read(&checkpoint).unwrap();
    std::fs::write(&checkpoint, &whole[..whole.len() - 20]).unwrap();
    rig.start();
    rig.until("all lines again", |r| r.messages().len() == 100).await;
    let note = rig.status().await.started_without_checkpoint.unwrap_or_default();
    assert!(note.contains("checksum") || note.contains("early"), "{note}");
}

/// The disk of the state directory is full: delivery goes on, the status says so, and it recovers.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_state_disk_stops_nothing() {
    use nix::mount::{MntFlags, MsFlags, mount, umount2};
    let mut rig = Rig::new().await;
    let state = rig.root.path().join("state");
    std::fs::create_dir(&state).unwrap();
    mount(Some("tmpfs"), &state, Some("tmpfs"), MsFlags::empty(), Some("size=64k")).expect("this test needs root");
    let full = std::fs::write(state.join("filler"), vec![0; 65_536]);
    rig.start();
    let log = rig.log("web", "app");
    write(&log, 0, 10);
    rig.until("lines", |r| r.messages().len() == 10).await;
    let mut error = None;
    for _ in 0..100 {
        error = rig.status().await.checkpoint_error;
        if error.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    std::fs::remove_file(state.join("filler")).unwrap();
    write(&log, 10, 20);
    rig.until("more lines", |r| r.messages().len() == 20).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let after = rig.status().await.checkpoint_error;
    rig.restart().await;
    write(&log, 20, 21);
    rig.until("the new line alone", |r| r.messages().len() == 21).await;
    rig.drain().await;
    umount2(&state, MntFlags::MNT_DETACH).unwrap();
    full.unwrap();
    assert!(error.as_ref().is_some_and(|e| e.contains("No space left")), "{error:?}");
    assert_eq!(after, None);
}

/// aws/amazon-cloudwatch-agent 1.300071.0: with more streams than requests, each waits longer and none for ever.
#[tokio::test(flavor = "multi_thread")]
async fn no_stream_starves_when_requests_are_few() {
    let mut rig = Rig::new().await;
    rig.settings.stream = safeguard_logs::Template::new(safeguard_logs::NameKind::Stream, "{pod}").unwrap();
    rig.settings.max_puts_per_second = 10;
    let logs: Vec<_> = (0..60).map(|i| rig.log(&format!("pod-{i}"), "app")).collect();
    rig.start();
    // Every stream always has something to send.
    for round in 0..120 {
        for log in &logs {
            log.write("0.log", &[format!("round {round}")]);
        }
        tokio::time::sleep(Duration::from_millis(80)).await;
    }
    let puts = rig.service.counts().op(Op::PutLogEvents).calls;
    let empty: Vec<_> = (0..60).filter(|i| rig.service.events(APPLICATION, &format!("pod-{i}")).is_empty()).collect();
    assert!(empty.is_empty(), "nothing of pods {empty:?} after {puts} requests");
}

/// The status says how old the oldest line is that was not delivered.
#[tokio::test(flavor = "multi_thread")]
async fn the_age_of_the_oldest_line_is_told() {
    let rig = Rig::started().await;
    let log = rig.log("web", "app");
    write(&log, 0, 1);
    rig.delivered(&["line 0"]).await;
    rig.settled().await;
    rig.service.go_down().await;
    let oldest = safeguard_daemon::clock::now_ms() - 100_000;
    log.append("0.log", format!("{} stdout F old\n", time_of(oldest, 1)).as_bytes());
    write(&log, 1, 5);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(rig.status().await.logs[0].behind_since_ms, Some(oldest));
}

/// vectordotdev/vector#14750, aws/amazon-cloudwatch-agent PR#1848: hundreds of streams share one memory budget.
#[tokio::test(flavor = "multi_thread")]
async fn many_streams_share_one_memory_budget() {
    let mut rig = Rig::new().await;
    rig.settings.stream = safeguard_logs::Template::new(safeguard_logs::NameKind::Stream, "{pod}").unwrap();
    rig.settings.memory_budget = 3 * 1024 * 1024;
    rig.settings.gzip_level = None;
    for i in 0..150 {
        let lines: Vec<_> = (0..1_000).map(|n| format!("{i}-{n} {}", "s".repeat(300))).collect();
        rig.log(&format!("pod-{i}"), "app").write("0.log", &lines);
    }
    rig.start();
    let mut most = 0;
    for _ in 0..2_000 {
        let status = rig.status().await;
        most = most.max(status.memory_bytes);
        if status.total.delivered.events == 150_000 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let status = rig.settled().await;
    assert_eq!(status.total.delivered.events, 150_000);
    assert_eq!(rig.service.counts().events_stored, 150_000);
    assert!(most < 6 * 1024 * 1024, "{most} bytes in batches");
}
