//! The service's checks of single members, and the sentence in which it reports all that failed.

use std::fmt::Write as _;

use serde::de::DeserializeOwned;

use crate::cloudwatch::{error::ApiError, limits};

/// Collects violations: "2 validation errors detected: Value ...; Value ...".
#[derive(Debug, Default)]
pub(crate) struct Violations {
    count: usize,
    text: String,
}

impl Violations {
    pub(crate) fn add(&mut self, value: &str, member: &str, constraint: &str) {
        self.count += 1;
        // The service lists them all; a hostile request must not make the reply as big as itself.
        if self.count <= 10 {
            let separator = if self.text.is_empty() { "" } else { "; " };
            let value = if value == "null" { value.to_owned() } else { format!("'{}'", shortened(value)) };
            let written = write!(
                self.text,
                "{separator}Value {value} at '{member}' failed to satisfy constraint: Member must {constraint}"
            );
            debug_assert!(written.is_ok(), "writing to a String does not fail");
        }
    }

    pub(crate) fn missing(&mut self, member: &str) {
        self.add("null", member, "not be null");
    }

    pub(crate) fn length(&mut self, value: &str, member: &str, least: usize, most: usize) {
        let length = if value.len() <= least { value.len() } else { value.chars().count() };
        if length < least {
            self.add(value, member, &format!("have length greater than or equal to {least}"));
        } else if length > most {
            self.add(value, member, &format!("have length less than or equal to {most}"));
        }
    }

    pub(crate) fn range(&mut self, value: i64, member: &str, least: i64, most: i64) {
        if value < least {
            self.add(&value.to_string(), member, &format!("have value greater than or equal to {least}"));
        } else if value > most {
            self.add(&value.to_string(), member, &format!("have value less than or equal to {most}"));
        }
    }

    pub(crate) fn group_name(&mut self, value: Option<&str>, member: &str) {
        let Some(value) = value else { return self.missing(member) };
        self.length(value, member, 1, limits::MAX_NAME);
        if !value.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_/#".contains(&b)) {
            self.add(value, member, r"satisfy regular expression pattern: [\.\-_/#A-Za-z0-9]+");
        }
    }

    pub(crate) fn stream_name(&mut self, value: Option<&str>, member: &str) {
        let Some(value) = value else { return self.missing(member) };
        self.length(value, member, 1, limits::MAX_NAME);
        if value.contains([':', '*']) {
            self.add(value, member, "satisfy regular expression pattern: [^:*]*");
        }
    }

    pub(crate) fn none(self) -> Result<(), ApiError> {
        match self.count {
            0 => Ok(()),
            1 => Err(ApiError::invalid(format!("1 validation error detected: {}", self.text))),
            n => Err(ApiError::invalid(format!("{n} validation errors detected: {}", self.text))),
        }
    }
}

fn shortened(value: &str) -> &str {
    let end = value.char_indices().nth(600).map_or(value.len(), |(at, _)| at);
    value.get(..end).unwrap_or(value)
}

/// Reads the request of a management operation. Members it does not know are ignored, as the service does.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, ApiError> {
    serde_json::from_str(text).map_err(|error| ApiError::serialization(error.to_string()))
}

/// A group named by `logGroupName` or by `logGroupIdentifier` (a name or an ARN), never by both.
pub(crate) fn group_of(
    violations: &mut Violations,
    name: Option<String>,
    identifier: Option<String>,
) -> Result<String, ApiError> {
    match (name, identifier) {
        (Some(_), Some(_)) => {
            Err(ApiError::invalid("LogGroup name and LogGroup identifier are mutually exclusive parameters."))
        }
        (None, Some(identifier)) => {
            let name = group_of_arn(&identifier).unwrap_or(&identifier).to_owned();
            violations.group_name(Some(&name), "logGroupIdentifier");
            Ok(name)
        }
        (name, None) => {
            violations.group_name(name.as_deref(), "logGroupName");
            Ok(name.unwrap_or_default())
        }
    }
}

/// The group's name in `arn:aws:logs:REGION:ACCOUNT:log-group:NAME`, with or without a last `:*`.
pub(crate) fn group_of_arn(arn: &str) -> Option<&str> {
    let mut parts = arn.splitn(7, ':');
    let known = parts.next() == Some("arn")
        && parts.next().is_some_and(|partition| partition.starts_with("aws"))
        && parts.next() == Some("logs")
        && parts.next().is_some()
        && parts.next().is_some()
        && parts.next() == Some("log-group");
    let name = parts.next().filter(|_| known)?;
    Some(name.strip_suffix(":*").unwrap_or(name))
}
