//! Which plain files there are: paths with globs, and what rotation makes of a file's name.
//!
//! A log is a directory and the name of the file that is written now. What rotation leaves beside it belongs to the same log,
//! whether or not the glob matches it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};
use safeguard_host::{HostDir, HostError, HostRoot, Kind};

use super::{Found, Place, PlainLog};

/// Directories that one glob may lead to: a glob is for a handful of programs, not for a file system.
const DIRECTORIES: usize = 1_024;

/// An absolute path, with `*`, `?` and `[...]` in any part of it.
#[derive(Debug, Clone)]
pub struct PathGlob {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
enum Part {
    Name(OsString),
    Glob(GlobMatcher),
}

impl PartialEq for PathGlob {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Part {
    fn matches(&self, name: &OsStr) -> bool {
        match self {
            Self::Name(own) => own == name,
            Self::Glob(glob) => glob.is_match(Path::new(name)),
        }
    }
}

impl PathGlob {
    /// Checks a path.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn new(text: &str) -> Result<Self, String> {
        let mut components = Path::new(text).components();
        if components.next() != Some(Component::RootDir) {
            return Err(format!("`{text}` is not an absolute path"));
        }
        let mut parts = Vec::new();
        for component in components {
            let Component::Normal(name) = component else {
                return Err(format!("`{text}` has a `..` in it"));
            };
            let name = name.to_str().unwrap_or_default();
            if name.contains("**") {
                return Err(format!("`{text}`: `**` is not supported; name the directories"));
            }
            parts.push(if name.contains(['*', '?', '[']) {
                let glob = GlobBuilder::new(name).literal_separator(true).build();
                Part::Glob(glob.map_err(|e| format!("`{text}` is not a glob: {}", e.kind()))?.compile_matcher())
            } else {
                Part::Name(name.into())
            });
        }
        if parts.is_empty() || text.ends_with('/') {
            return Err(format!("`{text}` names no file"));
        }
        Ok(Self { text: text.to_owned(), parts })
    }

    /// Whether it matches a path.
    #[must_use]
    pub fn matches(&self, path: &Path) -> bool {
        let names: Vec<&OsStr> = path.iter().skip(1).collect();
        names.len() == self.parts.len() && self.parts.iter().zip(names).all(|(part, name)| part.matches(name))
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn file(&self) -> &Part {
        self.parts.last().expect("checked when it was made")
    }

    /// The directories that may hold matching files.
    fn directories(&self, host: &HostRoot) -> Result<Vec<PathBuf>, HostError> {
        let mut dirs = vec![PathBuf::from("/")];
        for part in self.parts.split_last().map_or(&[][..], |(_, dirs)| dirs) {
            let mut below = Vec::new();
            for dir in dirs {
                match part {
                    Part::Name(name) => below.push(dir.join(name)),
                    Part::Glob(glob) => {
                        let entries = match host.dir(&dir).and_then(|d| d.entries()) {
                            Ok(entries) => entries,
                            Err(error) if error.is_not_found() => continue,
                            Err(error) => return Err(error),
                        };
                        let is_dir = |kind: Option<Kind>| kind.is_none_or(|k| k == Kind::Directory);
                        let found = entries.into_iter().filter(|e| is_dir(e.kind) && glob.is_match(Path::new(&e.name)));
                        below.extend(found.map(|e| dir.join(e.name)));
                    }
                }
            }
            below.sort();
            below.truncate(DIRECTORIES);
            dirs = below;
        }
        Ok(dirs)
    }
}

/// The log files of one directory.
#[derive(Debug, Default)]
pub(crate) struct PlainListing {
    /// By the name of the file that is written now: what there is of that log, oldest first.
    pub(crate) logs: BTreeMap<OsString, Vec<Found>>,
    /// Names that match and are not regular files, with what they are.
    pub(crate) refused: Vec<(OsString, Kind)>,
}

/// Every directory that may hold a log, and the globs for the names in it.
pub(crate) fn directories(globs: &[PathGlob], host: &HostRoot) -> Vec<(PathBuf, Result<Vec<PathGlob>, HostError>)> {
    let mut dirs: BTreeMap<PathBuf, Vec<PathGlob>> = BTreeMap::new();
    let mut failed = Vec::new();
    for glob in globs {
        match glob.directories(host) {
            Ok(found) => found.into_iter().for_each(|dir| dirs.entry(dir).or_default().push(glob.clone())),
            Err(error) => failed.push((PathBuf::from(glob.as_str()), Err(error))),
        }
    }
    dirs.into_iter().map(|(dir, globs)| (dir, Ok(globs))).chain(failed).collect()
}

/// Lists the logs of a directory.
///
/// # Errors
/// [`HostError`] if the directory is gone or cannot be read.
pub(crate) fn list_plain(
    path: &Path,
    dir: &HostDir,
    globs: &[PathGlob],
    excluded: &[PathGlob],
) -> Result<PlainListing, HostError> {
    let chosen = |name: &OsStr| {
        globs.iter().any(|g| g.file().matches(name)) && !excluded.iter().any(|g| g.matches(&path.join(name)))
    };
    let mut listing = PlainListing::default();
    let mut seen = BTreeSet::new();
    for entry in dir.entries()? {
        let (base, place) = match rotated(entry.name.as_bytes()).map(|(base, place)| (OsString::from_vec(base), place))
        {
            Some((base, place)) if chosen(&base) => (base, place),
            _ if chosen(&entry.name) => (entry.name.clone(), Place::current()),
            _ => continue,
        };
        // A file that goes away between the listing and this look is rotation at work.
        let Ok(attributes) = dir.attributes(&entry.name) else { continue };
        match attributes.kind {
            // Two names of one file would be two readers of it.
            Kind::File if seen.insert((attributes.id.device, attributes.id.inode)) => {
                let found = Found { name: entry.name, place, attributes };
                listing.logs.entry(base).or_default().push(found);
            }
            Kind::File | Kind::Directory => {}
            kind => listing.refused.push((entry.name, kind)),
        }
    }
    for files in listing.logs.values_mut() {
        files.sort_by(|a, b| a.place.cmp(&b.place));
    }
    Ok(listing)
}

/// The place of a file in its log, by its name.
pub(super) fn place_in(log: &PlainLog, name: &OsStr) -> Option<Place> {
    if name == log.base {
        return Some(Place::current());
    }
    rotated(name.as_bytes()).filter(|(base, _)| base == log.base.as_bytes()).map(|(_, place)| place)
}

/// The name before rotation, and the place that rotation gave the file; `None` for a name that rotation does not make.
///
/// logrotate: `x.log.1`, `x.log.2.gz`, `x.log-20261124`, `x-20261124.log` (`dateext`, `extension`); auditd: `x.log.1`;
/// lumberjack (the VPC CNI): `x-2026-11-24T07-44-02.123.log.gz`.
fn rotated(name: &[u8]) -> Option<(Vec<u8>, Place)> {
    let (plain, gzip) = name.strip_suffix(b".gz").map_or((name, false), |plain| (plain, true));
    let place = |rotation: Vec<u8>| Place { restart: 0, rotation, gzip };
    if let Some(at) = memchr::memrchr(b'.', plain).filter(|at| *at > 0) {
        let (base, mark) = (&plain[..at], &plain[at + 1..]);
        if is_number(mark) {
            // The higher the number, the older the file: turned round, they sort as dates do.
            let turned = mark.iter().map(|digit| b'0' + b'9' - digit);
            return Some((base.to_vec(), place([b"~".repeat(5 - mark.len()), turned.collect()].concat())));
        }
        if is_date(mark) {
            return Some((base.to_vec(), place(mark.to_vec())));
        }
        // The date stands before the extension. A lumberjack's date has a dot of its own.
        if let Some((base, date)) = dated(base) {
            return Some(([base, b".", mark].concat(), place(date.to_vec())));
        }
    }
    let (base, date) = dated(plain)?;
    Some((base.to_vec(), place(date.to_vec())))
}

/// `.1` to `.9999`
fn is_number(mark: &[u8]) -> bool {
    (1..=4).contains(&mark.len()) && mark.iter().all(u8::is_ascii_digit) && mark[0] != b'0'
}

/// A year, month and day at least, of digits and what stands between them.
fn is_date(mark: &[u8]) -> bool {
    let digits = mark.iter().filter(|b| b.is_ascii_digit()).count();
    let legal = |b: &u8| b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'T' | b'.' | b':' | b'Z');
    digits >= 8 && mark.first().is_some_and(u8::is_ascii_digit) && mark.iter().all(legal)
}

/// Splits `name-DATE`.
fn dated(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let dashes = memchr::memchr_iter(b'-', name).filter(|at| *at > 0);
    dashes.map(|at| (&name[..at], &name[at + 1..])).find(|(_, date)| is_date(date))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "a test makes the directories it lists")]

    use super::*;

    fn of(name: &str) -> Option<(String, bool)> {
        let (base, place) = rotated(name.as_bytes())?;
        Some((String::from_utf8(base).unwrap(), place.gzip))
    }

    #[test]
    fn names_of_rotated_files_lead_to_their_log() {
        for (name, base, gzip) in [
            ("audit.log.1", "audit.log", false),
            ("audit.log.4", "audit.log", false),
            ("messages.12.gz", "messages", true),
            ("messages-20261124", "messages", false),
            ("messages-20261124.gz", "messages", true),
            ("messages-20261124-1795506242", "messages", false),
            ("secure.20261124", "secure", false),
            ("ipamd-2026-11-24T07-44-02.123.log", "ipamd.log", false),
            ("ipamd-2026-11-24T07-44-02.123.log.gz", "ipamd.log", true),
            ("app-20261124.log", "app.log", false),
        ] {
            assert_eq!(of(name), Some((base.to_owned(), gzip)), "{name}");
        }
        for name in ["audit.log", "messages", "x.gz", "app-1.log", "app-2026.log", ".1", "node-10.0.0.1.log", "x.0", ""]
        {
            assert_eq!(of(name), None, "{name}");
        }
    }

    #[test]
    fn rotated_files_are_in_the_order_in_which_they_were_written() {
        let sorted = |names: &[&str]| {
            let place = |name: &str| rotated(name.as_bytes()).map_or(Place::current(), |(_, place)| place);
            let mut sorted = names.to_vec();
            sorted.sort_by_key(|name| place(name));
            sorted.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(sorted(&["a.1", "a", "a.10.gz", "a.2.gz"]), ["a.10.gz", "a.2.gz", "a.1", "a"]);
        assert_eq!(sorted(&["a", "a-20261124", "a-20261031.gz"]), ["a-20261031.gz", "a-20261124", "a"]);
    }

    #[test]
    fn a_wrong_path_says_what_is_wrong() {
        for (path, why) in
            [("x.log", "absolute"), ("/a/../b", ".."), ("/a/**/b", "**"), ("/", "names no file"), ("/a/[", "glob")]
        {
            let error = PathGlob::new(path).unwrap_err();
            assert!(error.contains(why), "{path}: {error}");
        }
    }

    #[test]
    fn listing_finds_logs_by_glob_and_refuses_what_is_no_file() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("var/log/aws-routed-eni");
        std::fs::create_dir_all(dir.join("sub.log")).unwrap();
        for name in ["ipamd.log", "ipamd-2026-11-24T07-44-02.123.log.gz", "plugin.log", "plugin.log.1", "notes.txt"] {
            std::fs::write(dir.join(name), name).unwrap();
        }
        std::os::unix::fs::symlink("/etc/passwd", dir.join("evil.log")).unwrap();
        std::fs::hard_link(dir.join("plugin.log"), dir.join("twice.log")).unwrap();
        let host = HostRoot::open(root.path()).unwrap();
        let globs = [PathGlob::new("/var/log/aws-*/*.log").unwrap(), PathGlob::new("/nowhere/*/x.log").unwrap()];
        let mut dirs = directories(&globs, &host);
        let (path, globs) = dirs.remove(0);
        assert_eq!((path.to_str(), dirs.len()), (Some("/var/log/aws-routed-eni"), 0));
        let excluded = [PathGlob::new("/var/log/*/notes*").unwrap()];
        let listing = list_plain(&path, &host.dir(&path).unwrap(), &globs.unwrap(), &excluded).unwrap();
        let names: Vec<_> = listing.logs.iter().map(|(base, files)| (base.to_str().unwrap(), files.len())).collect();
        assert_eq!(names.len(), 2, "one of the two names of a file: {names:?}");
        assert!(names.contains(&("ipamd.log", 2)), "{names:?}");
        assert_eq!(listing.refused, [("evil.log".into(), Kind::Symlink)]);
    }
}
