//! What changed, as it changes: server-sent events at `/v1/live`.
//!
//! The store is asked, not the writer: so a change is told however it came about, and never before it is on disk.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};
use tokio::time::Instant;

use crate::store::read::{self, Mark, Reader};

/// Streams that are open at the same time.
const STREAMS: usize = 64;
/// How often the store is asked while anybody listens.
const PACE: Duration = Duration::from_millis(500);
/// A stream ends then; browsers open another, and whoever may no longer read is found out.
const LIFE: Duration = Duration::from_secs(900);
/// Changes that wait for a slow listener. What it misses it learns by fetching anew.
const WAITING: usize = 16;
/// Nodes that a change names; when there are more, it names none and concerns all.
const NAMED: usize = 100;

/// Changes of the store, for whoever listens.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    reader: Reader,
    feed: broadcast::Sender<Arc<str>>,
    permits: Arc<Semaphore>,
    watching: Arc<Mutex<bool>>,
}

impl Live {
    pub(crate) fn new(reader: Reader) -> Self {
        let (feed, _) = broadcast::channel(WAITING);
        Self { reader, feed, permits: Arc::new(Semaphore::new(STREAMS)), watching: Arc::new(Mutex::new(false)) }
    }

    /// A stream of changes; `None` when too many are open.
    pub(crate) fn listen(&self) -> Option<Sse<impl Stream<Item = Result<Event, Infallible>> + use<>>> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        let listener = Listener { changes: self.feed.subscribe(), until: Instant::now() + LIFE, first: true, permit };
        self.watch();
        let events = stream::unfold(listener, Listener::next);
        Some(Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))))
    }

    /// Asks the store for changes for as long as anybody listens.
    fn watch(&self) {
        let mut watching = self.watching.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut *watching, true) {
            return;
        }
        let live = self.clone();
        tokio::spawn(async move {
            let mut seen = live.reader.ask(read::mark).await.unwrap_or_default();
            loop {
                tokio::time::sleep(PACE).await;
                seen = live.look(seen).await;
                let mut watching = live.watching.lock().unwrap_or_else(PoisonError::into_inner);
                if live.feed.receiver_count() == 0 {
                    *watching = false;
                    return;
                }
            }
        });
    }

    async fn look(&self, seen: Mark) -> Mark {
        let asked = self.reader.ask(move |db| {
            let mark = read::mark(db)?;
            let nodes = if mark == seen { Vec::new() } else { read::changed_since(db, &seen)? };
            Ok((mark, nodes))
        });
        match asked.await {
            Ok((mark, nodes)) if mark != seen => {
                // Nobody listens: there is nobody to miss it.
                drop(self.feed.send(told(&nodes).into()));
                mark
            }
            Ok(_) => seen,
            Err(error) => {
                tracing::warn!(%error, "the store was not asked for changes");
                seen
            }
        }
    }
}

/// A change, as it is sent: `{"topics":["fleet","node-7"]}`.
fn told(nodes: &[i64]) -> String {
    let mut topics = vec!["fleet".to_owned()];
    if nodes.len() > NAMED {
        topics.push("node-all".to_owned());
    } else {
        topics.extend(nodes.iter().map(|id| format!("node-{id}")));
    }
    serde_json::json!({ "topics": topics }).to_string()
}

struct Listener {
    changes: broadcast::Receiver<Arc<str>>,
    until: Instant,
    first: bool,
    permit: OwnedSemaphorePermit,
}

impl Listener {
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        if std::mem::take(&mut self.first) {
            // The browser waits this long before it asks again.
            let hello = Event::default().retry(Duration::from_secs(3)).comment("changes follow");
            return Some((Ok(hello), self));
        }
        let change = tokio::time::timeout_at(self.until, self.changes.recv()).await.ok()?;
        let text = match change {
            Ok(text) => text,
            Err(broadcast::error::RecvError::Lagged(_)) => told(&vec![0; NAMED + 1]).into(),
            Err(broadcast::error::RecvError::Closed) => return None,
        };
        Some((Ok(Event::default().event("change").data(&*text)), self))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        tracing::trace!(open = STREAMS - self.permit.semaphore().available_permits(), "a stream of changes ends");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_many_nodes_concerns_all() {
        assert_eq!(told(&[7]), r#"{"topics":["fleet","node-7"]}"#);
        assert_eq!(told(&[1; NAMED + 1]), r#"{"topics":["fleet","node-all"]}"#);
    }
}
