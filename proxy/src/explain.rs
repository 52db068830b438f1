//! The document that the running proxy answers `GET /v1/explain?pod=NAMESPACE/NAME` and `?ip=ADDRESS` with: why a pod gets what it
//! gets. It holds no secret.
//!
//! All times are milliseconds since the Unix epoch. What somebody else wrote, annotations and names, is as it was written: whoever
//! prints it has to escape it.

mod make;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

pub(crate) use make::{Asked, explain};

/// The version of the document. It rises when a field changes its meaning or goes; new fields may come at any time.
pub const VERSION: u32 = 1;

/// Why a pod gets what it gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// [`VERSION`]
    pub version: u32,
    /// When this was so.
    pub at_ms: i64,
    /// The pod or the address that was asked about, as it was asked.
    pub asked: String,
    /// The pod, if there is one.
    pub pod: Option<Who>,
    /// How its address leads to it.
    pub found: Found,
    /// What it asks for. `None` if there is no pod.
    pub role: Option<Role>,
    /// What its namespace says of that. `None` if there is no role.
    pub namespace: Option<Rule>,
    /// Whether it has to use IMDSv2. `None` if there is no pod.
    pub imdsv2: Option<Imdsv2>,
    /// Its session with STS. `None` if it may have none.
    pub session: Option<Session>,
    /// What all of this comes to.
    pub decision: Decision,
}

/// A pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// `metadata.uid`
    pub uid: String,
    /// `metadata.namespace`
    pub namespace: String,
    /// `metadata.name`
    pub name: String,
    /// `spec.serviceAccountName`
    pub service_account: String,
    /// Its addresses, as whoever knows them says.
    pub addresses: Vec<IpAddr>,
    /// Whether it shares the node's network. The proxy does not serve it then, and it reaches the node's own metadata service.
    pub host_network: bool,
    /// `status.phase`
    pub phase: String,
    /// Whether it is being deleted.
    pub deleting: bool,
}

/// How an address leads to a pod, or why it does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Found {
    /// A file of the CNI's result cache names the address and the pod.
    CniResult {
        /// The file.
        file: String,
    },
    /// `status.podIPs` of the pod.
    PodIps,
    /// Nobody is recognised.
    Nobody {
        /// Why, in a sentence.
        reason: String,
    },
}

/// The role that a pod asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// Where it is named, such as `the pod's annotation iam.amazonaws.com/role`; `None` if it is named nowhere.
    pub from: Option<String>,
    /// The text there.
    pub written: Option<String>,
    /// The ARN that it means; `None` if it is no role.
    pub arn: Option<String>,
    /// Why it is no role.
    pub error: Option<String>,
    /// The external id that the pod names.
    pub external_id: Option<String>,
}

/// What a namespace says of a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// `enforce`, `report` or `off`, as the setting `roles.namespace_policy` has it.
    pub policy: String,
    /// Whether the namespace allows the role. With `report` it is given in spite of a `false`, and with `off` nobody looks.
    pub allowed: bool,
    /// The annotation that decided.
    pub annotation: Option<String>,
    /// The entry of it that matched.
    pub entry: Option<String>,
    /// Why the namespace does not allow it, in a sentence.
    pub reason: Option<String>,
}

/// Whether a pod has to use IMDSv2.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imdsv2 {
    /// Requests without a token get 401.
    pub required: bool,
    /// What says so, such as `the namespace's annotation safeguard.io/imdsv2`.
    pub from: String,
}

/// How a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nobody has wanted it yet.
    None,
    /// STS is being asked, and there is nothing to serve yet.
    Fetching,
    /// There are credentials to serve.
    Ready,
    /// There are credentials to serve, and STS gives no new ones.
    ReadyAndFailing,
    /// There is nothing to serve, and STS gives nothing.
    Failing,
}

/// A session with STS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// How it stands.
    pub state: State,
    /// Its name, as CloudTrail shows it.
    pub name: String,
    /// The access key id of what is served: CloudTrail knows it, and it opens nothing.
    pub access_key_id: Option<String>,
    /// When STS gave it.
    pub issued_at_ms: Option<i64>,
    /// When it ends.
    pub expires_at_ms: Option<i64>,
    /// When it is fetched again.
    pub refresh_at_ms: Option<i64>,
    /// What STS said last, if that was no session.
    pub last_error: Option<StsError>,
}

/// A failed call to STS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StsError {
    /// When.
    pub at_ms: i64,
    /// The code of STS, such as `AccessDenied`, or a word of the proxy, such as `Timeout`.
    pub code: String,
    /// What it said. It names accounts and roles.
    pub message: String,
    /// Before that it is not asked again.
    pub retry_at_ms: Option<i64>,
}

/// What all of it comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Whether the pod gets credentials when it asks now.
    pub served: bool,
    /// The HTTP status that it gets when it asks for credentials now.
    pub status: u16,
    /// One word for it, as in the audit log, the metrics and `docs/why-was-my-pod-refused.md`: `served`, `no_role`, ...
    pub reason: String,
    /// The same as one sentence.
    pub sentence: String,
    /// What to do about it.
    pub remedy: Option<String>,
}
