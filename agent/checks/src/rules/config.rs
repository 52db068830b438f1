//! A value in a configuration file that has no kind of its own: `journald.conf`, `login.defs`, `chrony.conf`, `coredump.conf`, ...

mod ini;
mod shell;
mod systemd;
mod toml;
mod typed;
mod words;

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Absent;
use crate::expect::{Expect, Scalar, Value};
use crate::facts::Facts;
use crate::host::Host;
use crate::observed::{Cause, Observed, Unobserved};
use crate::verdict::Verdict;

/// A value and what it has to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The file. With `format: systemd`, the path below `/etc`, `/run`, `/usr/lib` that systemd would read, such as `systemd/journald.conf`,
    /// with its drop-ins (`systemd/journald.conf.d/*.conf`) in their precedence.
    pub file: String,
    /// How it is written.
    pub format: Format,
    /// The section of an INI-like file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section: Option<String>,
    /// The key. Case matters.
    pub key: String,
    /// What the value has to be.
    pub value: Expect,
    /// The value of the program itself when none is written; without it, the key is not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Scalar>,
    /// What no such file means; the default, if there is one, decides otherwise.
    #[serde(default)]
    pub absent: Absent,
}

/// How a configuration file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// `[Section]` and `Key=value`, as systemd reads it: last one wins, an empty value resets, booleans as systemd spells them.
    Systemd,
    /// `[section]` and `key = value`; `#` and `;` begin lines that are comments; the last one wins. A key alone is true. Without
    /// `section`, the keys before the first one are meant.
    Ini,
    /// `KEY=value`, as a shell would assign it: quotes are taken off, nothing is expanded; what would have to be is not known.
    Shell,
    /// `key value`, separated by white space; last one wins. `#` begins a line that is a comment. A key alone is true.
    Words,
    /// TOML; `section` is the path of tables, separated by dots.
    Toml,
}

/// Longest value, in bytes, that is looked at: it becomes evidence.
const MAX_VALUE: usize = 4096;

/// A value as it is written, and where.
struct Written {
    source: String,
    value: Raw,
}

/// A value as a file gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Raw {
    /// Text whose type is what the policy asks for.
    Text(String),
    /// The key alone.
    Flag,
    /// A value whose type the file says.
    Typed(Value),
}

impl Config {
    pub(crate) fn judge(&self, facts: &Facts<'_>) -> Verdict {
        let found = match self.format {
            Format::Systemd => systemd::find(facts.host(), self),
            Format::Ini | Format::Shell | Format::Words | Format::Toml => self.find(facts.host()),
        };
        match found {
            Err(why) => Verdict::unknown(why),
            Ok(Some(Some(written))) => {
                self.value.judge(written.source, Some(&typed::value(written.value, &self.value)))
            }
            Ok(None) if self.default.is_none() => {
                self.absent.verdict(&self.file, &format!("{} {}", self.key, self.value))
            }
            Ok(None | Some(None)) => {
                let default = self.default.clone().map(Value::Scalar);
                let whose = if default.is_some() { ": not written, the program's default" } else { "" };
                self.value.judge(format!("{}: {}{whose}", self.file, self.key), default.as_ref())
            }
        }
    }

    /// `None` if there is no such file; `Some(None)` if it does not say.
    fn find(&self, host: &Host) -> Observed<Option<Option<Written>>> {
        let path = Path::new(&self.file);
        let Some(text) = host.text(path)? else { return Ok(None) };
        let (section, key) = (self.section.as_deref(), self.key.as_str());
        let found = match self.format {
            Format::Ini => ini::find(&text, section, key).map(with_line),
            Format::Shell => shell::find(&text, key).map(with_line),
            Format::Words => Ok(with_line(words::find(&text, key))),
            Format::Toml => toml::find(&text, section, key).map(|found| found.map(|value| (None, value))),
            Format::Systemd => Ok(None),
        };
        let found = found.map_err(|bad| Unobserved::line(path, bad.line, bad.problem))?;
        found.map(|(line, value)| Written::new(path, line, value)).transpose().map(Some)
    }
}

fn with_line(found: Option<(usize, Raw)>) -> Option<(Option<usize>, Raw)> {
    found.map(|(line, value)| (Some(line), value))
}

impl Written {
    fn new(path: &Path, line: Option<usize>, value: Raw) -> Observed<Self> {
        let source = line.map_or_else(|| path.display().to_string(), |line| format!("{}:{line}", path.display()));
        let length = match &value {
            Raw::Text(text) => text.len(),
            Raw::Flag => 0,
            Raw::Typed(value) => value.to_string().len(),
        };
        if length > MAX_VALUE {
            let why = format!("{source}: the value has more than {MAX_VALUE} bytes");
            return Err(Unobserved::new(Cause::TooMuch, why));
        }
        Ok(Self { source, value })
    }
}

#[cfg(test)]
mod tests;
