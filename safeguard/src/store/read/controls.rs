//! Controls over all nodes, ranked by how many nodes fail them.

use rusqlite::{Connection, Row, ToSql};

use super::cursor::Cursor;
use super::types::{Control, Filter, Page};
use super::{SCOPE, Scope};

/// Controls that fail, could not be observed, are excepted, or that a person has to look at; the one with the most failing nodes
/// first. With a verdict only those that have it on some node, ranked by it.
///
/// # Errors
/// When the store cannot be read.
pub fn controls(
    db: &Connection,
    filter: &Filter,
    verdict: Option<&str>,
    most: u32,
    after: Option<&Cursor>,
) -> rusqlite::Result<Page<Control>> {
    let scope = Scope::of(filter);
    let skip = after.map_or(0, Cursor::place);
    // The plus sign has the covering index read in its order, and each node looked up in a list that is made once: with 20 findings on
    // each of 10,000 nodes a third of what a join takes.
    let counted = format!(
        "SELECT f.policy AS policy, f.control AS control, f.verdict AS verdict, count(*) AS nodes, min(f.since_ms) AS since
         FROM finding f
         WHERE +f.node_id IN (SELECT n.id FROM node n WHERE {SCOPE})
           AND (:policy IS NULL OR f.policy = :policy) AND (:verdict IS NULL OR f.verdict = :verdict)
         GROUP BY f.policy, f.control, f.verdict"
    );
    let sql = format!(
        "WITH c AS MATERIALIZED ({counted}),
         g AS MATERIALIZED (
           SELECT policy, control,
                  sum(CASE WHEN verdict = 'fail' THEN nodes ELSE 0 END) AS fail,
                  sum(CASE WHEN verdict = 'unknown' THEN nodes ELSE 0 END) AS unknown,
                  sum(CASE WHEN verdict = 'excepted' THEN nodes ELSE 0 END) AS excepted,
                  sum(CASE WHEN verdict = 'manual' THEN nodes ELSE 0 END) AS manual,
                  min(CASE WHEN verdict = 'fail' THEN since END) AS oldest
           FROM c GROUP BY policy, control)
         SELECT g.policy, g.control, g.fail, g.unknown, g.excepted, g.manual, g.oldest, f.title, f.level, f.section,
                (SELECT count(*) FROM g WHERE :verdict IS NOT NULL OR fail + unknown > 0)
         FROM g LEFT JOIN finding f ON f.rowid =
              (SELECT x.rowid FROM finding x WHERE x.policy = g.policy AND x.control = g.control
               ORDER BY x.verdict, x.node_id LIMIT 1)
         WHERE :verdict IS NOT NULL OR g.fail + g.unknown > 0
         ORDER BY g.fail DESC, g.unknown DESC, g.excepted DESC, g.manual DESC, g.policy, g.control
         LIMIT :most OFFSET :skip"
    );
    let mut values = scope.values(filter);
    let ask = i64::from(most) + 1;
    let more: [(&str, &dyn ToSql); 3] = [(":verdict", &verdict), (":most", &ask), (":skip", &skip)];
    values.extend(more);
    let mut statement = db.prepare_cached(&sql)?;
    let mut total = 0;
    let mut items = Vec::new();
    let mut rows = statement.query(&*values)?;
    while let Some(row) = rows.next()? {
        total = row.get(10)?;
        items.push(read(row)?);
    }
    let next = Cursor::past(&mut items, most, |_| Cursor::at_place(skip.saturating_add(most)));
    Ok(Page { items, total, next })
}

/// One control of the filter's policy; `None` if it passes on every node, or is not known.
///
/// # Errors
/// When the store cannot be read.
pub fn control(db: &Connection, filter: &Filter, control: &str) -> rusqlite::Result<Option<Control>> {
    let scope = Scope::of(filter);
    let sql = format!(
        "SELECT max(f.policy), max(f.control), coalesce(sum(CASE WHEN f.verdict = 'fail' THEN 1 ELSE 0 END), 0),
                coalesce(sum(CASE WHEN f.verdict = 'unknown' THEN 1 ELSE 0 END), 0),
                coalesce(sum(CASE WHEN f.verdict = 'excepted' THEN 1 ELSE 0 END), 0),
                coalesce(sum(CASE WHEN f.verdict = 'manual' THEN 1 ELSE 0 END), 0),
                min(CASE WHEN f.verdict = 'fail' THEN f.since_ms END), max(f.title), max(f.level), max(f.section), count(*)
         FROM finding f JOIN node n ON n.id = f.node_id WHERE {SCOPE} AND f.policy = :policy AND f.control = :control"
    );
    let mut values = scope.values(filter);
    let more: [(&str, &dyn ToSql); 1] = [(":control", &control)];
    values.extend(more);
    let found = |row: &Row<'_>| if row.get::<_, u32>(10)? == 0 { Ok(None) } else { read(row).map(Some) };
    db.prepare_cached(&sql)?.query_row(&*values, found)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Control> {
    Ok(Control {
        policy: row.get(0)?,
        control: row.get(1)?,
        fail: row.get(2)?,
        unknown: row.get(3)?,
        excepted: row.get(4)?,
        manual: row.get(5)?,
        oldest_fail_ms: row.get(6)?,
        title: row.get::<_, Option<String>>(7)?.unwrap_or_default(),
        level: row.get(8)?,
        section: row.get(9)?,
    })
}
