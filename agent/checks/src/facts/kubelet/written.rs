//! Pure: what a configuration file and its drop-ins say, one setting a path.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::document::Node;
use super::table;
use super::value::{self, Kind};
use crate::expect::{Scalar, Value};

/// What the only version of the configuration that there is calls itself.
const API: (&str, &str) = ("kubelet.config.k8s.io/v1beta1", "KubeletConfiguration");

/// What files say, and which of them said it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Written {
    values: BTreeMap<String, (Value, usize)>,
    files: Vec<PathBuf>,
    /// Whether the first file is a drop-in already.
    only_drop_ins: bool,
}

/// What one document says, in its order. `None` takes back what was said before: the default holds again.
type Said = Vec<(String, Option<Value>)>;

impl Written {
    /// What is said of a setting, and by which file.
    pub(crate) fn get(&self, path: &str) -> Option<(&Value, &Path)> {
        let (value, file) = self.values.get(path)?;
        Some((value, self.files.get(*file).map_or(Path::new(""), PathBuf::as_path)))
    }

    /// The paths of all settings that something is said of.
    pub(crate) fn settings(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// For drop-ins without a configuration file below them.
    pub(crate) fn of_drop_ins() -> Self {
        Self { only_drop_ins: true, ..Self::default() }
    }

    /// Lays another document over what is there: maps are merged key by key, lists replaced, `null` takes back (RFC 7386).
    ///
    /// # Errors
    /// What is wrong, in words that go after the file's name. The kubelet does not start with such a file.
    pub(crate) fn lay(&mut self, file: &Path, document: &Node) -> Result<(), String> {
        let drop_in = self.only_drop_ins || !self.files.is_empty();
        let said = read(document, if drop_in { None } else { file.parent() })?;
        let at = self.files.len();
        self.files.push(file.to_owned());
        for (path, value) in said {
            match value {
                Some(value) => {
                    self.values.insert(path, (value, at));
                }
                None => self.take_back(&path),
            }
        }
        Ok(())
    }

    /// Forgets a setting and all below it.
    fn take_back(&mut self, path: &str) {
        self.values.remove(path);
        // `/` comes right after `.`.
        let below = self.values.range(format!("{path}.")..format!("{path}/"));
        let below: Vec<String> = below.map(|(key, _)| key.clone()).collect();
        for key in below {
            self.values.remove(&key);
        }
    }

    /// What `/configz` says: a configuration that is whole, and has no kind.
    ///
    /// # Errors
    /// What is wrong.
    pub(crate) fn running(configuration: &Node) -> Result<Self, String> {
        let mut said = Vec::new();
        walk(configuration, "", None, &mut said)?;
        let values = said.into_iter().filter_map(|(path, value)| Some((path, (value?, 0))));
        Ok(Self { values: values.collect(), ..Self::default() })
    }
}

/// What a document says. Relative paths are taken from `directory`, which the kubelet does for the configuration file alone.
fn read(document: &Node, directory: Option<&Path>) -> Result<Said, String> {
    let (api, kind) = (document.text("apiVersion").unwrap_or_default(), document.text("kind").unwrap_or_default());
    if (api, kind) != API {
        let shown: String = kind.chars().take(60).collect();
        return Err(format!(
            "is no KubeletConfiguration of {} but `{shown}`: the kubelet does not start with it",
            API.0
        ));
    }
    let mut said = Vec::new();
    walk(document, "", directory, &mut said)?;
    Ok(said)
}

fn walk(node: &Node, path: &str, directory: Option<&Path>, said: &mut Said) -> Result<(), String> {
    let Node::Map(members) = node else {
        return Err(format!("{path}: is no map"));
    };
    for (name, node) in members {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let wrong = |problem| format!("{path}: {problem}");
        match table::setting(&path).map(|row| row.kind) {
            _ if *node == Node::Null => said.push((path, None)),
            Some(kind @ (Kind::Map | Kind::Gates)) => {
                let Node::Map(members) = node else { return Err(wrong("is no map")) };
                for (key, node) in members {
                    let kind = if kind == Kind::Map { Kind::Text } else { Kind::Bool };
                    let value = if *node == Node::Null { None } else { Some(typed(kind, node)) };
                    let value = value.transpose().map_err(|problem| format!("{path}.{key}: {problem}"))?;
                    said.push((format!("{path}.{key}"), value));
                }
            }
            Some(kind) => {
                let value = typed(kind, node).map_err(wrong)?;
                // An empty text is not written by Go, so that a drop-in with one takes back what was said before.
                let empty = value == Value::text("") && table::setting(&path).is_some_and(|row| !row.zero);
                let value = if empty { None } else { Some(absolute(&path, value, directory)) };
                said.push((path, value));
            }
            None if table::has_below(&path) => walk(node, &path, directory, said)?,
            // The kubelet ignores what it does not know in the file; but in drop-ins, and there alone, it does not tell apart
            // upper and lower case, and which of two spellings counts is a matter of their order.
            None if directory.is_none() && differs_in_case(&path) => {
                return Err(wrong("is spelled in another case than the setting, and may or may not count"));
            }
            None => {}
        }
    }
    Ok(())
}

fn differs_in_case(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    table::SETTINGS.iter().any(|row| {
        let lower = row.path.to_ascii_lowercase();
        lower.strip_prefix(&path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

fn absolute(path: &str, value: Value, directory: Option<&Path>) -> Value {
    match (&value, directory) {
        (Value::Scalar(Scalar::Text(text)), Some(directory))
            if table::PATHS.contains(&path) && !text.starts_with('/') =>
        {
            if text.is_empty() {
                value
            } else {
                Value::text(directory.join(text).display().to_string())
            }
        }
        _ => value,
    }
}

/// A value of a file. Nothing is converted: a number in quotes is no number for the kubelet.
fn typed(kind: Kind, node: &Node) -> Result<Value, &'static str> {
    match (kind, node) {
        (Kind::Bool, Node::Bool(yes)) => Ok(Value::bool(*yes)),
        (Kind::Bool, Node::Word(yes, _)) => Ok(Value::bool(*yes)),
        (Kind::Bool, _) => Err("is no boolean"),
        (Kind::Int, Node::Int(number)) => value::in_32_bits(*number).map(Value::int),
        (Kind::Long, Node::Int(number)) => Ok(Value::int(*number)),
        (Kind::Int | Kind::Long, _) => Err("is no whole number in its range"),
        (Kind::Duration, Node::Text(text)) => value::duration(text).map(Value::int),
        (Kind::Duration, _) => Err("is no duration: a number without its unit is refused"),
        (Kind::Quantity, Node::Text(text)) => value::quantity(text).map(Value::int),
        (Kind::Float, Node::Float(number)) => Ok(Value::text(number.to_string())),
        (Kind::Float, Node::Int(number)) => Ok(Value::text(number.to_string())),
        (Kind::Float, _) => Err("is no number"),
        (Kind::Text, Node::Text(text) | Node::Word(_, text)) => Ok(Value::text(text.as_str())),
        (Kind::Text | Kind::Quantity, _) => Err("is no text"),
        (Kind::List, Node::List(list)) => list.iter().map(member).collect::<Result<_, _>>().map(Value::List),
        (Kind::List, _) => Err("is no list"),
        (Kind::Map | Kind::Gates, _) => Err("is no map"),
        (Kind::Opaque | Kind::Secret, _) => Ok(Value::text(value::NOT_SHOWN)),
    }
}

fn member(node: &Node) -> Result<String, &'static str> {
    match node {
        Node::Text(text) | Node::Word(_, text) => Ok(text.clone()),
        Node::Int(number) => Ok(number.to_string()),
        _ => Err("is a list with a member that is no text"),
    }
}

#[cfg(test)]
mod tests;
