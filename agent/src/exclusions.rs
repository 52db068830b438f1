//! Pods that ask to be left out of the logs: follows the watch of this node's pods, and tells the log room.
//!
//! Only where the operator lets namespaces do so; otherwise nothing of this runs, and Kubernetes is not asked. What was known
//! stays known while the API server cannot be reached, and a pod that nobody has told of is shipped.

mod word;

use std::sync::Arc;
use std::time::Duration;

use safeguard_daemon::shutdown::Shutdown;
use safeguard_logs::{Exclusions, Selector};
use safeguard_pods::{Reader, Wanted, index, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::annotations::WANTED;
use crate::kubernetes::Way;
use crate::routes::Inside;
use word::Words;

/// How long the log room is not started for want of the first word about the pods: what they had left out before would be
/// shipped until it comes. Without it, it starts all the same.
const FIRST_WORD: Duration = Duration::from_secs(5);

/// Words follow each other no closer than this: pods of a node start and end in crowds.
const SPACING: Duration = Duration::from_millis(100);

/// How often the watch is asked how it is.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What keeps the agent from asking the API server at all (a file that is missing, say) is tried again after this.
const TRY_AGAIN: Duration = Duration::from_secs(30);

/// Follows the pods of this node.
#[derive(Debug)]
pub(crate) struct Follower {
    way: Way,
    node: String,
    words: Words,
    /// `None` until there is an API server to ask.
    reader: Option<Reader>,
    /// Why there is none.
    unreachable: Option<String>,
    tried_at: Instant,
    /// The watch; it ends with the follower.
    watching: JoinSet<()>,
}

impl Follower {
    /// Begins to watch the pods of `node`. Those in namespaces that one of `allowed` chooses may exclude containers.
    pub(crate) fn begin(way: Way, node: String, allowed: Vec<Selector>) -> Self {
        let (words, watching, tried_at) = (Words::new(allowed), JoinSet::new(), Instant::now());
        let mut follower = Self { way, node, words, reader: None, unreachable: None, tried_at, watching };
        follower.connect();
        follower
    }

    fn connect(&mut self) {
        self.tried_at = Instant::now();
        match self.way.access.api_server(&self.way.means) {
            Ok(api) => {
                let (writer, reader) = index();
                let pod_annotations = WANTED.map(str::to_owned).into();
                let wanted = Wanted { node: self.node.clone(), pod_annotations, ..Wanted::default() };
                self.watching.spawn(watch(writer, api, wanted, std::future::pending()));
                (self.reader, self.unreachable) = (Some(reader), None);
            }
            Err(error) => {
                let error = error.to_string();
                if self.unreachable.as_ref() != Some(&error) {
                    tracing::error!(
                        error,
                        "Pods cannot be asked what they exclude from the logs; all of them are shipped."
                    );
                }
                self.unreachable = Some(error);
            }
        }
    }

    /// What the log room is told first. Waits for the first list of pods, but not for long.
    pub(crate) async fn first(&mut self) -> Exclusions {
        if let Some(reader) = &self.reader {
            let mut changes = reader.changes();
            let synced = async {
                while !reader.health().synced {
                    // An empty list changes nothing that is known.
                    drop(timeout(SPACING, changes.changed()).await);
                }
            };
            drop(timeout(FIRST_WORD, synced).await);
        }
        self.word().unwrap_or_default()
    }

    /// What holds now, if it is not what was said last.
    fn word(&mut self) -> Option<Exclusions> {
        match &self.reader {
            Some(reader) => self.words.next(&reader.pods(), &reader.health()),
            None => self.words.none(self.unreachable.as_deref().unwrap_or("the API server was not asked yet")),
        }
    }

    /// Tells the log room of every change until the agent ends.
    pub(crate) async fn follow(mut self, inside: Arc<Inside>, stop: Shutdown) {
        tokio::select! {
            () = stop.requested() => {}
            () = self.tell(&inside) => {}
        }
    }

    async fn tell(&mut self, inside: &Inside) {
        let Some(logs) = &inside.logs else { return };
        loop {
            if self.reader.is_none() && self.tried_at.elapsed() >= TRY_AGAIN {
                self.connect();
            }
            let changes = self.reader.as_ref().map(Reader::changes);
            if let Some(word) = self.word() {
                logs.exclude(word);
            }
            sleep(SPACING).await;
            match changes {
                // It ends only with the reader.
                Some(mut changes) => drop(timeout(LOOK_EVERY, changes.changed()).await),
                None => sleep(LOOK_EVERY).await,
            }
        }
    }
}
