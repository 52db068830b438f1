//! Every shipped control: on a node where it holds, on one where it does not, and on one where it cannot be observed.
//!
//! `fixtures/node.yaml` is a hardened node, on which all pass, and `stock.yaml` what has to be changed to have one that nobody hardened. `fixtures/cases/*.yaml` say for each control what changes there, and
//! what becomes of the control then.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::disallowed_methods, reason = "a test writes the hosts that it looks at")]

mod host;

use std::collections::{BTreeMap, BTreeSet};

use safeguard_checks::policy::embedded;
use safeguard_checks::{Assessment, Control, Exceptions, Finding, NodeScope, Phase, Policy, Report, Status};
use serde::Deserialize;

use host::{Change, Hardened, fixture, fixtures};

/// The cases of one control: what changes, by a name that says what that is.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Cases {
    /// What becomes of it on the hardened node itself, if it does not pass there.
    node: Option<Status>,
    pass: BTreeMap<String, Change>,
    fail: BTreeMap<String, Change>,
    unknown: BTreeMap<String, Change>,
    not_applicable: BTreeMap<String, Change>,
}

/// All cases by `POLICY/CONTROL`.
fn cases() -> BTreeMap<String, Cases> {
    let mut all = BTreeMap::new();
    for policy in embedded() {
        for (id, cases) in fixture::<BTreeMap<String, Cases>>(&format!("cases/{}.yaml", policy.policy)) {
            all.insert(format!("{}/{id}", policy.policy), cases);
        }
    }
    let files = std::fs::read_dir(fixtures().join("cases")).unwrap().count();
    assert_eq!(files, embedded().len(), "each policy has one file of cases, and no file is left over");
    all
}

fn controls(policies: &[Policy]) -> impl Iterator<Item = (String, &Policy, &Control)> {
    policies.iter().flat_map(|policy| {
        policy.controls.iter().map(move |control| (format!("{}/{}", policy.policy, control.id), policy, control))
    })
}

fn has_evidence(finding: &Finding, holds: bool) -> bool {
    finding.evidence.iter().any(|evidence| evidence.holds == Some(holds))
}

/// What is wrong with what became of a control.
fn wrong(finding: &Finding, status: Status) -> Option<String> {
    let explained = match status {
        Status::Pass => has_evidence(finding, true),
        Status::Fail => has_evidence(finding, false),
        Status::Unknown => finding.unobserved.as_ref().is_some_and(|why| !why.message.is_empty()),
        _ => finding.reason.as_ref().is_some_and(|why| !why.is_empty()),
    };
    if finding.status == status && explained {
        return None;
    }
    let evidence = finding.evidence.iter().map(|e| format!("{}: {} ({})", e.source, e.observed, e.expected));
    let evidence = evidence.collect::<Vec<_>>().join("; ");
    Some(format!("{:?} and not {status:?}: {} [{evidence}]", finding.status, finding.reason.as_deref().unwrap_or("-")))
}

/// A node that is as hard as the policies ask passes all of them: no two ask for opposites.
#[test]
fn the_hardened_node_passes_every_control() {
    let (host, policies, cases) = (Hardened::new(), embedded(), cases());
    if !host.is_root("the_hardened_node_passes_every_control") {
        return;
    }
    let mut problems = Vec::new();
    for (id, policy, control) in controls(&policies) {
        let wanted = cases.get(&id).and_then(|cases| cases.node).unwrap_or(Status::Pass);
        let finding = host.with(&Change::default(), Phase::Run, policy, control);
        problems.extend(wrong(&finding, wanted).map(|problem| format!("{id}: {problem}")));
    }
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
fn each_case_ends_as_it_says() {
    let (host, policies, cases) = (Hardened::new(), embedded(), cases());
    if !host.is_root("each_case_ends_as_it_says") {
        return;
    }
    let mut problems = Vec::new();
    for (id, policy, control) in controls(&policies) {
        let Some(cases) = cases.get(&id) else { continue };
        let by_status = [
            (Status::Pass, &cases.pass),
            (Status::Fail, &cases.fail),
            (Status::Unknown, &cases.unknown),
            (Status::NotApplicable, &cases.not_applicable),
        ];
        for (status, changes) in by_status {
            for (name, change) in changes {
                let finding = host.with(change, Phase::Run, policy, control);
                problems.extend(wrong(&finding, status).map(|problem| format!("{id}: {name}: {problem}")));
            }
        }
    }
    assert!(problems.is_empty(), "{problems:#?}");
}

/// A control that was never seen to fail, or never seen in the dark, is not known to work.
#[test]
fn no_automated_control_is_without_cases() {
    let (policies, mut cases) = (embedded(), cases());
    let mut lacking = BTreeSet::new();
    for (id, _, control) in controls(&policies) {
        let decided = control.assessment == Assessment::Automated || control.check.is_some();
        let cases = cases.remove(&id).unwrap_or_default();
        if decided && (cases.fail.is_empty() || cases.unknown.is_empty()) {
            lacking.insert(id);
        }
    }
    assert!(lacking.is_empty(), "without a case that fails and one that is unknown: {lacking:#?}");
    assert!(cases.is_empty(), "cases of controls that do not exist: {:#?}", cases.keys());
}

/// What research found that a node of AL2023 has which nobody hardened: all of the EKS benchmark passes, and of the worker's
/// benchmark these fail. The shipped exceptions cover the one that cannot be mended.
#[test]
fn a_stock_node_fails_exactly_what_can_be_hardened() {
    let (host, policies) = (Hardened::new(), embedded());
    if !host.is_root("a_stock_node_fails_exactly_what_can_be_hardened") {
        return;
    }
    let stock: Change = fixture("stock.yaml");
    let benchmarks = policies.iter().filter(|policy| policy.policy.starts_with("cis-"));
    let mut report = host.report(&stock, Phase::Run, &benchmarks.cloned().collect::<Vec<_>>());
    let with = |report: &Report, status| -> Vec<String> {
        let findings = report.policies.iter().flat_map(|policy| &policy.findings);
        findings.filter(|finding| finding.status == status).map(|finding| finding.control.clone()).collect()
    };
    assert_eq!(with(&report, Status::Fail), ["4.1.1", "4.1.5", "4.1.9", "4.2.7", "4.2.12", "4.2.13", "4.2.14"]);
    assert_eq!(with(&report, Status::Unknown), [""; 0]);
    assert_eq!(with(&report, Status::NotApplicable), ["4.1.3", "4.1.4"]);
    let now_ms = report.started_ms;
    Exceptions::eks().apply(&mut report, &NodeScope::default(), now_ms);
    assert_eq!(with(&report, Status::Excepted), ["4.2.7"]);
    let eks = report.policies.first().unwrap();
    assert_eq!((eks.counts.pass, eks.counts.score(), eks.counts.coverage()), (13, Some(100), Some(100)));
}

/// An image is judged by what is on its disk. What only a running host has is not applicable, and never a failure.
#[test]
fn a_dead_image_of_the_hardened_node_has_nothing_that_fails() {
    let (host, policies) = (Hardened::new(), embedded());
    if !host.is_root("a_dead_image_of_the_hardened_node_has_nothing_that_fails") {
        return;
    }
    let mut problems = Vec::new();
    let mut decided = 0;
    for (id, policy, control) in controls(&policies) {
        let finding = host.with(&Change::default(), Phase::Build, policy, control);
        match finding.status {
            Status::Pass => decided += 1,
            Status::NotApplicable => {}
            other => problems.push(format!("{id}: {other:?}: {:?} {:?}", finding.reason, finding.evidence)),
        }
    }
    assert!(problems.is_empty(), "{problems:#?}");
    assert!(decided > 90, "only {decided} controls are decided on a dead image");
}
