//! What happened, and what is left alone.

use rusqlite::{Connection, Row, named_params};

use super::cursor::Cursor;
use super::types::{Event, Exclusion, Page};

/// Events, the newest first; of one node, where it is named.
///
/// # Errors
/// When the store cannot be read.
pub fn events(
    db: &Connection,
    node: Option<i64>,
    kind: Option<&str>,
    most: u32,
    after: Option<&Cursor>,
) -> rusqlite::Result<Page<Event>> {
    const WHICH: &str = "(:node IS NULL OR e.node_id = :node) AND (:kind IS NULL OR e.kind = :kind)";
    let sql = format!("SELECT count(*) FROM event e WHERE {WHICH}");
    let total = db.prepare_cached(&sql)?.query_row(named_params! { ":node": node, ":kind": kind }, |row| row.get(0))?;
    let sql = format!(
        "SELECT e.id, e.node_id, n.node_name, e.at_ms, e.kind, e.detail FROM event e LEFT JOIN node n ON n.id = e.node_id
         WHERE {WHICH} AND (:after IS NULL OR e.id < :after) ORDER BY e.id DESC LIMIT :most"
    );
    let after = after.map(|cursor| cursor.id);
    let values = named_params! { ":node": node, ":kind": kind, ":after": after, ":most": i64::from(most) + 1 };
    let mut statement = db.prepare_cached(&sql)?;
    let mut items: Vec<Event> = statement.query_map(values, event)?.collect::<Result<_, _>>()?;
    let next = Cursor::past(&mut items, most, |last| Cursor::at_id(last.id));
    Ok(Page { items, total, next })
}

fn event(row: &Row<'_>) -> rusqlite::Result<Event> {
    let detail: Option<String> = row.get(5)?;
    let detail = detail.unwrap_or_default();
    Ok(Event {
        id: row.get(0)?,
        node_id: row.get(1)?,
        node: row.get(2)?,
        at_ms: row.get(3)?,
        kind: row.get(4)?,
        detail: serde_json::from_str(&detail).unwrap_or(serde_json::Value::String(detail)),
    })
}

/// Accounts and node groups that are left alone. At most 500.
///
/// # Errors
/// When the store cannot be read.
pub fn exclusions(db: &Connection) -> rusqlite::Result<Vec<Exclusion>> {
    let mut statement = db.prepare_cached(
        "SELECT id, coalesce(account, ''), nullif(node_group, ''), reason, owner, expires FROM exclusion ORDER BY expires, id LIMIT 500",
    )?;
    let exclusion = |row: &Row<'_>| {
        Ok(Exclusion {
            id: row.get(0)?,
            account: row.get(1)?,
            group: row.get(2)?,
            reason: row.get(3)?,
            owner: row.get(4)?,
            expires: row.get(5)?,
        })
    };
    statement.query_map([], exclusion)?.collect()
}
