//! Nodes that an action would be about, and what is known of the fleet around them.

use rusqlite::Connection;

use super::row;
use super::types::{Fleet, Node};

const HOUR_MS: i64 = 3_600_000;
/// Nodes that are looked at.
const MOST: u32 = 200;

/// Nodes that are missing, suspect or non-compliant, the longest first, and what is known of the fleet around them.
///
/// # Errors
/// When the store cannot be read.
pub fn doubtful(db: &Connection, now_ms: i64) -> rusqlite::Result<Fleet> {
    let hour_ago = now_ms.saturating_sub(HOUR_MS);
    let mut counts = db.prepare_cached(
        "SELECT count(*), coalesce(sum(CASE WHEN state = 'missing' THEN 1 ELSE 0 END), 0),
                coalesce(sum(CASE WHEN state = 'missing' AND state_since_ms > ?1 THEN 1 ELSE 0 END), 0),
                coalesce(sum(CASE WHEN state IN ('missing', 'suspect', 'non-compliant') THEN 1 ELSE 0 END), 0)
         FROM node WHERE state <> 'retired'",
    )?;
    let (nodes, missing, lately, all) =
        counts.query_row([hour_ago], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    let sql = format!(
        "SELECT {} FROM node n WHERE n.state IN ('missing', 'suspect', 'non-compliant')
         ORDER BY CASE n.state WHEN 'missing' THEN 0 WHEN 'suspect' THEN 1 ELSE 2 END, n.state_since_ms, n.id LIMIT {MOST}",
        row::NODE
    );
    let doubtful: Vec<Node> = db.prepare_cached(&sql)?.query_map([], row::node)?.collect::<Result<_, _>>()?;
    Ok(Fleet { nodes, missing, lately, all, doubtful })
}
