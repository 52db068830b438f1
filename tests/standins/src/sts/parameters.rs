//! The parameters of a request, as the query protocol sends them.

use std::collections::BTreeMap;

use super::error::ApiError;

/// Decoded parameters. Of a name that comes twice, the first counts.
#[derive(Debug, Default)]
pub(super) struct Parameters(BTreeMap<String, String>);

impl Parameters {
    pub(super) fn read(encoded: &[u8]) -> Parameters {
        let mut parameters = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(encoded) {
            parameters.entry(name.into_owned()).or_insert_with(|| value.into_owned());
        }
        Parameters(parameters)
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    /// The members `NAME.member.1`, `.2` and so on.
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        self.members(name, "").map(|value| value.unwrap_or_default()).collect()
    }

    /// The members `NAME.member.1.Key` with `NAME.member.1.Value` and so on.
    pub(super) fn pairs(&self, name: &str) -> Vec<(String, String)> {
        let keys = self.members(name, ".Key").map(Option::unwrap_or_default);
        let values = self.members(name, ".Value").map(Option::unwrap_or_default);
        keys.zip(values).collect()
    }

    fn members(&self, name: &str, end: &str) -> impl Iterator<Item = Option<String>> {
        let prefix = format!("{name}.member.");
        (1..)
            .map(move |index| format!("{prefix}{index}"))
            .take_while(|member| self.0.keys().any(|key| key == member || key.starts_with(&format!("{member}."))))
            .map(move |member| self.text(&format!("{member}{end}")))
    }
}

/// Collects what is wrong with parameters, in the service's words.
#[derive(Debug, Default)]
pub(super) struct Constraints(Vec<String>);

impl Constraints {
    pub(super) fn broken(&mut self, value: Option<&str>, at: &str, constraint: &str) {
        let value = value.map_or("null".to_owned(), |value| format!("'{value}'"));
        self.0.push(format!("Value {value} at '{at}' failed to satisfy constraint: Member must {constraint}"));
    }

    /// Characters of a value, within both ends.
    pub(super) fn length(&mut self, value: &str, at: &str, range: &std::ops::RangeInclusive<usize>) {
        let length = value.chars().count();
        if length < *range.start() {
            self.broken(Some(value), at, &format!("have length greater than or equal to {}", range.start()));
        }
        if length > *range.end() {
            self.broken(Some(value), at, &format!("have length less than or equal to {}", range.end()));
        }
    }

    /// Every character of a value; `pattern` is only said.
    pub(super) fn pattern(&mut self, value: &str, at: &str, pattern: &str, allowed: impl Fn(char) -> bool) {
        if !value.chars().all(allowed) {
            self.broken(Some(value), at, &format!("satisfy regular expression pattern: {pattern}"));
        }
    }

    pub(super) fn check(self) -> Result<(), ApiError> {
        let count = self.0.len();
        if count == 0 {
            return Ok(());
        }
        let errors = if count == 1 { "error" } else { "errors" };
        Err(ApiError::validation(format!("{count} validation {errors} detected: {}", self.0.join("; "))))
    }
}
