//! What the kubelet answers when it is asked what it runs with.
#![no_main]

use std::sync::LazyLock;

use safeguard_checks::Inputs;
use safeguard_fuzz::Node;

static NODE: LazyLock<Node> = LazyLock::new(|| Node::new(&["/etc/kubernetes/kubelet/config.json"], true));

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    // As it comes from the network: what is no JSON goes no further.
    if let Ok(body) = serde_json::from_slice(data) {
        drop(NODE.told(&Inputs { configz: Some(Ok(body)), ..Inputs::default() }));
    }
});
