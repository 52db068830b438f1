//! One unit: its file and its drop-ins, put together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::{command, syntax};
use crate::host::Host;
use crate::observed::{Cause, Observed, Unobserved};

/// A unit as systemd would load it.
#[derive(Debug)]
pub(crate) struct Unit {
    /// Its own name: aliases are resolved.
    pub(crate) name: String,
    /// Its file, or the link that masks it.
    pub(crate) file: PathBuf,
    /// Whether it leads to `/dev/null`, or is empty.
    pub(crate) masked: bool,
    /// The link that makes it start at boot.
    pub(crate) enabled_by: Option<PathBuf>,
    settings: Vec<Setting>,
}

/// An assignment, and the file that it stands in.
#[derive(Debug)]
struct Setting {
    file: Rc<Path>,
    assignment: syntax::Assignment,
}

impl Unit {
    pub(super) fn new(name: String, file: PathBuf, masked: bool) -> Self {
        Self { name, file, masked, enabled_by: None, settings: Vec::new() }
    }

    /// Adds what a file says after what is there already.
    pub(super) fn add(&mut self, file: &Path, text: &str) -> Observed<()> {
        let parsed = syntax::parse(text).map_err(|bad| Unobserved::line(file, bad.line, bad.problem))?;
        let file: Rc<Path> = file.into();
        self.settings.extend(parsed.into_iter().map(|assignment| Setting { file: Rc::clone(&file), assignment }));
        Ok(())
    }

    /// Whether `systemctl enable` could do anything: without that others start it.
    pub(crate) fn can_be_enabled(&self) -> bool {
        ["WantedBy", "RequiredBy", "UpheldBy", "Alias", "Also"].iter().any(|key| self.last("Install", key).is_some())
    }

    /// The value that counts of a setting with one value; an empty one is as good as none.
    pub(crate) fn last(&self, section: &str, key: &str) -> Option<&str> {
        self.all(section, key).last().map(|s| s.assignment.value.as_str()).filter(|value| !value.is_empty())
    }

    /// The command lines of a setting such as `ExecStart`, as words, with the file and line of each. An empty one takes back those before it.
    pub(crate) fn commands(&self, host: &Host, key: &str) -> Observed<Vec<(String, Vec<String>)>> {
        let environment = self.environment(host)?;
        let mut commands = Vec::new();
        for Setting { file, assignment } in self.all("Service", key) {
            if assignment.value.is_empty() {
                commands.clear();
                continue;
            }
            let words = command::command(&assignment.value, &environment).ok_or_else(|| {
                Unobserved::line(file, assignment.line, "its command line cannot be split into words")
            })?;
            commands.push((format!("{}:{}", file.display(), assignment.line), words));
        }
        Ok(commands)
    }

    /// What `Environment=` and then `EnvironmentFile=` set.
    fn environment(&self, host: &Host) -> Observed<BTreeMap<String, String>> {
        let mut environment = BTreeMap::new();
        for Setting { file, assignment } in self.all("Service", "Environment") {
            if assignment.value.is_empty() {
                environment.clear();
            }
            let pairs = command::assignments(&assignment.value)
                .ok_or_else(|| Unobserved::line(file, assignment.line, "is no list of NAME=value"))?;
            environment.extend(pairs);
        }
        let mut files = Vec::new();
        for Setting { assignment, .. } in self.all("Service", "EnvironmentFile") {
            if assignment.value.is_empty() {
                files.clear();
            } else {
                files.push(assignment.value.as_str());
            }
        }
        for file in files {
            let path = Path::new(file.strip_prefix('-').unwrap_or(file));
            match host.text(path)? {
                Some(text) => environment
                    .extend(command::file(&text).map_err(|line| Unobserved::line(path, line, "is not NAME=value"))?),
                None if file.starts_with('-') => {}
                None => {
                    let why = format!("{}: is not there, and {} cannot start without it", path.display(), self.name);
                    return Err(Unobserved::new(Cause::Missing, why));
                }
            }
        }
        Ok(environment)
    }

    fn all<'a>(&'a self, section: &str, key: &str) -> impl Iterator<Item = &'a Setting> {
        self.settings.iter().filter(move |s| s.assignment.section == section && s.assignment.key == key)
    }
}
