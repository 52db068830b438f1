//! Against rustls as a client, in memory. OpenSSL as a client is in `tests/it/tls.rs`.

use std::io::{ErrorKind, Read as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::ClientConnection;
use rustls::crypto::aws_lc_rs::{ALL_CIPHER_SUITES, default_provider};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CipherSuite, ClientConfig, RootCertStore, SupportedCipherSuite};
use safeguard_daemon::shutdown::Shutdown;
use safeguard_standins::Tls;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::time::timeout;

use super::*;
use crate::serve::converse::converse;
use crate::serve::tests::{ASK, caller, room};

/// A client whose bytes are in the test's hand.
struct Client {
    session: ClientConnection,
    stream: DuplexStream,
}

impl Client {
    /// What is sent next, sealed and not sent.
    fn seal(&mut self, said: &[u8]) -> Vec<u8> {
        self.session.writer().write_all(said).unwrap();
        self.sealed()
    }

    fn sealed(&mut self) -> Vec<u8> {
        let mut sealed = Vec::new();
        while self.session.wants_write() {
            self.session.write_tls(&mut sealed).unwrap();
        }
        sealed
    }

    async fn send(&mut self, said: &[u8]) {
        let sealed = self.seal(said);
        self.stream.write_all(&sealed).await.unwrap();
    }

    /// The handshake.
    async fn greet(&mut self) {
        while self.session.is_handshaking() {
            self.send(b"").await;
            if self.session.is_handshaking() {
                assert!(self.take().await);
            }
        }
        self.send(b"").await;
    }

    /// Takes what has come; tells whether there was something.
    async fn take(&mut self) -> bool {
        let mut bytes = [0; 4_096];
        let read = self.stream.read(&mut bytes).await.unwrap();
        let mut bytes = &bytes[..read];
        while !bytes.is_empty() {
            self.session.read_tls(&mut bytes).unwrap();
            self.session.process_new_packets().unwrap();
        }
        read > 0
    }

    async fn until(&mut self, end: &[u8]) -> String {
        let mut received = Vec::new();
        while !received.ends_with(end) {
            received.extend(self.receive(1).await);
        }
        String::from_utf8(received).unwrap()
    }

    async fn receive(&mut self, length: usize) -> Vec<u8> {
        let mut received = vec![0; length];
        let mut filled = 0;
        while filled < length {
            match self.session.reader().read(&mut received[filled..]) {
                Ok(read) => filled += read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => assert!(self.take().await, "it ended early"),
                Err(error) => panic!("{error}"),
            }
        }
        received
    }
}

#[expect(clippy::disallowed_methods, reason = "the test writes the files that it reads")]
fn meet(suite: SupportedCipherSuite, room: usize) -> (TlsAcceptor, Client, DuplexStream) {
    let (dir, tls) = (tempfile::tempdir().unwrap(), Tls::generate().unwrap());
    let (certificate, key) = (dir.path().join("certificate"), dir.path().join("key"));
    std::fs::write(&certificate, tls.certificate_pem()).unwrap();
    std::fs::write(&key, tls.key_pem()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(tls.ca_pem().as_bytes()).unwrap()).unwrap();
    let mut provider = default_provider();
    provider.cipher_suites = vec![suite];
    let config = ClientConfig::builder_with_provider(provider.into()).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
    let mut session = ClientConnection::new(config, ServerName::try_from("localhost").unwrap()).unwrap();
    session.set_buffer_limit(None);
    let (here, there) = duplex(room);
    (crate::serve::tls(&certificate, &key).unwrap(), Client { session, stream: there }, here)
}

async fn connected(suite: SupportedCipherSuite, room: usize) -> (Wire<DuplexStream>, Client) {
    let (acceptor, mut client, here) = meet(suite, room);
    let accepted = tokio::spawn(async {
        let mut wire = Wire::accept(acceptor, here).await.unwrap();
        // The ticket goes out with it, and may be more than there is room for.
        wire.write_all(b"welcome").await.unwrap();
        wire.flush().await.unwrap();
        wire
    });
    client.greet().await;
    assert_eq!(client.receive(7).await, b"welcome");
    (accepted.await.unwrap(), client)
}

async fn rested() -> (Wire<DuplexStream>, Client) {
    let (wire, client) = connected(suite(CipherSuite::TLS13_AES_128_GCM_SHA256), 1 << 20).await;
    (rest(wire), client)
}

fn rest(wire: Wire<DuplexStream>) -> Wire<DuplexStream> {
    let wire = wire.rested().unwrap();
    assert!(matches!(wire, Wire::Records(_)), "it keeps all of rustls");
    wire
}

fn suite(wanted: CipherSuite) -> SupportedCipherSuite {
    *ALL_CIPHER_SUITES.iter().find(|suite| suite.suite() == wanted).unwrap()
}

async fn hear(wire: &mut Wire<DuplexStream>, length: usize) -> Vec<u8> {
    let mut heard = vec![0; length];
    wire.read_exact(&mut heard).await.unwrap();
    heard
}

/// What is heard until it ends, and why it does: None is a good-bye.
async fn until_the_end(wire: &mut Wire<DuplexStream>) -> (Vec<u8>, Option<ErrorKind>) {
    let mut heard = Vec::new();
    let end = wire.read_to_end(&mut heard).await;
    (heard, end.err().map(|error| error.kind()))
}

#[tokio::test]
async fn both_go_on_after_each_rest_with_every_cipher_suite() {
    let of_13 = ALL_CIPHER_SUITES.iter().filter(|suite| suite.tls13().is_some());
    let long: Vec<u8> = (0..100_003_u32).map(|n| n.to_le_bytes()[0]).collect();
    let mut suites = 0;
    for suite in of_13 {
        let (mut wire, mut client) = connected(*suite, 1 << 20).await;
        for said in [&b"a beat"[..], b"x", &long, b"a beat"] {
            wire = rest(wire);
            client.send(said).await;
            assert_eq!(hear(&mut wire, said.len()).await, said, "{suite:?}");
            wire.write_all(said).await.unwrap();
            wire.flush().await.unwrap();
            assert_eq!(client.receive(said.len()).await, said, "{suite:?}");
        }
        client.session.send_close_notify();
        let goodbye = client.sealed();
        client.stream.write_all(&goodbye).await.unwrap();
        assert_eq!(until_the_end(&mut wire).await, (Vec::new(), None));
        wire.shutdown().await.unwrap();
        assert!(client.take().await && !client.take().await);
        assert_eq!(client.session.reader().read(&mut [0]).unwrap(), 0, "no good-bye");
        suites += 1;
    }
    assert_eq!(suites, 3);
}

/// What was read of a record that is not whole yet would be lost with rustls.
#[tokio::test]
async fn half_a_record_keeps_it_as_it_is() {
    // To the last: one byte of six was read, and the others are still in rustls.
    for (cut, heard) in [(3, 0), (9, 0), (27, 0), (28, 1)] {
        let (mut wire, mut client) = connected(suite(CipherSuite::TLS13_AES_256_GCM_SHA384), 1 << 20).await;
        let sealed = client.seal(b"a beat");
        assert_eq!(sealed.len(), 28);
        client.stream.write_all(&sealed[..cut]).await.unwrap();
        let early = timeout(Duration::from_millis(10), wire.read_u8()).await;
        assert_eq!(early.is_ok(), heard == 1);
        let mut wire = wire.rested().unwrap();
        assert!(matches!(wire, Wire::Tls(_)), "after {cut} bytes");
        client.stream.write_all(&sealed[cut..]).await.unwrap();
        assert_eq!(hear(&mut wire, 6 - heard).await, b"a beat"[heard..]);
        rest(wire);
    }
}

#[tokio::test]
async fn with_tls_12_rustls_stays() {
    let (wire, mut client) = connected(suite(CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256), 1 << 20).await;
    let mut wire = wire.rested().unwrap();
    assert!(matches!(wire, Wire::Tls(_)));
    client.send(b"a beat").await;
    assert_eq!(hear(&mut wire, 6).await, b"a beat");
}

/// A record in as many pieces as it has bytes, with a rest after each: nothing of it is given back.
#[tokio::test]
async fn a_rest_in_the_middle_of_something_loses_nothing() {
    let (mut wire, mut client) = rested().await;
    let mut heard = Vec::new();
    for byte in [client.seal(b"one"), client.seal(b"two")].concat() {
        client.stream.write_all(&[byte]).await.unwrap();
        let read = timeout(Duration::ZERO, wire.read_buf(&mut heard)).await;
        assert!(matches!(read, Ok(Ok(_)) | Err(_)), "{read:?}");
        wire = rest(wire);
    }
    assert_eq!(heard, b"onetwo");
}

/// Over a pipe of 64 bytes: what could not be sent at once is sent before what comes next, also when there was a rest before that.
#[tokio::test]
async fn what_is_sealed_is_sent_in_its_order() {
    let (wire, mut client) = connected(suite(CipherSuite::TLS13_CHACHA20_POLY1305_SHA256), 64).await;
    let mut wire = rest(wire);
    let said: Vec<u8> = (0..50_000_u32).flat_map(u32::to_be_bytes).collect();
    let length = said.len();
    let speaks = tokio::spawn(async move {
        let mut left = &said[..];
        while !left.is_empty() {
            let most = left.len().min(7_001);
            left = &left[wire.write(&left[..most]).await.unwrap()..];
            wire = wire.rested().unwrap();
        }
        wire.shutdown().await.unwrap();
        said
    });
    let heard = client.receive(length).await;
    assert_eq!(heard, speaks.await.unwrap());
    while client.take().await {}
    assert_eq!(client.session.reader().read(&mut [0]).unwrap(), 0, "no good-bye");
}

/// What came before is heard, and then nothing. Of what no record begins with, not even the rest is waited for.
#[tokio::test]
async fn nobody_in_between_is_believed() {
    type Change = fn(&mut Vec<u8>);
    let changes: [(&str, Change); 8] = [
        ("a bit of the content", |record| record[7] ^= 1),
        ("a bit of the tag", |record| *record.last_mut().unwrap() ^= 128),
        ("a shorter length", |record| record[4] -= 1),
        ("another type", |record| *record = [&[22], &record[1..5]].concat()),
        ("a longer record than there may be", |record| *record = vec![23, 3, 3, 0x41, 1]),
        ("a record too short for its tag", |record| *record = vec![23, 3, 3, 0, 16]),
        ("an alert that is not sealed", |record| *record = vec![21, 3, 3, 0, 2]),
        ("HTTP without TLS", |record| *record = b"POST ".to_vec()),
    ];
    for (what, change) in changes {
        let (mut wire, mut client) = rested().await;
        let (first, mut changed) = (client.seal(b"first"), client.seal(b"a beat"));
        change(&mut changed);
        client.stream.write_all(&[first, changed].concat()).await.unwrap();
        let end = timeout(Duration::from_secs(5), until_the_end(&mut wire)).await;
        assert_eq!(end.expect(what), (b"first".to_vec(), Some(ErrorKind::InvalidData)), "{what}");
    }
}

/// Who ends a connection says so; anybody in between can cut it.
#[tokio::test]
async fn an_end_without_a_good_bye_is_none() {
    for cut in [0, 9] {
        let (mut wire, mut client) = rested().await;
        let sealed = client.seal(b"a beat");
        client.stream.write_all(&sealed[..cut]).await.unwrap();
        drop(client.stream);
        assert_eq!(until_the_end(&mut wire).await, (Vec::new(), Some(ErrorKind::UnexpectedEof)));
    }
}

#[tokio::test]
async fn nothing_is_heard_twice_or_after_the_end() {
    let (mut wire, mut client) = rested().await;
    let record = client.seal(b"a beat");
    client.stream.write_all(&record.repeat(2)).await.unwrap();
    assert_eq!(until_the_end(&mut wire).await, (b"a beat".to_vec(), Some(ErrorKind::InvalidData)));

    let (mut wire, mut client) = rested().await;
    let mut said = client.seal(b"a beat");
    client.session.send_close_notify();
    said.extend(client.sealed());
    said.extend(said.clone());
    client.stream.write_all(&said).await.unwrap();
    assert_eq!(until_the_end(&mut wire).await, (b"a beat".to_vec(), None));
}

/// No agent asks for that; what comes after it could not be read.
#[tokio::test]
async fn new_keys_end_a_connection_that_has_rested() {
    let (mut wire, mut client) = rested().await;
    client.session.refresh_traffic_keys().unwrap();
    client.send(b"a beat").await;
    assert_eq!(until_the_end(&mut wire).await, (Vec::new(), Some(ErrorKind::InvalidData)));
}

#[tokio::test]
async fn new_keys_before_the_rest_are_the_keys_of_it() {
    let (mut wire, mut client) = connected(suite(CipherSuite::TLS13_AES_128_GCM_SHA256), 1 << 20).await;
    for _ in 0..2 {
        client.session.refresh_traffic_keys().unwrap();
        client.send(b"a beat").await;
        assert_eq!(hear(&mut wire, 6).await, b"a beat");
    }
    wire.write_all(b"taken").await.unwrap();
    wire.flush().await.unwrap();
    let mut wire = rest(wire);
    wire.write_all(b" with new keys").await.unwrap();
    assert_eq!(client.receive(19).await, b"taken with new keys");
    client.send(b"a beat").await;
    assert_eq!(hear(&mut wire, 6).await, b"a beat");
}

#[tokio::test]
async fn after_what_is_not_believed_nothing_is() {
    let (mut wire, mut client) = rested().await;
    let mut changed = client.seal(b"a beat");
    changed[7] ^= 1;
    let said = [changed, client.seal(b"another")].concat();
    client.stream.write_all(&said).await.unwrap();
    for _ in 0..2 {
        assert_eq!(until_the_end(&mut wire).await, (Vec::new(), Some(ErrorKind::InvalidData)));
    }
}

/// rustls keeps its answer to the wish for new keys until it writes, and seals with them from then on: it has to stay until it is told.
#[tokio::test]
async fn new_keys_that_the_client_was_not_told_of_keep_rustls() {
    let (mut wire, mut client) = connected(suite(CipherSuite::TLS13_AES_128_GCM_SHA256), 1 << 20).await;
    client.session.refresh_traffic_keys().unwrap();
    client.send(b"a beat").await;
    assert_eq!(hear(&mut wire, 6).await, b"a beat");
    for _ in 0..2 {
        wire = wire.rested().unwrap();
        wire.write_all(b"taken").await.unwrap();
        wire.flush().await.unwrap();
        assert_eq!(client.receive(5).await, b"taken");
    }
    rest(wire);
}

/// As docs/protocol.md says it: with rustls there would be an answer.
#[tokio::test(start_paused = true)]
async fn a_connection_that_is_held_rests() {
    let (acceptor, mut client, here) = meet(suite(CipherSuite::TLS13_AES_128_GCM_SHA256), 1 << 20);
    tokio::spawn(converse(here, caller(Some(acceptor), &room(1), &Shutdown::new())));
    client.greet().await;
    client.send(ASK.as_bytes()).await;
    let answer = client.until(b"taken 4").await;
    assert!(answer.contains("keep-alive: timeout=150"), "{answer}");
    client.session.refresh_traffic_keys().unwrap();
    client.send(ASK.as_bytes()).await;
    while client.take().await {}
    let mut more = Vec::new();
    assert!(client.session.reader().read_to_end(&mut more).is_err(), "a good-bye after keys that are not known");
    assert_eq!(more, b"");
}
