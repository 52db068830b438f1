//! Until when an exception is good.

use std::fmt;

use serde::{Deserialize, Serialize};
use time::{Date, Duration, Month};

/// The last day on which an exception is good, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum Expires {
    /// It does not end: the node is what it is.
    Never,
    /// It is good until the end of this day.
    After(Date),
}

/// A date that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no day: write it as `2027-01-31`, or `never`")]
pub struct NoDay(String);

impl Expires {
    /// Whether its last day has passed at `now_ms`, in milliseconds since the epoch.
    #[must_use]
    pub fn is_over(self, now_ms: i64) -> bool {
        match self {
            Self::Never => false,
            Self::After(day) => {
                let end = (day - EPOCH + Duration::DAY).whole_seconds().saturating_mul(1000);
                now_ms >= end
            }
        }
    }

    /// The last day as text, if there is one.
    #[must_use]
    pub fn day(self) -> Option<String> {
        (self != Self::Never).then(|| self.to_string())
    }
}

/// 1970-01-01.
const EPOCH: Date = time::OffsetDateTime::UNIX_EPOCH.date();

impl fmt::Display for Expires {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("never"),
            Self::After(day) => write!(f, "{:04}-{:02}-{:02}", day.year(), u8::from(day.month()), day.day()),
        }
    }
}

impl From<Expires> for String {
    fn from(expires: Expires) -> Self {
        expires.to_string()
    }
}

impl TryFrom<String> for Expires {
    type Error = NoDay;

    fn try_from(text: String) -> Result<Self, NoDay> {
        if text == "never" {
            return Ok(Self::Never);
        }
        day(&text).map(Self::After).ok_or(NoDay(text))
    }
}

/// Reads `YYYY-MM-DD`, each digit of it.
fn day(text: &str) -> Option<Date> {
    let mut parts = text.split('-');
    let mut number = |digits: usize| {
        let part = parts.next().filter(|part| part.len() == digits && part.bytes().all(|b| b.is_ascii_digit()))?;
        part.parse::<u16>().ok()
    };
    let (year, month, day) = (number(4)?, number(2)?, number(2)?);
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    let date = Date::from_calendar_date(i32::from(year), month, u8::try_from(day).ok()?).ok()?;
    parts.next().is_none().then_some(date)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2027-01-31T00:00:00Z in milliseconds, by `date -d 2027-01-31T00:00:00Z +%s`.
    const BEGIN_OF_DAY: i64 = 1_801_353_600_000;
    const DAY: i64 = 86_400_000;

    fn read(text: &str) -> Result<Expires, NoDay> {
        Expires::try_from(text.to_owned())
    }

    #[test]
    fn a_day_is_good_until_its_end() {
        let expires = read("2027-01-31").unwrap();
        assert!(!expires.is_over(BEGIN_OF_DAY));
        assert!(!expires.is_over(BEGIN_OF_DAY + DAY - 1));
        assert!(expires.is_over(BEGIN_OF_DAY + DAY));
        assert!(!read("never").unwrap().is_over(i64::MAX));
        assert!(read("9999-12-31").unwrap().is_over(i64::MAX));
        assert!(!read("0001-01-01").unwrap().is_over(i64::MIN));
    }

    #[test]
    fn what_is_no_day_is_refused() {
        let none =
            ["", "2027-02-29", "2027-13-01", "2027-1-31", "31.01.2027", "2027-01-31T00:00", "+027-01-31", "Never"];
        for text in none {
            assert!(read(text).unwrap_err().to_string().contains("2027-01-31"), "{text}");
        }
        assert_eq!(read("2028-02-29").unwrap().to_string(), "2028-02-29");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,12}") {
            if let Ok(expires) = read(&text) {
                prop_assert_eq!(expires.to_string(), text);
            }
        }
    }
}
