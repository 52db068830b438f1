//! How a test changes what there is.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};

use super::{Core, resource::Resource, store::Key};
use crate::{dates, locked};

/// Status that comes later than its object.
#[derive(Debug, Default)]
pub(super) struct Later {
    delay: Mutex<Duration>,
    /// Uid and status, by pod.
    waiting: Mutex<BTreeMap<Key, (Value, Value)>>,
}

impl Core {
    pub(super) fn set_status_delay(&self, delay: Duration) {
        *locked(&self.later.delay) = delay;
    }

    /// Makes or replaces an object. One of another uid is deleted before.
    pub(super) fn put(self: &Arc<Core>, resource: Resource, mut object: Value) {
        let key = key(resource, &object);
        self.complete(&mut object);
        let mut store = locked(&self.store);
        let before = store.get(&key).map(|before| (before["metadata"]["uid"].clone(), before["status"].clone()));
        let same = before.as_ref().is_some_and(|(uid, _)| *uid == object["metadata"]["uid"]);
        if before.is_some() && !same {
            store.delete(&key);
        }
        if resource == Resource::Pods {
            self.hold_status_back(&key, &mut object, before.filter(|_| same).map(|(_, status)| status));
        }
        store.put(key, object);
        drop(store);
        self.signals.send_modify(|signal| signal.changes += 1);
    }

    pub(super) fn delete(&self, key: &Key) -> bool {
        locked(&self.later.waiting).remove(key);
        let deleted = locked(&self.store).delete(key);
        self.signals.send_modify(|signal| signal.changes += 1);
        deleted
    }

    /// What the API server would have set.
    fn complete(&self, object: &mut Value) {
        let metadata = &mut object["metadata"];
        if metadata["uid"].as_str().is_none_or(str::is_empty) {
            let mut calls = locked(&self.calls);
            calls.uids += 1;
            metadata["uid"] = json!(format!("00000000-0000-4000-8000-{:012x}", calls.uids));
        }
        if metadata["creationTimestamp"].is_null() {
            metadata["creationTimestamp"] = json!(dates::rfc3339(self.options.clock.now_ms().div_euclid(1_000)));
        }
    }

    fn hold_status_back(self: &Arc<Core>, key: &Key, object: &mut Value, shown: Option<Value>) {
        let delay = *locked(&self.later.delay);
        let mut waiting = locked(&self.later.waiting);
        match (shown, waiting.get_mut(key)) {
            // The kubelet has not reported yet, so what it will report changes.
            (Some(shown), Some((_, later))) => *later = std::mem::replace(&mut object["status"], shown),
            (None, _) if !delay.is_zero() => {
                let pending = json!({ "phase": "Pending" });
                let status = std::mem::replace(&mut object["status"], pending);
                let uid = object["metadata"]["uid"].clone();
                waiting.insert(key.clone(), (uid.clone(), status));
                let (core, key) = (Arc::downgrade(self), key.clone());
                self.runtime.spawn(async move {
                    tokio::time::sleep(delay).await;
                    if let Some(core) = core.upgrade() {
                        core.report(key, &uid);
                    }
                });
            }
            (None, _) => drop(waiting.remove(key)),
            (Some(_), None) => {}
        }
    }

    /// The status of a pod becomes visible, if it is still the same pod.
    fn report(&self, key: Key, uid: &Value) {
        let mut store = locked(&self.store);
        let mut waiting = locked(&self.later.waiting);
        if waiting.get(&key).is_none_or(|(of, _)| of != uid) {
            return;
        }
        let (Some((_, status)), Some(object)) = (waiting.remove(&key), store.get(&key)) else { return };
        let mut object = Value::clone(object);
        object["status"] = status;
        store.put(key, object);
        drop((store, waiting));
        self.signals.send_modify(|signal| signal.changes += 1);
    }
}

pub(super) fn key(resource: Resource, object: &Value) -> Key {
    let text = |name: &str| object["metadata"][name].as_str().unwrap_or_default().to_owned();
    (resource, text("namespace"), text("name"))
}
