//! `config show`: each effective value, and where it came from.

use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::found::{Found, Source};
use super::{Loaded, join};

/// One line of `config show`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The dotted key.
    pub key: String,
    /// The value as TOML would write it; `-` when it is unset.
    pub value: String,
    /// Where it came from.
    pub source: String,
}

/// One row per key: what the file at `path` says, what was found for what it leaves open, and the defaults.
#[must_use]
pub fn rows<T: Serialize>(loaded: &Loaded<T>, path: &Path, found: &Found) -> Vec<Row> {
    let mut effective = serde_json::to_value(&loaded.value).unwrap_or_default();
    for (key, value, _) in found.iter() {
        if let Some(slot) = effective.pointer_mut(&format!("/{}", key.replace('.', "/"))) {
            *slot = json!(value);
        }
    }
    show(&effective, &|key| {
        if let Some(source) = found.source(key) {
            return source.to_string();
        }
        if loaded.gives(key) {
            return Source::File(path.to_owned()).to_string();
        }
        match found.missing.iter().find(|missing| missing.key == key) {
            Some(missing) => format!("NOT FOUND: {}", missing.reason),
            None => Source::Default.to_string(),
        }
    })
}

/// The rows as a JSON document: key to value and source.
#[must_use]
pub fn document(rows: &[Row]) -> Value {
    let entry = |row: &Row| {
        // A row writes values as TOML, which for all but tables is JSON; what is unset is `-`.
        let value = match row.value.as_str() {
            "-" => Value::Null,
            written => serde_json::from_str(written).unwrap_or_else(|_| json!(written)),
        };
        (row.key.clone(), json!({ "value": value, "source": row.source }))
    };
    Value::Object(rows.iter().map(entry).collect::<Map<_, _>>())
}

/// One row per value of `effective` (serialise the settings with `serde_json::to_value`), in its order. Tables are
/// walked; lists are one value. `source` is asked with each dotted key.
pub fn show(effective: &Value, source: &dyn Fn(&str) -> String) -> Vec<Row> {
    let mut rows = Vec::new();
    walk(effective, "", source, &mut rows);
    rows
}

fn walk(value: &Value, key: &str, source: &dyn Fn(&str) -> String, rows: &mut Vec<Row>) {
    match value {
        Value::Object(table) if !table.is_empty() => {
            for (name, value) in table {
                walk(value, &join(key, name), source, rows);
            }
        }
        Value::Object(_) if key.is_empty() => {}
        _ => rows.push(Row { key: key.to_owned(), value: written(value), source: source(key) }),
    }
}

fn written(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Array(items) => format!("[{}]", items.iter().map(written).collect::<Vec<_>>().join(", ")),
        Value::Object(table) if table.is_empty() => "{}".to_owned(),
        Value::Object(table) => {
            let entry = |(name, value): (&String, &Value)| format!("{} = {}", join("", name), written(value));
            let entries: Vec<_> = table.iter().map(entry).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        // JSON's escapes are TOML's, too, and keep a control character from reaching the terminal.
        Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

/// Values that are longer do not push the sources of all others to the right.
const VALUE_WIDTH: usize = 60;

/// `rows` under a heading, columns aligned by characters, every line ended with a newline and free of trailing blanks.
#[must_use]
pub fn render_table(rows: &[Row]) -> String {
    let width = |column: fn(&Row) -> &str, heading: &str| {
        rows.iter().map(|row| column(row).chars().count()).chain([heading.len()]).max().unwrap_or(0)
    };
    let (key_width, value_width) = (width(|row| &row.key, "KEY"), width(|row| &row.value, "VALUE").min(VALUE_WIDTH));
    let line = |key: &str, value: &str, source: &str| {
        let line = format!("{key:key_width$}  {value:value_width$}  {source}");
        format!("{}\n", line.trim_end())
    };
    std::iter::once(line("KEY", "VALUE", "SOURCE"))
        .chain(rows.iter().map(|row| line(&row.key, &row.value, &row.source)))
        .collect()
}
