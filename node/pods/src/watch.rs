//! Keeps an index true: lists, watches from there on, and starts over when it has to.

mod frame;
mod lines;

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::backoff::Backoff;
use crate::client::{Answer, Api, CORE, Client, Question};
use crate::health::FeedState;
use crate::index::{Indexed, Sink, Writer};
use crate::limits::{LIST_CALM, MAX_OBJECT_BYTES, WATCH_SPACING};
use crate::list::{At, list};
use crate::object::{Keys, Scope, Wanted};
use crate::server::{ApiServer, Deadlines};
use crate::trouble::{Says, Trouble};
use lines::Lines;

/// After trouble the first watch is short: a quiet one gives no proof of life before its end.
const TRIAL: Duration = Duration::from_secs(5);
/// What a line has around an object.
const FRAME_BYTES: usize = 1024;

/// Keeps the index true to the API server until `stop`, through whatever happens to either; it never ends by itself. What
/// was known stays known until the API server says otherwise.
///
/// It lists the pods of one node and, if annotations of them are wanted, all namespaces, and watches both from there on.
/// It needs `list` and `watch` on pods and namespaces, and nothing else.
pub async fn watch(writer: Writer, api: ApiServer, wanted: Wanted, stop: impl Future<Output = ()>) {
    let client = Client::new(api);
    let deadlines = client.deadlines();
    tokio::select! {
        () = stop => {}
        never = both(writer, &client, wanted, deadlines) => match never {},
    }
}

async fn both(writer: Writer, api: &impl Api, wanted: Wanted, deadlines: Deadlines) -> Infallible {
    let keys = |keys: &std::collections::BTreeSet<String>| Keys::new(keys.iter().map(String::as_str));
    let pods = Scope { node: Some(wanted.node), keys: keys(&wanted.pod_annotations) };
    let namespaces = Scope { node: None, keys: keys(&wanted.namespace_annotations) };
    let Writer { pods: pod_sink, namespaces: namespace_sink } = writer;
    let pods = Follow::new(api, pod_sink, pods, deadlines).run();
    if namespaces.keys.is_empty() {
        namespace_sink.feed(FeedState::unwanted);
        return pods.await;
    }
    let namespaces = Follow::new(api, namespace_sink, namespaces, deadlines).run();
    tokio::select! { never = pods => never, never = namespaces => never }
}

/// One kind of object, followed for good.
struct Follow<'a, T, A> {
    api: &'a A,
    sink: Sink<T>,
    scope: Scope,
    deadlines: Deadlines,
    /// From where to watch.
    known: String,
    /// What is known has to be listed anew.
    relist: bool,
    /// A list of a certain version cannot be had.
    most_recent: bool,
    last_list: Option<Instant>,
    /// Spaces lists that succeed, so that no order of events makes a storm of them.
    list_spacing: Backoff,
    /// Spaces what fails.
    backoff: Backoff,
    says: Says,
}

impl<'a, T: Indexed, A: Api> Follow<'a, T, A> {
    fn new(api: &'a A, sink: Sink<T>, scope: Scope, deadlines: Deadlines) -> Self {
        Self {
            api,
            sink,
            scope,
            deadlines,
            known: "0".to_owned(),
            relist: true,
            most_recent: false,
            last_list: None,
            list_spacing: Backoff::default(),
            backoff: Backoff::default(),
            says: Says::default(),
        }
    }

    async fn run(mut self) -> Infallible {
        let mut in_trouble = false;
        loop {
            if self.relist {
                in_trouble |= self.list().await.is_err();
                if self.relist {
                    continue;
                }
            }
            let start = Instant::now();
            let window = if in_trouble { self.deadlines.watch.min(TRIAL) } else { self.deadlines.watch };
            let mut fruitful = false;
            let mut end = self.watch_once(window, &mut fruitful).await;
            if end.is_ok() && !fruitful && start.elapsed() < WATCH_SPACING {
                end = Err(Trouble::Cut { reason: "a watch ended at once, with nothing in it".to_owned() });
            }
            if fruitful || end.is_ok() {
                self.backoff.reset();
            }
            if end.is_ok() {
                self.works();
            }
            in_trouble = end.is_err();
            if let Err(trouble) = end {
                self.relist = starts_over(&trouble);
                self.fails(&trouble).await;
            }
            sleep_until(start + WATCH_SPACING).await;
        }
    }

    /// Lists once, not too soon after the last time.
    async fn list(&mut self) -> Result<(), ()> {
        match self.last_list {
            Some(last) if last.elapsed() < LIST_CALM => sleep_until(last + self.list_spacing.next()).await,
            _ => self.list_spacing.reset(),
        }
        let at = if self.most_recent { At::MostRecent } else { At::NotOlderThan(&self.known) };
        match list(self.api, &mut self.sink, &self.scope, at, self.deadlines).await {
            Ok(version) => {
                tracing::debug!(resource = T::RESOURCE, version, "listed");
                self.last_list = Some(Instant::now());
                (self.known, self.relist, self.most_recent) = (version, false, false);
                Ok(())
            }
            Err(trouble) => {
                self.most_recent |= trouble.wants_most_recent();
                self.fails(&trouble).await;
                Err(())
            }
        }
    }

    /// Watches until the API server ends it, `Ok` if it does so in good order. `fruitful` is set once anything came.
    async fn watch_once(&mut self, window: Duration, fruitful: &mut bool) -> Result<(), Trouble> {
        let seconds = window.mul_f64(0.75 + 0.5 * fastrand::f64()).as_secs().max(1);
        let question = self.question(seconds);
        let mut answer = self.api.ask(&question).await?;
        self.sink.feed(|feed| {
            feed.watches += 1;
            feed.well();
        });
        let after = Duration::from_secs(seconds) + self.deadlines.grace;
        let end = Instant::now() + after;
        let mut lines = Lines::new(MAX_OBJECT_BYTES + FRAME_BYTES);
        loop {
            let piece = timeout_at(end, answer.piece()).await;
            let piece = piece.map_err(|_| Trouble::Silent { what: "the end of a watch", after })??;
            let Some(piece) = piece else { break };
            lines.push(&piece);
            loop {
                match lines.next() {
                    Ok(Some(line)) => frame::apply(&line, &mut self.sink, &self.scope, &mut self.known)?,
                    Ok(None) => break,
                    Err(lines::TooLong) => {
                        self.sink.feed(|feed| feed.skipped += 1);
                        return Err(Trouble::Unreadable { what: "an event: it is too large" });
                    }
                }
                *fruitful = true;
            }
        }
        if lines.is_whole() { Ok(()) } else { Err(Trouble::Cut { reason: "in the middle of an event".to_owned() }) }
    }

    fn question(&self, seconds: u64) -> Question {
        let mut query = form_urlencoded::Serializer::new(String::new());
        self.scope.select(&mut query);
        query
            .append_pair("watch", "true")
            .append_pair("allowWatchBookmarks", "true")
            .append_pair("resourceVersion", &self.known)
            .append_pair("timeoutSeconds", &seconds.to_string());
        Question { verb: "watch", group: CORE, resource: T::RESOURCE, name: None, query: query.finish() }
    }

    fn works(&mut self) {
        self.sink.feed(FeedState::alive);
        if let Some(lasted) = self.says.well(Instant::now()) {
            tracing::info!(resource = T::RESOURCE, seconds = lasted.as_secs(), "the API server's watch works again");
        }
    }

    async fn fails(&mut self, trouble: &Trouble) {
        self.sink.feed(|feed| feed.failed(&trouble.to_string()));
        if let Some(unsaid) = self.says.failed(trouble, Instant::now()) {
            tracing::warn!(resource = T::RESOURCE, unsaid, %trouble, "the API server's word cannot be had");
        }
        let own = self.backoff.next();
        // Whoever was told the same comes back a little later or sooner.
        let asked = trouble.retry_after().unwrap_or_default().mul_f64(1.0 + 0.1 * fastrand::f64());
        sleep(own.max(asked)).await;
    }
}

/// Whether a watch cannot go on from where it was.
fn starts_over(trouble: &Trouble) -> bool {
    match trouble {
        // What was in the event is not known: it may have been a deletion.
        Trouble::Expired | Trouble::Stale | Trouble::Unreadable { .. } => true,
        // It does not understand our version.
        Trouble::Refused { code: 400..=428 | 430..=499, .. } => true,
        other => other.wants_most_recent(),
    }
}

#[cfg(test)]
mod tests;
