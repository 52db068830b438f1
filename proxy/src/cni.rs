//! Which pod has an address, by the word of the CNI's result cache.
//!
//! libcni writes a file for each network interface before the first container of a pod starts, and removes it after the
//! interface is gone (research section 5c). The file is cut and written in place, so one that cannot be read yet is read again and
//! never trusted; it is complete before anything in its pod can ask.
//!
//! Each question looks at the directory itself: whatever was written before the question came is part of the answer.

mod result;

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::Read;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use safeguard_host::{Attributes, HostDir, HostError, HostRoot};

pub(crate) use result::CniResult;

/// Times of files come in steps of the kernel's tick (4 ms at 250 Hz, 10 ms at 100 Hz): what changed this short a time before it was
/// looked at may change again without showing it.
const TICK_NS: i128 = 25_000_000;

/// Files that are remembered. A node has at most some hundred pods; nobody but root writes here.
const MOST_FILES: usize = 10_000;

/// Bytes of a file. It holds the network's configuration beside the result.
const MOST_BYTES: u64 = 1024 * 1024;

/// The cache's directory, and what was read of it.
#[derive(Debug)]
pub(crate) struct CniCache {
    root: HostRoot,
    path: PathBuf,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    dir: Option<HostDir>,
    /// When the directory had changed last, and when it was read after that.
    read: Option<LastRead>,
    files: HashMap<OsString, Entry>,
    /// How many of them cannot be understood.
    unreadable: usize,
    by_address: HashMap<IpAddr, Vec<Arc<CniResult>>>,
    /// Counts changes of what is known.
    generation: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct LastRead {
    modified_ns: i128,
    at_ns: i128,
}

#[derive(Debug)]
enum Entry {
    Result(Arc<CniResult>, Attributes),
    /// It cannot be understood, as it was then.
    Unreadable {
        looked: Option<(Attributes, i128)>,
        reason: String,
    },
}

/// What the cache says of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    /// This pod has it.
    Pod(Arc<CniResult>),
    /// Several have it: one of them is about to be removed.
    Several(Vec<Arc<CniResult>>),
    /// Nobody has it; perhaps a file that is being written names it.
    Nobody {
        /// Why some file cannot be understood.
        unreadable: Option<String>,
    },
}

impl CniCache {
    /// The cache in a directory below `root`. It need not exist yet.
    pub(crate) fn new(root: HostRoot, path: &Path) -> Self {
        Self { root, path: path.to_owned(), known: Mutex::default() }
    }

    /// Whether there is such a directory. One that may not be read is there: what it says must not be passed over.
    pub(crate) fn exists(&self) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        !known.open(&self.root, &self.path).is_err_and(|error| error.is_not_found())
    }

    /// Whose address this is, as the directory stands now. `now_ns` is the time of day in nanoseconds since the epoch.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub(crate) fn owner(&self, address: IpAddr, now_ns: i128) -> Result<Owner, HostError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.refresh(&self.root, &self.path, now_ns)?;
        let owners = known.by_address.get(&address).map(Vec::as_slice).unwrap_or_default();
        Ok(match owners {
            [] => Owner::Nobody { unreadable: known.why_unreadable() },
            [one] => Owner::Pod(one.clone()),
            // Two interfaces, or an old and a new sandbox, of one pod.
            [one, others @ ..] if others.iter().all(|other| other.uid == one.uid) => Owner::Pod(one.clone()),
            several => Owner::Several(several.to_vec()),
        })
    }

    /// A number that changes whenever the cache does. `None` if the directory cannot be read.
    pub(crate) fn generation(&self, now_ns: i128) -> Option<u64> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.refresh(&self.root, &self.path, now_ns).ok()?;
        Some(known.generation)
    }

    /// All that the cache holds now.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub(crate) fn all(&self, now_ns: i128) -> Result<Vec<Arc<CniResult>>, HostError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.refresh(&self.root, &self.path, now_ns)?;
        let results = known.files.values().filter_map(|entry| match entry {
            Entry::Result(result, _) => Some(result.clone()),
            Entry::Unreadable { .. } => None,
        });
        Ok(results.collect())
    }
}

impl Known {
    /// The open directory, opened again if it was removed and made again.
    fn open(&mut self, root: &HostRoot, path: &Path) -> Result<Attributes, HostError> {
        let attributes = self.dir.as_ref().map(|dir| dir.attributes(".".as_ref()));
        if let Some(Ok(attributes)) = attributes
            && attributes.links > 0
        {
            return Ok(attributes);
        }
        *self = Self { generation: self.generation + 1, ..Self::default() };
        let dir = root.dir(path)?;
        let attributes = dir.attributes(".".as_ref())?;
        self.dir = Some(dir);
        Ok(attributes)
    }

    fn refresh(&mut self, root: &HostRoot, path: &Path, now_ns: i128) -> Result<(), HostError> {
        let attributes = self.open(root, path)?;
        let settled = |read: &LastRead| {
            // A clock that was set back makes `at` lie before `modified`: then it is read each time.
            read.modified_ns == attributes.modified_ns && read.at_ns - read.modified_ns > TICK_NS
        };
        let mut changed = false;
        if !self.read.as_ref().is_some_and(settled) {
            changed = self.list()?;
            self.read = Some(LastRead { modified_ns: attributes.modified_ns, at_ns: now_ns });
        }
        // Each request comes by here, and nearly always there is nothing to read again.
        if self.unreadable > 0 {
            changed |= self.read_again(now_ns);
        }
        if changed {
            self.index();
        }
        Ok(())
    }

    /// Takes up new names and drops those that are gone. Whether anything changed.
    fn list(&mut self) -> Result<bool, HostError> {
        let Some(dir) = &self.dir else { return Ok(false) };
        let entries = dir.entries()?;
        let before = self.files.len();
        let mut kept = HashMap::with_capacity(entries.len().min(MOST_FILES));
        let mut changed = false;
        for entry in entries.into_iter().take(MOST_FILES) {
            let known = self.files.remove(&entry.name).filter(|known| match known {
                // The same name need not be the same file.
                Entry::Result(_, as_it_was) => dir.attributes(&entry.name).is_ok_and(|now| now == *as_it_was),
                Entry::Unreadable { .. } => true,
            });
            changed |= known.is_none();
            let known = known.unwrap_or_else(|| Entry::Unreadable { looked: None, reason: String::new() });
            kept.insert(entry.name, known);
        }
        changed |= before != kept.len() || !self.files.is_empty();
        self.files = kept;
        self.count_unreadable();
        Ok(changed)
    }

    /// Reads what could not be understood, unless it is as it was. Whether anything changed.
    fn read_again(&mut self, now_ns: i128) -> bool {
        let Some(dir) = &self.dir else { return false };
        let mut changed = false;
        for (name, entry) in &mut self.files {
            let Entry::Unreadable { looked, reason } = entry else { continue };
            let Ok(attributes) = dir.attributes(name) else { continue };
            if looked
                .is_some_and(|(as_it_was, at_ns)| as_it_was == attributes && at_ns - attributes.modified_ns > TICK_NS)
            {
                continue;
            }
            match read(dir, name) {
                Ok(result) => {
                    *entry = Entry::Result(Arc::new(result), attributes);
                    changed = true;
                }
                Err(why) => (*looked, *reason) = (Some((attributes, now_ns)), why),
            }
        }
        self.count_unreadable();
        changed
    }

    fn count_unreadable(&mut self) {
        self.unreadable = self.files.values().filter(|entry| matches!(entry, Entry::Unreadable { .. })).count();
    }

    fn index(&mut self) {
        self.generation += 1;
        self.by_address.clear();
        for entry in self.files.values() {
            if let Entry::Result(result, _) = entry {
                for address in &result.addresses {
                    self.by_address.entry(*address).or_default().push(result.clone());
                }
            }
        }
    }

    fn why_unreadable(&self) -> Option<String> {
        self.files.iter().find_map(|(name, entry)| match entry {
            Entry::Unreadable { reason, .. } => Some(format!("{}: {reason}", name.to_string_lossy().escape_debug())),
            Entry::Result(..) => None,
        })
    }
}

fn read(dir: &HostDir, name: &OsString) -> Result<CniResult, String> {
    let file = dir.file(name).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(format!("it is larger than {MOST_BYTES} bytes"));
    }
    CniResult::parse(&name.to_string_lossy(), &bytes)
}

#[cfg(test)]
mod tests;
