//! Collects problems: one method per kind of value.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use safeguard_logs::{NameKind, Selector, Template};

use super::Problem;
use crate::config::units::HumanDuration;

/// What was found so far.
#[derive(Default)]
pub(super) struct Findings(pub(super) Vec<Problem>);

impl Findings {
    pub(super) fn add(&mut self, key: &str, value: &dyn fmt::Display, reason: &str) {
        self.0.push(Problem { key: key.to_owned(), value: value.to_string(), reason: reason.to_owned() });
    }

    pub(super) fn test(&mut self, key: &str, value: &str, tested: Result<(), String>) {
        if let Err(reason) = tested {
            self.add(key, &format!("{value:?}"), &reason);
        }
    }

    pub(super) fn word(&mut self, key: &str, value: Option<&str>, most: usize, allowed: fn(char) -> bool, what: &str) {
        let Some(value) = value else { return };
        if value.is_empty() || value.chars().count() > most || !value.chars().all(allowed) {
            self.add(key, &format!("{value:?}"), &format!("allowed is {what}, at most {most} characters"));
        }
    }

    pub(super) fn url(&mut self, key: &str, value: Option<&str>) {
        let Some(value) = value else { return };
        let rest = value.strip_prefix("https://").or_else(|| value.strip_prefix("http://"));
        let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next());
        let plain = |c: char| c.is_ascii_graphic() && c != '@';
        if host.is_none_or(str::is_empty) || !value.chars().all(plain) {
            let reason = "allowed is a URL such as \"https://logs.eu-central-1.amazonaws.com\", without a user name";
            self.add(key, &format!("{value:?}"), reason);
        }
    }

    pub(super) fn duration(&mut self, key: &str, value: HumanDuration, least: Duration, most: Duration) {
        if value.0 < least || value.0 > most {
            let reason = format!("allowed are {} to {}", HumanDuration(least), HumanDuration(most));
            self.add(key, &format!("\"{value}\""), &reason);
        }
    }

    pub(super) fn metrics(&mut self, value: &str) -> Option<SocketAddr> {
        if value == "off" {
            return None;
        }
        let address = value.parse().ok();
        if address.is_none() {
            self.add(
                "agent.metrics",
                &format!("{value:?}"),
                "allowed is an address such as \"127.0.0.1:9464\", or \"off\"",
            );
        }
        address
    }

    pub(super) fn template(&mut self, key: &str, kind: NameKind, text: &str) -> Option<Template> {
        let template = Template::new(kind, text);
        template.map_err(|error| self.add(key, &format!("{text:?}"), &error.to_string())).ok()
    }

    pub(super) fn selectors(&mut self, key: &str, texts: &[String]) -> Vec<Selector> {
        let mut selectors = Vec::new();
        for (at, text) in texts.iter().enumerate() {
            match Selector::new(text) {
                Ok(selector) => selectors.push(selector),
                Err(reason) => self.add(&format!("{key}[{at}]"), &format!("{text:?}"), &reason),
            }
        }
        selectors
    }
}
