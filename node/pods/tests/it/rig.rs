//! A watch at work, and the objects it is told of.

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use safeguard_pods::{ApiServer, Deadlines, FixedToken, Pod, Reader, Token, TokenSource, Wanted, index, watch};
use serde_json::{Value, json};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

use crate::script::Server;

pub(crate) const NODE: &str = "ip-10-0-0-1.ec2.internal";
/// Longer than anything here takes, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(20);

/// A watch that runs until this is dropped.
pub(crate) struct Rig {
    pub(crate) reader: Reader,
    task: AbortHandle,
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Short, so that stalls are found while a test waits; long enough for a busy machine.
pub(crate) fn deadlines() -> Deadlines {
    Deadlines {
        connect: Duration::from_secs(2),
        answer: Duration::from_secs(2),
        page: Duration::from_secs(4),
        watch: Duration::from_secs(60),
        grace: Duration::from_millis(500),
    }
}

/// What finds a stalled watch within two seconds.
pub(crate) fn impatient() -> Deadlines {
    Deadlines { watch: Duration::from_secs(1), ..deadlines() }
}

pub(crate) fn fixed() -> Arc<dyn TokenSource> {
    Arc::new(FixedToken(Token::new("fixed-token").unwrap()))
}

pub(crate) fn wanted() -> Wanted {
    Wanted { node: NODE.to_owned(), pod_annotations: BTreeSet::from(["role".to_owned()]), ..Wanted::default() }
}

pub(crate) fn wanted_with_namespaces() -> Wanted {
    Wanted { namespace_annotations: BTreeSet::from(["allowed".to_owned()]), ..wanted() }
}

pub(crate) fn start(server: &Server) -> Rig {
    start_with(ApiServer::new(&server.url(), None, fixed()).unwrap().with_deadlines(deadlines()), wanted())
}

pub(crate) fn start_with(api: ApiServer, wanted: Wanted) -> Rig {
    let (writer, reader) = index();
    let task = tokio::spawn(watch(writer, api, wanted, pending())).abort_handle();
    Rig { reader, task }
}

impl Rig {
    /// Waits until it is so.
    pub(crate) async fn until(&self, what: &str, is_so: impl Fn(&Reader) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !is_so(&self.reader) {
            assert!(Instant::now() < end, "never: {what}\n{:#?}\n{:#?}", self.reader.health(), self.reader.pods());
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits for exactly these UIDs.
    pub(crate) async fn knows(&self, uids: &[&str]) {
        self.until(&format!("{uids:?}"), |reader| known(reader) == uids).await;
    }

    pub(crate) fn role(&self, uid: &str) -> Option<String> {
        Some(self.reader.pod(uid)?.annotations.get("role")?.to_string())
    }
}

/// UIDs of all pods, sorted.
pub(crate) fn known(reader: &Reader) -> Vec<String> {
    let mut uids: Vec<String> = reader.pods().iter().map(|pod: &Arc<Pod>| pod.uid.to_string()).collect();
    uids.sort();
    uids
}

/// Waits until the server was asked so.
pub(crate) async fn asked(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "never asked: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// A running pod of this node, named after its UID.
pub(crate) fn pod(uid: &str, version: u64, address: &str) -> Value {
    json!({
        "metadata": {
            "uid": uid, "name": uid, "namespace": "team", "resourceVersion": version.to_string(),
            "annotations": { "role": format!("role-of-{uid}"), "unwanted": "x" },
        },
        "spec": { "nodeName": NODE, "serviceAccountName": "robot" },
        "status": { "phase": "Running", "podIP": address, "podIPs": [{ "ip": address }] },
    })
}

/// With another value at a JSON pointer.
pub(crate) fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    object.pointer_mut(parent).unwrap()[key] = value;
    object
}

pub(crate) fn list(version: u64, items: &[Value]) -> Value {
    json!({ "kind": "PodList", "apiVersion": "v1", "metadata": { "resourceVersion": version.to_string() }, "items": items })
}

pub(crate) fn event(kind: &str, object: Value) -> Value {
    json!({ "type": kind, "object": object })
}

pub(crate) fn bookmark(version: u64) -> Value {
    event("BOOKMARK", json!({ "kind": "Pod", "metadata": { "resourceVersion": version.to_string() }, "spec": {} }))
}

/// What a watch says when its version is too old.
pub(crate) fn expired() -> Value {
    event("ERROR", json!({ "kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version" }))
}
