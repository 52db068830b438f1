//! Hosts as they are, and the defects of other tools as hosts.

mod defects;
mod layouts;
mod running;

use crate::fixture::Fixture;

/// What nodeadm writes on AL2023, as far as a rule asks for it.
const NODEADM: &str = r#"{
    "kind": "KubeletConfiguration",
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "address": "0.0.0.0",
    "authentication": {
        "anonymous": {"enabled": false},
        "webhook": {"cacheTTL": "2m0s", "enabled": true},
        "x509": {"clientCAFile": "/etc/kubernetes/pki/ca.crt"}
    },
    "authorization": {"mode": "Webhook", "webhook": {"cacheAuthorizedTTL": "5m0s", "cacheUnauthorizedTTL": "30s"}},
    "clusterDomain": "cluster.local",
    "readOnlyPort": 0,
    "cgroupDriver": "systemd",
    "featureGates": {"RotateKubeletServerCertificate": true},
    "clusterDNS": ["10.100.0.10"],
    "evictionHard": {"memory.available": "100Mi", "nodefs.available": "10%", "nodefs.inodesFree": "5%"},
    "protectKernelDefaults": true,
    "serializeImagePulls": false,
    "serverTLSBootstrap": true,
    "logging": {"verbosity": 2},
    "tlsCipherSuites": ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_RSA_WITH_AES_128_GCM_SHA256"]
}"#;

/// What makes a document a configuration of the kubelet.
const HEAD: &str = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n";

const CONFIG: &str = "/etc/kubernetes/kubelet/config.json";
const DROP_INS: &str = "/etc/kubernetes/kubelet/config.json.d";

/// A live host with these arguments of a kubelet, which is process 812.
fn started(arguments: &str) -> Fixture {
    let fixture = Fixture::new();
    let command = format!("/usr/bin/kubelet\0{}\0", arguments.split_whitespace().collect::<Vec<_>>().join("\0"));
    fixture
        .file("/proc/1/comm", "systemd\n")
        .file("/proc/812/comm", "kubelet\n")
        .file("/proc/812/cmdline", command)
        .file("/proc/812/cgroup", "0::/runtime.slice/kubelet.service\n")
        .link("/proc/812/cwd", "/");
    fixture
}

/// A live AL2023 node as nodeadm makes it, with these flags of the user at the end.
fn nodeadm(user: &str) -> Fixture {
    let fixture = started(&format!(
        "--cloud-provider=external --config={CONFIG} --config-dir={DROP_INS} --hostname-override=ip-10-0-0-1.ec2.internal \
         --kubeconfig=/var/lib/kubelet/kubeconfig --node-ip=10.0.0.1 {user}"
    ));
    fixture
        .file(CONFIG, NODEADM)
        .dir(DROP_INS)
        .file("/var/lib/kubelet/kubeconfig", "apiVersion: v1\nkind: Config\n")
        .file("/etc/kubernetes/pki/ca.crt", "")
        .file("/etc/eks/kubelet-version.txt", "Kubernetes v1.34.2-eks-113cf36\n");
    fixture
}

/// A live host whose kubelet has this configuration file and no flags but that.
fn configured(yaml: &str) -> Fixture {
    let fixture = started("--config=/etc/k.yaml");
    fixture.file("/etc/k.yaml", format!("{HEAD}{yaml}"));
    fixture
}

/// Adds a drop-in of the user.
fn drop_in(fixture: &Fixture, name: &str, yaml: &str) {
    fixture.file(&format!("{DROP_INS}/{name}"), format!("{HEAD}{yaml}"));
}

/// What decided, in the only piece of evidence.
fn source(fixture: &Fixture, predicate: &str) -> String {
    fixture.judge(predicate).evidence.remove(0).source
}

const ANONYMOUS: &str = "kubelet: {setting: authentication.anonymous.enabled, value: {is: false}}";
const MODE: &str = "kubelet: {setting: authorization.mode, value: {is: Webhook}}";
const READ_ONLY: &str = "kubelet: {setting: readOnlyPort, value: {is: 0}}";
const IDLE: &str = "kubelet: {setting: streamingConnectionIdleTimeout, value: {not: 0}}";
const ROTATE: &str = "kubelet: {setting: rotateCertificates, value: {is: true, or_unset: true}}";
const SECCOMP: &str = "kubelet: {setting: seccompDefault, value: {is: true}}";
