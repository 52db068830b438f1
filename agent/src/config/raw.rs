//! What a settings file can say. Everything has a default; nothing is judged here.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use safeguard_daemon::settings::{HumanBytes, HumanDuration, Problems, ProgramSettings};
use safeguard_daemon::telemetry::Telemetry;
use safeguard_pods::{AccessMode, AccessSettings};
use serde::{Deserialize, Serialize};

/// All settings of the agent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// What this node is called, and where its files are.
    pub node: Node,
    /// How AWS is reached.
    pub aws: Aws,
    /// How Kubernetes is reached, where it is asked.
    pub kubernetes: Kubernetes,
    /// What is shipped, and how.
    pub logs: Logs,
    /// `[checks]`
    pub checks: Checks,
    /// `[heartbeat]`
    pub heartbeat: Heartbeat,
    /// The agent as a process.
    pub agent: Process,
    /// The agent's own log.
    pub log: Telemetry,
}

/// `[node]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Node {
    /// Name of the Kubernetes node.
    pub name: Option<String>,
    /// Name of the EKS cluster.
    pub cluster: Option<String>,
    /// EC2 instance id.
    pub instance_id: Option<String>,
    /// AWS account id.
    pub account: Option<String>,
    /// AMI that the instance was started from.
    pub image_id: Option<String>,
    /// Where the host's files are, as this process sees them.
    pub host_root: PathBuf,
}

impl Default for Node {
    fn default() -> Self {
        Self { name: None, cluster: None, instance_id: None, account: None, image_id: None, host_root: "/".into() }
    }
}

/// `[aws]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Aws {
    /// AWS region.
    pub region: Option<String>,
    /// URL of CloudWatch Logs.
    pub endpoint_url: Option<String>,
    /// URL of the instance metadata service.
    pub imds_endpoint: Option<String>,
    /// PEM file with the only authorities to trust.
    pub ca_bundle: Option<PathBuf>,
}

/// `[kubernetes]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Kubernetes {
    /// Which of the ways below.
    pub mode: AccessMode,
    /// A kubeconfig.
    pub kubeconfig: Option<PathBuf>,
    /// URL of the API server.
    pub url: Option<String>,
    /// PEM file with the authorities of the API server.
    pub ca_file: Option<PathBuf>,
    /// File with a bearer token, read again for every request.
    pub token_file: Option<PathBuf>,
}

impl Kubernetes {
    /// What the operator says about the way to the API server.
    pub(crate) fn access(&self) -> AccessSettings {
        AccessSettings { mode: self.mode, url: self.url.clone(), kubeconfig: self.kubeconfig.clone() }
    }
}

/// `logs.format`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// As Container Insights queries expect it.
    Json,
    /// The line alone.
    Raw,
}

/// `logs.oversize`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Oversize {
    /// Several events.
    Split,
    /// Its start.
    Truncate,
}

/// `logs.groups.class`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Class {
    /// `STANDARD`
    Standard,
    /// `INFREQUENT_ACCESS`
    InfrequentAccess,
}

/// `[logs]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Logs {
    /// Whether logs are shipped at all.
    pub enabled: bool,
    /// Where the kubelet keeps the logs of pods, on the host.
    pub pods_dir: PathBuf,
    /// What an event looks like.
    pub format: Format,
    /// Template for the names of streams of containers.
    pub stream: String,
    /// Template for the names of streams of files and of the journal.
    pub host_stream: String,
    /// What becomes of a line longer than an event.
    pub oversize: Oversize,
    /// If not empty, only what these choose is shipped.
    pub include: Vec<String>,
    /// What these choose is not shipped.
    pub exclude: Vec<String>,
    /// Namespaces whose pods may exclude containers by annotation.
    pub annotations_may_exclude: Vec<String>,
    /// Whether the agent's own container is shipped, too.
    pub include_self: bool,
    /// What these choose goes to the dataplane group.
    pub dataplane: Vec<String>,
    /// gzip level of requests; 0 is off.
    pub gzip_level: u32,
    /// How long an event waits for its batch to fill.
    pub flush_interval: HumanDuration,
    /// Requests a second that are spent on batches that are not full.
    pub max_puts_per_second: u32,
    /// Most memory that batches may hold.
    pub memory_budget: HumanBytes,
    /// How often every directory is listed.
    pub rescan_interval: HumanDuration,
    /// Disk space of deleted files that may be held until they are delivered.
    pub pinned_bytes: HumanBytes,
    /// Longest time between two checkpoints while offsets move.
    pub checkpoint_interval: HumanDuration,
    /// How long a file that ended has to be quiet until it is let go.
    pub quiet_period: HumanDuration,
    /// How long a file may be in no listing until it is forgotten.
    pub missing_period: HumanDuration,
    /// How long the pieces of a line wait for its end.
    pub partial_period: HumanDuration,
    /// For one request, connecting included.
    pub request_deadline: HumanDuration,
    /// For one connection.
    pub connect_deadline: HumanDuration,
    /// Plain files.
    pub files: Files,
    /// The systemd journal.
    pub journal: Journal,
    /// Lines that belong together.
    pub multiline: Multiline,
    /// Log groups.
    pub groups: Groups,
}

/// `[logs.files]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Files {
    /// What is read.
    pub paths: Vec<String>,
    /// What is not, although `paths` match.
    pub exclude: Vec<String>,
}

impl Default for Files {
    fn default() -> Self {
        let paths =
            ["/var/log/audit/audit.log", "/var/log/aws-routed-eni/*.log", "/var/log/messages", "/var/log/secure"];
        // Records of logins in a binary form; lastlog is a sparse file of many gigabytes.
        let exclude = ["/var/log/wtmp", "/var/log/btmp", "/var/log/lastlog"];
        Self { paths: paths.map(str::to_owned).to_vec(), exclude: exclude.map(str::to_owned).to_vec() }
    }
}

/// `[logs.journal]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Journal {
    /// Whether the journal is read.
    pub enabled: bool,
    /// Where journals are, on the host.
    pub dirs: Vec<PathBuf>,
    /// Units that go to the dataplane group.
    pub dataplane: Vec<String>,
    /// Units that are not shipped.
    pub exclude: Vec<String>,
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            enabled: true,
            dirs: vec!["/var/log/journal".into(), "/run/log/journal".into()],
            dataplane: ["kubelet.service", "containerd.service", "nodeadm-*.service"].map(str::to_owned).to_vec(),
            exclude: Vec::new(),
        }
    }
}

/// `[logs.multiline]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Multiline {
    /// Containers and files whose stack traces become one event each.
    pub stack_traces: Vec<String>,
    /// Containers and files, and the regular expression for lines that begin an event.
    pub start: BTreeMap<String, String>,
    /// How long an event waits for more lines.
    pub period: HumanDuration,
}

impl Default for Multiline {
    fn default() -> Self {
        Self { stack_traces: Vec::new(), start: BTreeMap::new(), period: seconds(2) }
    }
}

const fn seconds(seconds: u64) -> HumanDuration {
    HumanDuration(Duration::from_secs(seconds))
}

impl Default for Logs {
    fn default() -> Self {
        let dataplane = ["kube-system/aws-node-*", "kube-system/kube-proxy-*", "kube-system/coredns-*"];
        Self {
            enabled: true,
            pods_dir: "/var/log/pods".into(),
            format: Format::Json,
            stream: "{node}".to_owned(),
            host_stream: "{node}".to_owned(),
            oversize: Oversize::Split,
            include: Vec::new(),
            exclude: Vec::new(),
            annotations_may_exclude: Vec::new(),
            include_self: false,
            dataplane: dataplane.map(str::to_owned).to_vec(),
            gzip_level: 1,
            flush_interval: seconds(5),
            max_puts_per_second: 5,
            memory_budget: HumanBytes(16_000_000),
            rescan_interval: seconds(10),
            pinned_bytes: HumanBytes(2 << 30),
            checkpoint_interval: seconds(1),
            quiet_period: seconds(5),
            missing_period: seconds(60),
            partial_period: seconds(30),
            request_deadline: seconds(60),
            connect_deadline: seconds(5),
            files: Files::default(),
            journal: Journal::default(),
            multiline: Multiline::default(),
            groups: Groups::default(),
        }
    }
}

/// `[logs.groups]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Groups {
    /// Template for the group of containers.
    pub application: String,
    /// Template for the group of the node's own machinery.
    pub dataplane: String,
    /// Template for the group of files and of all other units of the journal.
    pub host: String,
    /// Whether missing groups are created.
    pub create: bool,
    /// Days that new groups keep events.
    pub retention_days: Option<u32>,
    /// KMS key of new groups.
    pub kms_key: Option<String>,
    /// Class of new groups.
    pub class: Class,
    /// Tags of new groups.
    pub tags: BTreeMap<String, String>,
}

impl Default for Groups {
    fn default() -> Self {
        Self {
            application: "/aws/containerinsights/{cluster}/application".to_owned(),
            dataplane: "/aws/containerinsights/{cluster}/dataplane".to_owned(),
            host: "/aws/containerinsights/{cluster}/host".to_owned(),
            create: true,
            retention_days: None,
            kms_key: None,
            class: Class::Standard,
            tags: BTreeMap::new(),
        }
    }
}

/// `[checks]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Checks {
    /// Whether the host is looked at.
    pub enabled: bool,
    /// The policies that are asked; all of them if none is named.
    pub policies: Vec<String>,
    /// Controls up to this level.
    pub level: u8,
    /// How often everything is looked at again.
    pub interval: HumanDuration,
    /// The operator's own policies, as this process sees them.
    pub policy_dir: PathBuf,
    /// The operator's exceptions, as this process sees them.
    pub exceptions: PathBuf,
    /// Whether the reviewed exceptions for EKS nodes hold.
    pub eks_exceptions: bool,
    /// The node group, for the scope of exceptions.
    pub node_group: Option<String>,
    /// The node's labels, for the scope of exceptions.
    pub labels: BTreeMap<String, String>,
}

impl Default for Checks {
    fn default() -> Self {
        Self {
            enabled: true,
            policies: Vec::new(),
            level: 2,
            interval: seconds(900),
            policy_dir: super::POLICY_DIR.into(),
            exceptions: super::EXCEPTIONS.into(),
            eks_exceptions: true,
            node_group: None,
            labels: BTreeMap::new(),
        }
    }
}

/// `[heartbeat]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Heartbeat {
    /// URL of the safeguard. Without it nothing is sent.
    pub url: Option<String>,
    /// Whose node this is, as the safeguard knows it.
    pub tenant: Option<String>,
    /// The keys that the safeguard may sign its replies with. At least one where there is a URL.
    pub server_keys: Option<Vec<String>>,
    /// How often the node speaks; as the safeguard says, if it is not set.
    pub interval: Option<HumanDuration>,
    /// PEM file with the only authorities to trust for the safeguard.
    pub ca_file: Option<PathBuf>,
    /// A projected service-account token of audience `safeguard`.
    pub service_account_token_file: Option<PathBuf>,
    /// Admin socket of the metadata proxy, whose posture is told too.
    pub proxy_socket: PathBuf,
    /// What may wait on disk while the safeguard is away.
    pub spool_bytes: HumanBytes,
    /// How long it may wait.
    pub spool_age: HumanDuration,
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self {
            url: None,
            tenant: None,
            server_keys: None,
            interval: None,
            ca_file: None,
            service_account_token_file: None,
            proxy_socket: "/run/safeguard/proxy.sock".into(),
            spool_bytes: HumanBytes(16_000_000),
            spool_age: seconds(48 * 3_600),
        }
    }
}

/// `[agent]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Process {
    /// What has to outlive a restart.
    pub state_dir: PathBuf,
    /// Lock and admin socket.
    pub run_dir: PathBuf,
    /// Address for Prometheus, or `off`.
    pub metrics: String,
    /// How long draining may take when the agent is stopped.
    pub shutdown_grace: HumanDuration,
}

impl Default for Process {
    fn default() -> Self {
        Self {
            state_dir: "/var/lib/safeguard".into(),
            run_dir: "/run/safeguard".into(),
            metrics: "127.0.0.1:9464".to_owned(),
            shutdown_grace: seconds(25),
        }
    }
}

impl ProgramSettings for Settings {
    const DEFAULT_PATH: &'static str = "/etc/safeguard/agent.toml";

    fn check(&self) -> Result<(), Problems> {
        self.checked().map(drop)
    }
}
