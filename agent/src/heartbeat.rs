//! Hands the room of the heartbeat what it tells: how this node stands by the word of the other rooms, the cluster and the proxy.

pub(crate) mod assessment;
pub(crate) mod logs;
mod membership;
mod proofs;
pub(crate) mod proxy;
mod reports;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use safeguard_aws::SdkConfig;
use safeguard_checks::continuous::Checks;
use safeguard_daemon::clock;
use safeguard_daemon::shutdown::Shutdown;
use safeguard_heartbeat::{
    Clock, Digest, Exceptions, Heartbeat, Membership, Node, Posture, Program, PublicKey, RoleMapping,
    Settings as RoomSettings,
};
use safeguard_host::{HostError, HostRoot};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::config::{Environment, Resolved, Settings};
use crate::kubernetes::Way;
use crate::routes::Inside;
use assessment::Assessed;
use proofs::Proofs;
use reports::Reports;

/// How often what tells nobody when it changes is asked again.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// The first posture waits this long for the first look at the host: a node that was never assessed counts as stale.
const FIRST_LOOK: Duration = Duration::from_secs(10);

/// A boot id has 36 characters and a line break.
const BOOT_ID_BYTES: u64 = 64;

/// Why there is no heartbeat.
#[derive(Debug, thiserror::Error)]
pub enum HeartbeatError {
    /// The room.
    #[error(transparent)]
    Room(#[from] safeguard_heartbeat::StartError),
    /// The kernel does not say which boot this is.
    #[error("the kernel's boot id cannot be read: {0}")]
    Boot(HostError),
}

/// Who composes the posture while the agent runs.
#[derive(Debug)]
pub(crate) struct Teller {
    postures: watch::Sender<Option<Arc<Posture>>>,
    reports: Arc<Reports>,
    node: Node,
    configuration: Digest,
    exceptions: PathBuf,
    proxy_socket: PathBuf,
    way: Option<Way>,
}

/// Starts the room, if the operator wants a heartbeat. It says nothing before its teller tells it something.
pub(crate) fn start(
    settings: &Settings,
    environment: &Environment,
    resolved: &Resolved,
    sdk: SdkConfig,
) -> Result<Option<(Heartbeat, Teller)>, HeartbeatError> {
    let heartbeat = &settings.heartbeat;
    let Some(url) = heartbeat.url.clone() else { return Ok(None) };
    let keys = heartbeat.server_keys.iter().flatten().filter_map(|key| key.parse::<PublicKey>().ok());
    let room = RoomSettings {
        url,
        server_keys: keys.collect(),
        tenant: heartbeat.tenant.clone().unwrap_or_default(),
        interval: heartbeat.interval.map(|interval| interval.0),
        ca_file: heartbeat.ca_file.clone(),
        state_dir: settings.agent.state_dir.join("heartbeat"),
        spool_bytes: heartbeat.spool_bytes.0,
        spool_age: heartbeat.spool_age.0,
    };
    let (postures, told) = watch::channel(None);
    let reports = Arc::new(Reports::default());
    let way = resolved.kubernetes.clone();
    let way = way.map(|access| Way::new(access, &settings.kubernetes, resolved, environment, Some(&sdk)));
    let proofs = Proofs {
        sdk,
        region: resolved.names.region.clone(),
        imds_endpoint: resolved.found.or(settings.aws.imds_endpoint.as_ref(), "aws.imds_endpoint"),
        environment: environment.clone(),
        token_file: heartbeat.service_account_token_file.clone(),
    };
    let node = node(settings, resolved)?;
    let clock = Clock { now_ms: clock::now_ms, uptime_ms: clock::uptime_ms };
    let running = Heartbeat::start(room, clock, told, Arc::new(proofs), reports.clone())?;
    let teller = Teller {
        postures,
        reports,
        node,
        configuration: Digest::of(&serde_json::to_vec(settings).unwrap_or_default()),
        exceptions: settings.checks.exceptions.clone(),
        proxy_socket: heartbeat.proxy_socket.clone(),
        way,
    };
    Ok(Some((running, teller)))
}

fn node(settings: &Settings, resolved: &Resolved) -> Result<Node, HeartbeatError> {
    let names = &resolved.names;
    let kernel = HostRoot::open("/proc/sys/kernel/random").map_err(HeartbeatError::Boot)?;
    let boot_id = kernel.read("/boot_id".as_ref(), BOOT_ID_BYTES).map_err(HeartbeatError::Boot)?;
    Ok(Node {
        account: names.account.clone(),
        region: names.region.clone(),
        instance_id: names.instance_id.clone(),
        image_id: resolved.found.or(settings.node.image_id.as_ref(), "node.image_id").unwrap_or_default(),
        cluster: names.cluster.clone(),
        node_group: settings.checks.node_group.clone(),
        node_name: names.node.clone(),
        boot_id: String::from_utf8_lossy(&boot_id).trim().to_owned(),
    })
}

/// This program, and the digest of its file: whoever replaced it has to be told apart.
fn program() -> Program {
    let own = || {
        let exe = std::env::current_exe().ok()?;
        let file = HostRoot::open("/").ok()?.dir(exe.parent()?).ok()?.file(exe.file_name()?).ok()?;
        Digest::of_reader(file).ok()
    };
    Program { version: env!("CARGO_PKG_VERSION").to_owned(), binary: own() }
}

impl Teller {
    /// Tells how the node stands until the agent ends.
    pub(crate) async fn tell(self, inside: Arc<Inside>, stop: Shutdown) {
        let unknown = Membership { ready: None, lease_age_s: None, role_mapping: RoleMapping::Unknown };
        let (learnt, membership) = watch::channel(unknown);
        tokio::select! {
            () = stop.requested() => {}
            () = membership::follow(self.way.as_ref(), &self.node.node_name, learnt) => {}
            () = self.compose(&inside, membership) => {}
        }
    }

    async fn compose(&self, inside: &Inside, mut membership: watch::Receiver<Membership>) {
        let mut latest = inside.checks.as_ref().map(Checks::subscribe);
        if let Some(latest) = &mut latest {
            // Later is better than never, and told as that.
            drop(timeout(FIRST_LOOK, latest.wait_for(Option::is_some)).await);
        }
        // Some 20 MB are read, beside everything else.
        let unread = Program { version: env!("CARGO_PKG_VERSION").to_owned(), binary: None };
        let program = tokio::task::spawn_blocking(program).await.unwrap_or(unread);
        let mut assessed: Option<Assessed> = None;
        loop {
            let snapshot = latest.as_mut().and_then(|latest| latest.borrow_and_update().clone());
            if let Some(snapshot) = snapshot
                && assessed.as_ref().is_none_or(|known| known.assessment.finished_at_ms != snapshot.finished_ms)
            {
                let new = Assessed::of(&snapshot, assessed.as_ref());
                self.reports.put(new.assessment.report, new.report.clone());
                assessed = Some(new);
            }
            let known = *membership.borrow_and_update();
            let posture = self.posture(inside, &program, assessed.as_ref(), known).await;
            self.postures.send_if_modified(|told| {
                // What need not be told at once is read when the next beat is made, and wakes nobody before.
                let calls = told.as_deref().is_none_or(|told| posture.calls_for_a_beat(told));
                *told = Some(Arc::new(posture));
                calls
            });
            tokio::select! {
                () = sleep(LOOK_EVERY) => {}
                // Both end with the agent alone.
                () = changed(latest.as_mut()) => {}
                _ = membership.changed() => {}
            }
        }
    }

    async fn posture(
        &self,
        inside: &Inside,
        program: &Program,
        assessed: Option<&Assessed>,
        membership: Membership,
    ) -> Posture {
        let (count, next_expiry) = assessed.map(|a| a.excepted.clone()).unwrap_or_default();
        Posture {
            node: self.node.clone(),
            program: program.clone(),
            configuration: self.configuration,
            policies: assessed.map(|a| a.policies.clone()).unwrap_or_default(),
            assessment: assessed.map(|a| a.assessment.clone()),
            exceptions: Exceptions { count, digest: self.exceptions_digest(), next_expiry },
            membership,
            logs: inside.status().await.as_ref().map(logs::told),
            proxy: proxy::ask(&self.proxy_socket).await,
        }
    }

    /// The digest of the operator's exceptions, where there are some.
    fn exceptions_digest(&self) -> Option<Digest> {
        let (dir, name) = (self.exceptions.parent()?, self.exceptions.file_name()?);
        Digest::of_reader(HostRoot::open("/").ok()?.dir(dir).ok()?.file(name).ok()?).ok()
    }
}

async fn changed<T>(receiver: Option<&mut watch::Receiver<T>>) {
    if let Some(receiver) = receiver
        && receiver.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}
