//! The four date formats of the protocol, in UTC, for the years 1970 to 9999.

const DAY: i64 = 86_400;

struct Civil {
    year: i64,
    month: i64,
    day: i64,
    weekday: usize,
    hour: i64,
    minute: i64,
    second: i64,
}

// Days to dates and back: the proleptic Gregorian calendar in 400-year eras that start on 1 March.
fn civil(seconds: i64) -> Civil {
    let days = seconds.div_euclid(DAY);
    let rest = seconds.rem_euclid(DAY);
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    Civil {
        year: year_of_era + era * 400 + i64::from(month <= 2),
        month,
        day: day_of_year - (153 * march_month + 2) / 5 + 1,
        weekday: usize::try_from((days + 4).rem_euclid(7)).unwrap_or(0),
        hour: rest / 3_600,
        minute: rest / 60 % 60,
        second: rest % 60,
    }
}

fn seconds(year: i64, month: i64, day: i64, time_of_day: i64) -> i64 {
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let march_month = (month + 9) % 12;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + (153 * march_month + 2) / 5 + day - 1;
    (era * 146_097 + day_of_era - 719_468) * DAY + time_of_day
}

/// `20150830T123600Z`, the form of `X-Amz-Date`.
pub(crate) fn amz(epoch_seconds: i64) -> String {
    let c = civil(epoch_seconds);
    format!("{:04}{:02}{:02}T{:02}{:02}{:02}Z", c.year, c.month, c.day, c.hour, c.minute, c.second)
}

/// Reads `20150830T123600Z` as seconds since the epoch; none when it is anything else.
pub(crate) fn parse_amz(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    if bytes.len() != 16 || bytes[8] != b'T' || bytes[15] != b'Z' {
        return None;
    }
    let number = |from: usize, to: usize| {
        bytes.get(from..to)?.iter().try_fold(0, |n: i64, b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))
    };
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let (hour, minute, second) = (number(9, 11)?, number(11, 13)?, number(13, 15)?);
    let plausible = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 61;
    plausible.then(|| seconds(year, month, day, hour * 3_600 + minute * 60 + second))
}

/// `2015-08-30T12:36:00Z`, the form of `Expiration` in container credentials.
pub(crate) fn rfc3339(epoch_seconds: i64) -> String {
    let c = civil(epoch_seconds);
    format!("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", c.year, c.month, c.day, c.hour, c.minute, c.second)
}

/// `Sun, 30 Aug 2015 12:36:00 GMT`, the form of the `Date` header.
pub(crate) fn http(epoch_seconds: i64) -> String {
    const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let c = civil(epoch_seconds);
    let month = MONTHS[usize::try_from(c.month - 1).unwrap_or(0)];
    format!("{}, {:02} {month} {:04} {:02}:{:02}:{:02} GMT", DAYS[c.weekday], c.day, c.year, c.hour, c.minute, c.second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_agree_on_known_instants() {
        assert_eq!(amz(1_440_938_160), "20150830T123600Z");
        assert_eq!(rfc3339(1_440_938_160), "2015-08-30T12:36:00Z");
        assert_eq!(http(1_440_938_160), "Sun, 30 Aug 2015 12:36:00 GMT");
        assert_eq!(http(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(rfc3339(951_782_400), "2000-02-29T00:00:00Z");
    }

    #[test]
    fn parses_what_it_formats_over_many_days() {
        for day in 0..40_000 {
            let instant = day * DAY + day % DAY;
            assert_eq!(parse_amz(&amz(instant)), Some(instant));
        }
    }

    #[test]
    fn refuses_other_forms() {
        for text in ["", "2015-08-30T12:36:00Z", "20150830T123600", "20151330T123600Z", "2015083aT123600Z"] {
            assert_eq!(parse_amz(text), None, "{text}");
        }
    }
}
