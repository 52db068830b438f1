//! What a beat costs the safeguard: `cargo bench -p safeguard --bench ingest [-- NODES SECONDS PERIOD [plain|tls [HELD]]]`.
//!
//! The server runs in a process of its own; its CPU is what the kernel counted for that process. Each of so many nodes beats once in
//! PERIOD seconds (1). Everything is real but the proofs of the enrolments: signatures are verified, replies are signed, and nothing is
//! acknowledged before it is on disk. No log. What a node says besides is new with every fifth beat, as it is stored again every five
//! minutes where nodes beat once a minute. All beats are signed before the first is sent (2.5 KB of memory each): a fleet signs on its own
//! processors, and what works beside the server makes it slower, most of all where two processors are one core.
//!
//! With `plain`, or without a word, beats come over 64 connections that are kept, as behind a load balancer that speaks TLS. With `tls`
//! each node has a connection of its own, as the agent does: it ends with the beat, unless the server says that it is held, and the next
//! takes up its TLS session. HELD is `server.held_connections`. Beats repeat the nonce of their enrolment, which is good for five minutes:
//! after them they count as late, and late ones have no connection held.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a program to measure with"
)]

use std::collections::VecDeque;
use std::io::BufRead as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CipherSuite, ClientConfig, HandshakeKind, RootCertStore};
use safeguard_protocol::{
    Assessment, Beat, Challenge, Counts, Digest, Enrolled, Enrolment, Envelope, Exceptions, IdentityProof, Kind, Logs,
    Membership, Policy, Program, Proofs, PublicKey, RoleMapping, SigningKey, Spool, Statement,
};
use safeguard_standins::Tls;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use crate::pace::Pace;

mod pace;

const ROLE: &str = "SAFEGUARD_BENCH_SERVE_IN";
const HELD: &str = "SAFEGUARD_BENCH_HELD";
const CONNECTIONS: usize = 64;
const CERTIFICATE: &str = "server.pem";
const KEY: &str = "server.key";

#[tokio::main]
async fn main() {
    if let Ok(dir) = std::env::var(ROLE) {
        return serve(dir).await;
    }
    let mut words = std::env::args().skip(1).filter(|word| !word.starts_with('-'));
    let nodes: usize = words.next().map_or(2_000, |word| word.parse().unwrap());
    let seconds: u64 = words.next().map_or(15, |word| word.parse().unwrap());
    let period: u64 = words.next().map_or(1, |word| word.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let tls = words.next().filter(|word| word != "plain").map(|word| client(&word, dir.path()));
    let held = words.next().unwrap_or_default();
    let mut server = Command::new(std::env::current_exe().unwrap());
    let mut child = server.env(ROLE, dir.path()).env(HELD, held).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let (address, key) = line.trim().split_once(' ').unwrap();
    let (address, key): (Arc<str>, PublicKey) = (address.into(), key.parse().unwrap());
    let pid = child.id();

    eprintln!("{nodes} nodes enrol ...");
    let mut lanes = Vec::new();
    for lane in 0..CONNECTIONS {
        let nodes: Vec<_> = (lane..nodes).step_by(CONNECTIONS).map(|n| Node::new(n, tls.as_ref())).collect();
        let (send, _) = connect(&address, tls.as_ref()).await;
        let late = f64::from(u32::try_from(lane).unwrap()) / CONNECTIONS as f64;
        let mut lane = Lane { address: address.clone(), send: Some(send), key, nodes, late, resumed: 0, carried: 0 };
        for at in 0..lane.nodes.len() {
            lane.enrol(at).await;
        }
        lanes.push(lane);
    }
    eprintln!("their beats are signed ...");
    let times = seconds / period;
    let count: usize = nodes * usize::try_from(times).unwrap();
    let starts = safeguard_daemon::clock::now_ms() + 2_000 + i64::try_from(count / 10).unwrap();
    for lane in &mut lanes {
        lane.sign(starts, times, period);
    }
    let early = u64::try_from(starts - 500 - safeguard_daemon::clock::now_ms()).expect("a beat is signed in 100 us");
    let start = Instant::now() + Duration::from_millis(early + 500);
    tokio::time::sleep(Duration::from_millis(early)).await;
    // A connection that was idle in the meantime is closed.
    for lane in &mut lanes {
        lane.send = Some(connect(&address, tls.as_ref()).await.0);
    }
    let idle_rss = memory(pid, "VmRSS:");
    eprintln!("they beat once in {period} s for {seconds} s ...");
    let (before, started, pace) = (cpu(pid), Instant::now(), Pace::start());
    let running: Vec<_> = lanes.into_iter().map(|lane| tokio::spawn(lane.beat(start, times, period))).collect();
    let (mut waits, mut resumed, mut carried) = (Vec::new(), 0, 0);
    for lane in running {
        let lane = lane.await.unwrap();
        waits.extend(lane.0);
        resumed += lane.1;
        carried += lane.2;
    }
    let (took, used, (verification, best)) = (started.elapsed(), cpu(pid) - before, pace.end());
    waits.sort_unstable();
    let at = |percent: usize| waits[(waits.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    let count = u32::try_from(waits.len()).unwrap();
    println!(
        "beats                    {count} in {:.1} s: {:.0} a second",
        took.as_secs_f64(),
        f64::from(count) / took.as_secs_f64()
    );
    let per_beat = used.as_secs_f64() / f64::from(count);
    println!("server CPU per beat      {:.0} us", per_beat * 1e6);
    println!(
        "a verification meanwhile {} us, {} at best: a beat costs as much as {:.2}",
        verification.as_micros(),
        best.as_micros(),
        per_beat / verification.as_secs_f64()
    );
    println!("answer                   p50 {:.1} ms, p99 {:.1} ms, most {:.1} ms", at(50), at(99), at(100));
    if tls.is_some() {
        let handshakes = count - carried;
        println!(
            "TLS                      {carried} beats over a held connection; {resumed} of {handshakes} handshakes resumed"
        );
    }
    println!("RSS of the server        {idle_rss} KiB enrolled, {} KiB at most", memory(pid, "VmHWM:"));
    child.kill().unwrap();
    child.wait().unwrap();
    let store = dir.path().join("safeguard.db");
    let db = rusqlite::Connection::open(&store).unwrap();
    db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let size = |of: &str| -> i64 {
        db.query_row("SELECT coalesce(sum(pgsize), 0) FROM dbstat WHERE name LIKE ?1", [of], |row| row.get(0))
            .unwrap_or(0)
    };
    let stored: i64 = db.query_row("SELECT count(*) FROM beat", [], |row| row.get(0)).unwrap();
    assert_eq!(stored, i64::from(count), "what was acknowledged is there");
    println!(
        "disk                     {} bytes for {stored} beats (table beat: {} bytes)",
        std::fs::metadata(&store).unwrap().len(),
        size("beat")
    );
}

async fn serve(dir: String) {
    let dir = PathBuf::from(dir);
    let mut settings = safeguard::config::Settings::default();
    settings.server.listen = "127.0.0.1:0".to_owned();
    settings.server.state_dir.clone_from(&dir);
    if let Some(held) = std::env::var(HELD).ok().and_then(|held| held.parse().ok()) {
        settings.server.held_connections = held;
    }
    if dir.join(CERTIFICATE).exists() {
        settings.server.certificate = Some(dir.join(CERTIFICATE));
        settings.server.key = Some(dir.join(KEY));
    }
    let vouching = safeguard::vouching::Vouching::Simulation;
    let server =
        safeguard::server::Server::start_with(&settings, vouching, safeguard_daemon::clock::now_ms).await.unwrap();
    println!("{} {}", server.address(), server.public_key());
    std::future::pending::<()>().await;
}

/// Leaves a certificate for the server, and gives what trusts it.
fn client(word: &str, dir: &Path) -> Arc<ClientConfig> {
    assert_eq!(word, "tls", "the fourth word is `plain` or `tls`, or there is none");
    let tls = Tls::generate().unwrap();
    std::fs::write(dir.join(CERTIFICATE), tls.certificate_pem()).unwrap();
    std::fs::write(dir.join(KEY), tls.key_pem()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(tls.ca_pem().as_bytes()).unwrap()).unwrap();
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    // As the agent has them.
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    let config = ClientConfig::builder_with_provider(Arc::new(provider)).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_root_certificates(roots).with_no_client_auth())
}

struct Node {
    n: usize,
    /// It knows its own sessions alone.
    tls: Option<Arc<ClientConfig>>,
    /// The connection that the server holds.
    held: Option<SendRequest<Full<Bytes>>>,
    key: SigningKey,
    sequence: u64,
    assessed_ms: i64,
    previous: Option<Digest>,
    nonce: Option<String>,
    /// What it will send.
    beats: VecDeque<Bytes>,
}

impl Node {
    fn new(n: usize, tls: Option<&Arc<ClientConfig>>) -> Self {
        let own = |tls: &Arc<ClientConfig>| {
            let mut tls = ClientConfig::clone(tls);
            tls.resumption = Resumption::in_memory_sessions(1);
            Arc::new(tls)
        };
        let key = SigningKey::generate().unwrap().0;
        Self {
            n,
            tls: tls.map(own),
            held: None,
            key,
            sequence: 0,
            assessed_ms: 0,
            previous: None,
            nonce: None,
            beats: VecDeque::new(),
        }
    }

    fn sign(&mut self, made_at_ms: i64) {
        self.sequence += 1;
        if (self.sequence + self.n as u64).is_multiple_of(5) || self.sequence == 1 {
            self.assessed_ms = made_at_ms;
        }
        let digest = Digest::of(b"x");
        let policies = ["cis-eks-1.8.0", "cis-kubernetes-1.12-worker", "eks-node-hardening"];
        let statement = Statement {
            version: 1,
            tenant: "acme".to_owned(),
            account: "111122223333".to_owned(),
            region: "eu-central-1".to_owned(),
            instance_id: format!("i-{:017x}", self.n),
            image_id: "ami-0123456789abcdef0".to_owned(),
            cluster: "claims-prod".to_owned(),
            node_group: Some("general".to_owned()),
            node_name: format!("ip-10-0-0-{}.eu-central-1.compute.internal", self.n),
            key_id: self.key.public().id(),
            beat: Beat {
                sequence: self.sequence,
                previous: self.previous,
                boot_id: "00000000-0000-4000-8000-000000000000".to_owned(),
                made_at_ms,
                uptime_ms: 1_000 * self.sequence,
                clock_offset_ms: Some(3),
                server_nonce: self.nonce.clone(),
                next_due_s: 60,
            },
            program: Program { version: "0.1.0".to_owned(), binary: Some(digest) },
            configuration: digest,
            policies: policies.map(|id| Policy { id: id.to_owned(), digest }).to_vec(),
            assessment: Some(Assessment {
                started_at_ms: self.assessed_ms - 30,
                finished_at_ms: self.assessed_ms,
                report: digest,
                counts: Counts { pass: 110, fail: 9, excepted: 6, not_applicable: 4, manual: 3, unknown: 2 },
                changed: Vec::new(),
                changed_more: 0,
                critical: Vec::new(),
                critical_more: 0,
            }),
            exceptions: Exceptions::default(),
            membership: Membership { ready: Some(true), lease_age_s: Some(4), role_mapping: RoleMapping::Seen },
            logs: Some(Logs { behind_bytes: self.sequence, ..Logs::default() }),
            proxy: None,
            spool: Spool::default(),
        };
        let (envelope, digest) = Envelope::seal_json(Kind::Statement, &statement, &self.key).unwrap();
        self.previous = Some(digest);
        self.beats.push_back(envelope.to_bytes().into());
    }
}

struct Lane {
    address: Arc<str>,
    /// None once a node has it.
    send: Option<SendRequest<Full<Bytes>>>,
    key: PublicKey,
    nodes: Vec<Node>,
    /// By which part of the time between two of its beats it is later than the first lane: no load comes in bursts but the server's.
    late: f64,
    resumed: u32,
    /// Beats over a connection that was held.
    carried: u32,
}

/// A connection, and whether its TLS session is that of an earlier one.
async fn connect(address: &str, tls: Option<&Arc<ClientConfig>>) -> (SendRequest<Full<Bytes>>, bool) {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let Some(tls) = tls else { return (converse(stream).await, false) };
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(tls.clone()).connect(name, stream).await.unwrap();
    let resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
    (converse(stream).await, resumed)
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> SendRequest<Full<Bytes>> {
    let (send, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    send
}

impl Lane {
    async fn ask(&mut self, method: &str, path: &str, body: Bytes) -> (u16, Bytes) {
        let (status, body, _) = self.ask_and_hold(method, path, body).await;
        (status, body)
    }

    /// The last: whether the server holds the connection.
    async fn ask_and_hold(&mut self, method: &str, path: &str, body: Bytes) -> (u16, Bytes, bool) {
        let request =
            http::Request::builder().method(method).uri(path).header("host", "x").body(Full::new(body)).unwrap();
        let send = self.send.as_mut().unwrap();
        send.ready().await.unwrap();
        let answer = send.send_request(request).await.unwrap();
        let (status, held) = (answer.status().as_u16(), answer.headers().contains_key("keep-alive"));
        (status, answer.into_body().collect().await.unwrap().to_bytes(), held)
    }

    async fn enrol(&mut self, at: usize) {
        // So many at once are more than one address is given.
        let body = loop {
            let (status, body) = self.ask("GET", "/v1/challenge", Bytes::new()).await;
            if status == 200 {
                break body;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        let envelope = Envelope::read(&body, 16_384).unwrap();
        let nonce = envelope.open::<Challenge>(Kind::Challenge, &self.key).unwrap().content.nonce;
        let node = &self.nodes[at];
        let document = format!(
            r#"{{"accountId":"111122223333","region":"eu-central-1","instanceId":"i-{:017x}","imageId":"ami-1"}}"#,
            node.n
        );
        let enrolment = Enrolment {
            version: 1,
            tenant: "acme".to_owned(),
            nonce,
            public_key: node.key.public(),
            cluster: "claims-prod".to_owned(),
            node_group: Some("general".to_owned()),
            node_name: format!("ip-10-0-0-{}.eu-central-1.compute.internal", node.n),
            boot_id: "00000000-0000-4000-8000-000000000000".to_owned(),
            program: Program { version: "0.1.0".to_owned(), binary: None },
            sent_at_ms: safeguard_daemon::clock::now_ms(),
            last_sequence: 0,
            proofs: Proofs { identity: Some(IdentityProof { document, rsa2048: String::new() }), ..Proofs::default() },
        };
        let (envelope, _) = Envelope::seal_json(Kind::Enrolment, &enrolment, &node.key).unwrap();
        let (status, body) = self.ask("POST", "/v1/enroll", envelope.to_bytes().into()).await;
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        let enrolled = Envelope::read(&body, 16_384).unwrap().open::<Enrolled>(Kind::Enrolled, &self.key).unwrap();
        self.nodes[at].nonce = Some(enrolled.content.nonce);
    }

    /// When a node is to beat, after the start.
    fn due(&self, turn: u64, at: usize, period: u64) -> Duration {
        let between = Duration::from_secs(period) / u32::try_from(self.nodes.len()).unwrap();
        Duration::from_secs(turn * period) + between * u32::try_from(at).unwrap() + between.mul_f64(self.late)
    }

    /// Each node once in a period, so many times. Its beats repeat a nonce that is still good.
    fn sign(&mut self, starts_ms: i64, times: u64, period: u64) {
        for at in 0..self.nodes.len() {
            for turn in 0..times {
                let due = self.due(turn, at, period);
                self.nodes[at].sign(starts_ms + i64::try_from(due.as_millis()).unwrap());
            }
        }
    }

    async fn beat(mut self, start: Instant, times: u64, period: u64) -> (Vec<Duration>, u32, u32) {
        let mut waits = Vec::new();
        for turn in 0..times {
            for at in 0..self.nodes.len() {
                let beat = self.nodes[at].beats.pop_front().unwrap();
                tokio::time::sleep_until(start + self.due(turn, at, period)).await;
                let asked = Instant::now();
                if let Some(send) = self.nodes[at].held.take() {
                    self.send = Some(send);
                    self.carried += 1;
                } else if let Some(tls) = &self.nodes[at].tls {
                    let (send, resumed) = connect(&self.address, Some(tls)).await;
                    self.send = Some(send);
                    self.resumed += u32::from(resumed);
                }
                let (status, body, held) = self.ask_and_hold("POST", "/v1/beat", beat).await;
                assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
                waits.push(asked.elapsed());
                if held && self.nodes[at].tls.is_some() {
                    self.nodes[at].held = self.send.take();
                }
            }
        }
        (waits, self.resumed, self.carried)
    }
}

/// User and system time of a process (proc(5), fields 14 and 15 of `stat`, in hundredths of a second).
fn cpu(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

fn memory(pid: u32, what: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(what)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
