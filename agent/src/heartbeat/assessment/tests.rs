use safeguard_checks::continuous::Occasion;
use safeguard_checks::policy::Severity;
use safeguard_checks::{Counts as Counted, Finding, Phase, PolicyReport};

use super::*;

fn finding(control: &str, status: Status, severity: Severity) -> Finding {
    Finding {
        id: format!("node/eks/{control}"),
        control: control.to_owned(),
        title: "title".to_owned(),
        level: 1,
        assessment: safeguard_checks::Assessment::Automated,
        severity,
        status,
        reason: None,
        unobserved: None,
        evidence: Vec::new(),
        exception: None,
        remedy: None,
    }
}

fn snapshot(finished_ms: i64, findings: Vec<Finding>) -> CheckSnapshot {
    let report = Report {
        version: 1,
        node: "node".to_owned(),
        phase: Phase::Run,
        started_ms: finished_ms - 5,
        policies: vec![PolicyReport {
            policy: "eks".to_owned(),
            version: "1".to_owned(),
            title: "EKS".to_owned(),
            digest: "0".repeat(64),
            counts: findings.iter().map(|f| f.status).collect::<Counted>(),
            findings,
        }],
    };
    CheckSnapshot { report, finished_ms, took_us: 1, because: Occasion::Start, problems: Vec::new(), days: Vec::new() }
}

#[test]
fn only_what_fails_and_is_critical_makes_a_node_non_compliant() {
    let found = Assessed::of(
        &snapshot(
            100,
            vec![
                finding("1", Status::Fail, Severity::Critical),
                finding("2", Status::Unknown, Severity::Critical),
                finding("3", Status::Excepted, Severity::Critical),
                finding("4", Status::Fail, Severity::High),
                finding("5", Status::Pass, Severity::Low),
            ],
        ),
        None,
    );
    let assessment = &found.assessment;
    assert_eq!(assessment.critical, ["eks/1"]);
    assert_eq!((assessment.counts.fail, assessment.counts.unknown, assessment.counts.excepted), (2, 1, 1));
    assert_eq!((assessment.started_at_ms, assessment.finished_at_ms), (95, 100));
    assert_eq!(found.excepted.0, 1);
    assert_eq!(found.policies[0].id, "eks");
    assert!(assessment.changed.is_empty(), "nothing is known of before");
}

#[test]
fn the_same_result_is_the_same_report_whenever_it_was_found() {
    let same = |at| Assessed::of(&snapshot(at, vec![finding("1", Status::Pass, Severity::Low)]), None);
    let (one, other) = (same(100), same(900));
    assert_eq!(one.assessment.report, other.assessment.report);
    assert_eq!(one.assessment.report, Digest::of(&one.report));
}

#[test]
fn what_changed_is_named_and_what_got_worse_first() {
    let of = |statuses: [Status; 3], before: Option<&Assessed>| {
        let findings = ["1", "2", "3"].into_iter().zip(statuses).map(|(id, s)| finding(id, s, Severity::High));
        Assessed::of(&snapshot(100, findings.collect()), before)
    };
    let before = of([Status::Fail, Status::Pass, Status::Pass], None);
    let now = of([Status::Pass, Status::Fail, Status::Pass], Some(&before));
    let changed: Vec<_> = now.assessment.changed.iter().map(|c| (c.control.as_str(), c.from, c.to)).collect();
    let (pass, fail) = (Some(Verdict::Pass), Some(Verdict::Fail));
    assert_eq!(changed, [("eks/2", pass, fail), ("eks/1", fail, pass)]);
    let many = |status| {
        let findings = (0..40).map(|n| finding(&n.to_string(), status, Severity::Critical)).collect();
        snapshot(100, findings)
    };
    let before = Assessed::of(&many(Status::Pass), None);
    let now = Assessed::of(&many(Status::Fail), Some(&before)).assessment;
    assert_eq!((now.changed.len(), now.changed_more, now.critical.len(), now.critical_more), (16, 24, 16, 24));
}
