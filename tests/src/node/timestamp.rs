//! Times as Go's `RFC3339Nano` writes them, which is what containerd uses: trailing zeros of the fraction are left out, and
//! with them the dot; the zone is `Z` or an offset.

use std::io::Write as _;
use std::time::SystemTime;

use safeguard_daemon::clock::unix_ms;

/// A zone's clock. Remembers the second, since neighbouring lines share it.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    offset_minutes: i32,
    /// Nanoseconds that this clock is ahead of the machine's.
    ahead: i128,
    second: i64,
    text: Vec<u8>,
}

impl Clock {
    pub(super) fn new(offset_minutes: i32) -> Self {
        Self { offset_minutes, ahead: 0, second: i64::MIN, text: Vec::new() }
    }

    pub(super) fn set_zone(&mut self, offset_minutes: i32) {
        *self = Self { ahead: self.ahead, ..Self::new(offset_minutes) };
    }

    pub(super) fn set_ahead_ms(&mut self, ms: i64) {
        self.ahead = i128::from(ms) * 1_000_000;
    }

    /// Nanoseconds since 1970, by this clock.
    pub(super) fn now(&self) -> i128 {
        let now = safeguard_daemon::clock::now();
        let nanos = now.duration_since(SystemTime::UNIX_EPOCH).map_or(i128::from(unix_ms(now)) * 1_000_000, |since| {
            i128::from(since.as_secs()) * 1_000_000_000 + i128::from(since.subsec_nanos())
        });
        nanos + self.ahead
    }

    /// Appends a time in RFC 3339.
    pub(super) fn append(&mut self, nanos: i128, out: &mut Vec<u8>) {
        let second = i64::try_from(nanos.div_euclid(1_000_000_000)).expect("a clock of this age of the universe");
        if second != self.second {
            self.second = second;
            self.text = date(second, self.offset_minutes, b"0000-00-00T00:00:00");
        }
        out.extend_from_slice(&self.text);
        let mut fraction = nanos.rem_euclid(1_000_000_000);
        if fraction > 0 {
            let mut digits = 9;
            while fraction % 10 == 0 {
                fraction /= 10;
                digits -= 1;
            }
            write!(out, ".{fraction:0digits$}").expect("a Vec takes everything");
        }
        match self.offset_minutes {
            0 => out.push(b'Z'),
            offset => {
                let sign = if offset < 0 { '-' } else { '+' };
                let offset = offset.abs();
                write!(out, "{sign}{:02}:{:02}", offset / 60, offset % 60).expect("a Vec takes everything");
            }
        }
    }

    /// `YYYYMMDD-HHMMSS`, as kubelet names rotated logs.
    pub(super) fn rotation(&self, nanos: i128) -> String {
        let second = i64::try_from(nanos.div_euclid(1_000_000_000)).expect("a clock of this age of the universe");
        let text = date(second, self.offset_minutes, b"00000000-000000");
        String::from_utf8(text).expect("digits")
    }
}

/// A local date and time: the zeros of `form` are filled from the left. Years 0 to 9999.
fn date(second: i64, offset_minutes: i32, form: &[u8]) -> Vec<u8> {
    let local = second + i64::from(offset_minutes) * 60;
    let (days, rest) = (local.div_euclid(86_400), local.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    let digits = format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}");
    let mut digits = digits.bytes();
    form.iter().map(|c| if *c == b'0' { digits.next().unwrap_or(b'0') } else { *c }).collect()
}

/// The date of a day counted from 1970-01-01, in the proleptic Gregorian calendar. Years are counted from March, so
/// that the leap day is a year's last; 719,468 days lie between 0000-03-01 and 1970-01-01.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let months = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * months + 2) / 5 + 1;
    let month = if months < 10 { months + 3 } else { months - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(seconds: i64, nanos: i128, offset_minutes: i32) -> String {
        let mut out = Vec::new();
        Clock::new(offset_minutes).append(i128::from(seconds) * 1_000_000_000 + nanos, &mut out);
        String::from_utf8(out).unwrap()
    }

    /// Expected values: `date -u -d @<seconds> +%FT%TZ`.
    #[test]
    fn writes_what_go_writes() {
        assert_eq!(text(0, 0, 0), "1970-01-01T00:00:00Z");
        assert_eq!(text(951_782_400, 100_000_000, 0), "2000-02-29T00:00:00.1Z");
        assert_eq!(text(1_735_689_599, 123_456_789, 0), "2024-12-31T23:59:59.123456789Z");
        assert_eq!(text(1_735_689_599, 1_000, 120), "2025-01-01T01:59:59.000001+02:00");
        assert_eq!(text(1_735_689_599, 0, -210), "2024-12-31T20:29:59-03:30");
    }

    #[test]
    fn names_rotated_logs_in_local_time() {
        assert_eq!(Clock::new(120).rotation(1_735_689_599 * 1_000_000_000), "20250101-015959");
    }
}
