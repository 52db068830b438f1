use super::*;
use crate::host::Phase;
use crate::observed::{Cause, Unobserved};
use crate::policy::{Assessment, Severity, embedded};
use crate::report::PolicyReport;

/// 2027-01-31T23:59:59.999Z.
const LAST_MOMENT: i64 = 1_801_439_999_999;

const TWO: &str = "\
exceptions:
  - control: cis-eks-1.8.0/3.2.1
    scope: {node_group: legacy, labels: {team: a}}
    reason: The old scanner needs it.
    owner: Ada
    ticket: SEC-1
    expires: 2027-01-31
  - control: cis-eks-1.8.0/3.2.2
    reason: Always.
    owner: Ada
    expires: never
    permanent: true
";

fn finding(control: &str, status: Status) -> Finding {
    Finding {
        id: format!("node/cis-eks-1.8.0/{control}"),
        control: control.to_owned(),
        title: "T".to_owned(),
        level: 1,
        assessment: Assessment::Automated,
        severity: Severity::Low,
        status,
        reason: None,
        unobserved: (status == Status::Unknown).then(|| Unobserved::new(Cause::Io, "x")),
        evidence: Vec::new(),
        exception: None,
        remedy: None,
    }
}

fn report(findings: Vec<Finding>) -> Report {
    let counts = findings.iter().map(|f| f.status).collect();
    let policy = PolicyReport {
        policy: "cis-eks-1.8.0".to_owned(),
        version: "1".to_owned(),
        title: "T".to_owned(),
        digest: String::new(),
        findings,
        counts,
    };
    Report { version: 1, node: "node".to_owned(), phase: Phase::Run, started_ms: 0, policies: vec![policy] }
}

fn node(group: &str, team: &str) -> NodeScope {
    NodeScope { node_group: Some(group.to_owned()), labels: [("team".to_owned(), team.to_owned())].into() }
}

/// Status and state of exception of one control with `status` after the exceptions of [`TWO`].
fn after(control: &str, status: Status, node: &NodeScope, now_ms: i64) -> (Status, Option<ExceptionState>) {
    let exceptions = Exceptions::load(TWO, "e.yaml", &embedded()).unwrap();
    let mut report = report(vec![finding(control, status)]);
    exceptions.apply(&mut report, node, now_ms);
    let found = &report.policies[0].findings[0];
    assert_eq!(report.policies[0].counts, [found.status].into_iter().collect(), "counts follow");
    (found.status, found.exception.as_ref().map(|note| note.state))
}

#[track_caller]
fn refused(from: &str, to: &str) -> String {
    assert!(TWO.contains(from), "{from}");
    let mistakes = Exceptions::load(&TWO.replacen(from, to, 1), "e.yaml", &embedded()).unwrap_err();
    assert_eq!(mistakes.len(), 1, "{mistakes:#?}");
    mistakes[0].to_string()
}

#[test]
fn a_failure_is_excepted_until_the_end_of_the_last_day() {
    let here = node("legacy", "a");
    assert_eq!(after("3.2.1", Status::Fail, &here, LAST_MOMENT), (Status::Excepted, Some(ExceptionState::Active)));
    assert_eq!(after("3.2.1", Status::Fail, &here, LAST_MOMENT + 1), (Status::Fail, Some(ExceptionState::Expired)));
    assert_eq!(after("3.2.2", Status::Fail, &here, i64::MAX), (Status::Excepted, Some(ExceptionState::Active)));
}

#[test]
fn what_passes_says_that_its_exception_can_go() {
    let needless = (Status::Pass, Some(ExceptionState::NoLongerNeeded));
    assert_eq!(after("3.2.1", Status::Pass, &node("legacy", "a"), LAST_MOMENT), needless);
    assert_eq!(after("3.2.1", Status::Pass, &node("legacy", "a"), LAST_MOMENT + 1), needless);
}

/// An exception is no way to hide what was not looked at.
#[test]
fn only_a_failure_is_excepted() {
    for status in [Status::Unknown, Status::NotApplicable, Status::Manual] {
        assert_eq!(after("3.2.1", status, &node("legacy", "a"), 0), (status, None));
    }
}

#[test]
fn an_exception_is_for_the_nodes_that_it_names() {
    for elsewhere in [node("new", "a"), node("legacy", "b"), NodeScope::default()] {
        assert_eq!(after("3.2.1", Status::Fail, &elsewhere, 0), (Status::Fail, None));
    }
    assert_eq!(after("3.2.2", Status::Fail, &NodeScope::default(), 0).0, Status::Excepted);
    assert_eq!(after("3.2.3", Status::Fail, &node("legacy", "a"), 0), (Status::Fail, None));
}

#[test]
fn of_two_that_cover_a_node_the_one_in_force_counts() {
    let ended = "  - {control: cis-eks-1.8.0/3.2.1, reason: Old., owner: Bob, expires: 2020-01-01}\n";
    let text = TWO.replacen("exceptions:\n", &format!("exceptions:\n{ended}"), 1);
    let exceptions = Exceptions::load(&text, "e.yaml", &embedded()).unwrap();
    let mut report = report(vec![finding("3.2.1", Status::Fail)]);
    exceptions.apply(&mut report, &node("legacy", "a"), LAST_MOMENT);
    let found = &report.policies[0].findings[0];
    let note = found.exception.as_ref().unwrap();
    assert_eq!((found.status, note.owner.as_str(), note.ticket.as_deref()), (Status::Excepted, "Ada", Some("SEC-1")));
    assert_eq!((note.reason.as_str(), note.expires.as_deref()), ("The old scanner needs it.", Some("2027-01-31")));
}

#[test]
fn the_score_does_not_count_what_is_excepted_as_passed() {
    let exceptions = Exceptions::load(TWO, "e.yaml", &embedded()).unwrap();
    let mut report = report(vec![finding("3.2.2", Status::Fail), finding("3.2.4", Status::Pass)]);
    exceptions.apply(&mut report, &NodeScope::default(), 0);
    let counts = report.policies[0].counts;
    assert_eq!((counts.excepted, counts.fail, counts.score(), counts.coverage()), (1, 0, Some(50), Some(100)));
}

#[test]
fn a_mistake_names_its_line() {
    let unknown = refused("cis-eks-1.8.0/3.2.1", "cis-eks-1.8.0/3.2.11");
    assert!(unknown.starts_with("e.yaml:2:"), "{unknown}");
    assert!(
        unknown.ends_with("no policy has a control `cis-eks-1.8.0/3.2.11`; did you mean `cis-eks-1.8.0/3.2.1`?"),
        "{unknown}"
    );
    let bad_day = refused("2027-01-31", "2027-02-30");
    assert!(
        bad_day.starts_with("e.yaml:7:") && bad_day.contains("exceptions[0].expires: `2027-02-30` is no day"),
        "{bad_day}"
    );
    let once = refused("    permanent: true\n", "");
    assert!(once.starts_with("e.yaml:11:") && once.contains("goes with `permanent: true` alone"), "{once}");
    let both = refused("expires: 2027-01-31\n", "expires: 2027-01-31\n    permanent: true\n");
    assert!(both.contains("exceptions[0].permanent: is true, and the exception expires"), "{both}");
    assert!(refused("owner: Ada", "owner: ''").contains("e.yaml:5:"));
    assert!(refused("reason:", "reasons:").contains("did you mean `reason`?"));
    let twice = refused(
        "    reason: Always.",
        "    reason: Always.\n    owner: Bob\n    expires: never\n    permanent: true\n  - control: cis-eks-1.8.0/3.2.2\n    reason: Again.",
    );
    assert!(twice.contains("exceptions[2].control: has another exception for the same nodes"), "{twice}");
}

#[test]
fn no_exceptions_change_nothing() {
    let mut before = report(vec![finding("3.2.1", Status::Fail)]);
    let same = before.clone();
    Exceptions::default().apply(&mut before, &NodeScope::default(), 0);
    assert_eq!(before, same);
}
