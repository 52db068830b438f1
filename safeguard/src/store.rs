//! The store: everything that is known, in one SQLite file. All SQL of the safeguard is below this module.
//!
//! One process writes, by one connection, in transactions that hold many beats; readers see the last commit and never wait.

mod batch;
pub mod exclude;
mod load;
pub mod outbox;
pub mod read;
pub mod report;
pub mod simulate;
pub mod tidy;
pub mod tokens;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

pub use batch::{Batch, Enrolling, Heard};
pub use load::{KeyRow, Loaded, NodeRow};

/// The version of the tables. A file of a later one is refused.
const VERSION: i64 = 5;
const TABLES: &str = include_str!("store/schema.sql");
/// What version 2 has more than version 1.
const SECOND: &str = include_str!("store/ec2_place.sql");
/// What version 3 has more than version 2.
const THIRD: &str = include_str!("store/cluster_place.sql");
/// What version 4 has otherwise than version 3.
const FOURTH: &str = include_str!("store/cluster_tenant.sql");
/// What version 5 has otherwise than version 4.
const FIFTH: &str = include_str!("store/heard.sql");

/// How long another process may hold the file before a write fails: an operator who looks at it with a tool.
const BUSY: Duration = Duration::from_secs(5);

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite says so.
    #[error("the store {} cannot be used: {source}", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// A later program wrote it.
    #[error(
        "the store {} is of version {found}, and this program knows versions up to {VERSION}: start the later program again, \
         or restore the backup from before it",
        path.display()
    )]
    Later {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
    },
}

/// The connection that writes.
#[derive(Debug)]
pub struct Store {
    db: Connection,
    path: PathBuf,
}

impl Store {
    /// Opens the store, and makes it if it is not there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Sqlite { path: path.to_owned(), source };
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut db = Connection::open_with_flags(path, flags).map_err(failed)?;
        db.busy_timeout(BUSY).map_err(failed)?;
        // FULL: a commit is on disk before anything is acknowledged.
        let pragmas = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -8192;
                       PRAGMA wal_autocheckpoint = 4000; PRAGMA journal_size_limit = 67108864;";
        db.execute_batch(pragmas).map_err(failed)?;
        let found: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
        let lacking: &[&str] = match found {
            0 => &[TABLES, SECOND, THIRD, FOURTH, FIFTH],
            1 => &[SECOND, THIRD, FOURTH, FIFTH],
            2 => &[THIRD, FOURTH, FIFTH],
            3 => &[FOURTH, FIFTH],
            4 => &[FIFTH],
            VERSION => &[],
            found => return Err(StoreError::Later { path: path.to_owned(), found }),
        };
        if !lacking.is_empty() {
            let tables = db.transaction().map_err(failed)?;
            lacking.iter().try_for_each(|sql| tables.execute_batch(sql)).map_err(failed)?;
            tables.pragma_update(None, "user_version", VERSION).map_err(failed)?;
            tables.commit().map_err(failed)?;
        }
        db.set_prepared_statement_cache_capacity(64);
        Ok(Self { db, path: path.to_owned() })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Begins to write. Nothing of it is there before [`Batch::commit`].
    ///
    /// # Errors
    /// When another process writes for too long.
    pub fn begin(&mut self) -> rusqlite::Result<Batch<'_>> {
        Ok(Batch::new(self.db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?))
    }

    /// Everything that is held in memory.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn load(&self) -> rusqlite::Result<Loaded> {
        load::load(&self.db)
    }
}

/// Makes a store with its tables, and gives its connection: for demonstrations and tests, which fill it themselves.
///
/// # Errors
/// [`StoreError`].
pub fn create(path: &Path) -> Result<Connection, StoreError> {
    Store::open(path).map(|store| store.db)
}

#[cfg(test)]
mod tests;
