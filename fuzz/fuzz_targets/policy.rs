//! A policy, or an exceptions file, of the operator's own: what can be used says the same when it is written and read again.
#![no_main]

use std::sync::LazyLock;

use safeguard_checks::{Exceptions, Policy, policy};

static OURS: LazyLock<Vec<Policy>> = LazyLock::new(policy::embedded);

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(found) = policy::load(text, "x.yaml") {
        assert_eq!(found.digest().len(), 64);
        let json = serde_json::to_string(&found).expect("a policy can be written");
        assert_eq!(policy::load(&json, "x.json").ok(), Some(found), "{json}");
    }
    for mistake in Exceptions::load(text, "x.yaml", &OURS).err().into_iter().flatten() {
        assert!(mistake.to_string().starts_with("x.yaml"), "{mistake}");
    }
});
