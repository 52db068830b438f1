//! Asks a cluster whose a service-account token is, and on which node its pod runs.

use std::collections::BTreeMap;

use http::{Method, StatusCode};
use safeguard_protocol::{Code, Enrolment};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::Denied;
use super::document::Document;
use super::settings::{Cluster, Settings, SettingsError};
use crate::clusters::{ApiServer, MAX_TOKEN_BYTES, instance_of};

/// Whom the token has to be for.
const AUDIENCE: &str = "safeguard";
/// The claim that names the node of the token's pod (Kubernetes 1.30, `ServiceAccountTokenPodNodeInfo`).
const NODE_NAME: &str = "authentication.kubernetes.io/node-name";
/// The longest answer. A node with 50 images in its status has some 30 KiB.
const MAX_ANSWER_BYTES: usize = 512 * 1024;

const REFUSED: &str = "the cluster does not vouch for the service-account token";
const UNAVAILABLE: &str = "the cluster could not be asked about the service-account token";

/// API servers by tenants and the names of their clusters.
#[derive(Debug)]
pub(super) struct Reviewers(BTreeMap<[String; 2], Reviewer>);

#[derive(Debug)]
struct Reviewer {
    server: ApiServer,
    /// `system:serviceaccount:NAMESPACE:NAME`. None where the cluster is asked for its nodes alone.
    users: Vec<String>,
}

impl Reviewers {
    pub(super) fn new(settings: &Settings) -> Result<Self, SettingsError> {
        let mut reviewers = BTreeMap::new();
        for cluster in &settings.clusters {
            let Cluster { name, service_accounts, nodes, .. } = cluster;
            let key = |key: &str| format!("clusters.{name}.{key}");
            let user = |account: &String| match account.split_once('/') {
                Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !account.contains(':') => {
                    Ok(format!("system:serviceaccount:{namespace}:{name}"))
                }
                _ => Err(SettingsError::value(key("service_accounts"), format!("{account:?} is not NAMESPACE/NAME"))),
            };
            let users = service_accounts.iter().map(user).collect::<Result<Vec<_>, _>>()?;
            if users.is_empty() && !nodes {
                return Err(SettingsError::value(key("service_accounts"), "name at least one"));
            }
            let reviewer = Reviewer { server: ApiServer::new(cluster)?, users };
            let whose = settings.tenant_of(cluster).to_owned();
            if reviewers.insert([whose.clone(), name.clone()], reviewer).is_some() {
                return Err(SettingsError::value("clusters", format!("{name:?} of tenant {whose:?} is there twice")));
            }
        }
        Ok(Self(reviewers))
    }

    /// Whether the token is one of the agent's, of a pod on the node that enrols, and that node is this instance.
    pub(super) async fn review(&self, token: &str, enrolment: &Enrolment, document: &Document) -> Result<(), Denied> {
        let Enrolment { tenant, cluster, node_name, .. } = enrolment;
        let unknown = || refused(format!("no API server is set for cluster {cluster:?} of tenant {tenant:?}"));
        let reviewer = self.0.get(&[tenant.clone(), cluster.clone()]).ok_or_else(unknown)?;
        if reviewer.users.is_empty() {
            return Err(refused(format!("cluster {cluster:?} has no service account whose tokens are believed")));
        }
        reviewer.check_token(token, node_name).await?;
        reviewer.check_node(node_name, &document.instance_id).await
    }
}

#[derive(Deserialize)]
struct Review {
    status: ReviewStatus,
}

#[derive(Deserialize)]
struct ReviewStatus {
    #[serde(default)]
    authenticated: bool,
    #[serde(default)]
    audiences: Vec<String>,
    #[serde(default)]
    user: User,
}

#[derive(Deserialize, Default)]
struct User {
    #[serde(default)]
    username: String,
    #[serde(default)]
    extra: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
struct Node {
    spec: NodeSpec,
}

#[derive(Deserialize)]
struct NodeSpec {
    #[serde(default, rename = "providerID")]
    provider_id: String,
}

impl Reviewer {
    async fn check_token(&self, token: &str, node_name: &str) -> Result<(), Denied> {
        if token.is_empty() || token.len() > MAX_TOKEN_BYTES || !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(refused("it is not of the form of a token"));
        }
        let review = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": { "token": token, "audiences": [AUDIENCE] },
        });
        let path = "/apis/authentication.k8s.io/v1/tokenreviews";
        let (status, review): (_, Option<Review>) = self.ask(Method::POST, path, review.to_string()).await?;
        let answered = status.is_success();
        let Some(Review { status: ReviewStatus { authenticated, audiences, user } }) = review.filter(|_| answered)
        else {
            return Err(unavailable(format!("a token review was answered with status {}", status.as_u16())));
        };
        if !authenticated {
            return Err(refused("the cluster does not know it"));
        }
        // A server that knows nothing of audiences says nothing of them, and takes every token.
        if !audiences.iter().any(|audience| audience == AUDIENCE) {
            return Err(refused("it is not for the audience safeguard"));
        }
        if !self.users.contains(&user.username) {
            return Err(refused(format!("it is of {:?}", clipped(&user.username))));
        }
        match user.extra.get(NODE_NAME).map(Vec::as_slice) {
            Some([node]) if node == node_name => Ok(()),
            Some([node]) => Err(refused(format!("its pod is on node {:?}, not {node_name:?}", clipped(node)))),
            _ => Err(refused("it does not say on which node its pod is; Kubernetes does from 1.30 on")),
        }
    }

    /// The cloud's controller writes into the node's object which instance it is.
    async fn check_node(&self, node_name: &str, instance_id: &str) -> Result<(), Denied> {
        // Kubernetes, "Object Names and IDs": DNS subdomains. Nothing else may get into the path.
        let subdomain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
        let dots = node_name.split('.').any(str::is_empty);
        if !(1..=253).contains(&node_name.len()) || !node_name.bytes().all(subdomain) || dots {
            return Err(refused("its node has no name that a node can have"));
        }
        let (status, node): (_, Option<Node>) =
            self.ask(Method::GET, &format!("/api/v1/nodes/{node_name}"), String::new()).await?;
        let provider_id = match node {
            Some(node) if status == StatusCode::OK => node.spec.provider_id,
            _ if status == StatusCode::NOT_FOUND => {
                return Err(unavailable("the node is not in the cluster yet".to_owned()));
            }
            _ => return Err(unavailable(format!("the node was answered with status {}", status.as_u16()))),
        };
        match instance_of(&provider_id) {
            Some(instance) if instance == instance_id => Ok(()),
            Some(instance) => Err(refused(format!("its node is instance {:?}, not {instance_id}", clipped(instance)))),
            None if provider_id.is_empty() => {
                Err(unavailable("the cluster does not say yet which instance the node is".to_owned()))
            }
            None => Err(refused("its node is no instance of AWS")),
        }
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: String,
    ) -> Result<(StatusCode, Option<T>), Denied> {
        let answer = self.server.ask(method, path, body, MAX_ANSWER_BYTES).await.map_err(unavailable)?;
        Ok((answer.status, serde_json::from_slice(&answer.body).ok()))
    }
}

/// What others wrote, for our log.
fn clipped(text: &str) -> String {
    text.chars().take(100).collect()
}

fn refused(detail: impl Into<String>) -> Denied {
    Denied::new(Code::ProofToken, REFUSED, detail)
}

fn unavailable(detail: String) -> Denied {
    Denied::new(Code::ProofUnavailable, UNAVAILABLE, detail)
}
