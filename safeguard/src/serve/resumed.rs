//! A stream of which some bytes may have been read already: they come first. Who takes nothing for a while of what is written to him is
//! given up.

use std::io::{ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::HEAD;

/// The stream, and what was read of it.
#[derive(Debug)]
pub(super) struct Resumed<S> {
    read: Bytes,
    stream: S,
    /// Runs while nothing is taken.
    patience: Option<Pin<Box<Sleep>>>,
    flushed: bool,
}

impl<S> Resumed<S> {
    /// Nothing was read.
    pub(super) fn new(stream: S) -> Self {
        Self { read: Bytes::new(), stream, patience: None, flushed: true }
    }

    /// With what the stream changes.
    pub(super) fn map(self, change: impl FnOnce(S) -> Result<S>) -> Result<Self> {
        Ok(Self { stream: change(self.stream)?, ..self })
    }

    /// All that was written is on its way.
    pub(super) fn is_flushed(&self) -> bool {
        self.flushed
    }

    /// Lets who writes wait, and not for ever.
    fn patiently<T>(&mut self, written: Poll<Result<T>>, context: &mut Context<'_>) -> Poll<Result<T>> {
        if written.is_ready() {
            self.patience = None;
            return written;
        }
        let patience = self.patience.get_or_insert_with(|| Box::pin(sleep(HEAD)));
        patience.as_mut().poll(context).map(|()| Err(ErrorKind::TimedOut.into()))
    }

    /// These bytes were read, and belong before all that comes. They are copied: the buffer that they are in may be much longer.
    pub(super) fn put_back(&mut self, read: &[u8]) {
        if !read.is_empty() {
            self.read = [read, &self.read].concat().into();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Resumed<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        if self.read.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, into);
        }
        let most = self.read.len().min(into.remaining());
        into.put_slice(&self.read[..most]);
        self.read.advance(most);
        if self.read.is_empty() {
            self.read = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Resumed<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        self.flushed = false;
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.patiently(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        self.flushed = false;
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.patiently(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.flushed = matches!(flushed, Poll::Ready(Ok(())));
        self.patiently(flushed, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn what_was_read_comes_first_and_nothing_twice() {
        let (here, mut there) = duplex(64);
        there.write_all(b"cdef").await.unwrap();
        drop(there);
        let mut stream = Resumed::new(here);
        stream.put_back(b"b");
        stream.put_back(b"a");
        let mut two = [0; 2];
        stream.read_exact(&mut two).await.unwrap();
        let mut rest = String::new();
        stream.read_to_string(&mut rest).await.unwrap();
        assert_eq!((&two, rest.as_str()), (b"ab", "cdef"));
    }
}
