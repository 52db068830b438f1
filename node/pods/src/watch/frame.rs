//! One event of a watch, and what it does to the index.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::health::FeedState;
use crate::index::{Indexed, Sink};
use crate::object::{Head, Scope, Unfit};
use crate::trouble::{Status, Trouble};

/// `WatchEvent` (Kubernetes API, meta/v1).
#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

/// Applies one line of a watch, and moves `known` to where the watch would go on.
///
/// # Errors
/// [`Trouble::Expired`] and [`Trouble::Refused`] if the API server says so, [`Trouble::Unreadable`] if it is not known whom
/// the event concerns. An object that cannot be read, but of which is known which it is, is forgotten instead.
pub(super) fn apply<T: Indexed>(
    line: &[u8],
    sink: &mut Sink<T>,
    scope: &Scope,
    known: &mut String,
) -> Result<(), Trouble> {
    let unreadable = |sink: &Sink<T>| {
        sink.feed(|feed| feed.skipped += 1);
        Trouble::Unreadable { what: "an event" }
    };
    let Ok(Frame { kind, object }) = serde_json::from_slice(line) else { return Err(unreadable(sink)) };
    let json = object.get().as_bytes();
    let kind: &str = &kind;
    if kind == "ERROR" {
        let status = Status::read(json);
        return Err(if status.is_expired() {
            Trouble::Expired
        } else {
            let (code, message) = (status.code(), status.message());
            Trouble::Refused { verb: "watch", resource: T::RESOURCE, code, message, retry_after: None }
        });
    }
    let Some(head) = Head::read(json) else { return Err(unreadable(sink)) };
    match kind {
        "BOOKMARK" => {}
        "DELETED" => {
            let Some(uid) = head.uid() else { return Err(unreadable(sink)) };
            sink.remove(uid);
            sink.feed(|feed| feed.events += 1);
        }
        "ADDED" | "MODIFIED" => {
            match T::read(json, scope, &mut sink.pool) {
                Ok(found) => {
                    sink.put(found);
                }
                Err(Unfit::Nameless) => return Err(unreadable(sink)),
                Err(unfit @ (Unfit::Unreadable { .. } | Unfit::Elsewhere { .. })) => {
                    tracing::debug!(resource = T::RESOURCE, %unfit, "an event is not taken");
                    if let Some(uid) = head.uid() {
                        sink.forget(uid);
                    }
                    sink.feed(|feed| feed.skipped += 1);
                }
            }
            sink.feed(|feed| feed.events += 1);
        }
        _ => return Err(unreadable(sink)),
    }
    if let Some(version) = head.version()
        && version != known
    {
        version.clone_into(known);
    }
    sink.feed(FeedState::alive);
    Ok(())
}
