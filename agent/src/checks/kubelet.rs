//! Asks this node's kubelet what it runs with (`/configz`), and hands the answer to the room of the checks.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use safeguard_checks::Inputs;
use safeguard_checks::continuous::{Occasion, Snapshot};
use safeguard_pods::configz;
use serde_json::Value;
use tokio::sync::watch;

use super::replace;
use crate::config::{self, Access, Environment, Resolved, Settings};
use crate::kubernetes::Way;
use crate::sdk::sdk_config;

/// Where a kubelet listens unless it is told otherwise (KubeletConfiguration, `port`), on this machine.
const KUBELET: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 10_250);

/// Whoever changes a file of the kubelet starts it again, and it takes a while until it listens: asked at once, it would say what it
/// said before, or nothing.
const RESTART: Duration = Duration::from_secs(15);

/// What is needed to ask the kubelet. Files are read, and tokens made, for each question: there is one in each interval.
#[derive(Debug)]
pub(super) struct Kubelet {
    settings: Settings,
    resolved: Resolved,
    environment: Environment,
    node: String,
    address: SocketAddr,
}

impl Kubelet {
    /// That of `node`.
    pub(super) fn new(settings: &Settings, resolved: &Resolved, environment: &Environment, node: String) -> Self {
        let (settings, resolved, environment) = (settings.clone(), resolved.clone(), environment.clone());
        Self { settings, resolved, environment, node, address: KUBELET }
    }

    /// The body of `/configz`, or why there is none, in a sentence.
    pub(super) async fn configz(&self) -> Result<Value, String> {
        let kubernetes = &self.settings.kubernetes;
        let chosen = config::way(kubernetes, &self.environment).await;
        if let (Access::Kubeconfig(path), None) = (&chosen.access, &chosen.kubeconfig) {
            let path = path.display();
            return Err(format!(
                "there is no way into a cluster: {path} cannot be read; see [kubernetes] in the settings"
            ));
        }
        // Of its own a pod has a token, and so has who was given a file.
        let mints = chosen.access != Access::InCluster && kubernetes.token_file.is_none();
        let sdk = match mints {
            true => Some(sdk_config(&self.settings, &self.resolved, &self.environment).await.map_err(said)?),
            false => None,
        };
        let way = Way::new(chosen.access, kubernetes, &self.resolved, &self.environment, sdk.as_ref());
        // It reads files: a disk may hang, the runtime must not.
        let server = tokio::task::spawn_blocking(move || way.access.api_server(&way.means));
        let server = server.await.map_err(said)?.map_err(said)?;
        configz(&server, &self.node, self.address).await.map_err(said)
    }
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Asks at once, after everything was looked at again, and when a file has changed and the kubelet may have been started again for
/// it; until the room ends.
pub(super) async fn ask<F: Future<Output = Result<Value, String>>>(
    learnt: watch::Sender<Inputs>,
    mut latest: watch::Receiver<Option<Arc<Snapshot>>>,
    configz: impl Fn() -> F,
) {
    loop {
        let answer = configz().await;
        learnt.send_if_modified(|inputs| replace(&mut inputs.configz, answer));
        loop {
            if latest.changed().await.is_err() {
                return std::future::pending().await;
            }
            let because = latest.borrow_and_update().as_ref().map(|snapshot| snapshot.because);
            match because {
                Some(Occasion::Change) => {
                    tokio::time::sleep(RESTART).await;
                    break;
                }
                Some(Occasion::Interval) => break,
                // What was learnt elsewhere, from here too, is no news of the kubelet.
                Some(Occasion::Start | Occasion::Inputs) | None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
