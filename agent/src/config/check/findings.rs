//! Collects problems: one method per kind of value.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use safeguard_logs::{Multiline, MultilineSettings, NameKind, PathGlob, Selector, Template, UnitGlob, Variable};

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

    /// Files and the journal have no names of a container.
    pub(super) fn host_stream(&mut self, text: &str) -> Option<Template> {
        let template = self.template("logs.host_stream", NameKind::Stream, text)?;
        let foreign = [Variable::Namespace, Variable::Pod, Variable::Container];
        if foreign.into_iter().any(|variable| template.uses(variable)) {
            let reason = "{namespace}, {pod} and {container} have no value here";
            self.add("logs.host_stream", &format!("{text:?}"), reason);
            return None;
        }
        Some(template)
    }

    pub(super) fn selectors(&mut self, key: &str, texts: &[String]) -> Vec<Selector> {
        self.each(key, texts, Selector::new)
    }

    pub(super) fn paths(&mut self, key: &str, texts: &[String]) -> Vec<PathGlob> {
        self.each(key, texts, PathGlob::new)
    }

    pub(super) fn units(&mut self, key: &str, texts: &[String]) -> Vec<UnitGlob> {
        self.each(key, texts, UnitGlob::new)
    }

    fn each<T>(&mut self, key: &str, texts: &[String], make: fn(&str) -> Result<T, String>) -> Vec<T> {
        let mut made = Vec::new();
        for (at, text) in texts.iter().enumerate() {
            match make(text) {
                Ok(one) => made.push(one),
                Err(reason) => self.add(&format!("{key}[{at}]"), &format!("{text:?}"), &reason),
            }
        }
        made
    }

    /// Whom lines are put together for: a file by its path, or containers.
    pub(super) fn multiline(&mut self, key: &str, whose: &str, how: Multiline, rules: &mut MultilineSettings) {
        let made = if whose.starts_with('/') {
            PathGlob::new(whose).map(|glob| rules.files.push((glob, how)))
        } else {
            Selector::new(whose).map(|selector| rules.containers.push((selector, how)))
        };
        if let Err(reason) = made {
            self.add(key, &format!("{whose:?}"), &reason);
        }
    }
}
