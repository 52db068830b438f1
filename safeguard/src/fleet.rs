//! What is known of every node and key, in memory: what each beat is judged by. The registrar alone changes it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use safeguard_protocol::{Digest, Posture, PublicKey, State, Statement};

use crate::chain::Chain;
use crate::clusters::Readiness;
use crate::expected::InstanceState;
use crate::states::Known;
use crate::store::{Loaded, NodeRow};

/// Tenant, account, region, instance.
pub type Instance = [String; 4];

/// A key.
#[derive(Debug, Clone)]
pub struct Key {
    /// Its number in the store.
    pub no: i64,
    /// Its node.
    pub node_id: i64,
    /// The boot that it is enrolled for.
    pub boot_id: String,
    /// When another one took its place.
    pub retired_ms: Option<i64>,
    /// Its chain.
    pub chain: Chain,
}

/// A node.
#[derive(Debug, Clone)]
pub struct Node {
    /// Who it is: the same that it is found by.
    pub instance: Arc<Instance>,
    /// Cluster and name.
    pub place: [String; 2],
    /// Its node group.
    pub group: Option<String>,
    /// The key that it speaks with now: the only one that is not retired.
    pub key: Option<[u8; 32]>,
    /// What its state follows from.
    pub known: Known,
    /// Its state.
    pub posture: Posture,
    /// Digest of what it said last, and when that was stored.
    pub content: Option<(Digest, i64)>,
    /// When its instance was started.
    pub pending_time_ms: Option<i64>,
    /// What its cluster says of it, where that is asked.
    pub readiness: Option<Readiness>,
}

/// Everything.
#[derive(Debug, Default)]
pub struct Fleet {
    /// By public key.
    pub keys: HashMap<[u8; 32], Key>,
    /// By number. Boxed: a table has more room than it has nodes, and half as much again while it grows.
    pub nodes: HashMap<i64, Box<Node>>,
    /// Numbers by instance.
    pub instances: HashMap<Arc<Instance>, i64>,
    /// Reports that are there.
    pub reports: HashSet<Digest>,
}

impl Fleet {
    /// What the store holds.
    #[must_use]
    pub fn of(loaded: Loaded) -> Self {
        let mut fleet = Self::default();
        for row in loaded.nodes {
            let enrolled = row.assurance != safeguard_protocol::Assurance::None.as_str();
            let (id, node) = (row.id, Box::new(node(row, enrolled)));
            fleet.instances.insert(node.instance.clone(), id);
            fleet.nodes.insert(id, node);
        }
        for row in loaded.keys {
            let Ok(public) = row.public_key.parse::<PublicKey>() else { continue };
            let last = row.last_digest.and_then(|digest| digest.parse().ok());
            let chain = Chain { sequence: row.sequence, last };
            let key = Key { no: row.no, node_id: row.node_id, boot_id: row.boot_id, retired_ms: row.retired_ms, chain };
            if key.retired_ms.is_none()
                && let Some(node) = fleet.nodes.get_mut(&key.node_id)
            {
                node.key = Some(*public.as_bytes());
            }
            fleet.keys.insert(*public.as_bytes(), key);
        }
        fleet.reports = loaded.reports.iter().filter_map(|digest| digest.parse().ok()).collect();
        fleet
    }
}

fn node(row: NodeRow, enrolled: bool) -> Node {
    let list = |json: &str| serde_json::from_str::<Vec<String>>(json).unwrap_or_default();
    let state = State::ALL.into_iter().find(|state| state.as_str() == row.state).unwrap_or(State::NeverEnrolled);
    Node {
        instance: Arc::new(row.instance),
        place: row.place,
        group: row.group,
        key: None,
        known: Known {
            first_seen_ms: row.first_seen_ms,
            enrolled,
            last_live_ms: row.last_live_ms,
            late: None,
            next_due_ms: i64::from(row.next_due_s) * 1_000,
            assessed_ms: row.assessed_ms,
            critical: list(&row.critical),
            critical_more: row.critical_more,
            suspicion: row.suspicion,
            acquitted: row.acquitted,
            retired: row.retired,
            instance: row.ec2_state.as_deref().map(InstanceState::of),
        },
        posture: Posture { state, since_ms: row.state_since_ms, reasons: list(&row.reasons) },
        content: row.content.and_then(|(digest, at_ms)| Some((digest.parse().ok()?, at_ms))),
        pending_time_ms: row.pending_time_ms,
        readiness: row.cluster_state.as_deref().and_then(Readiness::of),
    }
}

impl Known {
    /// Takes in what the newest statement says, if it is live.
    pub fn hear(&mut self, statement: &Statement, now_ms: i64) {
        self.last_live_ms = Some(now_ms);
        self.next_due_ms = i64::from(statement.beat.next_due_s) * 1_000;
        let assessment = statement.assessment.as_ref();
        // A node that says it looked tomorrow looked now, at the latest.
        self.assessed_ms = assessment.map(|a| a.finished_at_ms.min(now_ms));
        self.critical = assessment.map(|a| a.critical.clone()).unwrap_or_default();
        self.critical_more = assessment.map_or(0, |a| a.critical_more);
    }
}
