//! What a token is good for.

use rusqlite::{Connection, OptionalExtension as _};
use safeguard_protocol::Digest;

/// The scope of a token, `read` or `operate`, by the token's digest; `None` if there is none or it was revoked.
///
/// # Errors
/// When the store cannot be read.
pub fn token_scope(db: &Connection, token: &Digest) -> rusqlite::Result<Option<String>> {
    let mut statement = db.prepare_cached("SELECT scope FROM token WHERE hash = ?1 AND revoked_ms IS NULL")?;
    statement.query_row([token.as_bytes().as_slice()], |row| row.get(0)).optional()
}
