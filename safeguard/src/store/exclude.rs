//! Exclusions, added and removed by an operator. So rare that they have a connection of their own; SQLite lets one write at a time.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, named_params};

use super::read::Exclusion;

/// Exclusions that there can be.
pub const MOST: u32 = 500;

/// What became of a wish to add one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Added {
    /// It is in force.
    Added(Exclusion),
    /// There are [`MOST`] already.
    Full,
}

pub(super) fn open(store: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(store, flags)?;
    db.busy_timeout(Duration::from_secs(3))?;
    db.pragma_update(None, "synchronous", "FULL")?;
    Ok(db)
}

/// Adds one; its number is given here.
///
/// # Errors
/// When the store cannot be written.
pub fn add(store: &Path, wanted: &Exclusion) -> rusqlite::Result<Added> {
    let db = open(store)?;
    let added = db.execute(
        "INSERT INTO exclusion (account, node_group, reason, owner, expires)
         SELECT :account, :group, :reason, :owner, :expires WHERE (SELECT count(*) FROM exclusion) < :most",
        named_params! {
            ":account": wanted.account, ":group": wanted.group, ":reason": wanted.reason, ":owner": wanted.owner,
            ":expires": wanted.expires, ":most": MOST,
        },
    )?;
    Ok(if added == 0 { Added::Full } else { Added::Added(Exclusion { id: db.last_insert_rowid(), ..wanted.clone() }) })
}

/// Removes one. Tells whether it was there.
///
/// # Errors
/// When the store cannot be written.
pub fn remove(store: &Path, id: i64) -> rusqlite::Result<bool> {
    Ok(open(store)?.execute("DELETE FROM exclusion WHERE id = ?1", [id])? > 0)
}
