//! How measured times are spread.

use std::time::Duration;

/// Times, in order.
#[derive(Debug)]
pub(crate) struct Spread(Vec<Duration>);

impl Spread {
    pub(crate) fn new(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    /// In milliseconds: what so many percent of them do not exceed.
    pub(crate) fn at(&self, percent: usize) -> f64 {
        let at = (self.0.len() * percent).div_ceil(100).saturating_sub(1);
        self.0.get(at).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
