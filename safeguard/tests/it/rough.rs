//! Rough clients and rough disks.

use std::time::Duration;

use http::{Method, StatusCode};
use safeguard_protocol::{Code, Kind, Received};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::node::{Safeguard, ask, code};

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
