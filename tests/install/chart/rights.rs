//! The rights in the cluster: what the programs ask for with the settings that are on, and nothing else.
//!
//! The programs run against an API server and a kubelet that let them do what the chart's rules say, and note every call. A call
//! without a rule is answered 403, and found; a rule without a call is waited for, and found as well.

use std::collections::BTreeSet;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use safeguard_standins::kubernetes::{Call, Resource, Verb};
use safeguard_standins::{Kubelet, Kubernetes, KubernetesOptions, Listen};
use safeguard_tests::built::program;
use safeguard_tests::fabric::{Place, Wiring};
use safeguard_tests::helm::{data, objects, only, parse, template, values};
use safeguard_tests::parts::{Part, here};
use safeguard_tests::proxied::{NODE, Proxied};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::sleep;

/// How long a call is waited for. The slowest is asked for every half minute, and at once.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long nothing more has to come before it is believed that nothing does.
const QUIET: Duration = Duration::from_secs(4);
/// Where the agent asks the kubelet, on the node.
const KUBELET: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 10_250);
/// Where the agent finds the API server, by TLS: in plain HTTP it would have no authorities to know the kubelet by.
const API: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 6_444);
/// Whom the chart gives the rights to.
const USER: &str = "system:serviceaccount:safeguard:safeguard-safeguard-agent";
/// Whom the harness starts the proxy as.
const PROXY: &str = "system:serviceaccount:safeguard:proxy";

/// A right as RBAC has it: group and resource, verb, and the namespace that it is bound in.
type Right = (String, String, Option<String>);

/// What a chart's roles allow, as far as a binding gives it to the service account.
fn rules(objects: &[Value]) -> BTreeSet<Right> {
    let mut rights = BTreeSet::new();
    for binding in
        objects.iter().filter(|object| object["kind"].as_str().is_some_and(|kind| kind.ends_with("RoleBinding")))
    {
        let account = only(objects, "ServiceAccount");
        let subject =
            json!([{"kind": "ServiceAccount", "name": account["metadata"]["name"], "namespace": "safeguard"}]);
        assert_eq!(binding["subjects"], subject);
        let role = |object: &&Value| {
            object["kind"] == binding["roleRef"]["kind"]
                && object["metadata"]["name"] == binding["roleRef"]["name"]
                && object["metadata"]["namespace"] == binding["metadata"]["namespace"]
        };
        let namespace = binding["metadata"]["namespace"].as_str().map(str::to_owned);
        for rule in objects.iter().find(role).expect("the role is there")["rules"].as_array().unwrap() {
            let list = |key: &str| rule[key].as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned());
            for group in list("apiGroups") {
                for resource in list("resources") {
                    let name = if group.is_empty() { resource } else { format!("{resource}.{group}") };
                    rights.extend(list("verbs").map(|verb| (name.clone(), verb, namespace.clone())));
                }
            }
        }
    }
    rights
}

/// A node with everything that the programs ask, where they may do what the rules say.
struct World {
    /// With the API server that the proxy asks.
    node: Proxied,
    /// The one that the agent asks.
    api: Kubernetes,
    kubelet: Kubelet,
    agent: Option<Child>,
}

impl World {
    async fn new(rules: &BTreeSet<Right>) -> Self {
        let node = Proxied::new(Wiring::Vpc, 1).await;
        let entrance = node.fabric.entrance(Place::Node).unwrap();
        let listen = Listen::with(move || {
            entrance.enter()?;
            std::net::TcpListener::bind(API)
        });
        let api =
            Kubernetes::start(KubernetesOptions { listen, tls: true, ..KubernetesOptions::default() }).await.unwrap();
        api.add_node(json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        }));
        for (api, user) in [(&node.api, PROXY), (&api, USER)] {
            // Nobody may do anything but this.
            api.revoke_grants();
            for (name, verb, namespace) in rules.iter().filter(|(name, ..)| name != "nodes/configz") {
                let all = [Resource::Pods, Resource::Namespaces, Resource::Nodes, Resource::Leases];
                let resource = all.into_iter().find(|resource| named(*resource) == *name);
                let verb = [Verb::Get, Verb::List, Verb::Watch].into_iter().find(|known| known.name() == verb);
                let (resource, verb) = (resource.expect("it is known to the API"), verb.expect("it only reads"));
                api.grant(user, &[verb], resource, namespace.as_deref());
            }
        }
        let token = api.issue_token(USER);
        let kubelet = Kubelet::start(NODE, &token, json!({"kind": "KubeletConfiguration"})).await.unwrap();
        kubelet.allow(rules.iter().any(|(name, ..)| name == "nodes/configz"));
        std::fs::write(node.dir().join("agent-token"), token).unwrap();
        let authorities = api.ca_pem().unwrap() + &kubelet.ca_pem();
        std::fs::write(node.dir().join("cluster-ca.pem"), authorities).unwrap();
        // The stand-in is outside of the node's network.
        let door = node.fabric.listener_in(Place::Node, KUBELET).unwrap();
        door.set_nonblocking(true).unwrap();
        let door = tokio::net::TcpListener::from_std(door).unwrap();
        let to = kubelet.addr();
        tokio::spawn(async move {
            while let Ok((mut from, _)) = door.accept().await {
                let mut to = TcpStream::connect(to).await.unwrap();
                tokio::spawn(async move { drop(tokio::io::copy_bidirectional(&mut from, &mut to).await) });
            }
        });
        Self { node, api, kubelet, agent: None }
    }

    /// Starts the agent with the settings that the chart renders, but for what is elsewhere here.
    fn start_agent(&mut self, rendered: &str) {
        let dir = self.node.dir();
        let at = dir.display();
        let host = dir.join("host");
        for path in ["etc", "proc/1", "var/log/pods"] {
            std::fs::create_dir_all(host.join(path)).unwrap();
        }
        std::fs::write(host.join("proc/1/comm"), "systemd\n").unwrap();
        let mut settings = rendered.to_owned();
        for (rendered, here) in [
            ("host_root = \"/host\"", format!("host_root = \"{}\"\nname = \"{NODE}\"", host.display())),
            (
                "mode = \"in-cluster\"",
                format!(
                    "mode = \"url\"\nurl = \"https://{API}\"\ntoken_file = \"{at}/agent-token\"\nca_file = \"{at}/cluster-ca.pem\""
                ),
            ),
            (
                "metrics = \"127.0.0.1:9464\"",
                format!("metrics = \"off\"\nstate_dir = \"{at}/state\"\nrun_dir = \"{at}/run\""),
            ),
        ] {
            assert!(settings.contains(rendered), "{rendered} is not in {settings}");
            settings = settings.replace(rendered, &here);
        }
        let file = dir.join("agent.toml");
        std::fs::write(&file, settings).unwrap();
        let said = File::create(dir.join("agent-said")).unwrap();
        let mut command: Command =
            self.node.fabric.command_in(Place::Node, program("safeguard-agent").to_str().unwrap());
        command.args(["run", "--config"]).arg(file).env_clear().env("AWS_REGION", "eu-central-1");
        self.agent = Some(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said).spawn().unwrap());
    }

    fn all(&self) -> Vec<Call> {
        [self.node.api.calls(), self.api.calls()].concat()
    }

    /// The calls so far, as rights that they need.
    fn calls(&self) -> BTreeSet<Right> {
        let needs = |call: &Call| {
            let resource = named(call.resource.expect("a resource"));
            (resource, call.verb.name().to_owned(), call.namespace.clone())
        };
        let mut calls: BTreeSet<Right> = self.all().iter().map(needs).collect();
        if self.kubelet.asked() > 0 {
            calls.insert(("nodes/configz".to_owned(), "get".to_owned(), None));
        }
        calls
    }

    /// Waits for the calls, and then whether there are more.
    async fn calls_are(&self, rules: &BTreeSet<Right>, case: &str) {
        let until = Instant::now() + PATIENCE;
        while self.calls() != *rules && Instant::now() < until {
            sleep(Duration::from_millis(50)).await;
        }
        sleep(QUIET).await;
        let said = std::fs::read_to_string(self.node.dir().join("agent-said")).unwrap_or_default();
        assert_eq!(self.calls(), *rules, "{case}: calls, and rules\n{said}\n{}", self.node.said());
        let refused: Vec<_> = self.all().into_iter().filter(|call| call.status == Some(403)).collect();
        assert!(refused.is_empty(), "{case}: {refused:#?}");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            // Both fail only when it has ended already.
            drop(agent.kill());
            drop(agent.wait());
        }
    }
}

/// A resource with its group, as rules have it.
fn named(resource: Resource) -> String {
    match resource {
        Resource::Leases => "leases.coordination.k8s.io".to_owned(),
        other => other.name().to_owned(),
    }
}

/// Renders the chart, lets the programs do what it says, and compares.
async fn compare(case: &str, values: &Value) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("values.json");
    std::fs::write(&file, values.to_string()).unwrap();
    let objects = parse(&template("safeguard-agent", &file, &[]).unwrap());
    let rules = rules(&objects);
    let mut world = World::new(&rules).await;
    if data(&objects, "proxy.toml").is_some() {
        world.node.up().await;
    }
    if let Some(settings) = data(&objects, "agent.toml") {
        world.start_agent(settings);
    }
    world.calls_are(&rules, case).await;
    if let Some(agent) = world.agent.as_mut() {
        assert!(agent.try_wait().unwrap().is_none(), "{case}: the agent runs");
    }
}

/// The features of the agent, each alone.
const OFF: &str = r#"{"node": {"cluster": "prod"}, "logs": {"enabled": false}, "checks": {"enabled": false}}"#;

fn with(settings: Value) -> Value {
    let mut all: Value = serde_json::from_str(OFF).unwrap();
    for (table, keys) in settings.as_object().unwrap() {
        all[table] = keys.clone();
    }
    json!({"image": {"registry": "registry.example.com"}, "proxy": {"enabled": false}, "agent": {"settings": all}})
}

fn beats() -> Value {
    json!({"url": "http://127.0.0.1:9", "tenant": "example", "server_keys": ["PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw"]})
}

fn ready(name: &str) -> bool {
    here(name, Part::Helm) && here(name, Part::Network)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_reads_pods_and_namespaces() {
    if !ready("chart::rights::the_proxy_reads_pods_and_namespaces") {
        return;
    }
    let values: Value = serde_yaml_ng::from_str(
        &std::fs::read_to_string(values("safeguard-agent", "proxy-alone")).unwrap().replace("fullnameOverride", "#"),
    )
    .unwrap();
    compare("the proxy", &values).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_ask_the_kubelet() {
    if !ready("chart::rights::checks_ask_the_kubelet") {
        return;
    }
    compare("checks", &with(json!({"checks": {"enabled": true}}))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_heartbeat_reads_the_node_and_its_lease() {
    if !ready("chart::rights::the_heartbeat_reads_the_node_and_its_lease") {
        return;
    }
    compare("the heartbeat", &with(json!({"heartbeat": beats()}))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_read_pods_where_these_may_leave_something_out() {
    if !ready("chart::rights::logs_read_pods_where_these_may_leave_something_out") {
        return;
    }
    let logs = |more: Value| with(json!({"logs": more}));
    compare("exclusions", &logs(json!({"enabled": true, "annotations_may_exclude": ["*"]}))).await;
    compare("logs alone", &logs(json!({"enabled": true}))).await;
    compare("without logs", &logs(json!({"enabled": false, "annotations_may_exclude": ["*"]}))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_together_needs_what_each_needs() {
    if !ready("chart::rights::everything_together_needs_what_each_needs") {
        return;
    }
    let logs = json!({"enabled": true, "annotations_may_exclude": ["*"]});
    let mut values = with(json!({"logs": logs, "checks": {"enabled": true}, "heartbeat": beats()}));
    values["proxy"] = json!({"enabled": true});
    compare("everything", &values).await;
}

/// Nobody is bound to what nobody may, and nothing is bound where the operator binds himself.
#[test]
fn without_rbac_there_is_none() {
    if !here("chart::rights::without_rbac_there_is_none", Part::Helm) {
        return;
    }
    let of_rbac = |case: &str| {
        let objects = objects("safeguard-agent", case);
        objects.iter().filter(|object| object["apiVersion"] == "rbac.authorization.k8s.io/v1").count()
    };
    assert_eq!((of_rbac("logs-alone"), of_rbac("units"), of_rbac("proxy-alone"), of_rbac("everything")), (0, 0, 2, 4));
}

/// The backend asks about tokens in its own cluster, and for its nodes, if it is told to, by three calls
/// (`safeguard/src/verify/review.rs`, `safeguard/src/clusters/listing.rs`).
#[test]
fn the_safeguard_asks_about_tokens_and_nodes_alone() {
    if !here("chart::rights::the_safeguard_asks_about_tokens_and_nodes_alone", Part::Helm) {
        return;
    }
    assert!(rules(&objects("safeguard", "default")).is_empty());
    let right = |name: &str, verb: &str| (name.to_owned(), verb.to_owned(), None);
    let wanted = [right("nodes", "get"), right("nodes", "list"), right("tokenreviews.authentication.k8s.io", "create")];
    assert_eq!(rules(&objects("safeguard", "everything")), wanted.into());
}
