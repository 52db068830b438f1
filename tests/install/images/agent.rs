//! The agent's image in a pod as the chart makes one: the host's root at `/host`, the host's network and processes, and two
//! capabilities.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use safeguard_agent::Status as LogStatus;
use safeguard_checks::{Cause, Report};
use safeguard_daemon::admin::get_unix;
use safeguard_standins::cloudwatch::Options;
use safeguard_standins::{CloudWatch, Listen};
use safeguard_tests::built::program;
use safeguard_tests::containerd::{Bind, Container, Containerd, Network, Settings, Workload};
use safeguard_tests::fabric::{Fabric, OUTSIDE_V4, Place, Wiring};
use safeguard_tests::parts::{Part, here};
use safeguard_tests::proxied::ask;
use tempfile::TempDir;
use tokio::task::block_in_place;

use super::names::Names;
use super::{archive, name, said, until};

/// The service's name, which only the name server knows.
const SERVICE: &str = "logs.eu-test.example";

const APPLICATION: &str = "/aws/containerinsights/prod/application";

const UID: &str = "11111111-2222-3333-4444-555555555555";

/// Where the image has the authorities to trust.
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A node with containerd, a name server, and CloudWatch Logs behind the node's interface, which speaks TLS with a certificate of an
/// authority of its own.
struct Node {
    containerd: Containerd,
    names: Names,
    service: CloudWatch,
    fabric: Fabric,
    dir: TempDir,
}

impl Node {
    async fn new(test: &str) -> Option<Self> {
        let parts = [Part::Buildah, Part::Containerd, Part::BridgePlugin, Part::Network];
        if !parts.into_iter().all(|part| here(test, part)) {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let fabric = block_in_place(|| Fabric::build(Wiring::Bridge, 0)).unwrap();
        let names = Names::start(&fabric, SERVICE, OUTSIDE_V4);
        let entrance = fabric.entrance(Place::Outside).unwrap();
        let listen = Listen::with(move || {
            entrance.enter()?;
            std::net::TcpListener::bind((OUTSIDE_V4, 443))
        });
        let options =
            Options { listener: Some(listen), tls: true, tls_names: vec![SERVICE.to_owned()], ..Options::default() };
        let service = CloudWatch::start(options).await.unwrap();
        let network = Network {
            namespace: fabric.path(Place::Node),
            results: dir.path().join("cni"),
            bridge: "cni0".to_owned(),
            subnet: "10.244.0.0/24".to_owned(),
        };
        let settings = Settings { network: Some(network), ..Settings::default() };
        let containerd = Containerd::start_with(dir.path(), &settings).await.unwrap();
        containerd.import(&archive("safeguard-agent"), &name("safeguard-agent")).await.unwrap();
        for part in ["settings", "state", "run"] {
            std::fs::create_dir(dir.path().join(part)).unwrap();
        }
        let node = Self { containerd, names, service, fabric, dir };
        let text = format!(
            "[node]\nname = \"node-1\"\ncluster = \"prod\"\nhost_root = \"/host\"\n\
             [aws]\nregion = \"{}\"\nendpoint_url = \"https://{SERVICE}\"\n\
             [logs]\npods_dir = \"{}\"\nflush_interval = \"200ms\"\n\
             [logs.files]\npaths = []\n[logs.journal]\nenabled = false\n",
            node.service.region(),
            node.pods().display(),
        );
        std::fs::write(node.dir.path().join("settings/agent.toml"), text).unwrap();
        std::fs::write(node.authority(), node.service.ca_pem().unwrap()).unwrap();
        Some(node)
    }

    fn pods(&self) -> PathBuf {
        self.dir.path().join("pods")
    }

    /// The file with the authority of the service.
    fn authority(&self) -> PathBuf {
        self.dir.path().join("settings/aws.pem")
    }

    /// What docs/permissions.md says.
    fn workload(&self) -> Workload {
        let credential = self.service.credential();
        let env = [
            ("POD_NAMESPACE", "kube-system"),
            ("POD_NAME", "safeguard-agent"),
            ("AWS_ACCESS_KEY_ID", &credential.access_key_id),
            ("AWS_SECRET_ACCESS_KEY", &credential.secret_access_key),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ];
        Workload {
            image: name("safeguard-agent"),
            args: Vec::new(),
            env: env.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec(),
            mounts: vec![
                Bind::read("/", "/host"),
                Bind::read(self.dir.path().join("settings"), "/etc/safeguard"),
                Bind::write(self.dir.path().join("state"), "/var/lib/safeguard"),
                Bind::write(self.dir.path().join("run"), "/run/safeguard"),
            ],
            capabilities: ["DAC_READ_SEARCH", "SYS_PTRACE"].map(str::to_owned).to_vec(),
        }
    }

    async fn start(&self, workload: &Workload) -> Container {
        let pods = self.pods();
        let pod = self.containerd.run_host_pod("kube-system", "safeguard-agent", UID, &pods, &["127.0.0.1"]);
        self.containerd.run_workload(&pod.await.unwrap(), "agent", 0, workload).await.unwrap()
    }

    /// A pod that says so many lines.
    async fn speak(&self, lines: u32) {
        let uid = "99999999-2222-3333-4444-555555555555";
        let pod = self.containerd.run_pod("shop", "web", uid, &self.pods()).await.unwrap();
        let script = format!("for n in $(seq {lines}); do echo line $n; done; sleep 1");
        let container = self.containerd.run_container(&pod, "app", 0, &["sh", "-c", &script]).await.unwrap();
        assert_eq!(self.containerd.wait_exit(&container).await.unwrap(), 0);
    }

    /// What has arrived.
    fn arrived(&self) -> Vec<serde_json::Value> {
        let streams = self.service.streams(APPLICATION).into_iter();
        let events = streams.flat_map(|stream| self.service.events(APPLICATION, &stream));
        events.map(|event| serde_json::from_str(&event.message).unwrap()).collect()
    }

    /// What the agent answers on its admin socket, once it does.
    async fn admin(&self, path: &str, container: &Container) -> serde_json::Value {
        let socket = self.dir.path().join("run/agent.sock");
        let late = tokio::time::Instant::now() + super::PATIENCE;
        loop {
            let answer = get_unix(&socket, path, Duration::from_secs(5)).await;
            if let Ok((200, body)) = &answer {
                return serde_json::from_slice(body).unwrap();
            }
            assert!(tokio::time::Instant::now() < late, "{path}: {answer:?}: {}", said(container));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// SIGTERM: it drains, and ends by itself.
    async fn end(self, container: &Container) {
        self.containerd.stop_container(container, Duration::from_secs(30)).await.unwrap();
        assert_eq!(self.containerd.wait_exit(container).await.unwrap(), 0, "{}", said(container));
        self.containerd.stop().await.unwrap();
    }
}

/// What another pod says arrives: the service's name is looked up, its certificate is verified with the authority that
/// `AWS_CA_BUNDLE` names, and what the agent itself says stays out.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_agents_pod_ships_what_another_pod_says() {
    let Some(node) = Node::new("images::the_agents_pod_ships").await else { return };
    let mut workload = node.workload();
    workload.env.push(("AWS_CA_BUNDLE".to_owned(), "/etc/safeguard/aws.pem".to_owned()));
    let agent = node.start(&workload).await;
    node.speak(5).await;
    until("five lines", &agent, || node.arrived().len() >= 5).await;
    let events = node.arrived();
    let lines: Vec<&str> = events.iter().map(|event| event["log"].as_str().unwrap()).collect();
    assert_eq!(lines, ["line 1", "line 2", "line 3", "line 4", "line 5"]);
    assert!(events.iter().all(|event| event["kubernetes"]["pod_name"] == "web"), "{events:?}");
    assert!(node.names.asked().iter().any(|asked| asked == SERVICE), "{:?}", node.names.asked());

    let status: LogStatus = serde_json::from_value(node.admin("/v1/logs", &agent).await).unwrap();
    assert_eq!((status.total.delivered.events, status.total.imbalance()), (5, None));
    let metrics = ([127, 0, 0, 1], 9464).into();
    let health = block_in_place(|| node.fabric.in_node(|| ask(metrics, "GET", "/healthz", &[]))).unwrap();
    assert_eq!((health.status, health.body.as_str()), (200, "ok\n"));
    node.end(&agent).await;
}

/// Without `AWS_CA_BUNDLE` the image's own authorities decide: they do not know the stand-in's, so nothing is sent. With that one in
/// their place everything arrives.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_authorities_in_the_image_are_those_that_are_trusted() {
    let test = "images::the_authorities_in_the_image";
    let Some(node) = Node::new(test).await else { return };
    let agent = node.start(&node.workload()).await;
    node.speak(1).await;
    until("it says that it does not trust", &agent, || said(&agent).contains("UnknownIssuer")).await;
    assert_eq!(node.arrived().len(), 0);
    node.containerd.stop().await.unwrap();

    let Some(node) = Node::new(test).await else { return };
    let mut workload = node.workload();
    workload.mounts.push(Bind::read(node.authority(), BUNDLE));
    let agent = node.start(&workload).await;
    node.speak(1).await;
    until("one line", &agent, || node.arrived().len() == 1).await;
    node.end(&agent).await;
}

/// Controls that cannot be decided because something of the host may not be read, each with what that is.
fn closed(report: &Report) -> BTreeMap<String, String> {
    let unobserved = report.findings().filter_map(|(policy, finding)| {
        let unobserved = finding.unobserved.as_ref().filter(|unobserved| unobserved.cause == Cause::Permission)?;
        Some((format!("{policy}/{}", finding.control), unobserved.message.clone()))
    });
    unobserved.collect()
}

/// What the agent says of this machine as root, without a container. Some machines close PID 1 to root, too.
fn closed_to_root() -> BTreeMap<String, String> {
    let mut check = Command::new(program("safeguard-agent"));
    check.args(["check", "--root", "/", "--format", "json", "--node", "node-1"]);
    closed(&serde_json::from_slice(&check.output().unwrap().stdout).unwrap())
}

/// docs/permissions.md: with its two capabilities nothing of the host is closed to the agent that is open to root; without them
/// something is.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_capabilities_are_enough_to_look_at_the_host() {
    let test = "images::two_capabilities_are_enough";
    let closed_to_root = block_in_place(closed_to_root);
    for capabilities in [vec!["DAC_READ_SEARCH", "SYS_PTRACE"], Vec::new()] {
        let Some(node) = Node::new(test).await else { return };
        let wished = capabilities.iter().map(ToString::to_string).collect();
        let agent = node.start(&Workload { capabilities: wished, ..node.workload() }).await;
        let snapshot = node.admin("/v1/checks", &agent).await;
        let report: Report = serde_json::from_value(snapshot["report"].clone()).unwrap();
        assert!(report.findings().count() > 100, "{}", report.findings().count());
        let mut closed = closed(&report);
        closed.retain(|control, _| !closed_to_root.contains_key(control));
        assert_eq!(closed.is_empty(), !capabilities.is_empty(), "{capabilities:?}: {closed:#?}");
        node.containerd.stop().await.unwrap();
    }
}
