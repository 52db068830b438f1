//! Durations and sizes as people write them: `5s`, `250ms`, `16MB`, `2GiB`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

/// A duration that is written as a whole number and `ms`, `s`, `m`, `h` or `d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HumanDuration(pub Duration);

/// A number of bytes that is written as a whole number, alone or with `kB`, `MB`, `GB` (thousands) or `KiB`, `MiB`, `GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HumanBytes(pub u64);

/// Text that is no duration or size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct UnitError {
    text: String,
    expected: &'static str,
}

const DURATION: &str = "a duration such as \"250ms\", \"5s\", \"1m\", \"2h\" or \"1d\"";
const BYTES: &str = "a size such as \"16MB\", \"2GiB\" or a whole number of bytes";

const DURATIONS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const SIZES: [(&str, u64); 8] = [
    ("", 1),
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// A whole number and one of the units, which may be written in any case where that is not ambiguous (none is).
fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    let (_, factor) = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit.trim()))?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// The largest unit of which the value is a whole number; units have to ascend.
fn write(value: u64, units: &[(&str, u64)]) -> String {
    let fits = |(_, factor): &&(&str, u64)| value >= *factor && value.is_multiple_of(*factor);
    let (name, factor) = units.iter().filter(fits).max_by_key(|(_, factor)| *factor).unwrap_or(&units[0]);
    format!("{}{name}", value / factor)
}

impl FromStr for HumanDuration {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let ms = parse(text, &DURATIONS);
        ms.map(|ms| Self(Duration::from_millis(ms))).ok_or(UnitError { text: text.to_owned(), expected: DURATION })
    }
}

impl FromStr for HumanBytes {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        parse(text, &SIZES).map(Self).ok_or(UnitError { text: text.to_owned(), expected: BYTES })
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&write(u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX), &DURATIONS))
    }
}

impl fmt::Display for HumanBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&write(self.0, &SIZES))
    }
}

impl From<Duration> for HumanDuration {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl From<u64> for HumanBytes {
    fn from(bytes: u64) -> Self {
        Self(bytes)
    }
}

impl Serialize for HumanDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for HumanBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = HumanDuration;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(DURATION)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<HumanDuration, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl<'de> Deserialize<'de> for HumanBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrNumber;
        impl Visitor<'_> for TextOrNumber {
            type Value = HumanBytes;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(BYTES)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<HumanBytes, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<HumanBytes, E> {
                Ok(HumanBytes(bytes))
            }
            fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<HumanBytes, E> {
                u64::try_from(bytes).map(HumanBytes).map_err(|_| E::custom("a size is not negative"))
            }
        }
        deserializer.deserialize_any(TextOrNumber)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn people_write_units() {
        for (text, ms) in [("250ms", 250), ("5s", 5_000), ("1m", 60_000), ("2h", 7_200_000), ("1d", 86_400_000)] {
            assert_eq!(text.parse::<HumanDuration>(), Ok(HumanDuration(Duration::from_millis(ms))), "{text}");
        }
        for (text, bytes) in [("16MB", 16_000_000), ("2GiB", 1 << 31), ("512", 512), ("1 kb", 1_000), ("4kib", 4096)] {
            assert_eq!(text.parse::<HumanBytes>(), Ok(HumanBytes(bytes)), "{text}");
        }
    }

    #[test]
    fn what_is_no_unit_is_refused_with_an_example() {
        for text in ["", "5", "s", "-5s", "5 parsecs", "1.5s", "99999999999999999999s", "18446744073709551615d"] {
            let error = text.parse::<HumanDuration>().unwrap_err().to_string();
            assert!(error.contains("\"5s\"") && error.contains(text), "{error}");
        }
        for text in ["", "MB", "-1", "1.5GB", "16 mebi"] {
            assert!(text.parse::<HumanBytes>().unwrap_err().to_string().contains("16MB"), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_can_be_written(ms in 0..u64::MAX / 86_400_000, bytes: u64) {
            let duration = HumanDuration(Duration::from_millis(ms));
            prop_assert_eq!(duration.to_string().parse(), Ok(duration));
            prop_assert_eq!(HumanBytes(bytes).to_string().parse(), Ok(HumanBytes(bytes)));
        }
    }
}
