use super::*;
use crate::Phase;
use crate::report::PolicyReport;

const DAY: i64 = MS_PER_DAY;

fn report(pass: u32) -> Report {
    let counts = Counts { pass, ..Counts::default() };
    let of = |name: &str| name.to_owned();
    let (version, title, digest) = (of("1"), of("t"), of("d"));
    let policy = PolicyReport { policy: of("test"), version, title, digest, findings: Vec::new(), counts };
    Report { version: 1, node: of("n"), phase: Phase::Run, started_ms: 0, policies: vec![policy] }
}

fn passes(history: &History) -> Vec<(i64, u32)> {
    history.days().iter().map(|d| (d.day, d.policies["test"].pass)).collect()
}

#[test]
fn the_last_counts_of_thirty_days_outlive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::open(dir.path()).unwrap();
    assert!(history.last().is_none());
    for day in 0..40 {
        history.keep(&report(1), day * DAY).unwrap();
        history.keep(&report(u32::try_from(day).unwrap()), day * DAY + 5_000).unwrap();
    }
    drop(history);
    let history = History::open(dir.path()).unwrap();
    let kept = passes(&history);
    assert_eq!((kept.len(), kept[0], kept[29]), (30, (10, 10), (39, 39)));
    assert_eq!(history.last().unwrap().policies[0].counts.pass, 39);
}

#[test]
fn a_clock_that_was_set_back_leaves_the_days_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::open(dir.path()).unwrap();
    history.keep(&report(1), 5 * DAY).unwrap();
    history.keep(&report(2), 3 * DAY).unwrap();
    assert_eq!(passes(&history), [(3, 2)]);
}

#[test]
fn what_was_damaged_is_said_once_and_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("results.json"), "{\"version\":1,").unwrap();
    let mut history = History::open(dir.path()).unwrap();
    let said = history.keep(&report(1), 0).unwrap_err();
    assert!(said.contains("results.json") && said.contains("begun anew"), "{said}");
    history.keep(&report(1), 0).unwrap();
    assert!(History::open(dir.path()).unwrap().last().is_some());
}

#[test]
fn a_file_of_a_later_version_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("results.json");
    let later = "{\"version\":2,\"report\":null,\"days\":[]}";
    fs::write(&path, later).unwrap();
    let mut history = History::open(dir.path()).unwrap();
    for _ in 0..2 {
        assert!(history.keep(&report(1), 0).unwrap_err().contains("later version"));
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), later);
}

#[test]
fn what_says_the_same_is_not_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("results.json");
    let mut history = History::open(dir.path()).unwrap();
    history.keep(&report(1), 0).unwrap();
    fs::remove_file(&path).unwrap();
    history.keep(&Report { started_ms: 9, ..report(1) }, 900_000).unwrap();
    assert!(!path.exists(), "a node that stays as it is does not wear out its disk");
    history.keep(&report(2), 900_000).unwrap();
    assert!(path.exists());
}
