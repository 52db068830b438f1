#![expect(clippy::disallowed_methods, reason = "a test writes the files that are mounted for the agent")]

use std::sync::atomic::{AtomicUsize, Ordering};

use safeguard_checks::{Phase, continuous};
use safeguard_standins as standins;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::config::AccessMode;

const NODE: &str = "ip-10-0-1-23.eu-central-1.compute.internal";
const TOKEN: &str = "the-secret-of-a-service-account";

/// An agent that may reach the cluster of this kubelet.
fn agent_of(kubelet: &standins::Kubelet, files: &TempDir) -> Kubelet {
    let write = |name: &str, text: &str| {
        std::fs::write(files.path().join(name), text).unwrap();
        Some(files.path().join(name))
    };
    let mut settings = Settings::default();
    settings.kubernetes.mode = AccessMode::Url;
    // Nobody listens there: the API server has no part in this.
    settings.kubernetes.url = Some("https://127.0.0.1:9".to_owned());
    settings.kubernetes.ca_file = write("ca.crt", &kubelet.ca_pem());
    settings.kubernetes.token_file = write("token", TOKEN);
    let address = kubelet.addr();
    Kubelet { address, ..Kubelet::new(&settings, &Resolved::default(), &Environment::empty(), NODE.to_owned()) }
}

#[tokio::test]
async fn the_kubelet_says_what_it_runs_with_to_who_may_know() {
    let kubelet = standins::Kubelet::start(NODE, TOKEN, json!({"readOnlyPort": 0})).await.unwrap();
    let files = TempDir::new().unwrap();
    let agent = agent_of(&kubelet, &files);
    assert_eq!(agent.configz().await, Ok(json!({"kubeletconfig": {"readOnlyPort": 0}})));
    kubelet.runs_with(json!({"readOnlyPort": 10255}));
    assert_eq!(agent.configz().await, Ok(json!({"kubeletconfig": {"readOnlyPort": 10255}})));

    kubelet.allow(false);
    let why = agent.configz().await.unwrap_err();
    assert!(why.contains("403") && why.contains("nodes/configz") && !why.contains(TOKEN), "{why}");
    std::fs::write(files.path().join("token"), "another").unwrap();
    let why = agent.configz().await.unwrap_err();
    assert!(why.contains("401") && !why.contains("another"), "{why}");
}

#[tokio::test]
async fn a_kubelet_of_another_cluster_or_node_is_not_asked() {
    let kubelet = standins::Kubelet::start(NODE, TOKEN, json!({})).await.unwrap();
    let other = standins::Kubelet::start("another-node", TOKEN, json!({})).await.unwrap();
    let files = TempDir::new().unwrap();
    for agent in [Kubelet { address: other.addr(), ..agent_of(&kubelet, &files) }, agent_of(&other, &files)] {
        let why = agent.configz().await.unwrap_err();
        assert!(why.contains("its certificate is not one of the cluster's authority"), "{why}");
    }
    assert_eq!((kubelet.asked(), other.asked()), (0, 0), "a stranger got the token");
}

#[tokio::test]
async fn without_a_way_into_a_cluster_nobody_is_asked() {
    let mut settings = Settings::default();
    settings.kubernetes.kubeconfig = Some("/does/not/exist".into());
    let agent = Kubelet::new(&settings, &Resolved::default(), &Environment::empty(), NODE.to_owned());
    let why = agent.configz().await.unwrap_err();
    assert!(why.contains("/does/not/exist cannot be read"), "{why}");
}

fn looked(because: Occasion) -> Option<Arc<Snapshot>> {
    let report = safeguard_checks::Report {
        version: 1,
        node: NODE.to_owned(),
        phase: Phase::Run,
        started_ms: 0,
        policies: Vec::new(),
    };
    let (problems, days) = (Vec::new(), Vec::new());
    Some(Arc::new(continuous::Snapshot { report, finished_ms: 0, took_us: 0, because, problems, days }))
}

/// The kubelet's files changed, and it was started again some seconds later.
#[tokio::test(start_paused = true)]
async fn it_is_asked_at_once_at_each_interval_and_a_while_after_a_change() {
    let (learnt, inputs) = watch::channel(Inputs::default());
    let (snapshots, latest) = watch::channel(None);
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let configz = move || {
        let nth = count.fetch_add(1, Ordering::Relaxed);
        async move { if nth < 3 { Ok(json!(nth)) } else { Err("403".to_owned()) } }
    };
    let asking = tokio::spawn(ask(learnt, latest, configz));
    let after = async |seconds| {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        (asked.load(Ordering::Relaxed), inputs.borrow().configz.clone())
    };
    assert_eq!(after(1).await, (1, Some(Ok(json!(0)))));
    for because in [Occasion::Start, Occasion::Inputs] {
        snapshots.send_replace(looked(because));
        assert_eq!(after(60).await.0, 1, "{because:?}");
    }
    snapshots.send_replace(looked(Occasion::Change));
    assert_eq!(after(5).await.0, 1, "it is just being started");
    assert_eq!(after(15).await, (2, Some(Ok(json!(1)))));
    snapshots.send_replace(looked(Occasion::Interval));
    assert_eq!(after(1).await, (3, Some(Ok(json!(2)))));
    snapshots.send_replace(looked(Occasion::Interval));
    assert_eq!(after(1).await, (4, Some(Err("403".to_owned()))), "what was said before is not true for ever");
    drop(snapshots);
    assert!(after(1).await.1.is_some() && !asking.is_finished());
}
