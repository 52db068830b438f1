//! The JSON of a checkpoint whose checksum is right.
#![no_main]

libfuzzer_sys::fuzz_target!(|json: &[u8]| safeguard_logs::fuzzing::checkpoint(json));
