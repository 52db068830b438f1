//! The host that is looked at: its files, the phase it is in, and what was touched on the way.

mod touched;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use safeguard_host::{Attributes, Entry, HostError, HostRoot};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::observed::{Cause, Observed, Unobserved};
pub(crate) use touched::{Touched, concerns};

/// Most bytes of a file that a person wrote. Configuration is small; what is larger is not understood but refused.
pub(crate) const MAX_CONFIG: u64 = 1 << 20;

/// Most names in a directory that are looked at.
const MAX_ENTRIES: usize = 10_000;

/// Most bytes of a host's name: the kernel allows 64.
const MAX_NAME: u64 = 256;

/// How often a file is read again that changed while it was read.
const TRIES: usize = 3;

/// What the host is doing while it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// A dead image: what it says on disk is all there is.
    Build,
    /// It has booted, and may not have joined its cluster. Looked at as one at work: where there is no kubelet, nothing of it applies.
    Boot,
    /// It is at work.
    Run,
}

impl Phase {
    /// Whether there are processes, mounts and values in `/proc`.
    #[must_use]
    pub fn is_live(self) -> bool {
        self != Self::Build
    }
}

/// The host that is looked at.
///
/// Every path is the host's own (`/etc/passwd`), whatever the root is. Links are followed inside the root alone; nothing but
/// regular files is opened; each read is bounded. What is asked for is remembered, so that [`take_touched`](Self::take_touched) can say
/// which files a fact depends on.
#[derive(Debug)]
pub struct Host {
    root: HostRoot,
    phase: Phase,
    touched: RefCell<Touched>,
}

impl Host {
    /// A host whose files are below `root`.
    #[must_use]
    pub fn new(root: HostRoot, phase: Phase) -> Self {
        Self { root, phase, touched: RefCell::default() }
    }

    /// The phase that was said to be.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Where the root is as this process sees it; for messages.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// What the host calls itself: the kernel's word, else `/etc/hostname`. Findings are called after it, so that those of two
    /// nodes are never taken for one another's; a name with a slash or a control character is none.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        let read = |path: &str| {
            let bytes = self.root.read(Path::new(path), MAX_NAME).ok()?;
            let name = String::from_utf8(bytes).ok()?.trim().to_owned();
            (!name.is_empty() && !name.contains(|c: char| c.is_control() || c == '/')).then_some(name)
        };
        read("/proc/sys/kernel/hostname").or_else(|| read("/etc/hostname"))
    }

    /// Refuses facts of running hosts in the build phase. `what` names the fact: `the processes`.
    pub(crate) fn live(&self, what: &str) -> Observed<()> {
        if self.phase.is_live() { Ok(()) } else { Err(Unobserved::in_this_phase(what)) }
    }

    /// The bytes of a file of at most `max` bytes; `None` if it is not there. A file that changes while it is read is read
    /// again; files of `/proc`, whose size is 0, cannot be told to change.
    pub(crate) fn bytes(&self, path: &Path, max: u64) -> Observed<Option<Vec<u8>>> {
        self.touch(path);
        for _ in 0..TRIES {
            let Some(before) = present(self.root.attributes(path))? else { return Ok(None) };
            let Some(bytes) = present(self.root.read(path, max))? else { return Ok(None) };
            let Some(after) = present(self.root.attributes(path))? else { return Ok(None) };
            let same = (before.id, before.size, before.modified_ns) == (after.id, after.size, after.modified_ns);
            if same || before.size == 0 {
                return Ok(Some(bytes));
            }
        }
        Err(Unobserved::new(Cause::Changing, format!("{}: changes faster than it can be read", path.display())))
    }

    /// The text of a file of at most [`MAX_CONFIG`] bytes; `None` if it is not there. What is not UTF-8 is refused with the line
    /// where it is: a byte that was replaced might have been the one that matters.
    pub(crate) fn text(&self, path: &Path) -> Observed<Option<String>> {
        self.text_within(path, MAX_CONFIG)
    }

    /// [`text`](Self::text) with another bound, in bytes.
    pub(crate) fn text_within(&self, path: &Path, max: u64) -> Observed<Option<String>> {
        let Some(bytes) = self.bytes(path, max)? else { return Ok(None) };
        String::from_utf8(bytes).map(Some).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            let line = error.as_bytes().iter().take(valid).filter(|b| **b == b'\n').count() + 1;
            Unobserved::line(path, line, "is not UTF-8 text")
        })
    }

    /// A file that is too large to be read whole, such as a database, open for reading piece by piece; `None` if it is not there.
    /// Links are followed to its directory and no further. Whether it changed meanwhile has to be asked of
    /// [`attributes`](Self::attributes).
    pub(crate) fn open(&self, path: &Path) -> Observed<Option<File>> {
        self.touch(path);
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(None) };
        let Some(dir) = present(self.root.dir(parent))? else { return Ok(None) };
        present(dir.file(name))
    }

    /// What `stat(2)` says of a path, links followed inside the root; `None` if it is not there.
    pub(crate) fn attributes(&self, path: &Path) -> Observed<Option<Attributes>> {
        self.touch(path);
        present(self.root.attributes(path))
    }

    /// What `lstat(2)` says of a path; `None` if it is not there.
    pub(crate) fn attributes_of_link(&self, path: &Path) -> Observed<Option<Attributes>> {
        self.touch(path);
        present(self.root.attributes_of_link(path))
    }

    /// What a symbolic link says; `None` if the path is not there or is something else.
    pub(crate) fn link(&self, path: &Path) -> Observed<Option<OsString>> {
        self.touch(path);
        present(self.root.link(path)).map(Option::flatten)
    }

    /// The names in a directory, sorted by their bytes as `ls` does in the C locale; `None` if it is not there.
    pub(crate) fn entries(&self, path: &Path) -> Observed<Option<Vec<Entry>>> {
        self.touch(path);
        let Some(dir) = present(self.root.dir(path))? else { return Ok(None) };
        let mut entries = dir.entries()?;
        if entries.len() > MAX_ENTRIES {
            return Err(Unobserved::new(
                Cause::TooMuch,
                format!("{}: has more than {MAX_ENTRIES} names", path.display()),
            ));
        }
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(Some(entries))
    }

    /// Whether this process looks at a namespace (`net`, `mnt`, ...) from inside the one that PID 1 of the host is in: values
    /// below `/proc/sys/net` are those of whoever reads them.
    ///
    /// # Errors
    /// [`Unobserved`] with [`Cause::Namespace`] if not, or with the reason why that cannot be told.
    pub(crate) fn in_namespace(&self, namespace: &str) -> Observed<()> {
        let of = |who: &str| match self.root.link(Path::new(&format!("/proc/{who}/ns/{namespace}"))) {
            // Not a matter of the file's mode: the kernel asks whether one process may trace the other.
            Err(HostError::Denied { path, .. }) => {
                let why = "permission denied; to know the namespace of PID 1 needs CAP_SYS_PTRACE";
                Err(Unobserved::new(Cause::Permission, format!("cannot read {}: {why}", path.display())))
            }
            // In a `/proc` of other processes than this one there is no `self`.
            other => present(other).map(Option::flatten),
        };
        let (host, own) = (of("1")?, of("self")?);
        if host.is_some() && host == own {
            return Ok(());
        }
        Err(Unobserved::new(
            Cause::Namespace,
            format!("the agent is in another {namespace} namespace than the host; run it with hostNetwork and hostPID"),
        ))
    }

    /// What was asked for since the last call, as paths of the host; what the kernel makes up (`/proc`, `/sys`) is left out.
    #[must_use]
    pub fn take_touched(&self) -> BTreeSet<PathBuf> {
        self.touched.take().into_paths()
    }

    /// What `look` gives, and what it asked for on the way. That is remembered only if it is [shared](Self::share).
    pub(crate) fn touched_by<T>(&self, look: impl FnOnce() -> T) -> (T, Arc<Touched>) {
        let before = self.touched.take();
        let seen = look();
        (seen, Arc::new(self.touched.replace(before)))
    }

    /// Remembers that all of this was asked for.
    pub(crate) fn share(&self, touched: Arc<Touched>) {
        self.touched.borrow_mut().share(touched);
    }

    fn touch(&self, path: &Path) {
        // What the kernel makes up as it is read tells nobody when it changes.
        if !path.starts_with("/proc") && !path.starts_with("/sys") {
            self.touched.borrow_mut().add(path);
        }
    }
}

/// What is not there is a fact.
fn present<T>(result: Result<T, HostError>) -> Observed<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
