//! Pure: TOML.

use super::Raw;
use crate::expect::{Scalar, Value};
use crate::facts::units::syntax::Malformed;

/// The value of a key in a table.
pub(super) fn find(text: &str, section: Option<&str>, key: &str) -> Result<Option<Raw>, Malformed> {
    let root: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let at = error.span().map_or(0, |span| span.start);
        let line = text.bytes().take(at).filter(|b| *b == b'\n').count() + 1;
        Malformed { line, problem: "is no TOML" }
    })?;
    let mut table = &root;
    for name in section.map(path).unwrap_or_default() {
        match table.get(&name).and_then(toml::Value::as_table) {
            Some(inner) => table = inner,
            None => return Ok(None),
        }
    }
    Ok(table.get(key).map(raw))
}

/// The names of tables in a path: dots separate, quotes hold together.
fn path(section: &str) -> Vec<String> {
    let (mut names, mut quoted) = (vec![String::new()], false);
    for c in section.chars() {
        match c {
            '"' => quoted = !quoted,
            '.' if !quoted => names.push(String::new()),
            c => names.iter_mut().last().into_iter().for_each(|name| name.push(c)),
        }
    }
    names
}

fn raw(value: &toml::Value) -> Raw {
    let text = |value: &toml::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Raw::Typed(match value {
        toml::Value::Boolean(yes) => Value::bool(*yes),
        toml::Value::Integer(number) => Value::int(*number),
        toml::Value::Array(items) => Value::List(items.iter().map(text).collect()),
        other => Value::Scalar(Scalar::Text(text(other))),
    })
}
