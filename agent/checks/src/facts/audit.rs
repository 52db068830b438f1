//! Audit rules on disk, in the order in which they are loaded.

mod order;
pub(crate) mod rule;
mod words;

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::facts::Facts;
use crate::host::Host;
use crate::observed::{Cause, Observed, Unobserved};
use rule::{Line, Rule};

const RULES_D: &str = "/etc/audit/rules.d";
const RULES: &str = "/etc/audit/audit.rules";

/// Units that load the rules: audit 4 has one of its own, earlier ones load them after the daemon has started.
const UNITS: &[&str] = &["audit-rules.service", "auditd.service"];

/// Most rules, and most bytes of all files; the kernel is slow long before.
const MAX_RULES: usize = 4_096;
const MAX_BYTES: usize = 4 << 20;

/// What the kernel will be told at boot.
#[derive(Debug)]
pub(crate) struct Audit {
    /// The file or directory that the rules come from, and why that one.
    pub(crate) origin: String,
    /// The rules in the kernel's order: of two that fit, the first decides.
    pub(crate) rules: Vec<Rule>,
    /// The last `-e` that takes effect, and where it stands: 0 is off, 1 on, 2 on and locked.
    pub(crate) enabled: Option<(u8, String)>,
    /// The first line behind the lock, which the kernel refuses.
    pub(crate) refused: Option<String>,
}

/// What loads the rules.
enum Loader {
    /// `augenrules`, which joins the files of `rules.d`.
    Joined,
    /// `auditctl -R FILE`.
    File(PathBuf),
}

impl Audit {
    pub(crate) fn gather(facts: &Facts<'_>) -> Observed<Self> {
        let host = facts.host();
        let (loader, why) = loader(facts)?;
        match loader {
            Loader::Joined => {
                let mut lines = Vec::new();
                for path in files(host)?.unwrap_or_default() {
                    lines.extend(lines_of(host, &path)?);
                    bounded(&path, &lines)?;
                }
                Self::load(format!("{RULES_D}, {why}"), joined(lines))
            }
            Loader::File(path) => {
                let lines = lines_of(host, &path)?;
                bounded(&path, &lines)?;
                Self::load(format!("{}, {why}", path.display()), lines)
            }
        }
    }

    fn load(origin: String, lines: Vec<Sourced>) -> Observed<Self> {
        let mut audit = Self { origin, rules: Vec::new(), enabled: None, refused: None };
        for Sourced { source, line, .. } in lines {
            if audit.enabled.as_ref().is_some_and(|(value, _)| *value == 2) && line != Line::Other {
                audit.refused.get_or_insert(source);
                continue;
            }
            match line {
                Line::Rule(mut rule) => {
                    rule.source = source;
                    let at = if rule.prepended { 0 } else { audit.rules.len() };
                    audit.rules.insert(at, *rule);
                }
                Line::DeleteAll => audit.rules.clear(),
                Line::Enabled(value) => audit.enabled = Some((value, source)),
                Line::Other => {}
            }
        }
        Ok(audit)
    }
}

/// A line that says something, and where it stands.
struct Sourced {
    source: String,
    line: Line,
    bytes: usize,
}

/// Who loads the rules at boot, and how that is known.
fn loader(facts: &Facts<'_>) -> Observed<(Loader, String)> {
    let host = facts.host();
    let joins = host.entries(Path::new(RULES_D))?.is_some();
    let units = facts.units().as_ref().map_err(Clone::clone)?;
    for name in UNITS {
        let Some(unit) = units.find(host, name)?.filter(|unit| !unit.masked) else { continue };
        for key in ["ExecStartPre", "ExecStart", "ExecStartPost"] {
            for (place, words) in unit.commands(host, key)? {
                let Some((program, arguments)) = words.split_first() else { continue };
                match (program.rsplit('/').next(), arguments) {
                    // Without the directory it loads the file that is there.
                    (Some("augenrules"), [option]) if option == "--load" && joins => {
                        return Ok((Loader::Joined, format!("joined by augenrules ({place})")));
                    }
                    (Some("augenrules"), [option]) if option == "--load" => {
                        return Ok((Loader::File(PathBuf::from(RULES)), format!("loaded by augenrules ({place})")));
                    }
                    (Some("auditctl"), [option, file]) if option == "-R" => {
                        return Ok((Loader::File(PathBuf::from(file)), format!("loaded by auditctl ({place})")));
                    }
                    _ => {}
                }
            }
        }
    }
    let why = "no unit loads it".to_owned();
    let filled = files(host)?.is_some_and(|files| !files.is_empty());
    Ok(if filled { (Loader::Joined, why) } else { (Loader::File(PathBuf::from(RULES)), why) })
}

/// The files of `rules.d` in the order of `ls -v`; `None` if there is no such directory.
fn files(host: &Host) -> Observed<Option<Vec<PathBuf>>> {
    let Some(entries) = host.entries(Path::new(RULES_D))? else { return Ok(None) };
    let mut names: Vec<_> = entries.into_iter().map(|entry| entry.name).collect();
    names.retain(|name| name.as_bytes().ends_with(b".rules") && !name.as_bytes().starts_with(b"."));
    names.sort_by(|a, b| order::natural(a.as_bytes(), b.as_bytes()));
    Ok(Some(names.into_iter().map(|name| Path::new(RULES_D).join(name)).collect()))
}

/// The lines of a file that say something. A file that is not there says nothing.
fn lines_of(host: &Host, path: &Path) -> Observed<Vec<Sourced>> {
    let text = host.text(path)?.unwrap_or_default();
    let mut lines = Vec::new();
    for (index, text) in text.lines().enumerate() {
        let parsed = rule::parse(text).map_err(|problem| Unobserved::line(path, index + 1, problem))?;
        if let Some(line) = parsed {
            lines.push(Sourced { source: format!("{}:{}", path.display(), index + 1), line, bytes: text.len() });
        }
    }
    Ok(lines)
}

fn bounded(path: &Path, lines: &[Sourced]) -> Observed<()> {
    if lines.len() <= MAX_RULES && lines.iter().map(|line| line.bytes).sum::<usize>() <= MAX_BYTES {
        return Ok(());
    }
    let why = format!(
        "{}: with it there are more than {MAX_RULES} audit rules, or more than {MAX_BYTES} bytes",
        path.display()
    );
    Err(Unobserved::new(Cause::TooMuch, why))
}

/// What `augenrules` makes of the lines of all files: the last `-D` first, the last `-e` last, the rest as it is.
fn joined(lines: Vec<Sourced>) -> Vec<Sourced> {
    let (mut delete, mut rest, mut enabled) = (None, Vec::new(), None);
    for sourced in lines {
        match sourced.line {
            Line::DeleteAll => delete = Some(sourced),
            Line::Enabled(_) => enabled = Some(sourced),
            Line::Rule(_) | Line::Other => rest.push(sourced),
        }
    }
    delete.into_iter().chain(rest).chain(enabled).collect()
}
