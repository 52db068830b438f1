//! Files that people and packages write: accounts, sshd, units, audit rules, settings of daemons, package databases.
#![no_main]

use std::sync::LazyLock;

use safeguard_fuzz::Node;

static NODE: LazyLock<Node> = LazyLock::new(|| {
    let files = [
        "/etc/passwd",
        "/etc/shadow",
        "/etc/group",
        "/etc/login.defs",
        "/etc/ssh/sshd_config",
        "/etc/ssh/sshd_config.d/x.conf",
        "/usr/lib/systemd/system/auditd.service",
        "/etc/systemd/system/kubelet.service",
        "/etc/systemd/system/tmp.mount",
        "/etc/audit/rules.d/x.rules",
        "/etc/audit/auditd.conf",
        "/etc/systemd/coredump.conf",
        "/etc/systemd/journald.conf.d/x.conf",
        "/etc/containerd/config.toml",
        "/etc/crypto-policies/config",
        "/var/lib/dpkg/status",
        "/usr/lib/sysimage/rpm/rpmdb.sqlite",
        "/usr/lib/sysimage/rpm/rpmdb.sqlite-wal",
    ];
    Node::new(&files, false)
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| drop(NODE.judge(data)));
