//! What clusters say of their nodes.

use serde_json::json;

use super::Registrar;
use crate::clusters::{Listing, Outcome, Place, Readiness};
use crate::fleet::Node;
use crate::store::Batch;

impl Registrar {
    /// Of clusters that nobody asks any more nothing is known.
    pub(super) fn clusters_from(&mut self, batch: &Batch<'_>, clusters: &[Place]) -> rusqlite::Result<()> {
        batch.clusters(clusters)?;
        let left = self.fleet.nodes.iter_mut().filter(|(_, node)| !clusters.iter().any(|place| is_of(node, place)));
        for (id, node) in left.filter(|(_, node)| node.readiness.is_some()) {
            node.readiness = None;
            batch.cluster_state(*id, None)?;
        }
        Ok(())
    }

    pub(super) fn cluster(&mut self, batch: &Batch<'_>, listing: &Listing, now_ms: i64) -> rusqlite::Result<()> {
        let Listing { place, outcome } = listing;
        let [tenant, cluster] = place;
        let nodes = match outcome {
            Outcome::Silent(reason) => {
                if batch.cluster_told(place, Err(reason), now_ms)? {
                    tracing::warn!(tenant, cluster, reason, "A cluster does not say which nodes it has.");
                    let message = format!("cluster {cluster} of {tenant} does not tell which nodes it has: {reason}");
                    batch.event(None, "cluster-silent", &json!({ "message": message }), now_ms)?;
                }
                return Ok(());
            }
            Outcome::Nodes(nodes) => nodes,
        };
        if batch.cluster_told(place, Ok(nodes.len()), now_ms)? {
            let message = format!("cluster {cluster} of {tenant} tells again which nodes it has");
            batch.event(None, "cluster-answers", &json!({ "message": message }), now_ms)?;
        }
        let here = self.fleet.nodes.iter_mut().filter(|(_, node)| is_of(node, place) && !node.known.retired);
        for (id, node) in here {
            let said = nodes.get(&node.instance[3]).copied().unwrap_or(Readiness::Absent);
            if node.readiness != Some(said) {
                node.readiness = Some(said);
                batch.cluster_state(*id, Some(said.as_str()))?;
            }
        }
        Ok(())
    }
}

fn is_of(node: &Node, [tenant, cluster]: &Place) -> bool {
    node.instance[0] == *tenant && node.place[0] == *cluster
}
