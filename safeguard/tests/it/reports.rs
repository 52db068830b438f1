//! Full reports: only those that were asked for, and only what their digest says.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use http::{Method, StatusCode};
use safeguard_protocol::{Code, Digest, Kind};

use crate::node::{Safeguard, ask, code};

fn report(evil: &str) -> String {
    serde_json::json!({ "version": 1, "policies": [{ "policy": "p", "findings": [
        { "control": "3.1.1", "title": evil, "level": 1, "status": "fail", "evidence": [{ "seen": evil }], "remedy": evil },
        { "control": "3.1.2", "title": "t", "level": 1, "status": "pass" },
    ] }] })
    .to_string()
}

#[tokio::test]
async fn a_report_is_asked_for_once_and_its_findings_are_kept() {
    let safeguard = Safeguard::start().await;
    let mut node = safeguard.node(1).await;
    let evil = "'; DROP TABLE node; --<script>alert(1)</script>\0";
    let body = report(evil);
    node.report = Digest::of(body.as_bytes());
    assert_eq!(node.beat().await.unwrap().want, [node.report]);
    let url = format!("{}/v1/reports/{}", node.url, node.report);
    assert_eq!(ask(Method::PUT, &url, body.clone()).await.0, StatusCode::NO_CONTENT);
    assert!(node.beat().await.unwrap().want.is_empty());
    assert_eq!(safeguard.stored::<String>("SELECT title FROM finding"), evil);
    assert_eq!(safeguard.stored::<i64>("SELECT pass * 10 + fail FROM result"), 11);
    // The same again is no harm.
    assert_eq!(ask(Method::PUT, &url, body).await.0, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn what_nobody_asked_for_or_is_not_what_it_says_is_refused() {
    let safeguard = Safeguard::start().await;
    let mut node = safeguard.node(1).await;
    let body = report("t");
    let digest = Digest::of(body.as_bytes());
    let put = |digest: Digest, body: Vec<u8>| ask_put(&node.url, digest, body);
    let refused = |(status, body): (StatusCode, bytes::Bytes)| {
        code(node.read::<serde_json::Value>(Kind::Acknowledgement, status, &body, Some(digest)))
    };
    assert_eq!(refused(put(digest, body.clone().into()).await), Code::Report);
    let mut said = node.copy();
    said.report = digest;
    said.beat().await.unwrap();
    assert_eq!(refused(put(digest, b"{}".to_vec()).await), Code::Report);
    assert_eq!(refused(put(digest, vec![b' '; 2_000_000]).await), Code::TooLong);
    assert_eq!(put(digest, body.into()).await.0, StatusCode::NO_CONTENT);
    node.new_key();
}

async fn ask_put(url: &str, digest: Digest, body: Vec<u8>) -> (StatusCode, bytes::Bytes) {
    ask(Method::PUT, &format!("{url}/v1/reports/{digest}"), body).await
}

#[tokio::test]
async fn a_bomb_is_not_unpacked() {
    let safeguard = Safeguard::start().await;
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    (0..200).for_each(|_| bomb.write_all(&[0; 1 << 20]).unwrap());
    let bomb = bomb.finish().unwrap();
    let client: hyper_util::client::legacy::Client<_, http_body_util::Full<bytes::Bytes>> =
        hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
    let url = format!("{}/v1/reports/{}", safeguard.url(), Digest::of(b""));
    let request = http::Request::put(url).header("content-encoding", "gzip").body(bomb.into()).unwrap();
    assert_eq!(client.request(request).await.unwrap().status(), StatusCode::PAYLOAD_TOO_LARGE);
}
