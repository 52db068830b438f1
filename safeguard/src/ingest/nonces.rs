//! Nonces of enrolments: random, given once, good once, and not for long. They live in memory: after a restart nodes ask for another.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use safeguard_protocol::limits;

/// Nonces that are out at most: ten thousand nodes that come at once have one each, several times over.
const MOST: usize = 65_536;

/// Nonces that are out.
#[derive(Debug, Default)]
pub(super) struct Nonces(Mutex<Out>);

#[derive(Debug, Default)]
struct Out {
    /// Until when each is good.
    good: HashMap<String, i64>,
    /// In the order in which they were given.
    order: VecDeque<(String, i64)>,
}

/// 32 random bytes in base64url.
fn random() -> String {
    let mut bytes = [0; limits::NONCE_BYTES];
    // Without random bytes nothing is safe; aws-lc aborts the process before it comes to that.
    SystemRandom::new().fill(&mut bytes).expect("the system gives random bytes");
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Nonces {
    fn out(&self) -> MutexGuard<'_, Out> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives one; `None` if too many are out.
    pub(super) fn give(&self, now_ms: i64) -> Option<String> {
        let mut out = self.out();
        while out.order.front().is_some_and(|(_, until)| *until <= now_ms) {
            if let Some((old, _)) = out.order.pop_front() {
                out.good.remove(&old);
            }
        }
        if out.order.len() >= MOST {
            return None;
        }
        let (nonce, until) = (random(), now_ms + i64::from(limits::NONCE_SECONDS) * 1_000);
        out.good.insert(nonce.clone(), until);
        out.order.push_back((nonce.clone(), until));
        Some(nonce)
    }

    /// Whether it is good; it is not any more afterwards.
    pub(super) fn take(&self, nonce: &str, now_ms: i64) -> bool {
        self.out().good.remove(nonce).is_some_and(|until| now_ms < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_good_once_and_for_five_minutes() {
        let nonces = Nonces::default();
        let (one, two) = (nonces.give(0).unwrap(), nonces.give(0).unwrap());
        assert_ne!(one, two);
        assert!(nonces.take(&one, 299_999) && !nonces.take(&one, 299_999));
        assert!(!nonces.take(&two, 300_000), "too old");
        assert!(!nonces.take("AAAA", 0), "never given");
    }

    #[test]
    fn who_only_asks_does_not_fill_the_memory() {
        let nonces = Nonces::default();
        for _ in 0..MOST {
            assert!(nonces.give(0).is_some());
        }
        assert!(nonces.give(1).is_none());
        assert!(nonces.give(300_000).is_some());
        assert_eq!(nonces.out().order.len(), 1);
    }
}
