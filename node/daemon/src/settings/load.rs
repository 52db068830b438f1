//! Text to typed settings, refusing what nobody would read.

use super::{join, nearest};
use serde::de::DeserializeOwned;
use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::ops::Range;
use toml::de::{DeTable, DeValue};

/// Settings, and what the file had to say about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded<T> {
    /// The settings, with defaults where the file is silent.
    pub value: T,
    /// The dotted keys that the file gave.
    pub present: BTreeSet<String>,
}

impl<T> Loaded<T> {
    /// Whether the file gave `key`, or a table or map that `key` lies in.
    #[must_use]
    pub fn gives(&self, key: &str) -> bool {
        self.present
            .iter()
            .any(|given| key.strip_prefix(given.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
    }
}

/// Why a settings file is refused. Lines count from 1.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Not TOML.
    #[error("{origin}:{line}: not valid TOML: {message}")]
    Syntax {
        /// The file, as the caller named it.
        origin: String,
        /// Where.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// Keys that no setting reads, all of them at once.
    #[error("{}", lines(origin, keys))]
    Unknown {
        /// The file, as the caller named it.
        origin: String,
        /// In the order of the file; at least one.
        keys: Vec<UnknownKey>,
    },
    /// A known key with a value that it cannot have.
    #[error("{origin}:{line}: `{key}`: {message}")]
    Value {
        /// The file, as the caller named it.
        origin: String,
        /// Where.
        line: usize,
        /// The dotted key.
        key: String,
        /// What was found and what is expected.
        message: String,
    },
}

/// A key that no setting reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownKey {
    /// Where.
    pub line: usize,
    /// The dotted key.
    pub key: String,
    /// What was probably meant.
    pub nearest: Option<String>,
}

impl fmt::Display for UnknownKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.nearest {
            Some(nearest) => write!(f, "unknown key `{}`; did you mean `{nearest}`?", self.key),
            None => write!(f, "unknown key `{}`; `config example` lists every setting", self.key),
        }
    }
}

fn lines(origin: &str, keys: &[UnknownKey]) -> String {
    keys.iter().map(|key| format!("{origin}:{}: {key}", key.line)).collect::<Vec<_>>().join("\n")
}

/// Reads `text`, the content of the file that messages call `origin`. `known` holds every dotted key that exists, as
/// [`known_keys`](super::known_keys) makes it. `T` has `#[serde(default, deny_unknown_fields)]` on itself and its
/// tables; the names inside a list or a map are left to serde.
///
/// # Errors
/// [`SettingsError`]; the first of syntax, unknown keys, values.
pub fn load<T: DeserializeOwned>(text: &str, origin: &str, known: &[&str]) -> Result<Loaded<T>, SettingsError> {
    let at = |offset| line_of(text, offset);
    let document = DeTable::parse(text).map_err(|error| SettingsError::Syntax {
        origin: origin.to_owned(),
        line: at(error.span().map_or(0, |span| span.start)),
        message: error.message().to_owned(),
    })?;

    let mut walk = Walk { known: known.iter().copied().collect(), present: BTreeSet::new(), unknown: Vec::new() };
    walk.table(document.get_ref(), "").map_err(|(key, offset, found)| SettingsError::Value {
        origin: origin.to_owned(),
        line: at(offset),
        key,
        message: format!("invalid type: {found}, expected a table"),
    })?;
    if !walk.unknown.is_empty() {
        walk.unknown.sort_by_key(|(offset, ..)| *offset);
        let keys = walk.unknown.iter().map(|(offset, key, is_table)| UnknownKey {
            line: at(*offset),
            key: key.clone(),
            nearest: nearest_known(key, *is_table, known),
        });
        return Err(SettingsError::Unknown { origin: origin.to_owned(), keys: keys.collect() });
    }

    let value = T::deserialize(toml::Deserializer::from(document.clone())).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        SettingsError::Value {
            origin: origin.to_owned(),
            line: at(offset),
            key: key_at(document.get_ref(), offset).unwrap_or_else(|| "(the whole file)".to_owned()),
            message: plain(error.message()),
        }
    })?;
    Ok(Loaded { value, present: walk.present })
}

struct Walk<'k> {
    known: HashSet<&'k str>,
    present: BTreeSet<String>,
    /// Offset, dotted key, whether it holds a table.
    unknown: Vec<(usize, String, bool)>,
}

impl Walk<'_> {
    /// Fails with the key, the offset and the type of a value where a table should be. The depth is bounded by the
    /// TOML parser (80).
    fn table(&mut self, table: &DeTable<'_>, prefix: &str) -> Result<(), (String, usize, &'static str)> {
        for (name, value) in table {
            let key = join(prefix, name.get_ref());
            if self.known.contains(key.as_str()) {
                self.present.insert(key);
            } else if self.known.iter().any(|known| is_inside(known, &key)) {
                match value.get_ref() {
                    DeValue::Table(inner) => self.table(inner, &key)?,
                    other => return Err((key, name.span().start, other.type_str())),
                }
            } else {
                self.unknown.push((name.span().start, key, value.get_ref().is_table()));
            }
        }
        Ok(())
    }
}

fn is_inside(key: &str, table: &str) -> bool {
    key.strip_prefix(table).is_some_and(|rest| rest.starts_with('.'))
}

/// For a table the tables are candidates, too.
fn nearest_known(key: &str, is_table: bool, known: &[&str]) -> Option<String> {
    let tables: BTreeSet<&str> = known.iter().flat_map(|known| ancestors(known)).collect();
    let tables = tables.into_iter().filter(|_| is_table);
    nearest(key, tables.chain(known.iter().copied())).map(str::to_owned)
}

/// `a.b.c` lies in `a` and in `a.b`.
fn ancestors(key: &str) -> impl Iterator<Item = &str> {
    key.match_indices('.').filter_map(|(dot, _)| key.get(..dot))
}

/// The dotted key of the narrowest entry around `offset`.
fn key_at(table: &DeTable<'_>, offset: usize) -> Option<String> {
    fn visit(table: &DeTable<'_>, prefix: &str, offset: usize, best: &mut Option<(usize, String)>) {
        for (name, value) in table {
            let key = join(prefix, name.get_ref());
            for span in [name.span(), value.span()] {
                consider(&key, span, offset, best);
            }
            inner(value.get_ref(), &key, offset, best);
        }
    }
    fn inner(value: &DeValue<'_>, key: &str, offset: usize, best: &mut Option<(usize, String)>) {
        match value {
            DeValue::Table(table) => visit(table, key, offset, best),
            DeValue::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    let key = format!("{key}[{index}]");
                    consider(&key, item.span(), offset, best);
                    inner(item.get_ref(), &key, offset, best);
                }
            }
            _ => {}
        }
    }
    fn consider(key: &str, span: Range<usize>, offset: usize, best: &mut Option<(usize, String)>) {
        if span.contains(&offset) && best.as_ref().is_none_or(|(length, _)| span.len() <= *length) {
            *best = Some((span.len(), key.to_owned()));
        }
    }
    let mut best = None;
    visit(table, "", offset, &mut best);
    best.map(|(_, key)| key)
}

fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().iter().take(offset);
    1 + before.filter(|byte| **byte == b'\n').count()
}

/// serde names Rust types; whoever writes TOML has never heard of them.
fn plain(message: &str) -> String {
    const NAMES: [(&str, &str); 18] = [
        ("i8", "a whole number"),
        ("i16", "a whole number"),
        ("i32", "a whole number"),
        ("i64", "a whole number"),
        ("isize", "a whole number"),
        ("u8", "a whole number, not negative"),
        ("u16", "a whole number, not negative"),
        ("u32", "a whole number, not negative"),
        ("u64", "a whole number, not negative"),
        ("usize", "a whole number, not negative"),
        ("a nonzero u32", "a whole number above zero"),
        ("a nonzero u64", "a whole number above zero"),
        ("a nonzero usize", "a whole number above zero"),
        ("f64", "a number"),
        ("a boolean", "true or false"),
        ("a sequence", "a list"),
        ("a map", "a table"),
        ("a borrowed string", "a string"),
    ];
    let Some((found, expected)) = message.rsplit_once(", expected ") else { return message.to_owned() };
    let expected = match NAMES.iter().find(|(name, _)| *name == expected) {
        Some((_, plain)) => plain,
        None if expected.starts_with("struct ") => "a table",
        None => expected,
    };
    format!("{found}, expected {expected}")
}
