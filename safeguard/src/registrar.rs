//! The one that writes: takes beats, enrolments and reports in the order of their arrival, many in one transaction, and answers
//! when they are on disk. A thread of its own: SQLite waits for disks.

mod beat;
mod clear;
mod cluster;
mod enrol;
mod expect;
mod report;
mod sweep;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use safeguard_protocol::{Code, Digest, Enrolment, KeyId, Opened, Posture, PublicKey, Received, Statement};
use tokio::sync::{mpsc, oneshot};

use crate::clusters;
use crate::expected::{Listing, Place};
use crate::fleet::Fleet;
use crate::states::Periods;
use crate::store::{Batch, Store};
use crate::verify::Verified;

/// Jobs that wait for the registrar at most. More are refused as busy: at 2,000 a second this is one second.
pub const QUEUE: usize = 2_048;
/// Jobs in one transaction at most.
const TOGETHER: usize = 512;
/// What comes within this time is stored together: a commit costs more than a beat, and nobody notices so short a wait.
const LINGER: Duration = Duration::from_millis(12);

/// Why something was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The stable code.
    pub code: Code,
    /// In plain words, for the node.
    pub message: String,
    /// Not to be tried again before, in seconds.
    pub retry_after_s: Option<u32>,
}

impl Refused {
    /// A refusal.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after_s: None }
    }
}

/// A beat that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// What it counted as.
    pub received: Received,
    /// How the node stands now.
    pub posture: Posture,
    /// Reports that are not here.
    pub want: Vec<Digest>,
}

/// A node that was enrolled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The highest sequence number of its key that is here.
    pub sequence: u64,
}

/// What became of an operator's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// It is done.
    Done,
    /// There is no such node.
    NoNode,
    /// Nothing is suspected of it.
    NoSuspicion,
}

/// The answer to a job.
pub type Answer<T> = oneshot::Sender<Result<T, Refused>>;

/// What there is to do.
#[derive(Debug)]
pub enum Job {
    /// A beat whose signature holds.
    Beat {
        /// What it says.
        statement: Box<Opened<Statement>>,
        /// When the nonce that it repeats was given to its key, if it was.
        contact_ms: Option<i64>,
        /// As it came.
        envelope: Vec<u8>,
        /// Where the answer goes.
        answer: Answer<Taken>,
    },
    /// An enrolment whose proofs hold.
    Enrol {
        /// What it says.
        enrolment: Box<Opened<Enrolment>>,
        /// What others vouch for.
        verified: Box<Verified>,
        /// Where the answer goes.
        answer: Answer<Known>,
    },
    /// A report with the digest that it should have.
    Report {
        /// Its digest.
        digest: Digest,
        /// As it came, unpacked.
        body: Vec<u8>,
        /// Where the answer goes.
        answer: Answer<()>,
    },
    /// A person looked into a suspicion.
    Clear {
        /// The node.
        node_id: i64,
        /// What was found.
        reason: String,
        /// Who answers for it.
        owner: String,
        /// Where the answer goes.
        answer: Answer<Word>,
    },
    /// Of where EC2 is asked.
    ExpectFrom(Vec<Place>),
    /// What EC2 says of an account's instances.
    Expect(Box<Listing>),
    /// Clusters that are asked for their nodes.
    ClustersFrom(Vec<clusters::Place>),
    /// What a cluster says of its nodes.
    Cluster(Box<clusters::Listing>),
    /// Time has passed.
    Sweep,
}

/// The keys that are known, by name: what signatures are verified with, without asking the registrar.
#[derive(Debug, Clone, Default)]
pub struct Keys(Arc<RwLock<HashMap<KeyId, PublicKey>>>);

impl Keys {
    /// The key of this name.
    #[must_use]
    pub fn get(&self, id: &KeyId) -> Option<PublicKey> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(id).copied()
    }

    fn put(&self, keys: impl Iterator<Item = PublicKey>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).extend(keys.map(|key| (key.id(), key)));
    }
}

/// The way to the registrar.
#[derive(Debug, Clone)]
pub struct Desk {
    jobs: mpsc::Sender<Job>,
    /// The keys that are known.
    pub keys: Keys,
}

impl Desk {
    /// Has something done, and waits until it is on disk.
    ///
    /// # Errors
    /// [`Refused`]; `busy` if too much waits already.
    pub async fn ask<T>(&self, job: impl FnOnce(Answer<T>) -> Job) -> Result<T, Refused> {
        let (answer, answered) = oneshot::channel();
        let busy = || Refused { retry_after_s: Some(2), ..Refused::new(Code::Busy, "too much waits to be stored") };
        self.jobs.try_send(job(answer)).map_err(|_| busy())?;
        answered.await.unwrap_or_else(|_| Err(storage()))
    }

    /// Tells of where EC2 will be asked. Waits for its turn.
    pub async fn expect_from(&self, places: Vec<Place>) {
        // It fails only at the end.
        drop(self.jobs.send(Job::ExpectFrom(places)).await);
    }

    /// Tells what EC2 said. Waits for its turn.
    pub async fn expect(&self, listing: Listing) {
        // It fails only at the end.
        drop(self.jobs.send(Job::Expect(Box::new(listing))).await);
    }

    /// Tells which clusters will be asked for their nodes. Waits for its turn.
    pub async fn clusters_from(&self, clusters: Vec<clusters::Place>) {
        // It fails only at the end.
        drop(self.jobs.send(Job::ClustersFrom(clusters)).await);
    }

    /// Tells what a cluster said. Waits for its turn.
    pub async fn cluster(&self, listing: clusters::Listing) {
        // It fails only at the end.
        drop(self.jobs.send(Job::Cluster(Box::new(listing))).await);
    }

    /// Lets the registrar look at what time has done. Does nothing if it has no time for that.
    pub fn sweep(&self) {
        drop(self.jobs.try_send(Job::Sweep));
    }
}

fn storage() -> Refused {
    Refused { retry_after_s: Some(5), ..Refused::new(Code::Storage, "it could not be stored") }
}

/// What was done, and waits to be told until it is on disk.
type Told = Box<dyn FnOnce(bool) + Send>;

/// The registrar's own.
#[derive(Debug)]
struct Registrar {
    fleet: Fleet,
    keys: Keys,
    periods: Periods,
    /// Since when we listen without interruption.
    alive_since_ms: i64,
    /// Reports that were asked for, and of whom.
    wanted: HashMap<Digest, i64>,
    /// Nodes that were refused something lately: how often, since the last event about it.
    refused: HashMap<(i64, &'static str), (i64, u64)>,
    /// Whether changes of state are told by webhook.
    webhook: bool,
    /// What is left alone today: account, node group or nothing, and the words for it.
    excluded: Vec<[String; 3]>,
    /// Nodes that were not in the last lists of EC2: in how many.
    absent: HashMap<i64, u8>,
    /// Whether every node that enrols is made up, for a demonstration.
    simulated: bool,
    sweep: sweep::Sweep,
}

/// Starts the registrar. `simulated`: every node that enrols is made up. `webhook`: changes of state go to the outbox. It ends when every [`Desk`] is gone and what waits is done; the receiver then has a word.
///
/// # Errors
/// When the store cannot be read, or there is no thread to be had.
pub fn start(
    store: Store,
    periods: Periods,
    retention: sweep::Retention,
    simulated: bool,
    webhook: bool,
    now_ms: fn() -> i64,
) -> Result<(Desk, oneshot::Receiver<()>), StartError> {
    let fleet = Fleet::of(store.load().map_err(StartError::Load)?);
    let keys = Keys::default();
    keys.put(fleet.keys.keys().map(|bytes| PublicKey::from_bytes(*bytes)));
    let (jobs, waiting) = mpsc::channel(QUEUE);
    let (ended, end) = oneshot::channel::<()>();
    let registrar = Registrar {
        fleet,
        keys: keys.clone(),
        periods,
        alive_since_ms: now_ms(),
        wanted: HashMap::new(),
        refused: HashMap::new(),
        webhook,
        excluded: Vec::new(),
        absent: HashMap::new(),
        simulated,
        sweep: sweep::Sweep::new(retention),
    };
    let work = move || {
        registrar.run(store, waiting, now_ms);
        // Dropped, it tells whoever waits.
        drop(ended);
    };
    std::thread::Builder::new().name("registrar".to_owned()).spawn(work).map_err(StartError::Thread)?;
    Ok((Desk { jobs, keys }, end))
}

pub use sweep::Retention;

/// Why the registrar cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store.
    #[error("the store cannot be read: {0}")]
    Load(rusqlite::Error),
    /// The kernel gave no thread.
    #[error("cannot start the thread that writes: {0}")]
    Thread(std::io::Error),
}

impl Registrar {
    fn run(mut self, mut store: Store, mut waiting: mpsc::Receiver<Job>, now_ms: fn() -> i64) {
        let mut jobs = Vec::with_capacity(TOGETHER);
        while waiting.blocking_recv_many(&mut jobs, TOGETHER) > 0 {
            std::thread::park_timeout(LINGER);
            while jobs.len() < TOGETHER
                && let Ok(job) = waiting.try_recv()
            {
                jobs.push(job);
            }
            let mut told: Vec<Told> = Vec::with_capacity(jobs.len());
            let done = store.begin().and_then(|batch| {
                for job in jobs.drain(..) {
                    self.job(job, &batch, &mut told, now_ms())?;
                }
                batch.commit()
            });
            let stored = done.is_ok();
            told.into_iter().for_each(|tell| tell(stored));
            if let Err(error) = done {
                tracing::error!(%error, "Nothing can be stored. Nodes are told to try again.");
                jobs.clear();
                // Memory is ahead of the disk now.
                match store.load() {
                    Ok(loaded) => self.fleet = Fleet::of(loaded),
                    Err(error) => tracing::error!(%error, "The store cannot be read either."),
                }
            }
        }
    }

    /// Does one thing. An error is the store's: nothing of the batch is kept then.
    fn job(&mut self, job: Job, batch: &Batch<'_>, told: &mut Vec<Told>, now_ms: i64) -> rusqlite::Result<()> {
        match job {
            Job::Beat { statement, contact_ms, envelope, answer } => {
                let result = self.beat(batch, &statement, (contact_ms, &envelope), now_ms)?;
                told.push(later(answer, result));
            }
            Job::Enrol { enrolment, verified, answer } => {
                let result = self.enrol(batch, &enrolment, &verified, now_ms)?;
                told.push(later(answer, result));
            }
            Job::Report { digest, body, answer } => {
                let result = self.report(batch, &digest, &body, now_ms)?;
                told.push(later(answer, result));
            }
            Job::Clear { node_id, reason, owner, answer } => {
                let word = self.clear(batch, node_id, (&reason, &owner), now_ms)?;
                told.push(later(answer, Ok(word)));
            }
            Job::ExpectFrom(places) => batch.places(&places)?,
            Job::Expect(listing) => self.expect(batch, &listing, now_ms)?,
            Job::ClustersFrom(clusters) => self.clusters_from(batch, &clusters)?,
            Job::Cluster(listing) => self.cluster(batch, &listing, now_ms)?,
            Job::Sweep => self.sweep(batch, now_ms)?,
        }
        Ok(())
    }
}

/// Tells the result once it is known whether it is on disk.
fn later<T: Send + 'static>(answer: Answer<T>, result: Result<T, Refused>) -> Told {
    Box::new(move |stored| {
        let result = match result {
            Ok(_) if !stored => Err(storage()),
            result => result,
        };
        // The node may have gone; it asks again.
        drop(answer.send(result));
    })
}
