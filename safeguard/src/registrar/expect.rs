//! What EC2 says of instances: who should be there and never spoke, and who is gone.

use std::collections::HashSet;
use std::sync::Arc;

use safeguard_protocol::{Posture, State};
use serde_json::json;

use super::Registrar;
use crate::expected::{Instance, InstanceState, Listing, Outcome, Place};
use crate::fleet::Node;
use crate::states;
use crate::store::Batch;

/// Whole lists in a row that an instance has to be missing from. EC2 is eventually consistent.
const ABSENT: u8 = 2;
/// Between the first network interface and the root volume. SPIRE takes as much for an exchange of the volume.
const EXCHANGED_MS: i64 = 60_000;

impl Registrar {
    pub(super) fn expect(&mut self, batch: &Batch<'_>, listing: &Listing, now_ms: i64) -> rusqlite::Result<()> {
        let Listing { place, outcome } = listing;
        let Place { account, region } = place;
        let (belonging, ids) = match outcome {
            Outcome::Silent(reason) => {
                if batch.told(place, Err(reason), now_ms)? {
                    tracing::warn!(account, region, reason, "EC2 does not say which instances there are.");
                    let message = format!(
                        "EC2 in {region} of account {account} does not tell which instances there are: {reason}"
                    );
                    batch.event(None, "ec2-silent", &json!({ "message": message }), now_ms)?;
                }
                return Ok(());
            }
            Outcome::Instances { belonging, ids } => (belonging, ids),
        };
        if batch.told(place, Ok(ids.len()), now_ms)? {
            let message = format!("EC2 in {region} of account {account} tells again which instances there are");
            batch.event(None, "ec2-answers", &json!({ "message": message }), now_ms)?;
        }
        let mut listed = HashSet::new();
        for (tenant, instance) in belonging {
            let key = Arc::new([tenant, account, region, &instance.instance_id].map(Clone::clone));
            let known = self.fleet.instances.get(&key).copied();
            let id = match (known, instance.state) {
                (None, InstanceState::Terminated | InstanceState::ShuttingDown) => continue,
                (None, _) => self.expected(batch, &key, instance, now_ms)?,
                (Some(id), _) => id,
            };
            listed.insert(id);
            self.seen(batch, id, instance, now_ms)?;
        }
        // An instance that speaks is there, whatever became of its tags.
        let alive = |node: &Node| node.posture.state != State::Missing && node.known.last_live_ms.is_some();
        let here = |node: &Node| node.instance[1] == *account && node.instance[2] == *region && !node.known.retired;
        let gone = |node: &Node| !ids.is_empty() && !ids.contains(&node.instance[3]) && !alive(node);
        let missing = self.fleet.nodes.iter().filter(|(_, node)| here(node) && gone(node));
        for id in missing.map(|(id, _)| *id).collect::<Vec<_>>() {
            let times = self.absent.entry(id).or_insert(0);
            *times = times.saturating_add(1);
            if *times >= ABSENT {
                self.retire(batch, id, now_ms)?;
            }
        }
        self.absent.retain(|id, _| !listed.contains(id));
        Ok(())
    }

    /// An instance that should speak and has not yet.
    fn expected(
        &mut self,
        batch: &Batch<'_>,
        key: &Arc<[String; 4]>,
        instance: &Instance,
        now_ms: i64,
    ) -> rusqlite::Result<i64> {
        let cluster = instance.cluster.clone().unwrap_or_default();
        let first_seen_ms = instance.launch_ms.map_or(now_ms, |launched| launched.min(now_ms));
        let id = batch.expected(key, &cluster, instance, first_seen_ms, now_ms)?;
        let node = Node {
            instance: key.clone(),
            place: [cluster, instance.instance_id.clone()],
            group: instance.node_group.clone(),
            key: None,
            known: states::Known { first_seen_ms, next_due_ms: 60_000, ..states::Known::default() },
            posture: Posture { state: State::NeverEnrolled, since_ms: now_ms, reasons: Vec::new() },
            content: None,
            pending_time_ms: None,
            readiness: None,
        };
        self.fleet.nodes.insert(id, Box::new(node));
        self.fleet.instances.insert(key.clone(), id);
        batch.event(Some(id), "expected", &json!({ "message": "EC2 has an instance of the cluster" }), now_ms)?;
        Ok(id)
    }

    /// What EC2 says of an instance that has a node here.
    fn seen(&mut self, batch: &Batch<'_>, id: i64, instance: &Instance, now_ms: i64) -> rusqlite::Result<()> {
        if instance.state == InstanceState::Terminated {
            return self.retire(batch, id, now_ms);
        }
        let Some(node) = self.fleet.nodes.get_mut(&id) else { return Ok(()) };
        if node.known.retired {
            // It was not in the lists for a while: its tags may have been.
            node.known.retired = false;
            batch.retired(id, None)?;
        }
        if node.known.instance != Some(instance.state) {
            node.known.instance = Some(instance.state);
            batch.instance_state(id, instance.state.as_str())?;
        }
        let attached = instance.root_attach_ms.zip(instance.eni_attach_ms);
        if let Some((root, eni)) = attached
            && root - eni > EXCHANGED_MS
        {
            // With its time: who looked into one exchange has not looked into the next.
            let why = format!(
                "the root volume of its instance was attached at {}, long after the instance was made: it may be another disk",
                safeguard_daemon::clock::utc(root)
            );
            self.suspect(batch, id, &why, None, now_ms)?;
        }
        self.judge(batch, id, None, now_ms).map(drop)
    }

    fn retire(&mut self, batch: &Batch<'_>, id: i64, now_ms: i64) -> rusqlite::Result<()> {
        let Some(node) = self.fleet.nodes.get_mut(&id).filter(|node| !node.known.retired) else { return Ok(()) };
        (node.known.retired, node.known.instance) = (true, Some(InstanceState::Terminated));
        batch.retired(id, Some(now_ms))?;
        self.absent.remove(&id);
        self.judge(batch, id, None, now_ms).map(drop)
    }
}
