//! One line as a container runtime writes it, or anything else.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &[u8]| safeguard_logs::fuzzing::line(text));
