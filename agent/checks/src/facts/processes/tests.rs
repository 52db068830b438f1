use proptest::prelude::*;

use super::*;
use crate::fixture::Fixture;

/// A host with PID 1 and a process.
fn host(pid: u32, comm: &str) -> Fixture {
    let fixture = Fixture::new();
    fixture.file("/proc/1/comm", "systemd\n").file(&format!("/proc/{pid}/comm"), format!("{comm}\n"));
    fixture.file("/proc/self_is_no_number/comm", "kubelet\n");
    fixture
}

const RUNS: &str = "process: {name: kubelet, running: true}";
const IDLE: &str = "process: {name: kubelet, running: false}";

#[test]
fn a_process_runs_or_not() {
    let fixture = host(812, "kubelet");
    let verdict = fixture.holds(RUNS);
    assert_eq!(verdict.evidence[0].source, "process 812");
    fixture.fails(IDLE);
    let fixture = host(812, "kube-proxy");
    fixture.fails(RUNS);
    fixture.holds(IDLE);
}

/// lynis#1067.
#[test]
fn a_process_of_a_container_is_not_the_hosts() {
    for cgroup in [
        "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice/cri-containerd-ab.scope\n",
        "11:pids:/kubepods/besteffort/pod1/ab\n1:name=systemd:/kubepods/besteffort/pod1/ab\n",
        "0::/system.slice/docker-ab.scope\n",
        "0::/docker/ab\n",
    ] {
        let fixture = host(812, "kubelet");
        fixture.file("/proc/812/cgroup", cgroup);
        fixture.holds(IDLE);
    }
    let fixture = host(812, "kubelet");
    fixture.file("/proc/812/status", "Name:\tkubelet\nState:\tS (sleeping)\nNSpid:\t812\t7\n");
    fixture.holds(IDLE);
    let fixture = host(812, "kubelet");
    fixture
        .file("/proc/812/status", "State:\tS (sleeping)\nNSpid:\t812\n")
        .file("/proc/812/cgroup", "0::/runtime.slice/kubelet.service\n");
    fixture.holds(RUNS);
}

#[test]
fn a_zombie_does_not_run() {
    let fixture = host(812, "kubelet");
    fixture.file("/proc/812/status", "State:\tZ (zombie)\nNSpid:\t812\n");
    fixture.holds(IDLE);
}

#[test]
fn long_names_are_told_apart() {
    let fixture = host(7, "containerd-shim");
    fixture.link("/proc/7/exe", "/usr/bin/containerd-shim-runc-v2 (deleted)");
    fixture.holds("process: {name: containerd-shim-runc-v2, running: true}");
    fixture.holds("process: {name: containerd-shim-kata-v2, running: false}");
    let fixture = host(7, "systemd-resolve");
    fixture.file("/proc/7/cmdline", "/usr/lib/systemd/systemd-resolved\0");
    fixture.holds("process: {name: systemd-resolved, running: true}");
}

#[test]
fn what_is_hidden_may_run() {
    // `hidepid=2` lists no process but one's own.
    let fixture = Fixture::new();
    fixture.file("/proc/99/comm", "agent\n");
    assert!(fixture.unknown(IDLE).contains("cannot be seen"));
    fixture.unknown(RUNS);
    // A directory in place of the name cannot be read: as good as no permission.
    let fixture = host(812, "x");
    fixture.dir("/proc/813/comm");
    fixture.unknown(IDLE);
    // What was found was found.
    fixture.file("/proc/814/comm", "kubelet\n");
    fixture.holds(RUNS);
    fixture.fails(IDLE);
    assert!(Fixture::new().unknown(RUNS).contains("/proc"));
}

#[test]
fn a_process_that_ended_is_none() {
    let fixture = host(812, "x");
    fixture.dir("/proc/813");
    fixture.holds(IDLE);
}

#[test]
fn the_dead_have_no_processes() {
    assert!(Fixture::dead().not_applicable(RUNS).contains("not running"));
}

proptest! {
    #[test]
    fn never_panics(text in "[0-9:/a-z\n.-]{0,80}") {
        prop_assert!(!is_of_container(&text) || text.contains(':'));
    }
}
