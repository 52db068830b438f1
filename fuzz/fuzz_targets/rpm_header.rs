//! The header of an installed package.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| safeguard_checks::fuzzing::rpm_header(bytes));
