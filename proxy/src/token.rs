//! Session tokens of IMDSv2, our own: nothing is kept of them, and each is good for one pod.
//!
//! A token is its expiry, sealed with AES-256-GCM; the UID of its pod is authenticated with it. So no request is needed to the
//! node's metadata service, another pod's token opens nothing, and neither does one of the real service.

use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::error::Unspecified;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;

use crate::limits;

/// Bytes of the nonce, of the sealed seconds since the epoch, and of the tag.
const NONCE: usize = 12;
const SEALED: usize = 8;
const TAG: usize = 16;

/// The first byte names the key.
const TOKEN: usize = 1 + NONCE + SEALED + TAG;

/// Characters of a token. The real service's have 56; clients take them as they are.
pub(crate) const CHARACTERS: usize = TOKEN.div_ceil(3) * 4;

/// A key makes tokens for this long, in seconds, and opens them for as long again: no token lives longer.
const KEY_SECONDS: u64 = *limits::TOKEN_TTL.end();

/// Makes tokens and opens them. A restart forgets the keys: clients then get 401 and ask for a new token, as they have to with the
/// real service.
#[derive(Default)]
pub(crate) struct Tokens {
    /// None before the first key: nothing is a token then.
    keys: Mutex<Option<Keys>>,
}

struct Keys {
    current: Key,
    previous: Option<Key>,
}

struct Key {
    name: u8,
    key: RandomizedNonceKey,
    /// When it began to make tokens, in seconds since the epoch.
    since: u64,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

/// A key that nobody ever sees.
fn random_key(name: u8, since: u64) -> Result<Key, Unspecified> {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes)?;
    Ok(Key { name, key: RandomizedNonceKey::new(&AES_256_GCM, &bytes)?, since })
}

impl Tokens {
    /// Makes the first key before somebody waits for it. AWS-LC measures the jitter of the CPU before it gives its first random number,
    /// which takes tens of milliseconds of CPU: not for a thread that answers.
    ///
    /// # Errors
    /// When there are no random numbers.
    pub(crate) fn prepare(&self, now: u64) -> Result<(), Unspecified> {
        if self.keys().is_none() {
            // Not while the lock is held: whoever shows a token meanwhile learns at once that it is none.
            let first = Keys::first(now)?;
            self.keys().get_or_insert(first);
        }
        Ok(())
    }

    fn keys(&self) -> MutexGuard<'_, Option<Keys>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A token for a pod that lasts `ttl` seconds from `now`, in seconds since the epoch.
    pub(crate) fn make(&self, uid: &str, ttl: u64, now: u64) -> Option<String> {
        self.prepare(now).ok()?;
        let mut keys = self.keys();
        let keys = keys.as_mut()?;
        keys.rotate(now).ok()?;
        let ttl = ttl.clamp(*limits::TOKEN_TTL.start(), *limits::TOKEN_TTL.end());
        let mut sealed = now.saturating_add(ttl).to_be_bytes();
        let key = &keys.current;
        let (nonce, tag) = key.key.seal_in_place_separate_tag(Aad::from(uid.as_bytes()), &mut sealed).ok()?;
        let mut token = Vec::with_capacity(TOKEN);
        token.push(key.name);
        token.extend_from_slice(nonce.as_ref());
        token.extend_from_slice(&sealed);
        token.extend_from_slice(tag.as_ref());
        Some(URL_SAFE.encode(&token))
    }

    /// Whether a token was made for this pod and has not expired.
    pub(crate) fn is_good(&self, token: &[u8], uid: &str, now: u64) -> bool {
        // Longer ones are not worth decoding.
        if token.len() != CHARACTERS {
            return false;
        }
        let mut bytes = [0; CHARACTERS];
        let Ok(length) = URL_SAFE.decode_slice(token, &mut bytes) else { return false };
        let Some(decoded) = bytes.get_mut(..length) else { return false };
        let Some((name, rest)) = decoded.split_first_mut() else { return false };
        let Some((nonce, sealed)) = rest.split_first_chunk_mut::<NONCE>() else { return false };
        let keys = self.keys();
        let Some(keys) = keys.as_ref() else { return false };
        let named = [Some(&keys.current), keys.previous.as_ref()].into_iter().flatten().find(|key| key.name == *name);
        let Some(key) = named else { return false };
        let opened = key.key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(uid.as_bytes()), sealed);
        let expires = opened.ok().and_then(|plain| <[u8; SEALED]>::try_from(&*plain).ok()).map(u64::from_be_bytes);
        expires.is_some_and(|expires| now < expires)
    }
}

impl Keys {
    fn first(now: u64) -> Result<Self, Unspecified> {
        let mut name = [0];
        aws_lc_rs::rand::fill(&mut name)?;
        let [name] = name;
        Ok(Self { current: random_key(name, now)?, previous: None })
    }

    fn rotate(&mut self, now: u64) -> Result<(), Unspecified> {
        // A clock that was set back must not keep a key for ever.
        if (self.current.since..self.current.since.saturating_add(KEY_SECONDS)).contains(&now) {
            return Ok(());
        }
        let next = random_key(self.current.name.wrapping_add(1), now)?;
        self.previous = Some(std::mem::replace(&mut self.current, next));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn prepared() -> Tokens {
        let tokens = Tokens::default();
        tokens.prepare(NOW).unwrap();
        tokens
    }

    #[test]
    fn a_token_is_good_for_its_pod_until_it_expires() {
        let tokens = Tokens::default();
        let token = tokens.make("pod-a", 300, NOW).unwrap();
        assert_eq!(token.len(), CHARACTERS);
        assert!(token.bytes().all(|b| b.is_ascii_graphic()));
        assert!(tokens.is_good(token.as_bytes(), "pod-a", NOW));
        assert!(tokens.is_good(token.as_bytes(), "pod-a", NOW + 299));
        assert!(!tokens.is_good(token.as_bytes(), "pod-a", NOW + 300));
        assert!(!tokens.is_good(token.as_bytes(), "pod-b", NOW), "another pod's");
        assert!(!Tokens::default().is_good(token.as_bytes(), "pod-a", NOW), "of another process");
    }

    #[test]
    fn before_the_first_key_nothing_is_a_token() {
        let tokens = Tokens::default();
        assert!(!tokens.is_good("A".repeat(CHARACTERS).as_bytes(), "pod-a", NOW));
        tokens.prepare(NOW).unwrap();
        let token = tokens.make("pod-a", 300, NOW).unwrap();
        tokens.prepare(NOW).unwrap();
        assert!(tokens.is_good(token.as_bytes(), "pod-a", NOW), "prepared again, it is the same key");
    }

    #[test]
    fn two_tokens_differ_and_a_changed_one_is_bad() {
        let tokens = Tokens::default();
        let (one, two) = (tokens.make("pod-a", 300, NOW).unwrap(), tokens.make("pod-a", 300, NOW).unwrap());
        assert_ne!(one, two);
        for at in 0..one.len() {
            let mut changed = one.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert!(!tokens.is_good(&changed, "pod-a", NOW), "character {at}");
        }
        for odd in ["", "x", "AQAAA", "=".repeat(CHARACTERS).as_str(), "A".repeat(5_000).as_str()] {
            assert!(!tokens.is_good(odd.as_bytes(), "pod-a", NOW));
        }
    }

    #[test]
    fn keys_are_rotated_and_no_token_ends_early() {
        let tokens = prepared();
        let late = tokens.make("pod-a", 21_600, NOW + 21_599).unwrap();
        let newer = tokens.make("pod-a", 60, NOW + 21_600).unwrap();
        assert_ne!(late.as_bytes()[..2], newer.as_bytes()[..2], "made with another key");
        assert!(tokens.is_good(late.as_bytes(), "pod-a", NOW + 43_198));
        assert!(tokens.is_good(newer.as_bytes(), "pod-a", NOW + 21_601));
        drop(tokens.make("pod-a", 60, NOW + 43_200).unwrap());
        assert!(!tokens.is_good(newer.as_bytes(), "pod-a", NOW + 21_700), "expired long ago");
    }

    #[test]
    fn a_clock_that_is_set_back_makes_tokens_all_the_same() {
        let tokens = prepared();
        let token = tokens.make("pod-a", 60, NOW - 100_000).unwrap();
        assert!(tokens.is_good(token.as_bytes(), "pod-a", NOW - 99_990));
    }
}
