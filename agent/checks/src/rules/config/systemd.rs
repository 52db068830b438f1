//! The configuration files of systemd's own programs, with their drop-ins (systemd-system.conf(5), journald.conf(5), ...).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Config, Raw, Written};
use crate::facts::units::{self, syntax};
use crate::host::Host;
use crate::observed::{Observed, Unobserved};

/// Where they are looked for; the first wins.
const DIRECTORIES: &[&str] = &["/etc", "/run", "/usr/local/lib", "/usr/lib"];

/// `None` if there is neither the file nor a drop-in; `Some(None)` if none of them says, or the last one resets.
pub(super) fn find(host: &Host, config: &Config) -> Observed<Option<Option<Written>>> {
    let (mut there, mut found) = (false, None);
    for path in files(host, &config.file)? {
        let Some(text) = host.text(&path)? else { continue };
        there = true;
        let parsed = syntax::parse(&text).map_err(|bad| Unobserved::line(&path, bad.line, bad.problem))?;
        let in_section = |name: &str| config.section.as_ref().is_none_or(|wanted| wanted == name);
        for assignment in parsed.into_iter().filter(|a| a.key == config.key && in_section(&a.section)) {
            found = Some(Written::new(&path, Some(assignment.line), Raw::Text(assignment.value))?);
        }
    }
    let set = found.filter(|written| written.value != Raw::Text(String::new()));
    Ok(there.then_some(set))
}

/// The file and its drop-ins, in the order in which they apply: drop-ins after the file, by name; of one name, the directory that is
/// looked at earlier wins.
fn files(host: &Host, file: &str) -> Observed<Vec<PathBuf>> {
    let mut files = Vec::new();
    for dir in DIRECTORIES {
        let path = Path::new(dir).join(file);
        if host.attributes_of_link(&path)?.is_some() {
            files.push(path);
            break;
        }
    }
    let mut dropins = BTreeMap::new();
    for dir in DIRECTORIES {
        let dir = Path::new(dir).join(format!("{file}.d"));
        for entry in host.entries(&dir)?.unwrap_or_default() {
            if Path::new(&entry.name).extension().is_some_and(|extension| extension == "conf") {
                let path = dir.join(&entry.name);
                dropins.entry(entry.name).or_insert(path);
            }
        }
    }
    files.extend(dropins.into_values());
    let mut unmasked = Vec::new();
    for path in files {
        if !units::is_masked(host, &path)? {
            unmasked.push(path);
        }
    }
    Ok(unmasked)
}
