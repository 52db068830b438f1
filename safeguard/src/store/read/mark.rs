//! How far the store has come: what tells that an answer is no longer the newest.

use rusqlite::Connection;

/// A point in the life of the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mark {
    state_change: i64,
    event: i64,
    report: i64,
    exclusions: i64,
}

/// Where the store is now. Beats alone do not move it, and no clock does: a node's may be wrong.
///
/// # Errors
/// When the store cannot be read.
pub fn mark(db: &Connection) -> rusqlite::Result<Mark> {
    let mut statement = db.prepare_cached(
        "SELECT (SELECT coalesce(max(id), 0) FROM state_change), (SELECT coalesce(max(id), 0) FROM event),
                (SELECT coalesce(max(rowid), 0) FROM report), (SELECT count(*) FROM exclusion)",
    )?;
    statement.query_row([], |row| {
        Ok(Mark { state_change: row.get(0)?, event: row.get(1)?, report: row.get(2)?, exclusions: row.get(3)? })
    })
}

/// Numbers of nodes that something happened to since then: a change of state, an event, a report. At most 200, without
/// order.
///
/// # Errors
/// When the store cannot be read.
pub fn changed_since(db: &Connection, mark: &Mark) -> rusqlite::Result<Vec<i64>> {
    let mut statement = db.prepare_cached(
        "SELECT node_id FROM (SELECT node_id FROM state_change WHERE id > ?1
           UNION SELECT node_id FROM event WHERE id > ?2 AND node_id IS NOT NULL
           UNION SELECT node_id FROM report WHERE rowid > ?3) LIMIT 200",
    )?;
    statement.query_map([mark.state_change, mark.event, mark.report], |row| row.get(0))?.collect()
}
