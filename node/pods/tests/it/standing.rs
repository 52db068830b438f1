//! How the cluster sees this node.

use std::time::{Duration, SystemTime};

use safeguard_pods::{ApiServer, Standing, standing};
use serde_json::json;

use crate::rig::{NODE, deadlines, fixed};
use crate::script::{Asked, Reply, Server, Step};

/// 2026-11-27T12:00:00Z
const NOON: Duration = Duration::from_secs(1_795_780_800);

fn node(ready: &str) -> Reply {
    Reply::json(&json!({ "kind": "Node", "status": { "conditions": [
        { "type": "MemoryPressure", "status": "True" },
        { "type": "Ready", "status": ready },
    ] } }))
}

fn lease(renewed: &str) -> Reply {
    Reply::json(&json!({ "kind": "Lease", "spec": { "holderIdentity": NODE, "renewTime": renewed } }))
}

fn of_lease(asked: &Asked) -> bool {
    asked.path == format!("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{NODE}")
}

async fn ask(server: &Server) -> Result<Standing, String> {
    let api = ApiServer::new(&server.url(), None, fixed()).unwrap().with_deadlines(deadlines());
    standing(api, NODE, SystemTime::UNIX_EPOCH + NOON).await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_node_is_as_ready_as_the_cluster_says() {
    for (said, ready) in [("True", true), ("False", false), ("Unknown", false)] {
        let server =
            Server::start(move |asked| if of_lease(asked) { lease("2026-11-27T11:59:52.123456Z") } else { node(said) })
                .await;
        let expected = Standing { ready: Some(ready), lease_age: Some(Duration::from_secs(7)) };
        assert_eq!(ask(&server).await, Ok(expected));
        assert_eq!(server.log()[0].path, format!("/api/v1/nodes/{NODE}"));
    }
}

#[tokio::test]
async fn a_lease_that_may_not_be_read_is_not_known() {
    let server = Server::start(|asked| {
        if of_lease(asked) { Reply::error(403, "Forbidden", "no") } else { Reply::json(&json!({ "status": {} })) }
    })
    .await;
    assert_eq!(ask(&server).await, Ok(Standing { ready: None, lease_age: None }));
}

#[tokio::test]
async fn a_clock_that_is_behind_makes_no_age_of_centuries() {
    let server =
        Server::start(|asked| if of_lease(asked) { lease("2026-11-27T12:00:09Z") } else { node("True") }).await;
    assert_eq!(ask(&server).await.unwrap().lease_age, Some(Duration::ZERO));
}

#[tokio::test]
async fn a_node_that_is_not_there_is_no_standing() {
    let server = Server::start(|_| Reply::error(404, "NotFound", "nodes \"x\" not found")).await;
    let said = ask(&server).await.unwrap_err();
    assert!(said.contains("404") && said.contains("nodes"), "{said}");
}

#[tokio::test]
async fn an_answer_without_end_is_cut() {
    let server = Server::start(|_| Reply::steps(vec![Step::Send("[".repeat(700_000)); 4])).await;
    assert!(ask(&server).await.is_err());
    let server = Server::start(|_| Reply::steps([Step::Send("{".to_owned()), Step::Hang])).await;
    let said = ask(&server).await.unwrap_err();
    assert!(said.contains("silent"), "{said}");
}
