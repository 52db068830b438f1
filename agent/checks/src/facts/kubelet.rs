//! The kubelet's effective configuration, and who decided each setting.
//!
//! The arguments of the running process, or of what the unit would start, name the configuration file and the directory of its
//! drop-ins; flags are laid over them, as the kubelet does (`NewKubeletCommand` in cmd/kubelet/app/server.go of Kubernetes). If
//! the kubelet itself was asked (`/configz`), its word is what runs, and the rest is what is configured. Drop-ins are read
//! whatever the version is: a kubelet that would not read them does not start with `--config-dir`.

mod document;
mod drift;
mod drop_ins;
mod effective;
mod files;
mod flags;
mod invocation;
mod table;
mod unit;
mod value;
mod version;
mod written;

use std::path::{Path, PathBuf};

use crate::facts::Facts;
use crate::host::Host;
use crate::observed::{Cause, Observed, Unobserved};

pub(crate) use effective::Setting;
pub(crate) use files::{kube_proxy_kubeconfig, unit_files};
pub(crate) use table::is_known;

use flags::Flags;
use invocation::Invocation;
use version::Version;
use written::Written;

/// The kubelet's effective configuration.
#[derive(Debug)]
pub(crate) struct Kubelet {
    started: Invocation,
    flags: Flags,
    /// The configuration file and its drop-ins, by their names; read or not.
    files: Observed<Vec<PathBuf>>,
    /// What they say.
    written: Observed<Written>,
    version: Version,
    /// What `/configz` says, if somebody asked and was answered.
    running: Option<Observed<Written>>,
}

impl Kubelet {
    pub(crate) fn gather(facts: &Facts<'_>) -> Observed<Self> {
        let host = facts.host();
        let started = Invocation::find(facts)?;
        let flags = Flags::parse(&started.arguments).map_err(|refused| {
            let message = format!("argument {} of {}: {}", refused.argument, started.whose(), refused.problem);
            Unobserved::new(Cause::Parse, message)
        })?;
        let files = configuration_files(host, &started, &flags);
        let written = files.clone().and_then(|files| read(host, &files, has_file(&flags)));
        let running = match &facts.inputs().configz {
            Some(Ok(body)) if host.phase().is_live() => Some(running(body)),
            _ => None,
        };
        Ok(Self { started, flags, files, written, version: Version::find(facts), running })
    }

    /// Whether there is a configuration file. Without one a kubelet has other defaults.
    fn has_file(&self) -> bool {
        has_file(&self.flags)
    }
}

fn has_file(flags: &Flags) -> bool {
    flags.text("config").is_some_and(|(path, _)| !path.is_empty())
}

/// The configuration file, if there is one, and the drop-ins.
fn configuration_files(host: &Host, started: &Invocation, flags: &Flags) -> Observed<Vec<PathBuf>> {
    let given = |flag| flags.text(flag).map(|(path, _)| path).filter(|path| !path.is_empty());
    let mut files = Vec::new();
    if let Some(path) = given("config") {
        files.push(started.resolve(path)?);
    }
    if let Some(path) = given("config-dir") {
        files.extend(drop_ins::find(host, &started.resolve(path)?)?);
    }
    Ok(files)
}

fn read(host: &Host, files: &[PathBuf], has_file: bool) -> Observed<Written> {
    let mut written = if has_file { Written::default() } else { Written::of_drop_ins() };
    for file in files {
        let text = host.text_within(file, document::MAX_DOCUMENT)?.ok_or_else(|| {
            let message = format!("{}: does not exist; the kubelet does not start without it", file.display());
            Unobserved::new(Cause::NotAFile, message)
        })?;
        let document = document::parse(&text).map_err(|malformed| malformed.at(file))?;
        written.lay(file, &document).map_err(|problem| Unobserved::file(file, &problem))?;
    }
    Ok(written)
}

/// What `/configz` answered: a map with the configuration below `kubeletconfig`.
fn running(body: &serde_json::Value) -> Observed<Written> {
    let wrong = |problem: &str| Unobserved::file(Path::new("/configz"), problem);
    let configuration = body.get("kubeletconfig").ok_or_else(|| wrong("has no kubeletconfig"))?;
    let document = document::of_json(configuration).map_err(|malformed| malformed.at(Path::new("/configz")))?;
    Written::running(&document).map_err(|problem| wrong(&problem))
}

#[cfg(test)]
mod tests;
