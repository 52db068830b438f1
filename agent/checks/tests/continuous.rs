//! The room while an agent runs: real files, real inotify, real time.

#![expect(clippy::disallowed_methods, reason = "a test writes the host that is looked at")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use safeguard_checks::continuous::{Checks, Drift, Occasion, Settings, Snapshot};
use safeguard_checks::{Inputs, Sources, Status};
use safeguard_host::HostRoot;
use tempfile::TempDir;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;
use tokio::time::timeout;

const POLICY: &str = r#"
policy: mine
version: 1.0.0
title: Of our own
source: ourselves
sections: [{id: A, title: All}]
controls:
  - {id: A-1, title: The passwd is root's, level: 1, assessment: automated, severity: high, why: Because., remedy: chmod.,
     check: {file: {path: /etc/passwd, mode: "0644"}}}
  - {id: A-2, title: There is a new file, level: 1, assessment: automated, severity: low, why: Because., remedy: Write it.,
     check: {file: {path: /opt/later/new.conf, exists: true}}}
  - {id: A-3, title: Parameters are set at boot, level: 1, assessment: automated, severity: low, why: Because., remedy: Write it.,
     check: {sysctl: {key: kernel.panic, value: {is: 10}, when: boot}}}
"#;

/// Longest wait for what has to be seen within 5 s.
const WITHIN: Duration = Duration::from_secs(5);

struct Node {
    files: TempDir,
    own: TempDir,
}

impl Node {
    fn new() -> Self {
        let node = Self { files: TempDir::new().unwrap(), own: TempDir::new().unwrap() };
        node.write("etc/passwd", "root:x:0:0:root:/root:/bin/bash\n");
        node.write("etc/sysctl.d/10-node.conf", "kernel.panic = 10\n");
        node.write("proc/1/comm", "systemd\n");
        fs::create_dir(node.own.path().join("policies")).unwrap();
        node.policy(POLICY);
        node
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.files.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn mode(&self, path: &str, mode: u32) {
        fs::set_permissions(self.files.path().join(path), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn policy(&self, text: &str) {
        fs::write(self.own.path().join("policies/mine.yaml"), text).unwrap();
    }

    fn start(&self, interval: Duration) -> Running {
        self.start_at(interval, || 86_400_000)
    }

    fn start_at(&self, interval: Duration, now_ms: fn() -> i64) -> Running {
        let sources = Sources {
            policies: vec!["mine".to_owned()],
            directory: Some(self.own.path().join("policies")),
            exceptions: Some(self.own.path().join("exceptions.yaml")),
            ..Sources::default()
        };
        let settings = Settings { sources, interval, state_dir: self.own.path().join("state") };
        let inputs = Inputs { node: "node-1".to_owned(), ..Inputs::default() };
        let (sender, inputs) = watch::channel(inputs);
        let host = HostRoot::open(self.files.path()).unwrap();
        let (checks, drifts) = Checks::start(settings, host, inputs, now_ms).unwrap();
        Running { latest: checks.subscribe(), checks, drifts, inputs: sender }
    }
}

struct Running {
    checks: Checks,
    latest: watch::Receiver<Option<Arc<Snapshot>>>,
    drifts: UnboundedReceiver<Drift>,
    inputs: watch::Sender<Inputs>,
}

impl Running {
    async fn next(&mut self) -> Arc<Snapshot> {
        timeout(WITHIN, self.latest.changed()).await.expect("nothing was looked at within 5 s").unwrap();
        self.latest.borrow_and_update().clone().unwrap()
    }

    async fn drift(&mut self) -> Vec<(String, Option<Status>, Option<Status>)> {
        let drift = timeout(WITHIN, self.drifts.recv()).await.expect("no drift within 5 s").unwrap();
        drift.changes.into_iter().map(|c| (c.control, c.from, c.to)).collect()
    }
}

fn statuses(snapshot: &Snapshot) -> Vec<Status> {
    snapshot.report.findings().map(|(_, finding)| finding.status).collect()
}

const LONG: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn what_changes_on_disk_shows_within_five_seconds() {
    let node = Node::new();
    let mut room = node.start(LONG);
    let first = room.next().await;
    assert_eq!((first.because, statuses(&first)), (Occasion::Start, vec![Status::Pass, Status::Fail, Status::Pass]));

    node.mode("etc/passwd", 0o666);
    let drift = room.drift().await;
    assert_eq!(drift, [("mine/A-1".to_owned(), Some(Status::Pass), Some(Status::Fail))], "a mode");
    assert_eq!(room.next().await.because, Occasion::Change);

    node.write("opt/later/new.conf", "");
    let drift = room.drift().await;
    assert_eq!(
        drift,
        [("mine/A-2".to_owned(), Some(Status::Fail), Some(Status::Pass))],
        "in directories that were not there"
    );

    node.write("etc/sysctl.d/99-last.conf", "kernel.panic = 0\n");
    let drift = room.drift().await;
    assert_eq!(drift, [("mine/A-3".to_owned(), Some(Status::Pass), Some(Status::Fail))], "a file that was not there");

    fs::rename(node.files.path().join("etc/sysctl.d/99-last.conf"), node.files.path().join("etc/gone")).unwrap();
    let drift = room.drift().await;
    assert_eq!(drift, [("mine/A-3".to_owned(), Some(Status::Fail), Some(Status::Pass))], "a file that is gone");
}

/// Two directories at once: the second is there before the first can be watched.
#[tokio::test]
async fn what_is_in_a_directory_that_came_with_others_is_seen() {
    let node = Node::new();
    let mut room = node.start(LONG);
    room.next().await;
    fs::create_dir_all(node.files.path().join("opt/later")).unwrap();
    assert_eq!(room.next().await.because, Occasion::Change);
    node.write("opt/later/new.conf", "");
    assert_eq!(room.drift().await, [("mine/A-2".to_owned(), Some(Status::Fail), Some(Status::Pass))]);
}

/// A directory of the same name is another one, and nobody watches it yet.
#[tokio::test]
async fn a_directory_that_was_replaced_is_still_watched() {
    let node = Node::new();
    let mut room = node.start(LONG);
    room.next().await;
    let dir = node.files.path().join("etc/sysctl.d");
    for replaced in [true, false] {
        if replaced {
            fs::remove_dir_all(&dir).unwrap();
        } else {
            fs::rename(&dir, node.files.path().join("etc/old")).unwrap();
        }
        node.write("etc/sysctl.d/10-node.conf", "kernel.panic = 10\n");
        assert_eq!(room.next().await.because, Occasion::Change);
        node.write("etc/sysctl.d/99-last.conf", "kernel.panic = 0\n");
        assert_eq!(room.drift().await, [("mine/A-3".to_owned(), Some(Status::Pass), Some(Status::Fail))]);
        fs::remove_file(dir.join("99-last.conf")).unwrap();
        assert_eq!(room.drift().await, [("mine/A-3".to_owned(), Some(Status::Fail), Some(Status::Pass))]);
        room.latest.borrow_and_update();
    }
}

#[tokio::test]
async fn a_burst_of_changes_is_looked_at_once() {
    let node = Node::new();
    let mut room = node.start(LONG);
    room.next().await;
    for n in 0..50 {
        node.write(&format!("etc/sysctl.d/50-{n}.conf"), "kernel.panic = 10\n");
    }
    room.next().await;
    let again = timeout(Duration::from_secs(2), room.latest.changed()).await;
    assert!(again.is_err(), "one burst, one look");
}

#[tokio::test]
async fn what_is_none_of_its_business_wakes_nobody() {
    let node = Node::new();
    let mut room = node.start(LONG);
    room.next().await;
    node.write("etc/hosts", "127.0.0.1 localhost\n");
    node.write("var/log/messages", "hello\n");
    assert!(timeout(Duration::from_secs(2), room.latest.changed()).await.is_err());
}

#[tokio::test]
async fn drift_shows_across_a_restart() {
    let node = Node::new();
    let mut room = node.start(LONG);
    room.next().await;
    drop(room);
    node.mode("etc/passwd", 0o666);
    let mut room = node.start(LONG);
    assert_eq!(room.drift().await, [("mine/A-1".to_owned(), Some(Status::Pass), Some(Status::Fail))]);
    assert_eq!(room.next().await.days.len(), 1);
}

#[tokio::test]
async fn policies_and_exceptions_are_read_again_and_a_broken_one_is_said() {
    let node = Node::new();
    let mut room = node.start(Duration::from_secs(1));
    room.next().await;
    let excepted = "exceptions:\n  - {control: mine/A-2, reason: Not yet., owner: us, expires: 2030-01-01}\n";
    fs::write(node.own.path().join("exceptions.yaml"), excepted).unwrap();
    assert_eq!(room.drift().await, [("mine/A-2".to_owned(), Some(Status::Fail), Some(Status::Excepted))]);
    node.policy(&POLICY.replace("exists: true", "exist: true"));
    let snapshot = loop {
        let snapshot = room.next().await;
        if !snapshot.problems.is_empty() {
            break snapshot;
        }
    };
    assert!(snapshot.problems[0].contains("mine.yaml"), "{:?}", snapshot.problems);
}

#[tokio::test]
async fn what_is_learnt_elsewhere_is_looked_at_at_once() {
    let node = Node::new();
    let mut room = node.start(LONG);
    room.next().await;
    room.inputs.send_modify(|inputs| inputs.node = "node-2".to_owned());
    let snapshot = room.next().await;
    assert_eq!((snapshot.because, snapshot.report.node.as_str()), (Occasion::Inputs, "node-2"));
    assert!(room.checks.silence() < Duration::from_secs(5));
}

/// The redirect's timer writes each minute. Between two whole looks its word is as old as it is now, not as it was then.
#[tokio::test]
async fn time_goes_on_between_two_whole_looks() {
    static NOW_MS: AtomicI64 = AtomicI64::new(86_400_000);
    let node = Node::new();
    node.policy(&format!(
        "{POLICY}  - {{id: A-4, title: The redirect, level: 1, assessment: automated, severity: high, why: Because., \
         remedy: Mend it., check: {{redirect: {{max_age_seconds: 180}}}}}}\n"
    ));
    let says = |at_ms: i64| {
        node.write(
            "run/safeguard/redirect.json",
            &format!("{{\"version\":1,\"ok\":true,\"at_ms\":{at_ms},\"problems\":[]}}"),
        );
    };
    says(86_400_000);
    let mut room = node.start_at(LONG, || NOW_MS.load(Ordering::Relaxed));
    assert_eq!(statuses(&*room.next().await)[3], Status::Pass);
    for minute in 1..=2 {
        let now_ms = 86_400_000 + minute * 60_000;
        NOW_MS.store(now_ms, Ordering::Relaxed);
        says(now_ms);
        let snapshot = room.next().await;
        assert_eq!((snapshot.because, statuses(&snapshot)[3]), (Occasion::Change, Status::Pass), "minute {minute}");
    }
}

#[tokio::test]
async fn the_room_ends_with_its_handle() {
    let node = Node::new();
    let Running { checks, mut drifts, latest, inputs } = node.start(LONG);
    drop((checks, latest, inputs));
    assert!(timeout(WITHIN, drifts.recv()).await.expect("the thread goes on").is_none());
}

#[test]
fn results_are_for_root_alone() {
    let node = Node::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async { node.start(LONG).next().await });
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let state = node.own.path().join("state");
    assert_eq!((mode(&state), mode(&state.join("results.json"))), (0o700, 0o600));
}
