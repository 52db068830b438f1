//! What is written: many beats in one transaction.

mod clusters;

use rusqlite::{OptionalExtension as _, Transaction, params};
use safeguard_protocol::{Digest, Posture, Statement};

use super::{report, tidy};
use crate::expected::{Instance, Place};

/// Writes that are committed together.
#[derive(Debug)]
pub struct Batch<'a>(Transaction<'a>);

/// A node that enrols.
#[derive(Debug)]
pub struct Enrolling<'a> {
    /// Tenant, account, region, instance.
    pub instance: [&'a str; 4],
    /// Cluster, and name in it.
    pub place: [&'a str; 2],
    /// Node group.
    pub node_group: Option<&'a str>,
    /// AMI.
    pub image_id: &'a str,
    /// What vouches for it.
    pub assurance: &'a str,
    /// When the instance was started.
    pub pending_time_ms: Option<i64>,
    /// Name of the key, and the key.
    pub key: [&'a str; 2],
    /// The boot.
    pub boot_id: &'a str,
    /// Whether the node is made up, for a demonstration.
    pub simulated: bool,
}

/// A beat that is taken.
#[derive(Debug)]
pub struct Heard<'a> {
    /// The key's number.
    pub key_no: i64,
    /// What it says.
    pub statement: &'a Statement,
    /// Digest of the statement.
    pub digest: Digest,
    /// By our clock.
    pub received_ms: i64,
    /// Whether it tells of now. What does is the newest.
    pub live: bool,
    /// Whether it moves the chain on.
    pub newest: bool,
    /// Whether a gap opened before it.
    pub gap: bool,
}

/// 64 bits that SQLite can hold. Sequence numbers beyond are refused before.
fn whole(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

impl<'a> Batch<'a> {
    pub(super) fn new(transaction: Transaction<'a>) -> Self {
        Self(transaction)
    }

    /// Puts it on disk.
    ///
    /// # Errors
    /// When it is not there.
    pub fn commit(self) -> rusqlite::Result<()> {
        self.0.commit()
    }

    /// A node and its key: new, or enrolled again. Returns their numbers. Other keys of the node are retired.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn enrol(&self, new: &Enrolling<'_>, now_ms: i64) -> rusqlite::Result<(i64, i64)> {
        let [tenant, account, region, instance] = new.instance;
        let [cluster, name] = new.place;
        let mut node = self.0.prepare_cached(
            "INSERT INTO node (tenant, account, region, instance_id, cluster, node_group, node_name, image_id, assurance,
                 pending_time_ms, first_seen_ms, state, state_since_ms, reasons, simulated)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 'never-enrolled', ?11, '[]', ?12)
             ON CONFLICT (tenant, account, region, instance_id) DO UPDATE SET cluster = excluded.cluster,
                 -- What another cluster said says nothing of this one.
                 cluster_state = CASE WHEN node.cluster = excluded.cluster THEN node.cluster_state END,
                 node_group = excluded.node_group, node_name = excluded.node_name, image_id = excluded.image_id,
                 first_seen_ms = CASE WHEN node.assurance = 'none' THEN excluded.first_seen_ms ELSE node.first_seen_ms END,
                 assurance = excluded.assurance, pending_time_ms = excluded.pending_time_ms, retired_ms = NULL
             RETURNING id, key_no",
        )?;
        let group = new.node_group;
        let values = params![
            tenant,
            account,
            region,
            instance,
            cluster,
            group,
            name,
            new.image_id,
            new.assurance,
            new.pending_time_ms,
            now_ms,
            new.simulated
        ];
        let (node_id, before): (i64, Option<i64>) = node.query_row(values, |row| Ok((row.get(0)?, row.get(1)?)))?;
        let [key_id, public_key] = new.key;
        let mut key = self.0.prepare_cached(
            "INSERT INTO node_key (key_id, node_id, public_key, boot_id, enrolled_ms) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (key_id) DO UPDATE SET boot_id = excluded.boot_id, enrolled_ms = excluded.enrolled_ms
             RETURNING key_no",
        )?;
        let values = params![key_id, node_id, public_key, new.boot_id, now_ms];
        let key_no: i64 = key.query_row(values, |row| row.get(0))?;
        // When the node was heard does not depend on which key it speaks with.
        self.0
            .prepare_cached(
                "INSERT INTO heard (key_no, sequence, last_beat_ms, last_live_ms, next_due_s, assessed_ms)
                 SELECT ?1, 0, h.last_beat_ms, h.last_live_ms, coalesce(h.next_due_s, 60), h.assessed_ms
                 FROM (SELECT 1) one LEFT JOIN heard h ON h.key_no = ?2 WHERE TRUE
                 ON CONFLICT (key_no) DO NOTHING",
            )?
            .execute(params![key_no, before])?;
        self.0.prepare_cached("UPDATE node SET key_no = ?2 WHERE id = ?1")?.execute([node_id, key_no])?;
        self.0
            .prepare_cached(
                "UPDATE node_key SET retired_ms = ?3 WHERE node_id = ?1 AND key_no <> ?2 AND retired_ms IS NULL",
            )?
            .execute(params![node_id, key_no, now_ms])?;
        Ok((node_id, key_no))
    }

    /// A node that EC2 knows and that has not spoken. Returns its number.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn expected(
        &self,
        [tenant, account, region, id]: &[String; 4],
        cluster: &str,
        instance: &Instance,
        first_seen_ms: i64,
        now_ms: i64,
    ) -> rusqlite::Result<i64> {
        let mut put = self.0.prepare_cached(
            "INSERT INTO node (tenant, account, region, instance_id, cluster, node_group, node_name, image_id, assurance,
                 first_seen_ms, state, state_since_ms, reasons, simulated)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?4, ?7, 'none', ?8, 'never-enrolled', ?9, '[]', 0) RETURNING id",
        )?;
        let (group, image) = (&instance.node_group, &instance.image_id);
        let values = params![tenant, account, region, id, cluster, group, image, first_seen_ms, now_ms];
        put.query_row(values, |row| row.get(0))
    }

    /// Of where EC2 is asked from now on; what is known of other places is forgotten.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn places(&self, places: &[Place]) -> rusqlite::Result<()> {
        let known: Vec<Place> = {
            let mut all = self.0.prepare("SELECT account, region FROM ec2_place")?;
            let place = |row: &rusqlite::Row<'_>| Ok(Place { account: row.get(0)?, region: row.get(1)? });
            all.query_map([], place)?.collect::<Result<_, _>>()?
        };
        for Place { account, region } in known.iter().filter(|known| !places.contains(known)) {
            self.0.execute("DELETE FROM ec2_place WHERE account = ?1 AND region = ?2", [account, region])?;
        }
        let mut put =
            self.0.prepare("INSERT INTO ec2_place (account, region) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?;
        places.iter().try_for_each(|Place { account, region }| put.execute([account, region]).map(drop))
    }

    /// EC2 told of a place, or did not and why. Whether that is news.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn told(&self, place: &Place, told: Result<usize, &str>, now_ms: i64) -> rusqlite::Result<bool> {
        let Place { account, region } = place;
        let silent: Option<i64> = self
            .0
            .prepare_cached("SELECT silent_since_ms FROM ec2_place WHERE account = ?1 AND region = ?2")?
            .query_row([account, region], |row| row.get(0))
            .optional()?
            .flatten();
        match told {
            Ok(instances) => self
                .0
                .prepare_cached(
                    "UPDATE ec2_place SET listed_ms = ?3, instances = ?4, silent_since_ms = NULL, reason = NULL
                     WHERE account = ?1 AND region = ?2",
                )?
                .execute(params![account, region, now_ms, i64::try_from(instances).unwrap_or(i64::MAX)])?,
            Err(reason) => self
                .0
                .prepare_cached(
                    "UPDATE ec2_place SET silent_since_ms = coalesce(silent_since_ms, ?3), reason = ?4
                     WHERE account = ?1 AND region = ?2",
                )?
                .execute(params![account, region, now_ms, reason])?,
        };
        Ok(silent.is_some() == told.is_ok())
    }

    /// What EC2 says that a node's instance is doing.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn instance_state(&self, node_id: i64, state: &str) -> rusqlite::Result<()> {
        self.0.prepare_cached("UPDATE node SET ec2_state = ?2 WHERE id = ?1")?.execute(params![node_id, state])?;
        Ok(())
    }

    /// Since when a node's instance is gone; `None` if it is there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn retired(&self, node_id: i64, at_ms: Option<i64>) -> rusqlite::Result<()> {
        let sql = "UPDATE node SET retired_ms = ?2, ec2_state = CASE WHEN ?2 IS NULL THEN ec2_state ELSE 'terminated' END WHERE id = ?1";
        self.0.prepare_cached(sql)?.execute(params![node_id, at_ms])?;
        Ok(())
    }

    /// What is known of an older beat: the first eight bytes of its digest.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn stored(&self, key_no: i64, sequence: u64) -> rusqlite::Result<Option<i64>> {
        self.0
            .prepare_cached("SELECT digest64 FROM beat WHERE key_no = ?1 AND sequence = ?2")?
            .query_row(params![key_no, whole(sequence)], |row| row.get(0))
            .optional()
    }

    /// A beat.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn beat(&self, heard: &Heard<'_>) -> rusqlite::Result<()> {
        let Heard { key_no, statement, digest, received_ms, live, newest, gap } = heard;
        let beat = &statement.beat;
        self.0
            .prepare_cached(
                "INSERT INTO beat (key_no, sequence, received_ms, made_at_ms, kind, digest64) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                key_no,
                whole(beat.sequence),
                received_ms,
                beat.made_at_ms,
                i64::from(!live) + 2 * i64::from(*gap),
                crate::chain::short(digest)
            ])?;
        let (sequence, digest) = (whole(beat.sequence), digest.to_string());
        if *live {
            let assessed_ms = statement.assessment.as_ref().map(|a| a.finished_at_ms.min(*received_ms));
            self.0
                .prepare_cached(
                    "UPDATE heard SET sequence = ?2, last_digest = ?3, last_beat_ms = ?4, last_live_ms = ?4, next_due_s = ?5,
                         assessed_ms = ?6
                     WHERE key_no = ?1",
                )?
                .execute(params![key_no, sequence, digest, received_ms, beat.next_due_s, assessed_ms])?;
        } else if *newest {
            // What it said may be old.
            self.0
                .prepare_cached(
                    "UPDATE heard SET sequence = ?2, last_digest = ?3, last_beat_ms = ?4 WHERE key_no = ?1",
                )?
                .execute(params![key_no, sequence, digest, received_ms])?;
        }
        Ok(())
    }

    /// Of which group a node is now, and which critical controls fail there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn stands(&self, node_id: i64, statement: &Statement) -> rusqlite::Result<()> {
        let assessment = statement.assessment.as_ref();
        let critical = assessment.map(|a| serde_json::to_string(&a.critical).unwrap_or_default());
        self.0
            .prepare_cached("UPDATE node SET critical = ?2, critical_more = ?3, node_group = ?4 WHERE id = ?1")?
            .execute(params![
                node_id,
                critical.as_deref().unwrap_or("[]"),
                assessment.map_or(0, |a| a.critical_more),
                statement.node_group,
            ])?;
        Ok(())
    }

    /// What a node says, in the place of what it said before.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn content(&self, node_id: i64, digest: &str, body: &str, now_ms: i64) -> rusqlite::Result<()> {
        // Not one statement that inserts or updates and tells of which row: for that SQLite keeps a journal and a table of its own.
        let changed = self
            .0
            .prepare_cached("UPDATE content SET digest = ?2, said_ms = ?3, body = ?4 WHERE node_id = ?1")?
            .execute(params![node_id, digest, now_ms, body])?;
        if changed == 0 {
            self.0
                .prepare_cached("INSERT INTO content (node_id, digest, said_ms, body) VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![node_id, digest, now_ms, body])?;
            self.0
                .prepare_cached("UPDATE node SET content_id = ?2 WHERE id = ?1")?
                .execute([node_id, self.0.last_insert_rowid()])?;
        }
        Ok(())
    }

    /// A gap that opened.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn open_gap(&self, node_id: i64, key_no: i64, (first, last): (u64, u64), now_ms: i64) -> rusqlite::Result<()> {
        self.0
            .prepare_cached(
                "INSERT INTO gap (node_id, key_no, first, last, opened_ms, declared) VALUES (?1, ?2, ?3, ?4, ?5, 0)",
            )?
            .execute(params![node_id, key_no, whole(first), whole(last), now_ms])?;
        Ok(())
    }

    /// A number that came late: the gap that it was in is closed, or is what is left of it, in up to two parts.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn fill_gap(&self, node_id: i64, key_no: i64, sequence: u64, now_ms: i64) -> rusqlite::Result<()> {
        self.cut_gaps(node_id, key_no, (sequence, sequence), false, now_ms)
    }

    /// Numbers that the node says will never come.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn declare_gap(&self, node_id: i64, key_no: i64, range: (u64, u64), now_ms: i64) -> rusqlite::Result<()> {
        self.cut_gaps(node_id, key_no, range, true, now_ms)
    }

    fn cut_gaps(
        &self,
        node_id: i64,
        key_no: i64,
        range: (u64, u64),
        declared: bool,
        now_ms: i64,
    ) -> rusqlite::Result<()> {
        let (first, last) = (whole(range.0), whole(range.1));
        let mut find = self.0.prepare_cached(
            "SELECT id, first, last, opened_ms FROM gap
             WHERE node_id = ?1 AND key_no = ?2 AND closed_ms IS NULL AND first <= ?4 AND last >= ?3",
        )?;
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
        let gaps: Vec<(i64, i64, i64, i64)> =
            find.query_map(params![node_id, key_no, first, last], row)?.collect::<Result<_, _>>()?;
        for (id, from, to, opened_ms) in gaps {
            self.0
                .prepare_cached("UPDATE gap SET first = ?2, last = ?3, closed_ms = ?4, declared = ?5 WHERE id = ?1")?
                .execute(params![id, from.max(first), to.min(last), now_ms, declared])?;
            for (from, to) in [(from, first - 1), (last.saturating_add(1), to)] {
                if from <= to {
                    self.0
                        .prepare_cached(
                            "INSERT INTO gap (node_id, key_no, first, last, opened_ms, declared) VALUES (?1, ?2, ?3, ?4, ?5, 0)",
                        )?
                        .execute(params![node_id, key_no, from, to, opened_ms])?;
                }
            }
        }
        Ok(())
    }

    /// Another state, with the signed statement behind it, if one is.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn state(
        &self,
        node_id: i64,
        from: Option<&str>,
        to: &Posture,
        evidence: Option<(&Digest, &[u8])>,
        now_ms: i64,
    ) -> rusqlite::Result<()> {
        let evidence = match evidence {
            None => None,
            Some((digest, envelope)) => {
                let mut put = self.0.prepare_cached(
                    "INSERT INTO evidence (digest, at_ms, envelope) VALUES (?1, ?2, ?3)
                     ON CONFLICT (digest) DO UPDATE SET at_ms = evidence.at_ms RETURNING id",
                )?;
                Some(put.query_row(params![digest.to_string(), now_ms, envelope], |row| row.get::<_, i64>(0))?)
            }
        };
        let reasons = serde_json::to_string(&to.reasons).unwrap_or_default();
        self.0
            .prepare_cached(
                "INSERT INTO state_change (node_id, at_ms, from_state, to_state, reasons, evidence_id)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![node_id, now_ms, from, to.state.as_str(), reasons, evidence])?;
        self.reasons(node_id, to)
    }

    /// A suspicion that an operator looked into.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn clear(&self, node_id: i64, suspicion: &str) -> rusqlite::Result<()> {
        let sql = "UPDATE node SET suspicion = NULL, acquitted = ?2 WHERE id = ?1";
        self.0.prepare_cached(sql)?.execute(params![node_id, suspicion])?;
        Ok(())
    }

    /// Something that the webhook has to tell.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn tell(&self, node_id: i64, body: &serde_json::Value, now_ms: i64) -> rusqlite::Result<()> {
        self.0
            .prepare_cached("INSERT INTO outbox (node_id, at_ms, tries, next_ms, body) VALUES (?1, ?2, 0, 0, ?3)")?
            .execute(params![node_id, now_ms, body.to_string()])?;
        Ok(())
    }

    /// Exclusions that are good on a day: account, node group (empty for the whole account), and the words for it.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn exclusions(&self, today: &str) -> rusqlite::Result<Vec<[String; 3]>> {
        let mut all = self.0.prepare_cached(
            "SELECT coalesce(account, ''), coalesce(node_group, ''), 'left alone until ' || expires || ' by ' || owner || ': ' || reason
             FROM exclusion WHERE expires >= ?1 ORDER BY expires DESC, id",
        )?;
        all.query_map([today], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]))?.collect()
    }

    /// The state's reasons, and since when it holds.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn reasons(&self, node_id: i64, posture: &Posture) -> rusqlite::Result<()> {
        let reasons = serde_json::to_string(&posture.reasons).unwrap_or_default();
        self.0
            .prepare_cached("UPDATE node SET state = ?2, state_since_ms = ?3, reasons = ?4 WHERE id = ?1")?
            .execute(params![node_id, posture.state.as_str(), posture.since_ms, reasons])?;
        Ok(())
    }

    /// Why a node is not believed any more. The first reason stays.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn suspect(&self, node_id: i64, why: &str) -> rusqlite::Result<()> {
        self.0
            .prepare_cached("UPDATE node SET suspicion = ?2 WHERE id = ?1 AND suspicion IS NULL")?
            .execute(params![node_id, why])?;
        Ok(())
    }

    /// Something that happened.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn event(
        &self,
        node_id: Option<i64>,
        kind: &str,
        detail: &serde_json::Value,
        now_ms: i64,
    ) -> rusqlite::Result<()> {
        self.0
            .prepare_cached("INSERT INTO event (node_id, at_ms, kind, detail) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![node_id, now_ms, kind, detail.to_string()])?;
        Ok(())
    }

    /// A report, and what it says of each policy and control.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn report(
        &self,
        node_id: i64,
        digest: &Digest,
        packed: &[u8],
        read: &report::Read,
        now_ms: i64,
    ) -> rusqlite::Result<()> {
        report::put(&self.0, node_id, digest, packed, read, now_ms)
    }

    /// How today stands, for the trend.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn today(&self, day: &str) -> rusqlite::Result<()> {
        tidy::today(&self.0, day)
    }

    /// Deletes what is older than its time: beats of some keys, and everything whose retention ended. Returns the key to go on
    /// with; `None` when all were seen.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn tidy(&self, after_key: i64, keys: u32, kept: &tidy::Kept) -> rusqlite::Result<Option<i64>> {
        tidy::tidy(&self.0, after_key, keys, kept)
    }
}
