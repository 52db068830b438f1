//! Who we are to the API server, and who it is to us.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use safeguard_pods::{ApiServer, FileToken};

use crate::rig::{asked, deadlines, fixed, list, pod, start, start_with, wanted};
use crate::script::{Asked, Reply, Server};
use crate::tls::tls;

fn one_pod(asked: &Asked) -> Reply {
    if asked.watches { Reply::events([]) } else { Reply::json(&list(1, &[pod("a", 1, "10.0.0.1")])) }
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the test plays the kubelet, which replaces the token")]
async fn a_token_that_was_replaced_is_read_again_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    std::fs::write(&path, "old").unwrap();
    let replace = path.clone();
    let server = Server::start(move |asked| {
        if asked.bearer == "new" {
            return one_pod(asked);
        }
        std::fs::write(&replace, "new\n").unwrap();
        Reply::error(401, "Unauthorized", "Unauthorized")
    })
    .await;
    let api = ApiServer::new(&server.url(), None, Arc::new(FileToken::new(&path))).unwrap();
    let rig = start_with(api.with_user_agent("safeguard-test/1").unwrap(), wanted());
    rig.knows(&["a"]).await;
    let lists = server.lists();
    assert_eq!(lists.iter().map(|asked| asked.bearer.as_str()).collect::<Vec<_>>(), ["old", "new"]);
    assert_eq!(rig.reader.health().pods.failures, 0, "it was not at once");
    assert_eq!(lists[0].agent, "safeguard-test/1");
}

#[tokio::test]
async fn a_token_that_stays_refused_is_no_reason_to_storm() {
    let server = Server::start(|_| Reply::error(401, "Unauthorized", "Unauthorized")).await;
    let rig = start(&server);
    rig.until("three failures", |reader| reader.health().pods.failures == 3).await;
    let said = rig.reader.health().last_error.unwrap();
    assert!(said.contains("token") && !said.contains("fixed-token"), "{said}");
    assert!(server.log().len() <= 8, "{}", server.log().len());
}

#[tokio::test]
async fn what_is_missing_is_named_where_the_api_server_forbids() {
    let granted = Arc::new(AtomicBool::new(false));
    let grant = granted.clone();
    let server = Server::start(move |asked| {
        if granted.load(Ordering::Relaxed) {
            return one_pod(asked);
        }
        Reply::error(403, "Forbidden", "pods is forbidden: User \"system:node:x\" cannot list resource \"pods\"")
    })
    .await;
    let rig = start(&server);
    rig.until("the error", |reader| reader.health().last_error.is_some()).await;
    let said = rig.reader.health().last_error.unwrap();
    for part in ["list pods", "system:node:x", "ClusterRole", "`watch`"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!rig.reader.health().synced);
    grant.store(true, Ordering::Relaxed);
    rig.knows(&["a"]).await;
    rig.until("no error", |reader| reader.health().last_error.is_none()).await;
}

#[tokio::test]
async fn only_the_clusters_authority_is_trusted() {
    let (pem, acceptor) = tls("127.0.0.1");
    let server = Server::start_at("127.0.0.1:0".parse().unwrap(), Some(acceptor), one_pod).await;
    let url = format!("https://{}", server.address);
    let connect = |authority: &str| {
        let api = ApiServer::new(&url, Some(authority.as_bytes()), fixed()).unwrap();
        start_with(api.with_deadlines(deadlines()), wanted())
    };
    let (other, _) = tls("127.0.0.1");
    let deceived = connect(&other);
    deceived.until("the error", |reader| reader.health().last_error.is_some()).await;
    let said = deceived.reader.health().last_error.unwrap();
    assert!(said.contains("certificate"), "{said}");
    assert!(server.log().is_empty(), "the token went to a stranger");

    let rig = connect(&pem);
    rig.knows(&["a"]).await;
    asked("a watch over TLS", || server.watches().len() == 1).await;
}

/// A token that cannot be had is a failure like others: said, and tried again.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the test plays the kubelet, which writes the token")]
async fn a_token_that_comes_late_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    let server = Server::start(one_pod).await;
    let api = ApiServer::new(&server.url(), None, Arc::new(FileToken::new(&path))).unwrap();
    let rig = start_with(api.with_deadlines(deadlines()), wanted());
    rig.until("the error", |reader| reader.health().last_error.is_some()).await;
    let said = rig.reader.health().last_error.unwrap();
    assert!(said.contains(path.to_str().unwrap()) && server.log().is_empty(), "{said}");
    tokio::time::sleep(Duration::from_millis(50)).await;
    std::fs::write(&path, "late").unwrap();
    rig.knows(&["a"]).await;
}
