//! The API server: who may ask, objects, lists, versions, and what goes wrong.

use std::{collections::BTreeMap, time::Duration};

use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign},
    sign::v4,
};
use safeguard_standins::{
    Account, Clock, Kubernetes, KubernetesOptions, Principal, Trouble,
    kubernetes::{Eks, PodSpec, Resource, Verb, namespace, node},
};
use serde_json::{Value, json};

use crate::{
    client::credentials,
    http::{Reply, request, send},
};

/// A stand-in with a token of somebody.
pub(crate) struct Rig {
    pub(crate) api: Kubernetes,
    pub(crate) token: String,
}

impl Rig {
    pub(crate) async fn new() -> Rig {
        let bookmark_interval = Duration::from_secs(3_600);
        let options = KubernetesOptions { bookmark_interval, ..KubernetesOptions::default() };
        let api = Kubernetes::start(options).await.unwrap();
        let token = api.issue_token("somebody");
        Rig { api, token }
    }

    pub(crate) async fn get(&self, target: &str) -> Reply {
        self.ask("GET", target, &[]).await.unwrap()
    }

    async fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Result<Reply, String> {
        let bearer = format!("Bearer {}", self.token);
        let mut all = vec![("authorization", bearer.as_str()), ("user-agent", "test")];
        all.extend(headers);
        send(self.api.addr(), request(method, target, &all)).await
    }

    /// A list that has to succeed.
    async fn list(&self, target: &str) -> Value {
        let reply = self.get(target).await;
        assert_eq!(reply.status, 200, "{target}: {}", reply.body);
        assert_eq!(reply.header("content-type"), "application/json");
        reply.json()
    }
}

/// The status, reason and message of a failure, which has to be an object of kind Status.
fn failure(reply: &Reply) -> (u16, String, String) {
    let status = reply.json();
    assert_eq!(
        (&status["kind"], &status["apiVersion"], &status["status"]),
        (&"Status".into(), &"v1".into(), &"Failure".into())
    );
    assert_eq!(status["code"], reply.status);
    let text = |name: &str| status[name].as_str().unwrap().to_owned();
    (reply.status, text("reason"), text("message"))
}

pub(crate) fn names(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().unwrap();
    items.iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

pub(crate) fn pod(name: &str) -> PodSpec {
    PodSpec::new("default", name).node("n1").ip("10.0.0.1")
}

#[tokio::test]
async fn only_tokens_that_were_issued_count() {
    let rig = Rig::new().await;
    for header in ["", "Bearer wrong", "Bearer ", "Basic x", &rig.token] {
        let reply = send(rig.api.addr(), request("GET", "/api/v1/pods", &[("authorization", header)])).await.unwrap();
        assert_eq!(failure(&reply), (401, "Unauthorized".to_owned(), "Unauthorized".to_owned()), "{header}");
    }
    assert_eq!(rig.get("/api/v1/pods").await.status, 200);
    rig.api.revoke_token(&rig.token);
    assert_eq!(rig.get("/api/v1/pods").await.status, 401);
    let health = send(rig.api.addr(), request("GET", "/readyz", &[])).await.unwrap();
    assert_eq!(health.body, "ok");
    let calls = rig.api.calls();
    assert_eq!(calls.iter().filter(|call| call.user.as_deref() == Some("somebody")).count(), 1);
}

#[tokio::test]
async fn what_is_not_granted_is_forbidden_in_the_servers_words() {
    let rig = Rig::new().await;
    rig.api.add_pod(pod("a"));
    rig.api.grant("somebody", &[Verb::List], Resource::Pods, None);
    rig.api.grant("somebody", &[Verb::Get], Resource::Pods, Some("default"));
    rig.api.grant("another", &[Verb::List], Resource::Namespaces, None);
    assert_eq!(rig.get("/api/v1/pods").await.status, 200);
    assert_eq!(rig.get("/api/v1/namespaces/default/pods").await.status, 200);
    assert_eq!(rig.get("/api/v1/namespaces/default/pods/a").await.status, 200);
    for (target, message) in [
        (
            "/api/v1/pods?watch=true",
            "pods is forbidden: User \"somebody\" cannot watch resource \"pods\" in API group \"\" at the cluster scope",
        ),
        (
            "/api/v1/namespaces/other/pods/a",
            "pods \"a\" is forbidden: User \"somebody\" cannot get resource \"pods\" in API group \"\" in the namespace \"other\"",
        ),
        (
            "/api/v1/namespaces",
            "namespaces is forbidden: User \"somebody\" cannot list resource \"namespaces\" in API group \"\" at the cluster scope",
        ),
    ] {
        assert_eq!(failure(&rig.get(target).await), (403, "Forbidden".to_owned(), message.to_owned()));
    }
    let used = rig.api.rights_used("somebody");
    assert!(used.contains(&(Verb::Watch, Resource::Pods, None)));
    assert!(used.contains(&(Verb::Get, Resource::Pods, Some("other".to_owned()))));
    assert_eq!(used.len(), 6);
    rig.api.revoke_grants();
    assert_eq!(rig.get("/api/v1/pods").await.status, 403);
}

#[tokio::test]
async fn a_nodes_user_sees_its_own_node_alone() {
    let rig = Rig::new().await;
    rig.api.bind_to_node("somebody", "n1");
    rig.api.add_pod(pod("here"));
    rig.api.add_pod(pod("there").node("n2"));
    rig.api.add_node(node("n1", "10.0.1.23"));
    assert_eq!(names(&rig.list("/api/v1/pods?fieldSelector=spec.nodeName%3Dn1").await), ["here"]);
    for target in [
        "/api/v1/pods",
        "/api/v1/pods?fieldSelector=spec.nodeName=n2",
        "/api/v1/pods?fieldSelector=spec.nodeName!=n1",
        "/api/v1/pods?watch=1",
    ] {
        let (code, _, message) = failure(&rig.get(target).await);
        assert_eq!(code, 403, "{target}");
        assert!(message.ends_with(": can only list/watch pods with spec.nodeName field selector"), "{message}");
    }
    assert_eq!(rig.get("/api/v1/namespaces/default/pods/here").await.status, 200);
    for target in ["/api/v1/namespaces/default/pods/there", "/api/v1/namespaces/default/pods/none", "/api/v1/nodes/n2"]
    {
        assert_eq!(rig.get(target).await.status, 403, "{target}");
    }
    assert_eq!(rig.get("/api/v1/nodes/n1").await.json()["status"]["addresses"][0]["address"], "10.0.1.23");
}

#[tokio::test]
async fn objects_are_read_as_they_were_written() {
    let rig = Rig::new().await;
    rig.api.add_namespace(namespace("team", &[("iam.amazonaws.com/allowed-roles", "[\"a\"]")]));
    let spec = PodSpec::new("team", "a").uid("u-1").node("n1").ip("10.0.0.1").ip("fd00::1");
    let spec = spec.annotation("iam.amazonaws.com/role", "blue").service_account("sa").host_network();
    rig.api.add_pod(spec.deleting("2026-01-02T03:04:05Z").phase("Failed"));
    let pod = rig.get("/api/v1/namespaces/team/pods/a").await.json();
    assert_eq!((&pod["kind"], &pod["metadata"]["uid"]), (&"Pod".into(), &"u-1".into()));
    assert_eq!(pod["metadata"]["annotations"]["iam.amazonaws.com/role"], "blue");
    assert_eq!(pod["metadata"]["deletionTimestamp"], "2026-01-02T03:04:05Z");
    assert_eq!(pod["metadata"]["resourceVersion"], rig.api.version().to_string());
    assert_eq!((&pod["spec"]["hostNetwork"], &pod["spec"]["serviceAccountName"]), (&true.into(), &"sa".into()));
    let status = &pod["status"];
    assert_eq!((&status["phase"], &status["podIP"]), (&"Failed".into(), &"10.0.0.1".into()));
    assert_eq!(status["podIPs"], json!([{ "ip": "10.0.0.1" }, { "ip": "fd00::1" }]));
    let team = rig.get("/api/v1/namespaces/team").await.json();
    assert_eq!(team["metadata"]["annotations"]["iam.amazonaws.com/allowed-roles"], "[\"a\"]");
    assert_eq!(team["status"]["phase"], "Active");
    for target in ["/api/v1/namespaces/team/pods/b", "/api/v1/namespaces/x", "/api/v1/nodes/x"] {
        assert_eq!(failure(&rig.get(target).await).1, "NotFound", "{target}");
    }
    for target in ["/api/v1/secrets", "/apis/apps/v1/pods", "/api/v1/pods/", "/api/v1/watch/pods"] {
        assert_eq!(failure(&rig.get(target).await).0, 404, "{target}");
    }
    assert_eq!(failure(&rig.ask("DELETE", "/api/v1/pods", &[]).await.unwrap()).1, "MethodNotAllowed");
    assert!(rig.get("/version").await.json()["gitVersion"].as_str().unwrap().starts_with("v1."));
}

#[tokio::test]
async fn an_update_keeps_the_uid_and_a_pod_of_the_same_name_with_another_is_another() {
    let rig = Rig::new().await;
    assert!(!rig.api.update_pod(pod("a")));
    rig.api.add_pod(pod("a"));
    let first = rig.api.pod("default", "a").unwrap();
    assert!(rig.api.update_pod(pod("a").annotation("k", "v")));
    let second = rig.api.pod("default", "a").unwrap();
    assert_eq!(first["metadata"]["uid"], second["metadata"]["uid"]);
    assert_ne!(first["metadata"]["resourceVersion"], second["metadata"]["resourceVersion"]);
    rig.api.add_pod(pod("a"));
    assert_ne!(rig.api.pod("default", "a").unwrap()["metadata"]["uid"], first["metadata"]["uid"]);
    assert!(rig.api.delete_pod("default", "a") && !rig.api.delete_pod("default", "a"));
    rig.api.add_namespace(namespace("n", &[]));
    assert!(rig.api.update_namespace(namespace("n", &[("k", "v")])));
    assert!(rig.api.delete_namespace("n") && !rig.api.update_namespace(namespace("n", &[])));
}

#[tokio::test]
async fn fields_select_and_unknown_ones_are_refused() {
    let rig = Rig::new().await;
    rig.api.add_pod(pod("a"));
    rig.api.add_pod(pod("b").node("n2").phase("Failed").host_network());
    rig.api.add_pod(PodSpec::new("team", "c").service_account("sa"));
    for (selector, expected) in [
        ("spec.nodeName=n1", vec!["a"]),
        ("spec.nodeName==n1", vec!["a"]),
        ("spec.nodeName!=n1", vec!["b", "c"]),
        ("spec.nodeName=", vec!["c"]),
        ("status.phase=Failed", vec!["b"]),
        ("status.podIP=10.0.0.1,metadata.name!=a", vec!["b"]),
        ("spec.hostNetwork=false", vec!["a", "c"]),
        ("spec.serviceAccountName=sa", vec!["c"]),
        ("metadata.namespace=team", vec!["c"]),
        ("", vec!["a", "b", "c"]),
    ] {
        let encoded: String = form_urlencoded::byte_serialize(selector.as_bytes()).collect();
        let list = rig.list(&format!("/api/v1/pods?fieldSelector={encoded}")).await;
        assert_eq!(names(&list), expected, "{selector}");
    }
    assert_eq!(names(&rig.list("/api/v1/namespaces/team/pods").await), ["c"]);
    for target in [
        "/api/v1/pods?fieldSelector=spec.containers=x",
        "/api/v1/namespaces?fieldSelector=spec.nodeName=n1",
        "/api/v1/pods?fieldSelector=spec.nodeName",
        "/api/v1/pods?labelSelector=a=b",
        "/api/v1/pods?limit=x",
        "/api/v1/pods?continue=x",
        "/api/v1/pods?resourceVersion=x",
        "/api/v1/pods?watch=true&timeoutSeconds=x",
        "/api/v1/pods?watch=true&resourceVersion=x",
    ] {
        assert_eq!(failure(&rig.get(target).await).1, "BadRequest", "{target}");
    }
}

#[tokio::test]
async fn pages_show_what_there_was_when_the_first_was_read() {
    let rig = Rig::new().await;
    for name in ["a", "b", "c", "d", "e"] {
        rig.api.add_pod(pod(name));
    }
    let version = rig.api.version().to_string();
    let first = rig.list("/api/v1/pods?limit=2").await;
    assert_eq!((names(&first), &first["metadata"]["remainingItemCount"]), (vec!["a".into(), "b".into()], &3.into()));
    assert_eq!((&first["kind"], &first["apiVersion"]), (&"PodList".into(), &"v1".into()));
    assert!(first["items"][0].get("kind").is_none());
    let token = first["metadata"]["continue"].as_str().unwrap().to_owned();
    rig.api.delete_pod("default", "c");
    rig.api.add_pod(pod("ca"));
    rig.api.update_pod(pod("d").annotation("k", "v"));
    let second = rig.list(&format!("/api/v1/pods?limit=2&continue={token}")).await;
    assert_eq!(
        (names(&second), &second["metadata"]["resourceVersion"]),
        (vec!["c".into(), "d".into()], &version.into())
    );
    assert!(second["items"][1]["metadata"].get("annotations").is_none());
    let token = second["metadata"]["continue"].as_str().unwrap();
    let third = rig.list(&format!("/api/v1/pods?limit=2&continue={token}")).await;
    assert_eq!((names(&third), third["metadata"].get("continue")), (vec!["e".into()], None));
    let selected = rig.list("/api/v1/pods?limit=1&fieldSelector=spec.nodeName=n1").await;
    assert!(selected["metadata"].get("continue").is_some() && selected["metadata"].get("remainingItemCount").is_none());
    assert_eq!(names(&rig.list("/api/v1/pods?limit=1&resourceVersion=0").await).len(), 5);
    let both = rig.get(&format!("/api/v1/pods?continue={token}&resourceVersion=1000")).await;
    assert_eq!(failure(&both).1, "BadRequest");
    rig.api.compact();
    let gone = rig.get(&format!("/api/v1/pods?limit=2&continue={token}")).await;
    assert_eq!((failure(&gone).0, failure(&gone).1.as_str()), (410, "Expired"));
}

#[tokio::test]
async fn a_list_is_never_older_than_it_has_to_be() {
    let rig = Rig::new().await;
    rig.api.add_pod(pod("a"));
    let now = rig.api.version();
    for (query, code) in [
        (String::new(), 200),
        ("resourceVersion=0".to_owned(), 200),
        (format!("resourceVersion={now}"), 200),
        (format!("resourceVersion={}", now - 1), 200),
        (format!("resourceVersion={}", now + 1), 504),
        (format!("resourceVersion={now}&resourceVersionMatch=Exact"), 200),
        (format!("resourceVersion={}&resourceVersionMatch=Exact", now - 1), 410),
        (format!("resourceVersion={}&resourceVersionMatch=NotOlderThan", now - 1), 200),
        (format!("resourceVersion={now}&resourceVersionMatch=Newest"), 400),
        ("resourceVersionMatch=Exact".to_owned(), 422),
    ] {
        assert_eq!(rig.get(&format!("/api/v1/pods?{query}")).await.status, code, "{query}");
    }
    let (_, reason, message) = failure(&rig.get(&format!("/api/v1/pods?resourceVersion={}", now + 1)).await);
    assert_eq!(
        (reason.as_str(), message),
        ("Timeout", format!("Too large resource version: {}, current: {now}", now + 1))
    );
}

#[tokio::test]
async fn metadata_alone_is_given_where_it_is_asked_for() {
    let rig = Rig::new().await;
    rig.api.add_pod(pod("a"));
    let accept = |value| [("accept", value)];
    let partial = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let list = rig.ask("GET", "/api/v1/pods", &accept(partial)).await.unwrap().json();
    assert_eq!((&list["kind"], &list["apiVersion"]), (&"PartialObjectMetadataList".into(), &"meta.k8s.io/v1".into()));
    assert_eq!(list["items"][0]["metadata"]["name"], "a");
    assert!(list["items"][0].get("spec").is_none());
    let partial = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
    let one = rig.ask("GET", "/api/v1/namespaces/default/pods/a", &accept(partial)).await.unwrap().json();
    assert_eq!((&one["kind"], one.get("status")), (&"PartialObjectMetadata".into(), None));
    for (value, status) in [
        ("application/json", 200),
        ("*/*", 200),
        ("application/vnd.kubernetes.protobuf, application/json", 200),
        ("application/vnd.kubernetes.protobuf", 406),
        ("text/html", 406),
    ] {
        assert_eq!(rig.ask("GET", "/api/v1/pods", &accept(value)).await.unwrap().status, status, "{value}");
    }
}

#[tokio::test]
async fn a_pods_status_can_come_later_than_the_pod() {
    let rig = Rig::new().await;
    let delay = Duration::from_millis(80);
    let shown = || {
        let pod = rig.api.pod("default", "a").unwrap();
        (pod["status"]["phase"].as_str().unwrap().to_owned(), pod["status"]["podIP"].as_str().map(str::to_owned))
    };
    let pending = ("Pending".to_owned(), None);
    rig.api.set_status_delay(delay);
    rig.api.add_pod(pod("a").uid("u-1"));
    assert_eq!(shown(), pending);
    assert_eq!(rig.api.pod("default", "a").unwrap()["spec"]["nodeName"], "n1");
    // A change of the annotations does not make the kubelet faster.
    rig.api.update_pod(pod("a").annotation("k", "v"));
    assert_eq!(shown(), pending);
    tokio::time::sleep(delay * 2).await;
    assert_eq!(shown(), ("Running".to_owned(), Some("10.0.0.1".to_owned())));
    assert_eq!(rig.api.pod("default", "a").unwrap()["metadata"]["annotations"]["k"], "v");
    rig.api.update_pod(pod("a").ip("fd00::1"));
    assert_eq!(shown().0, "Running");

    // The report of a pod that is gone does not reach the one that has its name.
    rig.api.add_pod(pod("a").uid("u-2"));
    tokio::time::sleep(delay / 2).await;
    rig.api.add_pod(PodSpec::new("default", "a").uid("u-3").node("n1").ip("10.0.0.3"));
    tokio::time::sleep(delay * 3 / 4).await;
    assert_eq!(shown(), pending);
    tokio::time::sleep(delay).await;
    assert_eq!(shown().1.as_deref(), Some("10.0.0.3"));
    rig.api.set_status_delay(Duration::ZERO);
    rig.api.add_pod(pod("a").uid("u-4"));
    assert_eq!(shown().0, "Running");
}

#[tokio::test]
async fn troubles_come_in_the_servers_words_or_break_the_reply() {
    let rig = Rig::new().await;
    let target = "/api/v1/pods?limit=5";
    rig.api.troubles().next(Verb::List, 1, Trouble::status(503));
    rig.api.troubles().next(Verb::List, 1, Trouble::too_many_requests(7));
    rig.api.troubles().next(Verb::List, 2, Trouble::CutBody);
    assert_eq!(rig.get("/api/v1/nodes/x").await.status, 404);
    assert_eq!(
        failure(&rig.get(target).await),
        (503, "ServiceUnavailable".to_owned(), "Service Unavailable".to_owned())
    );
    let limited = rig.get(target).await;
    assert_eq!((limited.status, limited.header("retry-after")), (429, "7"));
    assert_eq!(limited.body, "Too many requests, please try again later.\n");
    rig.ask("GET", target, &[]).await.unwrap_err();
    rig.api.troubles().clear();
    let slow = Duration::from_millis(50);
    rig.api.troubles().when(move |call| {
        let pods = call.resource == Some(Resource::Pods) && call.parameter("limit") == Some("5");
        pods.then_some(Trouble::Latency(slow))
    });
    let began = tokio::time::Instant::now();
    rig.list(target).await;
    assert!(began.elapsed() >= slow);
    let call = rig.api.calls().pop().unwrap();
    assert_eq!((call.verb, call.user_agent.as_str(), call.status), (Verb::List, "test", Some(200)));
    assert_eq!((call.path.as_str(), call.query), ("/api/v1/pods", vec![("limit".to_owned(), "5".to_owned())]));
    rig.api.forget_calls();
    assert!(rig.api.calls().is_empty());
    rig.api.go_down().await;
    rig.ask("GET", target, &[]).await.unwrap_err();
    rig.api.come_up().await.unwrap();
    rig.list(target).await;
}

#[tokio::test]
async fn a_token_of_eks_is_the_user_that_its_role_is_mapped_to() {
    let account = Account::new("123456789012").unwrap();
    let role = |name: &str| format!("arn:aws:iam::123456789012:role/{name}");
    let eks = Eks {
        account: account.clone(),
        region: "us-east-1".to_owned(),
        cluster: "blue".to_owned(),
        endpoints: Vec::new(),
        users: BTreeMap::from([(role("node"), "system:node:n1".to_owned())]),
    };
    let options = KubernetesOptions { eks: Some(eks), ..KubernetesOptions::default() };
    let mut rig = Rig { api: Kubernetes::start(options).await.unwrap(), token: String::new() };
    let token = |name: &str, cluster: &str| {
        let key = account.issue_temporary(Principal::session(role(name), "i-1"), None);
        let identity = credentials(&key).into();
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(Duration::from_secs(60));
        let now = u64::try_from(Clock::default().now_ms()).unwrap();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region("us-east-1")
            .name("sts")
            .time(std::time::UNIX_EPOCH + Duration::from_millis(now))
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let url = "https://sts.us-east-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15";
        let headers = [("x-k8s-aws-id", cluster)];
        let signable = SignableRequest::new("GET", url, headers.into_iter(), SignableBody::Bytes(b"")).unwrap();
        let (instructions, _) = sign(signable, &params).unwrap().into_parts();
        let mut signed = http::Request::get(url).body(()).unwrap();
        instructions.apply_to_request_http1x(&mut signed);
        format!("k8s-aws-v1.{}", base64_simd::URL_SAFE_NO_PAD.encode_to_string(signed.uri().to_string()))
    };
    for (name, cluster, status) in [("node", "blue", 200), ("node", "green", 401), ("other", "blue", 401)] {
        rig.token = token(name, cluster);
        assert_eq!(rig.get("/api/v1/pods").await.status, status, "{name} {cluster}");
    }
    assert_eq!(rig.api.calls()[0].user.as_deref(), Some("system:node:n1"));
}
