//! What is summed up, and what is deleted when its time has come.

use rusqlite::{Transaction, params};

const HOUR_MS: i64 = 3_600_000;

/// From when on things are kept: everything that is older is deleted.
#[derive(Debug, Clone, Copy)]
pub struct Kept {
    /// Beats one by one.
    pub beats_ms: i64,
    /// Hours of beats, events, reports that a newer one replaced.
    pub recent_ms: i64,
    /// Changes of state and the signed statements behind them.
    pub evidence_ms: i64,
}

pub(super) fn today(db: &Transaction<'_>, day: &str) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO day (day, tenant, cluster, node_group, policy, nodes, pass, decided, applicable)
         SELECT ?1, n.tenant, n.cluster, coalesce(n.node_group, ''), r.policy, count(*), sum(r.pass),
                sum(r.pass + r.fail + r.excepted), sum(r.pass + r.fail + r.excepted + r.unknown)
         FROM result r JOIN node n ON n.id = r.node_id WHERE n.state <> 'retired'
         GROUP BY n.tenant, n.cluster, coalesce(n.node_group, ''), r.policy
         ON CONFLICT (day, tenant, cluster, node_group, policy) DO UPDATE SET nodes = excluded.nodes, pass = excluded.pass,
             decided = excluded.decided, applicable = excluded.applicable",
    )?
    .execute([day])?;
    Ok(())
}

pub(super) fn tidy(db: &Transaction<'_>, after_key: i64, keys: u32, kept: &Kept) -> rusqlite::Result<Option<i64>> {
    let mut next = db.prepare_cached("SELECT key_no FROM node_key WHERE key_no > ?1 ORDER BY key_no LIMIT ?2")?;
    let due: Vec<i64> = next.query_map(params![after_key, keys], |row| row.get(0))?.collect::<Result<_, _>>()?;
    // A key's beats lie together, in the order of time.
    let mut sum = db.prepare_cached(
        "INSERT INTO beat_hour (node_id, hour_ms, live, late, gaps)
         SELECT k.node_id, b.received_ms - b.received_ms % 3600000, sum(1 - b.kind % 2), sum(b.kind % 2), sum(b.kind / 2)
         FROM beat b JOIN node_key k ON k.key_no = b.key_no WHERE b.key_no = ?1 AND b.received_ms < ?2 GROUP BY 1, 2
         ON CONFLICT (node_id, hour_ms) DO UPDATE SET live = live + excluded.live, late = late + excluded.late,
             gaps = gaps + excluded.gaps",
    )?;
    let mut old = db.prepare_cached("DELETE FROM beat WHERE key_no = ?1 AND received_ms < ?2")?;
    // Whole hours: what is summed up once is not added to.
    let from_ms = kept.beats_ms - kept.beats_ms.rem_euclid(HOUR_MS);
    for key in &due {
        sum.execute(params![key, from_ms])?;
        old.execute(params![key, from_ms])?;
    }
    if let Some(last) = due.last() {
        return Ok(Some(*last));
    }
    db.execute("DELETE FROM beat_hour WHERE hour_ms < ?1", [kept.recent_ms])?;
    db.execute("DELETE FROM event WHERE at_ms < ?1", [kept.recent_ms])?;
    db.execute("DELETE FROM gap WHERE closed_ms < ?1", [kept.recent_ms])?;
    db.execute(
        "DELETE FROM report WHERE received_ms < ?1
           AND EXISTS (SELECT 1 FROM report newer WHERE newer.node_id = report.node_id AND newer.received_ms > report.received_ms)",
        [kept.recent_ms],
    )?;
    db.execute("DELETE FROM state_change WHERE at_ms < ?1", [kept.evidence_ms])?;
    db.execute("DELETE FROM evidence WHERE at_ms < ?1", [kept.evidence_ms])?;
    Ok(None)
}
