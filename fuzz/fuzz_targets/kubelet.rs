//! What the kubelet is configured with: its file, a drop-in, its arguments while it runs, the kubeconfig, the CA of its clients.
#![no_main]

use std::sync::LazyLock;

use safeguard_fuzz::Node;

static NODE: LazyLock<Node> = LazyLock::new(|| {
    let files = [
        "/etc/kubernetes/kubelet/config.json",
        "/etc/kubernetes/kubelet/config.json.d/40-x.conf",
        "/proc/812/cmdline",
        "/proc/812/status",
        "/proc/812/cgroup",
        "/etc/ca.crt",
    ];
    Node::new(&files, true)
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| drop(NODE.judge(data)));
