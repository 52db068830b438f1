//! Clients that others wrote, inside of pods: what they ask, and how, is theirs. Each finds credentials by itself and calls
//! GetCallerIdentity with them.

mod client;
mod rust;

use std::net::SocketAddr;
use std::time::Duration;

use safeguard_standins::kubernetes::namespace;
use safeguard_tests::fabric::{OUTSIDE_V4, Place};
use safeguard_tests::moto::Moto;
use safeguard_tests::proxied::{NAMESPACE, Proxied, Wish};
use tokio::task::block_in_place;
use tokio::time::{Instant, sleep};

use super::{LIST, node, session, without_proxy};
use client::{ALL, Client, Said};
use safeguard_tests::parts::{Part, here};

/// How long a client may take until it knows that there is nothing for its pod.
const SOON: Duration = Duration::from_secs(3);

/// How long its program may run then, the start of an interpreter on a busy machine included. An idle connection that nobody closes
/// would keep Node waiting for `limits.header_deadline` longer, which is 10 s.
const ENDED: Duration = Duration::from_secs(8);

/// What a pod hears of later than it asks.
const LATE: Duration = Duration::from_millis(300);

/// The namespace's annotations: every role may be had, with or without a token.
fn require_v2(node: &Proxied, required: bool) {
    let imdsv2 = if required { "required" } else { "optional" };
    let annotations = [("iam.amazonaws.com/allowed-roles", r#"["*"]"#), ("safeguard.io/imdsv2", imdsv2)];
    node.api.add_namespace(namespace(NAMESPACE, &annotations));
}

/// Waits until that is so for a pod.
async fn required(node: &Proxied, number: u8) {
    let late = Instant::now() + Duration::from_secs(10);
    while node.get(number, LIST).unwrap().status != 401 {
        assert!(Instant::now() < late, "a request without a token is still answered");
        sleep(Duration::from_millis(20)).await;
    }
}

/// The clients that are here, each with the number of a pod of its own. Those that are not are named.
fn numbered(test: &str) -> Vec<(u8, Client)> {
    let here = |client: &&Client| here(&format!("{test}: {client:?}"), client.part());
    (0..).zip(ALL.iter().filter(here).copied()).collect()
}

/// Runs a client in a pod, and holds it to being that pod.
async fn is_its_pod(node: &Proxied, number: u8, client: Client) -> Said {
    let said = client.whoami(&node.fabric, number, node.sts_url()).await;
    assert_eq!(said.arn, Some(session("one", number)), "{client:?}: {said:?}\n{}", node.said());
    said
}

async fn every_client_is_its_pod(node: &mut Proxied, clients: &[(u8, Client)]) {
    for &(number, client) in clients {
        node.run_pod(number, Wish::role(number, "one"));
        is_its_pod(node, number, client).await;
    }
    require_v2(node, true);
    for &(number, client) in clients {
        required(node, number).await;
        if client == Client::CurlV1 {
            let said = client.whoami(&node.fabric, number, node.sts_url()).await;
            assert!(said.arn.is_none() && said.error.contains("error: 401"), "{said:?}");
        } else {
            is_its_pod(node, number, client).await;
        }
    }
    node.nothing_leaked();
}

/// STS verifies the signature, so what a client signs with is a key that was issued for its own pod.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn clients_of_others_are_their_pods() {
    let clients = numbered("proxy::clients_of_others_are_their_pods");
    let Some(mut node) = node("proxy::clients_of_others_are_their_pods", 7).await else { return };
    every_client_is_its_pod(&mut node, &clients).await;
    // What a client said is also what STS saw: each call came from a pod, and was signed with a session of that pod.
    let called = node.sts.calls().into_iter().filter(|call| call.role_arn.is_none());
    let callers: Vec<_> = called.map(|call| (call.peer.ip(), call.caller.map(|caller| caller.arn()))).collect();
    assert!(callers.len() >= clients.len());
    for (peer, caller) in callers {
        let number = clients.iter().find(|(number, _)| node.fabric.pod(*number).v4 == peer).unwrap().0;
        assert_eq!(caller, Some(session("one", number)));
    }
}

/// The same where neither end of it is ours: sessions come from moto, and moto says whose they are.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn clients_of_others_are_their_pods_at_motos_sts() {
    let test = "proxy::clients_of_others_are_their_pods_at_motos_sts";
    if !here(test, Part::Moto) {
        return;
    }
    let clients = numbered(test);
    let Some(mut node) = without_proxy(test, 7).await else { return };
    let moto = Moto::start_in(&node.fabric, Place::Outside, SocketAddr::from((OUTSIDE_V4, 5_000))).await.unwrap();
    node.ask_sts_at(&moto.endpoint());
    node.up().await;
    every_client_is_its_pod(&mut node, &clients).await;
    assert!(node.sts.calls().is_empty(), "somebody asked the other STS");
}

/// Research section 2.3: a pod without a role, one that may not have the role that it asks for, and one whose role AWS does not let
/// be assumed all learn it at once, in the words of their client.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn clients_of_others_learn_soon_that_there_is_nothing() {
    let test = "proxy::clients_of_others_learn_soon_that_there_is_nothing";
    let clients = numbered(test);
    let Some(mut node) = node(test, 3).await else { return };
    let allowed = [("iam.amazonaws.com/allowed-roles", r#"["one", "not-to-be-assumed"]"#)];
    node.api.add_namespace(namespace(NAMESPACE, &allowed));
    node.run_pod(0, Wish::none(0));
    node.run_pod(1, Wish::role(1, "two"));
    node.run_pod(2, Wish::role(2, "not-to-be-assumed"));
    for (number, path, status) in [(0, LIST, 404), (1, LIST, 403), (2, &format!("{LIST}not-to-be-assumed"), 403)] {
        let late = Instant::now() + Duration::from_secs(10);
        while node.get(number, path).unwrap().status != status {
            assert!(Instant::now() < late, "pod {number} does not get {status}");
            sleep(Duration::from_millis(20)).await;
        }
        for &(_, client) in &clients {
            let said = client.whoami(&node.fabric, number, node.sts_url()).await;
            let words = client.nothing(status);
            assert!(said.arn.is_none() && said.error.contains(words), "{client:?} at {status}: {said:?}");
            assert!(said.took < SOON && said.ran < ENDED, "{client:?} at {status}: {said:?}");
        }
    }
    node.nothing_leaked();
}

/// jtblin/kube2iam#136, uswitch/kiam#47: the pod's first instruction comes before Kubernetes has told of it. botocore and the
/// JavaScript clients ask once, for a second.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn clients_of_others_may_ask_before_their_pod_is_known() {
    let test = "proxy::clients_of_others_may_ask_before_their_pod_is_known";
    let clients = numbered(test);
    let Some(mut node) = node(test, 14).await else { return };
    for required in [false, true] {
        require_v2(&node, required);
        for &(number, client) in &clients {
            let number = if required { number + 7 } else { number };
            if !(required && client == Client::CurlV1) {
                late(&mut node, number, client).await;
            }
        }
    }
    node.nothing_leaked();
}

async fn late(node: &mut Proxied, number: u8, client: Client) {
    let mut round = 0;
    loop {
        let wish = Wish { uid: format!("uid-{number}-{round}"), ..Wish::role(number, "one") };
        node.write_result(number, &wish);
        let (said, waited) = tokio::join!(client.whoami(&node.fabric, number, node.sts_url()), async {
            let asked = client::asks(&node.fabric, number, round).await;
            sleep(LATE).await;
            node.tell_api(number, &wish);
            asked.elapsed()
        });
        if said.arn == Some(session("one", number)) {
            return;
        }
        // On a busy machine the news may have come later than it was meant to.
        assert!(
            round < 3 && waited > LATE + Duration::from_millis(60),
            "{client:?}: {waited:?}: {said:?}\n{}",
            node.said()
        );
        node.remove_result(&wish);
        node.api.delete_pod(NAMESPACE, &wish.name);
        round += 1;
    }
}

/// boto/botocore#2670, fact 1 of the research: what has less than about 20 minutes left is given another end by botocore.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn botocore_believes_the_expiration_that_it_is_told() {
    let test = "proxy::botocore_believes_the_expiration";
    if !here(test, Client::Boto3.part()) {
        return;
    }
    let Some(mut node) = node(test, 1).await else { return };
    node.run_pod(0, Wish::role(0, "one"));
    let said = is_its_pod(&node, 0, Client::Boto3).await;
    let document = block_in_place(|| node.get(0, &format!("{LIST}one"))).unwrap().body;
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    assert_eq!(said.printed["key"], document["AccessKeyId"], "{said:?}");
    assert_eq!(said.printed["expiration"], document["Expiration"], "{said:?}");
    assert!(said.printed["left"].as_f64().unwrap() > 1_800.0, "{said:?}");
    assert_eq!(said.printed["method"], "iam-role");
}
