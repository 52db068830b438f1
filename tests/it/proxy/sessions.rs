//! STS as it can be: slow, throttled, refusing, away.

use std::time::Duration;

use safeguard_standins::sts::{StsOp, denied, throttled, unavailable};
use safeguard_standins::{Trouble, sts};
use safeguard_tests::proxied::{Proxied, Wish, role_arn};
use tokio::time::{Instant, sleep};

use super::{LIST, node, session, without_proxy};

/// jtblin/kube2iam: 18 to 64 calls for 64 requests (research section 5b).
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_cold_requests_are_one_call() {
    let Some(mut node) = node("proxy::sixty_four_cold_requests", 1).await else { return };
    node.set("[roles]\nprefetch = false\n");
    node.terminate().await;
    node.start(&[]);
    node.started().await;
    node.sts
        .troubles()
        .when(|call| (call.op == StsOp::AssumeRole).then(|| Trouble::Latency(Duration::from_millis(300))));
    node.run_pod(0, Wish::role(0, "one"));
    while node.get(0, "/latest/meta-data/instance-id").unwrap().status != 200 {}
    let (begun, node) = (Instant::now(), &node);
    let slowest = std::thread::scope(|scope| {
        let ask = || {
            let got = node.fabric.in_pod(0, || {
                let to = std::net::SocketAddr::from((safeguard_tests::fabric::METADATA_V4, 80));
                safeguard_tests::proxied::ask(to, "GET", &format!("{LIST}one"), &[])
            });
            assert_eq!(got.unwrap().status, 200);
            begun.elapsed()
        };
        let all: Vec<_> = (0..64).map(|_| scope.spawn(ask)).collect();
        all.into_iter().map(|one| one.join().unwrap()).max()
    });
    assert_eq!(node.sts.assumed().len(), 1, "{slowest:?}");
    node.nothing_leaked();
}

/// A proxy starts on a node with twenty pods, and STS takes 150 ms: one after the other their sessions would take 3 s. Pods are let in
/// before they are all there, and whoever asks does not wait for those of others.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_sessions_of_a_whole_node_are_fetched_side_by_side() {
    let Some(mut node) = without_proxy("proxy::the_sessions_of_a_whole_node", 1).await else { return };
    let slow = Duration::from_millis(150);
    node.sts.troubles().when(move |call| (call.op == StsOp::AssumeRole).then_some(Trouble::Latency(slow)));
    for number in 0..20 {
        let role = format!("role-{number}");
        node.put_role(&role);
        let wish = Wish::role(number, &role);
        if number == 0 {
            node.run_pod(0, wish);
        } else {
            let address = [std::net::Ipv4Addr::new(10, 0, 1, number + 2).into()];
            node.write_result_at(&address, &wish);
            node.tell_api_at(&address, &wish);
        }
    }
    node.redirect_up();
    let begun = Instant::now();
    node.start(&[]);
    let all = begun + slow * 20;
    while node.get(0, &format!("{LIST}role-0")).map_or(0, |reply| reply.status) != 200 {
        assert!(Instant::now() < all, "{}", node.said());
        sleep(Duration::from_millis(1)).await;
    }
    let first = begun.elapsed();
    let issued = |node: &Proxied| node.said().matches(r#""audit":"issued""#).count();
    while issued(&node) < 20 {
        assert!(Instant::now() < all, "{}", node.said());
        sleep(Duration::from_millis(5)).await;
    }
    let last = begun.elapsed();
    assert!(first < slow * 5 && last < slow * 12, "{first:?}, {last:?}");
    assert_eq!(node.sts.assumed().len(), 20);
    node.nothing_leaked();
}

/// Two pods of one role have sessions of their own, by name; what AWS sees is the pod.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn cloudtrail_sees_the_pod() {
    let Some(mut node) = node("proxy::cloudtrail_sees_the_pod", 2).await else { return };
    node.run_pod(0, Wish::role(0, "one"));
    node.run_pod(1, Wish::role(1, "one"));
    assert_eq!((node.whoami(0), node.whoami(1)), (Some(session("one", 0)), Some(session("one", 1))));
    let names: Vec<_> = node.sts.assumed().into_iter().filter_map(|call| call.session_name).collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

/// jtblin/kube2iam PR#316: a pod without the external id does not profit from one that has it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_external_id_is_not_shared() {
    let Some(mut node) = node("proxy::an_external_id_is_not_shared", 2).await else { return };
    node.sts.put_role(sts::Role::new(role_arn("guarded")).trusting(role_arn("node")).with_external_id("secret-id"));
    let mut with = Wish::role(0, "guarded");
    with.annotations.push(("iam.amazonaws.com/external-id".to_owned(), "secret-id".to_owned()));
    node.run_pod(0, with);
    assert_eq!(node.whoami(0), Some(session("guarded", 0)));
    node.run_pod(1, Wish::role(1, "guarded"));
    assert_eq!(node.whoami(1), None);
    assert_eq!(node.get(1, &format!("{LIST}guarded")).unwrap().status, 403);
}

/// What STS says stays in the log and in `explain`: a pod learns no account and no role of others.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_pod_learns_nothing_from_an_error() {
    let Some(mut node) = node("proxy::a_pod_learns_nothing", 1).await else { return };
    node.run_pod(0, Wish::role(0, "foreign"));
    let refused = node.get(0, &format!("{LIST}foreign")).unwrap();
    assert_eq!(refused.status, 403);
    for secret in ["123456789012", "arn:", "node", "sts:"] {
        assert!(!refused.body.contains(secret), "{}", refused.body);
    }
    assert!(node.said().contains("AccessDenied"), "{}", node.said());
}

/// Throttled, refused, away: a session that is there is served on; one that is not is refused, and comes when STS does.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn trouble_with_sts_passes() {
    let Some(mut node) = node("proxy::trouble_with_sts", 2).await else { return };
    node.run_pod(0, Wish::role(0, "one"));
    assert_eq!(node.whoami(0), Some(session("one", 0)));
    for (trouble, status) in [(throttled(), 503), (unavailable(), 503), (denied(), 403)] {
        node.sts.troubles().when(move |call| (call.op == StsOp::AssumeRole).then(|| trouble.clone()));
        node.run_pod(1, Wish::role(1, "two"));
        let late = Instant::now() + Duration::from_secs(20);
        while node.get(1, &format!("{LIST}two")).unwrap().status != status {
            assert!(Instant::now() < late, "{status}");
            sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(node.whoami(0), Some(session("one", 0)), "what is there is served");
        node.sts.troubles().clear();
        while node.whoami(1) != Some(session("two", 1)) {
            assert!(Instant::now() < late + Duration::from_secs(20), "it does not recover");
            sleep(Duration::from_millis(100)).await;
        }
        node.end_pod(1);
        node.kill();
        node.start(&[]);
        node.started().await;
    }
    node.nothing_leaked();
}

/// The audit log has one line for a session, one for its first delivery, and one for a refusal; and no secret.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_audit_log_tells_who_got_what() {
    let Some(mut node) = without_proxy("proxy::the_audit_log", 2).await else { return };
    node.up().await;
    node.run_pod(0, Wish::role(0, "one"));
    let bad = Wish { name: "pod-1-bad".to_owned(), ..Wish::role(1, "../admin") };
    node.run_pod(1, Wish { uid: "uid-1-bad".to_owned(), ..bad });
    for _ in 0..5 {
        assert!(node.whoami(0).is_some());
        assert_eq!(node.get(1, LIST).unwrap().status, 403);
    }
    let said = node.said();
    let lines = |audit: &str| {
        let events = said.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        events.filter(|event| event["audit"] == audit).collect::<Vec<_>>()
    };
    assert_eq!(lines("issued").len(), 1, "{said}");
    let delivered = lines("delivered");
    assert_eq!(delivered.len(), 1, "{said}");
    assert_eq!(delivered[0]["pod_uid"], "uid-0-one");
    assert_eq!(delivered[0]["role"], role_arn("one"));
    assert_eq!(delivered[0]["session_name"], "shop.pod-0-one");
    let key = delivered[0]["access_key_id"].as_str().unwrap();
    assert!(key.starts_with("ASIA"));
    let refused = lines("refused");
    assert_eq!(refused.len(), 1, "what repeats is counted: {said}");
    assert_eq!(refused[0]["code"], "bad_role");
    // The secret halves are known to the stand-in alone; a served document shows one.
    let body = node.get(0, &format!("{LIST}one")).unwrap().body;
    let document: serde_json::Value = serde_json::from_str(&body).unwrap();
    for secret in ["SecretAccessKey", "Token"] {
        assert!(!node.said().contains(document[secret].as_str().unwrap()), "{secret}");
    }
}
