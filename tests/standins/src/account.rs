//! An AWS account as its services see it: the keys that were issued, and whose they are.

use std::{
    collections::HashMap,
    fmt, io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use aws_lc_rs::{digest, rand};

use crate::locked;

mod principal;

pub use principal::Principal;

/// An access key that was issued.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// The public half.
    pub access_key_id: String,
    /// The secret half.
    pub secret_access_key: String,
    /// Goes with temporary keys, in `X-Amz-Security-Token`.
    pub session_token: Option<String>,
    /// Milliseconds since the epoch; from then on the key is refused as expired.
    pub expires_at_ms: Option<i64>,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("access_key_id", &self.access_key_id)
            .field("expires_at_ms", &self.expires_at_ms)
            .finish_non_exhaustive()
    }
}

struct Key {
    credential: Credential,
    principal: Principal,
}

/// Issues keys and finds them again. Stand-ins that share one accept each other's keys.
pub struct Account {
    id: String,
    keys: Mutex<HashMap<String, Key>>,
    issued: AtomicU64,
    // Tells the keys of two accounts apart, also in two processes.
    seed: [u8; 8],
}

/// Why a key does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoKey {
    /// Never issued, revoked, or with another session token.
    Unknown,
    /// Past its end.
    Expired,
}

/// A key that counts.
pub(crate) struct Found {
    pub(crate) secret: String,
    pub(crate) principal: Principal,
}

impl Account {
    /// A new account, with an id of 12 digits.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn new(id: impl Into<String>) -> io::Result<Arc<Account>> {
        let mut seed = [0; 8];
        rand::fill(&mut seed).map_err(|_| io::Error::other("the system gives no random bytes"))?;
        Ok(Arc::new(Account { id: id.into(), keys: Mutex::default(), issued: AtomicU64::new(0), seed }))
    }

    /// The 12 digits.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Makes a lasting key, without a session token.
    pub fn issue_lasting(&self, principal: Principal) -> Credential {
        self.issue(principal, false, None)
    }

    /// Makes a temporary key, with a session token. It ends at `expires_at_ms`, since the epoch, or never.
    pub fn issue_temporary(&self, principal: Principal, expires_at_ms: Option<i64>) -> Credential {
        self.issue(principal, true, expires_at_ms)
    }

    fn issue(&self, principal: Principal, temporary: bool, expires_at_ms: Option<i64>) -> Credential {
        let number = self.issued.fetch_add(1, Ordering::Relaxed) + 1;
        let prefix = if temporary { "ASIA" } else { "AKIA" };
        // 16 of A-Z2-7 follow the prefix, as with real keys: 11 that tell accounts apart, 5 that count.
        let mut id: String = self.bytes("id", 0, 11).iter().map(|byte| base32(u64::from(*byte))).collect();
        id.extend((0..5).rev().map(|place| base32(number >> (5 * place))));
        let credential = Credential {
            access_key_id: format!("{prefix}{id}"),
            // The lengths and the alphabet of real ones; a session token is some hundred bytes.
            secret_access_key: base64_simd::STANDARD.encode_to_string(self.bytes("secret", number, 30)),
            session_token: temporary.then(|| base64_simd::STANDARD.encode_to_string(self.bytes("token", number, 562))),
            expires_at_ms,
        };
        let key = Key { credential: credential.clone(), principal };
        locked(&self.keys).insert(credential.access_key_id.clone(), key);
        credential
    }

    fn bytes(&self, what: &str, number: u64, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + digest::SHA256_OUTPUT_LEN);
        for block in 0_u64.. {
            if bytes.len() >= count {
                break;
            }
            let mut hash = digest::Context::new(&digest::SHA256);
            for part in [&self.seed, what.as_bytes(), &number.to_be_bytes(), &block.to_be_bytes()] {
                hash.update(part);
            }
            bytes.extend_from_slice(hash.finish().as_ref());
        }
        bytes.truncate(count);
        bytes
    }

    /// Forgets a key: from now on it is as if it had never been issued.
    pub fn revoke(&self, access_key_id: &str) {
        locked(&self.keys).remove(access_key_id);
    }

    /// Whose key this is; none when it was never issued or is revoked.
    #[must_use]
    pub fn principal(&self, access_key_id: &str) -> Option<Principal> {
        locked(&self.keys).get(access_key_id).map(|key| key.principal.clone())
    }

    /// A key that is known, goes with this session token, and has not expired.
    pub(crate) fn find(&self, access_key_id: &str, token: Option<&str>, now_ms: i64) -> Result<Found, NoKey> {
        let keys = locked(&self.keys);
        let known = keys.get(access_key_id).filter(|key| key.credential.session_token.as_deref() == token);
        let key = known.ok_or(NoKey::Unknown)?;
        if key.credential.expires_at_ms.is_some_and(|at| now_ms >= at) {
            return Err(NoKey::Expired);
        }
        Ok(Found { secret: key.credential.secret_access_key.clone(), principal: key.principal.clone() })
    }
}

fn base32(value: u64) -> char {
    const ALPHABET: [u8; 32] = *b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    char::from(ALPHABET[usize::try_from(value % 32).unwrap_or(0)])
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = locked(&self.keys).len();
        f.debug_struct("Account").field("id", &self.id).field("keys", &keys).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_look_like_real_ones_and_differ() {
        let (one, two) = (Account::new("123456789012").unwrap(), Account::new("123456789012").unwrap());
        let mut ids = std::collections::BTreeSet::new();
        for account in [&one, &two] {
            for _ in 0..100 {
                let key = account.issue_temporary(Principal::user("123456789012", "u"), None);
                assert_eq!((key.access_key_id.len(), key.secret_access_key.len()), (20, 40));
                assert!(key.session_token.as_ref().is_some_and(|token| token.len() > 700));
                assert!(!format!("{key:?}").contains(&key.secret_access_key));
                ids.insert(key.access_key_id);
            }
        }
        assert_eq!(ids.len(), 200);
    }
}
