//! Proof of recent contact: each reply has a nonce, and the next statement repeats it. One that repeats none, or an old one, may have
//! been signed long before it came.
//!
//! Nothing is kept: a nonce is the time and a code over the node's key and that time, which only the holder of the reply key can
//! make. So it holds over a restart, and with several servers of one reply key.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use safeguard_protocol::{PublicKey, SigningKey, limits};

/// Bytes of the time.
const TIME: usize = 8;

/// Gives nonces, and knows its own.
#[derive(Debug)]
pub(super) struct Contact(hmac::Key);

impl Contact {
    pub(super) fn new(key: &SigningKey) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, &key.derive("contact")))
    }

    /// A nonce for a node.
    pub(super) fn give(&self, node: &PublicKey, now_ms: i64) -> String {
        URL_SAFE_NO_PAD.encode(self.nonce(node, now_ms.to_be_bytes()))
    }

    /// When a nonce was given to this node, in milliseconds since 1970; `None` if it never was.
    pub(super) fn given_ms(&self, node: &PublicKey, nonce: &str) -> Option<i64> {
        let said: [u8; limits::NONCE_BYTES] = URL_SAFE_NO_PAD.decode(nonce).ok()?.try_into().ok()?;
        let time = *said.first_chunk::<TIME>()?;
        let same = aws_lc_rs::constant_time::verify_slices_are_equal(&said, &self.nonce(node, time));
        same.ok().map(|()| i64::from_be_bytes(time))
    }

    fn nonce(&self, node: &PublicKey, time: [u8; TIME]) -> [u8; limits::NONCE_BYTES] {
        let mut code = hmac::Context::with_key(&self.0);
        code.update(node.as_bytes());
        code.update(&time);
        let code = code.sign();
        let mut nonce = [0; limits::NONCE_BYTES];
        nonce.iter_mut().zip(time.iter().chain(code.as_ref())).for_each(|(to, from)| *to = *from);
        nonce
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> SigningKey {
        SigningKey::from_seed(&[n; 32]).unwrap()
    }

    #[test]
    fn a_nonce_tells_when_it_was_given_and_to_whom() {
        let (ours, node) = (Contact::new(&key(1)), key(2).public());
        for now_ms in [0, 1_800_000_000_000, i64::MAX] {
            let nonce = ours.give(&node, now_ms);
            assert!(nonce.len() <= limits::NONCE_CHARACTERS);
            assert_eq!(ours.given_ms(&node, &nonce), Some(now_ms));
            assert_eq!(Contact::new(&key(1)).given_ms(&node, &nonce), Some(now_ms), "also after a restart");
            assert_eq!(ours.given_ms(&key(3).public(), &nonce), None, "to another node");
            assert_eq!(Contact::new(&key(4)).given_ms(&node, &nonce), None, "by another safeguard");
        }
    }

    #[test]
    fn no_bit_of_it_can_be_changed() {
        let (ours, node) = (Contact::new(&key(1)), key(2).public());
        let nonce = URL_SAFE_NO_PAD.decode(ours.give(&node, 1_800_000_000_000)).unwrap();
        for bit in 0..nonce.len() * 8 {
            let mut other = nonce.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(ours.given_ms(&node, &URL_SAFE_NO_PAD.encode(other)), None, "bit {bit}");
        }
        for other in ["", "n", "!", &"A".repeat(43), &"A".repeat(64)] {
            assert_eq!(ours.given_ms(&node, other), None, "{other}");
        }
    }
}
