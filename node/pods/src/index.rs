//! What is known: one [`Writer`] fills it, any number of [`Reader`]s ask it.

mod pool;
mod table;

use std::marker::PhantomData;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::watch;
use tokio::time::Instant;

use crate::health::{FeedState, Health};
use crate::limits::{MAX_ANNOTATION_BYTES, SAY_AGAIN};
use crate::object::{Found, Kind};
use crate::{Namespace, Pod};

pub(crate) use pool::Pool;
pub(crate) use table::Version;
use table::{Put, Table};

/// An empty index.
#[must_use]
pub fn index() -> (Writer, Reader) {
    let shared = Arc::new(Shared { pods: Part::new(), namespaces: Part::new(), changes: watch::Sender::new(0) });
    let writer = Writer { pods: Sink::new(&shared), namespaces: Sink::new(&shared) };
    (writer, Reader { shared })
}

#[derive(Debug)]
pub(crate) struct Shared {
    pods: Part<Pod>,
    namespaces: Part<Namespace>,
    changes: watch::Sender<u64>,
}

/// One kind of object, and how its watch is doing.
#[derive(Debug)]
struct Part<T> {
    table: RwLock<Table<T>>,
    feed: Mutex<FeedState>,
}

impl<T: Kind> Part<T> {
    fn new() -> Self {
        Self { table: RwLock::new(Table::default()), feed: Mutex::new(FeedState::new()) }
    }
}

// Nothing panics while it holds one of these locks, and every change is whole when it is let go.
impl<T> Part<T> {
    fn read(&self) -> RwLockReadGuard<'_, Table<T>> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table<T>> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn feed(&self) -> MutexGuard<'_, FeedState> {
        self.feed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A kind that has its place in the index.
pub(crate) trait Indexed: Kind {
    #[expect(private_interfaces, reason = "the trait is sealed by its own visibility")]
    fn part(shared: &Shared) -> &Part<Self>;
}

impl Indexed for Pod {
    #[expect(private_interfaces, reason = "the trait is sealed by its own visibility")]
    fn part(shared: &Shared) -> &Part<Self> {
        &shared.pods
    }
}

impl Indexed for Namespace {
    #[expect(private_interfaces, reason = "the trait is sealed by its own visibility")]
    fn part(shared: &Shared) -> &Part<Self> {
        &shared.namespaces
    }
}

/// The one who may change the index. [`watch`](crate::watch) takes it; tests of others fill an index by hand.
#[derive(Debug)]
pub struct Writer {
    pub(crate) pods: Sink<Pod>,
    pub(crate) namespaces: Sink<Namespace>,
}

impl Writer {
    /// A pod as it is at `version` (`metadata.resourceVersion`). What is older than what is known of the pod changes
    /// nothing; another UID under the same name takes the place of the pod before. Gives whether anything changed.
    pub fn put_pod(&mut self, version: &str, mut pod: Pod) -> bool {
        for address in &mut pod.addresses {
            *address = address.to_canonical();
        }
        self.pods.put(Found { uid: pod.uid.clone(), version: Version::new(version), object: pod, too_long: 0 })
    }

    /// The pod is gone, and no later word brings this UID back before the next list. Gives whether it was known.
    pub fn remove_pod(&mut self, uid: &str) -> bool {
        self.pods.remove(uid)
    }

    /// A namespace as it is at `version`; see [`Writer::put_pod`].
    pub fn put_namespace(&mut self, uid: &str, version: &str, namespace: Namespace) -> bool {
        self.namespaces.put(Found { uid: uid.into(), version: Version::new(version), object: namespace, too_long: 0 })
    }

    /// The namespace is gone. Gives whether it was known.
    pub fn remove_namespace(&mut self, uid: &str) -> bool {
        self.namespaces.remove(uid)
    }

    /// What is known counts as whole and fresh from now on, as after a list.
    pub fn mark_synced(&mut self) {
        self.pods.feed(FeedState::listed);
        self.namespaces.feed(FeedState::listed);
    }
}

/// The half of the writer that one watch fills.
#[derive(Debug)]
pub(crate) struct Sink<T> {
    shared: Arc<Shared>,
    pub(crate) pool: Pool,
    said_too_long: Option<Instant>,
    kind: PhantomData<T>,
}

impl<T: Indexed> Sink<T> {
    fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: shared.clone(), pool: Pool::default(), said_too_long: None, kind: PhantomData }
    }

    pub(crate) fn put(&mut self, found: Found<T>) -> bool {
        self.say_too_long(&found);
        let too_long = found.too_long;
        let put = T::part(&self.shared).write().put(found);
        self.feed(|feed| match put {
            Put::Changed | Put::Same => feed.too_long += too_long,
            Put::Late => feed.late += 1,
            Put::Full => feed.skipped += 1,
        });
        self.changed(put == Put::Changed)
    }

    pub(crate) fn remove(&mut self, uid: &str) -> bool {
        let removed = T::part(&self.shared).write().remove(uid);
        self.changed(removed)
    }

    /// It is there, but what it is now is not known.
    pub(crate) fn forget(&mut self, uid: &str) -> bool {
        let forgotten = T::part(&self.shared).write().forget(uid);
        self.changed(forgotten)
    }

    /// Everything at once: what is not among `all` is gone.
    pub(crate) fn replace(&mut self, all: Vec<Found<T>>) -> bool {
        let too_long: u64 = all.iter().map(|found| found.too_long).sum();
        if let Some(found) = all.iter().find(|found| found.too_long > 0) {
            self.say_too_long(found);
        }
        let part = T::part(&self.shared);
        let next = part.read().replaced(all);
        self.feed(|feed| {
            feed.too_long += too_long;
            feed.skipped += next.refused;
        });
        // The old one is dropped when nobody waits for it.
        let before = std::mem::replace(&mut *part.write(), next.table);
        drop(before);
        self.pool.prune();
        self.changed(next.changed)
    }

    /// Notes something about the watch.
    pub(crate) fn feed<R>(&self, note: impl FnOnce(&mut FeedState) -> R) -> R {
        note(&mut T::part(&self.shared).feed())
    }

    fn say_too_long(&mut self, found: &Found<T>) {
        let now = Instant::now();
        if found.too_long == 0 || self.said_too_long.is_some_and(|at| now < at + SAY_AGAIN) {
            return;
        }
        self.said_too_long = Some(now);
        let (namespace, name) = found.object.names();
        tracing::warn!(
            resource = T::RESOURCE,
            namespace,
            name = &**name,
            "an annotation is longer than {MAX_ANNOTATION_BYTES} bytes and is not obeyed; shorten it. Others are counted"
        );
    }

    fn changed(&self, changed: bool) -> bool {
        if changed {
            self.shared.changes.send_modify(|count| *count = count.wrapping_add(1));
        }
        changed
    }
}

/// Answers from memory, at once. What was known stays known while the API server cannot be reached: see
/// [`Reader::health`] for how old it is.
#[derive(Debug, Clone)]
pub struct Reader {
    shared: Arc<Shared>,
}

impl Reader {
    /// The pod with this UID.
    #[must_use]
    pub fn pod(&self, uid: &str) -> Option<Arc<Pod>> {
        self.shared.pods.read().get(uid)
    }

    /// The pod of this name. There is one at a time: the youngest.
    #[must_use]
    pub fn named(&self, namespace: &str, name: &str) -> Option<Arc<Pod>> {
        self.shared.pods.read().named(namespace, name)
    }

    /// Every pod whose status names this address, in whatever phase; oldest knowledge first. An IPv4 address written as
    /// IPv6 is the IPv4 address.
    #[must_use]
    pub fn at(&self, address: IpAddr) -> Vec<Arc<Pod>> {
        self.shared.pods.read().at(address.to_canonical())
    }

    /// All pods of this node, in no order.
    #[must_use]
    pub fn pods(&self) -> Vec<Arc<Pod>> {
        self.shared.pods.read().all()
    }

    /// The namespace of this name.
    #[must_use]
    pub fn namespace(&self, name: &str) -> Option<Arc<Namespace>> {
        self.shared.namespaces.read().named("", name)
    }

    /// How fresh all this is.
    #[must_use]
    pub fn health(&self) -> Health {
        let (pods, namespaces) = (self.shared.pods.read().len(), self.shared.namespaces.read().len());
        Health::of(self.shared.pods.feed().show(pods), self.shared.namespaces.feed().show(namespaces))
    }

    /// A number that grows with each change of what is known; of several changes in a row only the last may be seen.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }
}

#[cfg(test)]
mod tests;
