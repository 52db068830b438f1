//! The path of a request for metadata.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| safeguard_proxy::fuzzing::path(text));
