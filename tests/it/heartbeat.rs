//! From the host's files to the safeguard's page: the agent proves who it is by a metadata service and STS that sign and verify
//! as AWS does, over TLS with an authority of the operator's own, and what breaks on its host shows within seconds.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use safeguard::config::Settings as ServerSettings;
use safeguard::server::Server;
use safeguard::verify::{Cluster, Proof, StsSettings, Tenant};
use safeguard_agent::config::AccessMode;
use safeguard_agent::{Agent, Environment, Settings};
use safeguard_daemon::clock::now_ms;
use safeguard_standins::imds::Instance;
use safeguard_standins::kubernetes::Eks;
use safeguard_standins::{Account, IdentityCa, Imds, ImdsOptions, Kubernetes, KubernetesOptions, Sts, StsOptions, Tls};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::time::{Instant, sleep};

use crate::program::agent;
use safeguard_tests::parts::{Part, here};

const ACCOUNT: &str = "123456789012";
const REGION: &str = "eu-central-1";
pub(crate) const NODE: &str = "ip-10-0-1-23.eu-central-1.compute.internal";
const PATIENCE: Duration = Duration::from_secs(30);

/// A change on disk is looked at within 5 s, and a beat for it follows the one before by 5 s.
const SECONDS: Duration = Duration::from_secs(12);

const POLICY: &str = r#"
policy: mine
version: 1.0.0
title: Of our own
source: ourselves
sections: [{id: A, title: All}]
controls:
  - {id: A-1, title: The passwd is root's alone, level: 1, assessment: automated, severity: critical, why: Because.,
     remedy: chmod 0644 /etc/passwd, check: {file: {path: /etc/passwd, mode: "0644"}}}
  - {id: A-2, title: There is a banner, level: 1, assessment: automated, severity: low, why: Because., remedy: Write one.,
     check: {file: {path: /etc/issue, exists: true}}}
"#;

/// AWS, a cluster, a safeguard, and a host.
pub(crate) struct World {
    pub(crate) dir: TempDir,
    server: Server,
    #[expect(dead_code, reason = "they answer for as long as this lives")]
    aws: (Imds, Sts),
    #[expect(dead_code, reason = "it answers for as long as this lives")]
    api: Kubernetes,
    pub(crate) settings: Settings,
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

impl World {
    async fn new() -> Self {
        Self::with(Vec::new()).await
    }

    /// With clusters that the safeguard asks: then a node has to prove itself to one of them too.
    pub(crate) async fn with(clusters: Vec<Cluster>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path();
        let account = Account::new(ACCOUNT).unwrap();
        let ca = Arc::new(IdentityCa::new(REGION).unwrap());
        let instance = Instance { region: REGION.to_owned(), ..Instance::default() };
        let imds = ImdsOptions { instance, identity_ca: Some(ca.clone()), ..ImdsOptions::new(account.clone()) };
        let imds = Imds::start(imds).await.unwrap();
        let sts = StsOptions { region: REGION.to_owned(), tls: true, ..StsOptions::new(account.clone()) };
        let sts = Sts::start(sts).await.unwrap();
        let server = serve(path, &ca, &sts, clusters).await;

        let user = format!("system:node:{NODE}");
        let role = format!("arn:aws:iam::{ACCOUNT}:role/node");
        let eks = Eks {
            account,
            region: REGION.to_owned(),
            cluster: "prod".to_owned(),
            endpoints: Vec::new(),
            users: [(role, user.clone())].into(),
        };
        let options = KubernetesOptions { tls: true, eks: Some(eks), ..KubernetesOptions::default() };
        let api = Kubernetes::start(options).await.unwrap();
        api.bind_to_node(&user, NODE);
        api.add_node(json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        }));

        let host = path.join("host");
        write(&host, "etc/passwd", "root:x:0:0:root:/root:/bin/bash\n");
        write(&host, "etc/issue", "hello\n");
        write(&host, "proc/1/comm", "systemd\n");
        write(path, "policies/mine.yaml", POLICY);
        write(path, "kube-ca.pem", &api.ca_pem().unwrap());
        let mut settings = Settings::default();
        settings.node.name = Some(NODE.to_owned());
        settings.node.cluster = Some("prod".to_owned());
        settings.node.host_root = host;
        settings.aws.imds_endpoint = Some(imds.url());
        settings.kubernetes.mode = AccessMode::Url;
        settings.kubernetes.url = Some(api.url());
        settings.kubernetes.ca_file = Some(path.join("kube-ca.pem"));
        settings.logs.enabled = false;
        settings.checks.policies = vec!["mine".to_owned()];
        settings.checks.policy_dir = path.join("policies");
        settings.checks.exceptions = path.join("exceptions.yaml");
        settings.heartbeat.url = Some(format!("https://localhost:{}", server.address().port()));
        settings.heartbeat.tenant = Some("acme".to_owned());
        settings.heartbeat.server_keys = Some(vec![server.public_key().to_string()]);
        settings.heartbeat.ca_file = Some(path.join("server-ca.pem"));
        settings.heartbeat.proxy_socket = path.join("proxy.sock");
        settings.agent.state_dir = path.join("state");
        settings.agent.run_dir = path.join("run");
        settings.agent.metrics = "127.0.0.1:0".to_owned();
        Self { dir, server, aws: (imds, sts), api, settings }
    }

    pub(crate) async fn agent(&self) -> Agent {
        Agent::start(self.settings.clone(), Environment::empty()).await.unwrap()
    }

    fn socket(&self) -> String {
        self.settings.agent.run_dir.join("agent.sock").display().to_string()
    }

    fn host(&self, path: &str) -> std::path::PathBuf {
        self.settings.node.host_root.join(path)
    }

    /// The only node, as the safeguard's API has it.
    async fn node(&self) -> Option<Value> {
        let list = self.api_says("/v1/nodes").await;
        list["items"].as_array().unwrap().first().cloned()
    }

    /// What the safeguard answers people, asked over TLS as a browser does.
    pub(crate) async fn api_says(&self, path: &str) -> Value {
        serde_json::from_str(&self.page(path).await).unwrap()
    }

    async fn page(&self, path: &str) -> String {
        let pem = std::fs::read_to_string(self.dir.path().join("server-ca.pem")).unwrap();
        let url = format!("https://localhost:{}{path}", self.server.address().port());
        let output = tokio::process::Command::new("curl")
            .args(["--silent", "--show-error", "--max-time", "10", "--cacert"])
            .arg(self.dir.path().join("server-ca.pem"))
            .arg(&url)
            .output()
            .await
            .unwrap();
        assert!(output.status.success(), "{url} with {pem}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The node, once it is in a state.
    pub(crate) async fn node_is(&self, state: &str, within: Duration) -> Value {
        let late = Instant::now() + within;
        loop {
            let node = self.node().await;
            if node.as_ref().is_some_and(|node| node["state"] == state) {
                return node.unwrap();
            }
            assert!(Instant::now() < late, "not {state} within {within:?}: {node:#?}");
            sleep(Duration::from_millis(100)).await;
        }
    }

    pub(crate) fn program(&self, arguments: &[&str]) -> String {
        let output = Command::new(agent()).args(arguments).args(["--socket", &self.socket()]).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

/// A safeguard that believes nobody without proof, with a certificate of an authority that no system knows.
async fn serve(path: &Path, ca: &IdentityCa, sts: &Sts, clusters: Vec<Cluster>) -> Server {
    let tls = Tls::generate_for(&["localhost"]).unwrap();
    write(path, "server-ca.pem", tls.ca_pem());
    write(path, "server.pem", tls.certificate_pem());
    write(path, "server.key", tls.key_pem());
    write(path, "pinned/index.toml", &ca.index_entry("2195-01-01T00:00:00Z"));
    write(path, "pinned/one.pem", ca.certificate_pem());
    write(path, "sts.pem", &sts.ca_pem().unwrap());
    let mut settings = ServerSettings::default();
    settings.server.listen = "127.0.0.1:0".to_owned();
    settings.server.state_dir = path.join("safeguard");
    settings.server.certificate = Some(path.join("server.pem"));
    settings.server.key = Some(path.join("server.key"));
    settings.page.open = true;
    settings.verify.tenants = vec![Tenant {
        name: "acme".to_owned(),
        accounts: vec![ACCOUNT.to_owned()],
        roles: vec!["node".to_owned()],
        require: (!clusters.is_empty()).then(|| vec![Proof::Sts, Proof::Token]),
        ..Tenant::default()
    }];
    settings.verify.clusters = clusters;
    settings.expected.interval = Duration::from_secs(5).into();
    settings.verify.certificates = Some(path.join("pinned"));
    settings.verify.sts =
        StsSettings { endpoint: Some(sts.url()), ca: Some(path.join("sts.pem")), allow_global_host: false };
    Server::start(&settings, now_ms).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_on_a_host_shows_at_the_safeguard_within_seconds() {
    if !here("heartbeat::what_breaks_on_a_host_shows_at_the_safeguard_within_seconds", Part::Curl) {
        return;
    }
    let world = World::new().await;
    let running = world.agent().await;
    let node = world.node_is("compliant", PATIENCE).await;
    assert_eq!(node["name"], NODE);
    assert_eq!(node["account"], ACCOUNT);
    assert_eq!(node["instance_id"], "i-0123456789abcdef0");
    assert_eq!(node["image_id"], "ami-0123456789abcdef0");
    assert_eq!(node["assurance"], "iid+sts", "AWS vouches for the instance and for the key");
    assert_eq!(node["simulated"], false);

    std::fs::set_permissions(world.host("etc/passwd"), std::fs::Permissions::from_mode(0o666)).unwrap();
    let broken = world.node_is("non-compliant", SECONDS).await;
    assert_eq!(broken["reasons"][0], "critical control mine/A-1 fails");
    // Who clicks on it sees what was found, and what to do.
    let page = world.page(&format!("/nodes/{}", broken["id"])).await;
    for word in ["mine", "A-1", "/etc/passwd", "chmod 0644 /etc/passwd"] {
        assert!(page.contains(word), "{word} is not on the node's page");
    }
    let seen = running.heartbeat().unwrap();
    assert_eq!(seen.posture.unwrap().state.as_str(), "non-compliant", "the node knows how it is seen");

    std::fs::set_permissions(world.host("etc/passwd"), std::fs::Permissions::from_mode(0o644)).unwrap();
    world.node_is("compliant", SECONDS).await;
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engineer_on_call_sees_everything_on_one_screen_and_what_is_sent() {
    if !here("heartbeat::the_engineer_on_call_sees_everything_on_one_screen_and_what_is_sent", Part::Curl) {
        return;
    }
    let world = World::new().await;
    let running = world.agent().await;
    world.node_is("compliant", PATIENCE).await;
    // The reply with the state comes with the beat, the membership with the next look.
    let late = Instant::now() + PATIENCE;
    let statement: Value = loop {
        let shown: Value = serde_json::from_str(&world.program(&["heartbeat", "show"])).unwrap();
        if shown["membership"]["ready"] == true {
            break shown;
        }
        assert!(Instant::now() < late, "{shown:#}");
        sleep(Duration::from_millis(200)).await;
    };
    assert_eq!(statement["membership"]["role_mapping"], "seen", "the cluster took the role's token");
    assert_eq!((&statement["tenant"], &statement["cluster"]), (&json!("acme"), &json!("prod")));
    assert_eq!(statement["assessment"]["counts"]["pass"], 2);
    assert!(statement["program"]["binary"].as_str().unwrap().starts_with("sha256:"));
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    assert_eq!(statement["beat"]["boot_id"], boot.trim());

    let screen = world.program(&["status"]);
    for line in [
        &format!("node       {NODE}, instance i-0123456789abcdef0, cluster prod, region {REGION}, account {ACCOUNT}"),
        "identity   proved by iid+sts, enrolled ",
        "state      compliant for ",
        "checks     2 pass, 0 fail, 0 excepted, 0 unknown; looked at ",
        "logs       off (`logs.enabled`)",
        "proxy      there is none on this node",
    ] {
        assert!(screen.contains(line), "{line}\n{screen}");
    }
    let document: Value = serde_json::from_str(&world.program(&["status", "--format", "json"])).unwrap();
    assert_eq!(document["heartbeat"]["posture"]["state"], "compliant");
    assert_eq!(document["heartbeat"]["trouble"], Value::Null);
    assert!(metrics(&running).await.contains("safeguard_heartbeat_state{state=\"compliant\"} 1"));
    running.shutdown().await;
}

/// A proxy that is there and says nothing is another thing than none.
#[tokio::test(flavor = "multi_thread")]
async fn the_posture_of_the_proxy_is_told() {
    if !here("heartbeat::the_posture_of_the_proxy_is_told", Part::Curl) {
        return;
    }
    let world = World::new().await;
    let socket = world.settings.heartbeat.proxy_socket.clone();
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    let proxy = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(answer(stream));
        }
    });
    let running = world.agent().await;
    world.node_is("compliant", PATIENCE).await;
    let statement: Value = serde_json::from_str(&world.program(&["heartbeat", "show"])).unwrap();
    assert_eq!(statement["proxy"], json!({"redirect": "broken", "refusals": 7, "host_network_pods": 2}));
    proxy.abort();
    assert!(proxy.await.unwrap_err().is_cancelled());
    let screen = world.program(&["status"]);
    assert!(screen.contains("it does not say whether pods are redirected"), "{screen}");
    running.shutdown().await;
}

async fn answer(stream: UnixStream) {
    let body = r#"{"ready":false,"reasons":["x"],"synced":true,"watch_silent_seconds":0.1,"redirect_ok":false,"refusals":7,"host_network_pods":2}"#;
    let service = hyper::service::service_fn(move |_| async move {
        Ok::<_, std::convert::Infallible>(http::Response::new(http_body_util::Full::new(Bytes::from_static(
            body.as_bytes(),
        ))))
    });
    drop(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}

async fn metrics(agent: &Agent) -> String {
    let stream = TcpStream::connect(agent.metrics().unwrap()).await.unwrap();
    let (mut send, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let driver = tokio::spawn(connection);
    let request = http::Request::get("/metrics").header("host", "x").body(Empty::<Bytes>::new()).unwrap();
    let body = send.send_request(request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
    drop(send);
    driver.await.unwrap().unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

/// A node whose safeguard is away goes on with everything else, and says so.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_whose_safeguard_cannot_be_reached_is_healthy_and_says_so() {
    let mut world = World::new().await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.settings.heartbeat.url = Some(format!("https://localhost:{}", nobody.local_addr().unwrap().port()));
    drop(nobody);
    let running = world.agent().await;
    let late = Instant::now() + PATIENCE;
    while running.heartbeat().unwrap().trouble.is_none() {
        assert!(Instant::now() < late);
        sleep(Duration::from_millis(50)).await;
    }
    assert!(running.health().healthy);
    let screen = world.program(&["status"]);
    for line in ["identity   not enrolled", "trouble    ", "Connection refused", "next try in "] {
        assert!(screen.contains(line), "{line}\n{screen}");
    }
    running.shutdown().await;
}

/// The safeguard's certificate is of another authority than the operator named: nothing is sent.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_somebody_else_is_not_trusted() {
    let world = World::new().await;
    write(world.dir.path(), "server-ca.pem", Tls::generate_for(&["localhost"]).unwrap().ca_pem());
    let running = world.agent().await;
    let late = Instant::now() + PATIENCE;
    let trouble = loop {
        if let Some(trouble) = running.heartbeat().unwrap().trouble {
            break trouble;
        }
        assert!(Instant::now() < late);
        sleep(Duration::from_millis(50)).await;
    };
    assert!(trouble.message.contains("certificate"), "{}", trouble.message);
    assert_eq!(trouble.code, None);
    running.shutdown().await;
}
