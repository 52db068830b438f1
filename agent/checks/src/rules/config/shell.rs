//! Pure: `KEY=value`, as a shell would assign it.

use super::Raw;
use crate::facts::units::syntax::Malformed;

/// Words before an assignment that change nothing about its value.
const MODIFIERS: &[&str] = &["export", "readonly"];

/// The last value of a key, and its line. A line that is no plain assignment may change anything, so it is an error.
pub(super) fn find(text: &str, key: &str) -> Result<Option<(usize, Raw)>, Malformed> {
    let mut found = None;
    for (index, line) in text.lines().enumerate() {
        let bad = |problem| Malformed { line: index + 1, problem };
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let bare = MODIFIERS.iter().find_map(|word| line.strip_prefix(word)?.strip_prefix([' ', '\t']));
        let assignment = bare.unwrap_or(line).trim_start();
        let Some((name, value)) = assignment.split_once('=') else {
            // `export NAME` assigns nothing.
            if bare.is_some() && is_name(assignment) {
                continue;
            }
            return Err(bad("is no assignment"));
        };
        if !is_name(name) {
            return Err(bad("is no assignment"));
        }
        let value = unquoted(value).map_err(bad)?;
        if name == key {
            found = Some((index + 1, Raw::Text(value)));
        }
    }
    Ok(found)
}

fn is_name(text: &str) -> bool {
    !text.starts_with(|c: char| c.is_ascii_digit())
        && !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The word that a shell would assign; a comment may follow it.
fn unquoted(text: &str) -> Result<String, &'static str> {
    let mut value = String::new();
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            (Some('\''), c) => value.push(c),
            (_, '$' | '`') => return Err("the value is one that a shell computes"),
            (Some(_), '\\') => match characters.next() {
                Some(escaped @ ('$' | '`' | '"' | '\\')) => value.push(escaped),
                Some(other) => value.extend(['\\', other]),
                None => return Err("the quotes do not close"),
            },
            (Some(_), c) => value.push(c),
            (None, '\'' | '"') => quote = Some(c),
            (None, '\\') => value.push(characters.next().ok_or("goes on on the next line")?),
            (None, ' ' | '\t') => {
                let rest = characters.as_str().trim_start();
                let ends = rest.is_empty() || rest.starts_with('#');
                return if ends { Ok(value) } else { Err("is a command, not an assignment alone") };
            }
            (None, ';') => {
                return if characters.as_str().trim().is_empty() {
                    Ok(value)
                } else {
                    Err("is more than an assignment")
                };
            }
            (None, '&' | '|' | '<' | '>' | '(' | ')') => return Err("is more than an assignment"),
            (None, c) => value.push(c),
        }
    }
    if quote.is_some() { Err("the quotes do not close") } else { Ok(value) }
}
