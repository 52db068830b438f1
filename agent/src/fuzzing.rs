//! Doors for the fuzz targets in `fuzz/`: what reads bytes that others wrote. Only with the feature `fuzzing`; no part of the API.

/// What came from where chronyd is asked, as the answer to a question that had the number 1.
///
/// # Panics
/// If a clock is said to be off by less than nothing.
pub fn clock(reply: &[u8]) {
    if let Ok(state) = crate::checks::clock_of(reply, 1) {
        assert!(state.max_error_us >= 0, "no clock is off by less than nothing");
    }
}
