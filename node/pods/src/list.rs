//! Lists all objects of a kind, page by page, without ever holding a page.

mod cut;

use std::collections::HashSet;

use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use crate::client::{Answer, Api, CORE, Question};
use crate::index::{Indexed, Sink, Version};
use crate::limits::{MAX_OBJECT_BYTES, PAGE};
use crate::object::{Found, Scope};
use crate::server::Deadlines;
use crate::trouble::Trouble;
use cut::Cutter;

/// What is around the objects.
#[derive(Deserialize)]
struct Envelope {
    metadata: ListMeta,
    // That it is there tells an empty list from what is none.
    #[serde(rename = "items", deserialize_with = "nothing")]
    _items: (),
}

/// An array without elements: they were cut out. Go writes one that was never made as `null`.
fn nothing<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    Option::<[(); 0]>::deserialize(deserializer).map(drop)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMeta {
    #[serde(default)]
    resource_version: String,
    #[serde(rename = "continue", default)]
    next: Option<String>,
}

/// Which list is wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum At<'a> {
    /// At this version or later: the API server has that in memory ("0" is whatever it has). A whole cluster of agents may
    /// ask for it at once.
    NotOlderThan(&'a str),
    /// As it is now, which may cost a read of the whole store.
    MostRecent,
}

/// Lists everything and puts it in the place of what was known; gives the version from which to watch.
pub(crate) async fn list<T: Indexed>(
    api: &impl Api,
    sink: &mut Sink<T>,
    scope: &Scope,
    at: At<'_>,
    deadlines: Deadlines,
) -> Result<String, Trouble> {
    let (mut all, mut skipped): (Vec<Found<T>>, u64) = (Vec::new(), 0);
    let mut version: Option<String> = None;
    let mut next: Option<String> = None;
    let mut seen = HashSet::new();
    loop {
        let question = question::<T>(scope, at, next.as_deref());
        let page =
            page(api, &question, deadlines, |json| match json.map(|json| T::read(&json, scope, &mut sink.pool)) {
                Some(Ok(found)) if all.len() < T::MOST => all.push(found),
                Some(Ok(_)) | None => skipped += 1,
                Some(Err(unfit)) => {
                    tracing::debug!(resource = T::RESOURCE, %unfit, "an object of a list is left out");
                    skipped += 1;
                }
            });
        let ListMeta { resource_version, next: more } = page.await?;
        if resource_version.is_empty() {
            return Err(Trouble::Unreadable { what: "a list: it has no version" });
        }
        // Of the first page: from there on the watch tells everything, perhaps twice.
        let version = &*version.get_or_insert(resource_version);
        if let At::NotOlderThan(known) = at
            && Version::new(version).is_before(Version::new(known))
        {
            return Err(Trouble::Stale);
        }
        next = more.filter(|token| !token.is_empty());
        if let Some(token) = &next {
            if !seen.insert(token.clone()) || seen.len() > T::MOST {
                return Err(Trouble::Unreadable { what: "a list: it does not end" });
            }
            continue;
        }
        sink.feed(|feed| feed.skipped += skipped);
        sink.replace(all);
        sink.feed(crate::health::FeedState::listed);
        return Ok(version.clone());
    }
}

fn question<T: Indexed>(scope: &Scope, at: At<'_>, next: Option<&str>) -> Question {
    let mut query = form_urlencoded::Serializer::new(String::new());
    scope.select(&mut query);
    query.append_pair("limit", &PAGE.to_string());
    match (next, at) {
        // The token holds the version of the first page.
        (Some(token), _) => {
            query.append_pair("continue", token);
        }
        (None, At::NotOlderThan(version)) => {
            query.append_pair("resourceVersion", version).append_pair("resourceVersionMatch", "NotOlderThan");
        }
        (None, At::MostRecent) => {}
    }
    Question { verb: "list", group: CORE, resource: T::RESOURCE, name: None, query: query.finish() }
}

/// One page: each object goes to `each`, `None` for one that is too large.
async fn page(
    api: &impl Api,
    question: &Question,
    deadlines: Deadlines,
    mut each: impl FnMut(Option<Vec<u8>>),
) -> Result<ListMeta, Trouble> {
    let end = Instant::now() + deadlines.page;
    let mut answer = api.ask(question).await?;
    let mut cutter = Cutter::new(MAX_OBJECT_BYTES);
    loop {
        let soon = (Instant::now() + deadlines.answer).min(end);
        let piece = timeout_at(soon, answer.piece()).await;
        let piece = piece.map_err(|_| Trouble::Silent { what: "more of a list", after: deadlines.answer })??;
        let Some(piece) = piece else { break };
        if !cutter.push(&piece, &mut each) {
            return Err(Trouble::Unreadable { what: "a list: there is too much around its objects" });
        }
    }
    let envelope: Envelope =
        serde_json::from_slice(cutter.envelope()).map_err(|_| Trouble::Unreadable { what: "a list" })?;
    Ok(envelope.metadata)
}
