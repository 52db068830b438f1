//! Systemd unit files: where they are, enabled, masked, with their drop-ins.
//!
//! What is on disk says what the next boot will do. So links below `/run` enable and mask nothing here: they are gone by then.

pub(crate) mod command;
pub(crate) mod running;
pub(crate) mod syntax;
pub(crate) mod unit;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use safeguard_host::{FileId, Kind};

use crate::facts::Facts;
use crate::host::Host;
use crate::observed::{Observed, Unobserved};
use unit::Unit;

/// Where unit files are looked for, the first wins (systemd.unit(5), "UNIT FILE LOAD PATH"). `/run` comes last on purpose.
const LOOKUP: &[&str] =
    &[CONFIGURED, "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system", RUNTIME];
/// Where the administrator's unit files and links are.
const CONFIGURED: &str = "/etc/systemd/system";
/// What is gone after a boot.
const RUNTIME: &str = "/run/systemd/system";

/// Types of units, as their names end.
const TYPES: &[&str] =
    &["service", "socket", "target", "mount", "automount", "swap", "timer", "path", "slice", "scope", "device"];

/// How many links may lead from one unit's name to another's. systemd has no number; real hosts have one or two.
const MAX_ALIASES: usize = 8;

/// What the directories of unit files say, without the files' contents: those are read when a unit is asked for.
#[derive(Debug, Default)]
pub(crate) struct Units {
    /// Files and links by name, in the order in which they win.
    places: BTreeMap<String, Vec<Place>>,
    /// Directories of drop-ins by name, such as `sshd.service.d`, in the same order.
    dropin_dirs: BTreeMap<String, Vec<PathBuf>>,
    /// Links in `.wants` and `.requires` by the unit that they lead to.
    wanted: BTreeMap<String, Vec<Wanted>>,
}

/// Where a unit's name was found.
#[derive(Debug)]
struct Place {
    path: PathBuf,
    /// What it is called where it leads, if it is a link.
    target: Option<PathBuf>,
}

/// A link that makes one unit start with another.
#[derive(Debug)]
struct Wanted {
    path: PathBuf,
    /// Whether another link of the same name, which wins, leads to `/dev/null`.
    masked: bool,
}

/// Where a name leads in the end.
enum Resolved<'a> {
    /// To this file.
    File { name: String, path: &'a Path },
    /// Nowhere on purpose.
    Masked { name: String, path: &'a Path },
}

impl Units {
    pub(crate) fn gather(facts: &Facts<'_>) -> Observed<Self> {
        let host = facts.host();
        let (mut units, mut seen) = (Self::default(), BTreeSet::new());
        let mut links = BTreeMap::new();
        for dir in LOOKUP {
            let dir = Path::new(dir);
            // `/lib` is the same as `/usr/lib` on most hosts.
            if is_new(host, dir, &mut seen)? {
                units.list(host, dir, &mut links)?;
            }
        }
        Ok(units)
    }

    fn list(&mut self, host: &Host, dir: &Path, links: &mut BTreeMap<(String, String), bool>) -> Observed<()> {
        for entry in host.entries(dir)?.unwrap_or_default() {
            let Some(name) = entry.name.to_str() else { continue };
            let path = dir.join(name);
            let ending = name.rsplit_once('.').map(|(_, ending)| ending).unwrap_or_default();
            let may_be_dir = !matches!(entry.kind, Some(Kind::File | Kind::Special));
            let may_be_link = !matches!(entry.kind, Some(Kind::File | Kind::Special | Kind::Directory));
            if TYPES.contains(&ending) {
                let link = if may_be_link { host.link(&path)? } else { None };
                let target = link.map(|link| lexically(dir, Path::new(&link)));
                self.places.entry(name.to_owned()).or_default().push(Place { path, target });
            } else if ending == "d" && may_be_dir {
                self.dropin_dirs.entry(name.to_owned()).or_default().push(path);
            } else if matches!(ending, "wants" | "requires") && may_be_dir && dir != Path::new(RUNTIME) {
                self.list_wanted(host, name, &path, links)?;
            }
        }
        Ok(())
    }

    fn list_wanted(
        &mut self,
        host: &Host,
        group: &str,
        dir: &Path,
        links: &mut BTreeMap<(String, String), bool>,
    ) -> Observed<()> {
        for entry in host.entries(dir)?.unwrap_or_default() {
            let Some(name) = entry.name.to_str() else { continue };
            let path = dir.join(name);
            let target = host.link(&path)?.map(|link| lexically(dir, Path::new(&link)));
            let masks = target.as_deref().is_some_and(is_null);
            // The same link in a directory that is looked at earlier wins, also if it is there to mask this one.
            let masked = *links.entry((group.to_owned(), name.to_owned())).or_insert(masks);
            self.wanted.entry(name.to_owned()).or_default().push(Wanted { path, masked });
        }
        Ok(())
    }

    /// The unit that systemd would load under this name; `None` if there is no such unit file.
    pub(crate) fn find(&self, host: &Host, name: &str) -> Observed<Option<Unit>> {
        let Some(resolved) = self.resolve(host, name)? else { return Ok(None) };
        let (own_name, path, masked) = match resolved {
            Resolved::File { name, path } => (name, path, false),
            Resolved::Masked { name, path } => (name, path, true),
        };
        let names = self.names(name, &own_name);
        let mut unit = Unit::new(own_name, path.to_owned(), masked);
        if masked {
            return Ok(Some(unit));
        }
        unit.enabled_by = self.enabled_by(&names);
        // A link that leads to no file is as good as none.
        let Some(text) = host.text(path)? else { return Ok(None) };
        unit.add(path, &text)?;
        for dropin in self.dropins(host, &names)? {
            let text = host.text(&dropin)?.unwrap_or_default();
            unit.add(&dropin, &text)?;
        }
        Ok(Some(unit))
    }

    /// Follows aliases: links whose target has another name.
    fn resolve(&self, host: &Host, name: &str) -> Observed<Option<Resolved<'_>>> {
        let mut name = name.to_owned();
        for _ in 0..MAX_ALIASES {
            let template = template_of(&name);
            let found = self.places.get(&name).or_else(|| self.places.get(template.as_deref()?));
            let Some(place) = found.and_then(|places| places.first()) else { return Ok(None) };
            let Some(target) = &place.target else {
                let empty = host.attributes(&place.path)?.is_some_and(|a| a.size == 0);
                return Ok(Some(if empty {
                    Resolved::Masked { name, path: &place.path }
                } else {
                    Resolved::File { name, path: &place.path }
                }));
            };
            if is_null(target) {
                return Ok(Some(Resolved::Masked { name, path: &place.path }));
            }
            let other = target.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            let same = place.path.file_name().is_some_and(|n| n == other) || Some(other) == template.as_deref();
            if same || !self.places.contains_key(other) {
                return Ok(Some(Resolved::File { name, path: &place.path }));
            }
            name = instance_of(other, &name);
        }
        let first = self.places.get(&name).and_then(|places| places.first());
        let path = first.map_or(Path::new(CONFIGURED), |place| &place.path);
        Err(Unobserved::file(path, "its aliases lead in a circle"))
    }

    /// Every name that a unit is known by: those that were followed to it, and links that lead to it.
    fn names(&self, asked: &str, own: &str) -> BTreeSet<String> {
        let leads_here = |place: &&Place| place.target.as_deref().and_then(Path::file_name).is_some_and(|n| n == own);
        let aliases = self.places.iter().filter(|(_, places)| places.first().as_ref().is_some_and(leads_here));
        aliases.map(|(name, _)| name.clone()).chain([asked.to_owned(), own.to_owned()]).collect()
    }

    /// The link that makes the unit start at boot. A template is enabled by a link of one of its instances. As `systemctl` has
    /// it, the administrator's alias counts too.
    fn enabled_by(&self, names: &BTreeSet<String>) -> Option<PathBuf> {
        let is_one = |wanted: &str| {
            names.contains(wanted) || template_of(wanted).is_some_and(|template| names.contains(&template))
        };
        let wanted = self.wanted.iter().filter(|(name, _)| is_one(name)).flat_map(|(_, links)| links);
        let alias = || {
            let links = names.iter().filter_map(|name| self.places.get(name)?.first());
            links
                .into_iter()
                .find(|place| is_alias(place) && place.path.starts_with(CONFIGURED))
                .map(|place| &place.path)
        };
        wanted.into_iter().find(|link| !link.masked).map(|link| &link.path).or_else(alias).cloned()
    }

    /// The drop-ins of a unit in the order in which they are applied: by file name; of two with the same name the one wins that is
    /// nearer to the unit's own name, then the one in the directory that is looked at earlier.
    fn dropins(&self, host: &Host, names: &BTreeSet<String>) -> Observed<Vec<PathBuf>> {
        let mut by_name: BTreeMap<std::ffi::OsString, PathBuf> = BTreeMap::new();
        let dirs =
            names.iter().flat_map(|name| dropin_names(name)).filter_map(|dir| self.dropin_dirs.get(&dir)).flatten();
        for dir in dirs.filter(|dir| !dir.starts_with(RUNTIME)) {
            for entry in host.entries(dir)?.unwrap_or_default() {
                if Path::new(&entry.name).extension().is_some_and(|e| e == "conf") {
                    let path = dir.join(&entry.name);
                    by_name.entry(entry.name).or_insert(path);
                }
            }
        }
        let mut paths = Vec::new();
        for path in by_name.into_values() {
            if !is_masked(host, &path)? {
                paths.push(path);
            }
        }
        Ok(paths)
    }
}

/// Whether a path is a link to `/dev/null`: how an administrator takes away a file of the distribution.
pub(crate) fn is_masked(host: &Host, path: &Path) -> Observed<bool> {
    let target = host.link(path)?.zip(path.parent()).map(|(link, dir)| lexically(dir, Path::new(&link)));
    Ok(target.as_deref().is_some_and(is_null))
}

/// Whether a directory is there and was not seen under another name.
fn is_new(host: &Host, dir: &Path, seen: &mut BTreeSet<FileId>) -> Observed<bool> {
    Ok(host.attributes(dir)?.is_some_and(|a| a.kind == Kind::Directory && seen.insert(a.id)))
}

fn is_null(path: &Path) -> bool {
    path == Path::new("/dev/null")
}

fn is_alias(place: &Place) -> bool {
    let target = place.target.as_deref().and_then(Path::file_name);
    target.is_some_and(|target| Some(target) != place.path.file_name())
}

/// Where a link in `dir` leads by its text alone, never above the root.
fn lexically(dir: &Path, link: &Path) -> PathBuf {
    let mut whole = PathBuf::from("/");
    for component in dir.join(link).components() {
        match component {
            Component::ParentDir => {
                whole.pop();
            }
            Component::Normal(name) => whole.push(name),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    whole
}

/// `foo@.service` of `foo@bar.service`; `None` for what is no instance.
fn template_of(name: &str) -> Option<String> {
    let (prefix, rest) = name.split_once('@')?;
    let (instance, ending) = rest.rsplit_once('.')?;
    (!instance.is_empty()).then(|| format!("{prefix}@.{ending}"))
}

/// The name that an alias leads to: of a template, the same instance.
fn instance_of(other: &str, name: &str) -> String {
    let instance = name.split_once('@').and_then(|(_, rest)| rest.rsplit_once('.')).map(|(instance, _)| instance);
    match (other.split_once("@."), instance) {
        (Some((prefix, ending)), Some(instance)) if !instance.is_empty() => format!("{prefix}@{instance}.{ending}"),
        _ => other.to_owned(),
    }
}

/// Names of directories of drop-ins, the most specific first: `a-b@c.service.d`, `a-b@.service.d`, `a-.service.d`, `service.d`.
fn dropin_names(name: &str) -> Vec<String> {
    let mut names = vec![format!("{name}.d")];
    names.extend(template_of(name).map(|template| format!("{template}.d")));
    let Some((stem, ending)) = name.rsplit_once('.') else { return names };
    let mut stem = stem.split('@').next().unwrap_or_default();
    while let Some((shorter, _)) = stem.rsplit_once('-') {
        names.push(format!("{shorter}-.{ending}.d"));
        stem = shorter;
    }
    names.push(format!("{ending}.d"));
    names
}

#[cfg(test)]
mod tests;
