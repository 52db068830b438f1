//! A file of the result cache of the CNI.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| safeguard_proxy::fuzzing::cni_result(bytes));
