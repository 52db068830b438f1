//! Where distributions put things.

use super::*;
use crate::host::Phase;

/// kube-bench#1740, #1636: AL2023 moved the file and every control failed. All 13 node controls of CIS EKS hold on a stock node.
#[test]
fn al2023() {
    let fixture = nodeadm("");
    for predicate in [
        ANONYMOUS,
        MODE,
        READ_ONLY,
        IDLE,
        ROTATE,
        "kubelet: {setting: authentication.x509.clientCAFile, value: {set: true}}",
        "kubelet: {setting: makeIPTablesUtilChains, value: {is: true}}",
        "kubelet: {setting: eventRecordQPS, value: {at_least: 0}}",
        "kubelet: {setting: featureGates.RotateKubeletServerCertificate, value: {is: true}}",
        "file: {from: kubelet-config, mode: '0644'}",
        "file: {from: kubelet-kubeconfig, mode: '0644'}",
        "file: {from: kubelet-client-ca, mode: '0644'}",
        "kubelet: {setting: --hostname-override, value: {is: ip-10-0-0-1.ec2.internal}}",
        "kubelet: {setting: tlsCipherSuites, value: {includes: [TLS_RSA_WITH_AES_128_GCM_SHA256]}}",
    ] {
        fixture.holds(predicate);
    }
    for predicate in [
        SECCOMP,
        "kubelet: {setting: podPidsLimit, value: {set: true}}",
        "kubelet: {setting: tlsCertFile, value: {set: true}}",
        "kubelet: {setting: --hostname-override, value: {set: false}}",
        "file: {from: kubelet-config, mode: '0600'}",
        "file: {from: kubelet-unit, mode: '0644'}",
    ] {
        fixture.fails(predicate);
    }
    assert_eq!(source(&fixture, ANONYMOUS), CONFIG);
    assert_eq!(source(&fixture, IDLE), "default of kubelet 1.34");
    let name = source(&fixture, "kubelet: {setting: --hostname-override, value: {set: true}}");
    assert_eq!(name, "flag --hostname-override (argument 4 of process 812)");
}

/// The unit takes its arguments from a file that nodeadm writes at boot: an image has none yet.
#[test]
fn al2023_as_an_image() {
    let mut fixture = Fixture::dead();
    let unit =
        "[Service]\nEnvironmentFile=/etc/eks/kubelet/environment\nExecStart=/usr/bin/kubelet $NODEADM_KUBELET_ARGS\n";
    fixture.file("/etc/systemd/system/kubelet.service", unit);
    assert!(fixture.not_applicable(ANONYMOUS).contains("/etc/eks/kubelet/environment"));
    // The unit itself is there already.
    fixture.fails("file: {from: kubelet-unit, mode: '0600'}");
    fixture.file("/proc/1/comm", "systemd\n");
    fixture.phase = Phase::Boot;
    fixture.not_applicable(ANONYMOUS);
    fixture.phase = Phase::Run;
    assert!(fixture.unknown(ANONYMOUS).contains("does not start without it"));
    // nodeadm has run and the kubelet does not: what is configured is judged, and says so.
    fixture
        .file("/etc/eks/kubelet/environment", format!("NODEADM_KUBELET_ARGS=--config={CONFIG} --v=2\nOTHER=on"))
        .file(CONFIG, NODEADM);
    fixture.holds(ANONYMOUS);
    assert_eq!(source(&fixture, ANONYMOUS), format!("{CONFIG}, no kubelet runs"));
    fixture.holds("file: {from: kubelet-unit, mode: '0644'}");
}

#[test]
fn al2() {
    let fixture = Fixture::dead();
    fixture
        .file(
            "/etc/systemd/system/kubelet.service",
            "[Service]\nExecStart=/usr/bin/kubelet --cloud-provider aws \\\n    --config /etc/kubernetes/kubelet/kubelet-config.json \\\n    \
             --kubeconfig /var/lib/kubelet/kubeconfig $KUBELET_ARGS $KUBELET_EXTRA_ARGS\n",
        )
        .file("/etc/systemd/system/kubelet.service.d/30-kubelet-extra-args.conf", "[Service]\nEnvironment='KUBELET_EXTRA_ARGS=--read-only-port=10255'\n")
        .file("/etc/kubernetes/kubelet/kubelet-config.json", NODEADM);
    fixture.holds(ANONYMOUS);
    fixture.fails(READ_ONLY);
    assert_eq!(source(&fixture, READ_ONLY), "flag --read-only-port (argument 7 in kubelet.service)");
    fixture.fails("file: {from: kubelet-kubeconfig, exists: true}");
    fixture.holds("file: {from: kubelet-unit, mode: '0644'}");
}

/// kube-bench#887, bottlerocket#1294: 13 of 15 controls failed, because the paths were not known.
#[test]
fn bottlerocket() {
    let fixture = Fixture::dead();
    fixture
        .file("/usr/lib/systemd/system/kubelet.service", "[Service]\nExecStart=/usr/bin/kubelet\n")
        .file(
            "/etc/systemd/system/kubelet.service.d/exec-start.conf",
            "[Service]\nExecStart=\nExecStart=/usr/bin/kubelet \\\n    --cloud-provider external \\\n    --kubeconfig /etc/kubernetes/kubelet/kubeconfig \\\n    \
             --config /etc/kubernetes/kubelet/config \\\n    --root-dir /var/lib/kubelet \\\n    --cert-dir /var/lib/kubelet/pki \\\n    --node-ip ${NODE_IP} \\\n    --node-labels \"${LABELS}\"\n",
        )
        .file("/etc/kubernetes/kubelet/config", format!("---\n{HEAD}authentication:\n  anonymous:\n    enabled: false\nserverTLSBootstrap: true\n"))
        .file("/var/lib/kubelet/pki/kubelet-server-current.pem", "");
    for predicate in [ANONYMOUS, MODE, READ_ONLY, IDLE, "file: {from: kubelet-config, mode: '0644'}"] {
        fixture.holds(predicate);
    }
    fixture.holds("file: {from: kubelet-server-certificate, exists: true}");
    fixture.holds("file: {from: kubelet-server-key, exists: true}");
}

#[test]
fn kubeadm() {
    let fixture = Fixture::dead();
    fixture
        .file("/lib/systemd/system/kubelet.service", "[Service]\nExecStart=/usr/bin/kubelet\nRestart=always\n")
        .file(
            "/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf",
            "# a note\n[Service]\nEnvironment=\"KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf\"\n\
             Environment=\"KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml\"\nEnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env\n\
             EnvironmentFile=-/etc/default/kubelet\nExecStart=\n\
             ExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS\n",
        )
        .file("/var/lib/kubelet/kubeadm-flags.env", "KUBELET_KUBEADM_ARGS=\"--anonymous-auth=true --pod-infra-container-image=pause:3.9\"\n")
        .file("/var/lib/kubelet/config.yaml", format!("{HEAD}authentication:\n  anonymous:\n    enabled: false\nreadOnlyPort: 0\n"));
    fixture.fails(ANONYMOUS);
    fixture.holds(READ_ONLY);
    fixture.file("/etc/kubernetes/kubelet.conf", "").mode("/etc/kubernetes/kubelet.conf", 0o600);
    fixture.holds("file: {from: kubelet-kubeconfig, mode: '0600'}");
}

#[test]
fn certificates_are_where_the_configuration_says() {
    let certificate = "file: {from: kubelet-server-certificate, exists: true}";
    let key = "file: {from: kubelet-server-key, exists: true}";
    let fixture = configured("");
    assert_eq!(source(&fixture, certificate), "/var/lib/kubelet/pki/kubelet.crt");
    assert_eq!(source(&fixture, key), "/var/lib/kubelet/pki/kubelet.key");
    let fixture = configured("tlsCertFile: pki/a.crt\ntlsPrivateKeyFile: /b.key\n");
    assert_eq!(source(&fixture, certificate), "/etc/pki/a.crt");
    assert_eq!(source(&fixture, key), "/b.key");
    let fixture = configured("serverTLSBootstrap: true\ntlsCertFile: /a.crt\n");
    assert_eq!(source(&fixture, certificate), "/var/lib/kubelet/pki/kubelet-server-current.pem");
    let fixture = configured("serverTLSBootstrap: true\nfeatureGates: {RotateKubeletServerCertificate: false}\n");
    assert_eq!(source(&fixture, certificate), "/var/lib/kubelet/pki/kubelet.crt");
}

#[test]
fn a_kube_proxy_of_the_host_has_a_kubeconfig() {
    let predicate = "file: {from: kube-proxy-kubeconfig, mode: '0600', absent: not-applicable}";
    let fixture = nodeadm("");
    fixture.not_applicable(predicate);
    fixture
        .file("/proc/900/comm", "kube-proxy\n")
        .file("/proc/900/cmdline", "/usr/local/bin/kube-proxy\0--config=conf.yaml\0")
        .link("/proc/900/cwd", "/etc/kp")
        .file(
            "/etc/kp/conf.yaml",
            "kind: KubeProxyConfiguration\nclientConnection:\n  kubeconfig: /etc/kp/kubeconfig\n",
        )
        .file("/etc/kp/kubeconfig", "");
    fixture.fails(predicate);
    fixture.mode("/etc/kp/kubeconfig", 0o600).holds(predicate);
    fixture.file("/proc/900/cmdline", "/usr/local/bin/kube-proxy\0--kubeconfig\0/etc/kp/kubeconfig\0").holds(predicate);
    // On EKS it is a pod.
    fixture.file("/proc/900/cgroup", "0::/kubepods.slice/kubepods-besteffort.slice/x\n").not_applicable(predicate);
}

#[test]
fn no_kubelet_is_no_failure() {
    let fixture = Fixture::new();
    fixture.file("/proc/1/comm", "systemd\n");
    assert!(fixture.not_applicable(ANONYMOUS).contains("no kubelet on this host"));
    fixture.not_applicable("file: {from: kubelet-config, mode: '0600'}");
    Fixture::dead().not_applicable(ANONYMOUS);
}

#[test]
fn a_kubelet_that_may_be_hidden_is_unknown() {
    let fixture = Fixture::new();
    fixture.file("/lib/systemd/system/kubelet.service", "[Service]\nExecStart=/usr/bin/kubelet\n");
    for predicate in [ANONYMOUS, "file: {from: kubelet-config, mode: '0600'}"] {
        fixture.unknown(predicate);
    }
    fixture.dir("/proc/1/comm");
    fixture.unknown(ANONYMOUS);
}
