//! Starts the rooms in order, hands them what they need, and ends them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_cloudwatchlogs::Config;
use safeguard_aws::{SdkConfig, SdkError};
use safeguard_daemon::admin::{self, BindError, Handler};
use safeguard_daemon::clock;
use safeguard_daemon::lock::{InstanceLock, LockError};
use safeguard_daemon::shutdown::Shutdown;
use safeguard_host::{HostError, HostRoot};
use safeguard_logs::{Deadlines, Logs, NodeNames, SdkLogs, Status};
use tokio::task::JoinSet;

use crate::checks;
use crate::config::{self, Checked, Environment, Missing, Problems, ProgramSettings, Resolved, Settings};
use crate::exclusions::Follower;
use crate::health::Health;
use crate::heartbeat::{self, HeartbeatError};
use crate::kubernetes::Way;
use crate::overview::Who;
use crate::routes::{Admin, Inside, Metrics};
use crate::sdk::sdk_config;
use crate::summary::Summary;

/// Longest wait for the first byte of a reply, within `logs.request_deadline`.
const READ_DEADLINE: Duration = Duration::from_secs(20);

/// After draining, for answers that are under way on the admin socket.
const SERVERS_DEADLINE: Duration = Duration::from_secs(2);

/// Why the agent cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting has a value that is not allowed.
    #[error(transparent)]
    Settings(#[from] Problems),
    /// Another agent runs on this node, or the lock cannot be taken.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Who this node is, is not known.
    #[error("{}", .0.iter().map(Missing::to_string).collect::<Vec<_>>().join("\n"))]
    Identity(Vec<Missing>),
    /// The host's files cannot be reached.
    #[error("`node.host_root` cannot be used: {0}")]
    Host(#[from] HostError),
    /// TLS, a proxy or an endpoint.
    #[error(transparent)]
    Aws(#[from] SdkError),
    /// The admin socket or the metrics port.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The log room.
    #[error(transparent)]
    Logs(#[from] safeguard_logs::StartError),
    /// The room of the checks.
    #[error(transparent)]
    Checks(#[from] safeguard_checks::continuous::StartError),
    /// The room of the heartbeat.
    #[error(transparent)]
    Heartbeat(#[from] HeartbeatError),
}

/// Why new settings are refused.
#[derive(Debug, thiserror::Error)]
#[error("the old settings go on: {0}")]
pub struct ReloadError(#[from] Problems);

/// A running agent. Dropping it ends its servers and its log room without draining.
#[derive(Debug)]
pub struct Agent {
    inside: Arc<Inside>,
    running: Mutex<Settings>,
    names: NodeNames,
    environment: Environment,
    resolved: Resolved,
    socket: PathBuf,
    metrics: Option<SocketAddr>,
    grace: Duration,
    servers: JoinSet<()>,
    shutdown: Shutdown,
    // Last: another agent may start once everything else is gone.
    _lock: InstanceLock,
}

impl Agent {
    /// Takes the lock, finds out who this node is, binds the admin socket and the metrics port, and starts to ship.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running then.
    ///
    /// # Panics
    /// Outside a tokio runtime with time and I/O enabled.
    pub async fn start(settings: Settings, environment: Environment) -> Result<Self, StartError> {
        let checked = settings.checked()?;
        let lock = InstanceLock::acquire(&settings.lock())?;
        let resolved = config::resolve_checked(&settings, &checked, &environment).await;
        for (key, value, source) in resolved.found.iter() {
            tracing::debug!(key, value, %source, "Found what the settings leave open.");
        }
        if !resolved.found.missing.is_empty() {
            return Err(StartError::Identity(resolved.found.missing));
        }
        let unix = admin::bind_unix(&settings.socket())?;
        let tcp = checked.metrics.map(admin::bind_tcp).transpose()?;
        let (socket, metrics) = (unix.local_path().to_owned(), tcp.as_ref().map(admin::TcpServer::local_addr));
        let beats = settings.heartbeat.url.is_some();
        let sdk = match settings.logs.enabled || beats {
            true => Some(sdk_config(&settings, &resolved, &environment).await?),
            false => None,
        };
        let (logs, follower) = match &sdk {
            Some(sdk) if settings.logs.enabled => {
                let (logs, follower) = start_logs(&settings, checked, &environment, &resolved, sdk).await?;
                (Some(logs), follower)
            }
            _ => (None, None),
        };
        let shutdown = Shutdown::new();
        let mut servers = JoinSet::new();
        let checks = match settings.checks.enabled {
            true => Some(checks::start(&settings, &resolved, &environment, &mut servers, &shutdown)?),
            false => None,
        };
        let (heartbeat, teller) = match sdk {
            Some(sdk) => heartbeat::start(&settings, &environment, &resolved, sdk)?.unzip(),
            None => (None, None),
        };
        let inside = Arc::new(Inside {
            logs,
            checks,
            heartbeat,
            who: Who::of(&resolved),
            proxy_socket: settings.heartbeat.proxy_socket.clone(),
        });
        let admin: Arc<dyn Handler> = Arc::new(Admin(inside.clone()));
        servers.spawn(unix.run(admin, shutdown.clone()));
        if let Some(tcp) = tcp {
            servers.spawn(tcp.run(Arc::new(Metrics(inside.clone())), shutdown.clone()));
        }
        if let Some(teller) = teller {
            servers.spawn(teller.tell(inside.clone(), shutdown.clone()));
        }
        if let Some(follower) = follower {
            servers.spawn(follower.follow(inside.clone(), shutdown.clone()));
        }
        let (names, grace) = (resolved.names.clone(), settings.agent.shutdown_grace.0);
        let running = Mutex::new(settings);
        let agent = Self {
            inside,
            running,
            names,
            environment,
            resolved,
            socket,
            metrics,
            grace,
            servers,
            shutdown,
            _lock: lock,
        };
        Ok(agent)
    }

    /// A snapshot of the log room; `None` if it does not answer within 5 s, or logs are off.
    pub async fn status(&self) -> Option<Status> {
        self.inside.status().await
    }

    /// The latest look at the host; `None` before the first has ended, or if checks are off.
    #[must_use]
    pub fn checks(&self) -> Option<Arc<safeguard_checks::continuous::Snapshot>> {
        self.inside.checks.as_ref()?.latest()
    }

    /// How the heartbeat goes; `None` where there is none.
    #[must_use]
    pub fn heartbeat(&self) -> Option<safeguard_heartbeat::Status> {
        self.inside.heartbeat.as_ref().map(safeguard_heartbeat::Heartbeat::status)
    }

    /// Whether everything that runs makes progress.
    #[must_use]
    pub fn health(&self) -> Health {
        self.inside.health()
    }

    /// What the node is called, and where that came from.
    #[must_use]
    pub fn resolved(&self) -> &Resolved {
        &self.resolved
    }

    /// The admin socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Where metrics are served; tells the port when 0 was asked for.
    #[must_use]
    pub fn metrics(&self) -> Option<SocketAddr> {
        self.metrics
    }

    /// Takes over what may change while the agent runs. Gives the keys that differ and need a restart; they keep their
    /// old value.
    ///
    /// # Errors
    /// [`ReloadError`] if a value is not allowed. Nothing has changed then.
    pub fn reload(&self, new: &Settings) -> Result<Vec<String>, ReloadError> {
        new.check()?;
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = config::needs_restart(&running, new);
        let merged = config::merge(&running, new);
        let checked = merged.checked()?;
        if let Some(logs) = &self.inside.logs {
            let state_dir = &merged.agent.state_dir;
            logs.reload(checked.logs(&merged.logs, state_dir, self.names.clone(), &self.environment));
        }
        *running = merged;
        Ok(waiting)
    }

    /// Reads what is there now and delivers it, within `agent.shutdown_grace`; then closes the servers, releases the lock,
    /// and says what was left.
    pub async fn shutdown(self) -> Summary {
        let grace = self.grace;
        self.shutdown_within(grace).await
    }

    /// [`shutdown`](Self::shutdown) with another grace.
    pub async fn shutdown_within(mut self, grace: Duration) -> Summary {
        let summary = match &self.inside.logs {
            None => Summary::nothing(),
            Some(logs) => match logs.drain(grace).await {
                Some(drained) => Summary::of(&drained),
                None => Summary::unknown(),
            },
        };
        self.shutdown.trigger();
        let inside = self.inside.clone();
        let stopped =
            tokio::task::spawn_blocking(move || inside.heartbeat.as_ref().map(safeguard_heartbeat::Heartbeat::stop));
        if tokio::time::timeout(SERVERS_DEADLINE, stopped).await.is_err() {
            tracing::debug!("the heartbeat waits for the disk and was left");
        }
        let ended = async { while self.servers.join_next().await.is_some() {} };
        if tokio::time::timeout(SERVERS_DEADLINE, ended).await.is_err() {
            tracing::debug!("the admin servers were cut off");
        }
        summary
    }
}

/// The log room, and who tells it what pods have left out, if they may.
async fn start_logs(
    settings: &Settings,
    checked: Checked,
    environment: &Environment,
    resolved: &Resolved,
    sdk: &SdkConfig,
) -> Result<(Logs, Option<Follower>), StartError> {
    let (aws, logs) = (&settings.aws, &settings.logs);
    let mut config = Config::from(sdk).to_builder();
    if let Some(endpoint) = resolved.found.or(aws.endpoint_url.as_ref(), "aws.endpoint_url") {
        config = config.endpoint_url(endpoint);
    }
    let total = logs.request_deadline.0;
    let deadlines = Deadlines { connect: logs.connect_deadline.0, read: READ_DEADLINE.min(total), total };
    let api = SdkLogs::new(&config.build(), deadlines);
    let host = HostRoot::open(&settings.node.host_root)?;
    // Kubernetes may be known for the heartbeat alone.
    let way = resolved.kubernetes.clone().filter(|_| !checked.may_exclude().is_empty());
    let way = way.map(|access| Way::new(access, &settings.kubernetes, resolved, environment, Some(sdk)));
    let mut follower = way.map(|way| Follower::begin(way, resolved.names.node.clone(), checked.may_exclude().to_vec()));
    let room = checked.logs(logs, &settings.agent.state_dir, resolved.names.clone(), environment);
    let first = match &mut follower {
        Some(follower) => Some(follower.first().await),
        None => None,
    };
    Ok((Logs::start(room, host, api, clock::now_ms, first)?, follower))
}
