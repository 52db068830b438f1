//! Filter patterns over unstructured events: terms, quoted phrases, `-excluded` and `?any` terms.
//!
//! Source: CloudWatch Logs user guide, "Filter pattern syntax". JSON and space-delimited patterns are refused.

use crate::cloudwatch::error::ApiError;

#[derive(Debug, Default)]
pub(crate) struct Pattern {
    all: Vec<String>,
    any: Vec<String>,
    none: Vec<String>,
}

impl Pattern {
    pub(crate) fn parse(text: &str) -> Result<Pattern, ApiError> {
        let invalid = || ApiError::invalid("Invalid filter pattern");
        let mut pattern = Pattern::default();
        if text.chars().count() > 1_024 {
            return Err(invalid());
        }
        let mut rest = text.trim();
        if rest.starts_with(['{', '[', '%']) {
            return Err(invalid());
        }
        while !rest.is_empty() {
            let (list, unmarked) = match (rest.strip_prefix('-'), rest.strip_prefix('?')) {
                (Some(unmarked), _) => (&mut pattern.none, unmarked),
                (_, Some(unmarked)) => (&mut pattern.any, unmarked),
                _ => (&mut pattern.all, rest),
            };
            let (term, after) = match unmarked.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"').ok_or_else(invalid)?,
                None => unmarked.split_once(char::is_whitespace).unwrap_or((unmarked, "")),
            };
            if term.is_empty() {
                return Err(invalid());
            }
            list.push(term.to_owned());
            rest = after.trim_start();
        }
        Ok(pattern)
    }

    pub(crate) fn matches(&self, message: &str) -> bool {
        self.all.iter().all(|term| message.contains(term.as_str()))
            && (self.any.is_empty() || self.any.iter().any(|term| message.contains(term.as_str())))
            && !self.none.iter().any(|term| message.contains(term.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_phrases_exclusions_and_alternatives() {
        let cases = [
            ("", "anything", true),
            ("ERROR", "an ERROR here", true),
            ("ERROR", "an error here", false),
            ("ERROR disk", "disk ERROR", true),
            ("ERROR disk", "ERROR", false),
            ("\"ERROR disk\"", "disk ERROR", false),
            ("\"ERROR disk\"", "ERROR disk", true),
            ("ERROR -retry", "ERROR retry", false),
            ("?WARN ?ERROR", "WARN", true),
            ("?WARN ?ERROR", "INFO", false),
        ];
        for (pattern, message, expected) in cases {
            assert_eq!(Pattern::parse(pattern).unwrap().matches(message), expected, "{pattern} on {message}");
        }
    }

    #[test]
    fn other_syntaxes_are_refused() {
        for pattern in ["{ $.level = \"error\" }", "[ip, user]", "%re%", "\"open", "-"] {
            assert!(Pattern::parse(pattern).is_err(), "{pattern}");
        }
    }
}
