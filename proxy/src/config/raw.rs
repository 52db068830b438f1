//! What a settings file can say. Everything has a default; nothing is judged here.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use safeguard_daemon::settings::{HumanDuration, Problems, ProgramSettings};
use safeguard_daemon::telemetry::Telemetry;
use safeguard_pods::{AccessMode, AccessSettings};
use serde::{Deserialize, Serialize};

use crate::settings;

/// All settings of the proxy.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// What this node is called.
    pub node: Node,
    /// How AWS is reached.
    pub aws: Aws,
    /// How Kubernetes is reached.
    pub kubernetes: Kubernetes,
    /// The proxy as a process.
    pub proxy: Process,
    /// Which pod is asking.
    pub identity: Identity,
    /// What pods may have.
    pub roles: Roles,
    /// Names of annotations.
    pub annotations: Annotations,
    /// The metadata service as pods see it.
    pub imds: Imds,
    /// What one pod may take, and all of them.
    pub limits: Limits,
    /// How requests of pods come here.
    pub redirect: Redirect,
    /// The proxy's own log.
    pub log: Telemetry,
}

/// `[node]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Node {
    /// Name of the Kubernetes node.
    pub name: Option<String>,
}

/// `[aws]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Aws {
    /// AWS region.
    pub region: Option<String>,
    /// URL of STS.
    pub sts_endpoint_url: Option<String>,
    /// URL of the instance metadata service.
    pub imds_endpoint: Option<String>,
    /// PEM file with the only authorities to trust.
    pub ca_bundle: Option<PathBuf>,
}

/// `[kubernetes]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// File with a bearer token, read again when it changes.
    pub token_file: Option<PathBuf>,
    /// Name of the EKS cluster.
    pub cluster: Option<String>,
    /// How long the API server may be silent before the proxy says that it is not ready.
    pub stale_after: HumanDuration,
}

impl Default for Kubernetes {
    fn default() -> Self {
        Self {
            mode: AccessMode::Auto,
            kubeconfig: None,
            url: None,
            ca_file: None,
            token_file: None,
            cluster: None,
            // The watch gives a sign of life about once a minute, and is cut after some 85 s without one: twice as long, nearly.
            stale_after: seconds(150),
        }
    }
}

impl Kubernetes {
    /// What the operator says about the way to the API server.
    pub(crate) fn access(&self) -> AccessSettings {
        AccessSettings { mode: self.mode, url: self.url.clone(), kubeconfig: self.kubeconfig.clone() }
    }
}

/// `[proxy]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Process {
    /// Where pods are answered; empty means at the addresses and the port of `[redirect]`.
    pub listen: Vec<SocketAddr>,
    /// The admin socket.
    pub socket: PathBuf,
    /// The lock that keeps a second proxy away.
    pub lock: PathBuf,
    /// Address for Prometheus, or `off`.
    pub metrics: String,
    /// How long requests that are under way may take when the proxy is stopped.
    pub shutdown_grace: HumanDuration,
}

impl Default for Process {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            socket: "/run/safeguard/proxy.sock".into(),
            lock: "/run/safeguard/proxy.lock".into(),
            metrics: "127.0.0.1:9465".to_owned(),
            shutdown_grace: seconds(5),
        }
    }
}

/// `identity.source`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The CNI results where there is such a directory, and else the pods' status.
    #[default]
    Auto,
    /// The CNI results alone.
    Cni,
    /// `status.podIPs` alone.
    Status,
}

/// `[identity]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Identity {
    /// Whose word tells which pod has an address.
    pub source: Source,
    /// The directory of CNI results, as this process sees it.
    pub cni_results: PathBuf,
    /// How long a pod that is not known yet is waited for.
    pub unknown_pod_wait: HumanDuration,
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            source: Source::Auto,
            cni_results: "/var/lib/cni/results".into(),
            unknown_pod_wait: HumanDuration(Duration::from_millis(400)),
        }
    }
}

/// `roles.namespace_policy`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// A role has to be in its namespace's list.
    #[default]
    Enforce,
    /// The same is checked and said, and let through.
    Report,
    /// Not looked at.
    Off,
}

/// `roles.patterns`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Patterns {
    /// `*` and `?`
    #[default]
    Glob,
    /// Regular expressions that have to match all of the ARN.
    Regexp,
}

/// `[roles]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Roles {
    /// What stands before the name of a role that is given without its ARN.
    pub base_arn: Option<String>,
    /// The role of pods that ask for none, in namespaces that name none.
    pub default_role: Option<String>,
    /// What namespaces allow.
    pub namespace_policy: Policy,
    /// How the entries of the namespaces' lists are read.
    pub patterns: Patterns,
    /// How sessions are called.
    pub session_name: String,
    /// How long a session is asked for.
    pub session_duration: HumanDuration,
    /// Whether sessions get tags.
    pub session_tags: bool,
    /// Whether a session is fetched when its pod appears, before it asks.
    pub prefetch: bool,
    /// Longest time that a request waits for a session.
    pub credentials_deadline: HumanDuration,
}

impl Default for Roles {
    fn default() -> Self {
        Self {
            base_arn: None,
            default_role: None,
            namespace_policy: Policy::Enforce,
            patterns: Patterns::Glob,
            session_name: "{namespace}.{pod}".to_owned(),
            session_duration: seconds(3_600),
            session_tags: false,
            prefetch: true,
            credentials_deadline: HumanDuration(Duration::from_millis(900)),
        }
    }
}

/// `[annotations]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Annotations {
    /// Pod: the role.
    pub role: String,
    /// Pod: the external id.
    pub external_id: String,
    /// Namespace: JSON list of the roles that its pods may have.
    pub allowed_roles: String,
    /// Namespace: one regular expression for them.
    pub permitted: String,
    /// Namespace: the role of its pods that ask for none.
    pub default_role: String,
    /// Namespace: which service accounts may have which of its roles.
    pub service_accounts: String,
    /// Namespace: whether its pods have to use IMDSv2.
    pub imdsv2: String,
}

impl Default for Annotations {
    fn default() -> Self {
        let settings::AnnotationNames {
            role,
            external_id,
            allowed_roles,
            permitted,
            default_role,
            service_accounts,
            imdsv2,
        } = settings::AnnotationNames::default();
        Self { role, external_id, allowed_roles, permitted, default_role, service_accounts, imdsv2 }
    }
}

/// `imds.imdsv2`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Imdsv2 {
    /// Requests without a token are answered.
    #[default]
    Optional,
    /// Requests without a token are refused.
    Required,
}

/// `[imds]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Imds {
    /// Whether pods have to use IMDSv2, in namespaces that do not say.
    pub imdsv2: Imdsv2,
    /// What is forwarded to the node's metadata service, below `meta-data/`.
    pub forwarded: Vec<String>,
}

impl Default for Imds {
    fn default() -> Self {
        Self { imdsv2: Imdsv2::Optional, forwarded: FORWARDED.map(str::to_owned).to_vec() }
    }
}

/// What pods may see of the node by default; `example.toml` says why these, and why not others. Names are those of "Instance
/// metadata categories" (EC2 User Guide).
const FORWARDED: [&str; 18] = [
    "instance-id",
    "instance-type",
    "instance-life-cycle",
    "placement/region",
    "placement/availability-zone",
    "placement/availability-zone-id",
    "services/domain",
    "services/partition",
    "hostname",
    "local-hostname",
    "local-ipv4",
    "mac",
    "spot/instance-action",
    "spot/termination-time",
    "events/recommendations/rebalance",
    "autoscaling/target-lifecycle-state",
    "network/interfaces/macs",
    "network/interfaces/macs/*/vpc-id",
];

/// `[limits]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Connections of one address.
    pub connections_per_pod: usize,
    /// Connections in all.
    pub connections: usize,
    /// Requests a second of one address, on average.
    pub requests_per_second: u32,
    /// From the opening of a connection, or the answer before, to the end of a request's head.
    pub header_deadline: HumanDuration,
}

impl Default for Limits {
    fn default() -> Self {
        let settings::Limits { connections_per_pod, connections, requests_per_second, header_deadline } =
            settings::Limits::default();
        Self { connections_per_pod, connections, requests_per_second, header_deadline: HumanDuration(header_deadline) }
    }
}

/// `redirect.ipv6`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ipv6 {
    /// Where the kernel has it.
    #[default]
    Auto,
    /// It has to be there.
    On,
    /// Pods are refused at the metadata service's IPv6 address.
    Off,
}

/// `[redirect]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Redirect {
    /// The proxy's own IPv4 address, put on `lo`.
    pub address_v4: Ipv4Addr,
    /// The proxy's own IPv6 address, put on `lo`.
    pub address_v6: Ipv6Addr,
    /// The TCP port at both addresses.
    pub port: u16,
    /// Whether IPv6 is redirected.
    pub ipv6: Ipv6,
    /// The `nft` program; without it the directories for system programs are looked in.
    pub nft: Option<PathBuf>,
    /// Where the outcome of a check is written, and read by others.
    pub state_file: PathBuf,
}

impl Default for Redirect {
    fn default() -> Self {
        Self {
            address_v4: Ipv4Addr::new(169, 254, 168, 252),
            // A unique local address (RFC 4193): link-local ones need a zone, which DNAT cannot give.
            address_v6: Ipv6Addr::new(0xfd0c, 0xc696, 0xc750, 0, 0, 0, 0, 0x252),
            port: 8181,
            ipv6: Ipv6::Auto,
            nft: None,
            state_file: "/run/safeguard/redirect.json".into(),
        }
    }
}

const fn seconds(seconds: u64) -> HumanDuration {
    HumanDuration(Duration::from_secs(seconds))
}

impl ProgramSettings for Settings {
    const DEFAULT_PATH: &'static str = "/etc/safeguard/proxy.toml";

    fn check(&self) -> Result<(), Problems> {
        self.checked().map(drop)
    }
}
