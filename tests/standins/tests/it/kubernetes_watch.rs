//! Watches of the API server: what they send, when they end, and what goes wrong with them.

use std::time::Duration;

use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use safeguard_standins::{
    Trouble,
    kubernetes::{Gone, PodSpec, Verb, namespace},
};
use serde_json::Value;
use tokio::{sync::mpsc, time::timeout};

use crate::kubernetes::{Rig, names, pod};

/// Long enough for anything that comes at all.
const SOON: Duration = Duration::from_secs(5);
/// Long enough to see that nothing comes.
const A_MOMENT: Duration = Duration::from_millis(80);

struct Watch {
    lines: mpsc::Receiver<Result<String, String>>,
}

impl Watch {
    async fn open(rig: &Rig, query: &str) -> Watch {
        let stream = tokio::net::TcpStream::connect(rig.api.addr()).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = http::Request::get(format!("/api/v1/{query}"))
            .header("host", "x")
            .header("authorization", format!("Bearer {}", rig.token));
        let reply = sender.send_request(request.body(Empty::<bytes::Bytes>::new()).unwrap()).await.unwrap();
        assert_eq!(
            (reply.status().as_u16(), &reply.headers()["transfer-encoding"]),
            (200, &"chunked".parse().unwrap())
        );
        let (send, lines) = mpsc::channel(1_000);
        let mut body = reply.into_body();
        tokio::spawn(async move {
            // Keeps the connection as long as the body.
            let _sender = sender;
            let mut text = String::new();
            while let Some(frame) = body.frame().await {
                match frame {
                    Ok(frame) => text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap()),
                    Err(error) => return drop(send.send(Err(error.to_string())).await),
                }
                while let Some((line, rest)) = text.split_once('\n') {
                    if send.send(Ok(line.to_owned())).await.is_err() {
                        return;
                    }
                    text = rest.to_owned();
                }
            }
        });
        Watch { lines }
    }

    async fn event(&mut self) -> Value {
        let line = timeout(SOON, self.lines.recv()).await.expect("an event in time").expect("the watch goes on");
        serde_json::from_str(&line.unwrap()).unwrap()
    }

    /// `TYPE name`
    async fn next(&mut self) -> String {
        let event = self.event().await;
        let name = event["object"]["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        format!("{} {name}", event["type"].as_str().unwrap())
    }

    async fn nothing(&mut self) {
        assert!(timeout(A_MOMENT, self.lines.recv()).await.is_err(), "nothing comes");
    }

    /// Waits for the end: none when it was a proper one.
    async fn end(&mut self) -> Option<String> {
        match timeout(SOON, self.lines.recv()).await.expect("an end in time") {
            None => None,
            Some(Err(error)) => Some(error),
            Some(Ok(line)) => panic!("{line}"),
        }
    }
}

fn since(rig: &Rig) -> String {
    format!("pods?watch=true&resourceVersion={}", rig.api.version())
}

#[tokio::test]
async fn changes_after_the_version_are_sent_in_their_order() {
    let rig = Rig::new().await;
    rig.api.add_pod(pod("before"));
    let query = since(&rig);
    rig.api.add_pod(pod("a"));
    let mut watch = Watch::open(&rig, &query).await;
    rig.api.update_pod(pod("a").annotation("k", "v"));
    rig.api.add_namespace(namespace("n", &[]));
    rig.api.delete_pod("default", "a");
    assert_eq!(watch.next().await, "ADDED a");
    let modified = watch.event().await;
    assert_eq!((&modified["type"], &modified["object"]["kind"]), (&"MODIFIED".into(), &"Pod".into()));
    assert_eq!(modified["object"]["metadata"]["annotations"]["k"], "v");
    let deleted = watch.event().await;
    assert_eq!((&deleted["type"], &deleted["object"]["metadata"]["name"]), (&"DELETED".into(), &"a".into()));
    assert_eq!(deleted["object"]["metadata"]["resourceVersion"], rig.api.version().to_string());
    watch.nothing().await;
    let mut namespaces = Watch::open(&rig, "namespaces?watch=1&resourceVersion=1000").await;
    assert_eq!(namespaces.next().await, "ADDED n");
}

#[tokio::test]
async fn a_watch_without_a_version_begins_with_what_there_is() {
    let rig = Rig::new().await;
    rig.api.add_pod(pod("a"));
    for query in ["pods?watch=true", "pods?watch=True&resourceVersion=0", "pods?watch=1", "pods?watch=t"] {
        let mut watch = Watch::open(&rig, query).await;
        assert_eq!(watch.next().await, "ADDED a");
        watch.nothing().await;
    }
    let refused = rig.get("/api/v1/pods?watch=true&sendInitialEvents=true").await;
    assert_eq!(refused.status, 422);
    let query = "pods?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut watch = Watch::open(&rig, query).await;
    assert_eq!(watch.next().await, "ADDED a");
    let bookmark = watch.event().await;
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_eq!(bookmark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
}

#[tokio::test]
async fn an_object_that_begins_or_ends_to_match_is_added_or_deleted() {
    let rig = Rig::new().await;
    let mut watch = Watch::open(&rig, &format!("{}&fieldSelector=spec.nodeName%3Dn1", since(&rig))).await;
    rig.api.add_pod(PodSpec::new("default", "a"));
    rig.api.add_pod(pod("elsewhere").node("n2"));
    rig.api.update_pod(pod("a"));
    rig.api.update_pod(pod("a").phase("Failed"));
    rig.api.update_pod(pod("a").node("n2"));
    rig.api.delete_pod("default", "a");
    for expected in ["ADDED a", "MODIFIED a", "DELETED a"] {
        assert_eq!(watch.next().await, expected);
    }
    watch.nothing().await;
}

#[tokio::test]
async fn a_name_that_is_used_again_is_deleted_before_it_is_added() {
    let rig = Rig::new().await;
    let mut watch = Watch::open(&rig, &since(&rig)).await;
    rig.api.add_pod(pod("a").uid("u-1"));
    rig.api.add_pod(pod("a").uid("u-2"));
    for expected in ["ADDED a", "DELETED a", "ADDED a"] {
        assert_eq!(watch.next().await, expected);
    }
}

#[tokio::test]
async fn bookmarks_come_to_those_who_allow_them_and_name_the_version() {
    let rig = Rig::new().await;
    rig.api.set_bookmark_interval(Duration::from_millis(20));
    let mut without = Watch::open(&rig, &since(&rig)).await;
    let mut with = Watch::open(&rig, &format!("{}&allowWatchBookmarks=true", since(&rig))).await;
    rig.api.add_namespace(namespace("n", &[]));
    let version = rig.api.version().to_string();
    let mut last = Value::Null;
    for _ in 0..50 {
        last = with.event().await;
        assert_eq!((&last["type"], &last["object"]["kind"]), (&"BOOKMARK".into(), &"Pod".into()));
        if last["object"]["metadata"]["resourceVersion"] == version {
            break;
        }
    }
    assert_eq!(last["object"]["metadata"]["resourceVersion"], version);
    without.nothing().await;
}

#[tokio::test]
async fn a_watch_ends_when_its_time_is_over() {
    let rig = Rig::new().await;
    let began = tokio::time::Instant::now();
    let mut watch = Watch::open(&rig, &format!("{}&timeoutSeconds=1", since(&rig))).await;
    assert_eq!(watch.end().await, None);
    let lasted = began.elapsed();
    assert!(lasted >= Duration::from_secs(1) && lasted < Duration::from_secs(4), "{lasted:?}");
}

#[tokio::test]
async fn what_is_too_old_is_gone_by_event_or_by_status() {
    let rig = Rig::new().await;
    let old = since(&rig);
    let mut open = Watch::open(&rig, &old).await;
    rig.api.compact();
    let mut watch = Watch::open(&rig, &old).await;
    let event = watch.event().await;
    assert_eq!((&event["type"], &event["object"]["kind"]), (&"ERROR".into(), &"Status".into()));
    assert_eq!((&event["object"]["code"], &event["object"]["reason"]), (&410.into(), &"Expired".into()));
    assert_eq!(event["object"]["message"], "too old resource version: 1000 (1001)");
    assert_eq!(watch.end().await, None);
    rig.api.set_gone(Gone::Status);
    let reply = rig.get(&format!("/api/v1/{old}")).await;
    assert_eq!((reply.status, &reply.json()["reason"]), (410, &"Expired".into()));

    // Those that are open go on, until they are told.
    rig.api.add_pod(pod("a"));
    assert_eq!(open.next().await, "ADDED a");
    rig.api.expire_watches();
    assert_eq!(open.event().await["object"]["code"], 410);
    assert_eq!(open.end().await, None);
    let future = rig.get(&format!("/api/v1/pods?watch=true&resourceVersion={}", rig.api.version() + 1)).await;
    assert_eq!((future.status, &future.json()["reason"]), (504, &"Timeout".into()));
}

#[tokio::test]
async fn a_stalled_watch_is_open_and_silent() {
    let rig = Rig::new().await;
    rig.api.set_bookmark_interval(Duration::from_millis(5));
    let mut watch = Watch::open(&rig, &since(&rig)).await;
    let mut marked = Watch::open(&rig, &format!("{}&allowWatchBookmarks=true", since(&rig))).await;
    assert_eq!(marked.next().await, "BOOKMARK ");
    rig.api.stall_watches(true);
    rig.api.add_pod(pod("a"));
    watch.nothing().await;
    while let Ok(Some(line)) = timeout(A_MOMENT, marked.lines.recv()).await {
        assert!(line.unwrap().contains("BOOKMARK"), "it was on its way");
    }
    assert_eq!(rig.api.watches(), 2);
    let mut late = Watch::open(&rig, "pods?watch=true").await;
    late.nothing().await;
    assert_eq!(names(&rig.get("/api/v1/pods").await.json()), ["a"]);
    rig.api.stall_watches(false);
    assert_eq!(watch.next().await, "ADDED a");
    assert_eq!(marked.next().await, "ADDED a");
    assert_eq!(late.next().await, "ADDED a");
}

#[tokio::test]
async fn watches_are_ended_or_cut() {
    let rig = Rig::new().await;
    let mut ended = Watch::open(&rig, &since(&rig)).await;
    rig.api.watched(1).await;
    rig.api.end_watches();
    assert_eq!(ended.end().await, None);
    rig.api.stall_watches(true);
    let mut cut = Watch::open(&rig, &since(&rig)).await;
    rig.api.watched(1).await;
    rig.api.cut_watches();
    assert!(cut.end().await.is_some());
    rig.api.stall_watches(false);
    let mut down = Watch::open(&rig, &since(&rig)).await;
    rig.api.watched(1).await;
    rig.api.go_down().await;
    assert!(down.end().await.is_some());
    for _ in 0..100 {
        if rig.api.watches() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} watches are left", rig.api.watches());
}

#[tokio::test]
async fn a_change_that_is_dropped_is_only_in_lists() {
    let rig = Rig::new().await;
    rig.api.add_pod(pod("a"));
    rig.api.add_pod(pod("b"));
    let query = since(&rig);
    let mut watch = Watch::open(&rig, &query).await;
    rig.api.drop_changes(2);
    rig.api.delete_pod("default", "a");
    rig.api.update_pod(pod("b").phase("Failed"));
    rig.api.add_pod(pod("c"));
    assert_eq!(watch.next().await, "ADDED c");
    let mut later = Watch::open(&rig, &query).await;
    assert_eq!(later.next().await, "ADDED c");
    assert_eq!(names(&rig.get("/api/v1/pods").await.json()), ["b", "c"]);
    rig.api.expire_watches();
    assert_eq!(watch.event().await["object"]["code"], 410);
}

#[tokio::test]
async fn two_changes_are_sent_in_the_wrong_order() {
    let rig = Rig::new().await;
    let mut watch = Watch::open(&rig, &since(&rig)).await;
    rig.api.reorder_changes();
    rig.api.add_pod(pod("a"));
    watch.nothing().await;
    rig.api.add_pod(pod("b"));
    rig.api.add_pod(pod("c"));
    for expected in ["ADDED b", "ADDED a", "ADDED c"] {
        assert_eq!(watch.next().await, expected);
    }
}

#[tokio::test]
async fn troubles_keep_a_watch_from_beginning() {
    let rig = Rig::new().await;
    let target = format!("/api/v1/{}", since(&rig));
    rig.api.troubles().next(Verb::Watch, 1, Trouble::status(500));
    assert_eq!(rig.get(&target).await.json()["reason"], "InternalServerError");
    rig.api.troubles().next(Verb::Watch, 1, Trouble::Hang);
    timeout(A_MOMENT, rig.get(&target)).await.unwrap_err();
    assert_eq!(rig.api.watches(), 0);
    let call = rig.api.calls().pop().unwrap();
    assert_eq!((call.verb, call.status), (Verb::Watch, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_and_its_bookmarks_lose_nothing_while_much_changes() {
    let rig = Rig::new().await;
    rig.api.set_bookmark_interval(Duration::from_millis(1));
    let mut watch = Watch::open(&rig, &format!("{}&allowWatchBookmarks=true", since(&rig))).await;
    let rig = std::sync::Arc::new(rig);
    let writer = tokio::spawn({
        let rig = std::sync::Arc::clone(&rig);
        async move {
            for index in 0..500 {
                rig.api.add_pod(pod(&format!("p{index}")));
                if index % 10 == 0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        }
    });
    let (mut seen, mut version, mut bookmarks) = (0, 0, 0);
    while seen < 500 {
        let event = watch.event().await;
        let of: u64 = event["object"]["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
        if event["type"] == "BOOKMARK" {
            bookmarks += 1;
            assert!(of >= version);
        } else {
            assert_eq!(event["object"]["metadata"]["name"], format!("p{seen}"));
            // A bookmark that came before promised that everything up to its version had been sent.
            assert!(of > version, "{of} after {version}");
            seen += 1;
        }
        version = of;
    }
    writer.await.unwrap();
    assert!(bookmarks > 0);
}
