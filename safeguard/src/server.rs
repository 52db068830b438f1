//! Starts the safeguard: the store, the registrar, what answers nodes and what answers people; and ends it.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_credential_types::provider::SharedCredentialsProvider;
use safeguard_aws::SdkError;
use safeguard_daemon::lock::{InstanceLock, LockError};
use safeguard_daemon::settings::{Problems, ProgramSettings};
use safeguard_daemon::shutdown::Shutdown;
use safeguard_protocol::PublicKey;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::clusters;
use crate::config::Settings;
use crate::expected::{self, Ec2};
use crate::explorer::Explorer;
use crate::ingest::Ingest;
use crate::registrar::{self, Desk};
use crate::reply_key::{self, ReplyKeyError};
use crate::store::{Store, StoreError};
use crate::verify::{SettingsError, Verifier};
use crate::vouching::Vouching;
use crate::webhook::Webhook;

/// How often time is looked at.
const SWEEP: Duration = Duration::from_secs(5);
/// For what waits to be stored at the end.
const LAST: Duration = Duration::from_secs(15);

/// Why the safeguard cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting.
    #[error(transparent)]
    Settings(#[from] Problems),
    /// Whose nodes may enrol.
    #[error("[verify] {0}")]
    Verify(#[from] SettingsError),
    /// How EC2 is asked.
    #[error("[expected] {0}")]
    Expected(#[source] SettingsError),
    /// Who is told of changes.
    #[error("[webhook] {0}")]
    Webhook(#[source] SettingsError),
    /// Credentials to ask EC2 with.
    #[error(transparent)]
    Aws(#[from] SdkError),
    /// The state directory.
    #[error("the state directory {} cannot be used: {source}", path.display())]
    State {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another one runs on this state.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The key that signs replies.
    #[error(transparent)]
    Key(#[from] ReplyKeyError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The registrar.
    #[error(transparent)]
    Registrar(#[from] registrar::StartError),
    /// The address, or the certificate.
    #[error("cannot listen on {listen}: {source}")]
    Listen {
        /// The address.
        listen: String,
        /// Why.
        source: io::Error,
    },
}

/// What is outside of the safeguard.
#[derive(Debug)]
pub struct Outside {
    /// Who vouches for nodes.
    pub vouching: Vouching,
    /// Credentials to ask EC2 with, in the place of the usual chain.
    pub credentials: Option<SharedCredentialsProvider>,
}

impl From<Vouching> for Outside {
    fn from(vouching: Vouching) -> Self {
        Self { vouching, credentials: None }
    }
}

/// A running safeguard. Dropping it ends it at once; what was acknowledged is on disk.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    public_key: PublicKey,
    tasks: JoinSet<()>,
    shutdown: Shutdown,
    /// Gone when the registrar has stored everything.
    stored: oneshot::Receiver<()>,
    // Last: another one may start once everything else is gone.
    _lock: InstanceLock,
}

impl Server {
    /// Starts it. `now_ms` is the clock, in milliseconds since 1970.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running then.
    ///
    /// # Panics
    /// Outside a tokio runtime with time and I/O enabled.
    pub async fn start(settings: &Settings, now_ms: fn() -> i64) -> Result<Self, StartError> {
        settings.check()?;
        let verifier = Verifier::new(&settings.verify)?;
        for certificate in verifier.expiring(now_ms()) {
            tracing::warn!(
                ?certificate,
                "A certificate of AWS ends soon: documents of its region are refused from then on."
            );
        }
        Self::start_with(settings, Vouching::Verifier(Box::new(verifier)), now_ms).await
    }

    /// Starts it with another one who vouches for nodes, and perhaps with credentials to ask EC2 with.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running then.
    ///
    /// # Panics
    /// Outside a tokio runtime with time and I/O enabled.
    pub async fn start_with(
        settings: &Settings,
        outside: impl Into<Outside>,
        now_ms: fn() -> i64,
    ) -> Result<Self, StartError> {
        let Outside { vouching, credentials } = outside.into();
        settings.check()?;
        let asked = expected::asked(&settings.expected, credentials).await?;
        // Who asks nothing needs no authorities to trust.
        let ec2 =
            (!asked.is_empty()).then(|| Ec2::new(&settings.expected)).transpose().map_err(StartError::Expected)?;
        let asked_clusters = clusters::asked(&settings.verify)?;
        let webhook = Webhook::new(&settings.webhook, &settings.store(), now_ms).map_err(StartError::Webhook)?;
        let state_dir = &settings.server.state_dir;
        make_private(state_dir).map_err(|source| StartError::State { path: state_dir.clone(), source })?;
        let lock = InstanceLock::acquire(&state_dir.join("safeguard.lock"))?;
        let key = reply_key::load_or_make(state_dir)?;
        let public_key = key.public();
        let store = Store::open(&settings.store())?;
        let (desk, stored) = registrar::start(
            store,
            settings.periods(),
            settings.retention(),
            vouching.is_simulation(),
            webhook.is_some(),
            now_ms,
        )?;
        let listen = &settings.server.listen;
        let failed = |source| StartError::Listen { listen: listen.clone(), source };
        let tls = match (&settings.server.certificate, &settings.server.key) {
            (Some(certificate), Some(key)) => Some(crate::serve::tls(certificate, key).map_err(failed)?),
            _ => None,
        };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let ingest = Ingest::new(desk.clone(), vouching, key, settings.interval_s(), now_ms);
        let explorer = Explorer::new(&settings.store(), settings.page, now_ms).with_desk(desk.clone());
        let people = crate::page::router(explorer.clone()).merge(crate::api::router(explorer));
        let (shutdown, mut tasks) = (Shutdown::new(), JoinSet::new());
        let (router, held) = (ingest.router().merge(people), settings.server.held_connections);
        tasks.spawn(crate::serve::serve(listener, tls, router, held, shutdown.clone()));
        if let Some(webhook) = webhook {
            tasks.spawn(webhook.run(shutdown.clone()));
        }
        let (every, tenants) = (settings.expected.interval.0, settings.verify.tenants.clone());
        tasks.spawn(expected::watch(ec2, asked, every, tenants, desk.clone(), shutdown.clone()));
        tasks.spawn(clusters::watch(asked_clusters, every, desk.clone(), shutdown.clone()));
        tasks.spawn(sweep(desk, shutdown.clone()));
        Ok(Self { address, public_key, tasks, shutdown, stored, _lock: lock })
    }

    /// Where it listens; tells the port when 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The key that its replies are signed with.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.public_key
    }

    /// Lets nobody in any more, answers what is under way, and waits until it is stored.
    pub async fn shutdown(mut self) {
        self.shutdown.trigger();
        while self.tasks.join_next().await.is_some() {}
        if tokio::time::timeout(LAST, self.stored).await.is_err() {
            tracing::warn!(
                "The store did not take everything in time. What was not acknowledged is sent again by the nodes."
            );
        }
    }
}

async fn sweep(desk: Desk, shutdown: Shutdown) {
    let mut ticks = tokio::time::interval(SWEEP);
    loop {
        tokio::select! {
            _ = ticks.tick() => desk.sweep(),
            () = shutdown.requested() => return,
        }
    }
}

/// Makes the directory, which only its owner may enter.
fn make_private(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}
