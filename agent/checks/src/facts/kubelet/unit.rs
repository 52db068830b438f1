//! How systemd would start the kubelet: `kubelet.service` with its drop-ins.
//!
//! systemd itself reads more than this: drop-ins of all services (`service.d`), specifiers but `%%`, and globs in
//! `EnvironmentFile=`. None of the kubelet's units that we know uses them.

mod environment;
mod words;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::host::{Host, Phase};
use crate::observed::{Cause, Observed, Unobserved};

/// Where units are, the first wins: `systemd.unit(5)`.
const DIRECTORIES: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// The unit.
pub(crate) const NAME: &str = "kubelet.service";

/// Most drop-ins of the unit.
const MAX_DROP_INS: usize = 100;

/// Most bytes of a file of the unit.
const MAX_FILE: u64 = 64 << 10;

/// The unit of the kubelet.
#[derive(Debug)]
pub(crate) struct Unit {
    /// Its file and its drop-ins, in the order in which they are read.
    pub(crate) files: Vec<PathBuf>,
    /// What it starts: the program and its arguments.
    pub(crate) command: Observed<Vec<String>>,
    /// The directory that it is started in.
    pub(crate) directory: PathBuf,
}

/// What the files say, before anything is expanded.
#[derive(Debug, Default, PartialEq, Eq)]
struct Service {
    /// `ExecStart=`, and whether its variables are expanded.
    commands: Vec<String>,
    environment: BTreeMap<String, String>,
    /// `EnvironmentFile=`, and whether it may be missing.
    files: Vec<(String, bool)>,
    directory: Option<String>,
}

impl Unit {
    /// Reads the unit; `None` if there is none, or it is masked.
    ///
    /// # Errors
    /// If one of its files cannot be read.
    pub(crate) fn read(host: &Host) -> Observed<Option<Self>> {
        let Some((path, text)) = Self::find(host)? else { return Ok(None) };
        let mut service = Service::default();
        service.add(&text);
        let mut files = vec![path];
        for path in drop_ins(host)? {
            // One that was deleted since it was listed says nothing.
            if let Some(text) = host.text_within(&path, MAX_FILE)? {
                service.add(&text);
                files.push(path);
            }
        }
        let directory = PathBuf::from(service.directory.clone().unwrap_or_else(|| "/".to_owned()));
        Ok(Some(Self { command: service.command(host), directory, files }))
    }

    fn find(host: &Host) -> Observed<Option<(PathBuf, String)>> {
        for directory in DIRECTORIES {
            let path = Path::new(directory).join(NAME);
            if is_masked(host, &path)? {
                return Ok(None);
            }
            match host.text_within(&path, MAX_FILE)? {
                Some(text) if text.is_empty() => return Ok(None),
                Some(text) => return Ok(Some((path, text))),
                None => {}
            }
        }
        Ok(None)
    }
}

fn is_masked(host: &Host, path: &Path) -> Observed<bool> {
    Ok(host.link(path)?.is_some_and(|target| target == "/dev/null"))
}

/// The drop-ins, sorted by their names; of two with the same name the one in the earlier directory counts.
fn drop_ins(host: &Host) -> Observed<Vec<PathBuf>> {
    let mut found: BTreeMap<OsString, PathBuf> = BTreeMap::new();
    for directory in DIRECTORIES {
        let directory = Path::new(directory).join(format!("{NAME}.d"));
        for entry in host.entries(&directory)?.unwrap_or_default() {
            if entry.name.as_encoded_bytes().ends_with(b".conf") {
                let path = directory.join(&entry.name);
                found.entry(entry.name).or_insert(path);
            }
        }
    }
    if found.len() > MAX_DROP_INS {
        return Err(Unobserved::new(Cause::TooMuch, format!("{NAME}: has more than {MAX_DROP_INS} drop-ins")));
    }
    let mut paths = Vec::new();
    for path in found.into_values() {
        if !is_masked(host, &path)? {
            paths.push(path);
        }
    }
    Ok(paths)
}

impl Service {
    /// Adds what one file says.
    fn add(&mut self, text: &str) {
        let mut inside = false;
        for line in logical_lines(text) {
            if let Some(section) = line.strip_prefix('[') {
                inside = section.strip_suffix(']') == Some("Service");
                continue;
            }
            let Some((key, value)) = line.split_once('=').filter(|_| inside) else { continue };
            let value = value.trim();
            match key.trim() {
                "ExecStart" if value.is_empty() => self.commands.clear(),
                "ExecStart" => self.commands.push(value.to_owned()),
                "Environment" if value.is_empty() => self.environment.clear(),
                "Environment" => {
                    // systemd leaves out what it cannot read, and goes on.
                    let assignments = words::split(value).unwrap_or_default();
                    let pairs = assignments.iter().filter_map(|word| word.split_once('='));
                    self.environment.extend(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
                }
                "EnvironmentFile" if value.is_empty() => self.files.clear(),
                "EnvironmentFile" => match value.strip_prefix('-') {
                    Some(path) => self.files.push((path.to_owned(), true)),
                    None => self.files.push((value.to_owned(), false)),
                },
                "WorkingDirectory" => {
                    let path = value.strip_prefix('-').unwrap_or(value);
                    self.directory = Some(path.to_owned()).filter(|path| path.starts_with('/'));
                }
                _ => {}
            }
        }
    }

    /// The program and its arguments, with all variables expanded.
    fn command(&self, host: &Host) -> Observed<Vec<String>> {
        let wrong = |problem: &str| Unobserved::new(Cause::Parse, format!("{NAME}: ExecStart {problem}"));
        let [command] = self.commands.as_slice() else {
            return Err(wrong("is not there exactly once"));
        };
        let plain = command.trim_start_matches(['@', '-', ':', '+', '!', '|']);
        let prefix = command.strip_suffix(plain).unwrap_or_default();
        let mut words = words::split(plain).map_err(wrong)?;
        if prefix.contains('@') && words.len() > 1 {
            words.remove(1);
        }
        if !prefix.contains(':') {
            words = words::expand(words, &self.variables(host)?).map_err(wrong)?;
        }
        // A shell or a wrapper may add any argument.
        if words.first().and_then(|program| program.rsplit('/').next()) != Some("kubelet") {
            let program: String = words.first().map_or("", String::as_str).chars().take(100).collect();
            return Err(wrong(&format!("starts {program}, and with what that starts the kubelet cannot be told")));
        }
        Ok(words)
    }

    fn variables(&self, host: &Host) -> Observed<BTreeMap<String, String>> {
        let mut variables = self.environment.clone();
        for (path, optional) in &self.files {
            match host.text_within(Path::new(path), MAX_FILE)? {
                Some(text) => variables.extend(environment::parse(&text)),
                None if *optional => {}
                // On EKS the file is written when the node boots: an image does not have it, and its kubelet no arguments yet.
                None if host.phase() == Phase::Run => {
                    let message = format!("{path}: does not exist; {NAME} does not start without it");
                    return Err(Unobserved::new(Cause::NotAFile, message));
                }
                None => {
                    let message =
                        format!("{path}: is written when the node boots; before that its kubelet has no arguments");
                    return Err(Unobserved::new(Cause::Phase, message));
                }
            }
        }
        Ok(variables)
    }
}

/// The lines of a unit file: continued lines joined by a space, without comments and empty lines.
fn logical_lines(text: &str) -> Vec<String> {
    let (mut lines, mut pending) = (Vec::new(), String::new());
    for line in text.lines() {
        // A comment inside a continued line is left out of it.
        if line.trim_start().starts_with(['#', ';']) {
            continue;
        }
        match line.strip_suffix('\\') {
            Some(part) => {
                pending.push_str(part);
                pending.push(' ');
            }
            None => {
                pending.push_str(line);
                lines.push(std::mem::take(&mut pending));
            }
        }
    }
    lines.push(pending);
    lines.iter().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

#[cfg(test)]
mod tests;
