//! The one place that asks for the time of day.
//!
//! Code that decides takes `now` as an argument, so that a test can set it; only the edges of a program ask here.
//! Waiting is another matter and uses `tokio::time`, whose clock never jumps.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch, as CloudWatch Logs and Kubernetes count them.
///
/// Negative when the clock stands before 1970, which a node with a dead battery does before its first
/// synchronisation; the ends of the `i64` range when it stands further away than that can hold.
#[must_use]
pub fn now_ms() -> i64 {
    unix_ms(now())
}

/// The time of day. It may jump in both directions.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the door that the ban leaves open")]
pub fn now() -> SystemTime {
    SystemTime::now()
}

/// Time since boot, in milliseconds, sleep included. It runs on when the clock is set.
#[must_use]
pub fn uptime_ms() -> u64 {
    use nix::time::{ClockId, clock_gettime};
    let since_boot = clock_gettime(ClockId::CLOCK_BOOTTIME).map(std::time::Duration::from);
    since_boot.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// `time` in milliseconds since the Unix epoch; see [`now_ms`] for the edges.
#[must_use]
pub fn unix_ms(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
    }
}

/// Milliseconds since the Unix epoch for people: `2026-01-31 23:59:59 UTC`. What no calendar has stays a number.
#[must_use]
pub fn utc(ms: i64) -> String {
    match time::OffsetDateTime::from_unix_timestamp(ms.div_euclid(1_000)) {
        Ok(at) => {
            let (date, (hour, minute, second)) = (at.date(), at.time().as_hms());
            format!(
                "{:04}-{:02}-{:02} {hour:02}:{minute:02}:{second:02} UTC",
                date.year(),
                u8::from(date.month()),
                date.day()
            )
        }
        Err(_) => format!("{ms} ms since 1970"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn counts_milliseconds_on_both_sides_of_the_epoch() {
        assert_eq!(unix_ms(UNIX_EPOCH), 0);
        assert_eq!(unix_ms(UNIX_EPOCH + Duration::from_micros(1_234_567)), 1234);
        assert_eq!(unix_ms(UNIX_EPOCH - Duration::from_secs(2)), -2000);
    }

    #[test]
    fn a_time_is_told_as_calendars_tell_it() {
        assert_eq!(utc(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(utc(1_709_251_199_999), "2024-02-29 23:59:59 UTC");
        assert_eq!(utc(-1), "1969-12-31 23:59:59 UTC");
        assert_eq!(utc(i64::MAX), "9223372036854775807 ms since 1970");
    }

    #[test]
    fn now_is_after_this_was_written() {
        assert!(now_ms() > 1_700_000_000_000, "{}", now_ms());
    }
}
