#![expect(clippy::disallowed_methods, reason = "a test writes the operator's files")]

use super::*;

const MINE: &str = r#"
policy: mine
version: 1.0.0
title: Of our own
source: ourselves
sections: [{id: A, title: All}]
controls:
  - id: A-1
    title: There is a passwd
    level: 1
    assessment: automated
    severity: low
    check: {file: {path: /etc/passwd, exists: true}}
    why: Because.
    remedy: Write one.
"#;

fn sources(dir: &Path) -> Sources {
    Sources {
        directory: Some(dir.join("policies")),
        exceptions: Some(dir.join("exceptions.yaml")),
        ..Sources::default()
    }
}

#[test]
fn what_the_operator_wrote_stands_beside_ours() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("policies")).unwrap();
    std::fs::write(dir.path().join("policies/mine.yaml"), MINE).unwrap();
    let rulebook = sources(dir.path()).load();
    assert_eq!(rulebook.problems, [""; 0]);
    let ids: Vec<_> = rulebook.policies.iter().map(|p| p.policy.as_str()).collect();
    assert_eq!(ids, ["cis-eks-1.8.0", "cis-kubernetes-1.12-worker", "eks-node-hardening", "mine"]);
}

#[test]
fn nothing_has_to_be_there() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(sources(dir.path()).load().problems, [""; 0]);
    // Unless somebody named it; what nobody named is still not missed.
    let directory = Sources { directory_required: true, ..sources(dir.path()) }.load().problems;
    assert!(directory.len() == 1 && directory[0].contains("policies: does not exist"), "{directory:?}");
    let exceptions = Sources { exceptions_required: true, ..sources(dir.path()) }.load().problems;
    assert!(exceptions.len() == 1 && exceptions[0].contains("exceptions.yaml: does not exist"), "{exceptions:?}");
}

#[test]
fn a_file_that_cannot_be_used_takes_nothing_of_ours_with_it() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("policies")).unwrap();
    std::fs::write(dir.path().join("policies/mine.yaml"), MINE.replace("exists", "exist")).unwrap();
    std::fs::write(dir.path().join("exceptions.yaml"), "exceptions: [{control: mine/A-1}]").unwrap();
    let rulebook = sources(dir.path()).load();
    assert_eq!((rulebook.policies.len(), rulebook.problems.len() >= 2), (3, true), "{:?}", rulebook.problems);
    assert!(rulebook.problems[0].contains("mine.yaml"), "{:?}", rulebook.problems);
}

#[test]
fn a_name_that_is_none_comes_with_the_nearest() {
    let wanted = Sources {
        policies: vec!["cis-eks-1.8".to_owned()],
        only: vec!["3.2.11".to_owned(), "cis-eks-1.8.0/3.2.1".to_owned()],
        ..Sources::default()
    };
    let problems = wanted.load().problems;
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].contains("did you mean `cis-eks-1.8.0`?"), "{problems:?}");
    assert!(problems[1].contains("there is no control `3.2.11`"), "{problems:?}");
}

#[test]
fn only_what_is_wanted_is_asked() {
    let wanted = Sources { only: vec!["cis-eks-1.8.0/3.2.1".to_owned()], ..Sources::default() };
    let rulebook = wanted.load();
    assert_eq!(rulebook.policies.len(), 1);
    assert_eq!(rulebook.policies[0].controls.len(), 1);
    let of =
        |level| Sources { level, ..Sources::default() }.load().policies.iter().map(|p| p.controls.len()).sum::<usize>();
    assert!(of(1) < of(2));
}
