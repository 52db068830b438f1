//! What a beat leaves behind between the node and the safeguard.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustls::HandshakeKind;
use safeguard_standins::Tls;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};
use tokio_rustls::TlsAcceptor;

use crate::rig::Rig;

/// Ten thousand nodes that keep theirs are more memory at the safeguard than all that it knows of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_has_said_all_hangs_up() {
    for (held, interval) in [(0, 60), (256, 3_600)] {
        let mut rig = match held {
            0 => Rig::new_with(|settings| settings.server.held_connections = 0).await,
            _ => Rig::new().await,
        };
        rig.settings.interval = Some(Duration::from_secs(interval));
        rig.start();
        rig.acknowledged(1).await;
        let (port, deadline) = (rig.listen().port(), Instant::now() + Duration::from_secs(5));
        while connections(port) > 0 {
            assert!(Instant::now() < deadline, "a connection is kept until the next beat in {interval} s");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// What halves the cost of a beat.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_the_safeguard_holds_carries_the_next_beats() {
    let mut rig = Rig::new().await;
    let between = Between::start(&mut rig).await;
    rig.start();
    rig.acknowledged(1).await;
    let before = between.accepted();
    rig.acknowledged(5).await;
    assert!(between.accepted() <= before + 1, "{before}, then {}", between.accepted());
}

/// Load balancers and gateways forget connections, with a word or without. The next beat goes over another, and nobody is alarmed.
#[tokio::test(flavor = "multi_thread")]
async fn a_held_connection_that_is_dead_costs_no_beat() {
    for fault in [Fault::Cut, Fault::Swallow, Fault::Close] {
        let mut rig = Rig::new().await;
        let between = Between::start(&mut rig).await;
        rig.start();
        let sequence = rig.acknowledged(3).await.sequence;
        let accepted = between.accepted();
        between.now(fault);
        // What swallows is given up after five seconds.
        let deadline = Instant::now() + Duration::from_secs(20);
        while rig.heartbeat().status().acknowledged.is_none_or(|last| last.sequence <= sequence + 1) {
            assert!(Instant::now() < deadline, "{fault:?}");
            assert_eq!(rig.heartbeat().status().trouble, None, "{fault:?}");
            sleep(Duration::from_millis(20)).await;
        }
        assert!(between.accepted() > accepted, "{fault:?}: no other connection");
    }
}

/// Or else the node would have certificates to verify for each beat.
#[tokio::test(flavor = "multi_thread")]
async fn a_beat_takes_up_the_tls_session_of_the_one_before() {
    let mut rig = Rig::new_with(|settings| settings.server.held_connections = 0).await;
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Connections are ended.
    Cut,
    /// Connections take what is said, and answer nothing.
    Swallow,
    /// Connections end when something is said.
    Close,
}

/// Passes on what nodes and safeguard say, and has faults that are those of the connections it has then.
struct Between {
    accepted: Arc<AtomicUsize>,
    fault: watch::Sender<Option<Fault>>,
}

impl Between {
    async fn start(rig: &mut Rig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        rig.settings.url = format!("http://{}", listener.local_addr().unwrap());
        let (accepted, (fault, _)) = (Arc::new(AtomicUsize::new(0)), watch::channel(None));
        let (count, faults, to) = (accepted.clone(), fault.clone(), rig.listen());
        tokio::spawn(async move {
            loop {
                let (node, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                let mut fault = faults.subscribe();
                fault.borrow_and_update();
                tokio::spawn(async move {
                    let mut node = node;
                    let mut safeguard = TcpStream::connect(to).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut node, &mut safeguard) => return,
                        _ = fault.changed() => {}
                    }
                    let fault = *fault.borrow();
                    match fault {
                        Some(Fault::Swallow) => drop(tokio::io::copy(&mut node, &mut tokio::io::sink()).await),
                        Some(Fault::Close) => drop(node.read(&mut [0; 4096]).await),
                        _ => {}
                    }
                });
            }
        });
        Self { accepted, fault }
    }

    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    fn now(&self, fault: Fault) {
        self.fault.send_replace(Some(fault));
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
