//! `explain` and the admin socket that it asks.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use safeguard_daemon::admin::{self, BoxFuture, Handler, Method, Response};
use safeguard_daemon::shutdown::Shutdown;
use safeguard_proxy::explain::{Decision, Explanation, Found, VERSION};
use serde_json::Value;
use tempfile::TempDir;

use crate::{output, program, texts};

/// What a proxy answers, and what it was asked.
struct Proxy {
    _dir: TempDir,
    socket: PathBuf,
    asked: Arc<Mutex<Vec<String>>>,
}

struct Answer {
    status: u16,
    body: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Handler for Answer {
    fn handle<'a>(&'a self, _: &'a Method, path: &'a str, query: Option<&'a str>) -> BoxFuture<'a, Response> {
        self.asked.lock().unwrap().push(format!("{path}?{}", query.unwrap_or_default()));
        Box::pin(async { Response::json(self.status, self.body.clone()) })
    }
}

impl Proxy {
    fn that_says(status: u16, body: String) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("proxy.sock");
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let server = admin::bind_unix(&socket).unwrap();
        tokio::spawn(server.run(Arc::new(Answer { status, body, asked: asked.clone() }), Shutdown::new()));
        Self { _dir: dir, socket, asked }
    }

    async fn explain(&self, args: &[&str]) -> (i32, String, String) {
        let socket = self.socket.to_str().unwrap();
        let mut command = program(&[&["explain", "--socket", socket], args].concat());
        texts(tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap())
    }
}

fn explanation(served: bool) -> Explanation {
    let (reason, status) = if served { ("served", 200) } else { ("unknown_address", 503) };
    Explanation {
        version: VERSION,
        at_ms: 0,
        asked: "10.0.0.9".to_owned(),
        pod: None,
        found: Found::Nobody { reason: "no pod of this node has this address".to_owned() },
        role: None,
        namespace: None,
        imdsv2: None,
        session: None,
        decision: Decision {
            served,
            status,
            reason: reason.to_owned(),
            sentence: "whoever asks from there gets nothing".to_owned(),
            remedy: Some("see `kubectl get pods -A -o wide`".to_owned()),
        },
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_exit_code_tells_whether_the_pod_gets_credentials() {
    for (served, expected) in [(true, 0), (false, 1)] {
        let proxy = Proxy::that_says(200, serde_json::to_string(&explanation(served)).unwrap());
        let (code, out, err) = proxy.explain(&["10.0.0.9"]).await;
        assert_eq!((code, err.as_str()), (expected, ""));
        assert!(out.starts_with("10.0.0.9: whoever asks from there gets nothing"), "{out}");
        assert!(out.contains("remedy       see `kubectl get pods"), "{out}");
        assert_eq!(*proxy.asked.lock().unwrap(), ["/v1/explain?ip=10.0.0.9"]);
        proxy.explain(&["shop/cart-1"]).await;
        assert_eq!(proxy.asked.lock().unwrap()[1], "/v1/explain?pod=shop/cart-1");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_get_the_document_as_it_came() {
    let mut document = serde_json::to_value(explanation(true)).unwrap();
    document["of_a_later_version"] = Value::from(7);
    let proxy = Proxy::that_says(200, document.to_string());
    let (code, out, _) = proxy.explain(&["10.0.0.9", "--format", "json"]).await;
    assert_eq!((code, serde_json::from_str::<Value>(&out).unwrap()), (0, document));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_none_is_told_as_it_is() {
    let proxy = Proxy::that_says(404, "no pod of this node is called shop/cart-1\u{1b}[2J\n".to_owned());
    let (code, out, err) = proxy.explain(&["shop/cart-1"]).await;
    assert_eq!((code, out.as_str()), (1, ""));
    assert_eq!(err, "the proxy answered 404: no pod of this node is called shop/cart-1\\u{1b}[2J\n");
    let proxy = Proxy::that_says(200, "{}".to_owned());
    let (code, _, err) = proxy.explain(&["shop/cart-1"]).await;
    assert!(code == 1 && err.contains("is it of another version?"), "{code} {err}");
}

#[test]
fn without_a_proxy_it_says_what_to_do() {
    let (code, _, err) = output(&["explain", "shop/cart-1", "--socket", "/does/not/exist/proxy.sock"]);
    assert!(code == 1 && err.contains("systemctl status safeguard-proxy"), "{code} {err}");
}
