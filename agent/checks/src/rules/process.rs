//! A process of the host (not of a container), running or not.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::facts::Facts;
use crate::verdict::{Evidence, Verdict};

/// A program and what has to hold of its processes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// The base name of its executable.
    pub name: String,
    /// Whether one has to run, or none may.
    pub running: bool,
}

impl Process {
    pub(crate) fn judge(&self, facts: &Facts<'_>) -> Verdict {
        Verdict::about(facts.processes(), |processes| {
            let expected = format!("{} {}", self.name, if self.running { "runs" } else { "does not run" });
            if let Some(pid) = processes.named(facts.host(), &self.name).first() {
                return Verdict::of(Evidence::new(format!("process {pid}"), "runs", expected, self.running));
            }
            match processes.complete() {
                Ok(()) => Verdict::of(Evidence::new("/proc", format!("no {}", self.name), expected, !self.running)),
                Err(why) => Verdict::unknown(why),
            }
        })
    }
}
