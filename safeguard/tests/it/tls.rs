//! TLS as a fleet speaks it: a node whose connection is not held connects anew for each beat.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use safeguard::server::Server;
use safeguard::vouching::Vouching;
use safeguard_daemon::clock::now_ms;
use safeguard_standins::Tls;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::node::settings;

/// More than a library keeps in memory by itself. After a restart sessions begin anew, and nobody is turned away.
#[tokio::test(flavor = "multi_thread")]
async fn every_node_of_a_fleet_takes_up_its_tls_session() {
    let dir = tempfile::tempdir().unwrap();
    let tls = Tls::generate().unwrap();
    let mut settings = settings(&dir);
    let file = |name: &str, pem: &str| {
        std::fs::write(dir.path().join(name), pem).unwrap();
        Some(dir.path().join(name))
    };
    settings.server.certificate = file("server.pem", tls.certificate_pem());
    settings.server.key = file("server.key", tls.key_pem());
    let server = Server::start_with(&settings, Vouching::Simulation, now_ms).await.unwrap();
    let nodes: Vec<_> = (0..300).map(|_| client(&tls)).collect();
    for node in &nodes {
        assert_eq!(handshake(node, &server).await, HandshakeKind::Full);
    }
    for node in &nodes {
        assert_eq!(handshake(node, &server).await, HandshakeKind::Resumed);
    }
    server.shutdown().await;
    let server = Server::start_with(&settings, Vouching::Simulation, now_ms).await.unwrap();
    assert_eq!(handshake(&nodes[0], &server).await, HandshakeKind::Full);
    assert_eq!(handshake(&nodes[0], &server).await, HandshakeKind::Resumed);
    server.shutdown().await;
}

/// A node, which knows its own sessions.
fn client(tls: &Tls) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(tls.ca_pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.resumption = Resumption::in_memory_sessions(1);
    Arc::new(config).into()
}

/// Asks for something, so that the session is known afterwards, and tells how it began.
async fn handshake(node: &TlsConnector, server: &Server) -> HandshakeKind {
    let stream = TcpStream::connect(server.address()).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = node.connect(name, stream).await.unwrap();
    stream.write_all(b"GET /v1/challenge HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 "), "{}", String::from_utf8_lossy(&answer));
    stream.get_ref().1.handshake_kind().unwrap()
}
