//! What clusters say of their nodes.

use serde_json::json;

use super::Registrar;
use crate::clusters::{Listing, Outcome, Readiness};
use crate::store::Batch;

impl Registrar {
    /// Of clusters that nobody asks any more nothing is known.
    pub(super) fn clusters_from(&mut self, batch: &Batch<'_>, clusters: &[String]) -> rusqlite::Result<()> {
        batch.clusters(clusters)?;
        let left = self.fleet.nodes.iter_mut().filter(|(_, node)| !clusters.contains(&node.place[0]));
        for (id, node) in left.filter(|(_, node)| node.readiness.is_some()) {
            node.readiness = None;
            batch.cluster_state(*id, None)?;
        }
        Ok(())
    }

    pub(super) fn cluster(&mut self, batch: &Batch<'_>, listing: &Listing, now_ms: i64) -> rusqlite::Result<()> {
        let Listing { cluster, outcome } = listing;
        let nodes = match outcome {
            Outcome::Silent(reason) => {
                if batch.cluster_told(cluster, Err(reason), now_ms)? {
                    tracing::warn!(cluster, reason, "A cluster does not say which nodes it has.");
                    let message = format!("cluster {cluster} does not tell which nodes it has: {reason}");
                    batch.event(None, "cluster-silent", &json!({ "message": message }), now_ms)?;
                }
                return Ok(());
            }
            Outcome::Nodes(nodes) => nodes,
        };
        if batch.cluster_told(cluster, Ok(nodes.len()), now_ms)? {
            let message = format!("cluster {cluster} tells again which nodes it has");
            batch.event(None, "cluster-answers", &json!({ "message": message }), now_ms)?;
        }
        let here = self.fleet.nodes.iter_mut().filter(|(_, node)| node.place[0] == *cluster && !node.known.retired);
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
