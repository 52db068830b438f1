//! What other tools got wrong, one host each. The numbers are theirs.

use super::*;

/// kube-bench takes the first occurrence of a flag; nodeadm appends the user's, and the kubelet takes the last.
#[test]
fn duplicate_flags() {
    let fixture = nodeadm("--anonymous-auth=false --v=2 --anonymous-auth=true");
    fixture.fails(ANONYMOUS);
    assert_eq!(source(&fixture, ANONYMOUS), "flag --anonymous-auth (argument 9 of process 812)");
    nodeadm("--anonymous-auth=true --anonymous-auth=false").holds(ANONYMOUS);
}

/// kube-bench never reads `config.json.d`.
#[test]
fn a_drop_in_opens_anonymous_auth() {
    let fixture = nodeadm("");
    drop_in(&fixture, "40-nodeadm.conf", "authentication: {anonymous: {enabled: true}}\n");
    fixture.fails(ANONYMOUS);
    assert_eq!(source(&fixture, ANONYMOUS), format!("{DROP_INS}/40-nodeadm.conf"));
    // The last one wins, by the bytes of its name; what is not `.conf` is not read.
    drop_in(&fixture, "50-fix.conf", "authentication: {anonymous: {enabled: false}}\n");
    drop_in(&fixture, "60-no.yaml", "authentication: {anonymous: {enabled: true}}\n");
    fixture.holds(ANONYMOUS);
    // Directories are walked where their name is.
    drop_in(&fixture, "55-more/1.conf", "authentication: {anonymous: {enabled: true}}\n");
    fixture.fails(ANONYMOUS);
    drop_in(&fixture, "60-last.conf", "authentication: {anonymous: {enabled: null}}\n");
    fixture.holds(ANONYMOUS);
    assert_eq!(source(&fixture, ANONYMOUS), "default of kubelet 1.34");
}

/// kube-bench checks the mode of the one file, never of drop-ins.
#[test]
fn a_drop_in_that_others_may_write() {
    let fixture = nodeadm("");
    fixture.mode(CONFIG, 0o600);
    fixture.holds("file: {from: kubelet-config, mode: '0600'}");
    drop_in(&fixture, "40-nodeadm.conf", "");
    let verdict = fixture.fails("file: {from: kubelet-config, mode: '0600'}");
    assert_eq!(verdict.evidence[0].source, format!("{DROP_INS}/40-nodeadm.conf"));
}

/// kube-bench's `noteq 0` on `0s` passes, bloodhound fails to parse `0s` and passes. In a file the kubelet takes it for its
/// default, but who wrote it asked for no limit.
#[test]
fn zero_seconds_are_zero() {
    for zero in ["0s", "'0'", "0h0m0s", "0ms", "-0s"] {
        let fixture = configured(&format!("streamingConnectionIdleTimeout: {zero}\n"));
        fixture.fails(IDLE);
        assert!(source(&fixture, IDLE).contains("0 is read as not set: default of"), "{}", source(&fixture, IDLE));
        fixture.fails("kubelet: {setting: streamingConnectionIdleTimeout, value: {not: 0, or_unset: true}}");
    }
    let fixture = nodeadm("--streaming-connection-idle-timeout=0");
    fixture.fails(IDLE);
    configured("streamingConnectionIdleTimeout: 500ms\n").holds(IDLE);
    configured("streamingConnectionIdleTimeout: 4h0m0s\n").holds(IDLE);
}

/// bloodhound: what fails to parse passes.
#[test]
fn what_does_not_parse_is_no_pass() {
    for yaml in [
        "streamingConnectionIdleTimeout: 0\n",
        "streamingConnectionIdleTimeout: soon\n",
        "streamingConnectionIdleTimeout: {}\n",
    ] {
        let why = configured(yaml).unknown(IDLE);
        assert!(why.starts_with("/etc/k.yaml: streamingConnectionIdleTimeout: "), "{why}");
    }
}

/// kube-bench 4.2.13 and 4.2.14 test presence alone.
#[test]
fn seccomp_default_that_is_false() {
    configured("seccompDefault: false\n").fails(SECCOMP);
    configured("seccompDefault: true\n").holds(SECCOMP);
    configured("").fails(SECCOMP);
    // The kubelet takes the flag or the file, whichever is true.
    let fixture = started("--config=/etc/k.yaml --seccomp-default=false");
    fixture.file("/etc/k.yaml", format!("{HEAD}seccompDefault: true\n"));
    fixture.holds(SECCOMP);
    assert_eq!(source(&fixture, SECCOMP), "/etc/k.yaml");
    fixture.file("/etc/k.yaml", HEAD).fails(SECCOMP);
    nodeadm("--seccomp-default").holds(SECCOMP);
}

/// kube-bench#195: settings of the file were ignored. kube-bench#1256: a relative path was never found.
#[test]
fn a_relative_path_is_the_processs() {
    let fixture = started("--config=kubelet_conf.json");
    fixture.file("/opt/k/kubelet_conf.json", NODEADM);
    fixture.unknown(ANONYMOUS);
    fixture.without("/proc/812/cwd").link("/proc/812/cwd", "/opt/k");
    fixture.holds(ANONYMOUS);
    assert_eq!(source(&fixture, ANONYMOUS), "/opt/k/kubelet_conf.json");
    // Without the right to trace the process, nobody knows; an absolute path does not need it.
    fixture.without("/proc/812/cwd");
    assert!(fixture.unknown(ANONYMOUS).contains("/proc/812/cwd"));
    // Of a unit it is the working directory.
    let fixture = Fixture::dead();
    fixture
        .file(
            "/lib/systemd/system/kubelet.service",
            "[Service]\nWorkingDirectory=/opt/k\nExecStart=/usr/bin/kubelet --config c.json\n",
        )
        .file("/opt/k/c.json", NODEADM);
    fixture.holds(ANONYMOUS);
}

/// kube-bench#948: of two files on disk the stale one was taken. The arguments say which one counts.
#[test]
fn a_stale_file_beside() {
    let fixture = nodeadm("");
    fixture.file("/var/lib/kubelet/config.yaml", format!("{HEAD}authentication: {{anonymous: {{enabled: true}}}}\n"));
    fixture.file("/etc/kubernetes/kubelet/kubelet-config.json", "{\"readOnlyPort\": 10255}");
    fixture.holds(ANONYMOUS);
    fixture.holds(READ_ONLY);
}

/// kube-bench#852: on GKE the kubeconfig was read as the configuration.
#[test]
fn a_kubeconfig_is_no_configuration() {
    let fixture = started("--config=/var/lib/kubelet/kubeconfig");
    fixture.file("/var/lib/kubelet/kubeconfig", "apiVersion: v1\nkind: Config\nclusters: []\n");
    assert!(fixture.unknown(ANONYMOUS).contains("is no KubeletConfiguration"));
}

/// kube-bench#1242: the flag was right, the file absent, and the control failed. A flag decides over any file; what the file
/// could have said is not known.
#[test]
fn a_flag_decides_over_an_absent_file() {
    let fixture =
        started("--config=/gone.yaml --anonymous-auth=false --feature-gates=RotateKubeletServerCertificate=true");
    fixture.holds(ANONYMOUS);
    fixture.holds("kubelet: {setting: featureGates.RotateKubeletServerCertificate, value: {is: true}}");
    assert!(fixture.unknown(MODE).contains("/gone.yaml: does not exist"));
    fixture.unknown("kubelet: {setting: featureGates.Other, value: {is: true}}");
    let fixture = nodeadm("--anonymous-auth=false --config-dir=/gone.d");
    fixture.holds(ANONYMOUS);
    assert!(fixture.unknown(READ_ONLY).contains("/gone.d: does not exist"));
    fixture.unknown("file: {from: kubelet-config, mode: '0600'}");
}

/// trivy-operator#1181: false failures on EKS; #1306: 116 of 116 pass. Without a file the old defaults are open ones.
#[test]
fn without_a_file_a_kubelet_is_open() {
    let fixture = started("--kubeconfig=/var/lib/kubelet/kubeconfig");
    for predicate in [ANONYMOUS, MODE, READ_ONLY] {
        fixture.fails(predicate);
    }
    let anonymous = source(&fixture, ANONYMOUS);
    assert!(anonymous.ends_with("modelled on 1.36 without a configuration file"), "{anonymous}");
    fixture.fails("kubelet: {setting: authentication.webhook.enabled, value: {is: true}}");
    // Drop-ins alone leave them as they are: they are laid over the old defaults.
    let fixture = started(&format!("--config-dir={DROP_INS}"));
    drop_in(&fixture, "a.conf", "authorization: {mode: Webhook}\nReadOnlyPorts: 1\n");
    fixture.holds(MODE);
    fixture.fails(ANONYMOUS);
    started("--config= --v=2").fails(ANONYMOUS);
}

/// kube-bench#1953, #1410, #1104: the default failed, and 0 was thought to be two things. It is no limit, by flag and by file.
#[test]
fn events() {
    let limited = "kubelet: {setting: eventRecordQPS, value: {at_least: 1, at_most: 100}}";
    nodeadm("").holds(limited);
    configured("eventRecordQPS: 0\n").fails(limited);
    nodeadm("--event-qps=0").fails(limited);
    assert_eq!(source(&nodeadm("--event-qps=0"), limited), "flag --event-qps (argument 7 of process 812)");
}

/// kube-bench's remedy names a key that no kubelet knows; amazon-eks-custom-amis writes one. It changes nothing.
#[test]
fn keys_that_no_kubelet_knows() {
    configured("RotateCertificate: true\n").holds(ROTATE);
    configured("rotateCertificates: false\n").fails(ROTATE);
    configured("ReadOnlyPort: 10255\n").holds(READ_ONLY);
    // In drop-ins the kubelet does not tell apart upper and lower case.
    let fixture = nodeadm("");
    drop_in(&fixture, "40-a.conf", "readonlyPort: 10255\n");
    assert!(fixture.unknown(READ_ONLY).contains("readonlyPort"));
}

#[test]
fn names_that_no_kubelet_has_are_refused() {
    for name in ["RotateCertificate", "authentication", "--no-such-flag", "featureGates", "''"] {
        let why = nodeadm("").unknown(&format!("kubelet: {{setting: {name}, value: {{set: false}}}}"));
        assert!(why.contains("is no setting of a kubelet"), "{why}");
    }
}

#[test]
fn a_stray_word_makes_everything_unknown() {
    let why = nodeadm("--anonymous-auth false").unknown(ANONYMOUS);
    assert_eq!(why, "argument 8 of process 812: is no flag");
}

#[test]
fn files_of_an_enemy() {
    let fixture = nodeadm("");
    fixture.file(CONFIG, b"\xff\xfe{}").unknown(ANONYMOUS);
    fixture.file(CONFIG, NODEADM.replace("\"address\"", "\"readOnlyPort\": 0, \"address\""));
    assert!(fixture.unknown(ANONYMOUS).contains("readOnlyPort` twice"));
    fixture.file(CONFIG, "{".repeat(100_000)).unknown(ANONYMOUS);
    fixture.file(CONFIG, " ".repeat(300_000)).unknown(ANONYMOUS);
    fixture.file(CONFIG, "").unknown(ANONYMOUS);
    fixture.file(CONFIG, NODEADM).link(&format!("{DROP_INS}/10-x.conf"), "/nowhere");
    fixture.unknown(ANONYMOUS);
    fixture.without(&format!("{DROP_INS}/10-x.conf")).dir(&format!("{DROP_INS}/10-x.conf"));
    fixture.holds(ANONYMOUS);
    fixture.file("/proc/812/cmdline", b"kubelet\0--config=\xff\0").unknown(ANONYMOUS);
    fixture.file("/proc/812/cmdline", "x\0".repeat(80_000)).unknown(ANONYMOUS);
}

#[test]
fn a_directory_that_is_a_link_is_not_walked() {
    let fixture = started(&format!("--config={CONFIG} --config-dir=/etc/link"));
    fixture.file(CONFIG, NODEADM).link("/etc/link", DROP_INS);
    drop_in(&fixture, "a.conf", "readOnlyPort: 10255\n");
    fixture.holds(READ_ONLY);
    fixture.file("/proc/812/cmdline", format!("kubelet\0--config={CONFIG}\0--config-dir=/etc/link/\0"));
    fixture.fails(READ_ONLY);
}

#[test]
fn gates_that_are_not_named_follow_all_beta() {
    let gate = "kubelet: {setting: featureGates.RotateKubeletServerCertificate, value: {is: true}}";
    configured("").holds(gate);
    configured("featureGates: {AllBeta: false}\n").fails(gate);
    configured("featureGates: {AllBeta: false, RotateKubeletServerCertificate: true}\n").holds(gate);
    let why = configured("").unknown("kubelet: {setting: featureGates.NobodyKnows, value: {is: true}}");
    assert!(why.contains("its default is not known"), "{why}");
    configured("").holds("kubelet: {setting: featureGates.NobodyKnows, value: {is: false, or_unset: true}}");
}
