//! Every number of Amazon CloudWatch Logs that the agent relies on, with its source.
//!
//! Sources: **API** = CloudWatch Logs API Reference, data types and operations named beside it; **Quotas** = "CloudWatch
//! Logs quotas" in the user guide. Nothing here is a setting: a wrong number here is a refused request.

/// Bytes that the service adds to each event when it measures a batch (API, `PutLogEvents`).
pub const EVENT_OVERHEAD: usize = 26;

/// Largest batch: the sum of all messages in UTF-8 plus [`EVENT_OVERHEAD`] each (API, `PutLogEvents`).
pub const BATCH_BYTES: usize = 1_048_576;

/// Most events in a batch (API, `PutLogEvents`).
pub const BATCH_EVENTS: usize = 10_000;

/// Largest message, in bytes of UTF-8: an event may be 1 MiB and its overhead counts (API, `PutLogEvents`; Quotas, "Log
/// event size", raised from 256 KiB in April 2025).
pub const MESSAGE_BYTES: usize = BATCH_BYTES - EVENT_OVERHEAD;

/// Longest time between the first and the last event of a batch, in milliseconds. The service says 24 hours without
/// saying whether the bound itself is inside (API, `PutLogEvents`), so we stay one second below it.
pub const BATCH_SPAN_MS: i64 = 24 * 3_600_000 - 1_000;

/// Events further in the future than this are dropped by the service, in milliseconds (API, `PutLogEvents`: 2 hours).
pub const TOO_NEW_MS: i64 = 2 * 3_600_000;

/// How far we keep from [`TOO_NEW_MS`], for the time a request waits and for clocks that differ: the service accepts
/// requests whose signature is at most 5 minutes off, so no accepted clock differs by more (IAM, "Signature Version 4").
pub const CLOCK_MARGIN_MS: i64 = 5 * 60_000;

/// Longest name of a group or stream, in characters (API, `CreateLogGroup`, `CreateLogStream`).
pub const NAME_CHARS: usize = 512;

/// The days that a retention policy may have (API, `PutRetentionPolicy`).
pub const RETENTION_DAYS: [u32; 22] =
    [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];

/// Most tags of a group (API, `CreateLogGroup`).
pub const TAGS: usize = 50;
/// Longest key of a tag, in characters (API, `CreateLogGroup`).
pub const TAG_KEY_CHARS: usize = 128;
/// Longest value of a tag, in characters (API, `CreateLogGroup`).
pub const TAG_VALUE_CHARS: usize = 256;
/// Longest KMS key id or ARN, in characters (API, `CreateLogGroup`).
pub const KMS_KEY_CHARS: usize = 256;

/// PutLogEvents requests a second that an account may make in a region (Quotas; adjustable). All nodes share it.
pub const ACCOUNT_PUTS_PER_SECOND: u32 = 5_000;

/// Whether a log group's name may have this byte (API, `CreateLogGroup`: `[\.\-_/#A-Za-z0-9]+`).
#[must_use]
pub const fn group_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'/' | b'#')
}

/// Whether a log stream's name may have this byte (API, `CreateLogStream`: `[^:*]*`). Control characters are legal
/// there and of no use to a reader, so we do not send them.
#[must_use]
pub const fn stream_byte(b: u8) -> bool {
    !matches!(b, b':' | b'*') && !b.is_ascii_control()
}

/// Whether a tag's key or value may have this character (API, `CreateLogGroup`:
/// `[\p{L}\p{Z}\p{N}_.:/=+\-@]`).
#[must_use]
pub fn tag_char(c: char) -> bool {
    c.is_alphanumeric() || c.is_whitespace() || matches!(c, '_' | '.' | ':' | '/' | '=' | '+' | '-' | '@')
}
