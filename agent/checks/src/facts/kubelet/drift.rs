//! The difference between what is configured and what runs.

use std::collections::BTreeSet;

use super::Kubelet;
use super::effective::is_gate;
use super::table::{self, SETTINGS};
use super::value::Kind;
use crate::expect::Value;
use crate::observed::{Cause, Observed, Unobserved};

/// Most settings that are compared; there are about 140, and gates.
const MAX_SETTINGS: usize = 1000;

/// A setting that runs with another value than it is configured with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Its path.
    pub(crate) path: String,
    /// What is configured.
    pub(crate) configured: Option<Value>,
    /// Who says so.
    pub(crate) source: String,
    /// What runs.
    pub(crate) running: Option<Value>,
}

impl Kubelet {
    /// The settings that differ, sorted by their paths.
    ///
    /// # Errors
    /// If it is not known what runs, or what is configured.
    pub(crate) fn drift(&self) -> Observed<Vec<Difference>> {
        let Some(running) = &self.running else {
            return Err(Unobserved::new(Cause::Missing, "/configz: the kubelet was not asked what it runs with"));
        };
        let running = running.as_ref().map_err(Clone::clone)?;
        let written = self.written.as_ref().map_err(Clone::clone)?;
        let mut paths: BTreeSet<String> = self.flags.settings().into_iter().collect();
        paths.extend(written.settings().map(str::to_owned));
        // Gates that run and that nobody configured; other maps have defaults that are not known here.
        paths.extend(running.settings().filter(|path| is_gate(path)).map(str::to_owned));
        let plain = SETTINGS.iter().filter(|row| !matches!(row.kind, Kind::Map | Kind::Gates));
        paths.extend(plain.map(|row| row.path.to_owned()));
        paths
            .retain(|path| table::setting_of(path).is_some_and(|row| !matches!(row.kind, Kind::Opaque | Kind::Secret)));
        if paths.len() > MAX_SETTINGS {
            let message = format!("the kubelet has more than {MAX_SETTINGS} settings to compare");
            return Err(Unobserved::new(Cause::TooMuch, message));
        }
        let mut differences = Vec::new();
        for path in paths {
            let setting = self.setting(&path)?;
            if let Some((configured, source)) = setting.configured {
                differences.push(Difference { path, configured, source, running: setting.value });
            }
        }
        Ok(differences)
    }
}
