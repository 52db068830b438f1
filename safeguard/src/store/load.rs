//! What is held in memory, read at the start.

use rusqlite::Connection;

/// A node, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRow {
    /// Its number.
    pub id: i64,
    /// Tenant, account, region, instance.
    pub instance: [String; 4],
    /// Cluster and name.
    pub place: [String; 2],
    /// Its node group.
    pub group: Option<String>,
    /// When it was first heard of.
    pub first_seen_ms: i64,
    /// Its state, as text.
    pub state: String,
    /// Since when.
    pub state_since_ms: i64,
    /// Why, as a JSON list.
    pub reasons: String,
    /// Its last live beat.
    pub last_live_ms: Option<i64>,
    /// Seconds until the next one.
    pub next_due_s: u32,
    /// Its last assessment.
    pub assessed_ms: Option<i64>,
    /// Critical controls that fail, as a JSON list.
    pub critical: String,
    /// Those that are not named.
    pub critical_more: u32,
    /// Why it is not believed.
    pub suspicion: Option<String>,
    /// Whether its instance is gone.
    pub retired: bool,
    /// Digest of what it said last, and when that was stored.
    pub content: Option<(String, i64)>,
    /// Start of the instance, as AWS signed it.
    pub pending_time_ms: Option<i64>,
    /// What vouches for it.
    pub assurance: String,
    /// What EC2 says that its instance is doing.
    pub ec2_state: Option<String>,
    /// What its cluster says of it.
    pub cluster_state: Option<String>,
    /// The last suspicion that an operator dropped.
    pub acquitted: Option<String>,
}

/// A key, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRow {
    /// Its number.
    pub no: i64,
    /// Its node.
    pub node_id: i64,
    /// The public key, as text.
    pub public_key: String,
    /// The boot that it is enrolled for.
    pub boot_id: String,
    /// When another one took its place.
    pub retired_ms: Option<i64>,
    /// The highest sequence number.
    pub sequence: u64,
    /// The digest of that statement, as text.
    pub last_digest: Option<String>,
}

/// Everything that is held in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loaded {
    /// All nodes.
    pub nodes: Vec<NodeRow>,
    /// All keys.
    pub keys: Vec<KeyRow>,
    /// Digests of the reports that are there.
    pub reports: Vec<String>,
}

pub(super) fn load(db: &Connection) -> rusqlite::Result<Loaded> {
    let nodes = "SELECT n.id, n.tenant, n.account, n.region, n.instance_id, n.cluster, n.node_name, n.first_seen_ms, n.state,
                        n.state_since_ms, n.reasons, h.last_live_ms, coalesce(h.next_due_s, 60), h.assessed_ms, n.critical, n.critical_more,
                        n.suspicion, n.retired_ms IS NOT NULL, c.digest, c.said_ms, n.pending_time_ms, n.assurance, n.ec2_state, n.acquitted,
                        nullif(n.node_group, ''), n.cluster_state
                 FROM node n LEFT JOIN content c ON c.node_id = n.id LEFT JOIN heard h ON h.key_no = n.key_no
                 -- One that is filled in and never spoke stays as it is.
                 WHERE n.simulated = 0 OR EXISTS (SELECT 1 FROM node_key k WHERE k.node_id = n.id AND length(k.public_key) = 43)";
    let node = |row: &rusqlite::Row<'_>| {
        let content = row.get::<_, Option<String>>(18)?.zip(row.get::<_, Option<i64>>(19)?);
        Ok(NodeRow {
            id: row.get(0)?,
            instance: [row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?],
            place: [row.get(5)?, row.get(6)?],
            first_seen_ms: row.get(7)?,
            state: row.get(8)?,
            state_since_ms: row.get(9)?,
            reasons: row.get(10)?,
            last_live_ms: row.get(11)?,
            next_due_s: row.get(12)?,
            assessed_ms: row.get(13)?,
            critical: row.get(14)?,
            critical_more: row.get(15)?,
            suspicion: row.get(16)?,
            retired: row.get(17)?,
            content,
            pending_time_ms: row.get(20)?,
            assurance: row.get(21)?,
            ec2_state: row.get(22)?,
            acquitted: row.get(23)?,
            group: row.get(24)?,
            cluster_state: row.get(25)?,
        })
    };
    let key = |row: &rusqlite::Row<'_>| {
        Ok(KeyRow {
            no: row.get(0)?,
            node_id: row.get(1)?,
            public_key: row.get(2)?,
            boot_id: row.get(3)?,
            retired_ms: row.get(4)?,
            sequence: row.get::<_, i64>(5)?.unsigned_abs(),
            last_digest: row.get(6)?,
        })
    };
    let keys = "SELECT k.key_no, k.node_id, k.public_key, k.boot_id, k.retired_ms, h.sequence, h.last_digest
                FROM node_key k JOIN heard h ON h.key_no = k.key_no";
    Ok(Loaded {
        nodes: db.prepare(nodes)?.query_map([], node)?.collect::<Result<_, _>>()?,
        keys: db.prepare(keys)?.query_map([], key)?.collect::<Result<_, _>>()?,
        reports: db.prepare("SELECT digest FROM report")?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?,
    })
}
