//! The agent under show: the same library entry as the program's own `main`.

use std::net::SocketAddr;
use std::time::Duration;

use safeguard_agent::config::HumanDuration;
use safeguard_agent::{Agent, Environment, Settings, Status, Summary};
use safeguard_standins::CloudWatch;
use tempfile::TempDir;

use super::{CLUSTER, NODE};
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
    /// Starts it with default settings, but with everything given that it would ask the node or the instance metadata
    /// service for, and nothing taken from this process's environment.
    pub(super) async fn start(node: &SampleNode, service: &CloudWatch) -> anyhow::Result<Self> {
        let own = tempfile::Builder::new().prefix("safeguard-agent-").tempdir()?;
        let mut settings = Settings::default();
        settings.node.name = Some(NODE.to_owned());
        settings.node.cluster = Some(CLUSTER.to_owned());
        settings.node.instance_id = Some("i-0123456789abcdef0".to_owned());
        settings.node.account = Some("123456789012".to_owned());
        settings.node.host_root = node.root().to_owned();
        settings.aws.region = Some(service.region().to_owned());
        settings.aws.endpoint_url = Some(service.url());
        settings.logs.flush_interval = FLUSH;
        // The sample node is no host: what the checks say of this machine is shown beside it.
        settings.checks.enabled = false;
        settings.agent.state_dir = own.path().join("state");
        settings.agent.run_dir = own.path().join("run");
        settings.agent.metrics = "127.0.0.1:0".to_owned();
        let key = service.credential();
        let environment = Environment::empty().with("AWS_EC2_METADATA_DISABLED", "true").with_credentials(
            &key.access_key_id,
            &key.secret_access_key,
            key.session_token.as_deref(),
        );
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

    /// Lets it deliver what is left, and end. Returns its last word.
    pub(super) async fn drain(self, grace: Duration) -> Summary {
        self.agent.shutdown_within(grace).await
    }
}
