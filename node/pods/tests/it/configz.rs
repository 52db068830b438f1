//! What the kubelet runs with: who is asked, with what, and what comes of each answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use safeguard_pods::{ApiServer, ConfigzError, FileToken, Token, TokenFuture, TokenSource, configz};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::rig::{NODE, fixed};
use crate::script::{Asked, Reply, Server, Step};
use crate::tls::tls;

/// A kubelet with a certificate for this name, and the cluster's authority.
async fn kubelet(name: &str, says: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> (Server, String) {
    let (pem, acceptor) = tls(name);
    (Server::start_at("127.0.0.1:0".parse().unwrap(), Some(acceptor), says).await, pem)
}

fn cluster(authority: &str, token: Arc<dyn TokenSource>) -> ApiServer {
    // Nobody listens there: the API server has no part in this.
    let api = ApiServer::new("https://127.0.0.1:9", Some(authority.as_bytes()), token).unwrap();
    api.with_user_agent("safeguard-test/1").unwrap()
}

async fn ask(server: &Server, authority: &str) -> Result<Value, ConfigzError> {
    configz(&cluster(authority, fixed()), NODE, server.address).await
}

fn configuration() -> Value {
    json!({"kubeletconfig": {"readOnlyPort": 0}})
}

#[tokio::test]
async fn the_kubelet_is_asked_with_our_token() {
    let (server, authority) = kubelet(NODE, |_| Reply::json(&configuration())).await;
    assert_eq!(ask(&server, &authority).await.unwrap(), configuration());
    let log = server.log();
    let asked: Vec<_> = log.iter().map(|a| (a.resource.as_str(), a.bearer.as_str(), a.agent.as_str())).collect();
    assert_eq!(asked, [("/configz", "fixed-token", "safeguard-test/1")]);
}

/// Kubelets sign their own certificates unless they are told to have them signed; and whoever else takes the port has none at all.
#[tokio::test]
async fn another_certificate_than_the_clusters_for_this_node_gets_no_token() {
    let (server, authority) = kubelet(NODE, |_| Reply::json(&configuration())).await;
    let (other, _) = tls(NODE);
    let said = ask(&server, &other).await.unwrap_err();
    assert!(matches!(said, ConfigzError::Stranger { .. }), "{said:?}");
    assert!(said.to_string().contains("serverTLSBootstrap"), "{said}");

    // Another node's, and one for the address alone.
    for name in ["ip-10-0-0-2.ec2.internal", "127.0.0.1"] {
        let (server, authority) = kubelet(name, |_| Reply::json(&configuration())).await;
        let said = ask(&server, &authority).await.unwrap_err();
        assert!(matches!(said, ConfigzError::Stranger { .. }), "{name}: {said:?}");
        assert_eq!(server.log().len(), 0, "{name}: the token went to a stranger");
    }
    // An API server without TLS has no authority that could vouch for a kubelet.
    let plain = ApiServer::new("http://127.0.0.1:9", None, fixed()).unwrap();
    let said = configz(&plain, NODE, server.address).await.unwrap_err();
    assert!(matches!(said, ConfigzError::Stranger { .. }), "{said:?}");
    assert_eq!(server.log().len(), 0, "the token went to a stranger");

    let said = configz(&cluster(&authority, fixed()), "no name", server.address).await.unwrap_err();
    assert!(matches!(said, ConfigzError::Name { .. }), "{said:?}");
}

/// No TLS at all, and nobody.
#[tokio::test]
async fn who_does_not_speak_tls_is_no_kubelet() {
    let plain = Server::start(|_| Reply::json(&configuration())).await;
    let (authority, _) = tls(NODE);
    let said = ask(&plain, &authority).await.unwrap_err();
    assert!(matches!(said, ConfigzError::Unreachable { .. }) && plain.log().is_empty(), "{said:?}");
    let address = plain.address;
    drop(plain);
    let said = configz(&cluster(&authority, fixed()), NODE, address).await.unwrap_err();
    assert!(said.to_string().starts_with(&address.to_string()), "{said}");
}

/// A token that is refused once is renewed; then what is missing is named.
#[derive(Debug, Default)]
struct Renewed(AtomicUsize);

impl TokenSource for Renewed {
    fn token(&self) -> TokenFuture<'_> {
        let serial = self.0.load(Ordering::Relaxed);
        Box::pin(std::future::ready(Token::new(&format!("secret-{serial}"))))
    }

    fn rejected(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_refused_token_is_renewed_once() {
    let says = |asked: &Asked| match asked.bearer.as_str() {
        "secret-1" => Reply::json(&configuration()),
        _ => Reply::error(401, "Unauthorized", "Unauthorized"),
    };
    let (server, authority) = kubelet(NODE, says).await;
    let renewed = Arc::new(Renewed::default());
    let api = cluster(&authority, renewed.clone());
    assert!(configz(&api, NODE, server.address).await.is_ok());
    renewed.rejected();
    let said = configz(&api, NODE, server.address).await.unwrap_err();
    assert!(matches!(said, ConfigzError::Unauthorized) && !format!("{said:?} {said}").contains("secret"), "{said:?}");
    assert_eq!(server.log().len(), 4);
}

#[tokio::test]
async fn what_is_missing_is_named_where_the_kubelet_forbids() {
    let (server, authority) = kubelet(NODE, |_| Reply::error(403, "Forbidden", "words of the kubelet")).await;
    let said = ask(&server, &authority).await.unwrap_err().to_string();
    for part in ["403", "`get`", "nodes/configz", "nodes/proxy", "ClusterRole"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("words of the kubelet"), "{said}");
}

#[tokio::test]
async fn nobody_is_followed_elsewhere() {
    let (elsewhere, _) = kubelet(NODE, |_| Reply::json(&configuration())).await;
    let to = format!("https://{}/configz", elsewhere.address);
    for status in [301, 302, 307, 308] {
        let to = to.clone();
        let (server, authority) =
            kubelet(NODE, move |_| Reply::json(&configuration()).status(status).header("location", &to)).await;
        let said = ask(&server, &authority).await.unwrap_err();
        assert!(matches!(said, ConfigzError::Refused { code } if code == status), "{said:?}");
    }
    assert!(elsewhere.log().is_empty());
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_it() {
    let piece = || Step::Send("[".repeat(64 << 10));
    let (server, authority) = kubelet(NODE, move |_| Reply::steps((0..32).map(|_| piece()))).await;
    assert!(matches!(ask(&server, &authority).await, Err(ConfigzError::TooLarge { .. })));
    for text in ["", "{", "not json", &"[".repeat(100_000)] {
        let text = text.to_owned();
        let (server, authority) = kubelet(NODE, move |_| Reply::steps([Step::Send(text.clone())])).await;
        assert!(matches!(ask(&server, &authority).await, Err(ConfigzError::Unreadable)));
    }
    let (server, authority) = kubelet(NODE, |_| Reply::steps([Step::Send("{".to_owned()), Step::Cut])).await;
    assert!(matches!(ask(&server, &authority).await, Err(ConfigzError::Unreachable { .. })));
}

#[tokio::test]
async fn a_kubelet_that_is_silent_is_not_waited_for() {
    let (server, authority) = kubelet(NODE, |_| Reply::steps([Step::Send("{".to_owned()), Step::Hang])).await;
    let began = Instant::now();
    assert!(matches!(ask(&server, &authority).await, Err(ConfigzError::Silent { .. })));
    assert!(began.elapsed() < Duration::from_secs(8));
}

#[tokio::test]
async fn without_a_token_nobody_is_asked() {
    let (server, authority) = kubelet(NODE, |_| Reply::json(&configuration())).await;
    let api = cluster(&authority, Arc::new(FileToken::new("/does/not/exist")));
    assert!(matches!(configz(&api, NODE, server.address).await, Err(ConfigzError::Token(_))));
    assert!(server.log().is_empty());
}
