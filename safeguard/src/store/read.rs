//! What the page and the API ask of the store. Reading never waits for the writer, and never makes it wait.

mod controls;
mod cursor;
mod doubtful;
mod events;
mod findings;
mod mark;
mod node;
mod nodes;
mod overview;
mod places;
mod row;
mod token;
mod trend;
mod types;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, ToSql};
use tokio::sync::Semaphore;

pub use controls::{control, controls};
pub use cursor::Cursor;
pub use doubtful::doubtful;
pub use events::{events, exclusions};
pub use findings::{Which, findings, part as part_of_findings};
pub use mark::{Mark, changed_since, mark};
pub use node::node;
pub use nodes::nodes;
pub use overview::overview;
pub use places::{cluster_places, places};
pub use token::token_scope;
pub use trend::trend;
#[cfg(test)]
pub(crate) use types::permille;
pub use types::{
    ClusterPlace, Control, Day, Event, Exclusion, Filter, Finding, Fleet, Gap, Hour, InState, Node, NodeDetail,
    NodeKey, Overview, Page, Place, Roll, StateChange, Tally,
};

/// Questions that are answered at the same time. Each has a connection with a cache of its own.
const CONNECTIONS: usize = 2;
/// How long a question may take, in its queue and in the store.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// SQLite says so.
    #[error("the store could not be read: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// It took too long.
    #[error("the store did not answer within {} s", PATIENCE.as_secs())]
    Slow,
    /// The thread that asked ended before it had an answer.
    #[error("the question was broken off")]
    Broken,
}

/// Read-only connections to the store's file.
#[derive(Debug, Clone)]
pub struct Reader {
    path: PathBuf,
    idle: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
}

impl Reader {
    /// Reads the store in this file. Connections are opened when they are needed.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        let idle = Arc::new(Mutex::new(Vec::new()));
        Self { path: path.to_owned(), idle, permits: Arc::new(Semaphore::new(CONNECTIONS)) }
    }

    /// The store's file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Asks a question. A question that takes more than 5 seconds is broken off.
    ///
    /// # Errors
    /// When the store cannot be read, or not in time.
    pub async fn ask<T, F>(&self, question: F) -> Result<T, ReadError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let permit = tokio::time::timeout(PATIENCE, Arc::clone(&self.permits).acquire_owned()).await;
        let permit = permit.map_err(|_| ReadError::Slow)?.map_err(|_| ReadError::Broken)?;
        let connection = match self.idle().pop() {
            Some(connection) => connection,
            None => open(&self.path)?,
        };
        let interrupt = connection.get_interrupt_handle();
        let reader = self.clone();
        let task = tokio::task::spawn_blocking(move || {
            let answer = question(&connection);
            reader.idle().push(connection);
            drop(permit);
            answer
        });
        let answer = tokio::time::timeout(PATIENCE, task).await.map_err(|_| {
            interrupt.interrupt();
            ReadError::Slow
        })?;
        Ok(answer.map_err(|_| ReadError::Broken)??)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    // Not SQLITE_OPEN_READ_ONLY: in WAL mode even a reader writes the shared-memory file.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(2))?;
    // Pages read through more than any cache holds, and the kernel has it: 4 MiB for each connection made none of them faster.
    connection.execute_batch("PRAGMA query_only = 1; PRAGMA cache_size = -256; PRAGMA temp_store = MEMORY;")?;
    Ok(connection)
}

/// Which nodes a query is about: `n` is the node. Retired nodes are left out unless they are asked for.
const SCOPE: &str = "
    (:tenant IS NULL OR n.tenant = :tenant)
    AND (:cluster IS NULL OR n.cluster = :cluster)
    AND (:group IS NULL OR coalesce(nullif(n.node_group, ''), '-') = :group)
    AND (CASE WHEN :state IS NULL THEN n.state <> 'retired' ELSE n.state = :state END)
    AND (:policy IS NULL OR EXISTS (SELECT 1 FROM result p WHERE p.node_id = n.id AND p.policy = :policy))
    AND (:text IS NULL OR n.node_name LIKE :text ESCAPE '\\' OR n.instance_id LIKE :text ESCAPE '\\'
         OR n.image_id LIKE :text ESCAPE '\\' OR n.account LIKE :text ESCAPE '\\')";

/// The values of [`SCOPE`].
struct Scope {
    state: Option<&'static str>,
    text: Option<String>,
}

impl Scope {
    fn of(filter: &Filter) -> Self {
        let text = filter.text.as_ref().map(|text| {
            let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
            format!("%{escaped}%")
        });
        Self { state: filter.state.map(safeguard_protocol::State::as_str), text }
    }

    fn values<'a>(&'a self, filter: &'a Filter) -> Vec<(&'static str, &'a dyn ToSql)> {
        vec![
            (":tenant", &filter.tenant),
            (":cluster", &filter.cluster),
            (":group", &filter.group),
            (":state", &self.state),
            (":policy", &filter.policy),
            (":text", &self.text),
        ]
    }
}
