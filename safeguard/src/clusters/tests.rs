//! Whole lists or none, from an API server that is strict, and from one that is hostile.

#![expect(clippy::disallowed_methods, reason = "tests make the files that are read")]

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::RawQuery;
use axum::http::HeaderMap;
use axum::routing::get;
use safeguard_standins::kubernetes::{Resource, Verb, node};
use safeguard_standins::{Kubernetes, KubernetesOptions, Trouble};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::listing::Asked;
use super::*;
use crate::verify::{Cluster, Settings, Tenant};

const USER: &str = "system:serviceaccount:safeguard:safeguard-verify";

struct Rig {
    api: Kubernetes,
    asked: Asked,
    directory: TempDir,
}

fn instance(n: u32) -> String {
    format!("i-{n:017x}")
}

fn with(n: u32, status: &str) -> Value {
    let mut node = node(&instance(n), "10.0.0.1");
    node["status"]["conditions"] = json!([{ "type": "Ready", "status": status }]);
    node
}

fn cluster(directory: &Path, server: String, ca: bool) -> Asked {
    let cluster = Cluster {
        name: "prod".to_owned(),
        server,
        ca: ca.then(|| directory.join("ca.pem")),
        token_file: directory.join("token"),
        nodes: true,
        ..Cluster::default()
    };
    let other = Cluster { name: "dev".to_owned(), nodes: false, ..cluster.clone() };
    let tenants = vec![Tenant { name: "acme".to_owned(), ..Tenant::default() }];
    let mut asked = asked(&Settings { tenants, clusters: vec![other, cluster], ..Settings::default() }).unwrap();
    assert_eq!(asked.len(), 1, "one that is not to be asked is");
    assert_eq!(asked[0].place, ["acme", "prod"], "it is the only tenant's");
    asked.remove(0)
}

impl Rig {
    /// With so many nodes that are Ready.
    async fn new(nodes: u32) -> Self {
        let api = Kubernetes::start(KubernetesOptions { tls: true, ..KubernetesOptions::default() }).await.unwrap();
        api.grant(USER, &[Verb::List], Resource::Nodes, None);
        (1..=nodes).for_each(|n| api.add_node(with(n, "True")));
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.pem"), api.ca_pem().unwrap()).unwrap();
        let asked = cluster(directory.path(), api.url(), true);
        let rig = Self { api, asked, directory };
        rig.renew();
        rig
    }

    fn renew(&self) -> String {
        let token = self.api.issue_token(USER);
        std::fs::write(self.directory.path().join("token"), format!("{token}\n")).unwrap();
        token
    }

    async fn nodes(&self) -> HashMap<String, Readiness> {
        match self.asked.once().await {
            Outcome::Nodes(nodes) => nodes,
            Outcome::Silent(reason) => panic!("{reason}"),
        }
    }

    async fn silent(&self) -> String {
        silent(&self.asked).await
    }
}

async fn silent(asked: &Asked) -> String {
    match asked.once().await {
        Outcome::Silent(reason) => reason,
        Outcome::Nodes(nodes) => panic!("a list of {} nodes was taken", nodes.len()),
    }
}

#[tokio::test]
async fn a_list_of_three_pages_is_whole() {
    let rig = Rig::new(250).await;
    rig.api.add_node(with(7, "False"));
    rig.api.add_node(with(150, "Unknown"));
    let mut other = node("fargate-ip-10-0-0-1", "10.0.0.1");
    other["spec"]["providerID"] = json!("aws:///us-east-1a/0123456789/fargate-ip-10-0-0-1");
    rig.api.add_node(other);
    let nodes = rig.nodes().await;
    assert_eq!(nodes.len(), 250);
    let count = |readiness| nodes.values().filter(|known| **known == readiness).count();
    assert_eq!((count(Readiness::Ready), count(Readiness::NotReady), count(Readiness::Unknown)), (248, 1, 1));
    assert_eq!((nodes[&instance(7)], nodes[&instance(150)]), (Readiness::NotReady, Readiness::Unknown));
    let calls = rig.api.calls();
    assert_eq!(calls.len(), 3);
    assert!(calls.iter().all(|call| call.parameter("limit") == Some("100") && call.status == Some(200)));
    assert_eq!(rig.api.rights_used(USER), [(Verb::List, Resource::Nodes, None)].into());
}

#[tokio::test]
async fn a_page_that_fails_leaves_no_list_and_the_next_one_begins_anew() {
    let rig = Rig::new(250).await;
    for (trouble, why) in [
        (Trouble::status(500), "it answered 500"),
        (Trouble::refused(410, "Expired", "too old"), "it answered 410: the list grew too old while it was read"),
        (Trouble::Page(200), "its answer is no list of nodes"),
        (Trouble::Empty, "its answer is no list of nodes"),
        (Trouble::HalfBody, "its answer is no list of nodes"),
        (Trouble::CutBody, ""),
        (Trouble::Reset, ""),
    ] {
        rig.api.troubles().when(move |call| call.parameter("continue").map(|_| trouble.clone()));
        let said = rig.silent().await;
        assert!(said.contains(why), "{why}: {said}");
        rig.api.troubles().clear();
        rig.api.forget_calls();
        assert_eq!(rig.nodes().await.len(), 250);
        assert!(rig.api.calls()[0].parameter("continue").is_none());
    }
}

#[tokio::test]
async fn the_token_is_read_anew_and_never_told() {
    let rig = Rig::new(1).await;
    assert_eq!(rig.nodes().await.len(), 1);
    let token = rig.renew();
    rig.api.revoke_token(&token);
    let said = rig.silent().await;
    assert_eq!(said, "it answered 401: it does not know our token");
    assert!(!format!("{:?}", rig.asked).contains(&token));
    rig.renew();
    assert_eq!(rig.nodes().await.len(), 1);
    rig.api.revoke_grants();
    assert_eq!(rig.silent().await, "it answered 403: our token may not list nodes");
    for (text, why) in [("a\u{1}b", "holds no token"), (&*"x".repeat(20_000), "larger than")] {
        std::fs::write(rig.directory.path().join("token"), text).unwrap();
        let said = rig.silent().await;
        assert!(said.contains(why) && !said.contains(text), "{said}");
    }
    std::fs::remove_file(rig.directory.path().join("token")).unwrap();
    assert!(rig.silent().await.contains("token"));
}

/// A server that answers each question with what is made of its number, and the queries that it was asked.
async fn hostile(
    answer: impl Fn(usize) -> String + Clone + Send + Sync + 'static,
) -> (Asked, Arc<Mutex<Vec<String>>>, TempDir) {
    let (queries, count) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<AtomicUsize>::default());
    let seen = Arc::clone(&queries);
    let reply = move |RawQuery(query): RawQuery, headers: HeaderMap| {
        seen.lock().unwrap().push(query.unwrap_or_default());
        let token = headers["authorization"].to_str().unwrap().to_owned();
        let body = answer(count.fetch_add(1, Ordering::Relaxed)).replace("TOKEN", &token);
        async move { body }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().route("/api/v1/nodes", get(reply));
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("token"), "own-token").unwrap();
    let asked = cluster(directory.path(), url, false);
    (asked, queries, directory)
}

fn page(next: &str) -> String {
    json!({ "kind": "NodeList", "metadata": { "continue": next }, "items": [] }).to_string()
}

#[tokio::test]
async fn a_list_without_end_has_an_end() {
    let (asked, queries, _directory) = hostile(|_| page("same")).await;
    assert_eq!(silent(&asked).await, "its list goes on where it was before");
    assert_eq!(queries.lock().unwrap().len(), 2);
    let (asked, queries, _directory) = hostile(|n| page(&n.to_string())).await;
    assert_eq!(silent(&asked).await, "it has more than 500 pages of nodes");
    assert_eq!(queries.lock().unwrap().len(), 500);
    let (asked, _, _directory) = hostile(|_| "x".repeat(9 * 1024 * 1024)).await;
    assert_eq!(silent(&asked).await, "the answer is too long");
}

#[tokio::test]
async fn what_a_server_says_gets_into_no_other_place() {
    let (asked, queries, _directory) =
        hostile(|n| page(if n == 0 { "a&limit=1#/../\r\n x: y\u{fc}%2b+=" } else { "" })).await;
    assert_eq!(asked.once().await, Outcome::Nodes(HashMap::new()));
    let queries = queries.lock().unwrap().clone();
    assert_eq!(queries[0], "limit=100");
    assert_eq!(queries[1], "limit=100&continue=a%26limit%3D1%23%2F..%2F%0D%0A+x%3A+y%C3%BC%252b%2B%3D");
    for said in [r#"{"kind":"TOKEN","items":[]}"#, r#"{"kind":"NodeList","items":"TOKEN"}"#, "TOKEN"] {
        let (asked, _, _directory) = hostile(move |_| said.to_owned()).await;
        assert_eq!(silent(&asked).await, "its answer is no list of nodes");
    }
}

/// It joined again by another name, and the old one has not been taken away.
#[tokio::test]
async fn an_instance_with_two_nodes_is_ready_if_one_of_them_is() {
    let rig = Rig::new(1).await;
    for (name, status) in [("0-before", "False"), ("z-after", "Unknown")] {
        let mut again = with(1, status);
        again["metadata"]["name"] = json!(name);
        rig.api.add_node(again);
    }
    assert_eq!(rig.nodes().await, [(instance(1), Readiness::Ready)].into());
    rig.api.delete_node(&instance(1));
    assert_eq!(rig.nodes().await, [(instance(1), Readiness::NotReady)].into());
}

#[test]
fn what_is_stored_is_read_again() {
    for readiness in [Readiness::Ready, Readiness::NotReady, Readiness::Unknown, Readiness::Absent] {
        assert_eq!(Readiness::of(readiness.as_str()), Some(readiness));
    }
    assert_eq!(Readiness::of("Ready"), None);
}
