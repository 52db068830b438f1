//! Connections: HTTP/1.1 on hyper, with a deadline for everything that a client may let us wait for.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use safeguard_daemon::shutdown::Shutdown;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_rustls::TlsAcceptor;
use tower_service::Service as _;

pub(crate) use caller::ComesAgain;
use caller::{Caller, HELD};

mod caller;

/// Connections at the same time. Ten thousand nodes that keep theirs have room.
const CONNECTIONS: usize = 16_384;
/// Connections that may be held from beat to beat. They end when nodes do: the other half of [`CONNECTIONS`] is for everybody else.
pub(crate) const MOST_HELD: u16 = 8_192;
/// For a TLS handshake, and for the head of a request; also how long an idle connection is kept that is not held for a node.
const HEAD: Duration = Duration::from_secs(30);
/// For the answer to a request, up to where its body begins.
const WHOLE: Duration = Duration::from_secs(60);
/// Bytes of a request's head.
const HEAD_BYTES: usize = 16 * 1024;
/// For what is under way when the process ends.
const LAST: Duration = Duration::from_secs(10);

/// Reads a certificate chain and its key.
///
/// # Errors
/// When a file cannot be read, or the key does not belong to the certificate.
pub fn tls(certificates: &Path, key: &Path) -> io::Result<TlsAcceptor> {
    let unfit = |path: &Path, error: &dyn std::fmt::Display| io::Error::other(format!("{}: {error}", path.display()));
    let chain = CertificateDer::pem_file_iter(certificates).map_err(|error| unfit(certificates, &error))?;
    let chain: Vec<_> = chain.collect::<Result<_, _>>().map_err(|error| unfit(certificates, &error))?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| unfit(key, &error))?;
    let provider = Arc::new(default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|error| unfit(certificates, &error))?;
    // A node whose connection is not held connects anew for each beat. The session of the last one is kept by the node, sealed, so that it costs no signature, and
    // for ten thousand nodes no memory.
    config.ticketer = Ticketer::new().map_err(io::Error::other)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 1;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Answers until the shutdown, and then what is under way. `held`: for so many nodes the connection is held from beat to beat.
pub async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, router: Router, held: u16, shutdown: Shutdown) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let held = Arc::new(Semaphore::new(held.into()));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            () = shutdown.requested() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Too many open files, most likely: what is open may end meanwhile.
                tracing::warn!(%error, "A connection could not be accepted.");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // Over the bound, closing at once says more than waiting would.
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else { continue };
        // Only latency suffers when this fails.
        drop(stream.set_nodelay(true));
        let (router, tls, held, shutdown) = (router.clone(), tls.clone(), held.clone(), shutdown.clone());
        connections.spawn(async move {
            match tls {
                None => converse(stream, peer, router, held, shutdown).await,
                Some(tls) => {
                    if let Ok(Ok(stream)) = tokio::time::timeout(HEAD, tls.accept(stream)).await {
                        converse(stream, peer, router, held, shutdown).await;
                    }
                }
            }
            drop(permit);
        });
    }
    drop(listener);
    let end = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(LAST, end).await.is_err() {
        tracing::warn!("Connections were cut off at the end.");
    }
}

async fn converse<S>(stream: S, peer: SocketAddr, router: Router, room: Arc<Semaphore>, shutdown: Shutdown)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (caller, begin) = (Arc::new(Caller::new()), Instant::now());
    let asker = caller.clone();
    let service = hyper::service::service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let (mut router, caller, room) = (router.clone(), asker.clone(), room.clone());
        async move {
            caller.speaks();
            let late = axum::http::StatusCode::REQUEST_TIMEOUT;
            let answered = tokio::time::timeout(WHOLE, router.call(request)).await;
            let mut response = match answered {
                Ok(Ok(response)) => response,
                Err(_) => axum::response::IntoResponse::into_response(late),
            };
            // A connection is idle from here on, but for a body that is still under way.
            caller.speaks();
            caller.answers(&mut response, &room);
            Ok::<_, std::convert::Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HELD)
        .max_buf_size(HEAD_BYTES)
        .keep_alive(true)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let (mut patience, mut is_over) = (begin + HEAD, false);
    loop {
        tokio::select! {
            // How it ended is the client's business.
            ended = connection.as_mut() => return drop(ended),
            () = shutdown.requested(), if !is_over => {
                is_over = true;
                connection.as_mut().graceful_shutdown();
            }
            () = sleep_until(patience), if !is_over && !caller.is_held() => match caller.spoke() {
                // Since this wait began.
                _ if caller.is_held() => {}
                None => return,
                Some(spoke) if spoke + HEAD > patience => patience = spoke + HEAD,
                // An answer that is still under way is given to its end, and the connection ends with it.
                Some(_) => {
                    is_over = true;
                    connection.as_mut().graceful_shutdown();
                }
            },
        }
    }
}

#[cfg(test)]
mod tests;
