//! How the cluster sees this node: whether it is Ready, and when its kubelet last renewed its lease.

use std::time::Duration;

use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::{Instant, timeout_at};

use crate::client::{Answer, Api, CORE, Client, Question};
use crate::limits::MAX_NODE_BYTES;
use crate::server::ApiServer;
use crate::trouble::Trouble;

/// Where kubelets renew their leases (Kubernetes, "Nodes", "Node heartbeats").
const LEASES: &str = "apis/coordination.k8s.io/v1/namespaces/kube-node-lease";

/// How the cluster sees this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Whether the node's condition `Ready` is `True`; `None` if the node says nothing about it.
    pub ready: Option<bool>,
    /// How long ago the kubelet renewed the node's lease, to the second; zero if that is yet to come by our clock. `None` if
    /// there is no lease, or it may not be read.
    pub lease_age: Option<Duration>,
}

/// Why the cluster does not tell.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct StandingError(#[from] Trouble);

/// Asks for this node and its lease. `now` is the time that the lease's age is counted to. Takes no longer than four times the
/// server's deadline for an answer.
///
/// # Errors
/// When the node cannot be read: it may not exist, the API server may not answer, or not let us.
pub async fn standing(api: ApiServer, node: &str, now: std::time::SystemTime) -> Result<Standing, StandingError> {
    standing_of(&Client::new(api.clone()), api.deadlines.answer, node, now.into()).await.map_err(StandingError)
}

async fn standing_of(api: &impl Api, within: Duration, node: &str, now: OffsetDateTime) -> Result<Standing, Trouble> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
    if node.is_empty() || !node.bytes().all(plain) || node.starts_with('.') {
        return Err(Trouble::Unreadable { what: "the name of a node" });
    }
    let question =
        |group, resource| Question { verb: "get", group, resource, name: Some(node.to_owned()), query: String::new() };
    let found: Node = read(api, &question(CORE, "nodes"), within, "a node").await?;
    let lease = match read::<Lease>(api, &question(LEASES, "leases"), within, "a lease").await {
        Ok(lease) => lease.spec.renew_time.and_then(|text| OffsetDateTime::parse(&text, &Rfc3339).ok()),
        Err(error) => {
            tracing::debug!(%error, "the lease of this node cannot be read");
            None
        }
    };
    let ready = found.status.conditions.iter().find(|condition| condition.kind == "Ready");
    let age = |renewed: OffsetDateTime| (now - renewed).whole_seconds().max(0).unsigned_abs();
    Ok(Standing {
        ready: ready.map(|condition| condition.status == "True"),
        lease_age: lease.map(age).map(Duration::from_secs),
    })
}

/// One object, whole, within the deadline.
async fn read<T: serde::de::DeserializeOwned>(
    api: &impl Api,
    question: &Question,
    within: Duration,
    what: &'static str,
) -> Result<T, Trouble> {
    let mut answer = api.ask(question).await?;
    let deadline = Instant::now() + within;
    let silent = |_| Trouble::Silent { what, after: within };
    let mut text = Vec::new();
    while let Some(piece) = timeout_at(deadline, answer.piece()).await.map_err(silent)?? {
        if text.len() + piece.len() > MAX_NODE_BYTES {
            return Err(Trouble::Unreadable { what });
        }
        text.extend_from_slice(&piece);
    }
    serde_json::from_slice(&text).map_err(|_| Trouble::Unreadable { what })
}

#[derive(Deserialize)]
struct Node {
    #[serde(default)]
    status: NodeStatus,
}

#[derive(Default, Deserialize)]
struct NodeStatus {
    #[serde(default)]
    conditions: Vec<Condition>,
}

#[derive(Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

#[derive(Deserialize)]
struct Lease {
    spec: LeaseSpec,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LeaseSpec {
    renew_time: Option<String>,
}
