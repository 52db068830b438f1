//! Ships the logs of a node to Amazon CloudWatch Logs.
//!
//! **In:** files below `/var/log/pods`, through a [`HostRoot`](safeguard_host::HostRoot), [`Settings`], and, where somebody
//! tells them, [`Exclusions`].
//! **Out:** `PutLogEvents` requests, a checkpoint of what was accepted, and a [`Status`] for people and metrics.
//! **Never:** knows or waits for Kubernetes, keeps a second copy of a line on disk, moves an offset before what is below it was
//! accepted by the service or counted with why it is not sent, or gives a line up without counting it.
//!
//! ```text
//! discover ─ tail ─ parse ─ batch ──────► ship ──────► Receipt ─ checkpoint
//! └─ one thread: files, CPU ────┘         └ network ┘    └─ ledger ─ status
//! ```
//!
//! The file on the left is named by its verb. Files of the node are only read; the state directory is only written by
//! `checkpoint` and `quarantine`.

mod batch;
mod checkpoint;
mod discover;
mod encode;
mod exclude;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod journal;
mod ledger;
pub mod limits;
mod multiline;
mod names;
mod parse;
mod pipeline;
mod quarantine;
mod ranges;
mod settings;
mod ship;
mod source;
mod status;
mod tail;
mod watch;

pub use discover::{ContainerKey, LogName, PathGlob};
pub use exclude::{Exclusions, PodExclusion, PodKey};
pub use ledger::{Count, Ledger, Reason};
pub use multiline::Multiline;
pub use names::{ContainerNames, NameKind, NodeNames, Template, TemplateError, Variable};
pub use pipeline::{Drained, Health, Logs, StartError};
pub use settings::{
    FileSettings, Format, GroupClass, JournalSettings, MultilineSettings, NewGroups, Oversize, Selector, Settings,
    UnitGlob,
};
pub use ship::{Deadlines, Failure, FailureKind, LogsApi, Rejected, SdkLogs};
pub use status::{ExclusionStatus, JournalStatus, LogStatus, Status, TargetStatus};

/// A log file, by its number in the pipeline.
pub(crate) type FileNo = u32;
/// A container, by its number in the pipeline.
pub(crate) type ContainerNo = u32;
/// A group and stream, by their number in the pipeline.
pub(crate) type TargetNo = u32;

/// A log group and stream.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Target {
    pub(crate) group: String,
    pub(crate) stream: String,
}
