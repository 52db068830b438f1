//! Starts the stages in order, hands them what they need, and ends them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use safeguard_aws::{Environment, HttpOptions, SdkError, SdkOptions, sdk_config};
use safeguard_daemon::admin::{self, BindError, Handler, Method};
use safeguard_daemon::clock;
use safeguard_daemon::lock::{InstanceLock, LockError};
use safeguard_daemon::settings::{Missing, Problems};
use safeguard_daemon::shutdown::Shutdown;
use safeguard_host::{HostError, HostRoot};
use safeguard_pods::{AccessError, Reader, Wanted, index, watch};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep, timeout};

use crate::answer::Stages;
use crate::assume::Sessions;
use crate::audit::Audit;
use crate::cni::CniCache;
use crate::config::{self, Resolved};
use crate::connections::Connections;
use crate::decide::Decide;
use crate::forward::Forward;
use crate::identify::Identify;
use crate::kubernetes::api_server;
use crate::listen::{Bound, ListenError};
use crate::path::Forwarded;
use crate::rate::Rates;
use crate::routes::{Admin, Inside, Metrics};
use crate::serve::serve;
use crate::standing::{Health, Readiness, Standing};
use crate::sts::Sts;
use crate::token::Tokens;
use crate::upkeep::upkeep;

/// Where the node's metadata service is (EC2 User Guide, "Access instance metadata").
const IMDS: &str = "http://169.254.169.254";

/// How long a new proxy waits for Kubernetes before it lets pods in all the same, and beside another one for what it fetches ahead.
const WARM: Duration = Duration::from_secs(10);

/// Between two looks at whether Kubernetes has told of everything.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// How long a proxy that was asked to retire may take to leave its lock and its socket.
const RETIRING: Duration = Duration::from_secs(15);

/// Why the proxy cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting has a value that is not allowed.
    #[error(transparent)]
    Settings(#[from] Problems),
    /// Another proxy runs on this node, or the lock cannot be taken.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Who this node is, or where roles are, is not known.
    #[error("{}", .0.iter().map(Missing::to_string).collect::<Vec<_>>().join("\n"))]
    Missing(Vec<Missing>),
    /// TLS, a proxy or an endpoint.
    #[error(transparent)]
    Aws(#[from] SdkError),
    /// How Kubernetes is reached.
    #[error(transparent)]
    Kubernetes(#[from] AccessError),
    /// The root of the file tree.
    #[error("the CNI's results cannot be reached: {0}")]
    Host(#[from] HostError),
    /// Where pods are answered.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The admin socket or the metrics port.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The kernel has no random numbers.
    #[error("the kernel gives no random numbers, so no tokens can be made")]
    Random,
}

/// Whether another proxy on this node is in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Other {
    /// Then this one does not start.
    Refuse,
    /// It is asked to leave once this one can answer.
    Replace,
}

/// A running proxy. Dropping it ends it at once.
#[derive(Debug)]
pub struct Proxy {
    inside: Arc<Inside>,
    addresses: Vec<SocketAddr>,
    socket: PathBuf,
    metrics: Option<SocketAddr>,
    resolved: Resolved,
    retire: Shutdown,
    stop: Shutdown,
    serving: JoinSet<()>,
    others: JoinSet<()>,
    grace: Duration,
    // Last: another proxy may start once everything else is gone.
    _lock: InstanceLock,
}

impl Proxy {
    /// Takes the lock, finds out who this node is, learns its pods, and lets them in. With [`Other::Replace`] a proxy that runs already
    /// goes on until this one answers.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running then.
    ///
    /// # Panics
    /// Outside a tokio runtime with time and I/O enabled.
    pub async fn start(settings: config::Settings, environment: Environment, other: Other) -> Result<Self, StartError> {
        let checked = settings.checked()?;
        let lock = match (other, InstanceLock::acquire(&settings.proxy.lock)) {
            (Other::Replace, Err(LockError::Held { .. })) => None,
            (_, lock) => Some(lock?),
        };
        let tokens = Arc::<Tokens>::default();
        let prepared = spawn_blocking({
            let tokens = tokens.clone();
            move || tokens.prepare(u64::try_from(clock::now_ms() / 1_000).unwrap_or(0))
        });
        let resolved = config::resolve(&settings, &checked, &environment).await;
        for (key, value, source) in resolved.found.iter() {
            tracing::debug!(key, value, %source, "Found what the settings leave open.");
        }
        let metrics = checked.metrics;
        let pods_settings = match checked.settings(&settings, &resolved) {
            Some(pods_settings) if resolved.found.missing.is_empty() => Arc::new(pods_settings),
            _ => return Err(StartError::Missing(resolved.found.missing)),
        };
        let v6_may_be_missing = settings.redirect.ipv6 == config::Ipv6::Auto && settings.proxy.listen.is_empty();
        let bound = Bound::new(&pods_settings.listen, v6_may_be_missing)?;

        let sdk = sdk_config(&SdkOptions {
            app: "safeguard-proxy",
            region: resolved.region.clone(),
            imds_endpoint: resolved.imds_endpoint.clone(),
            http: HttpOptions { ca_bundle: resolved.ca_bundle.clone(), proxies: environment.proxies() },
            credentials: environment.credentials().cloned(),
        })
        .await?;
        let api = api_server(&settings.kubernetes, &resolved, &environment, &sdk)?;
        let (writer, pods) = index();
        let stop = Shutdown::new();
        let mut others = JoinSet::new();
        others.spawn({
            let stop = stop.clone();
            let wanted = Wanted {
                node: resolved.node.clone(),
                pod_annotations: pods_settings.annotations.of_pods(),
                namespace_annotations: pods_settings.annotations.of_namespaces(),
            };
            async move { watch(writer, api, wanted, async move { stop.requested().await }).await }
        });

        let audit = Arc::<Audit>::default();
        let sts = Sts::new(&sdk, resolved.sts_endpoint_url.as_deref());
        let cni = CniCache::new(HostRoot::open("/")?, &pods_settings.cni_results);
        let wait = pods_settings.unknown_pod_wait;
        let imds = resolved.imds_endpoint.as_deref().unwrap_or(IMDS);
        let stages = Arc::new(Stages {
            identify: Identify::new(pods_settings.identity, cni, pods.clone(), wait),
            decide: Decide::new(pods.clone(), pods_settings.clone(), resolved.node.clone()),
            sessions: Sessions::new(Arc::new(sts), audit.clone(), clock::now_ms),
            tokens,
            forward: Forward::new(imds),
            forwarded: Forwarded::new(&pods_settings.forwarded),
            audit,
            rates: Rates::new(pods_settings.limits.requests_per_second),
            tally: crate::metrics::Tally::default(),
            settings: pods_settings.clone(),
        });
        let (state_file, stale_after) = (settings.redirect.state_file.clone(), settings.kubernetes.stale_after.0);
        let standing = Arc::new(Standing::new(pods.clone(), state_file, stale_after));
        others.spawn(upkeep(stages.clone(), pods.clone(), standing.clone(), settings.roles.prefetch, stop.clone()));

        let late = Instant::now() + WARM;
        known(&pods, late).await;
        if lock.is_none() {
            // The other one has its sessions, and answers until this one has them, too.
            warm(&stages, late).await;
        }
        let limits = pods_settings.limits;
        let connections = Connections::new(limits.connections_per_pod, limits.connections);
        let retire = Shutdown::new();
        let inside = Arc::new(Inside { stages, pods, connections, standing, retire: retire.clone() });
        let mut serving = JoinSet::new();
        let mut addresses = Vec::new();
        for listener in bound.listen()? {
            addresses.extend(listener.local_addr().ok());
            serving.spawn(serve(listener, inside.stages.clone(), inside.connections.clone(), retire.clone()));
        }
        prepared.await.ok().and_then(Result::ok).ok_or(StartError::Random)?;
        // From here on pods are answered here as well as by the other.
        let lock = match lock {
            Some(lock) => lock,
            None => replace(&settings.proxy).await?,
        };
        let unix = admin::bind_unix(&settings.proxy.socket)?;
        let tcp = metrics.map(admin::bind_tcp).transpose()?;
        let (socket, metrics) = (unix.local_path().to_owned(), tcp.as_ref().map(admin::TcpServer::local_addr));
        let handler: Arc<dyn Handler> = Arc::new(Admin(inside.clone()));
        others.spawn(unix.run(handler, stop.clone()));
        if let Some(tcp) = tcp {
            others.spawn(tcp.run(Arc::new(Metrics(inside.clone())), stop.clone()));
        }
        let grace = settings.proxy.shutdown_grace.0;
        Ok(Self { inside, addresses, socket, metrics, resolved, retire, stop, serving, others, grace, _lock: lock })
    }

    /// Where pods are answered; tells the port when 0 was asked for.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The admin socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Where metrics are served.
    #[must_use]
    pub fn metrics(&self) -> Option<SocketAddr> {
        self.metrics
    }

    /// What the node is called, and where that came from.
    #[must_use]
    pub fn resolved(&self) -> &Resolved {
        &self.resolved
    }

    /// Whether the process makes progress.
    #[must_use]
    pub fn health(&self) -> Health {
        self.inside.standing.health()
    }

    /// Whether pods get what they should.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.inside.standing.readiness()
    }

    /// Returns once another proxy has asked this one to leave.
    pub async fn replaced(&self) {
        self.retire.requested().await;
    }

    /// Lets nobody in any more, finishes what is under way within `proxy.shutdown_grace`, and ends.
    pub async fn shutdown(mut self) {
        self.retire.trigger();
        let ended = timeout(self.grace, async { while self.serving.join_next().await.is_some() {} });
        if ended.await.is_err() {
            tracing::debug!("Requests were cut off at the end.");
        }
        self.stop.trigger();
        let ended = timeout(Duration::from_secs(2), async { while self.others.join_next().await.is_some() {} });
        drop(ended.await);
    }
}

/// Waits until this node's pods and their namespaces are known: before that nobody could be told apart. Where Kubernetes does not
/// answer, pods are let in after a while all the same, and told to try again.
async fn known(pods: &Reader, late: Instant) {
    while !pods.health().synced && Instant::now() < late {
        sleep(LOOK_EVERY).await;
    }
    let health = pods.health();
    if !health.synced {
        tracing::warn!(
            error = health.last_error.as_deref(),
            "Kubernetes has not told of this node's pods yet; they are refused until it does."
        );
    }
}

/// Fetches the sessions of all pods, side by side, so that the first request of each is answered like any other.
async fn warm(stages: &Stages, late: Instant) {
    let decisions: Vec<_> = stages.identify.all().iter().map(|pod| stages.decide.about(pod)).collect();
    let grants = || decisions.iter().filter_map(|decision| decision.outcome.as_ref().ok());
    grants().for_each(|grant| stages.sessions.prefetch(grant));
    for grant in grants() {
        // What fails is in the log, and is tried again.
        drop(stages.sessions.get(grant, late.saturating_duration_since(Instant::now())).await);
    }
}

/// Asks the proxy that runs already to leave, and waits for its lock.
async fn replace(process: &config::Process) -> Result<InstanceLock, StartError> {
    let late = Instant::now() + RETIRING;
    match admin::ask_unix(&process.socket, Method::POST, "/v1/retire", Duration::from_secs(2)).await {
        Ok((200, _)) => tracing::info!("The proxy that ran here before lets nobody in any more."),
        Ok((status, _)) => tracing::warn!(status, "The proxy that ran here before did not agree to leave."),
        Err(error) => tracing::warn!(%error, "The proxy that ran here before was not asked to leave."),
    }
    loop {
        match InstanceLock::acquire(&process.lock) {
            Err(LockError::Held { .. }) if Instant::now() < late => sleep(Duration::from_millis(20)).await,
            lock => return Ok(lock?),
        }
    }
}
