//! The service-account token: whose it is, and on which node and instance its pod runs.

use safeguard::verify::{Cluster, Proof, Settings, Tenant, Verifier};
use safeguard_protocol::{Assurance, Code, Enrolment};
use serde_json::{Value, json};

use crate::rig::{INSTANCE, NODE, NOW, Rig, refused};
use crate::server::{Asked, answer, server};

fn review() -> Value {
    json!({ "status": {
        "authenticated": true,
        "audiences": ["safeguard"],
        "user": {
            "username": "system:serviceaccount:safeguard:agent",
            "extra": { "authentication.kubernetes.io/node-name": [NODE] },
        },
    }})
}

fn node() -> Value {
    json!({ "spec": { "providerID": format!("aws:///eu-central-1a/{INSTANCE}") } })
}

async fn cluster(rig: &Rig, review: (u16, Value), node: (u16, Value)) -> (Verifier, Asked) {
    let (url, asked) = server(move |request| {
        let (status, body) =
            if request.starts_with("POST /apis/authentication.k8s.io/v1/tokenreviews ") { &review } else { &node };
        answer(*status, "content-type: application/json\r\n", &body.to_string())
    })
    .await;
    let mut settings = rig.settings();
    settings.clusters = vec![rig.cluster(url)];
    settings.tenants = vec![Tenant { require: Some(vec![Proof::Sts, Proof::Token]), ..rig.tenant() }];
    (Verifier::new(&settings).unwrap(), asked)
}

async fn enrolment(rig: &Rig) -> Enrolment {
    let mut enrolment = rig.enrolment().await;
    enrolment.proofs.service_account_token = Some("node-token".to_owned());
    enrolment
}

#[tokio::test]
async fn the_cluster_vouches_for_the_pod_the_node_and_the_instance() {
    let rig = Rig::start().await;
    let (verifier, asked) = cluster(&rig, (201, review()), (200, node())).await;
    let verified = verifier.verify(&enrolment(&rig).await, NOW).await.unwrap();
    assert_eq!(verified.assurance, Assurance::IdentityStsToken);
    let asked = asked.lock().unwrap();
    let [review, node] = asked.as_slice() else { panic!("{asked:?}") };
    assert!(review.contains("authorization: Bearer own-token\r\n"), "{review}");
    let body: Value = serde_json::from_str(review.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(body["spec"], json!({ "token": "node-token", "audiences": ["safeguard"] }));
    assert!(node.starts_with(&format!("GET /api/v1/nodes/{NODE} ")), "{node}");
}

#[tokio::test]
async fn without_sts_a_token_adds_no_level() {
    let rig = Rig::start().await;
    let (url, _) = server(|request| {
        let (status, body) = if request.starts_with("POST") { (201, review()) } else { (200, node()) };
        answer(status, "", &body.to_string())
    })
    .await;
    let mut settings = rig.settings();
    settings.clusters = vec![rig.cluster(url)];
    settings.tenants = vec![Tenant { require: Some(vec![]), ..rig.tenant() }];
    let mut enrolment = enrolment(&rig).await;
    enrolment.proofs.sts = None;
    let verified = Verifier::new(&settings).unwrap().verify(&enrolment, NOW).await.unwrap();
    assert_eq!(verified.assurance, Assurance::Identity);
}

#[tokio::test]
async fn a_token_of_another_kind_is_refused() {
    let rig = Rig::start().await;
    let with = |path: &str, value: Value| {
        let mut review = review();
        *review.pointer_mut(path).unwrap() = value;
        review
    };
    let claim = "/status/user/extra/authentication.kubernetes.io~1node-name";
    for (review, why) in [
        (with("/status/authenticated", json!(false)), "does not know"),
        (with("/status/audiences", json!([])), "audience"),
        (with("/status/audiences", json!(["https://kubernetes.default.svc"])), "audience"),
        (with("/status/user/username", json!("system:serviceaccount:safeguard:other")), "other"),
        (with("/status/user/username", json!("system:serviceaccount:default:agent")), "default"),
        (with("/status/user/username", json!("system:node:x")), "system:node"),
        (with("/status/user/extra", json!({})), "does not say"),
        (with(claim, json!([])), "does not say"),
        (with(claim, json!([NODE, "other"])), "does not say"),
        (with(claim, json!(["other"])), "other"),
        (json!({ "status": {} }), "does not know"),
    ] {
        let (verifier, _) = cluster(&rig, (201, review), (200, node())).await;
        refused(verifier.verify(&enrolment(&rig).await, NOW).await, Code::ProofToken, why);
    }
}

#[tokio::test]
async fn a_node_of_another_instance_is_refused() {
    let rig = Rig::start().await;
    for provider in ["aws:///eu-central-1a/i-0ffffffffffffffff", "gce://project/zone/x", "kind://docker/kind/node"] {
        let node = json!({ "spec": { "providerID": provider } });
        let (verifier, _) = cluster(&rig, (201, review()), (200, node)).await;
        refused(verifier.verify(&enrolment(&rig).await, NOW).await, Code::ProofToken, "instance");
    }
}

#[tokio::test]
async fn a_cluster_that_cannot_be_asked_is_an_outage() {
    let rig = Rig::start().await;
    let empty = json!({});
    for (review, node, why) in [
        ((401, json!({ "kind": "Status" })), (200, node()), "401"),
        ((403, review()), (200, node()), "403"),
        ((500, empty.clone()), (200, node()), "500"),
        ((201, json!("x".repeat(600_000))), (200, node()), "too long"),
        ((302, review()), (200, node()), "302"),
        ((201, review()), (404, empty.clone()), "not in the cluster yet"),
        ((201, review()), (403, empty.clone()), "403"),
        ((201, review()), (200, json!({ "spec": {} })), "yet"),
    ] {
        let (verifier, _) = cluster(&rig, review, node).await;
        refused(verifier.verify(&enrolment(&rig).await, NOW).await, Code::ProofUnavailable, why);
    }
}

#[tokio::test]
async fn what_a_node_writes_gets_into_no_path_and_no_header() {
    let rig = Rig::start().await;
    for name in ["../secrets/x", "a/b", "a?b", "a#b", "", ".", "..", "a..b", "A", "a b", "a%2fb", "a\r\nb"] {
        let mut review = review();
        review["status"]["user"]["extra"]["authentication.kubernetes.io/node-name"] = json!([name]);
        let (verifier, asked) = cluster(&rig, (201, review), (200, node())).await;
        let enrolment = Enrolment { node_name: name.to_owned(), ..enrolment(&rig).await };
        refused(verifier.verify(&enrolment, NOW).await, Code::ProofToken, "no name");
        assert_eq!(asked.lock().unwrap().len(), 1, "{name:?}");
    }
    for token in ["", "a b", "a\r\nx: y", "ü", &"x".repeat(20_000)] {
        let (verifier, asked) = cluster(&rig, (201, review()), (200, node())).await;
        let mut enrolment = enrolment(&rig).await;
        enrolment.proofs.service_account_token = Some(token.to_owned());
        refused(verifier.verify(&enrolment, NOW).await, Code::ProofToken, "form of a token");
        assert!(asked.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_cluster_that_is_asked_for_its_nodes_alone_vouches_for_nothing() {
    let rig = Rig::start().await;
    let (url, asked) = server(|_| answer(201, "", &review().to_string())).await;
    let alone = Cluster { service_accounts: Vec::new(), nodes: true, ..rig.cluster(url) };
    let settings = Settings { clusters: vec![alone.clone()], ..rig.settings() };
    let result = Verifier::new(&settings).unwrap().verify(&enrolment(&rig).await, NOW).await;
    refused(result, Code::ProofToken, "no service account whose tokens are believed");
    assert!(asked.lock().unwrap().is_empty());
    let nothing = Settings { clusters: vec![Cluster { nodes: false, ..alone }], ..rig.settings() };
    let error = Verifier::new(&nothing).unwrap_err().to_string();
    assert!(error.contains("clusters.prod.service_accounts"), "{error}");
}

#[tokio::test]
async fn a_cluster_of_another_tenant_vouches_for_nothing() {
    let rig = Rig::start().await;
    let (url, asked) = server(|_| answer(201, "", &review().to_string())).await;
    let others = Cluster { tenant: Some("globex".to_owned()), ..rig.cluster(url) };
    let tenants = vec![rig.tenant(), Tenant { name: "globex".to_owned(), ..rig.tenant() }];
    let settings = Settings { tenants, clusters: vec![others], ..rig.settings() };
    let result = Verifier::new(&settings).unwrap().verify(&enrolment(&rig).await, NOW).await;
    refused(result, Code::ProofToken, "no API server");
    assert!(asked.lock().unwrap().is_empty(), "it was shown the token of another tenant's pod");
}

#[tokio::test]
async fn a_cluster_that_nobody_has_set_vouches_for_nothing() {
    let rig = Rig::start().await;
    let result = rig.verify(&enrolment(&rig).await).await;
    refused(result, Code::ProofToken, "no API server");
    let mut without = rig.settings();
    without.tenants = vec![Tenant { require: Some(vec![Proof::Sts, Proof::Token]), ..rig.tenant() }];
    let result = Verifier::new(&without).unwrap().verify(&rig.enrolment().await, NOW).await;
    refused(result, Code::ProofMissing, "token");
}
