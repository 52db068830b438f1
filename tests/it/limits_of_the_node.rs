//! The node has no more inotify instances or watches, few file descriptors, or very many containers.

use std::time::Duration;

use safeguard_standins::{CloudWatch, Options};
use safeguard_tests::node::{Output, SampleNode};
use tokio::time::Instant;

use crate::program::{Home, Program};
use crate::rig::PATIENCE;
use safeguard_tests::parts::{Part, here};

/// Runs the rest of the line in a user namespace of its own, in which the limit `$1` is `$2`. Limits of a namespace hold for
/// it alone (user_namespaces(7), namespaces(7) "/proc/sys/user").
const LIMITED: &str = "limit=$1 value=$2; shift 2; echo \"$value\" > \"/proc/sys/user/$limit\" && exec \"$@\"";

/// Listings are too rare to help: what is found soon was announced, or found by polling.
const RARE: &str = "flush_interval = \"200ms\"\nrescan_interval = \"5m\"";

fn limited<'a>(limit: &'a str, value: &'a str) -> Vec<&'a str> {
    vec!["/usr/bin/unshare", "--user", "--map-root-user", "/bin/sh", "-c", LIMITED, "limited", limit, value]
}

/// Waits until everything that was written has arrived.
async fn arrived(node: &SampleNode, service: &CloudWatch, home: &Home, program: &mut Program) {
    let late = Instant::now() + PATIENCE;
    loop {
        let mut check = node.oracle().check();
        service.for_each_event(|group, stream, event| check.see(group, stream, event.timestamp, event.message));
        let report = check.report();
        if report.is_complete() {
            assert_eq!(report.duplicated(), 0, "{report}");
            return;
        }
        assert!(program.runs() && Instant::now() < late, "{report}\n{}", home.said());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn polls_without_inotify(limit: &str, value: &str) {
    let node = SampleNode::new(1).unwrap();
    let service = CloudWatch::start(Options::default()).await.unwrap();
    let home = Home::new(&service, node.root(), RARE);
    let mut writers: Vec<_> = (0..10).map(|i| node.container("ns", &format!("pod-{i}"), "app").unwrap()).collect();
    for writer in &mut writers {
        writer.lines(Output::Stdout, 10).unwrap();
    }
    let mut program = home.start_in(&limited(limit, value));
    program.ready(&home).await;
    arrived(&node, &service, &home, &mut program).await;
    assert!(!program.status().await.unwrap().inotify);

    // A pod, a container, a restart and a rotated file that nobody announces.
    let mut pod = node.container("ns", "new", "app").unwrap();
    pod.lines(Output::Stdout, 10).unwrap();
    let mut container = node.container("ns", "pod-0", "second").unwrap();
    container.lines(Output::Stderr, 10).unwrap();
    writers[1].restart().unwrap();
    writers[1].lines(Output::Stdout, 10).unwrap();
    writers[2].rotate().unwrap();
    writers[2].lines(Output::Stdout, 10).unwrap();
    arrived(&node, &service, &home, &mut program).await;

    // Some more turns, to see that it is said only once.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let said = home.said();
    assert_eq!(said.matches("inotify is not available").count(), 1, "{said}");
    assert!(said.contains("fs.inotify.max_user_watches"), "the remedy is named: {said}");
    assert!(program.terminate().await.success());
}

/// Other programs of the node have taken every inotify instance.
#[tokio::test(flavor = "multi_thread")]
async fn without_inotify_instances_it_polls_and_says_so_once() {
    if here("limits_of_the_node::without_inotify_instances_it_polls_and_says_so_once", Part::UserNamespace) {
        polls_without_inotify("max_inotify_instances", "0").await;
    }
}

/// The watches run out among the first directories.
#[tokio::test(flavor = "multi_thread")]
async fn without_inotify_watches_it_polls_and_says_so_once() {
    if here("limits_of_the_node::without_inotify_watches_it_polls_and_says_so_once", Part::UserNamespace) {
        polls_without_inotify("max_inotify_watches", "5").await;
    }
}

/// A thousand containers at the soft limit of open files that services usually start with.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_containers_fit() {
    const CONTAINERS: usize = 1_000;
    let node = SampleNode::new(1).unwrap();
    let service = CloudWatch::start(Options::default()).await.unwrap();
    let home = Home::new(&service, node.root(), "flush_interval = \"500ms\"");
    let mut writers: Vec<_> =
        (0..CONTAINERS).map(|i| node.container("ns", &format!("p-{i}"), "app").unwrap()).collect();
    for writer in &mut writers {
        writer.lines(Output::Stdout, 10).unwrap();
        writer.lines(Output::Stderr, 10).unwrap();
    }
    let mut program = home.start_in(&["/usr/bin/prlimit", "--nofile=1024:4096"]);
    program.ready(&home).await;
    arrived(&node, &service, &home, &mut program).await;
    for writer in &mut writers {
        writer.lines(Output::Stdout, 1).unwrap();
    }
    arrived(&node, &service, &home, &mut program).await;

    let limits = program.proc("limits");
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    assert_eq!(limit.split_whitespace().next(), Some("4096"), "the soft limit is raised to the hard one");
    // One log file each, and what the process itself needs.
    assert!(program.open_files() < CONTAINERS + 64, "{} open files", program.open_files());
    let peak = program.peak_rss_kib();
    assert!(peak < 60 * 1024, "{peak} KiB at most");
    let status = program.status().await.unwrap();
    assert_eq!(status.logs.len(), CONTAINERS);
    assert!(status.inotify, "{}", home.said());
    assert!(program.terminate().await.success());
}
