//! What answers where chronyd is asked for the clock.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| safeguard_agent::fuzzing::clock(data));
