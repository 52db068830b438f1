//! Of where EC2 is asked, and which clusters are.

use rusqlite::Connection;

use super::types::{ClusterPlace, Place};

/// Accounts and regions, those of which EC2 does not tell first. At most 500.
///
/// # Errors
/// When the store cannot be read.
pub fn places(db: &Connection) -> rusqlite::Result<Vec<Place>> {
    let mut all = db.prepare_cached(
        "SELECT account, region, listed_ms, instances, silent_since_ms, reason FROM ec2_place
         ORDER BY CASE WHEN silent_since_ms IS NULL THEN 1 ELSE 0 END, account, region LIMIT 500",
    )?;
    let place = |row: &rusqlite::Row<'_>| {
        Ok(Place {
            account: row.get(0)?,
            region: row.get(1)?,
            listed_ms: row.get(2)?,
            instances: row.get(3)?,
            silent_since_ms: row.get(4)?,
            reason: row.get(5)?,
        })
    };
    all.query_map([], place)?.collect()
}

/// Clusters that are asked for their nodes, those that do not tell first. At most 500.
///
/// # Errors
/// When the store cannot be read.
pub fn cluster_places(db: &Connection) -> rusqlite::Result<Vec<ClusterPlace>> {
    let mut all = db.prepare_cached(
        "SELECT tenant, cluster, listed_ms, nodes, silent_since_ms, reason FROM cluster_place
         ORDER BY CASE WHEN silent_since_ms IS NULL THEN 1 ELSE 0 END, tenant, cluster LIMIT 500",
    )?;
    let place = |row: &rusqlite::Row<'_>| {
        Ok(ClusterPlace {
            tenant: row.get(0)?,
            cluster: row.get(1)?,
            listed_ms: row.get(2)?,
            nodes: row.get(3)?,
            silent_since_ms: row.get(4)?,
            reason: row.get(5)?,
        })
    };
    all.query_map([], place)?.collect()
}
