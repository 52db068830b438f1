//! Bearer tokens of people and programs: who may read, and who may operate. Only their digests are stored.

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rusqlite::params;
use safeguard_protocol::Digest;

use super::Store;

/// A token, without what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What its owner calls it.
    pub name: String,
    /// `read` or `operate`.
    pub scope: String,
    /// When it was made.
    pub created_ms: i64,
    /// When it was revoked.
    pub revoked_ms: Option<i64>,
}

/// A new token: 32 random bytes, and a beginning by which scanners for leaked secrets know it.
#[must_use]
pub fn random() -> String {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).expect("the system gives random bytes");
    format!("sgt_{}", URL_SAFE_NO_PAD.encode(bytes))
}

impl Store {
    /// Stores the digest of a new token. `false` if there is one of that name.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add_token(&self, name: &str, token: &str, scope: &str, now_ms: i64) -> rusqlite::Result<bool> {
        let hash = Digest::of(token.as_bytes());
        let added = self.db.execute(
            "INSERT INTO token (name, hash, scope, created_ms) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (name) DO NOTHING",
            params![name, hash.as_bytes().as_slice(), scope, now_ms],
        )?;
        Ok(added == 1)
    }

    /// Every token, by name.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn tokens(&self) -> rusqlite::Result<Vec<Token>> {
        let mut statement = self.db.prepare("SELECT name, scope, created_ms, revoked_ms FROM token ORDER BY name")?;
        let token = |row: &rusqlite::Row<'_>| {
            Ok(Token { name: row.get(0)?, scope: row.get(1)?, created_ms: row.get(2)?, revoked_ms: row.get(3)? })
        };
        statement.query_map([], token)?.collect()
    }

    /// Revokes a token. `false` if there is none of that name that is good.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn revoke_token(&self, name: &str, now_ms: i64) -> rusqlite::Result<bool> {
        let revoked = self.db.execute(
            "UPDATE token SET revoked_ms = ?2 WHERE name = ?1 AND revoked_ms IS NULL",
            params![name, now_ms],
        )?;
        Ok(revoked == 1)
    }
}
