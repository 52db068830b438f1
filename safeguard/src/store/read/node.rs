//! Everything that is known of one node.

use rusqlite::{Connection, OptionalExtension as _, Row};

use super::types::{Finding, Gap, Hour, NodeDetail, NodeKey, Roll, StateChange};
use super::{events, row};

const HOUR_MS: i64 = 3_600_000;
const HOURS: i64 = 48;

/// Everything that is known of a node; `None` if there is none with this number.
///
/// # Errors
/// When the store cannot be read.
pub fn node(db: &Connection, id: i64, now_ms: i64) -> rusqlite::Result<Option<NodeDetail>> {
    let sql = format!(
        "SELECT {}, n.first_seen_ms, n.pending_time_ms, h.last_beat_ms, h.next_due_s, c.body
         FROM node n LEFT JOIN content c ON c.id = n.content_id LEFT JOIN heard h ON h.key_no = n.key_no WHERE n.id = ?1",
        row::NODE
    );
    let found = db.prepare_cached(&sql)?.query_row([id], begin).optional()?;
    let Some(mut detail) = found else { return Ok(None) };
    let keys = "key_id, enrolled_ms, retired_ms, h.sequence FROM node_key k JOIN heard h ON h.key_no = k.key_no";
    detail.keys = all(db, id, keys, "enrolled_ms DESC", 16, |row| {
        Ok(NodeKey { key_id: name(row, 0)?, enrolled_ms: row.get(1)?, retired_ms: row.get(2)?, sequence: row.get(3)? })
    })?;
    let results = "policy, pass, fail, excepted, unknown, manual, not_applicable FROM result";
    detail.policies = all(db, id, results, "policy", 64, |row| {
        let checks = row::tally(row, 1)?;
        let passed_permille = checks.permille();
        Ok(Roll { policy: Some(row.get(0)?), nodes: 1, assessed: 1, checks, passed_permille, ..Roll::default() })
    })?;
    let changes = "at_ms, from_state, to_state, reasons, evidence_id IS NOT NULL FROM state_change";
    detail.states = all(db, id, changes, "id DESC", 50, |row| {
        let reasons = row::list(row.get(3)?);
        Ok(StateChange { at_ms: row.get(0)?, from: row.get(1)?, to: row.get(2)?, reasons, evidence: row.get(4)? })
    })?;
    detail.gaps = all(db, id, "first, last, opened_ms, closed_ms, declared FROM gap", "opened_ms DESC", 50, |row| {
        let (first, last, opened_ms) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(Gap {
            first,
            last,
            opened_ms,
            closed_ms: row.get(3)?,
            declared: row.get::<_, Option<bool>>(4)? == Some(true),
        })
    })?;
    detail.hours = hours(db, id, now_ms)?;
    detail.events = events::events(db, Some(id), None, 50, None)?.items;
    detail.findings = of_node(db, id)?;
    Ok(Some(detail))
}

fn begin(row: &Row<'_>) -> rusqlite::Result<NodeDetail> {
    // By name: a node may get another column before these.
    let body: Option<Vec<u8>> = match row.get_ref("body")? {
        rusqlite::types::ValueRef::Text(bytes) | rusqlite::types::ValueRef::Blob(bytes) => Some(bytes.to_vec()),
        _ => None,
    };
    Ok(NodeDetail {
        node: row::node(row)?,
        first_seen_ms: row.get("first_seen_ms")?,
        pending_time_ms: row.get("pending_time_ms")?,
        last_beat_ms: row.get("last_beat_ms")?,
        next_due_s: row.get("next_due_s")?,
        statement: body.and_then(|body| serde_json::from_slice(&body).ok()),
        keys: Vec::new(),
        policies: Vec::new(),
        states: Vec::new(),
        gaps: Vec::new(),
        hours: Vec::new(),
        events: Vec::new(),
        findings: Vec::new(),
    })
}

/// The last 48 hours, the oldest first: summed up already, or beat by beat.
fn hours(db: &Connection, id: i64, now_ms: i64) -> rusqlite::Result<Vec<Hour>> {
    let sql = "SELECT hour_ms, sum(live), sum(late), sum(gaps) FROM (
           SELECT hour_ms, live, late, gaps FROM beat_hour WHERE node_id = ?1
           UNION ALL
           SELECT b.received_ms - b.received_ms % 3600000 AS hour_ms, 1 - b.kind % 2, b.kind % 2, b.kind / 2
           FROM beat b JOIN node_key k ON k.key_no = b.key_no WHERE k.node_id = ?1) every
         WHERE hour_ms > ?2 GROUP BY hour_ms ORDER BY hour_ms";
    let hour =
        |row: &Row<'_>| Ok(Hour { hour_ms: row.get(0)?, live: row.get(1)?, late: row.get(2)?, gaps: row.get(3)? });
    db.prepare_cached(sql)?.query_map([id, now_ms.saturating_sub(HOURS * HOUR_MS)], hour)?.collect()
}

fn of_node(db: &Connection, id: i64) -> rusqlite::Result<Vec<Finding>> {
    let sql = format!(
        "SELECT {} FROM finding f JOIN node n ON n.id = f.node_id WHERE f.node_id = ?1
         ORDER BY CASE f.verdict WHEN 'fail' THEN 0 WHEN 'unknown' THEN 1 WHEN 'excepted' THEN 2 ELSE 3 END,
                  f.policy, f.control LIMIT 1000",
        row::FINDING
    );
    db.prepare_cached(&sql)?.query_map([id], row::finding)?.collect()
}

/// Rows of a table that belong to the node.
fn all<T>(
    db: &Connection,
    id: i64,
    what: &str,
    order: &str,
    most: u32,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    let sql = format!("SELECT {what} WHERE node_id = ?1 ORDER BY {order} LIMIT {most}");
    db.prepare_cached(&sql)?.query_map([id], read)?.collect()
}

/// A key's name: text, or the 32 bytes of it.
fn name(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    Ok(match row.get_ref(column)? {
        rusqlite::types::ValueRef::Blob(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        other => String::from_utf8_lossy(other.as_bytes().unwrap_or_default()).into_owned(),
    })
}
