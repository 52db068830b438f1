//! Kernel parameters: what `sysctl.d` will set at boot, and (read one by one) what holds now.

mod key;
mod plan;

use std::path::Path;

pub(crate) use self::key::Key;
pub(crate) use self::plan::{Plan, Setting};
use crate::facts::{Facts, precedence};
use crate::host::Host;
use crate::observed::{Cause, Observed, Unobserved};

/// Where the running kernel has them.
const RUNNING: &str = "/proc/sys";

/// Most names that a pattern may stand for in the running kernel. A node with 250 pods has as many interfaces.
const MAX_MATCHES: usize = 10_000;

/// Most bytes of a value. The longest are of one page.
const MAX_VALUE: u64 = 64 << 10;

/// Kernel parameters: what `sysctl.d` will set at boot, and (read one by one) what holds now.
#[derive(Debug)]
pub(crate) struct Sysctls {
    /// What will be set at boot.
    pub(crate) boot: Plan,
}

impl Sysctls {
    /// `/etc/sysctl.conf` is read only where a link in `sysctl.d` leads to it: systemd does not look at it otherwise.
    pub(crate) fn gather(facts: &Facts<'_>) -> Observed<Self> {
        let host = facts.host();
        let mut boot = Plan::default();
        for (path, text) in precedence::texts(host, "sysctl.d", &["conf"])? {
            boot.add(&path.display().to_string(), &text).map_err(|_| {
                Unobserved::new(Cause::TooMuch, format!("{}: sets more names than there can be", path.display()))
            })?;
        }
        Ok(Self { boot })
    }
}

/// The names of the running kernel that a key stands for, with their values; none if there is no such parameter.
pub(crate) fn running(host: &Host, key: &Key) -> Observed<Vec<(Key, Observed<String>)>> {
    host.live("the running kernel's parameters")?;
    if key.path().is_none() {
        return Err(Unobserved::new(Cause::Parse, format!("{key}: is no name of a kernel parameter")));
    }
    if let Some(namespace) = key.namespace() {
        host.in_namespace(namespace)?;
    }
    let mut values = Vec::new();
    for name in names(host, key)? {
        match value(host, &name) {
            Ok(None) => {}
            Ok(Some(value)) => values.push((name, Ok(value))),
            Err(why) => values.push((name, Err(why))),
        }
    }
    // Where nothing can be seen, nothing is missing.
    if values.is_empty() && host.attributes(Path::new(RUNNING))?.is_none() {
        let message = format!("{RUNNING}: is not there, the running kernel's parameters cannot be seen");
        return Err(Unobserved::new(Cause::Missing, message));
    }
    Ok(values)
}

/// The names that a key may stand for.
fn names(host: &Host, key: &Key) -> Observed<Vec<Key>> {
    let mut names = vec![Key::root()];
    for part in key.parts() {
        if part != "*" {
            names = names.iter().map(|name| name.join(part)).collect();
            continue;
        }
        let mut longer = Vec::new();
        for name in names {
            let directory = name.path().unwrap_or_else(|| RUNNING.into());
            let entries = host.entries(&directory)?.unwrap_or_default();
            longer.extend(entries.iter().filter_map(|entry| entry.name.to_str()).map(|part| name.join(part)));
            if longer.len() > MAX_MATCHES {
                return Err(Unobserved::new(
                    Cause::TooMuch,
                    format!("{key}: stands for more than {MAX_MATCHES} names"),
                ));
            }
        }
        names = longer;
    }
    Ok(names)
}

/// The value, its words separated by one blank.
fn value(host: &Host, name: &Key) -> Observed<Option<String>> {
    let Some(path) = name.path() else { return Ok(None) };
    let text = host.text_within(&path, MAX_VALUE)?;
    Ok(text.map(|text| words(&text)))
}

/// A value of several words, its words separated by one blank.
pub(crate) fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
