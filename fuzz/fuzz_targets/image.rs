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
        "/usr/lib/sysimage/rpm/rpmdb.sqlite",
        "/usr/lib/sysimage/rpm/rpmdb.sqlite-wal",
    ];
    Node::new(&files, false)
});

/// Where there is a database of rpm, that of dpkg is not read.
static DPKG: LazyLock<Node> = LazyLock::new(|| Node::new(&["/var/lib/dpkg/status"], false));

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let node = if data.first().is_some_and(|which| which % 8 == 7) { &DPKG } else { &NODE };
    drop(node.judge(data));
});
