//! Pure: what a setting's text means, as Go reads it.

use crate::expect::Value;

/// What a setting is, in the kubelet's types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `bool`.
    Bool,
    /// `int32`.
    Int,
    /// `int64`.
    Long,
    /// `metav1.Duration`; a value of ours is whole seconds.
    Duration,
    /// `resource.Quantity`; a value of ours is a whole number.
    Quantity,
    /// `float64`; a value of ours is its text.
    Float,
    /// `string`.
    Text,
    /// `[]string` or `[]int32`.
    List,
    /// `map[string]string`; each key is a setting of its own: `evictionHard.memory.available`.
    Map,
    /// `map[string]bool`: feature gates.
    Gates,
    /// A structure that no rule looks into; a value of ours says that it is there.
    Opaque,
    /// What may hold a password; a value of ours says that it is there.
    Secret,
}

const NO_BOOL: &str = "is no boolean";
const NO_NUMBER: &str = "is no whole number in its range";
const NO_DURATION: &str = "is no duration such as `30s` or `1h30m`";
const NO_QUANTITY: &str = "is no quantity such as `10Mi`";

/// What is said of a value that is there and is not shown.
pub(crate) const NOT_SHOWN: &str = "set, not shown";

/// What a flag means that is given once. Lists, maps and gates are not for here: they are gathered over all occurrences.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn of_flag(kind: Kind, text: &str) -> Result<Value, &'static str> {
    match kind {
        Kind::Bool => boolean(text).map(Value::bool),
        Kind::Int => integer(text).and_then(in_32_bits).map(Value::int),
        Kind::Long => integer(text).map(Value::int),
        Kind::Duration => duration(text).map(Value::int),
        Kind::Quantity => quantity(text).map(Value::int),
        Kind::Float | Kind::Text | Kind::List | Kind::Map | Kind::Gates => Ok(Value::text(text)),
        Kind::Opaque | Kind::Secret => Ok(Value::text(NOT_SHOWN)),
    }
}

/// Whether a number fits an `int32`.
///
/// # Errors
/// If it does not.
pub(crate) fn in_32_bits(number: i64) -> Result<i64, &'static str> {
    i32::try_from(number).map(i64::from).map_err(|_| NO_NUMBER)
}

/// `strconv.ParseBool`: the spellings of flags, not those of YAML.
///
/// # Errors
/// If it is none of them.
pub(crate) fn boolean(text: &str) -> Result<bool, &'static str> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(NO_BOOL),
    }
}

/// The booleans of YAML 1.1, which the kubelet's parser knows and ours does not: `enabled: yes` opens a kubelet. Our parser does not
/// tell whether it was quoted; then the kubelet would have refused the file. `None` if it is none of them.
pub(crate) fn old_yaml_boolean(text: &str) -> Option<bool> {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(true),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

/// `strconv.ParseInt` with base 0: `010` is eight and `0x10` sixteen.
///
/// # Errors
/// If it is no number of 64 bits.
pub(crate) fn integer(text: &str) -> Result<i64, &'static str> {
    let (sign, digits) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (if text.starts_with('-') { "-" } else { "" }, rest),
        None => ("", text),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = if let Some(rest) = lower.strip_prefix("0x") {
        (16, rest)
    } else if let Some(rest) = lower.strip_prefix("0b") {
        (2, rest)
    } else if let Some(rest) = lower.strip_prefix("0o") {
        (8, rest)
    } else if let Some(rest) = lower.strip_prefix('0').filter(|rest| !rest.is_empty()) {
        (8, rest)
    } else {
        (10, lower.as_str())
    };
    // `from_str_radix` takes a sign of its own, which would be a second one here.
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(NO_NUMBER);
    }
    i64::from_str_radix(&format!("{sign}{digits}"), radix).map_err(|_| NO_NUMBER)
}

/// `time.ParseDuration`, in seconds, rounded away from zero: `500ms` is not nothing. A bare number is refused, but for `0`.
///
/// # Errors
/// If it is no duration, or longer than the 292 years that Go can count.
pub(crate) fn duration(text: &str) -> Result<i64, &'static str> {
    const SECOND: i128 = 1_000_000_000;
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(NO_DURATION);
    }
    let mut nanoseconds: i128 = 0;
    while !rest.is_empty() {
        let (whole, fraction, after) = decimal(rest).ok_or(NO_DURATION)?;
        let (unit, after) = cut(after, |c| c.is_ascii_digit() || c == '.');
        let scale: i128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => SECOND,
            "m" => 60 * SECOND,
            "h" => 3600 * SECOND,
            _ => return Err(NO_DURATION),
        };
        nanoseconds += scaled(whole, fraction, scale).ok_or(NO_DURATION)?;
        if nanoseconds > i128::from(i64::MAX) {
            return Err(NO_DURATION);
        }
        rest = after;
    }
    let seconds = i64::try_from((nanoseconds + SECOND - 1) / SECOND).map_err(|_| NO_DURATION)?;
    Ok(if negative { -seconds } else { seconds })
}

/// `resource.ParseQuantity`, rounded up to a whole number: bytes for memory, CPUs for CPU time.
///
/// # Errors
/// If it is no quantity, or has more than 63 bits.
pub(crate) fn quantity(text: &str) -> Result<i64, &'static str> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction, suffix) = decimal(rest).ok_or(NO_QUANTITY)?;
    let ten = |power: u32| 10_i128.checked_pow(power);
    // In thousand millionths, which is as fine as quantities are.
    let scale = match suffix {
        "n" => Some(1),
        "u" => ten(3),
        "m" => ten(6),
        "" => ten(9),
        "k" => ten(12),
        "M" => ten(15),
        "G" => ten(18),
        "T" => ten(21),
        "P" => ten(24),
        "E" => ten(27),
        "Ki" | "Mi" | "Gi" | "Ti" | "Pi" | "Ei" => {
            let power = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].iter().position(|s| *s == suffix).unwrap_or(0) + 1;
            ten(9).and_then(|one| one.checked_mul(1_i128 << (10 * power)))
        }
        exponent => {
            let power = exponent.strip_prefix(['e', 'E']).and_then(|p| p.parse::<i32>().ok()).ok_or(NO_QUANTITY)?;
            u32::try_from(power + 9).ok().filter(|p| *p <= 27).and_then(ten)
        }
    }
    .ok_or(NO_QUANTITY)?;
    let number = scaled(whole, fraction, scale).ok_or(NO_QUANTITY)?;
    let number = i64::try_from((number + 999_999_999) / 1_000_000_000).map_err(|_| NO_QUANTITY)?;
    Ok(if negative { -number } else { number })
}

/// Digits, perhaps a point and more digits; and what comes after.
fn decimal(text: &str) -> Option<(&str, &str, &str)> {
    let (whole, after) = cut(text, |c| !c.is_ascii_digit());
    let (fraction, after) = match after.strip_prefix('.') {
        Some(after) => cut(after, |c| !c.is_ascii_digit()),
        None => ("", after),
    };
    (!whole.is_empty() || !fraction.is_empty()).then_some((whole, fraction, after))
}

/// What comes before the first such character, and the rest.
fn cut(text: &str, is: impl Fn(char) -> bool) -> (&str, &str) {
    text.find(is).and_then(|at| text.split_at_checked(at)).unwrap_or((text, ""))
}

/// `whole.fraction * scale`, the rest of it cut off; `None` if it is too large to be true.
fn scaled(whole: &str, fraction: &str, scale: i128) -> Option<i128> {
    let number = |digits: &str| if digits.is_empty() { Some(0) } else { digits.parse::<i64>().ok().map(i128::from) };
    let fraction: String = fraction.chars().take(18).collect();
    let places = u32::try_from(fraction.len()).ok()?;
    let part = number(&fraction)?.checked_mul(scale)? / 10_i128.checked_pow(places)?;
    number(whole)?.checked_mul(scale)?.checked_add(part)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_gos() {
        for (text, seconds) in [
            ("0", 0),
            ("0s", 0),
            ("-0", 0),
            ("4h", 14_400),
            ("4h0m0s", 14_400),
            ("1h30m", 5400),
            ("500ms", 1),
            ("1.5s", 2),
            ("-500ms", -1),
            ("1µs", 1),
            (".5m", 30),
        ] {
            assert_eq!(duration(text), Ok(seconds), "{text}");
        }
        for text in ["", "5", "4H", "1h 30m", "h", ".s", "1d", "99999999999h", "-", "1h-30m", "٣s"] {
            assert_eq!(duration(text), Err(NO_DURATION), "{text}");
        }
    }

    #[test]
    fn numbers_of_flags_have_gos_prefixes() {
        for (text, number) in
            [("0", 0), ("10255", 10_255), ("010", 8), ("0x10", 16), ("-1", -1), ("+5", 5), ("0b11", 3)]
        {
            assert_eq!(integer(text), Ok(number), "{text}");
        }
        for text in
            ["", "-", "--1", "0x", "0x-1", "1e3", "9", "1 ", "99999999999999999999"].iter().filter(|t| **t != "9")
        {
            assert_eq!(integer(text), Err(NO_NUMBER), "{text}");
        }
        assert_eq!(of_flag(Kind::Int, "4294967296"), Err(NO_NUMBER));
        assert_eq!(of_flag(Kind::Long, "4294967296"), Ok(Value::int(4_294_967_296)));
    }

    #[test]
    fn quantities_are_kubernetes() {
        for (text, number) in
            [("10Mi", 10_485_760), ("1k", 1000), ("100m", 1), ("1.5Ki", 1536), ("0", 0), ("5e3", 5000)]
        {
            assert_eq!(quantity(text), Ok(number), "{text}");
        }
        for text in ["", "Mi", "10mi", "10MB", "10%", "1e99", "99999E"] {
            assert_eq!(quantity(text), Err(NO_QUANTITY), "{text}");
        }
    }

    #[test]
    fn booleans_of_flags_and_of_yaml_are_not_the_same() {
        assert_eq!(boolean("T"), Ok(true));
        assert_eq!(boolean("yes"), Err(NO_BOOL));
        assert_eq!(old_yaml_boolean("On"), Some(true));
        assert_eq!(old_yaml_boolean("true "), None);
    }

    proptest! {
        #[test]
        fn never_panics(text in ".{0,40}", digits in "[-+0-9.eEmMKkinuµsh]{0,40}") {
            for text in [text, digits] {
                duration(&text).ok();
                quantity(&text).ok();
                integer(&text).ok();
                boolean(&text).ok();
                old_yaml_boolean(&text);
            }
        }

        #[test]
        fn whole_seconds_are_kept(seconds in 0..1_000_000_000_i64) {
            prop_assert_eq!(duration(&format!("{seconds}s")), Ok(seconds));
        }
    }
}
