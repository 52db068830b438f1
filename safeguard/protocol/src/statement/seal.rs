//! Signs a statement so that its envelope is no longer than what is taken.

use serde::Serialize as _;

use super::Statement;
use crate::{Digest, Envelope, Kind, SigningKey, limits};

/// A statement as it is sent.
#[derive(Debug, Clone)]
pub struct Sealed {
    /// What was signed: the statement, with fewer names and ranges where all of them did not fit.
    pub statement: Statement,
    /// The envelope, at most [`limits::BEAT_BYTES`] long.
    pub envelope: Envelope,
    /// The digest of what was signed.
    pub digest: Digest,
}

/// Why a statement cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// It says something against a bound.
    #[error("the statement is against the protocol: {0}")]
    Bounds(&'static str),
    /// It is too long even without the controls that it could leave out.
    #[error(
        "the statement has {len} bytes and may have {}: the names of tenant, cluster, node group and node are too long together",
        limits::STATEMENT_BYTES
    )]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// It cannot be written as JSON.
    #[error("the statement cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl Statement {
    /// Signs it. Where it is longer than [`limits::STATEMENT_BYTES`], the last names of changed controls are left out and
    /// counted in `changed_more`; then ranges of `spool.dropped` but the first, which the next statement has to say; then names
    /// of critical controls, counted in `critical_more`.
    ///
    /// # Errors
    /// When it is out of bounds, or too long without them.
    pub fn seal(mut self, key: &SigningKey) -> Result<Sealed, SealError> {
        self.check().map_err(SealError::Bounds)?;
        let mut payload = self.to_json()?;
        while payload.len() > limits::STATEMENT_BYTES {
            if !self.leave_out() {
                return Err(SealError::TooLong { len: payload.len() });
            }
            payload = self.to_json()?;
        }
        let envelope = Envelope::seal(Kind::Statement, &payload, key);
        Ok(Sealed { statement: self, envelope, digest: Digest::of(&payload) })
    }

    fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        let mut payload = Vec::with_capacity(limits::STATEMENT_BYTES);
        self.serialize(&mut serde_json::Serializer::new(&mut payload))?;
        Ok(payload)
    }

    /// Says one thing less; `false` if there is none to spare. A range of dropped beats can be said in the next statement.
    fn leave_out(&mut self) -> bool {
        let mut none = (Vec::new(), 0, Vec::new(), 0);
        let (changed, changed_more, critical, critical_more) = match &mut self.assessment {
            Some(a) => (&mut a.changed, &mut a.changed_more, &mut a.critical, &mut a.critical_more),
            None => (&mut none.0, &mut none.1, &mut none.2, &mut none.3),
        };
        if changed.pop().is_some() {
            *changed_more = changed_more.saturating_add(1);
            return true;
        }
        if self.spool.dropped.len() > 1 {
            return self.spool.dropped.pop().is_some();
        }
        if critical.pop().is_some() {
            *critical_more = critical_more.saturating_add(1);
            return true;
        }
        self.spool.dropped.pop().is_some()
    }
}
