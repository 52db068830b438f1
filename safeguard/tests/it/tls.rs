//! TLS as a fleet speaks it: a node whose connection is not held connects anew for each beat.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use safeguard::config::Settings;
use safeguard::server::Server;
use safeguard::vouching::Vouching;
use safeguard_daemon::clock::now_ms;
use safeguard_standins::Tls;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;

use crate::node::{Node, settings};

/// More than a library keeps in memory by itself. After a restart sessions begin anew, and nobody is turned away.
#[tokio::test(flavor = "multi_thread")]
async fn every_node_of_a_fleet_takes_up_its_tls_session() {
    let (dir, tls) = (tempfile::tempdir().unwrap(), Tls::generate().unwrap());
    let settings = with_tls(&dir, &tls);
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

/// What is between two beats goes on without rustls: somebody else's TLS shall not see that.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_by_openssl_is_held_with_every_cipher_suite() {
    let (dir, tls) = (tempfile::tempdir().unwrap(), Tls::generate().unwrap());
    let server = Server::start_with(&with_tls(&dir, &tls), Vouching::Simulation, now_ms).await.unwrap();
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, tls.ca_pem()).unwrap();
    for (n, suite) in (1..).zip(["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"]) {
        let (url, connections) = bridge(server.address(), ca.clone(), suite);
        let mut node = Node::new(url, server.public_key(), n);
        node.enrol().await.unwrap();
        for _ in 0..20 {
            node.beat().await.unwrap();
        }
        drop(node);
        let ended = move || connections.try_iter().map(|connection| connection.join().unwrap()).collect::<Vec<_>>();
        let heard = tokio::task::spawn_blocking(ended).await.unwrap();
        // Now and then the client takes a second one while the first is on its way back to its pool.
        assert!(heard.len() < 5, "{heard:?}");
        let heard = heard.concat();
        assert_eq!(heard.matches("HTTP/1.1 200").count(), 22, "{suite}: {heard}");
        assert_eq!(heard.matches("timeout=150").count(), 20, "{suite}: {heard}");
    }
    server.shutdown().await;
}

/// Passes connections on to the safeguard, by OpenSSL. Gives where, and the connections, which give what came back once they have ended.
fn bridge(to: SocketAddr, ca: PathBuf, suite: &'static str) -> (String, Receiver<JoinHandle<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (tells, connections) = channel();
    std::thread::spawn(move || {
        for asks in listener.incoming() {
            let mut openssl = Command::new("timeout");
            openssl.args([
                "60",
                "openssl",
                "s_client",
                "-quiet",
                "-verify_quiet",
                "-no_ign_eof",
                "-nocommands",
                "-verify_return_error",
            ]);
            openssl.args(["-ciphersuites", suite, "-servername", "localhost", "-connect", &to.to_string()]);
            let openssl = openssl.arg("-CAfile").arg(&ca).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            let connection = std::thread::spawn(move || bridged(asks.unwrap(), openssl));
            if tells.send(connection).is_err() {
                break;
            }
        }
    });
    (url, connections)
}

fn bridged(mut asks: TcpStream, mut openssl: Child) -> String {
    let (mut says, mut hears) = (openssl.stdin.take().unwrap(), openssl.stdout.take().unwrap());
    let mut answers = asks.try_clone().unwrap();
    let asked = std::thread::spawn(move || drop(passed(&mut asks, &mut says)));
    let heard = passed(&mut hears, &mut answers);
    asked.join().unwrap();
    assert!(openssl.wait().unwrap().success(), "OpenSSL does not take it for a proper end");
    String::from_utf8_lossy(&heard).into_owned()
}

/// Passes on what comes until that ends, and gives it. Not `std::io::copy`: its splice keeps a pipe locked while it waits for a socket.
fn passed(from: &mut impl Read, to: &mut impl Write) -> Vec<u8> {
    let (mut all, mut piece) = (Vec::new(), [0; 4_096]);
    while let Ok(read @ 1..) = from.read(&mut piece) {
        all.extend(&piece[..read]);
        if to.write_all(&piece[..read]).is_err() {
            break;
        }
    }
    all
}

fn with_tls(dir: &TempDir, tls: &Tls) -> Settings {
    let mut settings = settings(dir);
    let file = |name: &str, pem: &str| {
        std::fs::write(dir.path().join(name), pem).unwrap();
        Some(dir.path().join(name))
    };
    settings.server.certificate = file("server.pem", tls.certificate_pem());
    settings.server.key = file("server.key", tls.key_pem());
    settings
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
    let stream = tokio::net::TcpStream::connect(server.address()).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = node.connect(name, stream).await.unwrap();
    stream.write_all(b"GET /v1/challenge HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 "), "{}", String::from_utf8_lossy(&answer));
    stream.get_ref().1.handshake_kind().unwrap()
}
