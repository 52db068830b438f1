//! Every number of an outside service, with its source. The proxy's own numbers are settings, or stand where they are used.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Characters of a role's ARN (STS API reference, AssumeRole, RoleArn).
pub(crate) const ROLE_ARN: RangeInclusive<usize> = 20..=2_048;

/// Characters of a role's name (IAM API reference, CreateRole, RoleName).
pub(crate) const ROLE_NAME: usize = 64;

/// Characters of a role's path (IAM API reference, CreateRole, Path).
pub(crate) const ROLE_PATH: usize = 512;

/// Characters of a session's name (STS API reference, AssumeRole, RoleSessionName).
pub(crate) const SESSION_NAME: RangeInclusive<usize> = 2..=64;

/// Characters of an external id (STS API reference, AssumeRole, ExternalId: `[\w+=,.@:\/-]*`).
pub(crate) const EXTERNAL_ID: RangeInclusive<usize> = 2..=1_224;

/// Seconds that a session may last when the caller is a role itself (IAM User Guide, "Roles terms and concepts", role
/// chaining), as a node's is.
pub(crate) const CHAINED_SESSION: Duration = Duration::from_secs(3_600);

/// Characters of the value of a session tag (STS API reference, Tag).
pub(crate) const TAG_VALUE: usize = 256;

/// Seconds that an IMDSv2 token may be asked for (EC2 User Guide, "Use IMDSv2").
pub(crate) const TOKEN_TTL: RangeInclusive<u64> = 1..=21_600;

/// What is served has at least this long to live, normally: SDKs go wrong below 20 minutes (botocore#2670; botocore
/// rewrites the expiration of what ends within 10 minutes and a random 2 to 10).
pub(crate) const LEFT_NORMALLY: Duration = Duration::from_secs(30 * 60);

/// While STS is away a session is served until this long before it expires.
pub(crate) const LEFT_AT_LEAST: Duration = Duration::from_secs(5 * 60);

/// Longest request target that is read at all: a path to a role's ARN and no more.
pub(crate) const TARGET: usize = 4_096;
