//! Objects, their versions, and the history that watches read.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use serde_json::{Value, json};

use super::resource::{Resource, Selector};

/// Changes that are remembered. Older ones are compacted away.
const MAX_HISTORY: usize = 65_536;

/// Resource, namespace (empty for what has none) and name: the order of lists.
pub(super) type Key = (Resource, String, String);

#[derive(Debug)]
pub(super) struct Change {
    pub(super) version: u64,
    key: Key,
    before: Option<Arc<Value>>,
    after: Option<Arc<Value>>,
    /// No watch sees it.
    silent: bool,
}

#[derive(Debug)]
pub(super) struct Store {
    version: u64,
    /// Older versions are gone.
    compacted: u64,
    objects: BTreeMap<Key, Arc<Value>>,
    history: VecDeque<Change>,
    /// How many changes were taken off the front of the history.
    taken: usize,
    /// So many of the next changes are silent.
    silent: u32,
    /// The next change waits for the one after it.
    reorder: bool,
    held: Option<Change>,
}

impl Default for Store {
    fn default() -> Store {
        Store {
            // Clusters are not new, and 0 and "" have meanings of their own.
            version: 1_000,
            compacted: 1_000,
            objects: BTreeMap::new(),
            history: VecDeque::new(),
            taken: 0,
            silent: 0,
            reorder: false,
            held: None,
        }
    }
}

/// One event of a watch: its type and its object.
pub(super) type Event = (&'static str, Arc<Value>);

impl Store {
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn compacted(&self) -> u64 {
        self.compacted
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Arc<Value>> {
        self.objects.get(key)
    }

    /// Makes or replaces an object.
    pub(super) fn put(&mut self, key: Key, mut object: Value) {
        self.version += 1;
        set_version(&mut object, self.version);
        let after = Arc::new(object);
        let before = self.objects.insert(key.clone(), Arc::clone(&after));
        self.record(key, before, Some(after));
    }

    pub(super) fn delete(&mut self, key: &Key) -> bool {
        let Some(before) = self.objects.remove(key) else { return false };
        self.version += 1;
        self.record(key.clone(), Some(before), None);
        true
    }

    fn record(&mut self, key: Key, before: Option<Arc<Value>>, after: Option<Arc<Value>>) {
        let silent = self.silent > 0;
        self.silent = self.silent.saturating_sub(1);
        let change = Change { version: self.version, key, before, after, silent };
        if self.reorder && self.held.is_none() {
            self.held = Some(change);
            return;
        }
        self.reorder = false;
        self.history.push_back(change);
        self.history.extend(self.held.take());
        while self.history.len() > MAX_HISTORY {
            if let Some(oldest) = self.history.pop_front() {
                self.taken += 1;
                self.compacted = self.compacted.max(oldest.version);
            }
        }
    }

    /// The next `n` changes reach no watch.
    pub(super) fn silence(&mut self, n: u32) {
        self.silent = n;
    }

    /// The next two changes reach watches in the wrong order.
    pub(super) fn reorder(&mut self) {
        self.reorder = true;
    }

    /// Makes every version that a client can know too old.
    pub(super) fn compact(&mut self) {
        self.version += 1;
        self.compacted = self.version;
    }

    /// Where a watch that begins now goes on.
    pub(super) fn end_of_history(&self) -> usize {
        self.taken + self.history.len()
    }

    /// Events of a watch from a place in the history on; none when they are gone.
    pub(super) fn events_from(&self, place: usize, resource: Resource, selector: &Selector) -> Option<Vec<Event>> {
        let skip = place.checked_sub(self.taken)?;
        Some(self.history.iter().skip(skip).filter_map(|change| change.event(resource, selector)).collect())
    }

    /// Events of a watch after a version, which has to be one that is kept.
    pub(super) fn events_after(&self, version: u64, resource: Resource, selector: &Selector) -> Vec<Event> {
        let later = self.history.iter().filter(|change| change.version > version);
        later.filter_map(|change| change.event(resource, selector)).collect()
    }

    /// What there is now.
    pub(super) fn current(&self, resource: Resource, selector: &Selector) -> Vec<Arc<Value>> {
        let found = self.objects.iter().filter(|((of, _, _), object)| *of == resource && selector.matches(object));
        found.map(|(_, object)| Arc::clone(object)).collect()
    }

    /// What there was at a version that is kept.
    pub(super) fn at(&self, version: u64, resource: Resource, selector: &Selector) -> Vec<(Key, Arc<Value>)> {
        let mut objects = self.objects.clone();
        let mut later: Vec<&Change> =
            self.history.iter().chain(&self.held).filter(|change| change.version > version).collect();
        later.sort_unstable_by_key(|change| std::cmp::Reverse(change.version));
        for change in later {
            match &change.before {
                Some(before) => objects.insert(change.key.clone(), Arc::clone(before)),
                None => objects.remove(&change.key),
            };
        }
        objects.retain(|(of, _, _), object| *of == resource && selector.matches(object));
        objects.into_iter().collect()
    }
}

impl Change {
    /// What a watch with this selector sees: an object that begins to match is added, one that ends to is deleted.
    fn event(&self, resource: Resource, selector: &Selector) -> Option<Event> {
        if self.silent || self.key.0 != resource {
            return None;
        }
        let matching = |object: &Option<Arc<Value>>| object.clone().filter(|object| selector.matches(object));
        match (matching(&self.before), matching(&self.after)) {
            (None, None) => None,
            (None, Some(after)) => Some(("ADDED", after)),
            (Some(_), Some(after)) => Some(("MODIFIED", after)),
            (Some(before), None) => {
                // The last state, with the version of its end.
                let mut last = Value::clone(&before);
                set_version(&mut last, self.version);
                Some(("DELETED", Arc::new(last)))
            }
        }
    }
}

fn set_version(object: &mut Value, version: u64) {
    object["metadata"]["resourceVersion"] = json!(version.to_string());
}
