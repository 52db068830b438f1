//! Numbers of the service. Source, unless another is named: AWS STS API Reference, `AssumeRole`.

/// Seconds that a signature's date may differ from the service's clock; its errors say "15 min.".
pub const MAX_SKEW_SECONDS: i64 = 900;
/// Characters of `RoleArn`.
pub const ROLE_ARN: std::ops::RangeInclusive<usize> = 20..=2_048;
/// Characters of `RoleSessionName` and of `SourceIdentity`.
pub const SESSION_NAME: std::ops::RangeInclusive<usize> = 2..=64;
/// Characters of `ExternalId`.
pub const EXTERNAL_ID: std::ops::RangeInclusive<usize> = 2..=1_224;
/// `DurationSeconds`, for any role.
pub const DURATION_SECONDS: std::ops::RangeInclusive<u32> = 900..=43_200;
/// `DurationSeconds` when none is given.
pub const DEFAULT_DURATION_SECONDS: u32 = 3_600;
/// `DurationSeconds` when the caller is a session of a role itself ("role chaining").
pub const CHAINED_DURATION_SECONDS: u32 = 3_600;
/// Session tags of a request.
pub const MAX_TAGS: usize = 50;
/// Characters of a tag's key.
pub const TAG_KEY: std::ops::RangeInclusive<usize> = 1..=128;
/// Characters of a tag's value.
pub const TAG_VALUE: std::ops::RangeInclusive<usize> = 0..=256;
/// Characters of an inline session policy.
pub const POLICY: std::ops::RangeInclusive<usize> = 1..=2_048;
/// Bytes of a request's body. The service documents none; this is far above any valid request.
pub const MAX_BODY: usize = 65_536;
/// Seconds for which a presigned URL may be used as a token for EKS (kubernetes-sigs/aws-iam-authenticator,
/// "API Authorization from Outside a Cluster": 15 minutes after `X-Amz-Date`, whatever `X-Amz-Expires` says).
pub const MAX_EXPIRES_SECONDS: u32 = 900;
