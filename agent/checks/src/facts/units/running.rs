//! Whether a service has processes: what its control group says.

use std::path::{Path, PathBuf};

use safeguard_host::Kind;

use super::{template_of, unit::Unit};
use crate::host::Host;
use crate::observed::{Cause, Observed, Unobserved};

/// Where hierarchies of control groups are mounted that systemd keeps its units in: version 2, version 2 beside 1, version 1.
const HIERARCHIES: &[&str] = &["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"];

/// Most bytes of a list of processes that are read: nothing but the first one matters.
const MAX_LIST: u64 = 1 << 20;

/// Longest name of a unit, in bytes (systemd.unit(5)).
const MAX_NAME: usize = 255;

/// Whether there are processes in the control group of a service, or in a group right below it.
pub(crate) fn is_running(host: &Host, unit: &Unit) -> Observed<bool> {
    host.live("the control groups")?;
    let name = &unit.name;
    if ![".service", ".scope", ".slice"].iter().any(|ending| name.ends_with(ending)) {
        let why = format!("{name}: only services have processes; whether it is active cannot be told from files");
        return Err(Unobserved::new(Cause::Missing, why));
    }
    let slice = unit.last("Service", "Slice").map_or_else(|| default_slice(name), str::to_owned);
    let mut visible = false;
    for root in HIERARCHIES {
        let root = Path::new(root);
        if host.attributes(&root.join("system.slice"))?.is_none() {
            continue;
        }
        visible = true;
        let group = root.join(slice_path(&slice)).join(name);
        if host.attributes(&group)?.is_some() && has_processes(host, &group)? {
            return Ok(true);
        }
    }
    if visible {
        return Ok(false);
    }
    let why = "/sys/fs/cgroup: the host's control groups are not visible; run the agent with the host's /sys";
    Err(Unobserved::new(Cause::Namespace, why))
}

fn has_processes(host: &Host, group: &Path) -> Observed<bool> {
    // Version 2 answers for the groups below too.
    if let Some(events) = host.text(&group.join("cgroup.events"))? {
        return Ok(events.lines().any(|line| line == "populated 1"));
    }
    if lists_processes(host, group)? {
        return Ok(true);
    }
    for below in host.entries(group)?.unwrap_or_default() {
        if below.kind == Some(Kind::Directory) && lists_processes(host, &group.join(&below.name))? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn lists_processes(host: &Host, group: &Path) -> Observed<bool> {
    Ok(host.bytes(&group.join("cgroup.procs"), MAX_LIST)?.is_some_and(|list| !list.is_empty()))
}

/// Instances have a slice for each template: `system-getty.slice` (systemd.slice(5), systemd.resource-control(5)).
fn default_slice(name: &str) -> String {
    let prefix = template_of(name).and(name.split('@').next());
    prefix.map_or_else(|| "system.slice".to_owned(), |prefix| format!("system-{}.slice", prefix.replace('-', "\\x2d")))
}

/// `a-b.slice` is in `a.slice/a-b.slice`; `-.slice` is the root.
fn slice_path(slice: &str) -> PathBuf {
    let stem = slice.strip_suffix(".slice").unwrap_or(slice);
    let mut path = PathBuf::new();
    if stem == "-" || stem.contains('/') || stem.len() > MAX_NAME {
        return path;
    }
    for (at, _) in stem.match_indices('-').chain([(stem.len(), "")]) {
        if let Some(part) = stem.get(..at).filter(|part| !part.is_empty()) {
            path.push(format!("{part}.slice"));
        }
    }
    path
}
