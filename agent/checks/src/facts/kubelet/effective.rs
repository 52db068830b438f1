//! Which value a setting has, and who decided it.

use super::table::{self, Unset};
use super::value::Kind;
use super::{Kubelet, Written};
use crate::expect::{Scalar, Value};
use crate::observed::{Cause, Observed, Unobserved};

/// A setting in effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    /// Its value; `None` if it has none.
    pub(crate) value: Option<Value>,
    /// Whether somebody set it. Otherwise the value is the kubelet's default.
    pub(crate) set: bool,
    /// Whether the value is sure: the defaults of some settings are not known here.
    pub(crate) sure: bool,
    /// Zero, where a file says so and the kubelet takes that for "not set". Who wrote it meant something else.
    pub(crate) overruled: Option<Value>,
    /// The file, flag or default that decided.
    pub(crate) source: String,
    /// What files and flags say, if something else runs.
    pub(crate) configured: Option<(Option<Value>, String)>,
}

impl Kubelet {
    /// A setting by its path in `KubeletConfiguration`, or a flag by its name (`--node-ip`).
    ///
    /// # Errors
    /// If there is no such setting, or nobody can tell.
    pub(crate) fn setting(&self, name: &str) -> Observed<Setting> {
        if !table::is_known(name) {
            return Err(Unobserved::new(Cause::Parse, format!("`{name}` is no setting of a kubelet")));
        }
        let path = match name.strip_prefix("--") {
            None => name,
            Some(flag) => match table::setting_of_flag(flag) {
                Some(row) => row.path,
                None => return Ok(self.flag(flag)),
            },
        };
        match &self.running {
            None => self.configured(path),
            Some(running) => Ok(self.as_it_runs(path, running.as_ref().map_err(Clone::clone)?)),
        }
    }

    /// A flag that is for no setting.
    fn flag(&self, flag: &str) -> Setting {
        let given = self.flags.text(flag);
        let source = match given {
            Some((_, argument)) => self.started.argument(flag, argument),
            None => format!("flag --{flag} of {}", self.started.whose()),
        };
        let value = given.map(|(text, _)| Value::text(text));
        Setting { set: value.is_some(), value, sure: true, overruled: None, source, configured: None }
    }

    /// What flags, drop-ins, file and defaults make of a setting, in this order.
    ///
    /// # Errors
    /// If the one that decides cannot be read.
    pub(crate) fn configured(&self, path: &str) -> Observed<Setting> {
        let setting =
            |value, set, source| Setting { value, set, sure: true, overruled: None, source, configured: None };
        let flag = table::setting_of(path).map_or("", |row| row.flag);
        let flagged = self.flags.says(path).transpose().map_err(|refused| {
            let source = self.started.argument(flag, refused.argument);
            Unobserved::new(Cause::Parse, format!("{source}: {}", refused.problem))
        })?;
        // The kubelet takes this flag *or* the file: `createAndInitKubelet` in cmd/kubelet/app/server.go.
        let either = path == "seccompDefault";
        if let Some(flagged) = flagged {
            let decided = setting(flagged.value, true, self.started.argument(flag, flagged.argument));
            if !either || decided.value == Some(Value::bool(true)) {
                return Ok(decided);
            }
            let file = self.written.as_ref().map_err(Clone::clone)?.get(path);
            if !file.is_some_and(|(value, _)| *value == Value::bool(true)) {
                return Ok(decided);
            }
        }
        let written = self.written.as_ref().map_err(Clone::clone)?;
        let Some((value, file)) = written.get(path) else { return Ok(self.default(path)) };
        let source = self.started.file(file);
        let counts = table::setting(path).is_none_or(|row| row.zero);
        if !counts && *value == Value::int(0) {
            let default = self.default(path);
            if default.value != Some(Value::int(0)) {
                let source = format!("{source}, where 0 is read as not set: {}", default.source);
                return Ok(Setting { source, overruled: Some(value.clone()), ..default });
            }
        }
        Ok(setting(Some(value.clone()), true, source))
    }

    /// What `/configz` says of a setting. What it leaves out has its default.
    fn as_it_runs(&self, path: &str, running: &Written) -> Setting {
        let configured = self.configured(path).ok();
        let value = match running.get(path) {
            Some((value, _)) => Some(value.clone()),
            None => value_of(table::default(path, self.version.minor, false)),
        };
        let sure = running.get(path).is_some() || table::default(path, self.version.minor, false) != Unset::Unknown;
        let set = match &configured {
            Some(configured) => configured.set || (configured.sure && configured.value != value),
            None => value != value_of(table::default(path, self.version.minor, false)),
        };
        // Of gates `/configz` has those that were configured, so that one that is not there was not.
        let is_gate = is_gate(path);
        let configured = configured.filter(|configured| is_gate || (configured.sure && sure));
        let configured = configured.filter(|configured| configured.value != value);
        let configured = configured.map(|configured| (configured.value, configured.source));
        Setting { value, set, sure, overruled: None, source: "/configz".to_owned(), configured }
    }

    fn default(&self, path: &str) -> Setting {
        let legacy = !self.has_file();
        let default = table::default(path, self.version.minor, legacy);
        let setting =
            |value, sure, source| Setting { value, set: false, sure, overruled: None, source, configured: None };
        // `AllBeta` changes every gate that is beta and not named.
        let is_gate = table::setting_of(path).is_some_and(|row| row.kind == Kind::Gates);
        if is_gate
            && default != Unset::Unknown
            && path != ALL_BETA
            && let Ok(all @ Setting { value: Some(_), .. }) = self.configured(ALL_BETA)
        {
            return all;
        }
        let how = if legacy { " without a configuration file" } else { "" };
        setting(value_of(default), default != Unset::Unknown, format!("default of {}{how}", self.version))
    }
}

/// Whether a path is a feature gate.
pub(super) fn is_gate(path: &str) -> bool {
    table::setting_of(path).is_some_and(|row| row.kind == Kind::Gates)
}

/// The feature gate of all beta features that are not named.
const ALL_BETA: &str = "featureGates.AllBeta";

fn value_of(default: Unset) -> Option<Value> {
    match default {
        Unset::Nothing | Unset::Unknown => None,
        Unset::Yes => Some(Value::bool(true)),
        Unset::No => Some(Value::bool(false)),
        Unset::Number(number) => Some(Value::int(number)),
        Unset::Word(word) => Some(Value::Scalar(Scalar::Text(word.to_owned()))),
        Unset::One(word) => Some(Value::List(vec![word.to_owned()])),
    }
}
