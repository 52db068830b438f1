//! How fresh the index is.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

/// How fresh the index is, and what its watches met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Everything was listed once. Until then, who is not known may still be there.
    pub synced: bool,
    /// How long ago the watch that is worse off last gave proof of life: an event, a bookmark, a whole list, or the orderly
    /// end of a watch. Before the first, since the index was made. A quiet cluster gives one about once a minute.
    pub silent_for: Duration,
    /// What is wrong now; nothing once it works again.
    pub last_error: Option<Arc<str>>,
    /// The pods' watch.
    pub pods: Feed,
    /// The namespaces' watch.
    pub namespaces: Feed,
}

/// How one watch is doing. Counts are since the index was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feed {
    /// Whether anybody watches; a watch that is not wanted is in the best of health.
    pub wanted: bool,
    /// It was listed once.
    pub synced: bool,
    /// See [`Health::silent_for`].
    pub silent_for: Duration,
    /// What is wrong now; nothing once it works again.
    pub last_error: Option<Arc<str>>,
    /// How many objects are known.
    pub objects: usize,
    /// Whole lists: 1, and one more for each time that the watch had to start over.
    pub lists: u64,
    /// Watches that were started.
    pub watches: u64,
    /// Objects that were added, changed or deleted, by word of the watch.
    pub events: u64,
    /// Of these, how many came after something newer and were passed over.
    pub late: u64,
    /// Objects that did not enter: unreadable, too large, of another node, or too many.
    pub skipped: u64,
    /// Annotations whose value was too long and was replaced by [`TOO_LONG`](crate::TOO_LONG); counted at each reading.
    pub too_long: u64,
    /// Attempts to list or to watch that failed.
    pub failures: u64,
}

impl Health {
    pub(crate) fn of(pods: Feed, namespaces: Feed) -> Self {
        Self {
            synced: pods.synced && namespaces.synced,
            silent_for: pods.silent_for.max(namespaces.silent_for),
            last_error: pods.last_error.clone().or_else(|| namespaces.last_error.clone()),
            pods,
            namespaces,
        }
    }
}

/// What a watch notes about itself.
#[derive(Debug)]
pub(crate) struct FeedState {
    unwanted: bool,
    synced: bool,
    proof: Instant,
    last_error: Option<Arc<str>>,
    pub(crate) lists: u64,
    pub(crate) watches: u64,
    pub(crate) events: u64,
    pub(crate) late: u64,
    pub(crate) skipped: u64,
    pub(crate) too_long: u64,
    failures: u64,
}

impl FeedState {
    pub(crate) fn new() -> Self {
        Self {
            unwanted: false,
            synced: false,
            proof: Instant::now(),
            last_error: None,
            lists: 0,
            watches: 0,
            events: 0,
            late: 0,
            skipped: 0,
            too_long: 0,
            failures: 0,
        }
    }

    /// Nobody wants to know.
    pub(crate) fn unwanted(&mut self) {
        self.unwanted = true;
    }

    /// A whole list arrived.
    pub(crate) fn listed(&mut self) {
        self.synced = true;
        self.lists += 1;
        self.alive();
    }

    /// The API server gave proof that the watch lives.
    pub(crate) fn alive(&mut self) {
        self.proof = Instant::now();
    }

    /// It works.
    pub(crate) fn well(&mut self) {
        self.last_error = None;
    }

    /// Something failed.
    pub(crate) fn failed(&mut self, error: &str) {
        self.failures += 1;
        if self.last_error.as_deref() != Some(error) {
            self.last_error = Some(error.into());
        }
    }

    pub(crate) fn show(&self, objects: usize) -> Feed {
        Feed {
            wanted: !self.unwanted,
            synced: self.synced || self.unwanted,
            silent_for: if self.unwanted { Duration::ZERO } else { self.proof.elapsed() },
            last_error: self.last_error.clone(),
            objects,
            lists: self.lists,
            watches: self.watches,
            events: self.events,
            late: self.late,
            skipped: self.skipped,
            too_long: self.too_long,
            failures: self.failures,
        }
    }
}
