//! Changes of state that somebody is to be told of, and was not yet. They are written with the change itself, in one transaction.

use std::path::Path;

use rusqlite::{Connection, params};

use super::exclude::open;

/// Something to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its number, which is told too: who is told twice knows it by that.
    pub id: i64,
    /// The node that it is about.
    pub node_id: i64,
    /// When it happened, in milliseconds since 1970.
    pub at_ms: i64,
    /// How often it was tried to tell it.
    pub tries: u32,
    /// What is told, without its number.
    pub body: String,
}

/// The oldest of each node that may be tried now, at most `most`.
///
/// # Errors
/// When the store cannot be read.
pub fn due(store: &Path, now_ms: i64, most: u32) -> rusqlite::Result<Vec<Waiting>> {
    let db = open(store)?;
    let mut due = db.prepare(
        "SELECT o.id, o.node_id, o.at_ms, o.tries, o.body FROM outbox o
         WHERE o.next_ms <= ?1 AND NOT EXISTS (SELECT 1 FROM outbox e WHERE e.node_id = o.node_id AND e.id < o.id)
         ORDER BY o.id LIMIT ?2",
    )?;
    let row = |row: &rusqlite::Row<'_>| {
        let (id, node_id, at_ms) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(Waiting { id, node_id, at_ms, tries: row.get(3)?, body: row.get(4)? })
    };
    due.query_map(params![now_ms, most], row)?.collect()
}

/// It was told, or will never be.
///
/// # Errors
/// When the store cannot be written.
pub fn done(store: &Path, id: i64) -> rusqlite::Result<()> {
    open(store)?.execute("DELETE FROM outbox WHERE id = ?1", [id]).map(drop)
}

/// It could not be told, and is tried again later.
///
/// # Errors
/// When the store cannot be written.
pub fn again(store: &Path, id: i64, next_ms: i64) -> rusqlite::Result<()> {
    let sql = "UPDATE outbox SET tries = tries + 1, next_ms = ?2 WHERE id = ?1";
    open(store)?.execute(sql, params![id, next_ms]).map(drop)
}

/// It waited too long: it is dropped, and that is told as an event of its node.
///
/// # Errors
/// When the store cannot be written.
pub fn dropped(store: &Path, waiting: &Waiting, why: &str, now_ms: i64) -> rusqlite::Result<()> {
    let mut db: Connection = open(store)?;
    let transaction = db.transaction()?;
    let detail =
        serde_json::json!({ "message": format!("nobody could be told of a change of state by webhook: {why}") });
    transaction.execute("DELETE FROM outbox WHERE id = ?1", [waiting.id])?;
    transaction.execute(
        "INSERT INTO event (node_id, at_ms, kind, detail) VALUES (?1, ?2, 'webhook-dropped', ?3)",
        params![waiting.node_id, now_ms, detail.to_string()],
    )?;
    transaction.commit()
}
