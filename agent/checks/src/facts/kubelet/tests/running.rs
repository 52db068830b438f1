//! What the kubelet says of itself, and several kubelets.

use serde_json::json;

use super::*;

/// A node whose kubelet says this of itself.
fn says(fixture: Fixture, configuration: serde_json::Value) -> Fixture {
    let mut fixture = fixture;
    fixture.inputs.configz = Some(Ok(json!({ "kubeletconfig": configuration })));
    fixture
}

fn stock() -> serde_json::Value {
    let mut configuration: serde_json::Value = serde_json::from_str(NODEADM).unwrap();
    let map = configuration.as_object_mut().unwrap();
    map.retain(|key, _| !matches!(key.as_str(), "kind" | "apiVersion" | "readOnlyPort"));
    map.extend(
        json!({"streamingConnectionIdleTimeout": "4h0m0s", "eventRecordQPS": 50, "podPidsLimit": -1, "maxPods": 110,
               "enforceNodeAllocatable": ["pods"], "memoryThrottlingFactor": 0.9, "cpuCFSQuotaPeriod": "100ms"})
        .as_object()
        .unwrap()
        .clone(),
    );
    configuration
}

#[test]
fn what_runs_is_what_is_configured() {
    let fixture = says(nodeadm(""), stock());
    for predicate in [ANONYMOUS, MODE, READ_ONLY, IDLE, ROTATE, "kubelet_drift: {}"] {
        fixture.holds(predicate);
    }
    assert_eq!(source(&fixture, ANONYMOUS), "/configz");
    // What it left at its default was not set by anybody.
    fixture.fails("kubelet: {setting: podPidsLimit, value: {set: true}}");
    fixture.holds("kubelet: {setting: clusterDomain, value: {set: true}}");
    fixture.fails("kubelet: {setting: --hostname-override, value: {set: false}}");
}

#[test]
fn what_runs_decides_and_the_difference_is_seen() {
    let mut running = stock();
    running["authentication"]["anonymous"]["enabled"] = json!(true);
    running["featureGates"]["Other"] = json!(true);
    let fixture = says(nodeadm(""), running);
    let verdict = fixture.fails(ANONYMOUS);
    assert_eq!((verdict.evidence[1].source.as_str(), verdict.evidence[1].observed.as_str()), (CONFIG, "false"));
    let verdict = fixture.fails("kubelet_drift: {}");
    let named: Vec<_> = verdict.evidence.iter().map(|e| e.source.as_str()).collect();
    assert_eq!(named, ["/configz authentication.anonymous.enabled", "/configz featureGates.Other"]);
    assert_eq!(verdict.evidence[0].expected, format!("false, as in {CONFIG}"));
    assert!(verdict.evidence[1].expected.starts_with("not set, as in "), "{verdict:?}");
    // The file was changed since the kubelet was started.
    drop_in(&fixture, "40-a.conf", "podPidsLimit: 1024\nfeatureGates: {Other: false}\n");
    fixture.fails("kubelet: {setting: podPidsLimit, value: {at_least: 1}}");
    assert_eq!(fixture.fails("kubelet_drift: {}").evidence.len(), 3);
}

#[test]
fn drift_that_cannot_be_told() {
    assert!(nodeadm("").unknown("kubelet_drift: {}").contains("was not asked"));
    let mut fixture = nodeadm("");
    fixture.inputs.configz = Some(Err("403 Forbidden".to_owned()));
    assert_eq!(fixture.unknown("kubelet_drift: {}"), "/configz: 403 Forbidden");
    // The model still decides.
    fixture.holds(ANONYMOUS);
    let fixture = says(nodeadm(""), stock());
    fixture.without(CONFIG).unknown("kubelet_drift: {}");
    fixture.holds(ANONYMOUS);
    Fixture::dead().not_applicable("kubelet_drift: {}");
}

#[test]
fn an_answer_that_makes_no_sense_is_no_answer() {
    for body in [json!({}), json!([]), json!({"kubeletconfig": []}), json!({"kubeletconfig": {"readOnlyPort": "0"}})] {
        let mut fixture = nodeadm("");
        fixture.inputs.configz = Some(Ok(body));
        assert!(fixture.unknown(READ_ONLY).starts_with("/configz: "));
    }
}

#[test]
fn of_several_kubelets_none_is_taken() {
    let fixture = nodeadm("");
    fixture.file("/proc/900/comm", "kubelet\n").file("/proc/900/cmdline", "/usr/bin/kubelet\0--anonymous-auth=false\0");
    assert!(fixture.unknown(ANONYMOUS).contains("processes 812 and 900"));
    // One in a container is not the host's, and a zombie has no arguments.
    fixture.file("/proc/900/cgroup", "0::/kubepods.slice/x\n").holds(ANONYMOUS);
    fixture.file("/proc/900/cgroup", "0::/x\n").file("/proc/900/cmdline", "").holds(ANONYMOUS);
}

#[test]
fn the_version_is_found_and_its_defaults_are_taken() {
    let cgroups = "kubelet: {setting: failCgroupV1, value: {is: true}}";
    nodeadm("").fails(cgroups);
    let mut fixture = nodeadm("");
    fixture.inputs.kubelet_version = Some("v1.35.0".to_owned());
    fixture.holds(cgroups);
    assert_eq!(source(&fixture, cgroups), "default of kubelet 1.35");
    fixture.inputs.kubelet_version = Some("v1.20.0".to_owned());
    assert_eq!(source(&fixture, cgroups), "default of kubelet 1.20, modelled on 1.29");
}
