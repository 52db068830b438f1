//! Rough clients and rough disks.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use safeguard_protocol::{Code, Kind, Received, Refusal};
use safeguard_standins::SmallDisk;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::node::{Node, Safeguard, ask, client, code};

#[tokio::test]
async fn bodies_of_any_form_are_refused_and_signed() {
    let safeguard = Safeguard::start().await;
    let mut node = safeguard.node(1).await;
    for path in ["/v1/beat", "/v1/enroll"] {
        for (body, expected) in [
            (b"".to_vec(), Code::Malformed),
            (b"[]".to_vec(), Code::Malformed),
            (b"{\"payloadType\":1}".to_vec(), Code::Malformed),
            (vec![0xff; 100], Code::Malformed),
            (vec![b'['; 4_000], Code::Malformed),
            (vec![b'['; 5_000_000], Code::TooLong),
        ] {
            let (status, answer) = ask(Method::POST, &format!("{}{path}", node.url), body).await;
            assert_eq!(code(node.read::<serde_json::Value>(Kind::Enrolled, status, &answer, None)), expected, "{path}");
        }
    }
    assert_eq!(node.beat().await.unwrap().received, Received::Live);
}

#[tokio::test]
async fn sql_and_html_are_names_like_others() {
    let safeguard = Safeguard::start().await;
    let evil = "'\"; DROP TABLE node; --<script>alert(1)</script>\u{202e}";
    let mut node = crate::node::Node::new(safeguard.url(), safeguard.server.public_key(), 1);
    node.cluster = evil.to_owned();
    node.enrol().await.unwrap();
    node.critical = vec![evil.to_owned()];
    assert!(node.beat().await.unwrap().posture.reasons[0].contains(evil));
    assert_eq!(safeguard.stored::<String>("SELECT cluster FROM node"), evil);
}

/// Whoever opens connections and says nothing, or a byte at a time, keeps nobody out.
#[tokio::test]
async fn slow_clients_keep_nobody_out() {
    let safeguard = Safeguard::start().await;
    let mut slow = Vec::new();
    for _ in 0..500 {
        let mut stream = TcpStream::connect(safeguard.server.address()).await.unwrap();
        stream.write_all(b"POST /v1/beat HTTP/1.1\r\nhost: x\r\ncontent-length: 4000\r\n\r\n{").await.unwrap();
        slow.push(stream);
    }
    let mut node = safeguard.node(1).await;
    assert_eq!(node.beat().await.unwrap().received, Received::Live);
}

#[tokio::test]
async fn what_is_no_http_ends_the_connection() {
    let safeguard = Safeguard::start().await;
    let mut stream = TcpStream::connect(safeguard.server.address()).await.unwrap();
    stream.write_all(&[0x16, 3, 1, 0, 0, 0, 0, b'\r', b'\n', b'\r', b'\n']).await.unwrap();
    let mut rest = Vec::new();
    tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(rest.starts_with(b"HTTP/1.1 400"), "{rest:?}");
    assert_eq!(ask(Method::GET, &format!("{}/nothing", safeguard.url()), "").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_another_process_holds_the_store_nothing_is_acknowledged() {
    let safeguard = Safeguard::start().await;
    let mut node = safeguard.node(1).await;
    let other = rusqlite::Connection::open(safeguard.dir.path().join("state/safeguard.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let statement = node.next();
    // The registrar waits for 5 s.
    assert_eq!(code(node.say(&statement).await), Code::Storage);
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(node.say(&statement).await.unwrap().received, Received::Live);
    assert_eq!(safeguard.stored::<i64>("SELECT count(*) FROM beat"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_runs_on_a_state_directory() {
    let safeguard = Safeguard::start().await;
    let settings = crate::node::settings(&safeguard.dir);
    let second = safeguard::server::Server::start(&settings, safeguard_daemon::clock::now_ms).await;
    assert!(matches!(second, Err(safeguard::server::StartError::Lock(_))));
}

/// Nothing is acknowledged that is not on disk, nothing of what was acknowledged is lost, and it goes on when there is room.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_acknowledges_nothing_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(&dir.path().join("state"), "6m") else {
        assert!(!nix::unistd::geteuid().is_root() || std::env::var_os("CI").is_none(), "root may mount a tmpfs");
        println!("left out without root: a_full_disk_acknowledges_nothing_and_loses_nothing");
        return;
    };
    let safeguard = Safeguard::start_in(dir, safeguard_daemon::clock::now_ms).await;
    let mut node = safeguard.node(1).await;
    for _ in 0..20 {
        node.beat().await.unwrap();
    }
    // Somebody else fills the disk.
    disk.fill();
    let refused = loop {
        match node.beat().await {
            // There may be room in a page that is there already.
            Ok(_) => assert!(node.sequence < 2_000, "the disk does not fill"),
            Err(refusal) => break refusal,
        }
    };
    assert_eq!(refused.code, Code::Storage, "{refused:?}");
    assert!(refused.retry_after_s.is_some());
    let acknowledged = i64::try_from(node.sequence).unwrap() - 1;
    disk.clear();
    // The same beat again, as a node sends it.
    let again = node.statement();
    let again = safeguard_protocol::Statement {
        beat: safeguard_protocol::Beat { previous: node.previous, ..again.beat },
        ..again
    };
    assert_eq!(node.say(&again).await.unwrap().received, Received::Live);
    assert_eq!(safeguard.stored::<i64>("SELECT COUNT(*) FROM beat"), acknowledged + 1);
    let safeguard = safeguard.restart().await;
    assert_eq!(safeguard.stored::<i64>("SELECT COUNT(*) FROM beat"), acknowledged + 1);
    safeguard.server.shutdown().await;
}

/// After an outage of the network all nodes are there at once. Each is taken in the end, and nobody has to wait for long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_that_comes_back_at_once_is_taken_without_collapse() {
    const NODES: u32 = 10_000;
    /// Both ends of all connections are in this process, which may have only so many files.
    const TOGETHER: usize = 200;
    let safeguard = Safeguard::start().await;
    let (url, key) = (safeguard.url(), safeguard.server.public_key());
    let (gate, client) = (Arc::new(Semaphore::new(TOGETHER)), client());
    let mut enrolling = JoinSet::new();
    for n in 0..NODES {
        let (gate, mut node) = (gate.clone(), Node::new(url.clone(), key, n));
        node.client = client.clone();
        enrolling.spawn(async move {
            let _pass = gate.acquire().await.unwrap();
            // All of them come from one address, which is given only so many challenges a second.
            while let Err(refusal) = node.enrol().await {
                come_again(&refusal).await;
            }
            node
        });
    }
    let nodes = enrolling.join_all().await;
    let begun = tokio::time::Instant::now();
    let mut under_way = JoinSet::new();
    for mut node in nodes {
        let gate = gate.clone();
        under_way.spawn(async move {
            let _pass = gate.acquire().await.unwrap();
            // Beats that waited, the newest first, as an agent sends them.
            let statements = [node.next(), node.next()];
            let mut refused = 0_u32;
            for statement in statements.iter().rev() {
                while let Err(refusal) = node.say(statement).await {
                    come_again(&refusal).await;
                    refused += 1;
                }
            }
            refused
        });
    }
    let refused: u32 = under_way.join_all().await.iter().sum();
    let took = begun.elapsed();
    println!("{NODES} nodes with 2 beats each in {took:?}, {refused} refusals");
    assert!(took < Duration::from_secs(120), "{took:?}");
    let count = |sql: &str| safeguard.stored::<i64>(sql);
    assert_eq!(count("SELECT COUNT(*) FROM beat"), i64::from(NODES) * 2);
    assert_eq!(count("SELECT COUNT(*) FROM gap WHERE closed_ms IS NULL"), 0);
    assert_eq!(count("SELECT COUNT(*) FROM node WHERE state = 'compliant'"), i64::from(NODES));
    safeguard.server.shutdown().await;
}

/// Nothing but that it is too much for now is a reason.
async fn come_again(refusal: &Refusal) {
    assert!(matches!(refusal.code, Code::Busy | Code::RateLimited | Code::Storage), "{refusal:?}");
    assert!(refusal.retry_after_s.is_some(), "it says when to come again");
    tokio::time::sleep(Duration::from_millis(200 + fastrand::u64(0..1_000))).await;
}
