//! A pod that sees the host's root at `/host`, read-only, as the agent does when it runs as a DaemonSet.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safeguard_checks::{Cause, Finding, Report, Status};
use safeguard_tests::containerd::{Containerd, Network, Settings};
use safeguard_tests::fabric::{Fabric, Place, Wiring};

use super::debian::check;
use crate::program::agent;
use safeguard_tests::parts::{Part, here};

const UID: &str = "11111111-2222-3333-4444-555555555555";

/// What the image of the agent brings: here it is the host's.
fn mounts() -> Vec<(PathBuf, String)> {
    let own = ["/lib", "/lib64", "/usr/lib"].iter().filter(|dir| Path::new(dir).exists());
    let own = own.map(|dir| (PathBuf::from(dir), (*dir).to_owned()));
    own.chain([(PathBuf::from("/"), "/host".to_owned()), (agent(), "/safeguard-agent".to_owned())]).collect()
}

/// What the program says in a pod of this kind.
async fn in_a_pod(settings: Settings) -> Report {
    let dir = tempfile::tempdir().unwrap();
    let containerd = Containerd::start_with(dir.path(), &Settings { mounts: mounts(), ..settings }).await.unwrap();
    let pod = containerd.run_pod("kube-system", "safeguard", UID, &dir.path().join("pods")).await.unwrap();
    let line =
        "/safeguard-agent check --root /host --format json --node node-1 --no-eks-exceptions; e=$?; sleep 1; exit $e";
    let container = containerd.run_container(&pod, "agent", 0, &["sh", "-c", line]).await.unwrap();
    let exit = containerd.wait_exit(&container).await.unwrap();
    let log = std::fs::read_to_string(container.log_path()).unwrap();
    // Time, stream and tag come before what was written.
    let said: Vec<&str> = log.lines().filter_map(|line| line.splitn(4, ' ').nth(3)).collect();
    assert!(exit == 0 || exit == 1, "{exit}: {}", said.join("\n"));
    containerd.stop().await.unwrap();
    serde_json::from_str(&said.concat()).unwrap_or_else(|error| panic!("{error}: {}", said.join("\n")))
}

fn findings(report: &Report) -> BTreeMap<String, &Finding> {
    report.findings().map(|(policy, finding)| (format!("{policy}/{}", finding.control), finding)).collect()
}

/// Whether it is unknown because something of the host cannot be seen from here.
fn is_hidden(finding: &Finding) -> bool {
    let cause = finding.unobserved.as_ref().map(|why| why.cause);
    finding.status == Status::Unknown && matches!(cause, Some(Cause::Namespace | Cause::Permission))
}

/// Control by control the pod says what the host says, or that it cannot tell.
fn says_the_same_as_the_host(pod: &Report) {
    let host = check(Path::new("/"), &[]);
    assert_eq!(pod.phase, host.phase, "the host that runs is seen to run");
    let (pod, host) = (findings(pod), findings(&host));
    assert!(pod.keys().eq(host.keys()));
    let hidden: Vec<_> =
        pod.iter().filter(|(name, f)| is_hidden(f) && !is_hidden(host[*name])).map(|(n, _)| n).collect();
    let different = pod.iter().filter(|(name, f)| f.status != host[*name].status && !is_hidden(f));
    let different: Vec<_> = different.map(|(name, finding)| (name, &host[name], finding)).collect();
    assert!(different.is_empty(), "{different:#?}");
    // Most of what is asked is in files, and those are all here.
    assert!(hidden.len() < pod.len() / 3, "{hidden:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_with_the_namespaces_of_the_host_says_the_same() {
    if here("checks::pod::a_pod_with_the_namespaces_of_the_host_says_the_same", Part::Containerd) {
        says_the_same_as_the_host(&in_a_pod(Settings { host_pid: true, ..Settings::default() }).await);
    }
}

/// Without `hostPID` the host's processes are still in the `/proc` of the host's root.
#[tokio::test(flavor = "multi_thread")]
async fn a_pod_with_processes_of_its_own_says_the_same_or_that_it_cannot_tell() {
    if here("checks::pod::a_pod_with_processes_of_its_own_says_the_same_or_that_it_cannot_tell", Part::Containerd) {
        says_the_same_as_the_host(&in_a_pod(Settings::default()).await);
    }
}

/// osquery/osquery#6056: `/proc/sys/net` has the values of whoever reads it, which here are the pod's.
#[tokio::test(flavor = "multi_thread")]
async fn without_host_network_nothing_is_said_of_the_hosts_network() {
    const TEST: &str = "checks::pod::without_host_network_nothing_is_said_of_the_hosts_network";
    if !here(TEST, Part::Network) || !here(TEST, Part::Containerd) || !here(TEST, Part::BridgePlugin) {
        return;
    }
    let (dir, fabric) = (tempfile::tempdir().unwrap(), Fabric::build(Wiring::Bridge, 0).unwrap());
    let network = Network {
        namespace: fabric.path(Place::Node),
        results: dir.path().join("cni"),
        bridge: "cni0".to_owned(),
        subnet: "10.244.0.0/24".to_owned(),
    };
    let report = in_a_pod(Settings { network: Some(network), host_pid: true, ..Settings::default() }).await;
    let of_the_network = ["SYS-01", "SYS-02", "KRN-01", "KRN-02", "KRN-03", "KRN-04", "KRN-05", "KRN-06", "KRN-07"];
    for control in of_the_network {
        let finding = findings(&report)[&format!("eks-node-hardening/{control}")];
        // What is on disk decides against it whatever holds now.
        assert!(is_hidden(finding) || finding.status == Status::Fail, "{finding:#?}");
        assert!(!finding.evidence.iter().any(|e| e.source.starts_with("/proc/sys: net.")), "{finding:#?}");
    }
}
