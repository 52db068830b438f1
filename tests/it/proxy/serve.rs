//! Who gets what, through the real redirect.

use std::net::SocketAddr;
use std::time::Duration;

use safeguard_tests::fabric::METADATA_V6;
use safeguard_tests::proxied::{NAMESPACE, Wish, ask};
use tokio::task::block_in_place;
use tokio::time::{Instant, sleep};

use super::{LIST, node, session, without_proxy};

/// Design section 6: a pod gets credentials of the role it is entitled to, or an error.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_pod_gets_its_own_role_and_never_the_nodes() {
    let Some(mut node) = node("proxy::each_pod_gets_its_own_role", 4).await else { return };
    node.run_pod(0, Wish::role(0, "one"));
    node.run_pod(1, Wish::role(1, "two"));
    node.run_pod(2, Wish::none(2));
    assert_eq!(node.whoami(0), Some(session("one", 0)));
    assert_eq!(node.whoami(1), Some(session("two", 1)));
    assert_eq!(node.whoami(2), None);
    assert_eq!(node.get(2, LIST).unwrap().status, 404);
    assert_eq!(node.get(3, LIST).unwrap().status, 503, "an interface without a pod");
    assert_eq!(node.get(1, &format!("{LIST}one")).unwrap().status, 404, "another pod's role");
    assert_eq!(node.get(1, &format!("{LIST}node")).unwrap().status, 404, "the node's role");
    for path in
        ["/latest/user-data", "/latest/dynamic/instance-identity/document", "/metrics", "/v1/explain?ip=10.0.0.1"]
    {
        for pod in 0..3 {
            assert_eq!(node.get(pod, path).unwrap().status, 404, "{path}");
        }
    }
    assert!(node.get(0, "/latest/meta-data/instance-id").unwrap().body.starts_with("i-"));
    node.nothing_leaked();
}

/// The same over IPv6.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pods_are_answered_over_ipv6() {
    let Some(mut node) = node("proxy::pods_are_answered_over_ipv6", 1).await else { return };
    node.run_pod(0, Wish::role(0, "one"));
    let to = SocketAddr::from((METADATA_V6, 80));
    let list = block_in_place(|| node.fabric.in_pod(0, || ask(to, "GET", LIST, &[]))).unwrap();
    assert_eq!((list.status, list.body.as_str()), (200, "one"));
    node.nothing_leaked();
}

/// jtblin/kube2iam#136, #363, uswitch/kiam#47: a pod that has just started is waited for, but not as long as an SDK waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_pod_that_is_not_known_yet_is_waited_for() {
    let Some(mut node) = node("proxy::a_pod_that_is_not_known_yet", 2).await else { return };
    let begun = Instant::now();
    assert_eq!(node.get(1, LIST).unwrap().status, 503);
    let waited = begun.elapsed();
    assert!((Duration::from_millis(390)..Duration::from_millis(900)).contains(&waited), "{waited:?}");
    // The runtime has told of it, Kubernetes has not: the answer comes with the news.
    let wish = Wish::role(0, "one");
    node.write_result(0, &wish);
    let (answer, ()) = tokio::join!(
        async {
            sleep(Duration::from_millis(1)).await;
            node.get(0, LIST)
        },
        async {
            sleep(Duration::from_millis(100)).await;
            node.tell_api(0, &wish);
        }
    );
    let answer = answer.unwrap();
    // Both ran on one task: if the request was answered before the news came, it was refused, and the next is not.
    assert!(matches!(answer.status, 200 | 503), "{answer:?}");
    node.run_pod(0, wish);
    assert_eq!(node.whoami(0), Some(session("one", 0)));
    node.nothing_leaked();
}

/// Design section 6: the API server may be down for every pod that is known.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pods_that_are_known_do_not_need_the_api_server() {
    let Some(mut node) = node("proxy::pods_that_are_known", 2).await else { return };
    node.run_pod(0, Wish::role(0, "one"));
    assert_eq!(node.whoami(0), Some(session("one", 0)));
    node.api.go_down().await;
    assert_eq!(node.whoami(0), Some(session("one", 0)));
    // One that started meanwhile is refused, and not taken for somebody else.
    node.run_pod(1, Wish::role(1, "two"));
    assert_eq!(node.get(1, LIST).unwrap().status, 503);
    node.nothing_leaked();
}

/// uswitch/kiam#499, jtblin/kube2iam#178, #17: an address that is given to another pod is that pod's at once, also while the API
/// server still tells of the old one; and a token of the old pod opens nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_address_that_is_used_again_never_meets_the_old_session() {
    let Some(mut node) = node("proxy::an_address_that_is_used_again", 1).await else { return };
    node.run_pod(0, Wish::role(0, "one"));
    let ttl = [("X-aws-ec2-metadata-token-ttl-seconds", "300")];
    assert_eq!(node.whoami(0), Some(session("one", 0)));
    let token = node.ask(0, "PUT", "/latest/api/token", &ttl).unwrap().body;
    let old = node.wish(0).unwrap().clone();
    // The CNI has taken the old one down; Kubernetes does not know yet.
    node.remove_result(&old);
    assert_eq!(node.get(0, LIST).unwrap().status, 503);
    node.run_pod(0, Wish::role(0, "two"));
    assert_eq!(node.get(0, LIST).unwrap().body, "two");
    assert_eq!(node.whoami(0), Some(session("two", 0)));
    let with = [("X-aws-ec2-metadata-token", token.as_str())];
    assert_eq!(node.ask(0, "GET", LIST, &with).unwrap().status, 401);
    // Two results with one address: nobody, until one is gone.
    node.write_result(0, &old);
    assert_eq!(node.get(0, LIST).unwrap().status, 503);
    node.remove_result(&old);
    assert_eq!(node.whoami(0), Some(session("two", 0)));
    node.nothing_leaked();
}

/// jtblin/kube2iam PR#95, uswitch/kiam#107: a pod that has ended gets nothing; one that is ending still does.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_pod_that_has_ended_gets_nothing() {
    use safeguard_standins::kubernetes::PodSpec;
    let Some(mut node) = node("proxy::a_pod_that_has_ended", 1).await else { return };
    node.run_pod(0, Wish::role(0, "one"));
    assert_eq!(node.whoami(0), Some(session("one", 0)));
    let spec = |phase: &str| {
        let wish = node.wish(0).unwrap();
        let spec = PodSpec::new(NAMESPACE, wish.name.clone()).uid(wish.uid.clone()).node("node-1").phase(phase);
        spec.annotation("iam.amazonaws.com/role", "one")
    };
    node.api.add_pod(spec("Running").deleting("2026-11-25T00:00:00Z"));
    sleep(Duration::from_millis(200)).await;
    assert!(node.whoami(0).is_some());
    node.api.add_pod(spec("Succeeded"));
    let late = Instant::now() + Duration::from_secs(5);
    while node.get(0, LIST).unwrap().status != 403 {
        assert!(Instant::now() < late);
        sleep(Duration::from_millis(20)).await;
    }
    node.nothing_leaked();
}

/// What a namespace does not allow is refused, and its change counts at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_namespace_allows_may_change() {
    use safeguard_standins::kubernetes::namespace;
    let Some(mut node) = node("proxy::what_a_namespace_allows", 1).await else { return };
    node.run_pod(0, Wish::role(0, "one"));
    assert_eq!(node.whoami(0), Some(session("one", 0)));
    for (allowed, status) in [(r#"["two"]"#, 403), (r#"["o*"]"#, 200), ("[", 403), ("[]", 403), (r#"["one"]"#, 200)] {
        node.api.add_namespace(namespace(NAMESPACE, &[("iam.amazonaws.com/allowed-roles", allowed)]));
        let late = Instant::now() + Duration::from_secs(5);
        while node.get(0, LIST).unwrap().status != status {
            assert!(Instant::now() < late, "{allowed}");
            sleep(Duration::from_millis(20)).await;
        }
    }
    node.nothing_leaked();
}

/// `explain` tells whoever is on call what happened and what to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn explain_says_why() {
    let Some(mut node) = without_proxy("proxy::explain_says_why", 2).await else { return };
    node.up().await;
    node.run_pod(0, Wish::role(0, "one"));
    node.run_pod(1, Wish::role(1, "unknown-to-aws"));
    assert!(node.whoami(0).is_some());
    assert_eq!(node.whoami(1), None);
    let socket = node.dir().join("proxy.sock");
    let explain = |whom: &str| {
        let output = std::process::Command::new(safeguard_tests::proxied::program())
            .args(["explain", whom, "--socket", socket.to_str().unwrap()])
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, text) = block_in_place(|| explain("shop/pod-0-one"));
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("arn:aws:iam::123456789012:role/one") && text.contains("uid-0-one"), "{text}");
    let (code, text) = block_in_place(|| explain("shop/pod-1-unknown-to-aws"));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("AccessDenied") && text.contains("trust policy"), "{text}");
    let address = node.fabric.pod(0).v4.to_string();
    let (code, text) = block_in_place(|| explain(&address));
    assert!(code == Some(0) && text.contains("aws-cni-uid-0-one-eth0"), "{text}");
    let (code, text) = block_in_place(|| explain("10.99.99.99"));
    assert!(code == Some(1) && text.contains("no pod of this node"), "{text}");
    assert!(!text.contains("SecretAccessKey"));
}
