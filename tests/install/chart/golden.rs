//! What is rendered: as it was when somebody looked at it, and as Kubernetes takes it.

use std::path::Path;
use std::process::Command;

use safeguard_tests::helm::{KUBERNETES, chart, data, helm, objects, only, parse, template, values};
use safeguard_tests::moto::venv_program;
use safeguard_tests::parts::{Part, here};
use serde_json::json;

use super::{CASES, cases, is_as_made};

#[test]
fn helm_finds_nothing_to_say_against_the_charts() {
    if !here("chart::golden::helm_finds_nothing_to_say_against_the_charts", Part::Helm) {
        return;
    }
    for (name, case) in cases() {
        let (dir, file) = (chart(name), values(name, case));
        let output = helm(&["lint", "--strict", "--values", file.to_str().unwrap(), dir.to_str().unwrap()]);
        assert!(output.status.success(), "{name} {case}: {}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn each_case_renders_as_it_did() {
    if !here("chart::golden::each_case_renders_as_it_did", Part::Helm) {
        return;
    }
    for (name, case) in cases() {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("install/chart/golden/{name}/{case}.yaml"));
        is_as_made(&golden, &template(name, &values(name, case), &[]).unwrap());
    }
}

/// What `helm install` prints: whoever reads it knows what is on, what is not, and what to look at.
#[test]
fn the_notes_say_what_is_on() {
    if !here("chart::golden::the_notes_say_what_is_on", Part::Helm) {
        return;
    }
    let notes = |name: &str, case: &str| {
        let (dir, file) = (chart(name), values(name, case));
        let (dir, file) = (dir.to_str().unwrap(), file.to_str().unwrap());
        let output =
            helm(&["install", "safeguard", dir, "--namespace", "safeguard", "--dry-run=client", "--values", file]);
        let text = String::from_utf8(output.stdout).unwrap();
        let (_, notes) = text.split_once("\nNOTES:\n").expect("there are notes");
        let golden = format!("install/chart/golden/{name}/{case}.notes");
        is_as_made(&Path::new(env!("CARGO_MANIFEST_DIR")).join(golden), notes);
        notes.to_owned()
    };
    for (name, case) in cases() {
        notes(name, case);
    }
    let everything = notes("safeguard-agent", "everything");
    for part in ["heartbeat  on: https://safeguard.safeguard.svc", "namespaces report", "sandbox, dev-*", "every 30s"] {
        assert!(everything.contains(part), "{part} is not in {everything}");
    }
    let least = notes("safeguard-agent", "logs-alone");
    assert!(least.contains("checks     OFF") && !least.contains("explain"), "{least}");
    assert!(notes("safeguard", "default").contains("NONE: no node can enrol"));
}

#[test]
fn kubernetes_takes_every_object() {
    if !here("chart::golden::kubernetes_takes_every_object", Part::Helm) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // What the charts say that they need, and the latest that helm was built for.
    for version in ["1.30.0", KUBERNETES] {
        for (name, case) in cases() {
            let file = dir.path().join(format!("{name}-{case}.yaml"));
            std::fs::write(&file, template(name, &values(name, case), &["--kube-version", version]).unwrap()).unwrap();
            let mut validate = Command::new(venv_program("kubernetes-validate").unwrap());
            let output = validate.args(["--strict", "--kubernetes-version", version]).arg(&file).output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{name} {case}: {said}");
            let passed = said.lines().filter(|line| line.contains(" passed ")).count();
            assert_eq!(passed, objects(name, case).len(), "each object was looked at: {said}");
        }
    }
}

/// Pods are not replaced for a setting of which they know nothing.
#[test]
fn a_setting_that_changes_rolls_the_pods() {
    if !here("chart::golden::a_setting_that_changes_rolls_the_pods", Part::Helm) {
        return;
    }
    for (name, kind, set, unrelated) in [
        ("safeguard-agent", "DaemonSet", "agent.settings.logs.format=raw", "maxUnavailable=2"),
        ("safeguard-agent", "DaemonSet", "agent.exceptions=exceptions: []", "rbac.create=false"),
        ("safeguard-agent", "DaemonSet", "proxy.settings.roles.namespace_policy=report", "maxUnavailable=3"),
        ("safeguard", "StatefulSet", "settings.nodes.interval=2m", "service.port=444"),
    ] {
        let pod = |arguments: &[&str]| {
            let text = template(name, &values(name, "default"), arguments).unwrap();
            only(&parse(&text), kind)["spec"]["template"].clone()
        };
        assert_ne!(pod(&["--set", set]), pod(&[]), "{set}");
        assert_eq!(pod(&["--set", unrelated]), pod(&[]), "{unrelated}");
    }
}

/// Where the AMI brings the units, the pods stay off.
#[test]
fn nodes_with_the_units_are_left_alone() {
    if !here("chart::golden::nodes_with_the_units_are_left_alone", Part::Helm) {
        return;
    }
    for (case, key) in [("default", "safeguard.io/units"), ("units", "example.com/image")] {
        let objects = objects("safeguard-agent", case);
        let affinity = &only(&objects, "DaemonSet")["spec"]["template"]["spec"]["affinity"]["nodeAffinity"];
        let terms = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"].as_array().unwrap();
        // A second term would be an "or".
        assert_eq!(terms.len(), 1);
        let wanted = json!({"key": key, "operator": "NotIn", "values": ["true"]});
        assert!(terms[0]["matchExpressions"].as_array().unwrap().contains(&wanted), "{terms:?}");
    }
}

/// Draining takes up to `agent.shutdown_grace`; whoever raises the one raises the other.
#[test]
fn pods_have_longer_to_end_than_they_take() {
    if !here("chart::golden::pods_have_longer_to_end_than_they_take", Part::Helm) {
        return;
    }
    let objects = objects("safeguard-agent", "default");
    let seconds = only(&objects, "DaemonSet")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"].as_u64();
    let grace = safeguard_agent::Settings::default().agent.shutdown_grace.0.as_secs();
    assert!(seconds.unwrap() > grace + 10, "{seconds:?} for {grace} s");
    assert!(!data(&objects, "agent.toml").unwrap().contains("shutdown_grace"));
}

#[test]
fn the_charts_have_the_version_of_the_programs() {
    for (name, _) in CASES {
        let text = std::fs::read_to_string(chart(name).join("Chart.yaml")).unwrap();
        let chart: serde_json::Value = serde_yaml_ng::from_str(&text).unwrap();
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!((chart["version"].as_str(), chart["appVersion"].as_str()), (Some(version), Some(version)), "{name}");
    }
}

/// Helm has no way for two charts to share a template without a third.
#[test]
fn both_charts_write_toml_in_the_same_way() {
    let read = |name| std::fs::read_to_string(chart(name).join("templates/_toml.tpl")).unwrap();
    assert_eq!(read("safeguard"), read("safeguard-agent"));
}
