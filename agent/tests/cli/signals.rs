//! What signals do.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::node::{GRACE, Node, PATIENCE};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_waits_for_what_was_written() {
    let node = Node::new().await;
    // Nothing would be sent by itself for a minute.
    node.settings("[logs]\nflush_interval = \"60s\"");
    let mut agent = node.start().await;
    node.write((0..5_000).map(|i| format!("last words {i}")));
    agent.signal(Signal::SIGTERM);
    assert_eq!(agent.ends(PATIENCE).await.code(), Some(0));
    assert_eq!(node.arrived().len(), 5_000);
    assert!(agent.said().iter().any(|line| line.contains("Everything that was there is delivered.")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_delivered_within_the_grace_is_named() {
    let node = Node::new().await;
    node.settings("[logs]\nflush_interval = \"100ms\"");
    let mut agent = node.start().await;
    node.cloud.go_down().await;
    node.write(["left behind".to_owned()]);
    agent.signal(Signal::SIGTERM);
    assert_eq!(agent.ends(GRACE + Duration::from_secs(10)).await.code(), Some(0));
    let said = agent.said().join("\n");
    assert!(said.contains("shop/cart-1/web") && said.contains("Left for the next start."), "{said}");
    node.cloud.come_up().await.unwrap();
    let _again = node.start().await;
    node.arrives(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_at_once() {
    let node = Node::new().await;
    let mut agent = node.start().await;
    node.cloud.go_down().await;
    node.write(["left behind".to_owned()]);
    agent.signal(Signal::SIGTERM);
    agent.says("Ending").await;
    agent.signal(Signal::SIGTERM);
    assert_eq!(agent.ends(Duration::from_secs(10)).await.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_file_is_refused_and_the_old_settings_go_on() {
    let node = Node::new().await;
    node.settings("[logs]\nflush_interval = \"100ms\"");
    let mut agent = node.start().await;
    node.garbage();
    agent.signal(Signal::SIGHUP);
    let refusal = agent.says("The settings file is refused").await;
    assert!(refusal["error"].as_str().unwrap().contains("logs.flush_intervall"), "{refusal}");
    node.write(["still here".to_owned()]);
    node.arrives(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_takes_what_it_can_and_names_the_rest() {
    let node = Node::new().await;
    node.settings("[logs]\nflush_interval = \"100ms\"");
    let mut agent = node.start().await;
    node.settings("[logs]\nflush_interval = \"100ms\"\nexclude = [\"shop\"]\ngzip_level = 0");
    agent.signal(Signal::SIGHUP);
    let told = agent.says("some of them need a restart").await;
    assert_eq!(told["needs_a_restart"], "logs.gzip_level");
    let status: safeguard_agent::Status = serde_json::from_slice(&node.logs_status("json").stdout).unwrap();
    assert!(status.logs.iter().all(|c| !c.shipped), "{:?}", status.logs);
}
