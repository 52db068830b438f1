//! What people and metrics are shown: a snapshot of the pipeline.

use serde::{Deserialize, Serialize};

use crate::discover::LogName;
use crate::ledger::Ledger;

/// A log and what became of its lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogStatus {
    /// Whose lines they are.
    #[serde(flatten)]
    pub name: LogName,
    /// Log group.
    pub group: String,
    /// Log stream.
    pub stream: String,
    /// Whether the operator's settings let it be shipped.
    pub shipped: bool,
    /// By what its pod has it left out now; `None` if it does not, or may not.
    #[serde(default)]
    pub excluded_by: Option<String>,
    /// Whether its directory is gone and what is left of it is read from deleted files.
    pub gone: bool,
    /// Log files that are known; none for a unit of the journal.
    pub files: u32,
    /// Log files that are held open.
    pub open_files: u32,
    /// Bytes that were written and are not settled. A compressed file counts once its end was read; a unit of the journal with
    /// what was read of it.
    pub behind_bytes: u64,
    /// Time of the oldest line that is not settled, Unix ms; of a compressed file, of the last line that was read. `None` when
    /// nothing is behind.
    pub behind_since_ms: Option<i64>,
    /// The last thing that went wrong with its files.
    pub last_error: Option<String>,
    /// The account.
    pub ledger: Ledger,
}

/// The systemd journal as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalStatus {
    /// Journal files that are known.
    pub files: u32,
    /// Journal files that are held open.
    pub open_files: u32,
    /// Entries that were written and are not settled.
    pub behind_entries: u64,
    /// Time of the oldest entry that was not read, Unix ms. `None` when everything was read.
    pub behind_since_ms: Option<i64>,
    /// Entries that were deleted before they were read, as far as their numbers tell.
    pub vacuumed_entries: u64,
    /// Entries, or fields of entries, that cannot be read because their file is damaged.
    pub damaged_entries: u64,
    /// The last thing that went wrong with a journal file.
    pub last_error: Option<String>,
}

/// Whether pods may have their containers left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExclusionStatus {
    /// Containers with files that are left out now.
    pub containers: u32,
    /// Why this may not be what pods say now, or not all of it; `None` if all is well.
    pub problem: Option<String>,
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
    /// Every log that is known: containers, files, units of the journal.
    pub logs: Vec<LogStatus>,
    /// The journal; `None` if it is not read.
    pub journal: Option<JournalStatus>,
    /// What pods have left out; `None` if the room is told of no exclusions.
    #[serde(default)]
    pub exclusions: Option<ExclusionStatus>,
    /// Every stream that was sent to.
    pub targets: Vec<TargetStatus>,
    /// The sum of all accounts, those of logs that are gone included.
    pub total: Ledger,
    /// Bytes that are not settled, of all logs.
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
    /// Why a directory of plain files or of the journal cannot be listed, if so.
    pub listing_errors: Vec<String>,
    /// Whether inotify announces new files; if not, directories are listed every second.
    pub inotify: bool,
}
