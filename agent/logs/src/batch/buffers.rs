//! Memory for bodies, used again: a fresh megabyte costs hundreds of page faults.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// Buffers that are kept. More than two are only in use while several requests are under way.
const KEPT: usize = 2;

/// Buffers that nobody uses at present.
#[derive(Debug, Clone, Default)]
pub(crate) struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

/// A buffer that is being sent.
struct Lent {
    bytes: Vec<u8>,
    home: Buffers,
}

impl Buffers {
    /// A buffer, with whatever it held before.
    pub(crate) fn take(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Gives a buffer back.
    pub(crate) fn give(&self, bytes: Vec<u8>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT {
            kept.push(bytes);
        }
    }

    /// The first `len` bytes of a buffer, which comes back when nobody needs them any more.
    pub(crate) fn lend(&self, bytes: Vec<u8>, len: usize) -> Bytes {
        Bytes::from_owner(Lent { bytes, home: self.clone() }).slice(..len)
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.home.give(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_when_the_last_reader_is_done() {
        let buffers = Buffers::default();
        let sent = buffers.lend(vec![7; 100], 60);
        let kept_for_a_retry = sent.clone();
        assert_eq!(sent.len(), 60);
        drop(sent);
        assert!(buffers.take().is_empty());
        drop(kept_for_a_retry);
        assert_eq!(buffers.take().len(), 100);
        for _ in 0..10 {
            buffers.give(vec![0; 10]);
        }
        assert_eq!((0..10).filter(|_| !buffers.take().is_empty()).count(), KEPT);
    }
}
