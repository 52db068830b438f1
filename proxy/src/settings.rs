//! What the operator decided, already checked.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::role::{RoleBase, SessionTemplate};

/// Everything that `serve` needs to know, beside AWS and Kubernetes clients.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where pods are answered; the redirect brings them here.
    pub listen: Vec<SocketAddr>,
    /// The directory of CNI results as this process sees it (libcni's default is `/var/lib/cni/results`).
    pub cni_results: PathBuf,
    /// Whose word tells which pod has an address.
    pub identity: IdentitySource,
    /// How long a pod that is not known yet is waited for.
    pub unknown_pod_wait: Duration,
    /// Where names of roles without an ARN are.
    pub base: RoleBase,
    /// The role of pods that ask for none, in namespaces that name none; as an annotation would say it.
    pub default_role: Option<String>,
    /// What namespaces allow.
    pub namespace_policy: NamespacePolicy,
    /// How the entries of the namespaces' lists are read.
    pub pattern: PatternKind,
    /// The names of annotations.
    pub annotations: AnnotationNames,
    /// How sessions are called.
    pub session_name: SessionTemplate,
    /// How long a session is asked for. At most an hour: the node's role assuming another is role chaining.
    pub session_duration: Duration,
    /// Tags that sessions get; none by default, since each trust policy would have to allow `sts:TagSession`.
    pub session_tags: SessionTags,
    /// Name of the cluster, for session tags.
    pub cluster: Option<String>,
    /// Whether pods have to use IMDSv2, in namespaces that do not say.
    pub imdsv2: Imdsv2,
    /// What is forwarded to the node's metadata service, as paths below `meta-data/`; a last `*` stands for what follows.
    pub forwarded: Vec<String>,
    /// Longest time that a request waits for a session.
    pub credentials_deadline: Duration,
    /// What one pod may take.
    pub limits: Limits,
}

/// `identity.source`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdentitySource {
    /// The CNI results where there is such a directory, and else the pods' status.
    Auto,
    /// The CNI results alone.
    Cni,
    /// `status.podIPs` alone.
    Status,
}

/// `roles.namespace_policy`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamespacePolicy {
    /// A role has to be in its namespace's list.
    Enforce,
    /// The same is checked and said, and let through.
    Report,
    /// Not looked at.
    Off,
}

/// `roles.patterns`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatternKind {
    /// `*` and `?` as kube2iam has them: `*` also stands for `/`.
    Glob,
    /// A regular expression that has to match all of the ARN.
    Regexp,
}

/// Whether a token has to be presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Imdsv2 {
    /// Requests without a token are refused.
    Required,
    /// Requests without a token are answered.
    Optional,
}

/// The names of annotations. Those of kube2iam and kiam are the defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnnotationNames {
    /// Pod: the role. `iam.amazonaws.com/role`
    pub role: String,
    /// Pod: the external id. `iam.amazonaws.com/external-id`
    pub external_id: String,
    /// Namespace: JSON list of the roles that its pods may have. `iam.amazonaws.com/allowed-roles`
    pub allowed_roles: String,
    /// Namespace: one regular expression, kiam's way. `iam.amazonaws.com/permitted`
    pub permitted: String,
    /// Namespace: the role of its pods that ask for none. `safeguard.io/default-role`
    pub default_role: String,
    /// Namespace: JSON object from role patterns to lists of service accounts. `safeguard.io/allowed-service-accounts`
    pub service_accounts: String,
    /// Namespace: `required` or `optional`. `safeguard.io/imdsv2`
    pub imdsv2: String,
}

impl Default for AnnotationNames {
    fn default() -> Self {
        let own = |name: &str| name.to_owned();
        Self {
            role: own("iam.amazonaws.com/role"),
            external_id: own("iam.amazonaws.com/external-id"),
            allowed_roles: own("iam.amazonaws.com/allowed-roles"),
            permitted: own("iam.amazonaws.com/permitted"),
            default_role: own("safeguard.io/default-role"),
            service_accounts: own("safeguard.io/allowed-service-accounts"),
            imdsv2: own("safeguard.io/imdsv2"),
        }
    }
}

impl AnnotationNames {
    /// What is read of a static pod's mirror: the UID that the runtime knows it by.
    pub const MIRROR: &str = "kubernetes.io/config.hash";

    /// Those of pods.
    #[must_use]
    pub fn of_pods(&self) -> BTreeSet<String> {
        [&self.role, &self.external_id].into_iter().cloned().chain([Self::MIRROR.to_owned()]).collect()
    }

    /// Those of namespaces.
    #[must_use]
    pub fn of_namespaces(&self) -> BTreeSet<String> {
        let Self { allowed_roles, permitted, default_role, service_accounts, imdsv2, .. } = self;
        [allowed_roles, permitted, default_role, service_accounts, imdsv2].into_iter().cloned().collect()
    }
}

/// Which tags sessions get. The names are those of EKS Pod Identity, so that policies can be shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SessionTags {
    /// `eks-cluster-name`, `kubernetes-namespace`, `kubernetes-service-account`, `kubernetes-pod-name`, `kubernetes-pod-uid`
    pub enabled: bool,
}

/// What one pod may take, and all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections of one address.
    pub connections_per_pod: usize,
    /// Connections in all.
    pub connections: usize,
    /// Requests a second of one address, on average; twice that at once.
    pub requests_per_second: u32,
    /// From the opening of a connection, or the answer before, to the end of a request's head. So it is also how long a connection
    /// may ask for nothing.
    pub header_deadline: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_per_pod: 64,
            connections: 1_024,
            requests_per_second: 200,
            header_deadline: Duration::from_secs(10),
        }
    }
}

/// An IPv4 address that came as IPv6 is the IPv4 address.
#[must_use]
pub fn plain(address: IpAddr) -> IpAddr {
    address.to_canonical()
}
