//! Connections: HTTP/1.1 on hyper, with a deadline for everything that a client may let us wait for.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use safeguard_daemon::shutdown::Shutdown;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use caller::Caller;
pub(crate) use caller::ComesAgain;
use converse::converse;

mod caller;
mod converse;
mod framed;
mod records;
mod resumed;
mod wire;

/// Connections at the same time that are not held: ten thousand nodes that come back at once have room. 28 KiB each are 336 MiB.
const CONNECTIONS: usize = 12_288;
/// Connections that may be held from beat to beat, beside those: of ten thousand nodes. At rest each is between one and two KiB. Where rustls
/// has to stay (see `wire`) it is 10 KiB, and where a record has begun some 20 more until the rest is over: with thousands of nodes that mean
/// harm, the unit's 512 MiB (systemd/safeguard.service) are what ends it.
pub(crate) const MOST_HELD: u16 = 12_288;
/// For a TLS handshake, for the head of a request, and for a good-bye; also how long an idle connection is kept that is not held for a
/// node.
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
    // For connections that rest: see `records`.
    config.enable_secret_extraction = true;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// What all connections share.
struct Host {
    tls: Option<TlsAcceptor>,
    router: Router,
    /// Room for connections that are held.
    held: Arc<Semaphore>,
    shutdown: Shutdown,
}

/// Answers until the shutdown, and then what is under way. `held`: for so many nodes the connection is held from beat to beat.
pub async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, router: Router, held: u16, shutdown: Shutdown) {
    let room = Arc::new(Semaphore::new(CONNECTIONS + usize::from(held)));
    let held = Arc::new(Semaphore::new(held.into()));
    let host = Arc::new(Host { tls, router, held, shutdown });
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            () = host.shutdown.requested() => break,
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
        connections.spawn(converse(stream, Caller::new(host.clone(), peer, permit)));
    }
    drop(listener);
    let end = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(LAST, end).await.is_err() {
        tracing::warn!("Connections were cut off at the end.");
    }
}

#[cfg(test)]
mod tests;
