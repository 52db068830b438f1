//! Files of a host for the sample node, and a policy that looks at them: small enough to be broken by hand.
#![expect(clippy::disallowed_methods, reason = "this plays whoever set the host up")]

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The policy's name.
pub(super) const POLICY: &str = "sample-host";

/// What may be broken with one command.
const KUBELET: &str = "etc/kubernetes/kubelet/config.json";

const FILES: [(&str, &str); 3] = [
    (KUBELET, "{\"kind\": \"KubeletConfiguration\", \"authentication\": {\"anonymous\": {\"enabled\": false}}}\n"),
    ("etc/ssh/sshd_config", "PermitRootLogin no\nPasswordAuthentication no\n"),
    ("etc/sysctl.d/99-node.conf", "kernel.panic = 10\nvm.overcommit_memory = 1\n"),
];

const TEXT: &str = r#"policy: sample-host
version: 1.0.0
title: The sample host of the demo
source: the demo
sections: [{id: H, title: The host}]
controls:
  - id: H-1
    title: Only its owner may write the kubelet's configuration
    level: 1
    assessment: automated
    severity: critical
    why: Whoever can write it decides who may run commands in every pod of the node.
    remedy: chmod 0600 /etc/kubernetes/kubelet/config.json
    check: {file: {path: /etc/kubernetes/kubelet/config.json, mode: "0644"}}
  - id: H-2
    title: Nobody logs in as root
    level: 1
    assessment: automated
    severity: high
    why: What root did could have been done by anybody.
    remedy: Write "PermitRootLogin no" into /etc/ssh/sshd_config.
    check: {sshd: {keyword: PermitRootLogin, value: {is: "no"}}}
  - id: H-3
    title: A node that panics starts again
    level: 1
    assessment: automated
    severity: low
    why: Otherwise it stays away until somebody looks.
    remedy: Write "kernel.panic = 10" into a file in /etc/sysctl.d.
    check: {sysctl: {key: kernel.panic, value: {is: 10}, when: boot}}
"#;

/// Writes the host's files below `root`, and the policy into `policies`.
///
/// # Errors
/// When something cannot be written.
pub(super) fn write(root: &Path, policies: &Path) -> io::Result<()> {
    for (path, text) in FILES {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(root))?;
        std::fs::write(&path, text)?;
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600))?;
    }
    std::fs::create_dir_all(policies)?;
    std::fs::write(policies.join("sample-host.yaml"), TEXT)
}

/// The file that the page can be seen to react to.
pub(super) fn to_break(root: &Path) -> PathBuf {
    root.join(KUBELET)
}
