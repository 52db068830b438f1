//! Lists: pages, starting over, what does not enter.

use std::time::Duration;

use safeguard_pods::{MAX_ANNOTATION_BYTES, TOO_LONG};
use serde_json::{Value, json};

use crate::rig::{NODE, asked, event, known, list, pod, start, start_with, wanted_with_namespaces, with};
use crate::script::{Reply, Server, Step};

fn page(version: u64, items: &[Value], next: &str) -> Value {
    with(list(version, items), "/metadata/continue", json!(next))
}

#[tokio::test]
async fn pages_are_put_together_and_enter_at_once() {
    let server = Server::start(|asked| match (asked.watches, asked.query("continue")) {
        (true, _) => Reply::events([]),
        (false, None) => Reply::json(&page(7, &[pod("a", 3, "10.0.0.1")], "more+/=")),
        (false, Some(_)) => Reply::steps([
            Step::Wait(Duration::from_millis(200)),
            Step::Send(list(7, &[pod("b", 4, "10.0.0.2")]).to_string()),
        ]),
    })
    .await;
    let rig = start(&server);
    rig.until("the first page", |_| server.lists().len() == 2).await;
    assert!(known(&rig.reader).is_empty() && !rig.reader.health().synced, "half a list was let in");
    rig.knows(&["a", "b"]).await;
    assert!(rig.reader.health().synced);
    assert_eq!(rig.reader.pod("a").unwrap().annotations.len(), 1, "more was kept than was asked for");

    let [first, second] = &server.lists()[..] else { panic!("{:?}", server.lists()) };
    let selector = format!("spec.nodeName={NODE}");
    for asked in [first, second] {
        assert_eq!((asked.query("fieldSelector"), asked.query("limit")), (Some(selector.as_str()), Some("500")));
    }
    // Whatever the API server has in memory: a fleet that starts must not make it read its whole store for each node.
    let version = |at: usize| {
        (
            server.lists()[at].query.get("resourceVersion").cloned(),
            server.lists()[at].query.get("resourceVersionMatch").cloned(),
        )
    };
    assert_eq!(version(0), (Some("0".to_owned()), Some("NotOlderThan".to_owned())));
    // With `continue`, a version is an error (Kubernetes API, ListOptions).
    assert_eq!((version(1), second.query("continue")), ((None, None), Some("more+/=")));
    asked("a watch", || !server.watches().is_empty()).await;
    let watch = &server.watches()[0];
    let parameters = ["watch", "allowWatchBookmarks", "resourceVersion", "fieldSelector"].map(|key| watch.query(key));
    assert_eq!(parameters, [Some("true"), Some("true"), Some("7"), Some(selector.as_str())]);
    let seconds: u64 = watch.query("timeoutSeconds").unwrap().parse().unwrap();
    assert!((45..=75).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn a_410_while_paging_starts_over_with_the_most_recent_list() {
    let server = Server::start(|asked| match (asked.watches, asked.nth) {
        (true, _) => Reply::events([]),
        (false, 0) => Reply::json(&page(7, &[pod("gone", 3, "10.0.0.1")], "more")),
        (false, 1) => Reply::error(410, "Expired", "the provided continue parameter is too old"),
        (false, _) => Reply::json(&list(9, &[pod("a", 8, "10.0.0.1")])),
    })
    .await;
    let rig = start(&server);
    rig.knows(&["a"]).await;
    let third = &server.lists()[2];
    assert_eq!((third.query("continue"), third.query("resourceVersion")), (None, None));
    asked("a watch", || !server.watches().is_empty()).await;
    assert_eq!(server.watches()[0].query("resourceVersion"), Some("9"));
}

/// An API server that is behind what was seen would bring pods back to life.
#[tokio::test]
async fn a_list_that_is_older_than_what_is_known_is_not_believed() {
    let server = Server::start(|asked| match (asked.watches, asked.nth) {
        (false, 0) => Reply::json(&list(10, &[pod("a", 3, "10.0.0.1"), pod("b", 4, "10.0.0.2")])),
        (true, 0) => Reply::steps([
            Step::Send(format!("{}\n", event("DELETED", pod("a", 20, "10.0.0.1")))),
            Step::Send(format!("{}\n", crate::rig::expired())),
        ]),
        (false, 1) => Reply::json(&list(15, &[pod("a", 3, "10.0.0.1"), pod("b", 4, "10.0.0.2")])),
        (false, _) => Reply::json(&list(30, &[pod("b", 4, "10.0.0.2")])),
        (true, _) => Reply::events([]),
    })
    .await;
    let rig = start(&server);
    rig.until("three lists", |_| server.lists().len() == 3).await;
    assert_eq!(known(&rig.reader), ["b"]);
    rig.until("the watch goes on", |_| server.watches().len() == 2).await;
    assert_eq!(known(&rig.reader), ["b"]);
    assert_eq!(
        (server.lists()[1].query("resourceVersion"), server.lists()[2].query("resourceVersion")),
        (Some("20"), None)
    );
}

#[tokio::test]
async fn what_cannot_be_read_or_is_huge_is_left_out_and_counted_and_the_rest_enters() {
    let server = Server::start(|asked| {
        if asked.watches {
            return Reply::events([]);
        }
        let items = [
            pod("a", 1, "10.0.0.1"),
            with(pod("huge", 2, "10.0.0.2"), "/metadata/annotations", json!({ "role": "x".repeat(4 << 20) })),
            with(pod("odd", 3, "10.0.0.3"), "/metadata/name", json!(5)),
            json!({}),
            with(pod("elsewhere", 4, "10.0.0.4"), "/spec/nodeName", json!("another")),
            pod("b", 5, "10.0.0.5"),
        ];
        Reply::json(&list(9, &items))
    })
    .await;
    let rig = start(&server);
    rig.knows(&["a", "b"]).await;
    let health = rig.reader.health();
    assert_eq!((health.pods.skipped, health.synced, health.last_error), (4, true, None));
}

#[tokio::test]
async fn an_annotation_that_is_too_long_is_marked_and_counted() {
    let server = Server::start(|asked| {
        let long = json!({ "role": "x".repeat(MAX_ANNOTATION_BYTES + 1) });
        let items = [with(pod("a", 1, "10.0.0.1"), "/metadata/annotations", long)];
        if asked.watches { Reply::events([]) } else { Reply::json(&list(9, &items)) }
    })
    .await;
    let rig = start(&server);
    rig.knows(&["a"]).await;
    assert_eq!(rig.role("a").as_deref(), Some(TOO_LONG));
    assert_eq!(rig.reader.health().pods.too_long, 1);
}

#[tokio::test]
async fn namespaces_of_the_whole_cluster_are_known_by_what_is_wanted_of_them() {
    let server = Server::start(|asked| match (asked.resource.as_str(), asked.watches) {
        ("namespaces", false) => Reply::json(&list(5, &[
            json!({ "metadata": { "uid": "n1", "name": "one", "resourceVersion": "1", "annotations": { "allowed": "[]", "x": "y" } } }),
            json!({ "metadata": { "uid": "n2", "name": "two", "resourceVersion": "2" } }),
        ])),
        ("namespaces", true) => Reply::events([
            event("MODIFIED", json!({ "metadata": { "uid": "n2", "name": "two", "resourceVersion": "6", "annotations": { "allowed": "[\"a\"]" } } })),
            event("DELETED", json!({ "metadata": { "uid": "n1", "name": "one", "resourceVersion": "7" } })),
        ]),
        (_, false) => Reply::json(&list(5, &[])),
        (_, true) => Reply::events([]),
    })
    .await;
    let api = safeguard_pods::ApiServer::new(&server.url(), None, crate::rig::fixed()).unwrap();
    let rig = start_with(api, wanted_with_namespaces());
    rig.until("the deletion", |reader| reader.health().namespaces.events == 2).await;
    assert_eq!(rig.reader.namespace("one"), None);
    let two = rig.reader.namespace("two").unwrap();
    assert_eq!((two.annotations.len(), &*two.annotations["allowed"]), (1, "[\"a\"]"));
    let asked = server.log().into_iter().find(|asked| asked.resource == "namespaces").unwrap();
    assert_eq!(asked.query("fieldSelector"), None);
}

#[tokio::test]
async fn namespaces_of_which_nothing_is_wanted_are_not_asked_for() {
    let server =
        Server::start(|asked| if asked.watches { Reply::events([]) } else { Reply::json(&list(5, &[])) }).await;
    let rig = start(&server);
    rig.until("the list", |reader| reader.health().synced).await;
    rig.until("the watch", |_| !server.watches().is_empty()).await;
    assert!(server.log().iter().all(|asked| asked.resource == "pods"));
}

#[tokio::test]
async fn a_list_that_never_ends_is_given_up() {
    let server = Server::start(|asked| match (asked.watches, asked.nth) {
        (true, _) => Reply::events([]),
        (false, 0..3) => Reply::json(&page(7, &[], "again")),
        (false, _) => Reply::json(&list(9, &[pod("a", 8, "10.0.0.1")])),
    })
    .await;
    let rig = start(&server);
    rig.knows(&["a"]).await;
    let failures = rig.reader.health().pods.failures;
    assert!((1..=2).contains(&failures), "{failures}");
}

/// 8 MB of pods of which each is small: nothing of it is held longer than an object.
#[tokio::test]
async fn a_large_list_comes_through_in_pieces() {
    let server = Server::start(|asked| {
        if asked.watches {
            return Reply::events([]);
        }
        let filler = "f".repeat(20_000);
        let items: Vec<Value> = (0..400u64)
            .map(|i| with(pod(&format!("p{i:04}"), i + 1, "10.0.0.1"), "/metadata/managedFields", json!(filler)))
            .collect();
        let text = list(1000, &items).to_string();
        Reply::steps(text.as_bytes().chunks(9_973).map(|piece| Step::Send(String::from_utf8(piece.to_vec()).unwrap())))
    })
    .await;
    let rig = start(&server);
    rig.until("all", |reader| reader.pods().len() == 400).await;
    assert_eq!(rig.reader.at("10.0.0.1".parse().unwrap()).len(), 400);
}
