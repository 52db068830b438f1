//! Rows become answers.

use rusqlite::Row;

use super::types::{Finding, Node, Tally};

/// Columns of a [`Node`]; `n` is the node.
pub(super) const NODE: &str = "
    n.id, n.tenant, n.account, n.region, n.instance_id, n.cluster, nullif(n.node_group, ''), n.node_name,
    coalesce(n.image_id, ''), n.assurance, n.state, n.state_since_ms, n.reasons,
    (SELECT h.last_live_ms FROM heard h WHERE h.key_no = n.key_no), (SELECT h.assessed_ms FROM heard h WHERE h.key_no = n.key_no),
    n.simulated, n.ec2_state, n.cluster_state,
    (SELECT coalesce(sum(r.pass), 0) FROM result r WHERE r.node_id = n.id),
    (SELECT coalesce(sum(r.fail), 0) FROM result r WHERE r.node_id = n.id),
    (SELECT coalesce(sum(r.excepted), 0) FROM result r WHERE r.node_id = n.id),
    (SELECT coalesce(sum(r.unknown), 0) FROM result r WHERE r.node_id = n.id),
    (SELECT coalesce(sum(r.manual), 0) FROM result r WHERE r.node_id = n.id),
    (SELECT coalesce(sum(r.not_applicable), 0) FROM result r WHERE r.node_id = n.id)";

pub(super) fn node(row: &Row<'_>) -> rusqlite::Result<Node> {
    let checks = tally(row, 18)?;
    Ok(Node {
        id: row.get(0)?,
        tenant: row.get(1)?,
        account: row.get(2)?,
        region: row.get(3)?,
        instance_id: row.get(4)?,
        cluster: row.get(5)?,
        group: row.get(6)?,
        name: row.get(7)?,
        image_id: row.get(8)?,
        assurance: row.get(9)?,
        state: row.get(10)?,
        state_since_ms: row.get(11)?,
        reasons: list(row.get(12)?),
        last_live_ms: row.get(13)?,
        assessed_ms: row.get(14)?,
        simulated: row.get(15)?,
        ec2_state: row.get(16)?,
        cluster_state: row.get(17)?,
        checks,
        passed_permille: checks.permille(),
    })
}

/// Six columns from `first` on: pass, fail, excepted, unknown, manual, not applicable.
pub(super) fn tally(row: &Row<'_>, first: usize) -> rusqlite::Result<Tally> {
    Ok(Tally {
        pass: row.get(first)?,
        fail: row.get(first + 1)?,
        excepted: row.get(first + 2)?,
        unknown: row.get(first + 3)?,
        manual: row.get(first + 4)?,
        not_applicable: row.get(first + 5)?,
    })
}

/// Columns of a [`Finding`]; `n` is the node and `f` the finding.
pub(super) const FINDING: &str = "
    n.id, n.node_name, n.cluster, nullif(n.node_group, ''), f.policy, f.control, f.verdict, f.title, f.level, f.section,
    f.since_ms, f.evidence, f.remedy";

pub(super) fn finding(row: &Row<'_>) -> rusqlite::Result<Finding> {
    Ok(Finding {
        node_id: row.get(0)?,
        node: row.get(1)?,
        cluster: row.get(2)?,
        group: row.get(3)?,
        policy: row.get(4)?,
        control: row.get(5)?,
        verdict: row.get(6)?,
        title: row.get(7)?,
        level: row.get(8)?,
        section: row.get(9)?,
        since_ms: row.get(10)?,
        evidence: row.get(11)?,
        remedy: row.get(12)?,
    })
}

/// A JSON list of texts; one that is none is its only item.
pub(super) fn list(text: Option<String>) -> Vec<String> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Vec::new() };
    serde_json::from_str(&text).unwrap_or_else(|_| vec![text])
}
