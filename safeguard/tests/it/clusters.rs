//! Nodes that clusters tell of: with EC2's word for its instance and its cluster's for the node, one that is silent would be terminated.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use http::{Method, StatusCode};
use safeguard::server::Server;
use safeguard::verify::{Cluster, Tenant};
use safeguard_daemon::clock;
use safeguard_standins::kubernetes::{Resource, Verb, node};
use safeguard_standins::{Kubernetes, KubernetesOptions, Trouble};
use serde_json::{Value, json};

use crate::expected::{Ec2, asked, outside};
use crate::node::{Node, Safeguard, ask};

const USER: &str = "system:serviceaccount:safeguard:safeguard-verify";
const PATIENCE: Duration = Duration::from_secs(40);
const MINUTE_MS: i64 = 60_000;

fn with(n: u32, status: &str) -> Value {
    let mut node = node(&format!("i-{n:017x}"), "10.0.0.1");
    node["status"]["conditions"] = json!([{ "type": "Ready", "status": status }]);
    node
}

/// A safeguard, EC2 with two instances that run, and a cluster in which both are Ready.
struct Rig {
    safeguard: Safeguard,
    ec2: Ec2,
    api: Kubernetes,
    others: Kubernetes,
}

impl Rig {
    async fn start(now_ms: fn() -> i64) -> Self {
        let api = Kubernetes::start(KubernetesOptions { tls: true, ..KubernetesOptions::default() }).await.unwrap();
        api.grant(USER, &[Verb::List], Resource::Nodes, None);
        [1, 2].into_iter().for_each(|n| api.add_node(with(n, "True")));
        let dir = tempfile::tempdir().unwrap();
        let (ca, token_file) = (dir.path().join("ca.pem"), dir.path().join("token"));
        std::fs::write(&ca, api.ca_pem().unwrap()).unwrap();
        std::fs::write(&token_file, api.issue_token(USER)).unwrap();
        let (ec2, mut settings) = asked(&dir, &[(1, "running", 1), (2, "running", 1)]).await;
        // Another tenant has a cluster of this name, in which there is nobody.
        let others = Kubernetes::start(KubernetesOptions { tls: true, ..KubernetesOptions::default() }).await.unwrap();
        others.grant(USER, &[Verb::List], Resource::Nodes, None);
        let (others_ca, others_token) = (dir.path().join("others.pem"), dir.path().join("others"));
        std::fs::write(&others_ca, others.ca_pem().unwrap()).unwrap();
        std::fs::write(&others_token, others.issue_token(USER)).unwrap();
        settings.verify.tenants.push(Tenant { name: "globex".to_owned(), ..settings.verify.tenants[0].clone() });
        let cluster = Cluster {
            tenant: Some("acme".to_owned()),
            name: "prod".to_owned(),
            server: api.url(),
            ca: Some(ca),
            token_file,
            service_accounts: Vec::new(),
            nodes: true,
        };
        let other = Cluster {
            tenant: Some("globex".to_owned()),
            server: others.url(),
            ca: Some(others_ca),
            token_file: others_token,
            ..cluster.clone()
        };
        settings.verify.clusters = vec![other, cluster];
        let server = Server::start_with(&settings, outside(), now_ms).await.unwrap();
        Self { safeguard: Safeguard { dir, server }, ec2, api, others }
    }

    /// A node that EC2 told of, and that has spoken since.
    async fn speaking(&self, n: u32) -> Node {
        self.told(n, "never-enrolled", None).await;
        let mut node = Node::new(self.safeguard.url(), self.safeguard.server.public_key(), n);
        node.enrol().await.unwrap();
        node.beat().await.unwrap();
        node
    }

    async fn get(&self, path: &str) -> String {
        let (status, body) = ask(Method::GET, &format!("{}{path}", self.safeguard.url()), "").await;
        assert_eq!(status, StatusCode::OK);
        String::from_utf8(body.to_vec()).unwrap()
    }

    /// The node of an instance, once it has this state and its cluster has said this of it.
    async fn told(&self, n: u32, state: &str, cluster: Option<&str>) -> Value {
        let path = format!("/v1/nodes?text=i-{n:017x}");
        let is = |body: &str| {
            let list: Value = serde_json::from_str(body).unwrap();
            let node = list["items"][0].clone();
            let fits = node["state"] == state && cluster.is_none_or(|cluster| node["cluster_state"] == cluster);
            fits.then_some(node)
        };
        self.until(&path, is).await
    }

    /// The page of what would be done, once it says all of this.
    async fn says(&self, all: &[&str]) -> String {
        self.until("/actions", |page| all.iter().all(|part| page.contains(part)).then(|| page.to_owned())).await
    }

    async fn until<T>(&self, path: &str, found: impl Fn(&str) -> Option<T>) -> T {
        let mut last = String::new();
        let look = async {
            loop {
                last = self.get(path).await;
                if let Some(found) = found(&last) {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, look).await;
        found.unwrap_or_else(|_| panic!("{path}: {last}"))
    }
}

const NONE: &str = "it would terminate <b>0</b>";
const ONE: &str = "it would terminate <b>1</b>";

#[tokio::test(flavor = "multi_thread")]
async fn a_node_would_be_terminated_only_by_the_word_of_ec2_and_of_its_cluster() {
    static AHEAD_MS: AtomicI64 = AtomicI64::new(0);
    let rig = Rig::start(|| clock::now_ms() + AHEAD_MS.load(Ordering::Relaxed)).await;
    drop(rig.speaking(1).await);
    let alive = rig.told(1, "compliant", Some("ready")).await;
    assert!(
        rig.get(&format!("/nodes/{}", alive["id"])).await.contains("Ready <span class=\"src aws\">said by the cluster")
    );

    // It falls silent, and is missing for an hour.
    AHEAD_MS.fetch_add(30 * MINUTE_MS, Ordering::Relaxed);
    rig.told(1, "missing", Some("ready")).await;
    rig.says(&[NONE, "missing for less than an hour"]).await;
    AHEAD_MS.fetch_add(61 * MINUTE_MS, Ordering::Relaxed);
    let said =
        rig.says(&[NONE, "its cluster says that it is Ready: the agent or the way to here is what is lost"]).await;
    assert!(!said.contains("missing for less than an hour") && said.contains("it answers"), "{said}");

    rig.api.add_node(with(1, "False"));
    rig.told(1, "missing", Some("not ready")).await;
    rig.says(&[ONE, "EC2 says that its instance runs; its cluster says that it is not Ready"]).await;

    // A cluster that does not answer says nothing, and what it said stays where it is.
    rig.api.troubles().when(|_| Some(Trouble::status(500)));
    rig.says(&[NONE, "its cluster has been silent since", "it answered 500"]).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    rig.told(1, "missing", Some("not ready")).await;
    let told = |kind: &str| format!("SELECT COUNT(*) FROM event WHERE kind = '{kind}'");
    assert_eq!(rig.safeguard.stored::<i64>(&told("cluster-silent")), 1, "told once");
    // The first page says so, and leads to why.
    assert!(rig.get("/").await.contains("Cluster is silent</b> <span>prod of acme "));
    let overview: Value = serde_json::from_str(&rig.get("/v1/overview").await).unwrap();
    assert!(overview["asked_clusters"][0]["silent_since_ms"].is_i64(), "{overview:#}");
    rig.api.delete_node("i-00000000000000001");
    rig.api.troubles().clear();
    rig.says(&[ONE, "its cluster has no such node"]).await;
    assert_eq!(rig.safeguard.stored::<i64>(&told("cluster-answers")), 1);
    assert!(!rig.get("/").await.contains("Cluster is silent"));

    // Nor is the cluster's word enough without EC2's.
    *rig.ec2.lock().unwrap() = Some(vec![(1, "stopped", 1), (2, "running", 1)]);
    rig.says(&[NONE, "EC2 says that its instance is stopped"]).await;
    *rig.ec2.lock().unwrap() = None;
    rig.says(&[NONE, "EC2 has been silent since"]).await;
    assert_eq!(rig.api.rights_used(USER), [(Verb::List, Resource::Nodes, None)].into(), "it only lists");

    // Of a cluster that nobody asks any more nothing is known.
    let Rig { safeguard, .. } = rig;
    let safeguard = safeguard.restart().await;
    let left =
        "SELECT (SELECT COUNT(*) FROM cluster_place) + (SELECT COUNT(*) FROM node WHERE cluster_state IS NOT NULL)";
    for _ in 0..100 {
        if safeguard.stored::<i64>(left) == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("what the cluster said is still there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_is_not_whole_changes_nothing_and_another_cluster_says_nothing() {
    let rig = Rig::start(clock::now_ms).await;
    let mut node = rig.speaking(1).await;
    rig.told(1, "compliant", Some("ready")).await;
    // Three pages, of which the second fails: who is on the third is not absent.
    (3..=250).for_each(|n| rig.api.add_node(with(n, "True")));
    rig.api.troubles().when(|call| call.parameter("continue").map(|_| Trouble::status(503)));
    rig.api.add_node(with(2, "False"));
    rig.says(&["it answered 503"]).await;
    let second = rig.told(2, "never-enrolled", Some("ready")).await;
    rig.api.troubles().clear();
    rig.told(2, "never-enrolled", Some("not ready")).await;
    assert_eq!(rig.told(1, "compliant", Some("ready")).await["cluster"], "prod");
    assert_eq!(rig.safeguard.stored::<i64>("SELECT nodes FROM cluster_place WHERE tenant = 'acme'"), 250);
    let others = "SELECT listed_ms IS NOT NULL AND nodes = 0 FROM cluster_place WHERE tenant = 'globex'";
    assert!(rig.safeguard.stored::<bool>(others), "the other tenant's answers, and has none of these nodes");
    assert_eq!(rig.others.rights_used(USER), [(Verb::List, Resource::Nodes, None)].into());
    assert!(rig.get(&format!("/nodes/{}", second["id"])).await.contains("not Ready <span class=\"src aws\">"));

    // It joins another cluster, of which nobody asks: what the first one said is not true of it.
    node.cluster = "dev".to_owned();
    node.enrol().await.unwrap();
    node.beat().await.unwrap();
    let path = format!("/v1/nodes?text=i-{:017x}", 1);
    let list: Value = serde_json::from_str(&rig.get(&path).await).unwrap();
    assert_eq!((&list["items"][0]["cluster"], &list["items"][0]["cluster_state"]), (&"dev".into(), &Value::Null));
}
