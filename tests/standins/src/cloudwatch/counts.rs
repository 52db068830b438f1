//! The exact account of what was asked and what was answered.

use std::collections::BTreeMap;

use crate::cloudwatch::{error::ApiError, operation::Op};

/// Everything counted since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Per operation. Operations that were never called are absent.
    pub ops: BTreeMap<Op, OpCounts>,
    /// Events stored, or in discard mode events that would have been.
    pub events_stored: u64,
    /// UTF-8 bytes of the messages of those events.
    pub message_bytes: u64,
    /// Events of accepted requests that were not stored, by reason.
    pub events_rejected: Rejections,
    /// Requests whose body came with `Content-Encoding: gzip`.
    pub gzip_requests: u64,
    /// Connections accepted.
    pub connections: u64,
    /// Bytes received on the wire, TLS and headers included.
    pub bytes_received: u64,
    /// Bytes sent on the wire, TLS and headers included.
    pub bytes_sent: u64,
}

/// The requests of one operation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpCounts {
    /// Requests whose header was read.
    pub calls: u64,
    /// Requests carried out, whatever a fault then did to their reply.
    pub ok: u64,
    /// Requests that met a scripted fault.
    pub faults: u64,
    /// Error replies by `__type`, scripted ones included.
    pub errors: BTreeMap<String, u64>,
}

/// Events that `rejectedLogEventsInfo` reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rejections {
    /// Older than 14 days.
    pub too_old: u64,
    /// More than 2 hours ahead.
    pub too_new: u64,
    /// Older than the group's retention.
    pub expired: u64,
}

impl Counts {
    /// The account of one operation; zeros when it was never called.
    #[must_use]
    pub fn op(&self, op: Op) -> OpCounts {
        self.ops.get(&op).cloned().unwrap_or_default()
    }

    /// Error replies of one operation with this `__type`.
    #[must_use]
    pub fn errors(&self, op: Op, code: &str) -> u64 {
        self.ops.get(&op).and_then(|counts| counts.errors.get(code)).copied().unwrap_or(0)
    }

    pub(crate) fn of(&mut self, op: Op) -> &mut OpCounts {
        self.ops.entry(op).or_default()
    }

    pub(crate) fn error(&mut self, op: Op, error: &ApiError) {
        let errors = &mut self.of(op).errors;
        if let Some(count) = errors.get_mut(error.code.as_ref()) {
            *count += 1;
        } else {
            errors.insert(error.code.to_string(), 1);
        }
    }
}
