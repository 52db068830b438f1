//! The safeguard, to open in a browser: the sample node with its live agent, believed for what a metadata service and STS vouch
//! for, beside a fleet that does not exist. Every node of that is marked as simulated.
#![expect(clippy::disallowed_methods, reason = "this plays the operator, who writes the safeguard's files")]

use std::sync::Arc;

use anyhow::Context as _;
use safeguard::config::Settings;
use safeguard::server::Server;
use safeguard::store::{create, simulate};
use safeguard::verify::{StsSettings, Tenant};
use safeguard_agent::{HeartbeatStatus, Settings as AgentSettings};
use safeguard_daemon::clock;
use safeguard_standins::imds::Instance;
use safeguard_standins::{Account, IdentityCa, Imds, ImdsOptions, Sts, StsOptions};
use tempfile::TempDir;

use super::screen::Paint;
use super::{CLUSTER, INSTANCE};

/// Nodes of the simulated fleet.
const NODES: u32 = 200;

/// Whose node the sample node is.
const TENANT: &str = "demo";

/// Seconds between beats: a demo is short.
const INTERVAL: u64 = 5;

/// The running safeguard, and who vouches for the sample node.
#[derive(Debug)]
pub(super) struct RunningSafeguard {
    server: Server,
    imds: Imds,
    region: String,
    _sts: Sts,
    _dir: TempDir,
}

impl RunningSafeguard {
    /// Fills a store and serves it on loopback, to everybody on this machine.
    ///
    /// # Errors
    /// When the store cannot be written, or there is no port.
    pub(super) async fn start(account: &Arc<Account>, region: &str) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("safeguard-server-").tempdir()?;
        let path = dir.path();
        let ca = Arc::new(IdentityCa::new(region)?);
        let instance = Instance { region: region.to_owned(), instance_id: INSTANCE.to_owned(), ..Instance::default() };
        let imds = ImdsOptions { instance, identity_ca: Some(ca.clone()), ..ImdsOptions::new(account.clone()) };
        let imds = Imds::start(imds).await?;
        let sts = StsOptions { region: region.to_owned(), ..StsOptions::new(account.clone()) };
        let sts = Sts::start(sts).await?;
        std::fs::create_dir(path.join("pinned"))?;
        std::fs::write(path.join("pinned/index.toml"), ca.index_entry("2195-01-01T00:00:00Z"))?;
        std::fs::write(path.join("pinned/demo.pem"), ca.certificate_pem())?;

        let mut settings = Settings::default();
        settings.server.listen = "127.0.0.1:0".to_owned();
        settings.server.state_dir = path.to_owned();
        settings.nodes.interval = std::time::Duration::from_secs(INTERVAL).into();
        settings.page.open = true;
        settings.verify.tenants = vec![Tenant {
            name: TENANT.to_owned(),
            accounts: vec![account.id().to_owned()],
            roles: vec!["node".to_owned()],
            ..Tenant::default()
        }];
        settings.verify.certificates = Some(path.join("pinned"));
        settings.verify.sts = StsSettings { endpoint: Some(sts.url()), ..StsSettings::default() };
        simulate::fill(&mut create(&settings.store())?, NODES, 7, clock::now_ms())?;
        let server = Server::start(&settings, clock::now_ms).await.context("serve")?;
        Ok(Self { server, imds, region: region.to_owned(), _sts: sts, _dir: dir })
    }

    /// Writes into the agent's settings where it is, and who this node can ask about itself.
    pub(super) fn tell(&self, settings: &mut AgentSettings) {
        settings.aws.region = Some(self.region.clone());
        settings.aws.imds_endpoint = Some(self.imds.url());
        settings.heartbeat.url = Some(format!("http://{}", self.server.address()));
        settings.heartbeat.tenant = Some(TENANT.to_owned());
        settings.heartbeat.server_keys = Some(vec![self.server.public_key().to_string()]);
    }

    /// Where to look, and what to break.
    pub(super) fn lines(&self, to_break: &str, socket: &str, paint: Paint) -> Vec<String> {
        let url = format!("http://{}/", self.server.address());
        vec![
            format!(
                "The safeguard, with this sample node and a simulated fleet of {NODES} nodes; open {} while this runs.",
                paint.bold(&url)
            ),
            format!("The sample node alone: {}", paint.bold(&format!("{url}nodes?cluster={CLUSTER}"))),
            "Break something on its host, see the page change within seconds, and mend it:".to_owned(),
            format!("  chmod 0666 {to_break}"),
            format!("  chmod 0600 {to_break}"),
            "and see how the node knows that it is seen, on one screen:".to_owned(),
            format!("  cargo run -q --release --bin safeguard-agent -- status --socket {socket}"),
            String::new(),
        ]
    }

    /// Ends it.
    pub(super) async fn end(self) {
        self.server.shutdown().await;
    }
}

/// How the sample node's heartbeat went, and whether it did.
pub(super) fn verdict(status: Option<HeartbeatStatus>, paint: Paint) -> (bool, String) {
    let Some(status) = status else { return (false, paint.red("the sample node has no heartbeat")) };
    match (status.acknowledged, status.posture) {
        (Some(beat), Some(posture)) => {
            let assurance = status.assurance.map_or("none", |assurance| assurance.as_str());
            let state = posture.state.as_str();
            (true, format!("heartbeat: {} beats acknowledged, proved by {assurance}, seen as {state}", beat.sequence))
        }
        _ => {
            let why = status.trouble.map_or_else(|| "no beat was acknowledged".to_owned(), |trouble| trouble.message);
            (false, paint.red(&format!("heartbeat: {why}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn the_page_shows_the_fleet_and_calls_it_simulated() {
        let account = Account::new("123456789012").unwrap();
        let safeguard = RunningSafeguard::start(&account, "us-east-1").await.unwrap();
        let mut stream = tokio::net::TcpStream::connect(safeguard.server.address()).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).await.unwrap();
        assert!(page.starts_with("HTTP/1.1 200"), "{page}");
        assert!(page.contains("imulated") && page.contains("claims-prod"), "{page}");
        safeguard.end().await;
    }
}
