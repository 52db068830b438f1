//! How compliance went, day by day.

use rusqlite::{Connection, named_params};

use super::types::{Day, Filter, permille};

/// Days of a trend.
const DAYS: i64 = 30;
const DAY_MS: i64 = 86_400_000;

/// The last 30 days, the oldest first. Days of which nothing is known are left out.
///
/// # Errors
/// When the store cannot be read.
pub fn trend(db: &Connection, filter: &Filter, now_ms: i64) -> rusqlite::Result<Vec<Day>> {
    let first = day_of(now_ms.saturating_sub(DAYS * DAY_MS));
    let mut statement = db.prepare_cached(
        "SELECT day, sum(nodes), sum(pass), sum(decided), sum(applicable) FROM (
           SELECT day, cluster, node_group, max(nodes) AS nodes, sum(pass) AS pass, sum(decided) AS decided,
                  sum(applicable) AS applicable
           FROM day d WHERE day > :first
             AND (:tenant IS NULL OR d.tenant = :tenant) AND (:cluster IS NULL OR d.cluster = :cluster)
             AND (:group IS NULL OR coalesce(nullif(d.node_group, ''), '-') = :group)
             AND (:policy IS NULL OR d.policy = :policy)
           GROUP BY day, tenant, cluster, node_group)
         GROUP BY day ORDER BY day LIMIT 31",
    )?;
    let values = named_params! {
        ":first": first, ":tenant": filter.tenant, ":cluster": filter.cluster, ":group": filter.group,
        ":policy": filter.policy,
    };
    let day = |row: &rusqlite::Row<'_>| {
        let (pass, enabled) = (row.get(2)?, row.get(4)?);
        let passed_permille = permille(pass, enabled);
        Ok(Day { day: row.get(0)?, nodes: row.get(1)?, pass, decided: row.get(3)?, enabled, passed_permille })
    };
    statement.query_map(values, day)?.collect()
}

/// The day (UTC) of a time: `YYYY-MM-DD`.
pub(super) fn day_of(ms: i64) -> String {
    safeguard_daemon::clock::utc(ms).chars().take(10).collect()
}
