//! An API server that is not there.

use std::time::Duration;

use safeguard_pods::ApiServer;

use crate::rig::{asked, deadlines, event, fixed, list, pod, start, start_with, wanted};
use crate::script::{Asked, Reply, Server, Step};

fn one_pod(asked: &Asked) -> Reply {
    if asked.watches { Reply::events([]) } else { Reply::json(&list(1, &[pod("a", 1, "10.0.0.1")])) }
}

/// kube2iam#78: started before the API server, it never recovered.
#[tokio::test]
async fn it_starts_before_the_api_server_does() {
    let server = Server::start(one_pod).await;
    let address = server.address;
    drop(server);
    let api = ApiServer::new(&format!("http://{address}"), None, fixed()).unwrap().with_deadlines(deadlines());
    let rig = start_with(api, wanted());
    rig.until("the error", |reader| reader.health().pods.failures >= 2).await;
    let health = rig.reader.health();
    assert!(!health.synced && health.last_error.unwrap().contains(&address.to_string()));
    let _server = Server::start_at(address, None, one_pod).await;
    rig.knows(&["a"]).await;
}

#[tokio::test]
async fn what_is_known_stays_known_while_the_api_server_is_away() {
    let server = Server::start(one_pod).await;
    let rig = start(&server);
    rig.knows(&["a"]).await;
    asked("the watch", || !server.watches().is_empty()).await;
    let address = server.address;
    drop(server);
    rig.until("the outage", |reader| reader.health().pods.failures >= 3).await;
    let health = rig.reader.health();
    assert!(health.synced && health.last_error.is_some() && health.silent_for > Duration::ZERO, "{health:?}");
    assert_eq!(rig.role("a").as_deref(), Some("role-of-a"));
    assert_eq!(rig.reader.at("10.0.0.1".parse().unwrap()).len(), 1);

    // It comes back, and goes on from where it was: no list, and what happened meanwhile is told.
    let server = Server::start_at(address, None, |asked| match (asked.watches, asked.nth) {
        (true, 0) => Reply::steps([
            Step::Send(format!("{}\n", event("DELETED", pod("a", 2, "10.0.0.1")))),
            Step::Send(format!("{}\n", event("ADDED", pod("b", 3, "10.0.0.1")))),
            Step::Hang,
        ]),
        _ => Reply::events([]),
    })
    .await;
    rig.knows(&["b"]).await;
    assert!(server.lists().is_empty(), "a list after an outage in which nothing was lost");
    let watch = &server.watches()[0];
    assert_eq!(watch.query("resourceVersion"), Some("1"));
    let seconds: u64 = watch.query("timeoutSeconds").unwrap().parse().unwrap();
    assert!(seconds <= 6, "a quiet watch of {seconds} s would leave it unknown that all is well again");
    rig.until("no error", |reader| reader.health().last_error.is_none()).await;
}

/// A load balancer accepts what nobody behind it answers.
#[tokio::test]
async fn a_server_that_accepts_and_says_nothing_is_given_up_in_time() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let short = safeguard_pods::Deadlines { answer: Duration::from_millis(300), ..deadlines() };
    let api = ApiServer::new(&format!("http://{address}"), None, fixed()).unwrap().with_deadlines(short);
    let rig = start_with(api, wanted());
    rig.until("two failures", |reader| reader.health().pods.failures == 2).await;
    let said = rig.reader.health().last_error.unwrap();
    assert!(said.contains("silent"), "{said}");
    drop(listener);
}

/// A list whose middle never comes, and one that never stops coming.
#[tokio::test]
async fn a_list_that_stalls_is_given_up_and_nothing_of_it_enters() {
    let server = Server::start(|asked| {
        let text = list(1, &[pod("a", 1, "10.0.0.1"), pod("b", 2, "10.0.0.2")]).to_string();
        let half = text.get(..text.len() / 2).unwrap().to_owned();
        match (asked.watches, asked.nth) {
            (false, 0) => Reply::steps([Step::Send(half), Step::Hang]),
            (false, 1) => Reply::steps([Step::Send(half), Step::Cut]),
            (false, 2) => {
                let drip = [Step::Send(" ".to_owned()), Step::Wait(Duration::from_millis(100))];
                Reply::steps(drip.into_iter().cycle().take(1_000))
            }
            (false, _) => Reply::json(&list(5, &[pod("c", 4, "10.0.0.3")])),
            (true, _) => Reply::events([]),
        }
    })
    .await;
    let short =
        safeguard_pods::Deadlines { answer: Duration::from_millis(500), page: Duration::from_secs(1), ..deadlines() };
    let api = ApiServer::new(&server.url(), None, fixed()).unwrap().with_deadlines(short);
    let rig = start_with(api, wanted());
    rig.until("three failures", |reader| reader.health().pods.failures == 3).await;
    assert!(rig.reader.pods().is_empty());
    rig.knows(&["c"]).await;
}
