//! Pods that have their logs left out by annotation, as the operator lets them: the real program, and a stand-in of Kubernetes.

#![expect(clippy::disallowed_methods, reason = "a test is the operator")]

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;
use safeguard_agent::Status;
use safeguard_standins::kubernetes::{Eks, Kubernetes, KubernetesOptions, PodSpec, Resource, Verb};
use safeguard_standins::{Account, CloudWatch, Options, Principal};
use tokio::time::{Instant, sleep};

use crate::node::{Node, PATIENCE, Running, STREAM, http_get};

const USER: &str = "system:serviceaccount:safeguard:agent";
const OURS: &str = "safeguard.io/exclude-logs";
const BANK: &str = "bank_vault-1_9f8e7d6c/web";

/// The pod that writes to `CONTAINER` of the node.
fn cart() -> PodSpec {
    PodSpec::new("shop", "cart-1").uid("0a1b2c3d").node(STREAM)
}

/// The pod of `BANK`.
fn vault() -> PodSpec {
    PodSpec::new("bank", "vault-1").uid("9f8e7d6c").node(STREAM)
}

/// A stand-in where the agent may do what it needs, and nothing else.
async fn kubernetes() -> Kubernetes {
    let api = Kubernetes::start(KubernetesOptions::default()).await.unwrap();
    api.grant(USER, &[Verb::List, Verb::Watch], Resource::Pods, None);
    api
}

/// Settings in which these namespaces may exclude, and how the stand-in is reached.
fn settings(node: &Node, api: &Kubernetes, namespaces: &str) {
    fs::write(node.path("token"), api.issue_token(USER)).unwrap();
    let (url, token) = (api.url(), node.path("token"));
    node.settings(&format!(
        "kubernetes = {{ url = \"{url}\", token_file = {token:?} }}\n\
         logs = {{ flush_interval = \"100ms\", annotations_may_exclude = [{namespaces}] }}"
    ));
}

fn status(node: &Node) -> Status {
    serde_json::from_slice(&node.logs_status("json").stdout).unwrap()
}

/// Waits until the status is as it should be.
async fn shows(node: &Node, what: &str, holds: impl Fn(&Status) -> bool) -> Status {
    let late = Instant::now() + PATIENCE;
    loop {
        let status = status(node);
        if holds(&status) {
            assert_eq!(status.total.imbalance(), None);
            return status;
        }
        assert!(Instant::now() < late, "{what}: {status:#?}");
        sleep(Duration::from_millis(50)).await;
    }
}

async fn ends(mut agent: Running) {
    agent.signal(Signal::SIGTERM);
    assert_eq!(agent.ends(PATIENCE).await.code(), Some(0));
}

fn line(text: &str) -> [String; 1] {
    [text.to_owned()]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn annotations_are_nothing_by_default_and_kubernetes_is_not_asked() {
    let (node, api) = (Node::new().await, kubernetes().await);
    api.add_pod(cart().annotation(OURS, "true").annotation("fluentbit.io/exclude", "true"));
    settings(&node, &api, "");
    node.write(line("shipped"));
    let _agent = node.start().await;
    node.arrives(1).await;
    sleep(Duration::from_secs(1)).await;
    assert!(api.calls().is_empty(), "{:?}", api.calls());
    assert_eq!(status(&node).exclusions, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_that_may_is_obeyed_and_another_is_shipped_all_the_same() {
    let (node, api) = (Node::new().await, kubernetes().await);
    api.add_pod(cart().annotation("fluentbit.io/exclude-web", "true"));
    api.add_pod(vault().annotation(OURS, "true"));
    settings(&node, &api, "\"sho?\"");
    node.write((0..100).map(|i| format!("secret {i}")));
    node.write_in("shop_cart-1_0a1b2c3d/proxy", line("of the other container"));
    node.write_in(BANK, line("of the bank"));
    let mut agent = node.start().await;
    node.arrives(2).await;
    let excluded = |status: &Status| status.total.excluded.events == 100 && status.behind_bytes == 0;
    let status = shows(&node, "the exclusion", excluded).await;
    let mut arrived = node.arrived();
    arrived.sort();
    assert_eq!(arrived, ["of the bank", "of the other container"]);
    assert_eq!(status.version, 2);
    let by: Vec<_> =
        status.logs.iter().filter_map(|log| Some((log.name.to_string(), log.excluded_by.clone()?))).collect();
    assert_eq!(by, [("shop/cart-1/web".to_owned(), "fluentbit.io/exclude-web".to_owned())]);
    assert_eq!(status.exclusions.as_ref().unwrap().problem, None);

    let said = agent.says("is excluded from the logs by its own annotation").await;
    for (field, value) in [
        ("namespace", "shop"),
        ("pod", "cart-1"),
        ("uid", "0a1b2c3d"),
        ("containers", "web"),
        ("by", "fluentbit.io/exclude-web"),
    ] {
        assert_eq!(said[field], value, "{said}");
    }
    assert!(!agent.said().iter().any(|line| line.contains("vault")), "{:#?}", agent.said());

    let table = String::from_utf8(node.logs_status("table").stdout).unwrap();
    assert!(table.contains("excluded: 100 lines"), "{table}");
    assert!(table.contains("excluded now: shop/cart-1/web (by fluentbit.io/exclude-web)"), "{table}");
    let address = agent.says("Ready.").await["metrics"].as_str().unwrap().parse().unwrap();
    let (_, metrics) = http_get(address, "/metrics");
    let series = r#"safeguard_logs_excluded_lines_total{namespace="shop",pod="cart-1",container="web"} 100"#;
    assert!(metrics.lines().any(|found| found == series), "{metrics}");
    let used = api.rights_used(USER);
    let needed = [Verb::List, Verb::Watch].map(|verb| (verb, Resource::Pods, None));
    assert_eq!(used, needed.into(), "what docs/permissions.md says");
    assert!(api.calls().iter().all(|call| call.user_agent.starts_with("safeguard-agent/")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_annotation_counts_from_when_it_is_there_until_it_is_not() {
    let (node, api) = (Node::new().await, kubernetes().await);
    api.add_pod(cart());
    settings(&node, &api, "\"shop\"");
    let mut agent = node.start().await;
    node.write(line("before"));
    node.arrives(1).await;
    assert!(api.update_pod(cart().annotation(OURS, "web, other")));
    shows(&node, "the beginning", |status| status.logs.iter().any(|log| log.excluded_by.is_some())).await;
    node.write(line("secret"));
    shows(&node, "the line", |status| status.total.excluded.events == 1).await;
    assert!(api.update_pod(cart()));
    shows(&node, "the end", |status| status.logs.iter().any(|log| log.excluded_by.is_none())).await;
    node.write(line("after"));
    node.arrives(2).await;
    assert_eq!(node.arrived(), ["before", "after"]);
    let said = agent.says("is not excluded from the logs any more").await;
    assert_eq!((said["pod"].as_str(), said["containers"].as_str()), (Some("cart-1"), Some("other,web")));

    assert!(api.update_pod(cart().annotation(OURS, "yes")));
    let problem = agent.says("An annotation for the logs is not obeyed").await["problem"].to_string();
    assert!(problem.contains("write") && problem.contains("names of containers"), "{problem}");
    let refused = |status: &Status| status.exclusions.as_ref().is_some_and(|exclusions| exclusions.problem.is_some());
    let problem = shows(&node, "the problem", refused).await.exclusions.unwrap().problem.unwrap();
    assert!(problem.contains("pod shop/cart-1") && problem.contains(OURS), "{problem}");
    node.write(line("shipped"));
    node.arrives(3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_known_is_shipped_and_what_was_known_stays() {
    let (node, api) = (Node::new().await, kubernetes().await);
    api.add_pod(cart().annotation(OURS, "true"));
    settings(&node, &api, "\"*\"");
    api.go_down().await;
    node.write(line("of a pod that nobody has told of"));
    let mut agent = node.start().await;
    node.arrives(1).await;
    let problem = status(&node).exclusions.unwrap().problem.unwrap();
    assert!(problem.contains("nothing is excluded") && problem.contains("reached"), "{problem}");

    api.come_up().await.unwrap();
    agent.says("is excluded from the logs by its own annotation").await;
    let known = |status: &Status| status.exclusions.as_ref().is_some_and(|exclusions| exclusions.problem.is_none());
    shows(&node, "the watch", known).await;
    node.write(line("secret"));
    shows(&node, "the line", |status| status.total.excluded.events == 1).await;

    api.go_down().await;
    shows(&node, "the outage", |status| !known(status)).await;
    node.write(line("secret"));
    node.write_in(BANK, line("of another pod that nobody has told of"));
    shows(&node, "the line", |status| status.total.excluded.events == 2).await;
    node.arrives(2).await;

    // The agent that starts anew does not know, and waits for word; but not for long.
    ends(agent).await;
    let started = Instant::now();
    let agent = node.start().await;
    assert!(started.elapsed() < PATIENCE / 2, "{:?}", started.elapsed());
    api.come_up().await.unwrap();
    shows(&node, "the watch", known).await;
    ends(agent).await;
    node.write(line("secret while nobody reads"));
    let _agent = node.start().await;
    shows(&node, "the line", |status| status.total.excluded.events == 1).await;
    assert_eq!(node.arrived(), ["of a pod that nobody has told of", "of another pod that nobody has told of"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_keeps_the_agent_from_asking_does_not_keep_it_from_shipping() {
    let (node, api) = (Node::new().await, kubernetes().await);
    settings(&node, &api, "\"shop\"");
    node.settings("logs = { annotations_may_exclude = [\"shop\"] }\nkubernetes = { kubeconfig = \"/does/not/exist\" }");
    node.write(line("shipped"));
    let mut agent = node.start().await;
    node.arrives(1).await;
    let said = agent.says("Pods cannot be asked").await["error"].to_string();
    assert!(said.contains("/does/not/exist") && said.contains("[kubernetes]"), "{said}");
    assert!(status(&node).exclusions.unwrap().problem.unwrap().contains("/does/not/exist"));
}

/// On a hardened image: the kubelet's kubeconfig by systemd's LoadCredential, and a token of the node's role, made in the process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_the_node_with_a_token_of_its_role() {
    let (role, user) = ("arn:aws:iam::123456789012:role/node", format!("system:node:{STREAM}"));
    let account = Account::new("123456789012").unwrap();
    let eks = Eks {
        account: account.clone(),
        region: "us-east-1".to_owned(),
        cluster: "prod".to_owned(),
        endpoints: Vec::new(),
        users: BTreeMap::from([(role.to_owned(), user.clone())]),
    };
    let options = KubernetesOptions { tls: true, eks: Some(eks), ..KubernetesOptions::default() };
    let api = Kubernetes::start(options).await.unwrap();
    api.bind_to_node(&user, STREAM);
    api.add_pod(cart().annotation(OURS, "true"));
    let node =
        Node::with(CloudWatch::start(Options { keys: Some(account.clone()), ..Options::default() }).await.unwrap());
    node.settings("logs = { annotations_may_exclude = [\"shop\"] }");
    fs::write(node.path("ca.crt"), api.ca_pem().unwrap()).unwrap();
    let kubeconfig = format!(
        "clusters: [{{name: a, cluster: {{server: {:?}, certificate-authority: {:?}}}}}]\n",
        api.url(),
        node.path("ca.crt")
    );
    fs::write(node.path("kubeconfig"), kubeconfig).unwrap();
    node.write(line("secret"));
    node.write_in(BANK, line("of the bank"));
    let key = account.issue_temporary(Principal::session(role, "i-0123456789abcdef0"), None);
    let mut command = node.run_command();
    command
        .env("CREDENTIALS_DIRECTORY", node.path(""))
        .env("AWS_ACCESS_KEY_ID", &key.access_key_id)
        .env("AWS_SECRET_ACCESS_KEY", &key.secret_access_key)
        .env("AWS_SESSION_TOKEN", key.session_token.as_deref().unwrap());
    let mut agent = Running::spawn(command);
    agent.says("Ready.").await;
    node.arrives(1).await;
    shows(&node, "the exclusion", |status| status.total.excluded.events == 1).await;
    assert_eq!(node.arrived(), ["of the bank"]);
    assert!(api.calls().iter().all(|call| call.user.as_deref() == Some(user.as_str())), "{:?}", api.calls());
}
