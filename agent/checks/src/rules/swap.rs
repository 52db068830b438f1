//! Swap space, in use or configured.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::When;
use crate::facts::Facts;
use crate::facts::precedence::{self, PREFIXES};
use crate::host::Host;
use crate::observed::{Cause, Observed, Unobserved};
use crate::verdict::{Evidence, Verdict};

/// The swap spaces in use (proc_swaps(5)).
const NOW: &str = "/proc/swaps";

/// What decides about the next boot.
const BOOT: &str = "/etc/fstab, swap units, zram-generator.conf";

/// The program that makes devices of compressed memory at boot.
const GENERATOR: &str = "/usr/lib/systemd/system-generators/zram-generator";

/// Most swap spaces that a person is shown.
const MAX_SHOWN: usize = 5;

/// What it has to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Swap {
    /// Whether there may be swap. `false`: none in use, and none in `fstab` or as an enabled swap unit.
    pub allowed: bool,
    /// Whether of the running system, the next boot, or both.
    #[serde(default)]
    pub when: When,
}

impl Swap {
    pub(crate) fn judge(&self, facts: &Facts<'_>) -> Verdict {
        let now = || Verdict::about(&now(facts.host()), |swaps| self.about(NOW, swaps));
        let boot = || Verdict::about(&boot(facts), |swaps| self.about(BOOT, swaps));
        Verdict::all(self.when.now().then(now).into_iter().chain(self.when.boot().then(boot)))
    }

    fn about(&self, source: &str, swaps: &[String]) -> Verdict {
        let mut shown = swaps.iter().take(MAX_SHOWN).cloned().collect::<Vec<_>>().join(", ");
        if swaps.is_empty() {
            "no swap".clone_into(&mut shown);
        }
        let expected = if self.allowed { "swap or not" } else { "no swap" };
        Verdict::of(Evidence::new(source, shown, expected, self.allowed || swaps.is_empty()))
    }
}

/// The swap spaces in use.
fn now(host: &Host) -> Observed<Vec<String>> {
    host.live("the swap spaces in use")?;
    let text = host.text(Path::new(NOW))?;
    let text = text.ok_or_else(|| Unobserved::new(Cause::Missing, format!("{NOW}: is not there")))?;
    let mut lines = text.lines();
    if !lines.next().is_some_and(|header| header.starts_with("Filename")) {
        return Err(Unobserved::line(Path::new(NOW), 1, "is not the header of the list of swap spaces"));
    }
    Ok(lines.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect())
}

/// Who says that there will be swap space after the next boot.
fn boot(facts: &Facts<'_>) -> Observed<Vec<String>> {
    let mounts = facts.mounts().as_ref().map_err(Clone::clone)?;
    let mut swaps: Vec<String> = mounts.boot.as_ref().map_err(Clone::clone)?.swaps().collect();
    swaps.extend(compressed(facts.host())?);
    Ok(swaps)
}

/// The devices of compressed memory that systemd's zram-generator is told to swap to (zram-generator.conf(5)), if it is there.
fn compressed(host: &Host) -> Observed<Vec<String>> {
    if host.attributes(Path::new(GENERATOR))?.is_none() {
        return Ok(Vec::new());
    }
    let mut main = None;
    for prefix in PREFIXES {
        let path = Path::new(prefix).join("systemd/zram-generator.conf");
        if host.attributes_of_link(&path)?.is_some() {
            main = (!precedence::leads_to_null(host, &path)?).then_some(path);
            break;
        }
    }
    let mut texts = precedence::texts(host, "systemd/zram-generator.conf.d", &["conf"])?;
    if let Some(path) = main {
        texts.push((path.clone(), host.text(&path)?.unwrap_or_default()));
    }
    let of_file = |(path, text): &(PathBuf, String)| {
        zram_devices(text).map(|device| format!("{}: {device}", path.display())).collect::<Vec<_>>()
    };
    Ok(texts.iter().flat_map(of_file).collect())
}

/// The devices that a configuration of zram-generator has a section for.
fn zram_devices(text: &str) -> impl Iterator<Item = &str> {
    let sections = text.lines().filter_map(|line| line.trim().strip_prefix('[')?.strip_suffix(']'));
    sections.filter(|name| name.strip_prefix("zram").is_some_and(|n| n.parse::<u32>().is_ok()))
}

#[cfg(test)]
mod tests;
