//! Findings: what does not simply pass, node by node.

use rusqlite::{Connection, ToSql};

use super::cursor::Cursor;
use super::types::{Filter, Finding, Page};
use super::{SCOPE, Scope, row};

/// What findings are wanted of the nodes of a [`Filter`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Which {
    /// The control; with it, the policy of the filter is the control's.
    pub control: Option<String>,
    /// `fail`, `excepted`, `manual` or `unknown`.
    pub verdict: Option<String>,
}

const WHICH: &str = "(:policy IS NULL OR f.policy = :policy) AND (:control IS NULL OR f.control = :control)
    AND (:verdict IS NULL OR f.verdict = :verdict)";

/// Findings, by node, policy and control.
///
/// # Errors
/// When the store cannot be read.
pub fn findings(
    db: &Connection,
    filter: &Filter,
    which: &Which,
    most: u32,
    after: Option<&Cursor>,
) -> rusqlite::Result<Page<Finding>> {
    let scope = Scope::of(filter);
    let mut values = scope.values(filter);
    let of: [(&str, &dyn ToSql); 2] = [(":control", &which.control), (":verdict", &which.verdict)];
    values.extend(of);
    let sql = format!("SELECT count(*) FROM finding f JOIN node n ON n.id = f.node_id WHERE {SCOPE} AND {WHICH}");
    let total = db.prepare_cached(&sql)?.query_row(&*values, |row| row.get(0))?;
    let (items, next) = part(db, filter, which, most, after)?;
    Ok(Page { items, total, next })
}

/// The same without counting all of them, and where the next part begins: for whoever goes through all parts.
///
/// # Errors
/// When the store cannot be read.
pub fn part(
    db: &Connection,
    filter: &Filter,
    which: &Which,
    most: u32,
    after: Option<&Cursor>,
) -> rusqlite::Result<(Vec<Finding>, Option<String>)> {
    let scope = Scope::of(filter);
    let mut values = scope.values(filter);
    // The first bound alone lets the index be entered where the part begins.
    let sql = format!(
        "SELECT {} FROM finding f JOIN node n ON n.id = f.node_id
         WHERE f.node_id >= :from AND {SCOPE} AND {WHICH}
           AND (:after_policy IS NULL OR (f.node_id, f.policy, f.control) > (:from, :after_policy, :after_control))
         ORDER BY f.node_id, f.policy, f.control LIMIT :most",
        row::FINDING
    );
    let from = after.map_or(i64::MIN, |cursor| cursor.id);
    let policy = after.map(|cursor| &cursor.policy);
    let control = after.map(|cursor| &cursor.control);
    let ask = i64::from(most) + 1;
    let more: [(&str, &dyn ToSql); 6] = [
        (":control", &which.control),
        (":verdict", &which.verdict),
        (":from", &from),
        (":after_policy", &policy),
        (":after_control", &control),
        (":most", &ask),
    ];
    values.extend(more);
    let mut statement = db.prepare_cached(&sql)?;
    let mut items: Vec<Finding> = statement.query_map(&*values, row::finding)?.collect::<Result<_, _>>()?;
    let next = Cursor::past(&mut items, most, |last| Cursor {
        policy: last.policy.clone(),
        control: last.control.clone(),
        ..Cursor::at_id(last.node_id)
    });
    Ok((items, next))
}
