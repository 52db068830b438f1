//! What people and metrics are shown: a snapshot of the pipeline.

use serde::{Deserialize, Serialize};

use crate::discover::ContainerKey;
use crate::ledger::Ledger;

/// A container and what became of its lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerStatus {
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// UID of the pod.
    pub pod_uid: String,
    /// Name of the container.
    pub container: String,
    /// Log group.
    pub group: String,
    /// Log stream.
    pub stream: String,
    /// Whether the operator's `include` and `exclude` let it be shipped.
    pub shipped: bool,
    /// Whether its directory is gone and what is left of it is read from deleted files.
    pub gone: bool,
    /// Log files that are known.
    pub files: u32,
    /// Log files that are held open.
    pub open_files: u32,
    /// Bytes that were written and are not settled. A compressed file counts once its end was read.
    pub behind_bytes: u64,
    /// Time of the oldest line that is not settled, Unix ms; of a compressed file, of the last line that was read. `None` when
    /// nothing is behind.
    pub behind_since_ms: Option<i64>,
    /// The last thing that went wrong with its files.
    pub last_error: Option<String>,
    /// The account.
    pub ledger: Ledger,
}

impl ContainerStatus {
    /// Which container it is.
    #[must_use]
    pub fn key(&self) -> ContainerKey {
        ContainerKey {
            namespace: self.namespace.clone(),
            pod: self.pod.clone(),
            uid: self.pod_uid.clone(),
            container: self.container.clone(),
        }
    }
}

/// A log stream and whether it takes what it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetStatus {
    /// Log group.
    pub group: String,
    /// Log stream.
    pub stream: String,
    /// Batches that are sent and not settled.
    pub outstanding: u32,
    /// Failures in a row.
    pub failures: u32,
    /// Seconds since deliveries fail; `None` while they work.
    pub failing_seconds: Option<u64>,
    /// What the last failure said; `None` while deliveries work.
    pub error: Option<String>,
}

/// The log room at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Version of this document.
    pub version: u32,
    /// When it was taken; Unix ms.
    pub at_ms: i64,
    /// Every container that is known.
    pub containers: Vec<ContainerStatus>,
    /// Every stream that was sent to.
    pub targets: Vec<TargetStatus>,
    /// The sum of all accounts, those of containers that are gone included.
    pub total: Ledger,
    /// Bytes that are not settled, of all containers.
    pub behind_bytes: u64,
    /// Bytes that batches hold in memory, and their bound.
    pub memory_bytes: u64,
    /// Most bytes that batches may hold in memory.
    pub memory_budget_bytes: u64,
    /// Disk space of deleted files that are held open until they are delivered.
    pub pinned_bytes: u64,
    /// Requests that were accepted.
    pub requests: u64,
    /// Bytes of their bodies.
    pub wire_bytes: u64,
    /// Milliseconds since the last checkpoint was written; `None` before the first.
    pub checkpoint_age_ms: Option<u64>,
    /// Why checkpoints cannot be written at present, if so.
    pub checkpoint_error: Option<String>,
    /// Why the checkpoint could not be read at the start, if so: lines may have been delivered twice.
    pub started_without_checkpoint: Option<String>,
    /// Why the directory of all pods cannot be listed, if so: no new file is found meanwhile.
    pub pods_dir_error: Option<String>,
    /// Whether inotify announces new files; if not, directories are listed every second.
    pub inotify: bool,
}
