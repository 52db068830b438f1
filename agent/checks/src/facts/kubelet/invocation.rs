//! How the kubelet was started, or would be.

use std::path::{Path, PathBuf};

use super::unit::{self, Unit};
use crate::facts::{Facts, processes};
use crate::observed::{Cause, Observed, Unobserved};

/// The arguments that the kubelet has, and who gave them.
#[derive(Debug)]
pub(crate) struct Invocation {
    /// Without the program's name.
    pub(crate) arguments: Vec<String>,
    /// What relative paths begin at.
    directory: Observed<PathBuf>,
    /// The process; `None` if none runs and this is what its unit would start.
    pid: Option<u32>,
    /// Whether a process could run.
    live: bool,
}

impl Invocation {
    /// The running kubelet, else what its unit would start.
    ///
    /// # Errors
    /// With [`Cause::Phase`] if there is no kubelet on this host. Otherwise if one may run and cannot be seen, if several run
    /// that differ, or if the unit cannot be understood.
    pub(crate) fn find(facts: &Facts<'_>) -> Observed<Self> {
        let host = facts.host();
        let live = host.phase().is_live();
        if live && let Some(running) = running(facts)? {
            return Ok(running);
        }
        match Unit::read(host)? {
            Some(unit) => Ok(Self {
                arguments: unit.command?.into_iter().skip(1).collect(),
                directory: Ok(unit.directory),
                pid: None,
                live,
            }),
            None => {
                let none = format!("there is no kubelet on this host: no process of that name and no {}", unit::NAME);
                Err(Unobserved::new(Cause::Phase, none))
            }
        }
    }

    /// A path that was given to the kubelet.
    ///
    /// # Errors
    /// If it is relative, and to what cannot be told.
    pub(crate) fn resolve(&self, path: &str) -> Observed<PathBuf> {
        if path.starts_with('/') {
            return Ok(PathBuf::from(path));
        }
        Ok(self.directory.clone()?.join(path))
    }

    /// The source of what an argument (counted from 1) says.
    pub(crate) fn argument(&self, flag: &str, argument: usize) -> String {
        match self.pid {
            Some(pid) => format!("flag --{flag} (argument {argument} of process {pid})"),
            None => format!("flag --{flag} (argument {argument} in {}{})", unit::NAME, self.idle()),
        }
    }

    /// The source of what a file says.
    pub(crate) fn file(&self, path: &Path) -> String {
        format!("{}{}", path.display(), if self.pid.is_none() { self.idle() } else { "" })
    }

    /// Who the arguments are from.
    pub(crate) fn whose(&self) -> String {
        self.pid.map_or_else(|| unit::NAME.to_owned(), |pid| format!("process {pid}"))
    }

    /// What to add where a kubelet could run and does not.
    fn idle(&self) -> &'static str {
        if self.live { ", no kubelet runs" } else { "" }
    }
}

/// The one kubelet that runs. Its children are it once more until they have their own program: the same arguments, twice.
fn running(facts: &Facts<'_>) -> Observed<Option<Invocation>> {
    let host = facts.host();
    let processes = facts.processes().as_ref().map_err(Clone::clone)?;
    let mut found: Option<(u32, Vec<String>)> = None;
    for pid in processes.named(host, "kubelet") {
        let command = processes::command(host, pid)?;
        match &found {
            // It has ended, or is about to.
            _ if command.is_empty() => {}
            Some((_, same)) if *same == command => {}
            Some((other, _)) => {
                let message = format!("processes {other} and {pid} are both a kubelet, with different arguments");
                return Err(Unobserved::new(Cause::Changing, message));
            }
            None => found = Some((pid, command)),
        }
    }
    let Some((pid, command)) = found else {
        return processes.complete().map(|()| None);
    };
    let directory = processes::directory(host, pid);
    Ok(Some(Invocation { arguments: command.into_iter().skip(1).collect(), directory, pid: Some(pid), live: true }))
}
