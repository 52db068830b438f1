//! Collects problems, so that all of them are told at once: one method per kind of value that every program has.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::problem::{Problem, Problems};
use super::units::HumanDuration;

/// What was found so far.
#[derive(Debug, Default)]
pub struct Findings(Vec<Problem>);

impl Findings {
    /// Whether nothing is wrong so far.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `done`, if nothing is wrong.
    ///
    /// # Errors
    /// [`Problems`], if something is. `done` may only be `None` for a reason that was added.
    ///
    /// # Panics
    /// If `done` is `None` without a reason.
    pub fn finish<T>(self, done: Option<T>) -> Result<T, Problems> {
        if self.0.is_empty() {
            Ok(done.expect("what cannot be made has been added as a problem"))
        } else {
            Err(Problems(self.0))
        }
    }

    /// Something is wrong with a value, written as it would stand in the file.
    pub fn add(&mut self, key: &str, value: &dyn fmt::Display, reason: &str) {
        self.0.push(Problem { key: key.to_owned(), value: value.to_string(), reason: reason.to_owned() });
    }

    /// A text that was judged elsewhere.
    pub fn test(&mut self, key: &str, value: &str, tested: Result<(), String>) {
        if let Err(reason) = tested {
            self.add(key, &format!("{value:?}"), &reason);
        }
    }

    /// What a text makes, if it makes anything.
    pub fn make<T, E: fmt::Display>(&mut self, key: &str, value: &str, made: Result<T, E>) -> Option<T> {
        made.map_err(|error| self.add(key, &format!("{value:?}"), &error.to_string())).ok()
    }

    /// What each of a list of texts makes.
    pub fn each<T, E: fmt::Display>(
        &mut self,
        key: &str,
        texts: &[String],
        make: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<T> {
        let one = |(at, text): (usize, &String)| self.make(&format!("{key}[{at}]"), text, make(text));
        texts.iter().enumerate().filter_map(one).collect()
    }

    /// `most` characters at most, all of them `allowed`, if it is set. `what` says what it is.
    pub fn word(&mut self, key: &str, value: Option<&str>, most: usize, allowed: fn(char) -> bool, what: &str) {
        let Some(value) = value else { return };
        if value.is_empty() || value.chars().count() > most || !value.chars().all(allowed) {
            self.add(key, &format!("{value:?}"), &format!("allowed is {what}, at most {most} characters"));
        }
    }

    /// An AWS region, if it is set.
    pub fn region(&mut self, key: &str, value: Option<&str>) {
        let region = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        self.word(key, value, 64, region, "a region such as \"eu-central-1\"");
    }

    /// An HTTP or HTTPS URL, if it is set. It has no user name: it is shown, and a password would be.
    pub fn url(&mut self, key: &str, value: Option<&str>, example: &str) {
        let Some(value) = value else { return };
        let rest = value.strip_prefix("https://").or_else(|| value.strip_prefix("http://"));
        let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next());
        let plain = |c: char| c.is_ascii_graphic() && c != '@';
        if host.is_none_or(str::is_empty) || !value.chars().all(plain) {
            let reason = format!("allowed is a URL such as {example:?}, without a user name");
            self.add(key, &format!("{value:?}"), &reason);
        }
    }

    /// An absolute path, if it is set.
    pub fn absolute(&mut self, key: &str, path: Option<&Path>) {
        if let Some(path) = path.filter(|path| !path.is_absolute()) {
            self.add(key, &path.display(), "allowed is an absolute path");
        }
    }

    /// From `least` to `most`.
    pub fn duration(&mut self, key: &str, value: HumanDuration, least: Duration, most: Duration) {
        if value.0 < least || value.0 > most {
            let reason = format!("allowed are {} to {}", HumanDuration(least), HumanDuration(most));
            self.add(key, &format!("\"{value}\""), &reason);
        }
    }

    /// An address with a port, or `off`.
    pub fn address_or_off(&mut self, key: &str, value: &str, example: SocketAddr) -> Option<SocketAddr> {
        if value == "off" {
            return None;
        }
        let reason = format!("allowed is an address such as \"{example}\", or \"off\"");
        self.make(key, value, value.parse().map_err(|_| reason))
    }
}
