//! What the page and the API share: the store's answers, who may ask, and what changed.

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::api::Access;
use crate::live::Live;
use crate::registrar::Desk;
use crate::store::read::{self, Filter, Mark, Overview, ReadError, Reader};

/// First pages that are kept: of filters that were asked for last.
const KEPT: usize = 32;
/// How long a first page is kept at most, in milliseconds: its lists of late nodes have times in them.
const KEPT_MS: i64 = 15_000;

/// The settings `[page]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Whether the page and the reading half of the API are open to everyone who reaches them. Only on a loopback address.
    pub open: bool,
}

/// The Compliance Explorer.
#[derive(Debug)]
pub struct Explorer {
    pub(crate) reader: Reader,
    pub(crate) access: Access,
    pub(crate) live: Live,
    kept: Mutex<Vec<Kept>>,
    /// The way to the registrar; none where only a store is shown.
    pub(crate) desk: OnceLock<Desk>,
    now_ms: fn() -> i64,
}

#[derive(Debug, Clone)]
struct Kept {
    filter: Filter,
    mark: Mark,
    at_ms: i64,
    overview: Arc<Overview>,
}

impl Explorer {
    /// Shows the store in this file. `now_ms` is the clock, in milliseconds since 1970.
    #[must_use]
    pub fn new(store: &Path, settings: Settings, now_ms: fn() -> i64) -> Arc<Self> {
        let reader = Reader::new(store);
        let access = Access::new(reader.clone(), settings.open);
        let live = Live::new(reader.clone());
        Arc::new(Self { reader, access, live, kept: Mutex::new(Vec::new()), desk: OnceLock::new(), now_ms })
    }

    /// Lets operators have things done.
    #[must_use]
    pub fn with_desk(self: Arc<Self>, desk: Desk) -> Arc<Self> {
        // It is set once, at the start.
        drop(self.desk.set(desk));
        self
    }

    pub(crate) fn now_ms(&self) -> i64 {
        (self.now_ms)()
    }

    /// The first page. One that was made since the store last changed is given again.
    pub(crate) async fn overview(&self, filter: Filter) -> Result<Arc<Overview>, ReadError> {
        let now_ms = self.now_ms();
        let mark = self.reader.ask(read::mark).await?;
        let still =
            |kept: &&Kept| kept.filter == filter && kept.mark == mark && (0..KEPT_MS).contains(&(now_ms - kept.at_ms));
        if let Some(kept) = self.kept().iter().find(still) {
            return Ok(Arc::clone(&kept.overview));
        }
        let asked = filter.clone();
        let overview = Arc::new(self.reader.ask(move |db| read::overview(db, &asked, now_ms)).await?);
        let mut all = self.kept();
        all.retain(|kept| kept.filter != filter);
        all.truncate(KEPT - 1);
        all.insert(0, Kept { filter, mark, at_ms: now_ms, overview: Arc::clone(&overview) });
        Ok(overview)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Vec<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
