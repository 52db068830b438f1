//! What a beat leaves behind between the node and the safeguard.

use std::net::SocketAddr;
use std::time::Duration;

use rustls::HandshakeKind;
use safeguard_standins::Tls;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_rustls::TlsAcceptor;

use crate::rig::Rig;

/// Ten thousand nodes that keep theirs are more memory at the safeguard than all that it knows of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_has_said_all_hangs_up() {
    let mut rig = Rig::new().await;
    rig.settings.interval = Some(Duration::from_secs(3_600));
    rig.start();
    rig.acknowledged(1).await;
    let (port, deadline) = (rig.listen().port(), Instant::now() + Duration::from_secs(5));
    while connections(port) > 0 {
        assert!(Instant::now() < deadline, "a connection is kept until the next beat in an hour");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Or else the node would have certificates to verify for each beat.
#[tokio::test(flavor = "multi_thread")]
async fn a_beat_takes_up_the_tls_session_of_the_one_before() {
    let mut rig = Rig::new().await;
    let tls = Tls::generate().unwrap();
    let file = |name: &str, pem: &str| {
        let path = rig.settings.state_dir.with_file_name(name);
        std::fs::write(&path, pem).unwrap();
        path
    };
    let certificate = file("server.pem", tls.certificate_pem());
    let acceptor = safeguard::serve::tls(&certificate, &file("server.key", tls.key_pem())).unwrap();
    rig.settings.ca_file = Some(file("ca.pem", tls.ca_pem()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    rig.settings.url = format!("https://{}", listener.local_addr().unwrap());
    let (tell, mut handshakes) = mpsc::unbounded_channel();
    let front = tokio::spawn(terminate(listener, acceptor, rig.listen(), tell));
    rig.start();
    rig.acknowledged(4).await;
    front.abort();
    let mut seen = Vec::new();
    while let Ok(kind) = handshakes.try_recv() {
        seen.push(kind);
    }
    assert_eq!(seen.first(), Some(&HandshakeKind::Full));
    assert!(seen.len() > 3 && seen[1..].iter().all(|kind| *kind == HandshakeKind::Resumed), "{seen:?}");
}

/// Ends TLS as the safeguard does, tells the kind of each handshake, and passes on what is said.
async fn terminate(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    to: SocketAddr,
    tell: mpsc::UnboundedSender<HandshakeKind>,
) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = acceptor.accept(stream).await.unwrap();
        tell.send(stream.get_ref().1.handshake_kind().unwrap()).unwrap();
        tokio::spawn(async move {
            let mut plain = TcpStream::connect(to).await.unwrap();
            drop(tokio::io::copy_bidirectional(&mut stream, &mut plain).await);
        });
    }
}

/// Ends of established connections with a port of this machine (proc_net_tcp(5): addresses are `IP:PORT` in hexadecimal, state 01).
fn connections(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let port = format!(":{port:04X}");
    let of = |line: &&str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields[3] == "01" && (fields[1].ends_with(&port) || fields[2].ends_with(&port))
    };
    table.lines().skip(1).filter(of).count()
}
