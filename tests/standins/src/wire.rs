//! A connection that counts its bytes, can be ended with a reset, and can be kept from passing routers.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use nix::sys::socket::{setsockopt, sockopt};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::locked;

/// Bytes over all connections of one stand-in.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    pub(crate) received: AtomicU64,
    pub(crate) sent: AtomicU64,
}

/// Bytes of a request that are kept in case it cannot be read.
const MAX_SEEN: usize = 8_192;

/// What the answering side asks of its connection, and what it can learn of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Control(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    reset: AtomicBool,
    hop_limit: AtomicU32,
    seen: Mutex<Vec<u8>>,
}

impl Control {
    /// The connection is to be reset instead of closed when it is dropped.
    pub(crate) fn reset_on_close(&self) {
        self.0.reset.store(true, Ordering::Relaxed);
    }

    /// What is sent from now on may pass this many routers and no more.
    pub(crate) fn limit_hops(&self, hops: u8) {
        self.0.hop_limit.store(u32::from(hops), Ordering::Relaxed);
    }

    /// The first bytes that arrived since [`Control::forget_seen`].
    pub(crate) fn seen(&self) -> Vec<u8> {
        locked(&self.0.seen).clone()
    }

    pub(crate) fn forget_seen(&self) {
        locked(&self.0.seen).clear();
    }

    fn saw(&self, bytes: &[u8]) {
        let mut seen = locked(&self.0.seen);
        let room = MAX_SEEN.saturating_sub(seen.len()).min(bytes.len());
        seen.extend_from_slice(&bytes[..room]);
    }
}

#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    meter: Arc<Meter>,
    control: Control,
    hop_limit: u32,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream, meter: Arc<Meter>, control: Control) -> Wire {
        Wire { stream, meter, control, hop_limit: 0 }
    }

    fn apply_hop_limit(&mut self) {
        let wanted = self.control.0.hop_limit.load(Ordering::Relaxed);
        if wanted != self.hop_limit {
            self.hop_limit = wanted;
            let hops = i32::try_from(wanted).unwrap_or(i32::MAX);
            // One of the two is not for this socket's family; an IPv4 peer of an IPv6 socket needs the other.
            let applied = [
                setsockopt(&self.stream, sockopt::Ipv6Ttl, &hops).is_ok(),
                setsockopt(&self.stream, sockopt::Ipv4Ttl, &hops).is_ok(),
            ];
            debug_assert!(applied.contains(&true), "a TCP socket has a hop limit");
        }
    }

    fn sent(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(count)) = written {
            self.meter.sent.fetch_add(u64::try_from(count).unwrap_or(0), Ordering::Relaxed);
        }
        written
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.control.0.reset.load(Ordering::Relaxed) {
            // When this fails the peer sees an ordinary close, which is what it would have seen without the fault.
            drop(self.stream.set_zero_linger());
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        let count = buf.filled().len() - before;
        self.control.saw(&buf.filled()[before..]);
        self.meter.received.fetch_add(u64::try_from(count).unwrap_or(0), Ordering::Relaxed);
        read
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.apply_hop_limit();
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.sent(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.apply_hop_limit();
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.sent(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
