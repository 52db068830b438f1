use rusqlite::Connection;

use super::read::{Hour, NodeDetail, node};
use super::tidy::Kept;
use super::{FOURTH, SECOND, Store, TABLES, THIRD, VERSION, create};

const HOUR: i64 = 3_600_000;

#[test]
fn a_store_of_a_later_program_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.db");
    create(&path).unwrap().pragma_update(None, "user_version", VERSION + 1).unwrap();
    let said = Store::open(&path).unwrap_err().to_string();
    assert!(said.contains(&format!("version {}", VERSION + 1)) && said.contains("s.db"), "{said}");
}

#[test]
fn a_store_of_a_version_before_gets_what_it_lacks_and_keeps_what_it_has() {
    let node = "INSERT INTO node (tenant, account, region, instance_id, cluster, node_name, assurance, first_seen_ms, state,
                  state_since_ms, reasons, simulated) VALUES ('t', '1', 'r', 'i-1', 'c', 'n', 'none', 1, 'missing', 1, '[]', 0)";
    let place = "INSERT INTO ec2_place (account, region, instances) VALUES ('1', 'r', 7)";
    let cluster = "INSERT INTO cluster_place (cluster) VALUES ('c'); UPDATE node SET cluster_state = 'absent'";
    for (version, tables, rows, places) in [
        (1, &[TABLES][..], &[node][..], 0),
        (2, &[TABLES, SECOND], &[node, place], 1),
        (3, &[TABLES, SECOND, THIRD], &[node, place, cluster], 1),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.db");
        let before = Connection::open(&path).unwrap();
        tables.iter().chain(rows).for_each(|sql| before.execute_batch(sql).unwrap());
        before.pragma_update(None, "user_version", version).unwrap();
        drop(before);
        for _ in 0..2 {
            let db = create(&path).unwrap();
            let count = |table: &str| {
                let sql = format!("SELECT COUNT(*) FROM {table}");
                db.query_row(&sql, [], |row| row.get::<_, i64>(0)).unwrap()
            };
            let all = (count("node WHERE cluster_state IS NULL"), count("ec2_place"), count("cluster_place"));
            assert_eq!(all, (1, places, 0), "{version}");
            let now: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
            assert_eq!(now, VERSION);
        }
    }
}

/// Beats are there hour by hour, whether they are kept one by one, were summed up, or were both by version 4.
#[test]
fn what_version_4_knew_of_beats_is_known_and_counted_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.db");
    let before = Connection::open(&path).unwrap();
    [TABLES, SECOND, THIRD, FOURTH].iter().for_each(|sql| before.execute_batch(sql).unwrap());
    let now = 500_000 * HOUR + HOUR / 2;
    before
        .execute_batch(&format!(
            "PRAGMA user_version = 4;
             INSERT INTO node (id, tenant, account, region, instance_id, cluster, node_name, assurance, first_seen_ms, state,
                 state_since_ms, reasons, last_beat_ms, last_live_ms, next_due_s, assessed_ms, simulated)
                 VALUES (1, 't', '1', 'r', 'i-1', 'c', 'n', 'iid', 1, 'compliant', 1, '[]', {now}, {now} - 1, 90, {now} - 2, 0);
             INSERT INTO node_key (key_no, key_id, node_id, public_key, boot_id, enrolled_ms, retired_ms, sequence, last_digest)
                 VALUES (1, 'old', 1, 'o', 'b', 1, 2, 7, NULL), (2, 'own', 1, 'p', 'b', 2, NULL, 94, 'd');
             -- A beat an hour, of which the oldest were deleted as they should be but for one that is left; a gap before one.
             WITH RECURSIVE ago (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM ago WHERE n < 60)
                 INSERT INTO beat_hour SELECT 1, {now} - {now} % {HOUR} - n * {HOUR}, 1, 0, n = 30 FROM ago;
             WITH RECURSIVE ago (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM ago WHERE n < 47)
                 INSERT INTO beat SELECT 2, 94 - n, {now} - n * {HOUR}, 0, 0, 0 FROM ago;
             INSERT INTO gap (node_id, key_no, first, last, opened_ms, declared) VALUES (1, 2, 3, 9, {now} - 30 * {HOUR}, 0);"
        ))
        .unwrap();
    drop(before);
    let store = Store::open(&path).unwrap();
    let detail = node(&store.db, 1, now).unwrap().unwrap();
    assert_eq!((detail.last_beat_ms, detail.next_due_s), (Some(now), Some(90)));
    assert_eq!((detail.node.last_live_ms, detail.node.assessed_ms), (Some(now - 1), Some(now - 2)));
    let keys: Vec<_> = detail.keys.iter().map(|key| (key.key_id.as_str(), key.sequence)).collect();
    assert_eq!(keys, [("own", 94), ("old", 7)]);
    assert_eq!(detail.hours.len(), 48);
    let gaps = |hour: &Hour| u32::from(hour.hour_ms == now - HOUR / 2 - 30 * HOUR);
    assert!(
        detail.hours.iter().all(|hour| (hour.live, hour.late, hour.gaps) == (1, 0, gaps(hour))),
        "{:?}",
        detail.hours
    );
    let loaded = store.load().unwrap();
    let own = loaded.keys.iter().find(|key| key.no == 2).unwrap();
    assert_eq!((own.sequence, own.last_digest.as_deref()), (94, Some("d")));
    assert_eq!((loaded.nodes[0].last_live_ms, loaded.nodes[0].next_due_s), (Some(now - 1), 90));
}

/// A node of which each hour has live beats, late ones and a gap, by two keys.
fn with_beats(now: i64) -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("s.db")).unwrap();
    let rows = format!(
        "INSERT INTO node (id, tenant, account, region, instance_id, cluster, node_name, assurance, first_seen_ms, state,
             state_since_ms, reasons, simulated) VALUES (1, 't', '1', 'r', 'i-1', 'c', 'n', 'iid', 1, 'compliant', 1, '[]', 0);
         INSERT INTO node_key (key_no, key_id, node_id, public_key, boot_id, enrolled_ms)
             VALUES (1, 'old', 1, 'o', 'b', 1), (2, 'own', 1, 'p', 'b', 2);
         WITH RECURSIVE ago (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM ago WHERE n < 40 * 60)
             INSERT INTO beat SELECT 1 + n % 2, n + 1, {now} - n * 60000, 0, n % 10 = 0, 0 FROM ago;
         UPDATE beat SET kind = kind + 2 WHERE sequence % 60 = 7;"
    );
    store.db.execute_batch(&rows).unwrap();
    (dir, store)
}

#[test]
fn hours_of_beats_are_the_same_before_and_after_they_are_summed_up() {
    let now = 500_000 * HOUR + HOUR / 3;
    let (_dir, mut store) = with_beats(now);
    let read = |store: &Store| -> NodeDetail { node(&store.db, 1, now).unwrap().unwrap() };
    let before = read(&store).hours;
    assert_eq!(before.len(), 41);
    let whole = &before[20];
    assert_eq!((whole.live, whole.late, whole.gaps), (54, 6, 1));
    // In any steps, each more than once, as time goes on within an hour and over it.
    for kept_ms in [30 * HOUR, 30 * HOUR - 1_200_000, 12 * HOUR, 12 * HOUR - 2_400_000] {
        let kept = Kept { beats_ms: now - kept_ms, recent_ms: 0, evidence_ms: 0 };
        for _ in 0..2 {
            let batch = store.begin().unwrap();
            let last = batch.tidy(0, 1, &kept).unwrap();
            assert_eq!(batch.tidy(last.unwrap(), 1, &kept).unwrap(), Some(2));
            batch.commit().unwrap();
            assert_eq!(read(&store).hours, before, "{kept_ms}");
        }
    }
    let left: i64 = store.db.query_row("SELECT count(*) FROM beat", [], |row| row.get(0)).unwrap();
    assert!((11 * 60..=13 * 60).contains(&left), "{left}: a beat for each minute of what is kept");
}
