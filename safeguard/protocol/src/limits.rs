//! Every bound of the protocol. docs/protocol.md, "Limits", says why each is what it is.

/// The longest statement, as it is signed, in bytes. In an envelope it is at most 4 KiB: base64 and the signature come on top.
pub const STATEMENT_BYTES: usize = 2_816;
/// The longest envelope of a beat, in bytes.
pub const BEAT_BYTES: usize = 4_096;
/// The longest envelope of an enrolment, in bytes: it holds a document, a PKCS#7 message, a request to STS and a token.
pub const ENROLMENT_BYTES: usize = 48 * 1024;
/// The longest reply, in bytes.
pub const REPLY_BYTES: usize = 16 * 1024;
/// The longest report, in bytes, before compression.
pub const REPORT_BYTES: usize = 1024 * 1024;
/// The longest name of anything (tenant, cluster, node, policy, control), in bytes.
pub const NAME_BYTES: usize = 253;
/// Changed controls that a statement names; of more it tells the number.
pub const CHANGES: usize = 16;
/// Failing critical controls that a statement names; of more it tells the number.
pub const CRITICAL: usize = 16;
/// Policies that a statement names.
pub const POLICIES: usize = 8;
/// Reasons for lost log lines that a statement names.
pub const LOST_REASONS: usize = 8;
/// The longest name of a reason for lost log lines, in bytes.
pub const REASON_BYTES: usize = 64;
/// Ranges of dropped beats that a statement declares.
pub const DROPPED_RANGES: usize = 8;
/// Bytes of a nonce before encoding.
pub const NONCE_BYTES: usize = 32;
/// The longest nonce that a message may say, in characters; those that the safeguard gives have 43.
pub const NONCE_CHARACTERS: usize = 64;
/// Digests that an acknowledgement asks for.
pub const WANTED: usize = 4;
/// Reasons of a posture that an acknowledgement names.
pub const POSTURE_REASONS: usize = 8;
/// The longest boot id, in bytes; Linux writes 36.
pub const BOOT_ID_BYTES: usize = 64;
/// How long a nonce of a challenge may be used, in seconds.
pub const NONCE_SECONDS: u32 = 300;
/// The longest time that a node may promise until its next beat, in seconds.
pub const NEXT_DUE_SECONDS: u32 = 3_600;
/// What a node is believed to promise where it is asked to beat more often, in seconds.
pub const PROMISE_SECONDS: u32 = 300;
/// How far a node's clock may be off for a beat to count as live, in milliseconds.
pub const CLOCK_SKEW_MS: i64 = 300_000;
