//! Who is told of changes of state hears of each at least once, in order, and can tell who speaks.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::hmac;
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use safeguard::server::Server;
use safeguard::store::{Store, tokens};
use safeguard::vouching::Vouching;
use safeguard_daemon::clock;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::node::{Safeguard, ask, settings};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const PATIENCE: Duration = Duration::from_secs(30);

/// A receiver: what it took, and what it answers.
#[derive(Clone, Default)]
struct Receiver {
    taken: Arc<Mutex<Vec<Value>>>,
    tried: Arc<Mutex<u32>>,
    refuses: Arc<Mutex<bool>>,
}

/// As docs/webhook.md says.
fn is_signed(headers: &HeaderMap, body: &[u8]) -> bool {
    let Some(value) = headers.get("safeguard-signature").and_then(|value| value.to_str().ok()) else { return false };
    let Some((time, signature)) = value.strip_prefix("t=").and_then(|rest| rest.split_once(",v1=")) else {
        return false;
    };
    let fresh = time.parse::<i64>().is_ok_and(|seconds| (clock::now_ms() / 1_000 - seconds).abs() < 300);
    let bytes: Option<Vec<u8>> =
        (0..signature.len() / 2).map(|at| u8::from_str_radix(signature.get(at * 2..at * 2 + 2)?, 16).ok()).collect();
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let message = [time.as_bytes(), b".", body].concat();
    fresh && hmac::verify(&key, &message, &bytes.unwrap_or_default()).is_ok()
}

impl Receiver {
    async fn serve(&self) -> String {
        let me = self.clone();
        let take = async move |headers: HeaderMap, body: Bytes| {
            *me.tried.lock().unwrap() += 1;
            if !is_signed(&headers, &body) {
                return StatusCode::FORBIDDEN;
            }
            if *me.refuses.lock().unwrap() {
                return StatusCode::INTERNAL_SERVER_ERROR;
            }
            me.taken.lock().unwrap().push(serde_json::from_slice(&body).unwrap());
            StatusCode::NO_CONTENT
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let app = Router::new().route("/hook", post(take));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        url
    }

    /// What was taken of a node: from, to.
    fn of(&self, name: &str) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let taken = self.taken.lock().unwrap();
        let of = taken.iter().filter(|told| told["node"]["name"] == name);
        of.map(|told| (text(&told["from"]), text(&told["to"]))).collect()
    }

    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let wait = async {
            while !holds(self) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, wait).await.is_err() {
            panic!("{what}: {:#?}", self.taken.lock().unwrap());
        }
    }
}

async fn start(dir: TempDir, url: &str) -> Safeguard {
    let mut settings = settings(&dir);
    std::fs::write(dir.path().join("secret"), format!("{SECRET}\n")).unwrap();
    settings.page.open = true;
    settings.webhook.url = Some(url.to_owned());
    settings.webhook.secret_file = Some(dir.path().join("secret"));
    let server = Server::start_with(&settings, Vouching::Simulation, clock::now_ms).await.unwrap();
    Safeguard { dir, server }
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_is_told_in_order_and_signed() {
    let receiver = Receiver::default();
    let safeguard = start(tempfile::tempdir().unwrap(), &receiver.serve().await).await;
    let mut node = safeguard.node(1).await;
    node.beat().await.unwrap();
    node.critical = vec!["eks/3.2.1".to_owned()];
    node.beat().await.unwrap();
    node.critical.clear();
    node.beat().await.unwrap();
    let expected =
        pairs(&[("never-enrolled", "compliant"), ("compliant", "non-compliant"), ("non-compliant", "compliant")]);
    receiver.until("three changes", |receiver| receiver.of("node-1") == expected).await;
    let told = receiver.taken.lock().unwrap().clone();
    assert_eq!(told[1]["reasons"], json!(["critical control eks/3.2.1 fails"]));
    assert_eq!(told[1]["node"]["instance_id"], "i-00000000000000001");
    assert_eq!(told[1]["version"], 1);
    let ids: Vec<i64> = told.iter().map(|told| told["id"].as_i64().unwrap()).collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    safeguard.server.shutdown().await;
}

/// Also over a restart of the safeguard: what was not taken is in the same transaction as the change.
#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_was_away_hears_of_everything() {
    let receiver = Receiver::default();
    *receiver.refuses.lock().unwrap() = true;
    let url = receiver.serve().await;
    let safeguard = start(tempfile::tempdir().unwrap(), &url).await;
    let mut nodes = [safeguard.node(1).await, safeguard.node(2).await];
    for node in &mut nodes {
        node.beat().await.unwrap();
        node.critical = vec!["eks/3.2.1".to_owned()];
        node.beat().await.unwrap();
    }
    receiver.until("it was tried", |receiver| *receiver.tried.lock().unwrap() >= 3).await;
    assert!(receiver.taken.lock().unwrap().is_empty());
    let Safeguard { dir, server } = safeguard;
    server.shutdown().await;
    let again = start(dir, &url).await;
    *receiver.refuses.lock().unwrap() = false;
    let expected = pairs(&[("never-enrolled", "compliant"), ("compliant", "non-compliant")]);
    for name in ["node-1", "node-2"] {
        receiver.until(name, |receiver| receiver.of(name) == expected).await;
    }
    // The last answer may be on its way to the disk.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(again.stored::<i64>("SELECT COUNT(*) FROM outbox"), 0);
    again.server.shutdown().await;
}

/// Does something with a token that operates; gives the status.
async fn operate(safeguard: &Safeguard, path: &str, body: &Value) -> u16 {
    let token = tokens::random();
    let store = Store::open(&safeguard.dir.path().join("state/safeguard.db")).unwrap();
    assert!(store.add_token(&token, &token, "operate", 1).unwrap());
    let request = http::Request::post(format!("{}{path}", safeguard.url()))
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body.to_string())))
        .unwrap();
    let client = Client::builder(TokioExecutor::new()).build_http();
    client.request(request).await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_what_is_left_alone_nobody_is_told_and_the_reason_is_shown() {
    let receiver = Receiver::default();
    let safeguard = start(tempfile::tempdir().unwrap(), &receiver.serve().await).await;
    let wanted = json!({ "account": "111122223333", "group": "workers", "reason": "being rebuilt", "owner": "ops", "expires": "2099-01-01" });
    assert_eq!(operate(&safeguard, "/v1/exclusions", &wanted).await, 201);
    let mut node = safeguard.node(1).await;
    // It is looked at every 5 s.
    tokio::time::sleep(Duration::from_secs(6)).await;
    node.critical = vec!["eks/3.2.1".to_owned()];
    let seen = node.beat().await.unwrap().posture;
    assert_eq!(seen.state.as_str(), "non-compliant", "it is as it is");
    assert_eq!(seen.reasons[1], "left alone until 2099-01-01 by ops: being rebuilt");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(receiver.of("node-1"), pairs(&[]));
    safeguard.server.shutdown().await;
}

/// A person looked into it: the node is believed again, and the same is not brought up again.
#[tokio::test(flavor = "multi_thread")]
async fn a_suspicion_ends_by_the_word_of_an_operator() {
    let receiver = Receiver::default();
    let safeguard = start(tempfile::tempdir().unwrap(), &receiver.serve().await).await;
    let mut node = safeguard.node(1).await;
    node.beat().await.unwrap();
    let mut old = node.copy();
    node.new_key();
    node.enrol().await.unwrap();
    node.beat().await.unwrap();
    // The key that was replaced speaks again.
    old.beat().await.unwrap_err();
    let state = || safeguard.stored::<String>("SELECT state FROM node");
    assert_eq!(state(), "suspect");
    let word = json!({ "reason": "a snapshot that ops restored", "owner": "ops" });
    assert_eq!(operate(&safeguard, "/v1/nodes/2/clear", &word).await, 404);
    assert_eq!(operate(&safeguard, "/v1/nodes/1/clear", &json!({ "reason": "", "owner": "ops" })).await, 400);
    assert_eq!(operate(&safeguard, "/v1/nodes/1/clear", &word).await, 204);
    assert_eq!(operate(&safeguard, "/v1/nodes/1/clear", &word).await, 409, "nothing is suspected any more");
    assert_eq!(state(), "compliant");
    let (_, page) = ask(http::Method::GET, &format!("{}/nodes/1", safeguard.url()), "").await;
    assert!(String::from_utf8_lossy(&page).contains("a snapshot that ops restored"), "it is in the timeline");
    let Safeguard { dir, server } = safeguard;
    server.shutdown().await;
    let again = start(dir, &receiver.serve().await).await;
    assert_eq!(again.stored::<String>("SELECT state FROM node"), "compliant");
    node.url = again.url();
    node.beat().await.unwrap();
    assert_eq!(again.stored::<String>("SELECT state FROM node"), "compliant");
    // What happens after that is another matter.
    old.url = again.url();
    old.beat().await.unwrap_err();
    assert_eq!(again.stored::<String>("SELECT state FROM node"), "suspect");
    again.server.shutdown().await;
}
