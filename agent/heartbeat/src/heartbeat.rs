//! The room: started, watched, and ended.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use safeguard_protocol::Statement;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};

use crate::chain::Chain;
use crate::disk::DiskError;
use crate::exchange::Exchange;
use crate::posture::Posture;
use crate::run::{Outside, Preview, Run};
use crate::settings::{Clock, Settings, UrlError, base_url};
use crate::source::{ProofSource, ReportSource};
use crate::status::Status;
use crate::trust::TrustError;

/// For the answer to a question, and for the end.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why there is no heartbeat.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be used.
    #[error("`heartbeat.url` is {url:?}: {source}")]
    Url {
        /// What was set.
        url: String,
        /// Why not.
        source: UrlError,
    },
    /// There is no key to verify replies with.
    #[error("`heartbeat.server_keys` is empty: `safeguard key show` prints the key")]
    NoKeys,
    /// Certificates.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The state directory.
    #[error("the heartbeat's state directory cannot be used: {0}")]
    Disk(String),
    /// The system gives no thread.
    #[error("the heartbeat cannot start: {0}")]
    Thread(#[from] std::io::Error),
}

impl From<DiskError> for StartError {
    fn from(error: DiskError) -> Self {
        Self::Disk(error.to_string())
    }
}

/// A running heartbeat. It has a thread of its own: a beat waits for the disk before it is sent. Dropping it ends it.
#[derive(Debug)]
pub struct Heartbeat {
    status: watch::Receiver<Status>,
    previews: mpsc::Sender<Preview>,
    /// Dropped to end the thread.
    stop: Mutex<Option<oneshot::Sender<()>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    turns: Arc<Turns>,
}

/// Until when the loop may be silent: it does not wake up to say that it is there.
#[derive(Debug)]
pub(crate) struct Turns {
    begin: Instant,
    /// After `begin`. The most there is while nothing has to be done.
    due_ms: AtomicU64,
}

impl Turns {
    pub(crate) fn new() -> Self {
        Self { begin: Instant::now(), due_ms: AtomicU64::new(0) }
    }

    /// The loop is at work now.
    pub(crate) fn note(&self) {
        self.waits_until(Some(Instant::now()));
    }

    /// The loop has nothing to do before this moment; `None`: before something happens.
    pub(crate) fn waits_until(&self, moment: Option<Instant>) {
        let due_ms = moment.map_or(u64::MAX, |moment| millis(moment.saturating_duration_since(self.begin)));
        self.due_ms.store(due_ms, Ordering::Relaxed);
    }

    fn silence(&self) -> Duration {
        let due = Duration::from_millis(self.due_ms.load(Ordering::Relaxed));
        self.begin.elapsed().saturating_sub(due)
    }
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Heartbeat {
    /// Opens the state directory and starts to beat as soon as there is a posture.
    ///
    /// # Errors
    /// [`StartError`]; nothing runs then.
    pub fn start(
        settings: Settings,
        clock: Clock,
        postures: watch::Receiver<Option<Arc<Posture>>>,
        proofs: Arc<dyn ProofSource>,
        reports: Arc<dyn ReportSource>,
    ) -> Result<Self, StartError> {
        let url = settings.url.clone();
        let base = base_url(&url).map_err(|source| StartError::Url { url, source })?;
        if settings.server_keys.is_empty() {
            return Err(StartError::NoKeys);
        }
        let exchange = Exchange::new(&settings, base)?;
        let chain = Chain::open(&settings.state_dir, &settings.tenant)?;
        let (tell, status) = watch::channel(Status::default());
        let (previews, asked) = mpsc::channel(4);
        let (stop, stopped) = oneshot::channel();
        let turns = Arc::new(Turns::new());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let outside = Outside { clock, postures, proofs, reports, status: tell, previews: asked, turns: turns.clone() };
        let mut run = Run::new(settings, chain, exchange, outside);
        let thread = std::thread::Builder::new().name("heartbeat".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = run.forever() => {}
                    _ = stopped => {}
                }
            });
            run.end();
        })?;
        let (stop, thread) = (Mutex::new(Some(stop)), Mutex::new(Some(thread)));
        Ok(Self { status, previews, stop, thread, turns })
    }

    /// How it goes.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// Hears of every change of the status.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// The statement that would be made now; `None` while there is nothing to say, or if the loop does not answer.
    pub async fn preview(&self) -> Option<Statement> {
        let (answer, statement) = oneshot::channel();
        let ask = async {
            self.previews.send(answer).await.ok()?;
            statement.await.ok()?
        };
        timeout(PATIENCE, ask).await.ok()?.map(|boxed| *boxed)
    }

    /// How long ago the loop should have gone round, and has not.
    #[must_use]
    pub fn silence(&self) -> Duration {
        self.turns.silence()
    }

    /// Ends it: a request under way is cut off, and its beat is sent again after the next start. Blocks for as long as the disk
    /// does.
    pub fn stop(&self) {
        drop(self.stop.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take()
            && thread.join().is_err()
        {
            tracing::error!("The heartbeat's thread had panicked.");
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn silence_is_what_is_longer_than_the_loop_meant_to_wait() {
        let turns = Turns::new();
        advance(MINUTE).await;
        assert_eq!(turns.silence(), MINUTE, "it never began");
        turns.note();
        advance(MINUTE).await;
        assert_eq!(turns.silence(), MINUTE, "it does not come back from its work");
        turns.waits_until(Some(Instant::now() + MINUTE));
        advance(MINUTE).await;
        assert_eq!(turns.silence(), Duration::ZERO);
        advance(MINUTE).await;
        assert_eq!(turns.silence(), MINUTE, "it should have woken up");
        turns.waits_until(None);
        advance(MINUTE * 60).await;
        assert_eq!(turns.silence(), Duration::ZERO);
    }
}
