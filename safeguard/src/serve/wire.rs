//! What HTTP is spoken over: a stream as it is, or TLS on it.

use std::io::{Error, IoSlice, Result, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll};

use rustls::ProtocolVersion;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::framed::Framed;
use super::records::Records;

/// What all of them are.
trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// A connection.
pub(super) enum Wire<S> {
    /// Without TLS.
    Plain(S),
    /// With TLS, as rustls speaks it.
    Tls(Box<TlsStream<Framed<S>>>),
    /// With TLS that has rested.
    Records(Box<Records<S>>),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    fn stream(&mut self) -> Pin<&mut (dyn Stream + '_)> {
        match self {
            Self::Plain(stream) => Pin::new(stream),
            Self::Tls(stream) => Pin::new(&mut **stream),
            Self::Records(stream) => Pin::new(&mut **stream),
        }
    }

    /// Answers a TLS handshake.
    pub(super) async fn accept(tls: TlsAcceptor, stream: S) -> Result<Self> {
        Ok(Self::Tls(Box::new(tls.accept(Framed::new(stream)).await?)))
    }

    /// As it is to be while nothing is said: smaller, if it can be.
    pub(super) fn rested(self) -> Result<Self> {
        match self {
            Self::Tls(tls) => Self::folded(tls),
            Self::Records(mut records) => {
                records.rest();
                Ok(Self::Records(records))
            }
            plain @ Self::Plain(_) => Ok(plain),
        }
    }

    /// Lets go of rustls where it has nothing under way in either direction.
    fn folded(mut tls: Box<TlsStream<Framed<S>>>) -> Result<Self> {
        let (framed, session) = tls.get_mut();
        // Where the client asked for new keys rustls seals with them already, and tells with what it writes next. Let it.
        let _: usize = session.writer().write(&[])?;
        let whole = framed.is_between_records() && !session.wants_write();
        let spoken = session.protocol_version() == Some(ProtocolVersion::TLSv1_3);
        let state = session.process_new_packets().map_err(Error::other)?;
        if !whole || !spoken || state.plaintext_bytes_to_read() > 0 || state.peer_has_closed() {
            return Ok(Self::Tls(tls));
        }
        let (framed, session) = (*tls).into_inner();
        let secrets = session.dangerous_extract_secrets().map_err(Error::other)?;
        Ok(Self::Records(Box::new(Records::new(framed.into_inner(), secrets))))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        self.get_mut().stream().poll_read(context, into)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        self.get_mut().stream().poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        self.get_mut().stream().poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
            Self::Records(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        self.get_mut().stream().poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        self.get_mut().stream().poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests;
