//! The small HTTP servers that let people and Prometheus look inside a running process, and the client for them.
//!
//! Comes in: `GET` requests on a unix socket that only root may open, or on loopback. Goes out: what the program's
//! [`Handler`] answers. Never: TLS, authentication beyond the socket's mode, request bodies, streaming.
//!
//! Binding and serving are two steps, so that `main` knows that the address was free before it reports readiness:
//!
//! ```no_run
//! # async fn example(handler: std::sync::Arc<dyn safeguard_daemon::admin::Handler>) -> Result<(), Box<dyn std::error::Error>> {
//! use safeguard_daemon::{admin, shutdown::Shutdown};
//! let shutdown = Shutdown::new();
//! let server = admin::bind_unix("/run/safeguard/agent.sock".as_ref())?;
//! tokio::spawn(server.run(handler, shutdown.clone()));
//! # Ok(()) }
//! ```

mod bind;
mod client;
mod serve;

pub use bind::{BindError, TcpServer, UnixServer, bind_tcp, bind_unix};
pub use client::{ClientError, ask_unix, get_unix};
pub use hyper::Method;

use crate::shutdown::Shutdown;
use bytes::Bytes;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// A future that can be sent to another thread.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a program answers on its admin socket.
pub trait Handler: Send + Sync {
    /// Answers one request. `path` and `query` are as they were sent, percent-encoding included; the body, if there
    /// was one, has been read and dropped. The future is dropped after 10 s; a panic in it costs that connection only.
    fn handle<'a>(&'a self, method: &'a Method, path: &'a str, query: Option<&'a str>) -> BoxFuture<'a, Response>;
}

/// An answer, whole in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// HTTP status code.
    pub status: u16,
    /// Value of `Content-Type`.
    pub content_type: &'static str,
    /// The body. Left out on the wire when the request was `HEAD`.
    pub body: Bytes,
}

impl Response {
    /// Plain text; end it with a newline, since people read it with curl.
    pub fn text(status: u16, body: impl Into<Bytes>) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: body.into() }
    }

    /// A serialised JSON document.
    pub fn json(status: u16, body: impl Into<Bytes>) -> Self {
        Self { status, content_type: "application/json", body: body.into() }
    }

    /// 404, naming the path.
    #[must_use]
    pub fn not_found(path: &str) -> Self {
        Self::text(404, format!("nothing is served at {path}\n"))
    }
}

/// What one server spends on its clients at most.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Connections at a time; one more is answered 503 and closed.
    connections: usize,
    /// From the connection to the end of the request's head.
    header_read: Duration,
    /// For the body, and again for the handler.
    request: Duration,
    /// The life of a connection, which carries one request: the three above and 5 s to read the answer.
    connection: Duration,
    /// Bytes of a request's body.
    body: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 32,
            header_read: Duration::from_secs(5),
            request: Duration::from_secs(10),
            connection: Duration::from_secs(30),
            body: 64 * 1024,
        }
    }
}

/// [`bind_unix`] and [`UnixServer::run`] in one; returns after `shutdown`.
///
/// # Errors
/// Those of [`bind_unix`].
pub async fn serve_unix(path: &Path, handler: Arc<dyn Handler>, shutdown: Shutdown) -> Result<(), BindError> {
    bind_unix(path)?.run(handler, shutdown).await;
    Ok(())
}

/// [`bind_tcp`] and [`TcpServer::run`] in one; returns after `shutdown`.
///
/// # Errors
/// Those of [`bind_tcp`].
pub async fn serve_tcp(address: SocketAddr, handler: Arc<dyn Handler>, shutdown: Shutdown) -> Result<(), BindError> {
    bind_tcp(address)?.run(handler, shutdown).await;
    Ok(())
}

#[cfg(test)]
mod tests;
