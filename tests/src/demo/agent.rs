//! The agent under show: the same library entry as the program's own `main`.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use safeguard_agent::HeartbeatStatus;
use safeguard_agent::config::HumanDuration;
use safeguard_agent::{Agent, Environment, Settings, Status, Summary};
use safeguard_standins::{Account, CloudWatch, Principal};
use tempfile::TempDir;

use super::safeguard::RunningSafeguard;
use super::{CLUSTER, INSTANCE, NODE, sample_host};
use crate::node::SampleNode;

/// Shorter than the default of 5 s, so that the table moves every second.
const FLUSH: HumanDuration = HumanDuration(Duration::from_secs(1));

/// The agent, running in this process.
#[derive(Debug)]
pub(super) struct RunningAgent {
    agent: Agent,
    // Deleted when the agent has ended.
    _own: TempDir,
}

impl RunningAgent {
    /// Starts it with default settings, but for where the services are and what the node is called, and with nothing taken from
    /// this process's environment. It has the credentials of the node's role.
    pub(super) async fn start(
        node: &SampleNode,
        service: &CloudWatch,
        account: &Account,
        safeguard: &RunningSafeguard,
        proxy_socket: &Path,
    ) -> anyhow::Result<Self> {
        let own = tempfile::Builder::new().prefix("safeguard-agent-").tempdir()?;
        let mut settings = Settings::default();
        settings.node.name = Some(NODE.to_owned());
        settings.node.cluster = Some(CLUSTER.to_owned());
        settings.node.host_root = node.root().to_owned();
        settings.aws.region = Some(service.region().to_owned());
        settings.aws.endpoint_url = Some(service.url());
        settings.logs.flush_interval = FLUSH;
        // What the shipped policies say of this machine is shown beside it.
        let policies = own.path().join("policies");
        sample_host::write(node.root(), &policies)?;
        settings.checks.policies = vec![sample_host::POLICY.to_owned()];
        settings.checks.policy_dir = policies;
        safeguard.tell(&mut settings);
        settings.heartbeat.proxy_socket = proxy_socket.to_owned();
        settings.agent.state_dir = own.path().join("state");
        settings.agent.run_dir = own.path().join("run");
        settings.agent.metrics = "127.0.0.1:0".to_owned();
        let role = format!("arn:aws:iam::{}:role/node", account.id());
        let key = account.issue_temporary(Principal::session(role, INSTANCE), None);
        let token = key.session_token.as_deref();
        let environment = Environment::empty().with_credentials(&key.access_key_id, &key.secret_access_key, token);
        Ok(Self { agent: Agent::start(settings, environment).await?, _own: own })
    }

    /// Where it serves metrics.
    pub(super) fn metrics(&self) -> Option<SocketAddr> {
        self.agent.metrics()
    }

    /// What it says of itself; `None` if it does not answer.
    pub(super) async fn status(&self) -> Option<Status> {
        self.agent.status().await
    }

    /// How its heartbeat goes.
    pub(super) fn heartbeat(&self) -> Option<HeartbeatStatus> {
        self.agent.heartbeat()
    }

    /// Its admin socket.
    pub(super) fn socket(&self) -> &Path {
        self.agent.socket()
    }

    /// Lets it deliver what is left, and end. Returns its last word.
    pub(super) async fn drain(self, grace: Duration) -> Summary {
        self.agent.shutdown_within(grace).await
    }
}
