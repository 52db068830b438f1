//! A systemd unit.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Absent;
use crate::facts::Facts;
use crate::facts::units::{self, running};
use crate::verdict::{Evidence, Verdict};

/// A unit and what has to hold of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unit {
    /// Names with their type: `chronyd.service`; the first that exists is meant.
    pub names: Vec<String>,
    /// The states of the unit file that are right; not given, it is not asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub state: Vec<UnitState>,
    /// Whether it runs (a service that has processes in its control group); `None` does not ask. Not applicable to dead hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<bool>,
    /// What it means that there is no such unit.
    #[serde(default)]
    pub absent: Absent,
}

/// States of unit files after the next boot, as `systemctl is-enabled` calls them; links below `/run` are gone by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UnitState {
    /// A link in a `.wants` or `.requires` directory leads to it. Also the distribution's own link, which starts it at every boot
    /// although `systemctl` calls such a unit static.
    Enabled,
    /// It could be enabled and is not.
    Disabled,
    /// It leads to `/dev/null`, or is empty.
    Masked,
    /// It has no `[Install]`: others start it.
    Static,
}

impl Unit {
    pub(crate) fn judge(&self, facts: &Facts<'_>) -> Verdict {
        Verdict::about(facts.units(), |units| {
            let found = self.names.iter().find_map(|name| units.find(facts.host(), name).transpose());
            match found {
                None => self.absent.verdict(&format!("systemd unit {}", self.names.join(", ")), &self.expected()),
                Some(Err(why)) => Verdict::unknown(why),
                Some(Ok(unit)) => self.judge_unit(facts, &unit),
            }
        })
    }

    fn judge_unit(&self, facts: &Facts<'_>, unit: &units::unit::Unit) -> Verdict {
        let mut verdicts = Vec::new();
        if !self.state.is_empty() || self.running.is_none() {
            verdicts.push(self.judge_state(unit));
        }
        if let Some(wanted) = self.running {
            verdicts.push(match running::is_running(facts.host(), unit) {
                Err(why) => Verdict::unknown(why),
                Ok(runs) => {
                    let source = format!("control group of {}", unit.name);
                    Verdict::of(Evidence::new(source, running_text(runs), running_text(wanted), runs == wanted))
                }
            });
        }
        Verdict::all(verdicts)
    }

    fn judge_state(&self, unit: &units::unit::Unit) -> Verdict {
        let state = UnitState::of(unit);
        let by = unit.enabled_by.as_ref().filter(|_| state == UnitState::Enabled);
        let observed = format!("{state}{}", by.map(|by| format!(" by {}", by.display())).unwrap_or_default());
        let holds = self.state.is_empty() || self.state.contains(&state);
        Verdict::of(Evidence::new(unit.file.display().to_string(), observed, self.expected_state(), holds))
    }

    fn expected(&self) -> String {
        let running = self.running.map(|wanted| running_text(wanted).to_owned());
        let state = (!self.state.is_empty() || running.is_none()).then(|| self.expected_state());
        state.into_iter().chain(running).collect::<Vec<_>>().join(", ")
    }

    fn expected_state(&self) -> String {
        if self.state.is_empty() {
            return "there".to_owned();
        }
        self.state.iter().map(UnitState::to_string).collect::<Vec<_>>().join(" or ")
    }
}

fn running_text(runs: bool) -> &'static str {
    if runs { "running" } else { "not running" }
}

impl UnitState {
    fn of(unit: &units::unit::Unit) -> Self {
        if unit.masked {
            Self::Masked
        } else if unit.enabled_by.is_some() {
            Self::Enabled
        } else if unit.can_be_enabled() {
            Self::Disabled
        } else {
            Self::Static
        }
    }
}

impl fmt::Display for UnitState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::Masked => "masked",
            Self::Static => "static",
        })
    }
}

#[cfg(test)]
mod tests;
