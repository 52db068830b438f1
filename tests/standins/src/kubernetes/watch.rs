//! Watches: what has changed, a line of JSON an event, for as long as it takes.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior},
};

use super::{
    Core, Gone,
    call::{Call, is_true},
    form::Form,
    resource::{Resource, Selector},
    status::Failure,
    store::{Event, Store},
};
use crate::locked;

/// How long a watch lasts that asks for no other time; the API server's `--min-request-timeout`.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1_800);

/// What tests do to watches. Each number only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Signal {
    /// Something changed.
    pub(super) changes: u64,
    /// Watches end, as when their time is over.
    pub(super) ends: u64,
    /// Connections of watches end in the middle.
    pub(super) cuts: u64,
    /// Watches are told that their version is too old.
    pub(super) expiries: u64,
    /// Nothing is sent for now.
    pub(super) stalled: bool,
}

/// A watch that may begin.
pub(super) struct Watch {
    core: Arc<Core>,
    resource: Resource,
    selector: Selector,
    form: Form,
    bookmarks: bool,
    lasts: Duration,
    first: Vec<Event>,
    /// After the first events comes a bookmark that says so.
    initial: bool,
    /// Ends the watch after its first events.
    failure: Option<Failure>,
    place: usize,
    /// Of the first events.
    version: u64,
    signals: watch::Receiver<Signal>,
    /// What had been done to watches before this one.
    began: Signal,
}

impl Watch {
    /// Reads what a call asks for, and what it gets at once.
    pub(super) fn begin(
        core: &Arc<Core>,
        store: &Store,
        call: &Call,
        resource: Resource,
        selector: Selector,
        form: Form,
    ) -> Result<Watch, Failure> {
        let flag = |name: &str| call.parameter(name).is_some_and(is_true);
        let lasts = call.parameter("timeoutSeconds").map(str::parse).transpose();
        let lasts = lasts.map_err(|_| Failure::bad_request("timeoutSeconds is not a number"))?;
        let initial = flag("sendInitialEvents");
        if initial && call.parameter("resourceVersionMatch") != Some("NotOlderThan") {
            let message = "sendInitialEvents: Forbidden: sendInitialEvents requires setting resourceVersionMatch to \
                           NotOlderThan";
            return Err(Failure::new(422, "Invalid", message));
        }
        let asked = call.parameter("resourceVersion").unwrap_or_default();
        let asked = if asked.is_empty() { Ok(0) } else { asked.parse::<u64>() };
        let asked = asked.map_err(|_| Failure::bad_request("Invalid value: resourceVersion"))?;
        if asked > store.version() {
            return Err(Failure::too_large(asked, store.version()));
        }
        let mut failure = None;
        let first = if initial || asked == 0 {
            store.current(resource, &selector).into_iter().map(|object| ("ADDED", object)).collect()
        } else if asked < store.compacted() {
            let too_old = Failure::too_old(asked, store.compacted());
            match *locked(&core.gone) {
                Gone::Status => return Err(too_old),
                Gone::Event => failure = Some(too_old),
            }
            Vec::new()
        } else {
            store.events_after(asked, resource, &selector)
        };
        Ok(Watch {
            core: Arc::clone(core),
            resource,
            selector,
            form,
            bookmarks: flag("allowWatchBookmarks"),
            lasts: lasts.map_or(DEFAULT_TIMEOUT, Duration::from_secs),
            first,
            initial,
            failure,
            place: store.end_of_history(),
            version: store.version(),
            signals: core.signals.subscribe(),
            began: *core.signals.borrow(),
        })
    }

    /// Sends until it is over.
    pub(super) fn run(self) -> mpsc::Receiver<io::Result<Bytes>> {
        let (pieces, body) = mpsc::channel(64);
        tokio::spawn(async move {
            let core = Arc::clone(&self.core);
            core.watching.send_modify(|count| *count += 1);
            // The peer may leave at any time.
            tokio::select! {
                () = self.send(pieces.clone()) => {}
                () = pieces.closed() => {}
            }
            core.watching.send_modify(|count| *count -= 1);
        });
        body
    }

    async fn send(mut self, pieces: mpsc::Sender<io::Result<Bytes>>) {
        let began = self.began;
        let over = tokio::time::sleep(self.lasts);
        tokio::pin!(over);
        let every = locked(&self.core.bookmark_interval).max(Duration::from_millis(1));
        let mut bookmarks = tokio::time::interval_at(Instant::now() + every, every);
        bookmarks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut waiting: Vec<Value> = Vec::new();
        for (kind, object) in std::mem::take(&mut self.first) {
            waiting.push(self.line(kind, &object));
        }
        if self.initial {
            waiting.push(self.bookmark(self.version, true));
        }
        if let Some(failure) = &self.failure {
            waiting.push(error(failure));
        }
        loop {
            let signal = *self.signals.borrow_and_update();
            if signal.cuts > began.cuts {
                // Nobody minds when the peer has left already.
                drop(pieces.send(Err(io::ErrorKind::ConnectionAborted.into())).await);
                return;
            }
            if signal.ends > began.ends {
                return;
            }
            let mut ends = self.failure.is_some();
            if signal.expiries > began.expiries && !ends {
                waiting.push(self.expired());
                ends = true;
            } else if !signal.stalled && !ends {
                match self.news() {
                    Some((events, _)) => waiting.extend(events),
                    None => {
                        waiting.push(self.expired());
                        ends = true;
                    }
                }
            }
            if !signal.stalled {
                for value in waiting.drain(..) {
                    if pieces.send(Ok(line_of(&value))).await.is_err() {
                        return;
                    }
                }
                if ends {
                    return;
                }
            }
            tokio::select! {
                changed = self.signals.changed() => if changed.is_err() { return },
                () = &mut over => return,
                _ = bookmarks.tick(), if self.bookmarks && !signal.stalled => {
                    // What changed before the bookmark's version has to come before it.
                    if let Some((events, version)) = self.news() {
                        waiting.extend(events);
                        waiting.push(self.bookmark(version, false));
                    }
                }
            }
        }
    }

    /// The lines of what changed since the last time, and the version that this leads to; none when the history is
    /// not kept that long.
    fn news(&mut self) -> Option<(Vec<Value>, u64)> {
        let store = locked(&self.core.store);
        let events = store.events_from(self.place, self.resource, &self.selector)?;
        self.place = store.end_of_history();
        let lines = events.iter().map(|(kind, object)| self.line(kind, object)).collect();
        Some((lines, store.version()))
    }

    /// The version of the first events has become too old.
    fn expired(&self) -> Value {
        error(&Failure::too_old(self.version, locked(&self.core.store).compacted()))
    }

    fn line(&self, kind: &str, object: &Value) -> Value {
        json!({ "type": kind, "object": self.form.object(object) })
    }

    fn bookmark(&self, version: u64, initial_events_end: bool) -> Value {
        json!({ "type": "BOOKMARK", "object": self.form.bookmark(self.resource, version, initial_events_end) })
    }
}

fn error(failure: &Failure) -> Value {
    json!({ "type": "ERROR", "object": failure.status() })
}

fn line_of(value: &Value) -> Bytes {
    Bytes::from(format!("{value}\n"))
}
