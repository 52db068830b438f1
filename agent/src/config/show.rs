//! `config show`: every effective value and where it came from.

use std::path::Path;

use safeguard_daemon::settings::{Loaded, Row, show};
use serde_json::{Map, Value, json};

use super::raw::Settings;
use super::resolve::{Resolved, Source};

/// One row per key.
#[must_use]
pub fn rows(loaded: &Loaded<Settings>, path: &Path, resolved: &Resolved) -> Vec<Row> {
    let mut effective = serde_json::to_value(&loaded.value).unwrap_or_default();
    for (key, (value, _)) in &resolved.found {
        if let Some(slot) = effective.pointer_mut(&format!("/{}", key.replace('.', "/"))) {
            *slot = json!(value);
        }
    }
    show(&effective, &|key| {
        if let Some((_, source)) = resolved.found.get(key) {
            return source.to_string();
        }
        if loaded.gives(key) {
            return Source::File(path.to_owned()).to_string();
        }
        match resolved.missing.iter().find(|missing| missing.key == key) {
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
