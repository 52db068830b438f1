//! Scripted faults: what the real service and the network do on a bad day.

use std::{borrow::Cow, sync::Arc, time::Duration};

use crate::{
    cloudwatch::{error::ApiError, operation::Op},
    script::Script,
};

/// What happens to a request instead of, or on top of, the usual.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// An error reply; nothing is carried out.
    Status {
        /// HTTP status, for example 400 or 503.
        code: u16,
        /// The `__type` of the body.
        error: Cow<'static, str>,
        /// The `message` of the body.
        message: Cow<'static, str>,
    },
    /// Read some of the request's body, then reset the connection (RST). Nothing is carried out.
    ///
    /// From [`Faults::when`], which sees whole requests, the reset comes after the last byte.
    ResetMidBody,
    /// Send the headers of a 200 with a `Content-Length`, then nothing until the peer leaves. Nothing is carried out.
    HangAfterHeaders,
    /// Send nothing until the peer leaves. Nothing is carried out.
    HangBeforeReply,
    /// Carry it out, then send nothing until the peer leaves.
    StoreThenHang,
    /// Carry it out, then answer 500 `InternalFailure`.
    StoreThen500,
    /// Carry it out, then close the connection without a reply.
    StoreThenDrop,
    /// Answer 200 with an empty body. Nothing is carried out.
    EmptyBody200,
    /// Carry it out, then answer 200 with an empty body.
    EmptyBody200Stored,
    /// Answer 200 with JSON that stops in the middle of a member; the HTTP around it is whole. Nothing is carried out.
    TruncatedJson,
    /// Answer 200 with fewer bytes than `Content-Length` promised, then close. Nothing is carried out.
    ShortBody,
    /// Answer 200 with an HTML page, as a captive proxy would. Nothing is carried out.
    NonJson200,
    /// Answer 502 with an HTML page, as a load balancer would. Nothing is carried out.
    NonJson502,
    /// Carry it out and answer as usual, but without `x-amzn-RequestId`.
    MissingRequestId,
    /// Wait, then go on as usual.
    Latency(Duration),
    /// Wait, then meet another fault.
    Delayed(Duration, Box<Fault>),
    /// Accept a PutLogEvents, but reject the events at these indexes whatever their timestamps.
    RejectIndexes(RejectIndexes),
    /// For CreateLogGroup and CreateLogStream: carry it out, and answer `ResourceNotFoundException` to the first
    /// `n` PutLogEvents (for groups also CreateLogStream) that name the new resource: eventual consistency.
    NotFoundAfterCreate(u32),
}

/// The indexes of `rejectedLogEventsInfo`, with the service's meaning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RejectIndexes {
    /// Events before this index are too old (exclusive end).
    pub too_old_end: Option<usize>,
    /// Events before this index, from `too_old_end` on, are past the group's retention (exclusive end).
    pub expired_end: Option<usize>,
    /// Events from this index on are too far ahead (inclusive start).
    pub too_new_start: Option<usize>,
}

impl Fault {
    /// An error reply with any status and code.
    pub fn status(code: u16, error: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Fault {
        Fault::Status { code, error: error.into(), message: message.into() }
    }

    fn from_error(error: ApiError) -> Fault {
        Fault::Status { code: error.status, error: error.code, message: error.message }
    }

    /// 400 `ThrottlingException`, "Rate exceeded".
    #[must_use]
    pub fn throttled() -> Fault {
        Fault::from_error(ApiError::throttled())
    }

    /// 400 `AccessDeniedException`.
    #[must_use]
    pub fn denied() -> Fault {
        Fault::status(
            400,
            "AccessDeniedException",
            "User: arn:aws:sts::123456789012:assumed-role/node/i-0 is not authorized to perform this action",
        )
    }

    /// 500 `InternalFailure`.
    #[must_use]
    pub fn internal() -> Fault {
        Fault::status(500, "InternalFailure", "The request processing has failed because of an unknown error.")
    }

    /// 503 `ServiceUnavailableException`.
    #[must_use]
    pub fn unavailable() -> Fault {
        Fault::status(503, "ServiceUnavailableException", "The service cannot complete the request.")
    }

    /// 400 `ResourceNotFoundException` for the group.
    #[must_use]
    pub fn not_found_group() -> Fault {
        Fault::from_error(ApiError::no_group())
    }

    /// 400 `ResourceNotFoundException` for the stream.
    #[must_use]
    pub fn not_found_stream() -> Fault {
        Fault::from_error(ApiError::no_stream())
    }

    /// 400 `LimitExceededException`.
    #[must_use]
    pub fn limit_exceeded() -> Fault {
        Fault::status(400, "LimitExceededException", "Resource limit exceeded.")
    }

    /// 400 `OperationAbortedException`, as concurrent requests on one resource get.
    #[must_use]
    pub fn aborted() -> Fault {
        Fault::status(
            400,
            "OperationAbortedException",
            "A conflicting operation is currently in progress against this resource. Please try again.",
        )
    }

    /// 400 `InvalidParameterException` with this message.
    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Fault {
        Fault::status(400, "InvalidParameterException", message)
    }

    /// 400 `ExpiredTokenException`.
    #[must_use]
    pub fn expired_token() -> Fault {
        Fault::status(400, "ExpiredTokenException", "The security token included in the request is expired")
    }

    /// 400 `UnrecognizedClientException`.
    #[must_use]
    pub fn unrecognized_client() -> Fault {
        Fault::status(400, "UnrecognizedClientException", "The security token included in the request is invalid.")
    }

    /// This fault, after a wait.
    #[must_use]
    pub fn after(self, wait: Duration) -> Fault {
        Fault::Delayed(wait, Box::new(self))
    }
}

/// A request as a rule of [`Faults::when`] sees it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RequestView<'a> {
    /// The operation.
    pub op: Op,
    /// The group it names; empty when it names none.
    pub group: &'a str,
    /// The stream it names; empty when it names none.
    pub stream: &'a str,
    /// The number of the request, from 1, over all operations; the same as in [`StoredEvent::request`].
    ///
    /// [`StoredEvent::request`]: crate::cloudwatch::StoredEvent::request
    pub serial: u64,
    /// The JSON body, inflated.
    pub body: &'a str,
}

type Rule = dyn Fn(&RequestView<'_>) -> Option<Fault> + Send + Sync;

/// The script: one-shot faults by operation, then standing rules, in the order they were given.
#[derive(Debug, Default)]
pub struct Faults {
    script: Script<Op, Fault, Rule>,
}

impl Faults {
    /// The next `n` requests of `op` meet `fault`, after those queued before.
    pub fn next(&self, op: Op, n: u32, fault: Fault) {
        self.script.next(op, n, fault);
    }

    /// Every request for which `rule` gives a fault meets it, until [`Faults::clear`]. Queued faults come first.
    pub fn when(&self, rule: impl Fn(&RequestView<'_>) -> Option<Fault> + Send + Sync + 'static) {
        self.script.when(Arc::new(rule));
    }

    /// Forgets queued faults and rules; requests that already met one are not freed.
    pub fn clear(&self) {
        self.script.clear();
    }

    /// Requests that queued faults still wait for.
    #[must_use]
    pub fn pending(&self) -> u32 {
        self.script.pending()
    }

    /// Takes a queued [`Fault::ResetMidBody`] if that is what is next for `op`: it acts before the body is whole.
    pub(crate) fn take_reset(&self, op: Op) -> bool {
        self.script.take_if(&op, |fault| matches!(fault, Fault::ResetMidBody)).is_some()
    }

    /// Takes the next queued fault of `op`.
    pub(crate) fn take(&self, op: Op) -> Option<Fault> {
        self.script.take(&op)
    }

    /// The standing rules. They are run without the lock, so that a rule may use the script itself.
    pub(crate) fn rules(&self) -> Rules {
        Rules(self.script.rules())
    }
}

pub(crate) struct Rules(Vec<Arc<Rule>>);

impl Rules {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn decide(&self, view: &RequestView<'_>) -> Option<Fault> {
        self.0.iter().find_map(|rule| rule(view))
    }
}
