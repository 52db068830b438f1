//! Instances that EC2 tells of: those that never spoke show up, those that are gone are retired.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use safeguard::config::Settings;
use safeguard::expected::Account;
use safeguard::server::{Outside, Server};
use safeguard::verify::Tenant;
use safeguard::vouching::Vouching;
use safeguard_daemon::clock;
use safeguard_protocol::State;
use serde_json::Value;
use tempfile::TempDir;

use crate::node::{Node, Safeguard, ask, settings};

pub(crate) const ACCOUNT: &str = "111122223333";
const PATIENCE: Duration = Duration::from_secs(40);

/// An instance, its state, and how long after its first interface its root volume was attached, in seconds.
pub(crate) type Told = (u32, &'static str, u32);

/// What EC2 answers; `None` is an error.
pub(crate) type Ec2 = Arc<Mutex<Option<Vec<Told>>>>;

fn xml(instances: &[Told]) -> String {
    let items: String = instances
        .iter()
        .map(|(n, state, late)| {
            format!(
                "<item><instanceId>i-{n:017x}</instanceId><imageId>ami-1</imageId><instanceState><code>16</code><name>{state}</name></instanceState>\
                 <launchTime>2026-01-01T00:00:00.000Z</launchTime><rootDeviceName>/dev/xvda</rootDeviceName>\
                 <blockDeviceMapping><item><deviceName>/dev/xvda</deviceName><ebs><volumeId>vol-1</volumeId><attachTime>2026-01-01T00:{:02}:{:02}.000Z</attachTime></ebs></item></blockDeviceMapping>\
                 <networkInterfaceSet><item><attachment><deviceIndex>0</deviceIndex><attachTime>2026-01-01T00:00:00.000Z</attachTime></attachment></item></networkInterfaceSet>\
                 <tagSet><item><key>eks:cluster-name</key><value>prod</value></item><item><key>eks:nodegroup-name</key><value>workers</value></item></tagSet></item>",
                late / 60,
                late % 60
            )
        })
        .collect();
    format!(
        "<DescribeInstancesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><reservationSet><item><reservationId>r-1</reservationId>\
         <ownerId>{ACCOUNT}</ownerId><instancesSet>{items}</instancesSet></item></reservationSet></DescribeInstancesResponse>"
    )
}

/// Somebody who answers as EC2 does, and settings of a safeguard that asks him every five seconds.
pub(crate) async fn asked(dir: &TempDir, instances: &[Told]) -> (Ec2, Settings) {
    let ec2: Ec2 = Arc::new(Mutex::new(Some(instances.to_vec())));
    let told = ec2.clone();
    let app = Router::new().route(
        "/",
        post(async move || match told.lock().unwrap().as_deref() {
            Some(instances) => (StatusCode::OK, xml(instances)),
            None => (
                StatusCode::SERVICE_UNAVAILABLE,
                "<Response><Errors><Error><Code>Unavailable</Code></Error></Errors></Response>".to_owned(),
            ),
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });

    let mut settings = settings(dir);
    settings.page.open = true;
    settings.verify.tenants =
        vec![Tenant { name: "acme".to_owned(), accounts: vec![ACCOUNT.to_owned()], ..Tenant::default() }];
    let account =
        Account { account: ACCOUNT.to_owned(), regions: vec!["eu-central-1".to_owned()], ..Account::default() };
    settings.expected.accounts = vec![account];
    settings.expected.interval = Duration::from_secs(5).into();
    settings.expected.endpoint = Some(endpoint);
    (ec2, settings)
}

/// Credentials that are good enough for him.
pub(crate) fn outside() -> Outside {
    let credentials = Some(SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "test")));
    Outside { vouching: Vouching::Simulation, credentials }
}

struct Rig {
    safeguard: Safeguard,
    ec2: Ec2,
}

impl Rig {
    async fn start(instances: &[Told]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (ec2, settings) = asked(&dir, instances).await;
        let server = Server::start_with(&settings, outside(), clock::now_ms).await.unwrap();
        Self { safeguard: Safeguard { dir, server }, ec2 }
    }

    fn tell(&self, instances: Option<&[Told]>) {
        *self.ec2.lock().unwrap() = instances.map(<[Told]>::to_vec);
    }

    /// The node of an instance, as the API has it, once `expected` holds.
    async fn node(&self, n: u32, expected: impl Fn(&Value) -> bool) -> Value {
        self.node_of(n, "", expected).await
    }

    /// One whose instance is gone, which only who asks for such nodes sees.
    async fn retired(&self, n: u32) -> Value {
        self.node_of(n, "&state=retired", is("retired")).await
    }

    async fn page(&self, path: &str) -> String {
        let (status, body) = ask(http::Method::GET, &format!("{}{path}", self.safeguard.url()), "").await;
        assert_eq!(status, StatusCode::OK);
        String::from_utf8(body.to_vec()).unwrap()
    }

    /// The one place where EC2 is asked, as the API has it.
    async fn place(&self) -> Value {
        let overview: Value = serde_json::from_str(&self.page("/v1/overview").await).unwrap();
        overview["ec2"][0].clone()
    }

    async fn node_of(&self, n: u32, state: &str, expected: impl Fn(&Value) -> bool) -> Value {
        let id = format!("i-{n:017x}");
        let mut last = Value::Null;
        let look = async {
            loop {
                let (_, body) =
                    ask(http::Method::GET, &format!("{}/v1/nodes?text={id}{state}", self.safeguard.url()), "").await;
                let list: Value = serde_json::from_slice(&body).unwrap();
                last = list["items"][0].clone();
                if !last.is_null() && expected(&last) {
                    return last.clone();
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, look).await;
        found.unwrap_or_else(|_| panic!("{id}: {last:#}"))
    }
}

fn is(state: &str) -> impl Fn(&Value) -> bool {
    move |node| node["state"] == state
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_never_spoke_shows_up_and_one_that_is_terminated_is_retired() {
    let rig = Rig::start(&[(1, "running", 1), (2, "stopped", 1)]).await;
    let silent = rig.node(1, is("never-enrolled")).await;
    assert_eq!(
        (&silent["cluster"], &silent["group"], &silent["image_id"]),
        (&"prod".into(), &"workers".into(), &"ami-1".into())
    );
    assert_eq!(silent["ec2_state"], "running");
    let reasons: Vec<&str> = silent["reasons"].as_array().unwrap().iter().map(|r| r.as_str().unwrap()).collect();
    assert!(reasons[0].starts_with("it has never enrolled"), "{reasons:?}");
    assert_eq!(reasons[1], "EC2 says that its instance is running");
    rig.node(2, |node| node["ec2_state"] == "stopped").await;
    // Who looks for what is silent finds it on the page.
    let (_, page) = ask(http::Method::GET, &format!("{}/nodes?state=never-enrolled", rig.safeguard.url()), "").await;
    assert!(String::from_utf8_lossy(&page).contains("i-00000000000000001"));

    // It speaks at last: it is the same node.
    let mut node = Node::new(rig.safeguard.url(), rig.safeguard.server.public_key(), 1);
    node.enrol().await.unwrap();
    assert_eq!(node.beat().await.unwrap().posture.state, State::Compliant);
    assert_eq!(rig.safeguard.stored::<i64>("SELECT COUNT(*) FROM node"), 2);
    let spoke = rig.node(1, is("compliant")).await;
    assert_eq!((&spoke["id"], &spoke["name"]), (&silent["id"], &"node-1".into()));

    // It speaks, so it is there, whatever became of its tags.
    rig.tell(Some(&[(2, "stopped", 1)]));
    tokio::time::sleep(Duration::from_secs(16)).await;
    node.beat().await.unwrap();
    rig.node(1, is("compliant")).await;

    rig.tell(Some(&[(1, "terminated", 1), (2, "stopped", 1)]));
    let gone = rig.retired(1).await;
    assert_eq!(gone["ec2_state"], "terminated");
    // Whoever has its key cannot go on in its name without being seen.
    node.beat().await.unwrap();
    let seen = rig.node(1, is("suspect")).await;
    assert!(seen["reasons"][0].as_str().unwrap().contains("EC2 said that its instance is gone"), "{seen:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_ec2_is_silent_nothing_changes_and_two_lists_without_it_retire_a_node() {
    let rig = Rig::start(&[(1, "running", 1), (2, "running", 1)]).await;
    rig.node(1, is("never-enrolled")).await;
    rig.tell(None);
    tokio::time::sleep(Duration::from_secs(11)).await;
    rig.node(1, is("never-enrolled")).await;
    assert_eq!(rig.safeguard.stored::<i64>("SELECT COUNT(*) FROM event WHERE kind = 'ec2-silent'"), 1, "told once");
    // Whoever looks at the page is told that nobody says who should be there, and why.
    let said = rig.page("/").await;
    assert!(said.contains("EC2 is silent") && said.contains(ACCOUNT), "{said}");
    let said = rig.page("/actions").await;
    assert!(said.contains("503 Unavailable"), "{said}");
    let place = rig.place().await;
    assert!(place["silent_since_ms"].as_i64() > place["listed_ms"].as_i64(), "{place:#}");
    assert_eq!((&place["account"], &place["instances"]), (&ACCOUNT.into(), &2.into()));
    rig.tell(Some(&[(2, "running", 1)]));
    rig.retired(1).await;
    rig.node(2, is("never-enrolled")).await;
    assert_eq!(rig.safeguard.stored::<i64>("SELECT COUNT(*) FROM event WHERE kind = 'ec2-answers'"), 1);
    assert!(!rig.page("/").await.contains("EC2 is silent"));
    assert_eq!((&rig.place().await["silent_since_ms"], &rig.place().await["reason"]), (&Value::Null, &Value::Null));
    // Nobody at all: that says nothing.
    rig.tell(Some(&[]));
    tokio::time::sleep(Duration::from_secs(16)).await;
    rig.node(2, is("never-enrolled")).await;
    // Its tag had been taken off.
    rig.tell(Some(&[(1, "running", 1), (2, "running", 1)]));
    rig.node(1, is("never-enrolled")).await;
    // What was learnt outlives a restart.
    let dir = {
        let Rig { safeguard, .. } = rig;
        safeguard.restart().await
    };
    assert_eq!(dir.stored::<String>("SELECT ec2_state FROM node WHERE instance_id LIKE '%1'"), "running");
}

/// SPIRE, `aws_iid`: somebody who exchanges the root volume has an instance that AWS vouches for and a disk of his own.
#[tokio::test(flavor = "multi_thread")]
async fn a_root_volume_that_came_late_makes_a_node_suspect() {
    let rig = Rig::start(&[(1, "running", 59), (2, "running", 300)]).await;
    let suspect = rig.node(2, is("suspect")).await;
    assert!(suspect["reasons"][0].as_str().unwrap().contains("root volume"), "{suspect:#}");
    rig.node(1, is("never-enrolled")).await;
}
