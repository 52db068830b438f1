//! Which log files there are: the directories of pods and containers, read from the paths that the kubelet gives them.
//!
//! `/var/log/pods/<namespace>_<pod>_<uid>/<container>/<restart>.log`, and beside it what rotation leaves:
//! `<restart>.log.<date>` and, one rotation later, `<restart>.log.<date>.gz`.

mod plain;

pub use plain::PathGlob;
pub(crate) use plain::{directories, list_plain};

use std::cmp::Ordering;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use safeguard_host::{Attributes, HostDir, HostError, HostRoot, Kind};
use serde::{Deserialize, Serialize};

use crate::names::ContainerNames;

/// Whose lines a log holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LogName {
    /// A container.
    Container(ContainerKey),
    /// A plain file of the node, with what rotation left of it.
    File {
        /// The path of the file that is written now, inside the host root.
        path: String,
    },
    /// A unit of the systemd journal; `kernel` and `audit` for what these write to it.
    Unit {
        /// The unit's name.
        unit: String,
    },
}

impl std::fmt::Display for LogName {
    /// `namespace/pod/container`, a path, or the name of a unit.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Container(key) => write!(f, "{}/{}/{}", key.namespace, key.pod, key.container),
            Self::File { path } => f.write_str(path),
            Self::Unit { unit } => f.write_str(unit),
        }
    }
}

/// What a container is, as its directory says.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ContainerKey {
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// UID of the pod; for static pods the hash of their manifest.
    #[serde(rename = "pod_uid")]
    pub uid: String,
    /// Name of the container.
    pub container: String,
}

impl ContainerKey {
    /// Its names, for globs and templates.
    #[must_use]
    pub fn names(&self) -> ContainerNames<'_> {
        ContainerNames { namespace: &self.namespace, pod: &self.pod, container: &self.container }
    }
}

/// Where the files of a log are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Origin {
    Container(ContainerDir),
    Plain(PlainLog),
    /// In the journal, by name.
    Unit(Vec<u8>),
}

/// A plain file and what rotation left of it: the directory, and the name of the file that is written now.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PlainLog {
    pub(crate) dir: PathBuf,
    pub(crate) base: OsString,
}

impl PlainLog {
    /// Its name for people.
    pub(crate) fn name(&self) -> LogName {
        LogName::File { path: text(self.dir.join(&self.base).as_os_str().as_bytes()) }
    }

    /// The place of one of its files, by name.
    pub(crate) fn place(&self, name: &OsStr) -> Option<Place> {
        plain::place_in(self, name)
    }
}

/// A unit's name for people.
pub(crate) fn unit_name(unit: &[u8]) -> LogName {
    LogName::Unit { unit: text(unit) }
}

/// A directory of a container's logs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ContainerDir {
    pub(crate) pod: OsString,
    pub(crate) container: OsString,
}

/// Names become text without two different ones becoming the same: what is not UTF-8, and the backslash, are written `\xNN`.
fn text(name: &[u8]) -> String {
    let mut out = String::new();
    for chunk in name.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => out.push_str("\\x5c"),
                c => out.push(c),
            }
        }
        for byte in chunk.invalid() {
            write!(out, "\\x{byte:02x}").expect("writing to a String does not fail");
        }
    }
    out
}

impl ContainerDir {
    /// What the path says, or `None` where it is not the path of a pod's container.
    pub(crate) fn key(&self) -> Option<ContainerKey> {
        // Neither a namespace nor a UID has an underscore; a pod's name has none either, but what if.
        let (namespace, rest) = split_once(self.pod.as_bytes(), b'_')?;
        let (uid, pod) = rsplit_once(rest, b'_')?;
        if [namespace, pod, uid].iter().any(|part| part.is_empty()) {
            return None;
        }
        Some(ContainerKey {
            namespace: text(namespace),
            pod: text(pod),
            uid: text(uid),
            container: text(self.container.as_bytes()),
        })
    }
}

fn split_once(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let i = memchr::memchr(at, bytes)?;
    Some((&bytes[..i], &bytes[i + 1..]))
}

fn rsplit_once(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let i = memchr::memrchr(at, bytes)?;
    Some((&bytes[i + 1..], &bytes[..i]))
}

/// The place of a file in the order in which a container's files were written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) restart: u64,
    /// What stands behind `.log.`, without `.gz`; empty for the file that is written now.
    pub(crate) rotation: Vec<u8>,
    pub(crate) gzip: bool,
}

impl Place {
    /// The place of the file that is written now.
    pub(crate) fn current() -> Self {
        Self { restart: 0, rotation: Vec::new(), gzip: false }
    }

    /// Reads a file's name. `None` for what is not a log: other names, and the `.tmp` of a compression under way.
    pub(crate) fn of(name: &OsStr) -> Option<Self> {
        let name = name.as_bytes();
        let digits = name.iter().take_while(|b| b.is_ascii_digit()).count();
        let restart = std::str::from_utf8(name.get(..digits)?).ok()?.parse().ok()?;
        let rotation = match name.get(digits..)?.strip_prefix(b".log")? {
            b"" => return Some(Self { restart, rotation: Vec::new(), gzip: false }),
            rest => rest.strip_prefix(b".")?,
        };
        if rotation.ends_with(b".tmp") || rotation == b"gz" || rotation.is_empty() {
            return None;
        }
        let (rotation, gzip) = rotation.strip_suffix(b".gz").map_or((rotation, false), |r| (r, true));
        Some(Self { restart, rotation: rotation.to_vec(), gzip })
    }

    /// Whether this is the file that the runtime writes now, if the container runs.
    pub(crate) fn is_current(&self) -> bool {
        self.rotation.is_empty()
    }
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Place {
    /// Oldest first. The date in a rotated file's name sorts as text; the file without one is the newest.
    fn cmp(&self, other: &Self) -> Ordering {
        self.restart
            .cmp(&other.restart)
            .then_with(|| self.is_current().cmp(&other.is_current()))
            .then_with(|| self.rotation.cmp(&other.rotation))
            .then_with(|| other.gzip.cmp(&self.gzip))
    }
}

/// A log file that a listing found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) name: OsString,
    pub(crate) place: Place,
    pub(crate) attributes: Attributes,
}

/// What a container's directory holds.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// Log files, oldest first.
    pub(crate) files: Vec<Found>,
    /// Names that look like logs and are not regular files, with what they are.
    pub(crate) refused: Vec<(OsString, Kind)>,
}

/// Every container directory there is.
///
/// # Errors
/// Only if the directory of all pods cannot be listed; a pod that vanishes meanwhile is simply not there.
pub(crate) fn containers(host: &HostRoot, pods_dir: &Path) -> Result<Vec<ContainerDir>, HostError> {
    let pods = host.dir(pods_dir)?;
    let mut found = Vec::new();
    for pod in pods.entries()? {
        if pod.kind.is_some_and(|k| k != Kind::Directory) {
            continue;
        }
        found.extend(containers_of(&pods, &pod.name));
    }
    Ok(found)
}

/// The container directories of one pod.
pub(crate) fn containers_of(pods: &HostDir, pod: &OsStr) -> Vec<ContainerDir> {
    let Ok(entries) = pods.dir(pod).and_then(|d| d.entries()) else { return Vec::new() };
    entries
        .into_iter()
        .filter(|e| e.kind.is_none_or(|k| k == Kind::Directory))
        .map(|e| ContainerDir { pod: pod.to_owned(), container: e.name })
        .collect()
}

/// Lists the log files of a container.
///
/// # Errors
/// [`HostError`] if the directory is gone or cannot be read.
pub(crate) fn list(dir: &HostDir) -> Result<Listing, HostError> {
    let mut listing = Listing::default();
    for entry in dir.entries()? {
        let Some(place) = Place::of(&entry.name) else { continue };
        // A file that goes away between the listing and this look is rotation at work.
        let Ok(attributes) = dir.attributes(&entry.name) else { continue };
        match attributes.kind {
            Kind::File => listing.files.push(Found { name: entry.name, place, attributes }),
            kind => listing.refused.push((entry.name, kind)),
        }
    }
    listing.files.sort_by(|a, b| a.place.cmp(&b.place));
    Ok(listing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(pod: &[u8], container: &[u8]) -> Option<ContainerKey> {
        ContainerDir { pod: OsStr::from_bytes(pod).into(), container: OsStr::from_bytes(container).into() }.key()
    }

    #[test]
    fn the_path_says_who_wrote() {
        let key = key(b"kube-system_coredns-5d_0f7c4a3e-1", b"coredns").unwrap();
        assert_eq!(
            (&*key.namespace, &*key.pod, &*key.uid, &*key.container),
            ("kube-system", "coredns-5d", "0f7c4a3e-1", "coredns")
        );
    }

    #[test]
    fn names_with_any_byte_stay_different() {
        assert_eq!(key(b"ns_pod", b"c"), None);
        assert_eq!(key(b"_pod_uid", b"c"), None);
        assert_eq!(key(b"ns__uid", b"c"), None);
        assert_eq!(key(b"ns_p_q_uid", b"c").unwrap().pod, "p_q");
        let names = [&b"\xff"[..], b"\\xff", b"\xfe", b"\xc3\xa9", "\u{fffd}".as_bytes(), b"a\nb"];
        let mut keys: Vec<_> = names.iter().map(|n| key(b"ns_p_u", n).unwrap()).collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), names.len());
    }

    /// open-telemetry/opentelemetry-collector-contrib#35137: the names of rotated files are logs too.
    #[test]
    fn rotated_names_are_known_and_in_order() {
        let mut names = [
            "1.log",
            "0.log",
            "0.log.20261123-074402",
            "1.log.20261123-080000.gz",
            "0.log.20261122-000000.gz",
            "1.log.20261123-081000",
            "10.log",
        ];
        names.sort_by_key(|n| Place::of(OsStr::new(n)).unwrap());
        let expected = [
            "0.log.20261122-000000.gz",
            "0.log.20261123-074402",
            "0.log",
            "1.log.20261123-080000.gz",
            "1.log.20261123-081000",
            "1.log",
            "10.log",
        ];
        assert_eq!(names, expected);
        for other in [
            "",
            "x",
            "log",
            ".log",
            "a.log",
            "0.log.",
            "0.log.20261123-074402.gz.tmp",
            "0.log.x.tmp",
            "0.txt",
            "-1.log",
            "0.log.gz",
        ] {
            assert_eq!(Place::of(OsStr::new(other)), None, "{other}");
        }
    }
}
