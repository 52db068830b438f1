//! The safeguard on a fleet that does not exist: something to open in a browser. Every node of it is marked as simulated.

use anyhow::Context as _;
use safeguard::config::Settings;
use safeguard::server::Server;
use safeguard::store::{create, simulate};
use safeguard::vouching::Vouching;
use safeguard_daemon::clock;
use tempfile::TempDir;

use super::screen::Paint;

/// Nodes of the fleet.
const NODES: u32 = 200;

/// The running safeguard, and the directory of its store.
#[derive(Debug)]
pub(super) struct RunningSafeguard {
    server: Server,
    _dir: TempDir,
}

impl RunningSafeguard {
    /// Fills a store and serves it on loopback, to everybody on this machine.
    ///
    /// # Errors
    /// When the store cannot be written, or there is no port.
    pub(super) async fn start() -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let mut settings = Settings::default();
        settings.server.listen = "127.0.0.1:0".to_owned();
        settings.server.state_dir = dir.path().to_owned();
        settings.page.open = true;
        simulate::fill(&mut create(&settings.store())?, NODES, 7, clock::now_ms())?;
        let server = Server::start_with(&settings, Vouching::Simulation, clock::now_ms).await.context("serve")?;
        Ok(Self { server, _dir: dir })
    }

    /// Where to look.
    pub(super) fn lines(&self, paint: Paint) -> Vec<String> {
        let url = format!("http://{}/", self.server.address());
        vec![
            format!(
                "The safeguard, with a simulated fleet of {NODES} nodes; open {} while this runs.",
                paint.bold(&url)
            ),
            String::new(),
        ]
    }

    /// Ends it.
    pub(super) async fn end(self) {
        self.server.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn the_page_shows_the_fleet_and_calls_it_simulated() {
        let safeguard = RunningSafeguard::start().await.unwrap();
        let mut stream = tokio::net::TcpStream::connect(safeguard.server.address()).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).await.unwrap();
        assert!(page.starts_with("HTTP/1.1 200"), "{page}");
        assert!(page.contains("imulated") && page.contains("claims-prod"), "{page}");
        safeguard.end().await;
    }
}
