//! The objects of one kind, by UID, by name and by address; and which word counts when words contradict each other.
//!
//! - Of one UID the highest `resourceVersion` counts. Versions are compared as numbers, which Kubernetes allows (API
//!   Concepts, "Resource versions"); where one is not a number, the last to arrive counts.
//! - A UID that was deleted does not come back before the next list.
//! - Of two UIDs under one name the one with the higher version counts, and the other is gone: an API server has a name
//!   only once.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use crate::limits::MAX_GONE;
use crate::object::{Found, Kind};

/// `metadata.resourceVersion`, if it is a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version(Option<u64>);

impl Version {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.parse().ok())
    }

    /// Whether it certainly is from before `other`.
    pub(crate) fn is_before(self, other: Self) -> bool {
        matches!((self.0, other.0), (Some(this), Some(other)) if this < other)
    }
}

#[derive(Debug)]
struct Entry<T> {
    version: Version,
    object: Arc<T>,
}

#[derive(Debug)]
pub(super) struct Table<T> {
    by_uid: HashMap<Arc<str>, Entry<T>>,
    /// Namespace, name, UID.
    by_name: HashMap<Arc<str>, HashMap<Arc<str>, Arc<str>>>,
    /// Address, and the UIDs that have it.
    by_address: HashMap<IpAddr, Vec<Arc<str>>>,
    gone: HashSet<Arc<str>>,
    gone_order: VecDeque<Arc<str>>,
    /// The namespace of what has none.
    nowhere: Arc<str>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            by_uid: HashMap::new(),
            by_name: HashMap::new(),
            by_address: HashMap::new(),
            gone: HashSet::new(),
            gone_order: VecDeque::new(),
            nowhere: "".into(),
        }
    }
}

/// What became of an object that was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Put {
    /// It is known now, and was not, or differed.
    Changed,
    /// It was known just so.
    Same,
    /// It is older than what is known.
    Late,
    /// There is no room.
    Full,
}

/// What a list makes of a table.
#[derive(Debug)]
pub(super) struct Replaced<T> {
    pub(super) table: Table<T>,
    pub(super) changed: bool,
    /// For how many there was no room.
    pub(super) refused: u64,
}

impl<T: Kind> Table<T> {
    pub(super) fn get(&self, uid: &str) -> Option<Arc<T>> {
        Some(self.by_uid.get(uid)?.object.clone())
    }

    pub(super) fn named(&self, namespace: &str, name: &str) -> Option<Arc<T>> {
        self.get(self.by_name.get(namespace)?.get(name)?)
    }

    pub(super) fn at(&self, address: IpAddr) -> Vec<Arc<T>> {
        self.by_address.get(&address).into_iter().flatten().filter_map(|uid| self.get(uid)).collect()
    }

    pub(super) fn all(&self) -> Vec<Arc<T>> {
        self.by_uid.values().map(|entry| entry.object.clone()).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.by_uid.len()
    }

    pub(super) fn put(&mut self, found: Found<T>) -> Put {
        if self.gone.contains(&found.uid) {
            return Put::Late;
        }
        let (namespace, name) = found.object.names();
        let holder = self.by_name.get(namespace).and_then(|names| names.get(name)).filter(|uid| **uid != found.uid);
        if let Some(holder) = holder.cloned() {
            if self.by_uid.get(&holder).is_some_and(|entry| found.version.is_before(entry.version)) {
                return Put::Late;
            }
            self.remove(&holder);
        }
        if let Some(entry) = self.by_uid.get_mut(&found.uid) {
            if found.version.is_before(entry.version) {
                return Put::Late;
            }
            entry.version = found.version;
            if *entry.object == found.object {
                return Put::Same;
            }
        } else if self.by_uid.len() >= T::MOST {
            return Put::Full;
        }
        self.take_out(&found.uid);
        self.put_in(found.uid, Entry { version: found.version, object: Arc::new(found.object) });
        Put::Changed
    }

    /// Whether it was there.
    pub(super) fn remove(&mut self, uid: &str) -> bool {
        let uid: Arc<str> = self.by_uid.get_key_value(uid).map_or_else(|| uid.into(), |(uid, _)| uid.clone());
        if self.gone.insert(uid.clone()) {
            self.gone_order.push_back(uid.clone());
            if self.gone_order.len() > MAX_GONE
                && let Some(oldest) = self.gone_order.pop_front()
            {
                self.gone.remove(&oldest);
            }
        }
        self.take_out(&uid)
    }

    /// Whether it was there. Unlike after [`Table::remove`], the next word of it counts.
    pub(super) fn forget(&mut self, uid: &str) -> bool {
        self.take_out(uid)
    }

    /// The table that holds `all` and nothing else. What is the same already is shared with this one.
    pub(super) fn replaced(&self, all: Vec<Found<T>>) -> Replaced<T> {
        let mut table = Self::default();
        let mut refused = 0;
        for found in all {
            refused += u64::from(table.put(found) == Put::Full);
        }
        // Two UIDs under one name leave one behind as gone; it is the list that knows.
        table.gone = HashSet::new();
        table.gone_order = VecDeque::new();
        let mut changed = table.len() != self.len();
        for (uid, entry) in &mut table.by_uid {
            match self.by_uid.get(uid) {
                Some(known) if known.object == entry.object => entry.object = known.object.clone(),
                _ => changed = true,
            }
        }
        Replaced { table, changed, refused }
    }

    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.gone.len().max(self.gone_order.len())
    }

    fn put_in(&mut self, uid: Arc<str>, entry: Entry<T>) {
        let namespace = entry.object.namespace().unwrap_or(&self.nowhere).clone();
        self.by_name.entry(namespace).or_default().insert(entry.object.names().1.clone(), uid.clone());
        for address in entry.object.addresses() {
            let uids = self.by_address.entry(*address).or_default();
            if !uids.contains(&uid) {
                uids.push(uid.clone());
            }
        }
        self.by_uid.insert(uid, entry);
    }

    fn take_out(&mut self, uid: &str) -> bool {
        let Some(entry) = self.by_uid.remove(uid) else { return false };
        let (namespace, name) = entry.object.names();
        if let Some(names) = self.by_name.get_mut(namespace) {
            if names.get(name).is_some_and(|holder| &**holder == uid) {
                names.remove(name);
            }
            if names.is_empty() {
                self.by_name.remove(namespace);
            }
        }
        for address in entry.object.addresses() {
            if let Some(uids) = self.by_address.get_mut(address) {
                uids.retain(|holder| &**holder != uid);
                if uids.is_empty() {
                    self.by_address.remove(address);
                }
            }
        }
        true
    }
}
