use super::*;

/// A finding of the policy `test`.
pub(super) fn finding(control: &str, status: Status) -> Finding {
    Finding {
        id: format!("node-1/test/{control}"),
        control: control.to_owned(),
        title: format!("Control {control}"),
        level: 1,
        assessment: Assessment::Automated,
        severity: Severity::High,
        status,
        reason: matches!(status, Status::Unknown | Status::NotApplicable | Status::Manual)
            .then(|| "because of <this> & \"that\"".to_owned()),
        unobserved: None,
        evidence: match status {
            Status::Pass => vec![Evidence::new("/etc/a", "mode 0600", "mode 0600 or stricter", true)],
            Status::Fail => vec![
                Evidence::new("/etc/a", "mode 0600", "mode 0600 or stricter", true),
                Evidence::new("/etc/b", "mode 0666", "mode 0600 or stricter", false),
            ],
            _ => Vec::new(),
        },
        exception: None,
        remedy: None,
    }
}

/// A report of the policy `test`.
pub(super) fn report(findings: Vec<Finding>) -> Report {
    let counts = findings.iter().map(|f| f.status).collect();
    let (policy, title) = ("test".to_owned(), "A policy".to_owned());
    let policy = PolicyReport { policy, version: "1.0.0".to_owned(), title, digest: "d1".to_owned(), findings, counts };
    Report { version: 1, node: "node-1".to_owned(), phase: Phase::Run, started_ms: 0, policies: vec![policy] }
}

#[test]
fn what_could_not_be_observed_counts_neither_as_decided_nor_as_passed() {
    let all = [
        Status::Pass,
        Status::Pass,
        Status::Fail,
        Status::Excepted,
        Status::Unknown,
        Status::Manual,
        Status::NotApplicable,
        Status::NotApplicable,
    ];
    let counts: Counts = all.into_iter().collect();
    assert_eq!((counts.all(), counts.applicable(), counts.decided()), (8, 6, 4));
    assert_eq!((counts.coverage(), counts.score()), (Some(66), Some(40)));
    assert_eq!((Counts::default().coverage(), Counts::default().score()), (None, None));
}

#[test]
fn a_report_comes_back_from_json_as_it_was() {
    let all = [Status::Pass, Status::Fail, Status::Unknown, Status::Manual, Status::NotApplicable, Status::Excepted];
    let report = report(all.iter().enumerate().map(|(i, s)| finding(&i.to_string(), *s)).collect());
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
}
