//! Who is at the other end of a connection: whether it may stay though it says nothing.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Request, Response, Version, header};
use tokio::sync::OwnedSemaphorePermit;

use super::Host;

/// How long a connection is held for a node that was told so: two beats and a half, and less than the 350 seconds after which AWS network
/// load balancers and NAT gateways forget it. Application load balancers end it after 60 by default: the node then takes another.
pub(super) const HELD: Duration = Duration::from_secs(150);
/// The header that tells it: as [`HELD`], in seconds.
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const TIMEOUT: HeaderValue = HeaderValue::from_static("timeout=150");

/// Goes with a reply to a node that is known and comes again, and whose request was read to its end. Nobody else has a connection held,
/// and after no other reply it rests: what is left of a request would be read as the next one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ComesAgain;

/// What is known of who is connected.
pub(super) struct Caller {
    pub(super) host: Arc<Host>,
    pub(super) peer: SocketAddr,
    held: OnceLock<OwnedSemaphorePermit>,
    rests: AtomicBool,
    /// As long as it is connected.
    _permit: OwnedSemaphorePermit,
}

impl Caller {
    pub(super) fn new(host: Arc<Host>, peer: SocketAddr, permit: OwnedSemaphorePermit) -> Arc<Self> {
        Arc::new(Self { host, peer, held: OnceLock::new(), rests: AtomicBool::new(false), _permit: permit })
    }

    /// Whether who asks this means to ask more.
    pub(super) fn stays<B>(request: &Request<B>) -> bool {
        let is_close = |option: &[u8]| option.trim_ascii().eq_ignore_ascii_case(b"close");
        let closes = |value: &HeaderValue| value.as_bytes().split(|byte| *byte == b',').any(is_close);
        request.version() >= Version::HTTP_11 && !request.headers().get_all(header::CONNECTION).iter().any(closes)
    }

    /// Something is said over the connection, or will be: it does not rest.
    pub(super) fn begins(&self) {
        self.rests.store(false, Ordering::Relaxed);
    }

    /// It was answered that the connection is held: nothing more is waited for now.
    pub(super) fn rests(&self) -> bool {
        self.rests.load(Ordering::Relaxed)
    }

    /// Tells a node that comes again that its connection is held, if it is, or if there is room for one more.
    pub(super) fn answers<B>(&self, response: &mut Response<B>, stays: bool) {
        let comes_again = response.extensions().get::<ComesAgain>().is_some();
        let is_held = self.held.get().is_some();
        let takes =
            || Arc::clone(&self.host.held).try_acquire_owned().is_ok_and(|permit| self.held.set(permit).is_ok());
        if stays && comes_again && (is_held || takes()) {
            response.headers_mut().insert(KEEP_ALIVE, TIMEOUT);
            self.rests.store(true, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_what_is_done() {
        assert_eq!(TIMEOUT, format!("timeout={}", HELD.as_secs()));
    }
}
