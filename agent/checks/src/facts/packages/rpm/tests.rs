//! Databases that SQLite itself writes, read page by page.

#![expect(clippy::disallowed_methods, reason = "a test writes the database that is read")]

use proptest::prelude::*;
use rusqlite::{Connection, params};

use super::header::tests::header;
use super::*;
use crate::fixture::Fixture;

const PATH: &str = "/var/lib/rpm/rpmdb.sqlite";
const BASH: &str = "package: {names: [bash], installed: true}";
const NO_BASH: &str = "package: {names: [bash], installed: false}";

/// A database as rpm creates it; the connection has to stay open where its log is to stay.
fn create(host: &Fixture, pragmas: &str) -> Connection {
    host.dir("/var/lib/rpm");
    let connection = Connection::open(host.at(PATH)).unwrap();
    // Nobody cuts the power in a test.
    connection.execute_batch("PRAGMA synchronous=OFF;").unwrap();
    connection.execute_batch(pragmas).unwrap();
    let tables = "CREATE TABLE IF NOT EXISTS 'Packages' (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL);\
        CREATE TABLE IF NOT EXISTS 'Name' (key TEXT NOT NULL, hnum INTEGER NOT NULL, idx INTEGER NOT NULL);\
        CREATE INDEX IF NOT EXISTS Name_key_idx ON Name(key ASC); INSERT INTO Name VALUES ('bash', 1, 0);";
    connection.execute_batch(tables).unwrap();
    connection
}

fn add(connection: &Connection, name: &str, padding: usize) {
    connection.execute("INSERT INTO Packages(blob) VALUES (?1)", params![header(name, "1.0", None, padding)]).unwrap();
}

fn names(host: &Fixture) -> Observed<Vec<String>> {
    let found = read(&host.host())?.map(|(_, packages)| packages).unwrap_or_default();
    Ok(found.into_iter().map(|package| package.name.into()).collect())
}

#[test]
fn every_size_of_pages_and_of_packages() {
    for page_size in [512, 1024, 4096, 65_536] {
        for vacuum in ["NONE", "FULL"] {
            let host = Fixture::new();
            let connection = create(&host, &format!("PRAGMA page_size={page_size}; PRAGMA auto_vacuum={vacuum};"));
            let wanted: Vec<String> = (0..300).map(|n| format!("package-{n}")).collect();
            connection.execute_batch("BEGIN").unwrap();
            for (n, name) in wanted.iter().enumerate() {
                add(&connection, name, n * n / 2);
            }
            connection.execute_batch("COMMIT").unwrap();
            assert_eq!(names(&host).unwrap(), wanted, "{page_size} {vacuum}");
        }
    }
}

#[test]
fn the_predicate_sees_names_versions_and_where_they_come_from() {
    let host = Fixture::new();
    let connection = create(&host, "");
    add(&connection, "bash", 30_000);
    let verdict = host.holds(BASH);
    assert_eq!(verdict.evidence[0].observed, "bash 1.0-1.amzn2023");
    assert_eq!(verdict.evidence[0].source, "/var/lib/rpm/rpmdb.sqlite, 1 packages");
    host.holds("package: {names: [bas, bash-completion], installed: false}");
}

#[test]
fn what_is_only_in_the_log_counts() {
    let host = Fixture::new();
    let connection = create(&host, "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0;");
    add(&connection, "bash", 9_000);
    add(&connection, "vim", 100);
    assert!(host.at(&format!("{PATH}-wal")).metadata().unwrap().len() > 0);
    assert_eq!(names(&host).unwrap(), ["bash", "vim"]);
    connection.execute_batch("PRAGMA wal_checkpoint(PASSIVE);").unwrap();
    connection.execute("DELETE FROM Packages WHERE hnum = 1", []).unwrap();
    host.holds(NO_BASH);
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE);").unwrap();
    assert_eq!(names(&host).unwrap(), ["vim"]);
    host.holds(NO_BASH);
}

#[test]
fn what_is_not_committed_does_not_count() {
    let host = Fixture::new();
    let connection = create(&host, "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=2;");
    add(&connection, "vim", 100);
    connection.execute_batch("BEGIN").unwrap();
    let before = host.at(&format!("{PATH}-wal")).metadata().unwrap().len();
    (0..50).for_each(|_| add(&connection, "bash", 9_000));
    assert!(host.at(&format!("{PATH}-wal")).metadata().unwrap().len() > before, "nothing was spilled into the log");
    assert_eq!(names(&host).unwrap(), ["vim"]);
    connection.execute_batch("COMMIT").unwrap();
    assert_eq!(names(&host).unwrap().len(), 51);
}

#[test]
fn a_log_that_is_torn_counts_up_to_its_last_whole_commit() {
    let host = Fixture::new();
    let connection = create(&host, "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0;");
    add(&connection, "vim", 100);
    let log = host.at(&format!("{PATH}-wal"));
    let whole = std::fs::read(&log).unwrap();
    add(&connection, "bash", 9_000);
    let mut torn = std::fs::read(&log).unwrap();
    // SQLite is gone, and its files are as a crash may have left them.
    let copy = Fixture::new();
    copy.file(PATH, std::fs::read(host.at(PATH)).unwrap());
    let in_copy = format!("{PATH}-wal");
    copy.file(&in_copy, &torn);
    assert_eq!(names(&copy).unwrap(), ["vim", "bash"]);
    copy.file(&in_copy, &torn[..torn.len() - 1]);
    assert_eq!(names(&copy).unwrap(), ["vim"]);
    torn[whole.len() + 500] ^= 1;
    copy.file(&in_copy, &torn);
    assert_eq!(names(&copy).unwrap(), ["vim"]);
    torn[20] ^= 1;
    copy.file(&in_copy, &torn);
    copy.unknown(BASH);
}

#[test]
fn a_journal_that_was_not_played_back_is_not_guessed_over() {
    let host = Fixture::new();
    let connection = create(&host, "");
    add(&connection, "bash", 0);
    host.file(&format!("{PATH}-journal"), [HOT_JOURNAL, &[0; 500]].concat());
    assert!(host.unknown(BASH).contains("was cut short"));
    host.file(&format!("{PATH}-journal"), [0; 512]);
    host.holds(BASH);
}

#[test]
fn older_formats_and_other_files_are_named() {
    let berkeley = Fixture::new();
    berkeley.file("/var/lib/rpm/Packages", "");
    assert!(berkeley.unknown(NO_BASH).contains("/var/lib/rpm/Packages: is a database of an rpm before"));
    let garbage = Fixture::new();
    garbage.file(PATH, "this is no database at all, but it is long enough for a header".repeat(20));
    assert!(garbage.unknown(NO_BASH).contains("no SQLite database"));
    let empty = Fixture::new();
    empty.file(PATH, "");
    assert!(empty.unknown(NO_BASH).contains("ends too early"));
    let other = Fixture::new();
    other.dir("/var/lib/rpm");
    let connection = Connection::open(other.at(PATH)).unwrap();
    connection.execute_batch("CREATE TABLE PackagesOther (a, b)").unwrap();
    assert!(other.unknown(NO_BASH).contains("no table of packages"));
    let link = Fixture::new();
    link.dir("/var/lib/rpm").link(PATH, "/etc/passwd").file("/etc/passwd", "");
    link.unknown(NO_BASH);
}

#[test]
fn a_database_in_its_new_place_is_found_through_a_link() {
    let host = Fixture::new();
    host.dir("/usr/lib/sysimage/rpm").dir("/var/lib").link("/var/lib/rpm", "../../usr/lib/sysimage/rpm");
    let connection = create(&host, "");
    add(&connection, "bash", 0);
    assert_eq!(host.holds(BASH).evidence[0].source, "/usr/lib/sysimage/rpm/rpmdb.sqlite, 1 packages");
}

#[test]
fn rows_that_hold_no_package_are_not_passed_over() {
    let host = Fixture::new();
    let connection = create(&host, "");
    add(&connection, "bash", 0);
    connection.execute("INSERT INTO Packages(blob) VALUES (?1)", params![[0_u8; 100]]).unwrap();
    assert!(host.unknown(NO_BASH).contains("a package that makes no sense"));
    connection.execute("UPDATE Packages SET blob = 'text' WHERE hnum = 2", []).unwrap();
    assert!(host.unknown(NO_BASH).contains("a row that holds no package"));
}

#[test]
fn it_reads_a_few_pages_of_each_package() {
    let host = Fixture::new();
    let connection = create(&host, "");
    connection.execute_batch("BEGIN").unwrap();
    (0..50).for_each(|n| add(&connection, &format!("package-{n}"), 200_000));
    connection.execute_batch("COMMIT").unwrap();
    let file = std::fs::File::open(host.at(PATH)).unwrap();
    let database = Database::open(&file, None).unwrap();
    assert_eq!(listed(&database).unwrap().len(), 50);
    assert!(database.bytes_read() < 50 * 5 * 4_096, "{} bytes", database.bytes_read());
}

/// The bytes of a small database with everything in it, and of its log.
fn sample() -> (Vec<u8>, Vec<u8>) {
    let host = Fixture::new();
    let connection = create(&host, "PRAGMA page_size=512; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0;");
    (0..20).for_each(|n| add(&connection, &format!("package-{n}"), n * 100));
    connection.execute_batch("PRAGMA wal_checkpoint(PASSIVE);").unwrap();
    (20..30).for_each(|n| add(&connection, &format!("package-{n}"), n * 100));
    (std::fs::read(host.at(PATH)).unwrap(), std::fs::read(host.at(&format!("{PATH}-wal"))).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn damage_never_panics_and_always_ends(places in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20)) {
        static SAMPLE: std::sync::OnceLock<(Vec<u8>, Vec<u8>)> = std::sync::OnceLock::new();
        let (main, log) = SAMPLE.get_or_init(sample);
        let (mut main, mut log) = (main.clone(), log.clone());
        for (place, byte) in places {
            let at = place.index(main.len() + log.len());
            match main.get_mut(at) {
                Some(found) => *found = byte,
                None => log[at - main.len()] = byte,
            }
        }
        let wal = Wal::read(log.as_slice()).unwrap_or(None);
        for log in [wal.as_ref().map(|wal| (wal, log.as_slice())), None] {
            if let Ok(database) = Database::open(main.as_slice(), log) {
                listed(&database).ok();
            }
        }
    }
}
