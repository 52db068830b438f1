//! The mode of SELinux.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::When;
use crate::facts::Facts;
use crate::facts::boot::{CommandLine, Entry};
use crate::facts::mounts::NOW;
use crate::host::Host;
use crate::observed::{Cause, Observed, Unobserved};
use crate::verdict::{Evidence, Verdict};

/// Where the running kernel says whether it denies.
const ENFORCE: &str = "/sys/fs/selinux/enforce";

/// The context of init.
const CONTEXT: &str = "/proc/1/attr/current";

/// What init reads before it loads the policy (selinux_config(5)).
const CONFIG: &str = "/etc/selinux/config";

/// What it has to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Selinux {
    /// One of these modes.
    pub modes: Vec<Mode>,
    /// Whether now (`/sys/fs/selinux/enforce`), after the next boot (`/etc/selinux/config` and the kernel's command line), or both.
    #[serde(default)]
    pub when: When,
}

/// Modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Denies.
    Enforcing,
    /// Logs what it would deny.
    Permissive,
    /// Off, or not there.
    Disabled,
}

impl Selinux {
    pub(crate) fn judge(&self, facts: &Facts<'_>) -> Verdict {
        let now = || match now(facts) {
            Ok((mode, source)) => self.about(source, mode),
            Err(why) => Verdict::unknown(why),
        };
        let boot =
            || Verdict::about(&boot(facts), |all| Verdict::all(all.iter().map(|(m, s)| self.about(s.clone(), *m))));
        Verdict::all(self.when.now().then(now).into_iter().chain(self.when.boot().then(boot)))
    }

    fn about(&self, source: String, mode: Mode) -> Verdict {
        let expected = self.modes.iter().map(|mode| mode.word()).collect::<Vec<_>>().join(" or ");
        Verdict::of(Evidence::new(source, mode.word(), expected, self.modes.contains(&mode)))
    }
}

impl Mode {
    fn word(self) -> &'static str {
        match self {
            Self::Enforcing => "enforcing",
            Self::Permissive => "permissive",
            Self::Disabled => "disabled",
        }
    }
}

/// The mode of the running kernel, and who says so.
fn now(facts: &Facts<'_>) -> Observed<(Mode, String)> {
    facts.host().live("the mode of SELinux")?;
    let path = Path::new(ENFORCE);
    match facts.host().text(path)?.as_deref().map(str::trim) {
        Some("1") => Ok((Mode::Enforcing, ENFORCE.to_owned())),
        Some("0") if has_policy(facts.host())? => Ok((Mode::Permissive, ENFORCE.to_owned())),
        Some("0") => Ok((Mode::Disabled, format!("{CONTEXT}: no policy is loaded"))),
        Some(_) => Err(Unobserved::line(path, 1, "is neither 0 nor 1")),
        // Where it is off, nobody mounts its file system. That the agent does not see it says nothing yet.
        None => {
            let mounts = facts.mounts().as_ref().map_err(Clone::clone)?.now.as_ref().map_err(Clone::clone)?;
            if mounts.has_file_system("selinuxfs") {
                let why = format!("{ENFORCE}: is not there for the agent, but the host has SELinux");
                return Err(Unobserved::new(Cause::Namespace, why));
            }
            Ok((Mode::Disabled, format!("{NOW}: no selinuxfs")))
        }
    }
}

/// Whether a policy is loaded. From Linux 6.4 on `SELINUX=disabled` only keeps it from being: the kernel says 0 and decides
/// nothing, and each process has the context `kernel` instead of one with four parts.
fn has_policy(host: &Host) -> Observed<bool> {
    let context = host.text(Path::new(CONTEXT))?;
    let missing = || Unobserved::new(Cause::Missing, format!("{CONTEXT}: is not there"));
    Ok(context.ok_or_else(missing)?.contains(':'))
}

/// The mode after the next boot for each thing that the boot loader can start, and who says so.
fn boot(facts: &Facts<'_>) -> Observed<Vec<(Mode, String)>> {
    let (configured, source) = configured(facts.host())?;
    if configured == Mode::Disabled {
        // It is switched off when the policy would be loaded, whatever the kernel was told.
        return Ok(vec![(Mode::Disabled, source)]);
    }
    let entries = facts.boot().as_ref().map_err(Clone::clone)?.next.as_ref().map_err(Clone::clone)?;
    let of_entry = |entry: &Entry| match told(&entry.line) {
        Some(mode) => (mode, entry.source.clone()),
        None => (configured, source.clone()),
    };
    let mut modes: Vec<(Mode, String)> = entries.iter().map(of_entry).collect();
    modes.dedup();
    Ok(modes)
}

/// What the kernel is told on its command line (`selinux=`, `enforcing=`, `lsm=`, `security=` in
/// `Documentation/admin-guide/kernel-parameters.txt`); `enforcing=` goes before the configuration (`selinux_init_load_policy`
/// in libselinux).
fn told(line: &CommandLine) -> Option<Mode> {
    let left_out = match (line.value("lsm"), line.value("security")) {
        (Some(list), _) => !list.split(',').any(|name| name == "selinux"),
        (None, Some(one)) => one != "selinux",
        (None, None) => false,
    };
    match (line.value("selinux"), line.value("enforcing")) {
        (Some("0"), _) => Some(Mode::Disabled),
        _ if left_out => Some(Mode::Disabled),
        (_, Some("0")) => Some(Mode::Permissive),
        (_, Some("1")) => Some(Mode::Enforcing),
        _ => None,
    }
}

/// What `SELINUX=` says. Without the file there is no policy that could be loaded.
fn configured(host: &Host) -> Observed<(Mode, String)> {
    let path = Path::new(CONFIG);
    let Some(text) = host.text(path)? else { return Ok((Mode::Disabled, format!("{CONFIG}: not there"))) };
    // The first line counts, and only at its very beginning (`selinux_getenforcemode` in libselinux).
    let found = text.lines().enumerate().find_map(|(at, line)| Some((at + 1, line.strip_prefix("SELINUX=")?)));
    let Some((at, value)) = found else { return Err(Unobserved::file(path, "has no line SELINUX=")) };
    let mode = match value.trim().to_ascii_lowercase().as_str() {
        "enforcing" => Mode::Enforcing,
        "permissive" => Mode::Permissive,
        "disabled" => Mode::Disabled,
        _ => return Err(Unobserved::line(path, at, "is none of enforcing, permissive, disabled")),
    };
    Ok((mode, format!("{CONFIG} line {at}")))
}

#[cfg(test)]
mod tests;
