//! How everything stands, on one screen.

use std::collections::BTreeMap;

use safeguard_daemon::clock;
use safeguard_heartbeat::{Heartbeat, Proxy, Status as HeartbeatStatus};
use safeguard_logs::Status as LogsStatus;
use serde::{Deserialize, Serialize};

use crate::CheckSnapshot;
use crate::config::Resolved;
use crate::health::Health;
use crate::heartbeat::{assessment, logs, proxy};
use crate::routes::Inside;

/// Failing critical controls that are named.
const MOST_NAMED: usize = 20;

/// The node and its agent at one moment. Times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overview {
    /// Version of this document: 1.
    pub version: u32,
    /// Version of the agent.
    pub agent: String,
    /// When it was taken.
    pub at_ms: i64,
    /// Who this node is; empty where nothing needed it.
    pub node: Who,
    /// Whether the agent makes progress.
    pub health: Health,
    /// How the heartbeat goes; `None` where there is none.
    pub heartbeat: Option<HeartbeatStatus>,
    /// What the checks found; `None` before the first look, or if they are off.
    pub checks: Option<Found>,
    /// How logs are delivered; `None` if they are off, or if the log room does not answer.
    pub logs: Option<Delivery>,
    /// The metadata proxy; `None` where there is none.
    pub proxy: Option<Proxy>,
}

/// Who a node is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// The node's name in its cluster.
    pub name: String,
    /// The cluster.
    pub cluster: String,
    /// EC2 instance id.
    pub instance_id: String,
    /// AWS account.
    pub account: String,
    /// AWS region.
    pub region: String,
}

/// What the checks found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// When the host was last looked at.
    pub finished_ms: i64,
    /// Controls that hold, of all policies.
    pub pass: u32,
    /// That do not.
    pub fail: u32,
    /// That do not, and are excepted.
    pub excepted: u32,
    /// That could not be observed.
    pub unknown: u32,
    /// Critical controls that fail, as `policy/control`. At most 20.
    pub critical: Vec<String>,
    /// What is wrong with policies, exceptions or the state directory.
    pub problems: Vec<String>,
}

/// How logs are delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Bytes that were written and are not delivered.
    pub behind_bytes: u64,
    /// Time of the oldest line that is not delivered.
    pub oldest_unsent_ms: Option<i64>,
    /// Lines that pods left out.
    pub excluded: u64,
    /// Lines that were lost, by reason.
    pub lost: BTreeMap<String, u64>,
    /// Streams that do not take what they are sent.
    pub failing_streams: u64,
    /// What one of them says.
    pub error: Option<String>,
}

impl Who {
    pub(crate) fn of(resolved: &Resolved) -> Self {
        let names = resolved.names.clone();
        let (instance_id, account, region) = (names.instance_id, names.account, names.region);
        Self { name: names.node, cluster: names.cluster, instance_id, account, region }
    }
}

impl Overview {
    pub(crate) async fn of(inside: &Inside) -> Self {
        Self {
            version: 1,
            agent: env!("CARGO_PKG_VERSION").to_owned(),
            at_ms: clock::now_ms(),
            node: inside.who.clone(),
            health: inside.health(),
            heartbeat: inside.heartbeat.as_ref().map(Heartbeat::status),
            checks: inside.checks.as_ref().and_then(|checks| checks.latest()).map(|snapshot| Found::of(&snapshot)),
            logs: inside.status().await.as_ref().map(Delivery::of),
            proxy: proxy::ask(&inside.proxy_socket).await,
        }
    }
}

impl Found {
    fn of(snapshot: &CheckSnapshot) -> Self {
        let counts = assessment::counts(&snapshot.report);
        let mut critical = assessment::critical(&snapshot.report);
        critical.truncate(MOST_NAMED);
        Self {
            finished_ms: snapshot.finished_ms,
            pass: counts.pass,
            fail: counts.fail,
            excepted: counts.excepted,
            unknown: counts.unknown,
            critical,
            problems: snapshot.problems.clone(),
        }
    }
}

impl Delivery {
    fn of(status: &LogsStatus) -> Self {
        let told = logs::told(status);
        let failing = || status.targets.iter().filter_map(|target| target.error.as_ref());
        Self {
            behind_bytes: told.behind_bytes,
            oldest_unsent_ms: told.oldest_unsent_ms,
            excluded: told.excluded,
            lost: told.lost,
            failing_streams: u64::try_from(failing().count()).unwrap_or(u64::MAX),
            error: failing().next().cloned(),
        }
    }
}
