//! Pods on the node's network: they cannot be told from the node. They keep its access, are counted, and get nothing from the proxy.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use safeguard_daemon::admin::get_unix;
use safeguard_standins::kubernetes::PodSpec;
use safeguard_tests::fabric::{METADATA_V4, NODE_V4};
use safeguard_tests::proxied::{NAMESPACE, NODE, Proxied, Wish, ask};
use tokio::task::block_in_place;
use tokio::time::{Instant, sleep};

use super::{LIST, node, session};

/// Where the redirect brings pods.
const PROXY: &str = "169.254.168.252:8181";

const TTL: [(&str, &str); 1] = [("X-aws-ec2-metadata-token-ttl-seconds", "60")];

/// A pod that the kubelet has started on the node's network: no CNI result, and the node's address.
fn pod() -> PodSpec {
    let pod = PodSpec::new(NAMESPACE, "on-the-node").uid("uid-on-the-node").node(NODE).ip(NODE_V4.to_string());
    pod.host_network().annotation("iam.amazonaws.com/role", "two")
}

async fn admin(node: &Proxied, path: &str) -> String {
    let answer = get_unix(&node.dir().join("proxy.sock"), path, Duration::from_secs(5)).await.unwrap();
    String::from_utf8(answer.1.to_vec()).unwrap()
}

async fn told(node: &Proxied) {
    node.api.add_pod(pod());
    let late = Instant::now() + Duration::from_secs(10);
    while !admin(node, "/metrics").await.contains("\nsafeguard_proxy_host_network_pods 1\n") {
        assert!(Instant::now() < late, "it is not counted");
        sleep(Duration::from_millis(20)).await;
    }
}

/// jtblin/kube2iam#266, #184: what such a pod asks leaves the node as the node's own, and its annotation gives it nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_pod_on_the_nodes_network_keeps_the_nodes_access_and_is_counted() {
    let Some(mut node) = node("proxy::a_pod_on_the_nodes_network", 1).await else { return };
    node.run_pod(0, Wish::role(0, "one"));
    told(&node).await;
    let explained = admin(&node, "/v1/explain?pod=shop/on-the-node").await;
    assert!(explained.contains("host_network"), "{explained}");
    assert_eq!(node.whoami(0), Some(session("one", 0)));
    node.nothing_leaked();

    let metadata = SocketAddr::from((METADATA_V4, 80));
    let own = |method: &str, path: &str, headers: &[(&str, &str)]| {
        block_in_place(|| node.fabric.in_node(|| ask(metadata, method, path, headers)))
    };
    let token = own("PUT", "/latest/api/token", &TTL).unwrap().body;
    let list = own("GET", LIST, &[("X-aws-ec2-metadata-token", &token)]).unwrap();
    assert_eq!((list.status, list.body.as_str()), (200, "node"));
    // The proxy's own port has no answer for it, whoever it says it is.
    let port = PROXY.parse().unwrap();
    block_in_place(|| node.fabric.in_node(|| ask(port, "GET", LIST, &[]))).unwrap_err();
    let asked = node.imds.sensitive_requests(|request| request.peer.ip() == IpAddr::from(NODE_V4));
    assert!(asked.is_empty(), "{asked:#?}");
    assert!(
        node.sts.assumed().iter().all(|call| call.role_arn.as_deref() != Some("arn:aws:iam::123456789012:role/two"))
    );
}

/// A CNI result that names such a pod, left over or forged, makes nobody that pod.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cni_result_makes_nobody_a_pod_on_the_nodes_network() {
    let Some(node) = node("proxy::a_cni_result_makes_nobody", 1).await else { return };
    told(&node).await;
    let named = Wish { uid: "uid-on-the-node".to_owned(), name: "on-the-node".to_owned(), annotations: Vec::new() };
    node.write_result(0, &named);
    assert_eq!(node.get(0, LIST).unwrap().status, 403);
    assert_eq!(node.get(0, &format!("{LIST}two")).unwrap().status, 403);
    assert_eq!(node.ask(0, "PUT", "/latest/api/token", &TTL).unwrap().status, 403);
    assert_eq!(node.whoami(0), None);
    assert!(node.said().contains(r#""code":"host_network""#), "{}", node.said());
    assert!(admin(&node, "/metrics").await.contains("{outcome=\"unidentified\"} 4\n"));
    assert!(node.sts.assumed().is_empty(), "a session was fetched for it");
    node.nothing_leaked();
}
