//! A Debian on disk, before anything boots from it: what a pipeline that builds images looks at.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use safeguard_checks::{Change, Report, Status};
use serde::Deserialize;

use super::debian::{Debian, Hardening, check};
use crate::program::agent;
use safeguard_tests::parts::{Part, here};

const BUILD: [&str; 2] = ["--phase", "build"];

/// What only a running host has: these controls decide nothing about an image.
const OF_RUNNING_HOSTS: [&str; 14] = [
    "cis-kubernetes-1.12-worker/4.1.3",
    "cis-kubernetes-1.12-worker/4.1.4",
    "cis-kubernetes-1.12-worker/4.3.1",
    "eks-node-hardening/KUB-02",
    "eks-node-hardening/KUB-03",
    "eks-node-hardening/KUB-10",
    "eks-node-hardening/NET-01",
    "eks-node-hardening/NET-02",
    "eks-node-hardening/NET-03",
    "eks-node-hardening/NET-04",
    "eks-node-hardening/NET-05",
    "eks-node-hardening/IMD-01",
    "eks-node-hardening/IMD-02",
    "eks-node-hardening/OPS-02",
];

/// What `check diff --format json` prints.
#[derive(Debug, Deserialize)]
struct Diff {
    changes: Vec<Change>,
    coverage_drops: Vec<serde_json::Value>,
}

fn diff(debian: &Debian, old: &Report, new: &Report) -> Diff {
    let [before, after] = ["old.json", "new.json"].map(|name| debian.beside(name));
    fs::write(&before, serde_json::to_vec(old).unwrap()).unwrap();
    fs::write(&after, serde_json::to_vec(new).unwrap()).unwrap();
    let mut program = Command::new(agent());
    program.args(["check", "diff", "--format", "json"]).args([&before, &after]);
    let output = program.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn statuses(report: &Report) -> BTreeMap<String, Status> {
    report.findings().map(|(policy, finding)| (format!("{policy}/{}", finding.control), finding.status)).collect()
}

fn of(report: &Report, status: Status) -> Vec<String> {
    statuses(report).into_iter().filter(|(_, s)| *s == status).map(|(control, _)| control).collect()
}

fn scores(report: &Report) -> Vec<Option<u32>> {
    report.policies.iter().map(|p| p.counts.score()).collect()
}

/// Each step of the script mends the controls that it is for and changes nothing else, and no score falls.
#[test]
fn scores_rise_step_by_step_and_diff_names_what_the_step_was_for() {
    if !here("checks::image::scores_rise_step_by_step_and_diff_names_what_the_step_was_for", Part::Debian) {
        return;
    }
    let (debian, hardening) = (Debian::untouched(), Hardening::read());
    let untouched = check(&debian.root(), &BUILD);
    assert!(untouched.findings().all(|(_, f)| f.control != "3.2.1" || f.status == Status::NotApplicable), "no kubelet");
    debian.put(&hardening.node);
    let mut before = check(&debian.root(), &BUILD);
    for step in &hardening.steps {
        debian.put(&step.files);
        let after = check(&debian.root(), &BUILD);
        let diff = diff(&debian, &before, &after);
        let said: Vec<_> = diff.changes.iter().map(|c| (c.control.clone(), c.from, c.to)).collect();
        let mended = |(policy, controls): (&String, &Vec<String>)| {
            let mended = |id: &String| (format!("{policy}/{id}"), Some(Status::Fail), Some(Status::Pass));
            controls.iter().map(mended).collect::<Vec<_>>()
        };
        let wanted: Vec<_> = step.mends.iter().flat_map(mended).collect();
        assert_eq!(said, wanted, "{}: {:#?}", step.step, diff.changes);
        assert!(diff.coverage_drops.is_empty(), "{}: {:?}", step.step, diff.coverage_drops);
        let (old, new) = (scores(&before), scores(&after));
        assert!(old.iter().zip(&new).all(|(old, new)| old <= new) && old != new, "{}: {old:?} {new:?}", step.step);
        before = after;
    }
    // nodeadm cannot do without the flag; the shipped exceptions say so.
    assert_eq!(of(&before, Status::Fail), ["cis-kubernetes-1.12-worker/4.2.7"]);
    assert_eq!(scores(&before), [Some(100), Some(95), Some(100)]);
}

/// What a dead host cannot have is said to be so. Above all, nothing passes because there is no `/proc` to speak against it.
#[test]
fn an_image_is_not_asked_what_only_a_running_host_knows() {
    if !here("checks::image::an_image_is_not_asked_what_only_a_running_host_knows", Part::Debian) {
        return;
    }
    let debian = Debian::hardened();
    assert_eq!(fs::read_dir(debian.at("/proc")).unwrap().count(), 0, "nothing is mounted there");
    let image = check(&debian.root(), &BUILD);
    assert_eq!(image, renamed(check(&debian.root(), &[]), image.started_ms), "what has no PID 1 is taken for an image");
    for (policy, finding) in image.findings() {
        if OF_RUNNING_HOSTS.contains(&format!("{policy}/{}", finding.control).as_str()) {
            let reason = finding.reason.clone().unwrap_or_default();
            assert_eq!(finding.status, Status::NotApplicable, "{finding:#?}");
            assert!(reason.contains("not applicable in this phase"), "{reason}");
        }
        let proc = finding.evidence.iter().find(|e| Path::new(&e.source).starts_with("/proc"));
        assert_eq!(proc, None, "{}", finding.id);
    }

    // Said to be running, the same directory is a host of which hardly anything can be seen.
    let blind = check(&debian.root(), &["--phase", "run"]);
    let passed = of(&image, Status::Pass);
    let more: Vec<String> = of(&blind, Status::Pass).into_iter().filter(|control| !passed.contains(control)).collect();
    assert_eq!(more, Vec::<String>::new(), "these pass only because /proc is empty");
    let blind = statuses(&blind);
    for control in OF_RUNNING_HOSTS.iter().filter(|control| !control.ends_with("IMD-02")) {
        assert_eq!(blind[*control], Status::Unknown, "{control}");
    }
    for control in ["SYS-01", "SYS-03", "SYS-04", "KRN-01", "KRN-08", "KRN-13", "MNT-02", "MNT-04", "OPS-03", "OPS-05"]
    {
        assert_eq!(blind[&format!("eks-node-hardening/{control}")], Status::Unknown, "{control}");
    }
}

fn renamed(mut report: Report, started_ms: i64) -> Report {
    report.started_ms = started_ms;
    report
}
