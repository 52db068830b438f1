//! What is beneath TLS, and whether it was read up to where a record ends: rustls does not tell what it has of the next one.

use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream of TLS records (RFC 8446, section 5.1: type, version, length, and so many bytes).
#[derive(Debug)]
pub(super) struct Framed<S> {
    stream: S,
    header: [u8; 5],
    /// Bytes of the header that were read.
    begun: usize,
    /// Bytes of the record that were not.
    left: usize,
}

impl<S> Framed<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, header: [0; 5], begun: 0, left: 0 }
    }

    /// Nothing was read of a record that was not read to its end.
    pub(super) fn is_between_records(&self) -> bool {
        self.begun == 0 && self.left == 0
    }

    pub(super) fn into_inner(self) -> S {
        self.stream
    }

    fn follow(&mut self, mut read: &[u8]) {
        while let [byte, after @ ..] = read {
            if self.left > 0 {
                let most = self.left.min(read.len());
                self.left -= most;
                read = &read[most..];
                continue;
            }
            self.header[self.begun] = *byte;
            self.begun += 1;
            if let [_, _, _, high, low] = self.header
                && self.begun == self.header.len()
            {
                self.left = usize::from(u16::from_be_bytes([high, low]));
                self.begun = 0;
            }
            read = after;
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Framed<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let before = into.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, into);
        self.follow(&into.filled()[before..]);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Framed<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn however_it_is_read_only_whole_records_are_whole(
            lengths in prop::collection::vec(0_u16..40, 1..6),
            cuts in prop::collection::vec(1_usize..30, 1..40),
        ) {
            let mut bytes = Vec::new();
            let mut ends = vec![0];
            for length in lengths {
                bytes.extend([23, 3, 3]);
                bytes.extend(length.to_be_bytes());
                bytes.extend(std::iter::repeat_n(255, length.into()));
                ends.push(bytes.len());
            }
            let (mut framed, mut at) = (Framed::new(()), 0);
            for cut in cuts {
                let to = bytes.len().min(at + cut);
                framed.follow(&bytes[at..to]);
                at = to;
                prop_assert_eq!(framed.is_between_records(), ends.contains(&at));
            }
        }
    }
}
