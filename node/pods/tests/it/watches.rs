//! Watches: events and their order, bookmarks, and where a watch goes on.

use std::time::Duration;

use serde_json::{Value, json};

use crate::rig::{asked, bookmark, event, expired, impatient, known, list, pod, start, start_with, wanted, with};
use crate::script::{Reply, Server, Step};

fn line(event: &Value) -> Step {
    Step::Send(format!("{event}\n"))
}

fn no_pods(asked: &crate::script::Asked) -> Option<Reply> {
    (!asked.watches).then(|| Reply::json(&list(1, &[])))
}

#[tokio::test]
async fn events_are_applied_as_they_come_and_each_change_is_told() {
    let server = Server::start(|asked| {
        no_pods(asked).unwrap_or_else(|| {
            Reply::events([
                event("ADDED", pod("a", 2, "10.0.0.1")),
                event("ADDED", pod("b", 3, "10.0.0.2")),
                event("MODIFIED", with(pod("a", 4, "10.0.0.1"), "/status/phase", json!("Succeeded"))),
                // Nothing of it is kept, so nothing changes.
                event("MODIFIED", with(pod("b", 5, "10.0.0.2"), "/status/message", json!("a heartbeat"))),
                event("DELETED", pod("b", 6, "10.0.0.2")),
            ])
        })
    })
    .await;
    let rig = start(&server);
    let changes = rig.reader.changes();
    rig.until("five events", |reader| reader.health().pods.events == 5).await;
    assert_eq!(known(&rig.reader), ["a"]);
    // kube2iam PR#95: it is known to be finished, and who asks decides.
    assert!(rig.reader.pod("a").unwrap().is_finished());
    assert_eq!(*changes.borrow(), 4);
}

/// kube2iam#17: a pod that was deleted while nobody watched went on to be known.
#[tokio::test]
async fn a_watch_that_lost_its_place_forgets_the_pods_that_are_gone() {
    for by_status in [true, false] {
        let server = Server::start(move |asked| match (asked.watches, asked.nth) {
            (false, 0) => Reply::json(&list(10, &[pod("old", 3, "10.0.0.1"), pod("stays", 4, "10.0.0.2")])),
            (true, 0) if by_status => Reply::error(410, "Expired", "too old resource version: 10 (500)"),
            (true, 0) => Reply::steps([line(&expired())]),
            (false, _) => Reply::json(&list(500, &[pod("new", 400, "10.0.0.1"), pod("stays", 4, "10.0.0.2")])),
            (true, _) => Reply::events([]),
        })
        .await;
        let rig = start(&server);
        rig.knows(&["new", "stays"]).await;
        let there = rig.reader.at("10.0.0.1".parse().unwrap());
        assert_eq!(there.iter().map(|pod| &*pod.uid).collect::<Vec<_>>(), ["new"]);
        asked("a watch from the new list", || server.watches().len() == 2).await;
        assert_eq!(server.watches()[1].query("resourceVersion"), Some("500"));
        assert_eq!(rig.reader.health().pods.lists, 2);
    }
}

#[tokio::test]
async fn an_older_event_does_not_undo_a_newer_one() {
    let server = Server::start(|asked| {
        no_pods(asked).unwrap_or_else(|| {
            let role =
                |version, role: &str| with(pod("a", version, "10.0.0.1"), "/metadata/annotations/role", json!(role));
            Reply::events([
                event("ADDED", role(99, "first")),
                event("MODIFIED", role(101, "newest")),
                event("MODIFIED", role(100, "older")),
                event("ADDED", pod("b", 102, "10.0.0.2")),
                event("DELETED", pod("b", 104, "10.0.0.2")),
                event("MODIFIED", pod("b", 103, "10.0.0.2")),
            ])
        })
    })
    .await;
    let rig = start(&server);
    rig.until("six events", |reader| reader.health().pods.events == 6).await;
    // 100 is after 99 only where versions are numbers.
    assert_eq!((rig.role("a").as_deref(), known(&rig.reader)), (Some("newest"), vec!["a".to_owned()]));
    assert_eq!(rig.reader.health().pods.late, 2);
}

#[tokio::test]
async fn another_uid_under_the_same_name_is_another_pod() {
    let server = Server::start(|asked| {
        no_pods(asked).unwrap_or_else(|| {
            let named = |uid: &str, version| with(pod(uid, version, "10.0.0.1"), "/metadata/name", json!("web-0"));
            Reply::events([
                event("ADDED", named("first", 2)),
                event("ADDED", named("second", 5)),
                // The deletion of the first and its last words come late.
                event("MODIFIED", named("first", 3)),
                event("DELETED", named("first", 4)),
            ])
        })
    })
    .await;
    let rig = start(&server);
    rig.until("four events", |reader| reader.health().pods.events == 4).await;
    assert_eq!(known(&rig.reader), ["second"]);
    assert_eq!(&*rig.reader.named("team", "web-0").unwrap().uid, "second");
    assert_eq!(rig.reader.at("10.0.0.1".parse().unwrap()).len(), 1);
}

#[tokio::test]
async fn a_bookmark_moves_the_place_where_the_watch_goes_on() {
    let server = Server::start(|asked| {
        no_pods(asked).unwrap_or_else(|| match asked.nth {
            0 => Reply::steps([line(&event("ADDED", pod("a", 2, "10.0.0.1"))), line(&bookmark(50)), Step::Cut]),
            1 => Reply::steps([line(&bookmark(60))]),
            _ => Reply::events([]),
        })
    })
    .await;
    let rig = start(&server);
    asked("three watches", || server.watches().len() == 3).await;
    let from: Vec<_> =
        server.watches().iter().map(|asked| asked.query("resourceVersion").unwrap().to_owned()).collect();
    assert_eq!(from, ["1", "50", "60"]);
    assert_eq!((server.lists().len(), known(&rig.reader)), (1, vec!["a".to_owned()]));
}

#[tokio::test]
async fn an_orderly_end_is_a_proof_of_life_and_the_watch_goes_on_without_a_list() {
    let server = Server::start(|asked| {
        no_pods(asked).unwrap_or_else(|| Reply::steps([Step::Wait(Duration::from_millis(1_100))]))
    })
    .await;
    let rig = start(&server);
    asked("three watches", || server.watches().len() == 3).await;
    let health = rig.reader.health();
    assert!(health.silent_for < Duration::from_secs(1), "{health:?}");
    assert_eq!((server.lists().len(), health.pods.failures, health.last_error), (1, 0, None));
}

#[tokio::test]
async fn a_stalled_watch_is_found_and_shows_until_it_is_replaced() {
    let server = Server::start(|asked| {
        no_pods(asked).unwrap_or_else(|| match asked.nth {
            0 => Reply::events([event("ADDED", pod("a", 2, "10.0.0.1"))]),
            _ => Reply::events([event("ADDED", pod("b", 3, "10.0.0.2"))]),
        })
    })
    .await;
    let api = safeguard_pods::ApiServer::new(&server.url(), None, crate::rig::fixed()).unwrap();
    let rig = start_with(api.with_deadlines(impatient()), wanted());
    rig.knows(&["a"]).await;
    rig.until("a second of silence", |reader| reader.health().silent_for > Duration::from_secs(1)).await;
    rig.knows(&["a", "b"]).await;
    let took = server.watches()[1].at - server.watches()[0].at;
    assert!(took >= Duration::from_millis(1_400) && took < Duration::from_secs(5), "{took:?}");
    assert_eq!(server.watches()[1].query("resourceVersion"), Some("2"));
    let health = rig.reader.health();
    assert!(health.silent_for < Duration::from_secs(1) && health.pods.failures == 1, "{health:?}");
}

#[tokio::test]
async fn the_end_ends_it_and_what_is_known_stays() {
    let server = Server::start(|asked| {
        no_pods(asked).unwrap_or_else(|| Reply::events([event("ADDED", pod("a", 2, "10.0.0.1"))]))
    })
    .await;
    let (writer, reader) = safeguard_pods::index();
    let api = safeguard_pods::ApiServer::new(&server.url(), None, crate::rig::fixed()).unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let task = tokio::spawn(safeguard_pods::watch(writer, api, wanted(), async move { drop(stopped.await) }));
    asked("the pod", || reader.pod("a").is_some()).await;
    stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(5), task).await.unwrap().unwrap();
    assert!(reader.pod("a").is_some());
}
