//! Pure: the arguments of an option become a value.

use super::include::matches;
use super::options::{Kind, SshdOption, Unwritten};
use crate::expect::Value;

/// Longest value, in bytes, that is looked at: it becomes evidence.
const MAX_VALUE: usize = 4096;

/// Seconds of the units of time (sshd_config(5), "TIME FORMATS").
const UNITS: &[(char, i64)] = &[('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400), ('w', 604_800)];

/// What MaxStartups is beyond its first number if that is all there is (OpenSSH, servconf.c).
const STARTUPS_RATE: i64 = 30;

/// The value of an option; an error says why sshd would refuse it, or why it cannot be told.
pub(super) fn of(option: &SshdOption, arguments: &[String]) -> Result<Value, String> {
    if arguments.iter().map(|word| word.len() + 1).sum::<usize>() > MAX_VALUE {
        return Err(format!("the value has more than {MAX_VALUE} bytes"));
    }
    match option.kind {
        Kind::Names => return Ok(Value::List(arguments.to_vec())),
        Kind::Line => return Ok(Value::text(arguments.join(" "))),
        _ => {}
    }
    let [word] = arguments else {
        return Err(format!("has {} values where sshd takes one", arguments.len()));
    };
    let refused = || format!("sshd does not know the value {word}");
    match option.kind {
        Kind::Words(words) => {
            let known = words.iter().find(|(spelling, _)| spelling.eq_ignore_ascii_case(word));
            known.map(|(_, means)| Value::text(*means)).ok_or_else(refused)
        }
        Kind::Number => number(word).map(Value::int).ok_or_else(refused),
        Kind::Seconds => seconds(word).map(Value::int).ok_or_else(refused),
        Kind::Startups => startups(word).map(Value::text).ok_or_else(refused),
        Kind::Algorithms => algorithms(option, word).map(Value::List),
        Kind::Text | Kind::Names | Kind::Line => Ok(Value::text(word.as_str())),
    }
}

/// A number that fits a C `int`, without a sign.
fn number(word: &str) -> Option<i64> {
    let digits = !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
    word.parse::<i32>().ok().filter(|_| digits).map(i64::from)
}

/// `1h30m`, or `90` for seconds.
fn seconds(word: &str) -> Option<i64> {
    let (mut total, mut rest) = (0_i64, word);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let unit = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (digits, after) = rest.split_at_checked(unit)?;
        let mut after = after.chars();
        let factor = match after.next() {
            None => 1,
            Some(c) => UNITS.iter().find(|(unit, _)| unit.eq_ignore_ascii_case(&c))?.1,
        };
        total = total.checked_add(number(digits)?.checked_mul(factor)?)?;
        rest = after.as_str();
    }
    i32::try_from(total).is_ok().then_some(total)
}

/// `begin:rate:full`, in full.
fn startups(word: &str) -> Option<String> {
    let parts: Option<Vec<i64>> = word.split(':').map(number).collect();
    match parts?.as_slice() {
        [all] => Some(format!("{all}:{STARTUPS_RATE}:{all}")),
        [begin, rate @ 1..=100, full] if begin <= full => Some(format!("{begin}:{rate}:{full}")),
        _ => None,
    }
}

/// A list, or what `+`, `-` and `^` make of the default (sshd_config(5), `Ciphers`).
fn algorithms(option: &SshdOption, word: &str) -> Result<Vec<String>, String> {
    let names = |list: &str| list.split(',').map(str::to_owned).collect::<Vec<_>>();
    let Some(list) = word.strip_prefix(['+', '-', '^']) else { return Ok(names(word)) };
    let Unwritten::Is(default) = option.default else {
        return Err(format!("{word} changes a default that depends on the version of OpenSSH"));
    };
    let (default, list) = (names(default), names(list));
    Ok(match word.chars().next() {
        Some('-') => {
            let dropped = |name: &str| list.iter().any(|pattern| matches(pattern.as_bytes(), name.as_bytes()));
            default.into_iter().filter(|name| !dropped(name)).collect()
        }
        Some('^') => list.iter().cloned().chain(default.into_iter().filter(|name| !list.contains(name))).collect(),
        _ => default.iter().cloned().chain(list.into_iter().filter(|name| !default.contains(name))).collect(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::options::{ALL, find};
    use super::*;

    fn value(name: &str, arguments: &str) -> Result<String, String> {
        let words: Vec<_> = arguments.split(' ').map(str::to_owned).collect();
        of(find(name).unwrap(), &words).map(|value| value.to_string())
    }

    #[test]
    fn times_are_seconds() {
        for (text, wanted) in
            [("0", Some(0)), ("90", Some(90)), ("1m30s", Some(90)), ("1W", Some(604_800)), ("2h", Some(7_200))]
        {
            assert_eq!(seconds(text), wanted, "{text}");
        }
        for text in ["", "s", "-1", "1x", "9999999999", "99999999w", "1 m", "0x10"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn words_have_one_spelling() {
        assert_eq!(value("PermitRootLogin", "without-password").unwrap(), "prohibit-password");
        assert_eq!(value("PermitRootLogin", "NO").unwrap(), "no");
        assert_eq!(value("LogLevel", "debug").unwrap(), "DEBUG1");
        assert_eq!(value("AllowTcpForwarding", "all").unwrap(), "yes");
        assert!(value("PermitRootLogin", "false").is_err());
        assert!(value("PermitRootLogin", "no yes").is_err());
    }

    #[test]
    fn startups_are_written_in_full() {
        assert_eq!(value("MaxStartups", "10").unwrap(), "10:30:10");
        assert_eq!(value("MaxStartups", "10:30:60").unwrap(), "10:30:60");
        for bad in ["10:30", "60:30:10", "10:0:60", "10:101:60", "a"] {
            assert!(value("MaxStartups", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn lists_may_change_the_default_where_it_is_known() {
        assert_eq!(value("Ciphers", "aes256-ctr,aes128-ctr").unwrap(), "[aes256-ctr, aes128-ctr]");
        assert!(value("Ciphers", "+3des-cbc").unwrap().ends_with("aes256-gcm@openssh.com, 3des-cbc]"));
        assert_eq!(value("Ciphers", "-aes*,chacha*").unwrap(), "[]");
        assert!(value("Ciphers", "^aes256-ctr").unwrap().starts_with("[aes256-ctr, chacha20"));
        assert!(value("KexAlgorithms", "+x").unwrap_err().contains("version of OpenSSH"));
        assert_eq!(value("KexAlgorithms", "x").unwrap(), "[x]");
    }

    #[test]
    fn every_default_is_a_value_of_its_option() {
        for option in ALL {
            if let Unwritten::Is(words) = option.default {
                let words: Vec<_> = words.split(' ').map(str::to_owned).collect();
                assert!(of(option, &words).is_ok(), "{}", option.name);
            }
        }
    }

    proptest! {
        #[test]
        fn never_panics(word in "[-+^0-9smhdw:,a*é]{0,30}") {
            for option in ALL {
                of(option, std::slice::from_ref(&word)).ok();
            }
        }
    }
}
