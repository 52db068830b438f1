//! The text of an annotation that names a role.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| safeguard_proxy::fuzzing::role(text));
