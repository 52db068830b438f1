//! A mount point.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Absent, When};
use crate::facts::Facts;
use crate::facts::mounts::{AtBoot, FSTAB, NOW, Options, Table};
use crate::observed::{Cause, Unobserved};
use crate::verdict::{Evidence, Verdict};

/// A mount point and what has to hold of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// The mount point: `/tmp`.
    pub at: String,
    /// Options that it has to have: `nodev`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// Options that it must not have: `noexec` below `/var/lib/containerd`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<String>,
    /// Whether it has to be a mount point (`fails` otherwise), or options are asked only of one that is (`not-applicable`).
    #[serde(default)]
    pub absent: Absent,
    /// Whether of the running system, the next boot, or both.
    #[serde(default)]
    pub when: When,
}

impl Mount {
    pub(crate) fn judge(&self, facts: &Facts<'_>) -> Verdict {
        let mounts = match facts.mounts() {
            Ok(mounts) => mounts,
            Err(why) => return Verdict::unknown(why.clone()),
        };
        // As the kernel and fstab write it: `/tmp/` is `/tmp`.
        let point: PathBuf = Path::new(&self.at).components().collect();
        let now = self.when.now().then(|| Verdict::about(&mounts.now, |table| self.now(table, &point)));
        let boot = self.when.boot().then(|| Verdict::about(&mounts.boot, |boot| self.boot(facts, boot, &point)));
        Verdict::all(now.into_iter().chain(boot))
    }

    fn now(&self, table: &Table, point: &Path) -> Verdict {
        let source = format!("{NOW}: {}", self.at);
        match table.at(point) {
            None => self.absent.verdict(&source, &self.expected()),
            Some(mount) if mount.file_system == "autofs" => Verdict::unknown(Unobserved::new(
                Cause::Missing,
                format!("{source}: is mounted when it is first used, and has not been yet"),
            )),
            Some(mount) => self.with(source, &format!("{} {}", mount.file_system, mount.own()), &mount.options()),
        }
    }

    fn boot(&self, facts: &Facts<'_>, boot: &AtBoot, point: &Path) -> Verdict {
        Verdict::about(&boot.at(facts.host(), point), |planned| match planned {
            None => self.absent.verdict(&format!("{FSTAB} and mount units: {}", self.at), &self.expected()),
            Some(planned) => {
                let source = format!("{}: {}", planned.source, self.at);
                self.with(source, &planned.options.to_string(), &planned.options)
            }
        })
    }

    /// The verdict on what is mounted with these options. `seen` is what a person is shown of them.
    fn with(&self, source: String, seen: &str, options: &Options) -> Verdict {
        let lacking = self.options.iter().filter(|wanted| !options.has(wanted)).map(|o| format!("without {o}"));
        let present = self.without.iter().filter(|bad| options.has(bad)).map(|o| format!("with {o}"));
        let problems: Vec<String> = lacking.chain(present).collect();
        let observed = if seen.is_empty() { "defaults" } else { seen };
        let observed = match problems.is_empty() {
            true => format!("mounted {observed}"),
            false => format!("mounted {observed}: {}", problems.join(", ")),
        };
        Verdict::of(Evidence::new(source, observed, self.expected(), problems.is_empty()))
    }

    fn expected(&self) -> String {
        let with = self.options.iter().map(|o| format!("with {o}"));
        let without = self.without.iter().map(|o| format!("without {o}"));
        let parts: Vec<String> = ["a mount point".to_owned()].into_iter().chain(with).chain(without).collect();
        parts.join(", ")
    }
}

#[cfg(test)]
mod tests;
