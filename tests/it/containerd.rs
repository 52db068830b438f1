//! containerd itself writes the logs and rotates them as the kubelet has it do; the log room ships them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::time::Duration;

use safeguard_logs::Format;
use safeguard_tests::containerd::{Container, Containerd};
use serde_json::Value;
use tokio::time::Instant;

use crate::rig::{PATIENCE, Rig};
use safeguard_tests::parts::{Part, here};

/// Rotations of the test under load.
const ROTATIONS: usize = 5;

/// Added to the numbers on standard error, so that they can be told from those on standard output.
const ERRORS: u64 = 100_000_000;

/// Where nobody says "uid" the pod has this one.
const UID: &str = "11111111-2222-3333-4444-555555555555";

/// What a container may write, and what becomes of it in either format.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_container_writes_arrives_exactly() {
    if !here("containerd::what_a_container_writes_arrives_exactly", Part::Containerd) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let containerd = Containerd::start(dir.path()).await.unwrap();
    let mut rig = Rig::new().await;
    rig.settings.format = Format::Json;
    rig.start();
    let pod = containerd.run_pod("default", "web", UID, &rig.pods()).await.unwrap();
    let script = "echo out; echo err >&2; echo; head -c 40000 /dev/zero | tr '\\0' x; echo; \
                  printf '\\ttab \"quoted\" \\\\ gr\u{fc}n\\n'; printf 'no newline at the end'; sleep 1";
    let app = containerd.run_container(&pod, "app", 0, &["sh", "-c", script]).await.unwrap();
    assert_eq!(containerd.wait_exit(&app).await.unwrap(), 0);

    let long = "x".repeat(40_000);
    let stdout = ["out", "", &long, "\ttab \"quoted\" \\ grün", "no newline at the end"];
    rig.until("six events", |r| r.messages().len() >= 6).await;
    let status = rig.settled().await;
    assert_eq!(status.total.delivered.events, 6);
    let events: Vec<Value> = rig.messages().iter().map(|m| serde_json::from_str(m).unwrap()).collect();
    let of = |stream: &str| -> Vec<&str> {
        let of_stream = events.iter().filter(|e| e["stream"] == stream);
        of_stream.map(|e| e["log"].as_str().unwrap()).collect()
    };
    assert_eq!(of("stdout"), stdout);
    assert_eq!(of("stderr"), ["err"]);
    for event in &events {
        let of = &event["kubernetes"];
        assert_eq!((&of["namespace_name"], &of["pod_name"]), (&"default".into(), &"web".into()));
        assert_eq!((&of["container_name"], &of["pod_id"]), (&"app".into(), &UID.into()));
    }

    // The same file once more, by an agent that knows nothing of it, as bare lines: the empty one is counted.
    rig.drain().await;
    std::fs::remove_dir_all(rig.root.path().join("state")).unwrap();
    assert!(rig.service.delete_group(crate::rig::APPLICATION));
    rig.settings.format = Format::Raw;
    rig.start();
    let lines: Vec<&str> = stdout.into_iter().filter(|line| !line.is_empty()).chain(["err"]).collect();
    rig.delivered(&lines).await;
    assert_eq!(rig.settled().await.total.empty.events, 1);
    containerd.stop().await.unwrap();
}

/// fluent/fluent-bit#1108, #10414, vectordotdev/vector#7934: both outputs at full speed while the log is rotated and older
/// files are compressed and deleted. containerd reopens in the middle of lines, and no line shows it.
#[tokio::test(flavor = "multi_thread")]
async fn rotation_under_load_loses_and_cuts_nothing() {
    if !here("containerd::rotation_under_load_loses_and_cuts_nothing", Part::Containerd) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let containerd = Containerd::start(dir.path()).await.unwrap();
    let rig = Rig::started().await;
    let pod = containerd.run_pod("default", "load", UID, &rig.pods()).await.unwrap();
    // Writes until SIGTERM, and says at the end how far it came. What is still in the pipes when a container ends may be
    // lost before it reaches its log, so it stays for a moment.
    let script = "count() { n=$1; trap 'stop=1' TERM; \
                  while [ -z \"$stop\" ]; do seq $n $((n + 4999)); n=$((n + 5000)); done; echo last $((n - 1)); }; \
                  count 1 & a=$!; count 100000001 >&2 & b=$!; \
                  trap 'kill -TERM $a $b' TERM; wait; wait $a; wait $b; sleep 2";
    let app = containerd.run_container(&pod, "app", 0, &["sh", "-c", script]).await.unwrap();
    let mut rotated = Vec::new();
    for _ in 0..ROTATIONS {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let path = containerd.rotate(&app).await.unwrap();
        // Held open: the kubelet compresses it at the next rotation.
        rotated.push(File::open(path).unwrap());
    }
    containerd.stop_container(&app, Duration::from_secs(30)).await.unwrap();
    assert_eq!(containerd.wait_exit(&app).await.unwrap(), 0, "it was to end by itself");
    let cut = rotated.iter_mut().map(ends_in_a_piece).filter(|cut| *cut).count();
    assert!(cut > 0, "none of {ROTATIONS} rotations cut a line, so nothing was tested");

    // Asked rarely: looking at millions of events keeps the stand-in from taking more.
    let late = Instant::now() + PATIENCE;
    while last_lines(&rig).len() < 2 {
        assert!(Instant::now() < late, "the last lines did not arrive: {:#?}", rig.status().await);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let status = rig.settled().await;
    let last = last_lines(&rig);
    let written = last[0] + (last[1] - ERRORS);
    let mut seen = BTreeMap::from([(false, vec![0u8; size(last[0])]), (true, vec![0u8; size(last[1] - ERRORS)])]);
    let mut damaged = Vec::new();
    rig.service.for_each_event(|_, _, event| {
        if event.message.starts_with("last ") {
            return;
        }
        let number: Option<u64> = event.message.parse().ok();
        let slot = number.and_then(|n| {
            let of = seen.get_mut(&(n > ERRORS))?;
            of.get_mut(size(if n > ERRORS { n - ERRORS } else { n }).checked_sub(1)?)
        });
        match slot {
            Some(times) => *times = times.saturating_add(1),
            None => damaged.push(event.message.to_owned()),
        }
    });
    let of = |is: fn(u8) -> bool| seen.values().flatten().filter(|times| is(**times)).count();
    let (lost, twice) = (of(|times| times == 0), of(|times| times > 1));
    assert_eq!((lost, twice, damaged.len()), (0, 0, 0), "of {written} lines, {cut} cut; damaged: {damaged:?}");
    assert_eq!(status.total.delivered.events, written + 2);
    assert_eq!(status.total.abandoned_bytes, 0);
    containerd.stop().await.unwrap();
}

/// fluent/fluent-bit#5024: the agent is down while the log is rotated twice, and finds its place inside the `.gz`.
#[tokio::test(flavor = "multi_thread")]
async fn reading_goes_on_inside_what_the_kubelet_compressed() {
    if !here("containerd::reading_goes_on_inside_what_the_kubelet_compressed", Part::Containerd) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let containerd = Containerd::start(dir.path()).await.unwrap();
    let mut rig = Rig::started().await;
    let pod = containerd.run_pod("default", "steady", UID, &rig.pods()).await.unwrap();
    let script = "i=0; while :; do echo $i; i=$((i+1)); sleep 0.01; done";
    let app = containerd.run_container(&pod, "app", 0, &["sh", "-c", script]).await.unwrap();
    rig.until("some lines", |r| r.messages().len() > 50).await;
    assert!(rig.drain().await.complete);
    let known = rig.messages().len();

    tokio::time::sleep(Duration::from_millis(500)).await;
    let first = containerd.rotate(&app).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    containerd.rotate(&app).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let packed = first.with_file_name(format!("{}.gz", first.file_name().unwrap().to_str().unwrap()));
    let mut text = String::new();
    flate2::read::GzDecoder::new(File::open(&packed).unwrap()).read_to_string(&mut text).unwrap();
    assert!(text.lines().count() > known && !first.exists(), "the rest of the lines is in the .gz alone");

    rig.start();
    rig.until("lines of the present file", |r| r.messages().len() > known + 100).await;
    containerd.stop_container(&app, Duration::ZERO).await.unwrap();
    containerd.wait_exit(&app).await.unwrap();
    let expected = last_number(&app) + 1;
    rig.until("the last line", |r| r.messages().len() as u64 >= expected).await;
    rig.settled().await;
    let mut numbers: Vec<u64> = rig.messages().iter().map(|m| m.parse().unwrap()).collect();
    numbers.sort_unstable();
    assert!(numbers.iter().copied().eq(0..expected), "{} events for {expected} lines", numbers.len());
    containerd.stop().await.unwrap();
}

/// The container was restarted, and then the kubelet removed the pod with all its logs, while the service was away and most
/// of the bytes were still unread: all of them arrive.
#[tokio::test(flavor = "multi_thread")]
async fn a_removed_pod_is_delivered_after_an_outage() {
    if !here("containerd::a_removed_pod_is_delivered_after_an_outage", Part::Containerd) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let containerd = Containerd::start(dir.path()).await.unwrap();
    let mut rig = Rig::new().await;
    // Room for one batch: the rest of the file stays unread until the service is back.
    rig.settings.memory_budget = 1;
    rig.start();
    let pod = containerd.run_pod("default", "job", UID, &rig.pods()).await.unwrap();
    let first = containerd.run_container(&pod, "app", 0, &["sh", "-c", "echo first; exit 1"]).await.unwrap();
    assert_eq!(containerd.wait_exit(&first).await.unwrap(), 1);
    rig.delivered(&["first"]).await;
    rig.settled().await;

    rig.service.go_down().await;
    // It stays for a moment: what is still in the pipes when a container ends may be lost before it reaches its log.
    let script = "seq 1 40000; echo failing >&2; printf 'last words' >&2; sleep 1";
    let second = containerd.run_container(&pod, "app", 1, &["sh", "-c", script]).await.unwrap();
    containerd.wait_exit(&second).await.unwrap();
    let length = std::fs::metadata(second.log_path()).unwrap().len();
    let mut status = rig.status().await;
    for _ in 0..200 {
        if status.behind_bytes >= length {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        status = rig.status().await;
    }
    let unread = status.behind_bytes - status.total.in_flight.bytes;
    assert!(unread > length / 4, "{unread} of {length} bytes are unread: {status:#?}");
    containerd.remove_pod(&pod).await.unwrap();
    assert!(!second.log_path().exists());
    tokio::time::sleep(Duration::from_secs(1)).await;

    rig.service.come_up().await.unwrap();
    let numbers: Vec<String> = (1..=40_000).map(|n| n.to_string()).collect();
    let mut expected: Vec<&str> = numbers.iter().map(String::as_str).collect();
    expected.extend(["first", "failing", "last words"]);
    rig.delivered(&expected).await;
    assert_eq!(rig.settled().await.total.abandoned_bytes, 0);
    containerd.stop().await.unwrap();
}

/// The two `last N` messages, that of standard output first; what has arrived of them.
fn last_lines(rig: &Rig) -> Vec<u64> {
    let mut last = Vec::new();
    rig.service.for_each_event(|_, _, event| {
        last.extend(event.message.strip_prefix("last ").map(|n| n.parse::<u64>().unwrap()));
    });
    last.sort_unstable();
    last
}

/// The number in the last line of a container's log.
fn last_number(container: &Container) -> u64 {
    let text = std::fs::read_to_string(container.log_path()).unwrap();
    text.lines().last().unwrap().rsplit(' ').next().unwrap().parse().unwrap()
}

/// Whether a log ends with the start of a line.
fn ends_in_a_piece(log: &mut File) -> bool {
    let length = log.metadata().unwrap().len();
    log.seek(SeekFrom::Start(length.saturating_sub(200))).unwrap();
    let mut tail = String::new();
    log.read_to_string(&mut tail).unwrap();
    tail.lines().last().is_some_and(|line| line.split(' ').nth(2) == Some("P"))
}

fn size(n: u64) -> usize {
    usize::try_from(n).unwrap()
}
