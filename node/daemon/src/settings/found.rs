//! What a settings file leaves open, found elsewhere.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Index;
use std::path::PathBuf;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nobody said anything.
    Default,
    /// The settings file.
    File(PathBuf),
    /// An environment variable.
    Env(&'static str),
    /// The instance metadata service.
    Imds,
    /// A tag of the instance.
    Tag(String),
    /// The kubelet: a file or an option of its.
    Kubelet(&'static str),
    /// The host's name.
    HostName,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Env(name) => write!(f, "env {name}"),
            Self::Imds => f.write_str("imds"),
            Self::Tag(name) => write!(f, "instance tag {name}"),
            Self::Kubelet(what) => write!(f, "kubelet ({what})"),
            Self::HostName => f.write_str("host name"),
        }
    }
}

/// A value that is needed and that nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` is not set and was not found: {reason}. Set `{key}` in the settings file{or_variable}")]
pub struct Missing {
    /// The dotted key.
    pub key: &'static str,
    /// What was tried.
    pub reason: String,
    /// Another way to set it.
    pub or_variable: &'static str,
}

/// The values that a settings file did not give, by dotted key.
#[derive(Debug, Clone, Default)]
pub struct Found {
    values: BTreeMap<&'static str, (String, Source)>,
    /// What is needed and was not found.
    pub missing: Vec<Missing>,
}

impl Found {
    /// The value that was found for a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(|(value, _)| value.as_str())
    }

    /// What is set, or else the value that was found for the key.
    #[must_use]
    pub fn or(&self, set: Option<&String>, key: &str) -> Option<String> {
        set.cloned().or_else(|| self.get(key).map(str::to_owned))
    }

    /// Where the value came from that was found for a key.
    #[must_use]
    pub fn source(&self, key: &str) -> Option<&Source> {
        self.values.get(key).map(|(_, source)| source)
    }

    /// Key, value and source, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str, &Source)> {
        self.values.iter().map(|(key, (value, source))| (*key, value.as_str(), source))
    }

    /// Keeps a value.
    pub fn insert(&mut self, key: &'static str, value: String, source: Source) {
        self.values.insert(key, (value, source));
    }

    /// Takes what was set or found; whether the key still needs a value.
    pub fn settle(&mut self, key: &'static str, set: Option<&String>, found: Option<(String, Source)>) -> bool {
        if set.is_some() || self.values.contains_key(key) {
            return false;
        }
        match found {
            Some((value, source)) => {
                self.insert(key, value, source);
                false
            }
            None => true,
        }
    }
}

impl Index<&str> for Found {
    type Output = (String, Source);

    /// # Panics
    /// If nothing was found for the key.
    fn index(&self, key: &str) -> &(String, Source) {
        &self.values[key]
    }
}
