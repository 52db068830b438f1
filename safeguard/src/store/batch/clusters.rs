//! What clusters say of their nodes.

use rusqlite::{OptionalExtension as _, params};

use super::Batch;

impl Batch<'_> {
    /// Clusters that are asked from now on; what is known of others is forgotten.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn clusters(&self, clusters: &[String]) -> rusqlite::Result<()> {
        let known: Vec<String> = {
            let mut all = self.0.prepare("SELECT cluster FROM cluster_place")?;
            all.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?
        };
        for cluster in known.iter().filter(|known| !clusters.contains(known)) {
            self.0.execute("DELETE FROM cluster_place WHERE cluster = ?1", [cluster])?;
        }
        let mut put = self.0.prepare("INSERT INTO cluster_place (cluster) VALUES (?1) ON CONFLICT DO NOTHING")?;
        clusters.iter().try_for_each(|cluster| put.execute([cluster]).map(drop))
    }

    /// A cluster told of its nodes, or did not and why. Whether that is news.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn cluster_told(&self, cluster: &str, told: Result<usize, &str>, now_ms: i64) -> rusqlite::Result<bool> {
        let silent: Option<i64> = self
            .0
            .prepare_cached("SELECT silent_since_ms FROM cluster_place WHERE cluster = ?1")?
            .query_row([cluster], |row| row.get(0))
            .optional()?
            .flatten();
        match told {
            Ok(nodes) => self
                .0
                .prepare_cached(
                    "UPDATE cluster_place SET listed_ms = ?2, nodes = ?3, silent_since_ms = NULL, reason = NULL
                     WHERE cluster = ?1",
                )?
                .execute(params![cluster, now_ms, i64::try_from(nodes).unwrap_or(i64::MAX)])?,
            Err(reason) => self
                .0
                .prepare_cached(
                    "UPDATE cluster_place SET silent_since_ms = coalesce(silent_since_ms, ?2), reason = ?3
                     WHERE cluster = ?1",
                )?
                .execute(params![cluster, now_ms, reason])?,
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
