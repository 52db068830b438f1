//! Strict stand-ins of what the proxy talks to: the instance metadata service, STS, and the API server of Kubernetes. They share
//! an account, which knows whose each access key is.
#![expect(clippy::disallowed_methods, reason = "this plays the kubelet, which writes the token of a service account")]

use std::io;
use std::sync::Arc;

use safeguard_proxy::config::{AccessMode, Environment, Settings, Source};
use safeguard_standins::kubernetes::{PodSpec, Resource, Verb, namespace};
use safeguard_standins::{
    Account, Imds, ImdsOptions, Kubernetes, KubernetesOptions, Principal, Sts, StsOptions, imds, sts,
};
use tempfile::TempDir;

use super::pods::{NAMESPACES, NODE_ROLE, Pod, ROLES};

const ACCOUNT: &str = "123456789012";
const USER: &str = "system:serviceaccount:safeguard:proxy";

/// Marks what the metadata service was asked before any pod could ask the proxy.
const START: &str = "the proxy starts";

/// Marks what came after that.
const PODS: &str = "pods ask";

#[derive(Debug)]
pub(super) struct Services {
    pub(super) account: Arc<Account>,
    pub(super) imds: Imds,
    pub(super) sts: Sts,
    api: Kubernetes,
    node: String,
    // The proxy's own files. Deleted when everything has ended.
    dir: TempDir,
}

impl Services {
    pub(super) async fn start(node: &str) -> io::Result<Self> {
        let account = Account::new(ACCOUNT)?;
        let imds = Imds::start(ImdsOptions { keep_alive: true, ..ImdsOptions::new(account.clone()) }).await?;
        imds.mark(START);
        let sts = Sts::start(StsOptions::new(account.clone())).await?;
        for role in ROLES {
            sts.put_role(sts::Role::new(arn(role)).trusting(arn(NODE_ROLE)));
        }
        let api = Kubernetes::start(KubernetesOptions::default()).await?;
        // What the chart's service account may do, and no more.
        for resource in [Resource::Pods, Resource::Namespaces] {
            api.grant(USER, &[Verb::List, Verb::Watch], resource, None);
        }
        for of in NAMESPACES {
            api.add_namespace(namespace(of.name, &[("iam.amazonaws.com/allowed-roles", of.allowed)]));
        }
        let dir = tempfile::Builder::new().prefix("safeguard-proxy-").tempdir()?;
        std::fs::write(dir.path().join("token"), api.issue_token(USER))?;
        Ok(Self { account, imds, sts, api, node: node.to_owned(), dir })
    }

    /// Default settings, but for where the services are, who the node is, and where the proxy listens. Where roles are, it asks
    /// the metadata service.
    pub(super) fn settings(&self) -> Settings {
        let dir = self.dir.path();
        let mut settings = Settings::default();
        settings.node.name = Some(self.node.clone());
        settings.aws.region = Some(self.sts.region().to_owned());
        settings.aws.sts_endpoint_url = Some(self.sts.url());
        settings.aws.imds_endpoint = Some(self.imds.url());
        settings.kubernetes.mode = AccessMode::Url;
        settings.kubernetes.url = Some(self.api.url());
        settings.kubernetes.token_file = Some(dir.join("token"));
        settings.identity.source = Source::Status;
        settings.proxy.listen = vec![([127, 0, 0, 1], 0).into()];
        settings.proxy.socket = dir.join("proxy.sock");
        settings.proxy.lock = dir.join("proxy.lock");
        settings.proxy.metrics = "127.0.0.1:0".to_owned();
        settings.redirect.state_file = dir.join("redirect.json");
        settings
    }

    /// Nothing of this process's environment, and a key of the node's role, so that nobody's real one is looked for.
    pub(super) fn environment(&self) -> Environment {
        let node = Principal::session(self.node_role(), "i-0123456789abcdef0");
        let key = self.account.issue_temporary(node, None);
        let token = key.session_token.as_deref();
        Environment::empty().with_credentials(&key.access_key_id, &key.secret_access_key, token)
    }

    /// The ARN of the node's role.
    pub(super) fn node_role(&self) -> String {
        arn(NODE_ROLE)
    }

    /// Tells Kubernetes of a pod, or of what has changed of it.
    pub(super) fn run(&self, pod: Pod) {
        let mut spec = PodSpec::new(pod.namespace, pod.name).node(&self.node).ip(pod.address.to_string());
        if let Some(role) = pod.asks {
            spec = spec.annotation("iam.amazonaws.com/role", role);
        }
        if pod.host_network {
            spec = spec.host_network();
        }
        if !self.api.update_pod(spec.clone()) {
            self.api.add_pod(spec);
        }
    }

    /// Tells Kubernetes that a pod is gone.
    pub(super) fn remove(&self, pod: Pod) {
        self.api.delete_pod(pod.namespace, pod.name);
    }

    /// From now on whatever reaches the metadata service may have been caused by a pod.
    pub(super) fn pods_may_ask(&self) {
        self.imds.mark(PODS);
    }

    /// What pods have caused at the metadata service that is nobody's business but the node's.
    pub(super) fn leaks(&self) -> Vec<String> {
        let own = |request: &imds::Request| request.mark == START;
        let mut leaks: Vec<_> =
            self.imds.sensitive_requests(own).iter().map(|r| format!("{} {}", r.method, r.path)).collect();
        let named = self.imds.requests().into_iter().filter(|request| !request.forwarded().is_empty());
        leaks.extend(named.map(|r| format!("{} {} with {:?}", r.method, r.path, r.forwarded())));
        leaks
    }

    /// How many requests pods have caused there.
    pub(super) fn caused(&self) -> usize {
        self.imds.requests().iter().filter(|request| request.mark == PODS).count()
    }
}

fn arn(role: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:role/{role}")
}
