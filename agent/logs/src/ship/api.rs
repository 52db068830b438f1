//! The four calls that the agent makes to CloudWatch Logs.

use std::future::Future;

use bytes::Bytes;

use crate::settings::NewGroups;

/// What kind of failure: each has its own answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The group or stream does not exist: create it and try again.
    NotFound,
    /// It exists already: fine.
    AlreadyExists,
    /// Too many requests: slow down, all of us.
    Throttled,
    /// Not allowed: wait for somebody to change the policy.
    Denied,
    /// The credentials are refused: fetch new ones.
    Credentials,
    /// The request itself is refused: find the event that is to blame.
    Invalid,
    /// Anything that may pass: connection, time-out, server error, a reply that makes no sense.
    Transient,
}

/// A call that failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{operation}: {message}")]
pub struct Failure {
    /// What to do about it.
    pub kind: FailureKind,
    /// The API operation.
    pub operation: &'static str,
    /// What the service or the transport said, and what the reader can do.
    pub message: String,
}

/// The indexes of `rejectedLogEventsInfo` (API Reference, `RejectedLogEventsInfo`): positions in the request, not counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rejected {
    /// Events before this index are too old.
    pub too_old_end: Option<usize>,
    /// Events before this index are older than the group's retention.
    pub expired_end: Option<usize>,
    /// Events from this index on are too new.
    pub too_new_start: Option<usize>,
}

/// CloudWatch Logs, as far as the agent uses it. Every call ends within a deadline of its own.
pub trait LogsApi: Send + Sync + 'static {
    /// `PutLogEvents` with a body that is ready to be signed and sent.
    fn put(&self, body: Bytes, gzip: bool) -> impl Future<Output = Result<Rejected, Failure>> + Send;
    /// `CreateLogStream`.
    fn create_stream(&self, group: &str, stream: &str) -> impl Future<Output = Result<(), Failure>> + Send;
    /// `CreateLogGroup`, with class, key and tags.
    fn create_group(&self, group: &str, new: &NewGroups) -> impl Future<Output = Result<(), Failure>> + Send;
    /// `PutRetentionPolicy`.
    fn set_retention(&self, group: &str, days: u32) -> impl Future<Output = Result<(), Failure>> + Send;
    /// The service refused the credentials in use: the next call has to fetch new ones.
    fn credentials_refused(&self);
}
