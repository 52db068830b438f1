//! Files: there or not, and who may do what with them.

mod from;
mod glob;
mod owner;

use std::fmt;
use std::path::{Path, PathBuf};

use safeguard_host::Attributes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Absent;
use crate::facts::Facts;
use crate::host::Host;
use crate::observed::{Cause, Observed, Unobserved};
use crate::verdict::{Evidence, Truth, Verdict};

/// Most files that are shown one by one.
const MOST_SHOWN: usize = 20;

/// A fact that names files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum From {
    /// The kubelet's configuration file and every drop-in that it reads.
    KubeletConfig,
    /// The kubeconfig that the kubelet was given.
    KubeletKubeconfig,
    /// The CA with which the kubelet verifies its clients.
    KubeletClientCa,
    /// The certificate that the kubelet serves.
    KubeletServerCertificate,
    /// Its key.
    KubeletServerKey,
    /// The kubelet's unit file and the unit's drop-ins.
    KubeletUnit,
    /// The kubeconfig of a kube-proxy that runs as a process of the host.
    KubeProxyKubeconfig,
}

/// What has to hold of each of the files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// One path of the host, absolute; `*` and `?` stand for names in one directory. Exactly one of `path`, `paths`, `from`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Several paths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Those that a fact names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<From>,
    /// Its permission bits have none that this octal number (`"0644"`) has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Its owner: a name of the host's accounts, or a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Its group: one of these names or numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub group: Vec<String>,
    /// What it is, links followed. What is neither a file nor a directory is judged only where this says so; what `from` names has to
    /// be a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// Whether it has to be there (`true`) or must not be (`false`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exists: Option<bool>,
    /// What no such file means when `exists` is not given.
    #[serde(default)]
    pub absent: Absent,
}

/// Kinds of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A socket, FIFO or device.
    Special,
    /// Whatever it is.
    Any,
}

/// What one file was found to be.
enum Found {
    /// It is there.
    There(Attributes),
    /// Nothing is there.
    Absent,
}

impl File {
    pub(crate) fn judge(&self, facts: &Facts<'_>) -> Verdict {
        match self.wanted(facts).and_then(|wanted| Ok((wanted, self.files(facts)?))) {
            Ok((wanted, files)) => self.weigh(facts, &wanted, &files),
            Err(why) => Verdict::unknown(why),
        }
    }

    /// What is wanted of each file, names turned into numbers.
    fn wanted(&self, facts: &Facts<'_>) -> Observed<Wanted> {
        let bits = |text: &String| {
            let wrong = || Unobserved::new(Cause::Parse, format!("mode `{text}` of the policy is no octal number"));
            u32::from_str_radix(text, 8).ok().filter(|bits| *bits <= 0o7777).ok_or_else(wrong)
        };
        let group = self.group.iter().map(|name| owner::number(facts.host(), owner::GROUPS, name));
        Ok(Wanted {
            mode: self.mode.as_ref().map(bits).transpose()?,
            owner: self.owner.as_ref().map(|name| owner::number(facts.host(), owner::USERS, name)).transpose()?,
            groups: group.collect::<Observed<_>>()?,
        })
    }

    /// The files that are meant. A pattern that nothing matches is one file that is not there.
    fn files(&self, facts: &Facts<'_>) -> Observed<Vec<PathBuf>> {
        let paths = self.paths.iter().chain(&self.path);
        match (self.from, self.path.is_some(), self.paths.is_empty()) {
            (Some(from), false, true) => from.files(facts),
            (None, true, true) | (None, false, false) => {
                let mut files = Vec::new();
                for path in paths {
                    files.extend(glob::find(facts.host(), path)?);
                }
                Ok(files)
            }
            _ => Err(Unobserved::new(Cause::Parse, "the policy has to give exactly one of path, paths and from")),
        }
    }

    fn weigh(&self, facts: &Facts<'_>, wanted: &Wanted, files: &[PathBuf]) -> Verdict {
        let expected = self.to_string();
        if files.is_empty() {
            return self.absent(&self.place(), &expected);
        }
        let verdicts = files.iter().map(|path| {
            let shown = path.display().to_string();
            match look(facts.host(), path) {
                Ok(Found::There(seen)) => self.weigh_one(&shown, &seen, wanted, &expected),
                Ok(Found::Absent) => self.absent(&shown, &expected),
                Err(why) => Verdict::unknown(why),
            }
        });
        let mut verdict = Verdict::all(verdicts);
        summarize(&mut verdict, files, &expected);
        verdict
    }

    fn weigh_one(&self, path: &str, seen: &Attributes, wanted: &Wanted, expected: &str) -> Verdict {
        let kind = Kind::of(seen.kind);
        let wanted_kind = self.kind.or(self.from.map(|_| Kind::File));
        if wanted_kind.is_none() && kind == Kind::Special && self.exists.is_none() {
            // Its mode says nothing about what whoever opens it finds there.
            let message = format!("{path}: is neither a file nor a directory");
            return Verdict::unknown(Unobserved::new(Cause::NotAFile, message));
        }
        let holds = self.exists != Some(false)
            && wanted.mode.is_none_or(|mode| seen.mode & !mode == 0)
            && wanted.owner.is_none_or(|owner| owner == Some(seen.uid))
            && (wanted.groups.is_empty() || wanted.groups.contains(&Some(seen.gid)))
            && wanted_kind.is_none_or(|wanted| wanted == kind || wanted == Kind::Any);
        let observed = format!("{kind}, mode {:04o}, owner {}:{}", seen.mode, seen.uid, seen.gid);
        Verdict::of(Evidence::new(path, observed, expected, holds))
    }

    fn absent(&self, place: &str, expected: &str) -> Verdict {
        match self.exists {
            Some(exists) => Verdict::of(Evidence::new(place, "not there", expected, !exists)),
            None => self.absent.verdict(place, expected),
        }
    }

    /// Where it was looked, in words.
    fn place(&self) -> String {
        match self.from {
            Some(from) => from.to_string(),
            None => self.paths.iter().chain(&self.path).cloned().collect::<Vec<_>>().join(", "),
        }
    }
}

/// What is wanted, in numbers. `Some(None)` is an account that the host does not have: nothing belongs to it.
struct Wanted {
    mode: Option<u32>,
    owner: Option<Option<u32>>,
    groups: Vec<Option<u32>>,
}

/// What is at a path, links followed inside the root.
fn look(host: &Host, path: &Path) -> Observed<Found> {
    if let Some(seen) = host.attributes(path)? {
        return Ok(Found::There(seen));
    }
    if host.attributes_of_link(path)?.is_none() {
        return Ok(Found::Absent);
    }
    let message = format!("{}: is a link that leads nowhere", path.display());
    Err(Unobserved::new(Cause::NotAFile, message))
}

/// Of many files only those that speak against the predicate are worth a line; if none does, one line is enough for all.
fn summarize(verdict: &mut Verdict, files: &[PathBuf], expected: &str) {
    if files.len() < 2 {
        return;
    }
    if verdict.truth == Truth::Holds {
        let names = files.iter().take(3).map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
        let more = if files.len() > 3 { format!(" and {} more", files.len() - 3) } else { String::new() };
        let observed = format!("all of {} as expected", files.len());
        verdict.evidence = vec![Evidence::new(format!("{names}{more}"), observed, expected, true)];
        return;
    }
    verdict.evidence.retain(|evidence| evidence.holds == Some(false));
    if let Some(more) = verdict.evidence.len().checked_sub(MOST_SHOWN).filter(|more| *more > 0) {
        verdict.evidence.truncate(MOST_SHOWN);
        verdict.evidence.push(Evidence::new("and", format!("{more} more files"), expected, false));
    }
}

impl Kind {
    fn of(kind: safeguard_host::Kind) -> Self {
        match kind {
            safeguard_host::Kind::File => Self::File,
            safeguard_host::Kind::Directory => Self::Directory,
            safeguard_host::Kind::Symlink | safeguard_host::Kind::Special => Self::Special,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Special => "socket, FIFO or device",
            Self::Any => "file of any kind",
        })
    }
}

/// What is wanted, in words: `mode 0600 or stricter, owner root`.
impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        parts.extend(self.exists.map(|exists| if exists { "there" } else { "not there" }.to_owned()));
        parts.extend(self.kind.filter(|kind| *kind != Kind::Any).map(|kind| kind.to_string()));
        parts.extend(self.mode.as_ref().map(|mode| format!("mode {mode} or stricter")));
        parts.extend(self.owner.as_ref().map(|owner| format!("owner {owner}")));
        parts.extend((!self.group.is_empty()).then(|| format!("group {}", self.group.join(" or "))));
        if parts.is_empty() { f.write_str("there") } else { f.write_str(&parts.join(", ")) }
    }
}

#[cfg(test)]
mod tests;
