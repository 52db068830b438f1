//! Pure: text becomes what the policy asks for, if it can be read as that.

use super::Raw;
use crate::expect::{Expect, Scalar, Value};

/// How systemd spells booleans (systemd.syntax(7)), in any case; other programs use some of these words.
const TRUE: &[&str] = &["1", "yes", "y", "true", "t", "on"];
const FALSE: &[&str] = &["0", "no", "n", "false", "f", "off"];

/// The value as the type that `expect` asks for. What is not of that type stays text, and is then not judged.
pub(super) fn value(raw: Raw, expect: &Expect) -> Value {
    let mut scalars = expect.is.iter().chain(&expect.not).chain(&expect.one_of);
    let wants_bool = scalars.clone().any(|scalar| matches!(scalar, Scalar::Bool(_)));
    let wants_int =
        expect.at_least.is_some() || expect.at_most.is_some() || scalars.any(|scalar| matches!(scalar, Scalar::Int(_)));
    let wants_list = !(expect.subset_of.is_empty() && expect.includes.is_empty() && expect.excludes.is_empty());
    match raw {
        Raw::Typed(value) => value,
        Raw::Flag => Value::bool(true),
        Raw::Text(text) if wants_list => Value::List(list(&text)),
        Raw::Text(text) if wants_bool => boolean(&text).map_or(Value::text(text), Value::bool),
        Raw::Text(text) if wants_int => number(&text).map_or(Value::text(text), Value::int),
        Raw::Text(text) => Value::text(text),
    }
}

fn list(text: &str) -> Vec<String> {
    text.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn boolean(text: &str) -> Option<bool> {
    let is_one_of = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    if is_one_of(TRUE) {
        return Some(true);
    }
    is_one_of(FALSE).then_some(false)
}

/// A decimal number. `027` is none: to many programs that is octal.
fn number(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = digits == "0" || (!digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit()));
    text.parse().ok().filter(|_| plain)
}
