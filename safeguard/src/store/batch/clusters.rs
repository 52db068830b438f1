//! What clusters say of their nodes.

use rusqlite::{OptionalExtension as _, params};

use super::Batch;
use crate::clusters::Place;

impl Batch<'_> {
    /// Clusters that are asked from now on; what is known of others is forgotten.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn clusters(&self, clusters: &[Place]) -> rusqlite::Result<()> {
        let known: Vec<Place> = {
            let mut all = self.0.prepare("SELECT tenant, cluster FROM cluster_place")?;
            all.query_map([], |row| Ok([row.get(0)?, row.get(1)?]))?.collect::<Result<_, _>>()?
        };
        for place in known.iter().filter(|known| !clusters.contains(known)) {
            self.0
                .execute("DELETE FROM cluster_place WHERE tenant = ?1 AND cluster = ?2", params![place[0], place[1]])?;
        }
        let sql = "INSERT INTO cluster_place (tenant, cluster) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
        let mut put = self.0.prepare(sql)?;
        clusters.iter().try_for_each(|place| put.execute(params![place[0], place[1]]).map(drop))
    }

    /// A cluster told of its nodes, or did not and why. Whether that is news.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn cluster_told(&self, place: &Place, told: Result<usize, &str>, now_ms: i64) -> rusqlite::Result<bool> {
        let [tenant, cluster] = place;
        let silent: Option<i64> = self
            .0
            .prepare_cached("SELECT silent_since_ms FROM cluster_place WHERE tenant = ?1 AND cluster = ?2")?
            .query_row(params![tenant, cluster], |row| row.get(0))
            .optional()?
            .flatten();
        match told {
            Ok(nodes) => self
                .0
                .prepare_cached(
                    "UPDATE cluster_place SET listed_ms = ?3, nodes = ?4, silent_since_ms = NULL, reason = NULL
                     WHERE tenant = ?1 AND cluster = ?2",
                )?
                .execute(params![tenant, cluster, now_ms, i64::try_from(nodes).unwrap_or(i64::MAX)])?,
            Err(reason) => self
                .0
                .prepare_cached(
                    "UPDATE cluster_place SET silent_since_ms = coalesce(silent_since_ms, ?3), reason = ?4
                     WHERE tenant = ?1 AND cluster = ?2",
                )?
                .execute(params![tenant, cluster, now_ms, reason])?,
        };
        Ok(silent.is_some() == told.is_ok())
    }

    /// What its cluster says of a node; `None` if nobody asks it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn cluster_state(&self, node_id: i64, state: Option<&str>) -> rusqlite::Result<()> {
        let sql = "UPDATE node SET cluster_state = ?2 WHERE id = ?1";
        self.0.prepare_cached(sql)?.execute(params![node_id, state])?;
        Ok(())
    }
}
