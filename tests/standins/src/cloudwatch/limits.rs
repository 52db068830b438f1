//! Every number of the service that the stand-in enforces, with its source.
//!
//! "API" is the CloudWatch Logs API reference, "quotas" the page "CloudWatch Logs quotas" of its user guide.

use crate::cloudwatch::operation::Op;

/// Events in one PutLogEvents (API: `logEvents`, array members 1 to 10,000).
pub const MAX_EVENTS: usize = 10_000;
/// Bytes added to every message when sizes are counted (API: PutLogEvents, "plus 26 bytes for each log event").
pub const EVENT_OVERHEAD: usize = 26;
/// Bytes in one PutLogEvents, overhead included (API: "maximum batch size is 1,048,576 bytes").
pub const MAX_BATCH_BYTES: usize = 1_048_576;
/// Bytes of one event, overhead included (quotas: "1 MB", raised from 256 KB in April 2025).
pub const MAX_EVENT_BYTES: usize = 1_048_576;
/// Milliseconds that the valid events of a batch may span (API: "cannot span more than 24 hours").
pub const MAX_SPAN_MS: i64 = 24 * 3_600_000;
/// Milliseconds an event may be old (API: "None of the log events can be older than 14 days").
pub const MAX_AGE_MS: i64 = 14 * 24 * 3_600_000;
/// Milliseconds an event may be ahead (API: "more than 2 hours in the future").
pub const MAX_AHEAD_MS: i64 = 2 * 3_600_000;
/// Milliseconds in a day of retention.
pub const DAY_MS: i64 = 24 * 3_600_000;
/// Seconds that a signature's date may differ from the service's clock (AWS Signature Version 4).
pub const MAX_SKEW_SECONDS: i64 = 300;
/// Characters of a group's or stream's name (API).
pub const MAX_NAME: usize = 512;
/// Characters of a KMS key id (API).
pub const MAX_KMS_KEY: usize = 256;
/// Tags of one group (API: TagResource).
pub const MAX_TAGS: usize = 50;
/// Characters of a tag's key (API).
pub const MAX_TAG_KEY: usize = 128;
/// Characters of a tag's value (API).
pub const MAX_TAG_VALUE: usize = 256;
/// Groups of one account and region (quotas: "Log groups").
pub const MAX_GROUPS: usize = 1_000_000;
/// Days that PutRetentionPolicy takes (API: `retentionInDays`).
pub const RETENTION_DAYS: [i64; 22] =
    [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];
/// The most items on a page of DescribeLogGroups and DescribeLogStreams (API: `limit`).
pub const MAX_DESCRIBED: i64 = 50;
/// The most events on a page of GetLogEvents and FilterLogEvents (API: `limit`).
pub const MAX_READ: i64 = 10_000;
/// Bytes on a page of GetLogEvents and FilterLogEvents (API: "up to 1 MB").
pub const MAX_READ_BYTES: usize = 1_048_576;
/// Names in `logStreamNames` of FilterLogEvents (API: array members 1 to 100).
pub const MAX_STREAM_NAMES: usize = 100;

/// Requests a second of one account and region (quotas; they can be raised except PutRetentionPolicy's).
///
/// The numbers of DeleteLogGroup, GetLogEvents and FilterLogEvents differ by region; these are on the low side.
#[must_use]
pub fn requests_per_second(op: Op) -> Option<i64> {
    match op {
        Op::PutLogEvents => Some(5_000),
        Op::CreateLogGroup | Op::DescribeLogGroups | Op::DeleteLogGroup => Some(10),
        Op::CreateLogStream => Some(50),
        Op::DescribeLogStreams | Op::GetLogEvents => Some(25),
        Op::DeleteLogStream => Some(15),
        Op::PutRetentionPolicy
        | Op::TagResource
        | Op::ListTagsForResource
        | Op::AssociateKmsKey
        | Op::FilterLogEvents => Some(5),
        Op::Unknown => None,
    }
}
