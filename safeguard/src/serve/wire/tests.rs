//! Against rustls as a client, in memory. OpenSSL as a client is in `tests/it/tls.rs`.

use std::io::{ErrorKind, Read as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::ClientConnection;
use rustls::crypto::aws_lc_rs::{ALL_CIPHER_SUITES, default_provider};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CipherSuite, ClientConfig, RootCertStore, SupportedCipherSuite};
use safeguard_standins::Tls;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::time::timeout;

use super::*;

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
async fn connected(suite: SupportedCipherSuite, room: usize) -> (Wire<DuplexStream>, Client) {
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
    let mut client = Client { session, stream: there };
    let acceptor = crate::serve::tls(&certificate, &key).unwrap();
    let accepted = tokio::spawn(async {
        let mut wire = Wire::accept(acceptor, here).await.unwrap();
        wire.write_all(b"welcome").await.unwrap();
        wire.flush().await.unwrap();
        wire
    });
    while client.session.is_handshaking() {
        let sealed = client.sealed();
        client.stream.write_all(&sealed).await.unwrap();
        if client.session.is_handshaking() {
            assert!(client.take().await);
        }
    }
    client.send(b"").await;
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
    let mut sealed = client.seal(b"one");
    sealed.extend(client.seal(b"two"));
    let reader = async {
        let mut heard: Vec<u8> = Vec::new();
        while heard.len() < 6 {
            let mut byte = [0];
            let read = timeout(Duration::from_millis(1), wire.read(&mut byte)).await;
            heard.extend(&byte[..read.map_or(0, Result::unwrap)]);
            wire = wire.rested().unwrap();
        }
        heard
    };
    let writer = async {
        for byte in &sealed {
            client.stream.write_all(&[*byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let (heard, ()) = tokio::join!(reader, writer);
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

/// What came before is heard, and then nothing.
#[tokio::test]
async fn nobody_in_between_is_believed() {
    type Change = fn(Vec<u8>) -> Vec<u8>;
    let changes: [(&str, Change, ErrorKind); 9] = [
        (
            "a bit of the content",
            |mut record| {
                record[7] ^= 1;
                record
            },
            ErrorKind::InvalidData,
        ),
        (
            "a bit of the tag",
            |mut record| {
                *record.last_mut().unwrap() ^= 128;
                record
            },
            ErrorKind::InvalidData,
        ),
        (
            "another type",
            |mut record| {
                record[0] = 22;
                record
            },
            ErrorKind::InvalidData,
        ),
        (
            "a shorter length",
            |mut record| {
                record[4] -= 1;
                record
            },
            ErrorKind::InvalidData,
        ),
        (
            "a longer record than there may be",
            |_| [&[23, 3, 3, 0x41, 1][..], &[1; 0x4101]].concat(),
            ErrorKind::InvalidData,
        ),
        ("an empty record", |_| vec![23, 3, 3, 0, 0], ErrorKind::InvalidData),
        ("an alert that is not sealed", |_| vec![21, 3, 3, 0, 2, 1, 0], ErrorKind::InvalidData),
        ("HTTP without TLS", |_| b"POST /v1/beat HTTP/1.1\r\n".to_vec(), ErrorKind::InvalidData),
        ("half of it", |record| record[..record.len() / 2].to_vec(), ErrorKind::UnexpectedEof),
    ];
    for (what, change, kind) in changes {
        let (mut wire, mut client) = rested().await;
        let said = [client.seal(b"first"), change(client.seal(b"a beat"))].concat();
        client.stream.write_all(&said).await.unwrap();
        drop(client.stream);
        assert_eq!(until_the_end(&mut wire).await, (b"first".to_vec(), Some(kind)), "{what}");
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
