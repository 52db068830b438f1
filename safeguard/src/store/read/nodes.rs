//! Nodes in a list.

use rusqlite::{Connection, ToSql};

use super::cursor::Cursor;
use super::types::{Filter, Node, Page};
use super::{SCOPE, Scope, row};

/// Nodes, by name.
///
/// # Errors
/// When the store cannot be read.
pub fn nodes(db: &Connection, filter: &Filter, most: u32, after: Option<&Cursor>) -> rusqlite::Result<Page<Node>> {
    let scope = Scope::of(filter);
    let sql = format!("SELECT count(*) FROM node n WHERE {SCOPE}");
    let total = db.prepare_cached(&sql)?.query_row(&*scope.values(filter), |row| row.get(0))?;

    let sql = format!(
        "SELECT {} FROM node n
         WHERE {SCOPE} AND (:after_name IS NULL OR (n.node_name, n.id) > (:after_name, :after_id))
         ORDER BY n.node_name, n.id LIMIT :most",
        row::NODE
    );
    let (name, id) = (after.map(|cursor| &cursor.name), after.map_or(0, |cursor| cursor.id));
    let ask = i64::from(most) + 1;
    let mut values = scope.values(filter);
    let more: [(&str, &dyn ToSql); 3] = [(":after_name", &name), (":after_id", &id), (":most", &ask)];
    values.extend(more);
    let mut statement = db.prepare_cached(&sql)?;
    let mut items: Vec<Node> = statement.query_map(&*values, row::node)?.collect::<Result<_, _>>()?;
    let next = Cursor::past(&mut items, most, |last| Cursor { name: last.name.clone(), ..Cursor::at_id(last.id) });
    Ok(Page { items, total, next })
}
