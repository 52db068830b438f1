//! Sessions: a [`Grant`] becomes credentials. Each session is fetched once, whoever asks how often, and again well before it ends.
//!
//! A fetch belongs to nobody's request: a client that leaves takes nothing with it (aws/eks-pod-identity-agent#50). A failure is
//! remembered for a moment, so that a role that cannot be assumed does not use up the account's calls (jtblin/kube2iam PR#200).

mod session;
mod slot;

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use crate::authorise::{Grant, SessionKey};

pub(crate) use session::{Credentials, Session, rfc3339};
pub(crate) use slot::{Failure, Slot};

/// Calls to STS at a time. More are no faster: its quota is 600 a second for the whole account and region (AWS General Reference,
/// "AWS STS endpoints and quotas").
const CALLS: usize = 16;

/// Of these, how many fetch what no pod waits for yet. When a proxy starts it fetches a session for each pod of the node; a pod that asks
/// meanwhile finds a place all the same.
const CALLS_AHEAD: usize = 12;

/// For one call, retries of the transport included.
const CALL_DEADLINE: Duration = Duration::from_secs(8);

/// How often sessions are looked at that may have to be fetched again.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(10);

/// A session that no pod is entitled to and nobody has asked for is forgotten after this long.
const FORGET: Duration = Duration::from_secs(600);

/// The answer of [`Assume`].
pub(crate) type Assumed<'a> = Pin<Box<dyn Future<Output = Result<Credentials, AssumeError>> + Send + 'a>>;

/// What fetches a session: STS, or what a test puts there.
pub(crate) trait Assume: Send + Sync + std::fmt::Debug {
    fn assume<'a>(&'a self, key: &'a SessionKey) -> Assumed<'a>;
}

/// What is told of each session and each failure: for the audit log.
pub(crate) trait Witness: Send + Sync + std::fmt::Debug {
    fn issued(&self, key: &SessionKey, session: &Session);
    fn failed(&self, key: &SessionKey, failure: &Failure, serving_until_ms: Option<i64>);
}

/// Why there is no session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub(crate) struct AssumeError {
    pub(crate) kind: AssumeErrorKind,
    /// STS's code, such as `AccessDenied`, or one word of ours.
    pub(crate) code: String,
    /// What STS says. It names accounts and roles: for the log and `explain`, never for a pod.
    pub(crate) message: String,
}

/// What a failure means for whoever waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AssumeErrorKind {
    /// The role's trust policy, or the node's policy, does not let the node assume it.
    Denied,
    /// STS cannot be asked now, or is asked too often.
    Unavailable,
}

impl AssumeError {
    fn late(code: &str, message: &str) -> Self {
        Self { kind: AssumeErrorKind::Unavailable, code: code.to_owned(), message: message.to_owned() }
    }
}

/// All sessions. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Sessions {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    sts: Arc<dyn Assume>,
    witness: Arc<dyn Witness>,
    calls: Semaphore,
    ahead: Semaphore,
    now_ms: fn() -> i64,
    slots: Mutex<HashMap<Arc<SessionKey>, Slot>>,
}

impl Inner {
    fn slots(&self) -> MutexGuard<'_, HashMap<Arc<SessionKey>, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a session is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// Somebody waits for it.
    Asked,
    /// It will be wanted.
    Ahead,
}

/// What one look at a session says.
enum Look {
    Served(Arc<Session>),
    Failed(AssumeError),
    Wait(tokio::sync::watch::Receiver<u64>),
}

impl Sessions {
    /// `now_ms` is the time of day in milliseconds since the epoch.
    pub(crate) fn new(sts: Arc<dyn Assume>, witness: Arc<dyn Witness>, now_ms: fn() -> i64) -> Self {
        let (calls, ahead) = (Semaphore::new(CALLS), Semaphore::new(CALLS_AHEAD));
        let inner = Inner { sts, witness, calls, ahead, now_ms, slots: Mutex::default() };
        Self { inner: Arc::new(inner) }
    }

    /// The session of a grant. Waits for it until `deadline` if it has to be fetched.
    ///
    /// # Errors
    /// What STS said last, or that it has not answered in time.
    pub(crate) async fn get(&self, grant: &Grant, deadline: Duration) -> Result<Arc<Session>, AssumeError> {
        let until = Instant::now() + deadline;
        loop {
            let mut done = match self.look(grant.key(), Why::Asked) {
                Look::Served(session) => return Ok(session),
                Look::Failed(error) => return Err(error),
                Look::Wait(done) => done,
            };
            if timeout_at(until, done.changed()).await.is_err() {
                return Err(AssumeError::late("Timeout", "STS has not answered in time; the call goes on"));
            }
        }
    }

    /// Fetches a session that will be wanted. Does nothing if it is there, under way, or has just failed.
    pub(crate) fn prefetch(&self, grant: &Grant) {
        drop(self.look(grant.key(), Why::Ahead));
    }

    fn look(&self, key: &Arc<SessionKey>, why: Why) -> Look {
        let (now_ms, now) = ((self.inner.now_ms)(), Instant::now());
        let mut slots = self.inner.slots();
        let slot = slots.entry(key.clone()).or_insert_with(|| Slot::new(now));
        slot.used = now;
        if slot.wants_fetching(now_ms, now) {
            self.fetch(key, slot);
        }
        if let Some(session) = slot.session.as_ref().filter(|session| session.may_be_served(now_ms)) {
            return Look::Served(session.clone());
        }
        match &slot.failure {
            Some(failure) if slot.fetching.is_none() => Look::Failed(failure.error.clone()),
            _ => {
                if let (Some(fetching), Why::Asked) = (&slot.fetching, why) {
                    fetching.notify_one();
                }
                Look::Wait(slot.done.subscribe())
            }
        }
    }

    fn fetch(&self, key: &Arc<SessionKey>, slot: &mut Slot) {
        let asked = Arc::new(Notify::new());
        slot.fetching = Some(asked.clone());
        let (inner, key) = (self.inner.clone(), key.clone());
        tokio::spawn(async move {
            let guard = Fetching { inner: &inner, key: &key };
            let outcome = timeout(CALL_DEADLINE, async {
                // Neither is ever closed. Whoever is asked for goes before those that are fetched ahead.
                let _ahead = tokio::select! {
                    biased;
                    () = asked.notified() => None,
                    permit = inner.ahead.acquire() => permit.ok(),
                };
                let _call = inner.calls.acquire().await.ok();
                inner.sts.assume(&key).await
            });
            let outcome = outcome.await.unwrap_or_else(|_| Err(AssumeError::late("Timeout", "STS did not answer")));
            guard.done(outcome);
        });
    }

    /// Fetches again what ends soon, and forgets what nobody needs: neither a pod in `wanted`, nor a request of late.
    pub(crate) fn maintain(&self, wanted: &HashSet<Arc<SessionKey>>) {
        let (now_ms, now) = ((self.inner.now_ms)(), Instant::now());
        let mut slots = self.inner.slots();
        slots.retain(|key, slot| {
            slot.fetching.is_some() || wanted.contains(key) || now.duration_since(slot.used) < FORGET
        });
        for (key, slot) in slots.iter_mut() {
            if slot.wants_fetching(now_ms, now) {
                self.fetch(key, slot);
            }
        }
    }

    /// How a session stands, for `explain`.
    pub(crate) fn peek(&self, key: &SessionKey) -> Option<Peek> {
        let slots = self.inner.slots();
        let slot = slots.get(key)?;
        Some(Peek { session: slot.session.clone(), failure: slot.failure.clone(), fetching: slot.fetching.is_some() })
    }

    /// Numbers for metrics.
    pub(crate) fn counts(&self) -> Counts {
        let now_ms = (self.inner.now_ms)();
        let slots = self.inner.slots();
        let served = |slot: &&Slot| slot.session.as_ref().is_some_and(|session| session.may_be_served(now_ms));
        let least = slots.values().filter_map(|slot| slot.session.as_ref()).map(|session| session.left_ms(now_ms));
        Counts {
            sessions: slots.values().filter(served).count(),
            failing: slots.values().filter(|slot| slot.failure.is_some()).count(),
            least_left_ms: least.min(),
        }
    }
}

/// How a session stands.
#[derive(Debug, Clone)]
pub(crate) struct Peek {
    pub(crate) session: Option<Arc<Session>>,
    pub(crate) failure: Option<Failure>,
    pub(crate) fetching: bool,
}

/// Numbers for metrics.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) sessions: usize,
    pub(crate) failing: usize,
    pub(crate) least_left_ms: Option<i64>,
}

/// A fetch under way. One that panics is a failure like any other: nobody waits for it for ever.
struct Fetching<'a> {
    inner: &'a Inner,
    key: &'a Arc<SessionKey>,
}

impl Fetching<'_> {
    fn done(self, outcome: Result<Credentials, AssumeError>) {
        self.book(outcome);
        std::mem::forget(self);
    }

    fn book(&self, outcome: Result<Credentials, AssumeError>) {
        let (now_ms, now) = ((self.inner.now_ms)(), Instant::now());
        let mut slots = self.inner.slots();
        let Some(slot) = slots.get_mut(self.key) else { return };
        slot.fetching = None;
        match outcome {
            Ok(credentials) => {
                let session = Arc::new(Session::new(self.key, credentials, now_ms));
                slot.session = Some(session.clone());
                slot.failure = None;
                slot.done.send_modify(|done| *done += 1);
                drop(slots);
                self.inner.witness.issued(self.key, &session);
            }
            Err(error) => {
                let failure = slot.failed(error, now_ms, now);
                let serving = slot.session.as_ref().filter(|session| session.may_be_served(now_ms));
                let until = serving.map(|session| session.serve_until_ms());
                slot.done.send_modify(|done| *done += 1);
                drop(slots);
                self.inner.witness.failed(self.key, &failure, until);
            }
        }
    }
}

impl Drop for Fetching<'_> {
    fn drop(&mut self) {
        self.book(Err(AssumeError::late("Panic", "the call to STS ended without an answer; this is a bug")));
    }
}

#[cfg(test)]
mod tests;
