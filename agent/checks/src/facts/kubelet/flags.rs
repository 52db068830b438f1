//! Pure: the kubelet's command line, as `pflag` reads it.
//!
//! The last occurrence of a flag decides; lists and maps gather all of them. `--flag value` gives a value, but not to a boolean:
//! `--anonymous-auth false` is `--anonymous-auth=true` and a stray word, at which the kubelet does not start.

use std::collections::BTreeMap;

use super::table::{self, Row};
use super::value::{self, Kind};
use crate::expect::Value;

/// The flags that were given.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    given: BTreeMap<String, Vec<Given>>,
}

/// One occurrence of a flag.
#[derive(Debug, PartialEq, Eq)]
struct Given {
    /// Which argument it is, counted from 1.
    argument: usize,
    value: String,
}

/// What a flag says of a setting.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Flagged {
    /// The value; `None` if the flag sets other keys of this map and so takes this one away.
    pub(crate) value: Option<Value>,
    /// Which argument decided, counted from 1.
    pub(crate) argument: usize,
}

/// An argument that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Which one, counted from 1.
    pub(crate) argument: usize,
    /// What is wrong with it.
    pub(crate) problem: &'static str,
}

impl Flags {
    /// Reads the arguments after the program's name.
    ///
    /// # Errors
    /// If the kubelet would not start with them.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, Refused> {
        let mut flags = Self::default();
        let mut rest = arguments.iter().zip(1..).peekable();
        while let Some((text, argument)) = rest.next() {
            let refuse = |problem| Err(Refused { argument, problem });
            let (name, value) = if let Some(long) = text.strip_prefix("--") {
                if long.is_empty() && rest.peek().is_none() {
                    break;
                }
                let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
                if name.is_empty() || name.starts_with('-') {
                    return refuse("is no flag");
                }
                // `WordSepNormalizeFunc`.
                (name.replace('_', "-"), value)
            } else if let Some(verbosity) = text.strip_prefix("-v") {
                let value = verbosity.strip_prefix('=').unwrap_or(verbosity);
                ("v".to_owned(), Some(value).filter(|v| !v.is_empty()))
            } else if text.starts_with('-') && text.len() > 1 {
                return refuse("has one dash, which the kubelet does not take for a flag");
            } else {
                return refuse("is no flag");
            };
            let alone = table::stands_alone(&name);
            let value = match value {
                Some(value) => value.to_owned(),
                None if alone == Some(true) => "true".to_owned(),
                None => match rest.peek() {
                    // What a flag that this table does not know would do with the next argument is guessed from it.
                    Some((next, _)) if alone.is_some() || !next.starts_with('-') => {
                        let next = (*next).clone();
                        rest.next();
                        next
                    }
                    _ if alone.is_none() => "true".to_owned(),
                    _ => return refuse("lacks its value"),
                },
            };
            flags.given.entry(name).or_default().push(Given { argument, value });
        }
        Ok(flags)
    }

    /// The text of a flag's last occurrence, and which argument that is.
    pub(crate) fn text(&self, flag: &str) -> Option<(&str, usize)> {
        self.given.get(flag)?.last().map(|given| (given.value.as_str(), given.argument))
    }

    /// What the command line says of a setting; `None` if nothing.
    ///
    /// # Errors
    /// If the value is not of the setting's type.
    pub(crate) fn says(&self, path: &str) -> Option<Result<Flagged, Refused>> {
        let row = table::setting_of(path)?;
        let given = self.given.get(row.flag)?;
        let last = given.last()?;
        let key = || path.strip_prefix(row.path).and_then(|rest| rest.strip_prefix('.')).unwrap_or_default();
        match row.kind {
            Kind::List => Some(list(given)),
            Kind::Map => Some(pairs(row, given).map(|pairs| {
                let found = pairs.into_iter().rfind(|(name, _, _)| name == key());
                let argument = found.as_ref().map_or(last.argument, |(_, _, argument)| *argument);
                Flagged { value: found.map(|(_, value, _)| Value::text(value)), argument }
            })),
            // The flag changes the gates that it names, and leaves the others to the file.
            Kind::Gates => match pairs(row, given) {
                Err(refused) => Some(Err(refused)),
                Ok(pairs) => pairs.into_iter().rfind(|(name, _, _)| name == key()).map(|(_, value, argument)| {
                    let value = value::boolean(&value).map(Value::bool);
                    value
                        .map(|value| Flagged { value: Some(value), argument })
                        .map_err(|problem| Refused { argument, problem })
                }),
            },
            kind => Some(
                value::of_flag(kind, &last.value)
                    .map(|value| Flagged { value: Some(value), argument: last.argument })
                    .map_err(|problem| Refused { argument: last.argument, problem }),
            ),
        }
    }

    /// The settings that the command line names, by their paths; of maps, the keys.
    pub(crate) fn settings(&self) -> Vec<String> {
        let rows = self.given.iter().filter_map(|(flag, given)| Some((table::setting_of_flag(flag)?, given)));
        rows.flat_map(|(row, given)| match row.kind {
            Kind::Map | Kind::Gates => {
                let pairs = pairs(row, given).unwrap_or_default();
                pairs.into_iter().map(|(key, _, _)| format!("{}.{key}", row.path)).collect()
            }
            _ => vec![row.path.to_owned()],
        })
        .collect()
    }
}

/// `pflag.StringSlice`: each occurrence adds a line of CSV.
fn list(given: &[Given]) -> Result<Flagged, Refused> {
    let mut list = Vec::new();
    let mut argument = 0;
    for one in given {
        argument = one.argument;
        if one.value.contains('"') {
            return Err(Refused { argument, problem: "has quotes in a list" });
        }
        list.extend(one.value.split(',').filter(|_| !one.value.is_empty()).map(str::to_owned));
    }
    Ok(Flagged { value: Some(Value::List(list)), argument })
}

/// `MapStringString`, `MapStringBool`, `LangleSeparatedMapStringString`: pairs separated by commas, over all occurrences.
fn pairs(row: &Row, given: &[Given]) -> Result<Vec<(String, String, usize)>, Refused> {
    let separator = if matches!(row.flag, "eviction-hard" | "eviction-soft") { '<' } else { '=' };
    // `NewMapStringStringNoSplit`.
    let whole = row.flag.ends_with("-policy-options");
    let mut pairs = Vec::new();
    for Given { argument, value } in given {
        let parts = if whole { vec![value.as_str()] } else { value.split(',').collect() };
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            let (key, value) = part
                .split_once(separator)
                .ok_or(Refused { argument: *argument, problem: "has a member without its value" })?;
            pairs.push((key.trim().to_owned(), value.trim().to_owned(), *argument));
        }
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests;
