//! How the cluster sees this node, asked every half minute.

use std::time::Duration;

use safeguard_daemon::clock;
use safeguard_heartbeat::{Membership, RoleMapping};
use safeguard_pods::{Access, standing};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::kubernetes::Way;

/// Kubelets renew their lease every 10 s, and a node is lost after 40 s without (Kubernetes, "Nodes").
const EVERY: Duration = Duration::from_secs(30);

/// Tells what the cluster says until the end; that it is not known when it cannot be asked.
pub(crate) async fn follow(way: Option<&Way>, node: &str, learnt: watch::Sender<Membership>) {
    let Some(way) = way else { return std::future::pending().await };
    let mut trouble = None;
    loop {
        let (membership, error) = match ask(way, node).await {
            Ok(membership) => (membership, None),
            Err(error) => {
                (Membership { ready: None, lease_age_s: None, role_mapping: RoleMapping::Unknown }, Some(error))
            }
        };
        if let Some(error) = error.as_ref().filter(|error| trouble.as_ref() != Some(*error)) {
            tracing::warn!(error, "The cluster does not say how it sees this node; the heartbeat says so.");
        }
        trouble = error;
        learnt.send_if_modified(|known| {
            let differs = *known != membership;
            *known = membership;
            differs
        });
        sleep(EVERY).await;
    }
}

async fn ask(way: &Way, node: &str) -> Result<Membership, String> {
    let api = way.access.api_server(&way.means).map_err(|error| error.to_string())?;
    let standing = standing(api, node, clock::now()).await.map_err(|error| error.to_string())?;
    // The cluster answered to a token of the node's role, which nothing but its mapping to a node makes it do.
    let by_role = way.access != Access::InCluster && way.means.token_file.is_none() && way.means.minted.is_some();
    Ok(Membership {
        ready: standing.ready,
        lease_age_s: standing.lease_age.map(|age| u32::try_from(age.as_secs()).unwrap_or(u32::MAX)),
        role_mapping: if by_role { RoleMapping::Seen } else { RoleMapping::Unknown },
    })
}
