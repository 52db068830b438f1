//! Readiness: whether pods get what they should, as the kubelet and whoever is on call ask.

use std::time::Duration;

use safeguard_daemon::admin::get_unix;
use safeguard_tests::proxied::{Proxied, Wish};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{LIST, session, without_proxy};

/// Longer than the stand-in takes from one sign of life to the next.
const STALE_AFTER: Duration = Duration::from_secs(3);

const SOON: Duration = Duration::from_secs(20);

async fn ask(node: &Proxied) -> (u16, Value) {
    let (status, body) = get_unix(&node.dir().join("proxy.sock"), "/v1/ready", SOON).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

/// Waits until it is answered with this status, and returns why.
async fn becomes(node: &Proxied, wanted: u16) -> Vec<String> {
    let late = Instant::now() + SOON;
    loop {
        let (status, said) = ask(node).await;
        if status == wanted {
            assert_eq!(said["ready"], status == 200, "{said}");
            return serde_json::from_value(said["reasons"].clone()).unwrap();
        }
        assert!(Instant::now() < late, "{status}: {said}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Research section 1, "staleness control": a watch that is open and silent looks like a quiet cluster. Who is known is served on; who
/// comes is refused, and somebody has to learn of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readiness_falls_while_kubernetes_is_silent_and_pods_that_are_known_are_served() {
    let Some(mut node) = without_proxy("proxy::readiness_falls", 2).await else { return };
    node.set_kubernetes(&format!("stale_after = \"{}s\"", STALE_AFTER.as_secs()));
    node.run_pod(0, Wish::role(0, "one"));
    node.up().await;
    assert!(becomes(&node, 503).await.iter().any(|why| why.contains("redirect")), "nobody has checked it yet");
    assert!(node.run(&["redirect", "check"]).status.success());
    assert!(becomes(&node, 200).await.is_empty());
    let (_, posture) = get_unix(&node.dir().join("proxy.sock"), "/v1/posture", SOON).await.unwrap();
    let posture: Value = serde_json::from_slice(&posture).unwrap();
    assert_eq!(
        (&posture["redirect_ok"], &posture["refusals"], &posture["host_network_pods"]),
        (&true.into(), &0.into(), &0.into())
    );

    node.api.stall_watches(true);
    let reasons = becomes(&node, 503).await;
    assert!(reasons.len() == 1 && reasons[0].starts_with("Kubernetes has been silent for "), "{reasons:?}");
    assert_eq!(node.whoami(0), Some(session("one", 0)));
    node.run_pod(1, Wish::role(1, "two"));
    assert_eq!(node.get(1, LIST).unwrap().status, 503);
    let metrics = get_unix(&node.dir().join("proxy.sock"), "/metrics", SOON).await.unwrap().1;
    assert!(String::from_utf8_lossy(&metrics).contains("\nsafeguard_proxy_ready 0\n"));

    node.api.stall_watches(false);
    assert!(becomes(&node, 200).await.is_empty());
    assert_eq!(node.whoami(1), Some(session("two", 1)));
    node.nothing_leaked();
}
