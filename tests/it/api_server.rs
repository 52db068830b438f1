//! A real API server: it takes our charts, gives their accounts what they need, vouches for a node, and tells of it and its pods.

use std::collections::BTreeMap;
use std::future::pending;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::routing::post;
use safeguard::verify::Cluster;
use safeguard_pods::{FixedToken, Phase, Pod, Token, Wanted, index, watch};
use safeguard_tests::api_server::ApiServer;
use safeguard_tests::helm::objects;
use safeguard_tests::parts::{Part, here};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::heartbeat::{NODE, World};

const PATIENCE: Duration = Duration::from_secs(40);
const NAMESPACE: &str = "safeguard";
/// The accounts that the charts make.
const AGENT: &str = "safeguard-safeguard-agent";
const SAFEGUARD: &str = "safeguard";

/// A webhook that vouches for one token, as an API server does from 1.30 on for one of the agent's pod on [`NODE`].
async fn webhook(token: &'static str) -> String {
    let review = async move |Json(asked): Json<Value>| {
        let status = if asked["spec"]["token"] == token {
            json!({"authenticated": true, "audiences": ["safeguard"], "user": {
                "username": format!("system:serviceaccount:{NAMESPACE}:{AGENT}"),
                "extra": {"authentication.kubernetes.io/node-name": [NODE]},
            }})
        } else {
            json!({"authenticated": false})
        };
        Json(json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status}))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().route("/", post(review))).await.unwrap() });
    url
}

/// The charts' objects, with all that can be switched on, without what this server is too old for.
fn charts() -> Vec<Value> {
    let all = ["safeguard", "safeguard-agent"].into_iter().flat_map(|chart| objects(chart, "everything"));
    all.map(|mut object| {
        match object["kind"].as_str().unwrap() {
            "ClusterRole" | "ClusterRoleBinding" => {}
            "PodDisruptionBudget" => {
                object["apiVersion"] = json!("policy/v1beta1");
                without(&mut object["spec"], "unhealthyPodEvictionPolicy");
            }
            "DaemonSet" => {
                without(&mut object["spec"]["updateStrategy"]["rollingUpdate"], "maxSurge");
                without(&mut object["spec"]["template"]["spec"]["containers"][0]["securityContext"], "appArmorProfile");
            }
            "StatefulSet" => without(&mut object["spec"], "persistentVolumeClaimRetentionPolicy"),
            _ => {}
        }
        octal(&mut object);
        // Where Helm puts it.
        if !object["kind"].as_str().unwrap().starts_with("Cluster") && object["metadata"]["namespace"].is_null() {
            object["metadata"]["namespace"] = json!(NAMESPACE);
        }
        object
    })
    .collect()
}

/// Modes of files are octal numbers to Helm and kubectl, which read YAML 1.1.
fn octal(value: &mut Value) {
    match value {
        Value::Object(entries) => entries.iter_mut().for_each(|(key, value)| match value {
            Value::String(mode) if key == "defaultMode" => *value = json!(u32::from_str_radix(mode, 8).unwrap()),
            _ => octal(value),
        }),
        Value::Array(values) => values.iter_mut().for_each(octal),
        _ => {}
    }
}

fn without(object: &mut Value, key: &str) {
    assert!(object.as_object_mut().unwrap().remove(key).is_some(), "the chart sets {key} no more");
}

fn node(ready: &str) -> Value {
    json!({"conditions": [{"type": "Ready", "status": ready, "reason": "KubeletReady"}]})
}

/// A cluster with our charts and one node.
async fn cluster(webhook: Option<&str>) -> ApiServer {
    let api = ApiServer::start(webhook).await.unwrap();
    let namespace = |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    api.apply(&[namespace(NAMESPACE)]).unwrap();
    // The server makes it, a moment after it is ready.
    let made =
        async || api.kubectl(&["get", "namespace", "kube-node-lease"], "").map_err(|error| json!(error.to_string()));
    until("kube-node-lease", made).await;
    let unknown = json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "x", "namespace": NAMESPACE},
        "spec": {"selector": {"matchLabels": {"x": "y"}}, "maxSurge": 1,
            "template": {"metadata": {"labels": {"x": "y"}}, "spec": {"containers": []}}}});
    let refused = api.apply(&[unknown]).unwrap_err().to_string();
    assert!(refused.contains("unknown field \"maxSurge\""), "nobody looks at the objects: {refused}");
    api.apply(&charts()).unwrap();
    api.apply(&[
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE},
            "spec": {"providerID": "aws:///eu-central-1a/i-0123456789abcdef0"}}),
        json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": NODE, "namespace": "kube-node-lease"},
            "spec": {"holderIdentity": NODE, "leaseDurationSeconds": 40, "renewTime": "2026-01-01T00:00:00.000000Z"}}),
    ])
    .unwrap();
    api.patch_status("default", &format!("node/{NODE}"), &node("True")).unwrap();
    api
}

/// A world whose safeguard and agent ask this cluster, each by the account that its chart makes. The agent's pod has this token to
/// prove itself with. Tokens are kept in `dir`.
async fn world(api: &ApiServer, dir: &Path, token: &str) -> World {
    let keep = |name: &str, token: &str| {
        let path = dir.join(name);
        std::fs::write(&path, token).unwrap();
        path
    };
    let mut world = World::with(vec![Cluster {
        tenant: None,
        name: "prod".to_owned(),
        server: api.url(),
        ca: Some(api.ca()),
        token_file: keep("safeguard", &api.token(NAMESPACE, SAFEGUARD, None).unwrap()),
        service_accounts: vec![format!("{NAMESPACE}/{AGENT}")],
        nodes: true,
    }])
    .await;
    world.settings.kubernetes.url = Some(api.url());
    world.settings.kubernetes.ca_file = Some(api.ca());
    world.settings.kubernetes.token_file = Some(keep("agent", &api.token(NAMESPACE, AGENT, None).unwrap()));
    world.settings.heartbeat.service_account_token_file = Some(keep("proof", token));
    world
}

/// What is found, once it is.
async fn until<T>(what: &str, mut found: impl AsyncFnMut() -> Result<T, Value>) -> T {
    let late = Instant::now() + PATIENCE;
    loop {
        match found().await {
            Ok(found) => return found,
            Err(seen) => assert!(Instant::now() < late, "not {what} within {PATIENCE:?}: {seen:#}"),
        }
        sleep(Duration::from_millis(200)).await;
    }
}

/// The cluster's word for the node, at the safeguard and at the agent.
async fn is_told(world: &World, state: &str, ready: bool) {
    until(state, async || {
        let list = world.api_says("/v1/nodes").await;
        if list["items"][0]["cluster_state"] == state { Ok(()) } else { Err(list) }
    })
    .await;
    let shown = until(state, async || {
        let shown: Value = serde_json::from_str(&world.program(&["heartbeat", "show"])).unwrap();
        if shown["membership"]["ready"] == ready { Ok(shown) } else { Err(shown["membership"].clone()) }
    })
    .await;
    assert!(shown["membership"]["lease_age_s"].as_u64().is_some_and(|age| age > 86_400), "{shown:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_cluster_takes_the_charts_vouches_for_a_node_and_tells_of_it() {
    const TEST: &str = "api_server::a_real_cluster_takes_the_charts_vouches_for_a_node_and_tells_of_it";
    if ![Part::ApiServer, Part::Helm, Part::Curl].into_iter().all(|part| here(TEST, part)) {
        return;
    }
    const TOKEN: &str = "what-the-kubelet-mounted";
    let api = cluster(Some(&webhook(TOKEN).await)).await;
    let dir = tempfile::tempdir().unwrap();
    let world = world(&api, dir.path(), TOKEN).await;
    let running = world.agent().await;
    let enrolled = world.node_is("compliant", PATIENCE).await;
    assert_eq!(enrolled["assurance"], "iid+sts+psat", "the cluster vouches too");

    is_told(&world, "ready", true).await;
    api.patch_status("default", &format!("node/{NODE}"), &node("False")).unwrap();
    is_told(&world, "not ready", false).await;
    api.kubectl(&["delete", "node", NODE], "").unwrap();
    until("absent", async || {
        let list = world.api_says("/v1/nodes").await;
        if list["items"][0]["cluster_state"] == "absent" { Ok(()) } else { Err(list) }
    })
    .await;
    running.shutdown().await;
}

/// Real tokens: of the agent's account they are known, and this Kubernetes does not say yet on which node they are.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_a_real_cluster_does_not_vouch_for_are_refused() {
    const TEST: &str = "api_server::tokens_that_a_real_cluster_does_not_vouch_for_are_refused";
    if ![Part::ApiServer, Part::Helm, Part::Curl].into_iter().all(|part| here(TEST, part)) {
        return;
    }
    let (api, dir) = (cluster(None).await, tempfile::tempdir().unwrap());
    let refused = async |token: &str, code: &str| {
        let world = world(&api, dir.path(), token).await;
        let running = world.agent().await;
        until(code, async || match running.heartbeat().unwrap().trouble {
            Some(trouble) if trouble.code.is_some_and(|is| is.as_str() == code) => Ok(()),
            trouble => Err(json!(trouble)),
        })
        .await;
        running.shutdown().await;
    };
    let good = api.token(NAMESPACE, AGENT, Some("safeguard")).unwrap();
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
        "spec": {"token": good, "audiences": ["safeguard"]}});
    let path = "/apis/authentication.k8s.io/v1/tokenreviews";
    let said = api.kubectl(&["create", "--raw", path, "--filename", "-"], &review.to_string()).unwrap();
    let said: Value = serde_json::from_str(&said).unwrap();
    let status = &said["status"];
    assert_eq!((&status["authenticated"], &status["audiences"]), (&json!(true), &json!(["safeguard"])), "{status:#}");
    assert_eq!(status["user"]["username"], format!("system:serviceaccount:{NAMESPACE}:{AGENT}"));
    assert!(!said.to_string().contains("node-name"), "this Kubernetes says it: it can be tried without a webhook");
    refused(&good, "proof-token").await;
    refused(&api.token(NAMESPACE, AGENT, None).unwrap(), "proof-token").await;
    refused(&api.token(NAMESPACE, SAFEGUARD, Some("safeguard")).unwrap(), "proof-token").await;
    refused("what-nobody-made", "proof-token").await;
    // Who may not ask has no answer, which is another thing than a refusal.
    api.kubectl(&["delete", "clusterrolebinding", SAFEGUARD], "").unwrap();
    refused(&good, "proof-unavailable").await;
}

fn pod(name: &str, node: &str, role: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "annotations": {"role": role, "note": "of somebody else"}},
        "spec": {"nodeName": node, "serviceAccountName": "till", "containers": [{"name": "app", "image": "app"}]}})
}

/// As a kubelet does it once the containers have ended.
fn delete(api: &ApiServer, pod: &str) {
    api.kubectl(&["delete", "pod", pod, "--namespace", "shop", "--force", "--grace-period", "0"], "").unwrap();
}

/// As the proxy follows them, by the rights that the chart gives it.
#[tokio::test(flavor = "multi_thread")]
async fn pods_are_followed_through_the_restart_of_a_real_api_server() {
    const TEST: &str = "api_server::pods_are_followed_through_the_restart_of_a_real_api_server";
    if ![Part::ApiServer, Part::Helm].into_iter().all(|part| here(TEST, part)) {
        return;
    }
    let mut api = cluster(None).await;
    let shop =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "annotations": {"allowed": "x"}}});
    api.apply(&[shop, pod("one", NODE, "a"), pod("two", NODE, "b"), pod("elsewhere", "other", "c")]).unwrap();

    let token = Arc::new(FixedToken(Token::new(&api.token(NAMESPACE, AGENT, None).unwrap()).unwrap()));
    let server = safeguard_pods::ApiServer::new(&api.url(), Some(&std::fs::read(api.ca()).unwrap()), token).unwrap();
    let wanted = Wanted {
        node: NODE.to_owned(),
        pod_annotations: ["role".to_owned()].into(),
        namespace_annotations: ["allowed".to_owned()].into(),
    };
    let (writer, reader) = index();
    let watching = tokio::spawn(watch(writer, server, wanted, pending()));
    let knows = async |names: &[(&str, &str)]| {
        let expected: BTreeMap<String, Option<String>> =
            names.iter().map(|(name, role)| ((*name).to_owned(), Some((*role).to_owned()))).collect();
        until("the pods", async || {
            let role = |pod: &Pod| pod.annotations.get("role").map(|role| role.to_string());
            let known: BTreeMap<_, _> = reader.pods().iter().map(|pod| (pod.name.to_string(), role(pod))).collect();
            if known == expected { Ok(()) } else { Err(json!(format!("{known:?}, {:?}", reader.health()))) }
        })
        .await;
    };
    knows(&[("one", "a"), ("two", "b")]).await;
    let one = reader.named("shop", "one").unwrap();
    assert_eq!((&*one.service_account, one.annotations.len()), ("till", 1), "no more is kept than is asked for");
    // It comes by a watch of its own.
    until("the namespace", async || match reader.namespace("shop") {
        Some(shop) if &*shop.annotations["allowed"] == "x" => Ok(()),
        shop => Err(json!(format!("{shop:?}, {:?}", reader.health()))),
    })
    .await;

    let running = json!({"phase": "Running", "podIP": "10.0.12.34", "podIPs": [{"ip": "10.0.12.34"}]});
    api.patch_status("shop", "pod/one", &running).unwrap();
    api.apply(&[pod("two", NODE, "changed"), pod("three", NODE, "d")]).unwrap();
    knows(&[("one", "a"), ("two", "changed"), ("three", "d")]).await;
    until("at its address", async || match reader.at("10.0.12.34".parse().unwrap()).as_slice() {
        [pod] if &*pod.name == "one" && pod.phase == Phase::Running => Ok(()),
        pods => Err(json!(format!("{pods:?}"))),
    })
    .await;
    delete(&api, "three");
    knows(&[("one", "a"), ("two", "changed")]).await;

    // What is known stays while it is away, and what happened is learnt when it is back.
    api.stop().await.unwrap();
    until("the outage", async || {
        let health = reader.health();
        if health.last_error.is_some() { Ok(()) } else { Err(json!(format!("{health:?}"))) }
    })
    .await;
    knows(&[("one", "a"), ("two", "changed")]).await;
    api.start_again().await.unwrap();
    delete(&api, "two");
    api.apply(&[pod("four", NODE, "e")]).unwrap();
    knows(&[("one", "a"), ("four", "e")]).await;
    until("well", async || {
        let health = reader.health();
        if health.last_error.is_none() { Ok(()) } else { Err(json!(format!("{health:?}"))) }
    })
    .await;
    watching.abort();
}
