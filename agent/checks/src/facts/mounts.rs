//! What is mounted where: PID 1's view, and what `fstab` and mount units say of the next boot.

mod fstab;
mod mountinfo;
mod options;
mod unit;

use std::path::{Path, PathBuf};

use safeguard_host::Kind;

use self::fstab::Entry;
pub(crate) use self::mountinfo::Table;
pub(crate) use self::options::Options;
use self::unit::{Found, Strength};
use crate::facts::Facts;
use crate::host::Host;
use crate::observed::{Cause, Observed, Unobserved};

/// PID 1's view: an agent in a container or a sandbox has mounts of its own.
pub(crate) const NOW: &str = "/proc/1/mountinfo";

/// The mounts that the operator wants at each boot.
pub(crate) const FSTAB: &str = "/etc/fstab";

/// Most bytes of `/proc/1/mountinfo`. A node with 250 pods has about 1 MB: each container has an overlay whose layers are named.
const MAX_TABLE: u64 = 8 << 20;

/// What systemd mounts itself before it reads any configuration, with the options that it takes (`mount_table` in
/// `src/shared/mount-setup.c` of systemd 252). Only `fstab` can change them: units are too late.
const BY_SYSTEMD: [(&str, &str); 7] = [
    ("/dev", "nosuid"),
    ("/dev/pts", "nosuid,noexec"),
    ("/dev/shm", "nosuid,nodev"),
    ("/proc", "nosuid,nodev,noexec"),
    ("/run", "nosuid,nodev"),
    ("/sys", "nosuid,nodev,noexec"),
    ("/sys/fs/cgroup", "nosuid,nodev,noexec"),
];

/// Where systemd's own program is.
const SYSTEMD: [&str; 2] = ["/usr/lib/systemd/systemd", "/lib/systemd/systemd"];

/// What is mounted where: PID 1's view, and what `fstab` and mount units say of the next boot.
#[derive(Debug)]
pub(crate) struct Mounts {
    /// What is mounted now.
    pub(crate) now: Observed<Table>,
    /// What `fstab` and the links of targets say.
    pub(crate) boot: Observed<AtBoot>,
}

/// What `fstab` and the links of targets say of the next boot. Units are read as they are asked for.
#[derive(Debug)]
pub(crate) struct AtBoot {
    fstab: Vec<Entry>,
    wanted: Vec<PathBuf>,
    by_systemd: bool,
}

/// A mount of the next boot.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    /// Who says so.
    pub(crate) source: String,
    /// With which options.
    pub(crate) options: Options,
}

impl Mounts {
    pub(crate) fn gather(facts: &Facts<'_>) -> Observed<Self> {
        let host = facts.host();
        Ok(Self { now: table(host), boot: AtBoot::gather(host) })
    }
}

fn table(host: &Host) -> Observed<Table> {
    host.live("the mounts")?;
    let path = Path::new(NOW);
    let bytes = host.bytes(path, MAX_TABLE)?;
    let bytes = bytes.ok_or_else(|| Unobserved::new(Cause::Missing, format!("{NOW}: is not there")))?;
    Table::parse(&bytes).map_err(|line| Unobserved::line(path, line, "is no mount as the kernel lists it"))
}

impl AtBoot {
    fn gather(host: &Host) -> Observed<Self> {
        let path = Path::new(FSTAB);
        let text = host.text(path)?.unwrap_or_default();
        let fstab = fstab::parse(&text)
            .map_err(|line| Unobserved::line(path, line, "has less than the three fields that an entry needs"))?;
        let mut by_systemd = false;
        for program in SYSTEMD {
            by_systemd |= host.attributes(Path::new(program))?.is_some_and(|seen| seen.kind == Kind::File);
        }
        Ok(Self { fstab, wanted: unit::wanted(host)?, by_systemd })
    }

    /// How something will be mounted on a point; `None` if nothing will.
    pub(crate) fn at(&self, host: &Host, point: &Path) -> Observed<Option<Planned>> {
        // Of two entries for one point systemd takes the first (systemd-fstab-generator(8) warns of the other).
        let entry = self.fstab.iter().find(|entry| entry.point.as_deref() == Some(point));
        let by_entry =
            |entry: &Entry| Planned { source: format!("{FSTAB} line {}", entry.line), options: entry.options.clone() };
        if let Some((_, options)) = BY_SYSTEMD.iter().find(|(own, _)| Path::new(own) == point) {
            let own = || Planned { source: "systemd's own mounts".to_owned(), options: Options::parse(options) };
            return Ok(entry.map(by_entry).or_else(|| self.by_systemd.then(own)));
        }
        let name = unit::name_of(point);
        let entry = entry.filter(|entry| entry.at_boot());
        let started = self.wanted.iter().any(|link| link.file_name().is_some_and(|n| *n == *name));
        let planned = match (unit::find(host, &name)?, entry) {
            (Found::Masked, _) => None,
            (Found::Unit(path, strength, options), entry)
                if entry.map_or(started, |_| strength == Strength::OverFstab) =>
            {
                Some(Planned { source: path.display().to_string(), options })
            }
            (_, entry) => entry.map(by_entry),
        };
        let Some(planned) = planned else { return Ok(None) };
        let changed = unit::drop_in(host, &name)?;
        Ok(Some(match changed {
            Some((path, options)) => Planned { source: path.display().to_string(), options },
            None => planned,
        }))
    }

    /// Who says that there will be swap space: entries of `fstab`, and links to swap units.
    pub(crate) fn swaps(&self) -> impl Iterator<Item = String> {
        let entries = self.fstab.iter().filter(|entry| entry.file_system == "swap" && entry.at_boot());
        let entries = entries.map(|entry| format!("{FSTAB} line {}", entry.line));
        let links = self.wanted.iter().filter(|link| link.extension().is_some_and(|e| e == "swap"));
        entries.chain(links.map(|link| link.display().to_string()))
    }
}
