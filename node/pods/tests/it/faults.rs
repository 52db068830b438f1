//! What no API server should send, and what one may answer when it is not well.

use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;

use crate::rig::{asked, event, known, list, pod, start, with};
use crate::script::{Reply, Server, Step};

#[tokio::test]
async fn a_line_that_is_cut_is_not_taken_and_comes_again() {
    let server = Server::start(|asked| match (asked.watches, asked.nth) {
        (false, _) => Reply::json(&list(1, &[pod("a", 1, "10.0.0.1")])),
        (true, 0) => {
            let text =
                format!("{}\n{}", event("ADDED", pod("b", 2, "10.0.0.2")), event("DELETED", pod("a", 3, "10.0.0.1")));
            Reply::steps([Step::Send(text), Step::Cut])
        }
        // Half a line, then an end that looks orderly.
        (true, 1) => Reply::steps([Step::Send(r#"{"type":"DELETED","object":{"#.to_owned())]),
        (true, _) => Reply::events([event("DELETED", pod("a", 3, "10.0.0.1"))]),
    })
    .await;
    let rig = start(&server);
    rig.knows(&["b"]).await;
    assert_eq!(server.lists().len(), 1, "a cut needs no list");
    let from: Vec<_> =
        server.watches().iter().map(|asked| asked.query("resourceVersion").unwrap().to_owned()).collect();
    assert_eq!(from, ["1", "2", "2"]);
    assert_eq!(rig.reader.health().pods.failures, 2);
}

/// Whom it concerned is not known: it may have been a deletion.
#[tokio::test]
async fn a_line_that_cannot_be_read_is_counted_and_everything_is_listed_anew() {
    let huge = format!("{{\"type\":\"MODIFIED\",\"object\":{}", "x".repeat(4 << 20));
    let lines = [
        "garbage".to_owned(),
        "{}".to_owned(),
        r#"{"type":"ADDED"}"#.to_owned(),
        r#"{"type":"DELETED","object":{"metadata":{"resourceVersion":"5"}}}"#.to_owned(),
        r#"{"type":"ADDED","object":{"metadata":{"uid":["a"]}}}"#.to_owned(),
        r#"{"type":"NEW","object":{"metadata":{"uid":"a"}}}"#.to_owned(),
        "\u{0}\u{1}".to_owned(),
        huge,
    ];
    let mut cases = JoinSet::new();
    for garbage in lines {
        let shown: String = garbage.chars().take(60).collect();
        cases.spawn(async move {
            let server = Server::start(move |asked| match (asked.watches, asked.nth) {
                (false, 0) => Reply::json(&list(1, &[pod("a", 1, "10.0.0.1")])),
                (true, 0) => Reply::steps([Step::Send(format!("{garbage}\n")), Step::Hang]),
                (false, _) => Reply::json(&list(9, &[pod("b", 8, "10.0.0.1")])),
                (true, _) => Reply::events([]),
            })
            .await;
            let rig = start(&server);
            rig.knows(&["b"]).await;
            assert_eq!(rig.reader.health().pods.skipped, 1, "{shown}");
        });
    }
    cases.join_all().await;
}

/// It is not known what it is now, so it is not said to be what it was.
#[tokio::test]
async fn a_pod_that_cannot_be_read_any_more_is_not_known_until_it_can() {
    let server = Server::start(|asked| match (asked.watches, asked.nth) {
        (false, _) => Reply::json(&list(1, &[pod("a", 1, "10.0.0.1"), pod("b", 1, "10.0.0.2")])),
        (true, _) => Reply::steps([
            Step::Wait(Duration::from_millis(300)),
            Step::Send(format!("{}\n", event("MODIFIED", with(pod("a", 2, "10.0.0.1"), "/status/podIPs", json!("?"))))),
            Step::Wait(Duration::from_millis(300)),
            Step::Send(format!("{}\n", event("MODIFIED", pod("a", 3, "10.0.0.9")))),
            Step::Hang,
        ]),
    })
    .await;
    let rig = start(&server);
    rig.knows(&["a", "b"]).await;
    rig.knows(&["b"]).await;
    assert!(rig.reader.at("10.0.0.1".parse().unwrap()).is_empty());
    rig.knows(&["a", "b"]).await;
    assert_eq!((server.log().len(), rig.reader.health().pods.skipped), (2, 1), "the watch went on");
}

#[tokio::test]
async fn pods_of_other_nodes_never_enter_whatever_the_server_selects() {
    let server = Server::start(|asked| match asked.watches {
        false => Reply::json(&list(1, &[with(pod("a", 1, "10.0.0.1"), "/spec/nodeName", json!("other"))])),
        true => Reply::events([
            event("ADDED", with(pod("b", 2, "10.0.0.2"), "/spec/nodeName", json!("other"))),
            event("ADDED", with(pod("c", 3, "10.0.0.3"), "/spec/nodeName", json!(null))),
            event("ADDED", pod("mine", 4, "10.0.0.4")),
        ]),
    })
    .await;
    let rig = start(&server);
    rig.knows(&["mine"]).await;
    assert_eq!(rig.reader.health().pods.skipped, 3);
}

#[tokio::test]
async fn retry_after_is_kept_to() {
    for status in [429, 503] {
        let server = Server::start(move |asked| match (asked.watches, asked.nth) {
            (false, 0) => Reply::error(status, "TooManyRequests", "too busy").header("retry-after", "1"),
            (false, _) => Reply::json(&list(1, &[pod("a", 1, "10.0.0.1")])),
            (true, _) => Reply::events([]),
        })
        .await;
        let rig = start(&server);
        rig.knows(&["a"]).await;
        let lists = server.lists();
        let waited = lists[1].at - lists[0].at;
        assert!(lists.len() == 2 && waited >= Duration::from_secs(1) && waited < Duration::from_secs(5), "{waited:?}");
    }
}

#[tokio::test]
async fn a_server_that_fails_is_asked_less_and_less_often_and_its_words_are_shown() {
    let server = Server::start(|asked| match (asked.watches, asked.nth) {
        (false, 0..4) => Reply::error(500, "InternalError", "etcdserver: leader changed"),
        (false, _) => Reply::json(&list(1, &[pod("a", 1, "10.0.0.1")])),
        (true, _) => Reply::events([]),
    })
    .await;
    let rig = start(&server);
    rig.until("the error", |reader| reader.health().last_error.is_some()).await;
    let said = rig.reader.health().last_error.unwrap();
    assert!(["500", "list pods", "leader changed"].iter().all(|part| said.contains(part)), "{said}");
    rig.knows(&["a"]).await;
    rig.until("the end of the error", |reader| reader.health().last_error.is_none()).await;
    let lists = server.lists();
    let waits: Vec<Duration> = lists.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    // The halves of 0.25, 0.5, 1 and 2 s are certain.
    for (wait, least) in waits.iter().zip([125, 250, 500, 1000]) {
        assert!(*wait >= Duration::from_millis(least), "{waits:?}");
    }
    assert_eq!((lists.len(), rig.reader.health().pods.failures), (5, 4));
}

#[tokio::test]
async fn a_version_that_the_server_does_not_reach_is_given_up_for_the_most_recent_list() {
    // A cluster that was restored from a backup.
    let server = Server::start(|asked| match (asked.watches, asked.nth, asked.query("resourceVersion")) {
        (false, 0, _) => Reply::json(&list(1_000, &[pod("a", 900, "10.0.0.1")])),
        (true, 0, _) | (false, _, Some(_)) => {
            Reply::error(504, "Timeout", "Too large resource version: 1000, current: 100")
        }
        (false, _, None) => Reply::json(&list(100, &[pod("b", 90, "10.0.0.1")])),
        (true, _, _) => Reply::events([]),
    })
    .await;
    let rig = start(&server);
    rig.knows(&["b"]).await;
    asked("a watch", || server.watches().len() == 2).await;
    assert_eq!((server.watches()[1].query("resourceVersion"), known(&rig.reader)), (Some("100"), vec!["b".to_owned()]));
}

#[tokio::test]
async fn an_answer_that_is_no_list_changes_nothing() {
    let mut cases = JoinSet::new();
    for odd in
        ["", "<html>please log in</html>", "{}", "[]", r#"{"items":[]}"#, r#"{"metadata":{"resourceVersion":"5"}}"#]
    {
        cases.spawn(async move {
            let server = Server::start(move |asked| match (asked.watches, asked.nth) {
                (false, 0) => Reply::json(&list(1, &[pod("a", 1, "10.0.0.1")])),
                (true, 0) => Reply::error(410, "Expired", "too old"),
                (false, 1) => Reply::steps([Step::Send(odd.to_owned())]),
                (false, _) => Reply::error(500, "InternalError", "no"),
                (true, _) => Reply::events([]),
            })
            .await;
            let rig = start(&server);
            asked("a third list", || server.lists().len() >= 3).await;
            assert_eq!((known(&rig.reader), rig.reader.health().pods.lists), (vec!["a".to_owned()], 1), "{odd}");
        });
    }
    cases.join_all().await;
}
