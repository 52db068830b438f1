//! What we ship: policies without a mistake, the same inside the program as in the files, and pages that are current.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(
    clippy::disallowed_methods,
    reason = "a test reads the files of this repository, and writes them if it is told to"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use safeguard_checks::policy::{self, document, embedded, hipaa, schema};
use safeguard_checks::{Assessment, Control, Exceptions, Mistake, Policy};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn text(name: &str) -> String {
    fs::read_to_string(root().join("policies").join(name)).unwrap()
}

fn told(mistakes: &[Mistake]) -> String {
    mistakes.iter().map(Mistake::to_string).collect::<Vec<_>>().join("\n")
}

fn controls(policies: &[Policy]) -> impl Iterator<Item = (String, &Control)> {
    policies
        .iter()
        .flat_map(|p| p.controls.iter().map(move |control| (format!("{}/{}", p.policy, control.id), control)))
}

/// Compares a generated page with the one in `docs/`; with `UPDATE_GOLDEN=1` writes it.
#[track_caller]
fn is_current(page: &str, content: &str) {
    let path = root().join("../../docs").join(page);
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|update| update == "1") {
        fs::write(&path, content).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == content,
        "docs/{page} is not current: UPDATE_GOLDEN=1 cargo test -p safeguard-checks --test policies"
    );
}

#[test]
fn what_is_in_the_program_is_what_is_in_the_files() {
    let embedded = embedded();
    for policy in &embedded {
        let file = format!("{}.yaml", policy.policy);
        let loaded = policy::load(&text(&file), &file).unwrap_or_else(|mistakes| panic!("{}", told(&mistakes)));
        assert_eq!(loaded, *policy, "{file}");
        assert_eq!(loaded.digest(), policy.digest());
    }
    let files = fs::read_dir(root().join("policies")).unwrap().map(|entry| entry.unwrap().file_name());
    let files = files.filter(|name| name.to_str().is_some_and(|name| !name.starts_with("exceptions-"))).count();
    assert_eq!(files, embedded.len(), "a file in policies/ is not part of the program");
}

/// The ids, levels and assessments of the benchmarks: their words are not ours to keep, their numbers are.
#[test]
fn the_benchmarks_are_whole() {
    let policies = embedded();
    let of = |id: &str| policies.iter().find(|p| p.policy == id).unwrap();
    let ids = |policy: &Policy| policy.controls.iter().map(|c| c.id.clone()).collect::<Vec<_>>();
    let numbered = |section: &str, count: u32| (1..=count).map(|n| format!("{section}.{n}")).collect::<Vec<_>>();
    let eks = of("cis-eks-1.8.0");
    assert_eq!(ids(eks), [numbered("3.1", 4), numbered("3.2", 9)].concat());
    assert!(eks.controls.iter().all(|c| c.assessment == Assessment::Automated));
    let worker = of("cis-kubernetes-1.12-worker");
    assert_eq!(ids(worker), [numbered("4.1", 10), numbered("4.2", 14), numbered("4.3", 1)].concat());
    let manual = worker.controls.iter().filter(|c| c.assessment == Assessment::Manual).map(|c| c.id.as_str());
    let expected = [
        "4.1.3", "4.1.4", "4.1.7", "4.1.8", "4.2.4", "4.2.5", "4.2.7", "4.2.8", "4.2.9", "4.2.11", "4.2.12", "4.2.13",
        "4.2.14",
    ];
    assert_eq!(manual.collect::<Vec<_>>(), expected);
    for (policy, only) in [(eks, "3.2.7"), (worker, "4.2.8")] {
        let second = policy.controls.iter().filter(|c| c.level == 2).map(|c| c.id.as_str());
        assert_eq!(second.collect::<Vec<_>>(), [only], "{}", policy.policy);
    }
    assert!(of("eks-node-hardening").controls.len() >= 40);
}

/// A person reads them all, one after the other.
#[test]
fn no_two_controls_say_the_same() {
    let policies = embedded();
    let mut seen: BTreeMap<&str, String> = BTreeMap::new();
    let mut again = Vec::new();
    for (id, control) in controls(&policies) {
        for words in [&control.title, &control.why] {
            if let Some(first) = seen.insert(words.trim(), id.clone()) {
                again.push(format!("{id} says what {first} says: {words}"));
            }
        }
    }
    assert!(again.is_empty(), "{again:#?}");
}

#[test]
fn every_control_says_which_paragraph_it_serves() {
    let policies = embedded();
    let without: Vec<String> = controls(&policies).filter(|(_, c)| c.hipaa.is_empty()).map(|(id, _)| id).collect();
    assert!(without.is_empty(), "{without:?}");
    assert_eq!(hipaa::heading("164.312(b)"), Some("Audit controls"));
    assert_eq!(hipaa::heading("164.312(f)"), None);
}

/// What can be looked at is looked at, also where the benchmark leaves it to a person.
#[test]
fn every_shipped_control_has_a_check() {
    let policies = embedded();
    let without: Vec<String> = controls(&policies).filter(|(_, c)| c.check.is_none()).map(|(id, _)| id).collect();
    assert!(without.is_empty(), "{without:?}");
}

#[test]
fn the_shipped_exceptions_are_for_controls_that_exist() {
    let (file, policies) = ("exceptions-eks.yaml", embedded());
    let loaded =
        Exceptions::load(&text(file), file, &policies).unwrap_or_else(|mistakes| panic!("{}", told(&mistakes)));
    assert_eq!(loaded, Exceptions::eks());
    assert!(!loaded.exceptions.is_empty());
    // A control with an exception says so where it is read.
    let excepted: BTreeSet<&str> = loaded.exceptions.iter().map(|e| e.control.as_str()).collect();
    for (id, control) in controls(&policies).filter(|(id, _)| excepted.contains(id.as_str())) {
        let conflicts = control.conflicts.as_deref().unwrap_or_default();
        assert!(conflicts.contains("exceptions file"), "{id} does not say that it is excepted");
    }
}

/// At every start, before anything is looked at.
#[test]
fn loading_takes_less_than_three_milliseconds() {
    let quickest = (0..20).map(|_| {
        let begun = Instant::now();
        let policies = embedded();
        let took = begun.elapsed();
        assert!(!policies.is_empty());
        took
    });
    let quickest = quickest.min().unwrap();
    assert!(quickest < Duration::from_millis(3), "{quickest:?}");
}

#[test]
fn the_page_of_all_controls_is_current() {
    is_current("controls.md", &document(&embedded()));
}

#[test]
fn the_schema_is_current() {
    is_current("policy.schema.json", &(serde_json::to_string_pretty(&schema()).unwrap() + "\n"));
}
