//! AssumeRole.

use std::collections::BTreeSet;

use aws_lc_rs::digest;

use super::{Core, call::Call, error::ApiError, limits, parameters::Constraints, reply, role::Role};
use crate::{Principal, dates, locked};

const ROLE_ARN_PATTERN: &str = r"[\u0009\u000A\u000D\u0020-\u007E\u0085\u00A0-\uD7FF\uE000-\uFFFD\u10000-\u10FFFF]+";

/// What it made: the id of the key, and the elements of the reply.
pub(super) struct Assumed {
    pub(super) access_key_id: String,
    pub(super) result: String,
}

pub(super) fn assume(core: &Core, call: &Call, caller: &Principal, now_ms: i64) -> Result<Assumed, ApiError> {
    let wanted = Wanted::check(call)?;
    let role = locked(&core.roles).get(wanted.role_arn).cloned();
    let deny = |action: &str| ApiError::denied(&caller.arn(), action, wanted.role_arn);
    let role = role.filter(|role| role.trusts(caller, call.external_id.as_deref()));
    let role = role.ok_or_else(|| deny("sts:AssumeRole"))?;
    if !call.tags.is_empty() && !role.may_tag {
        return Err(deny("sts:TagSession"));
    }
    if call.source_identity.is_some() && !role.may_set_source_identity {
        return Err(deny("sts:SetSourceIdentity"));
    }
    check_duration(&role, caller, wanted.duration_seconds)?;

    let expires = now_ms.saturating_add(i64::from(wanted.duration_seconds) * 1_000).div_euclid(1_000) * 1_000;
    let session = Principal::session(&role.arn, wanted.session_name);
    let key = core.options.account.issue_temporary(session.clone(), Some(expires));
    let mut result = reply::group(
        "AssumedRoleUser",
        &[reply::element(1, "AssumedRoleId", &user_id(&session)), reply::element(1, "Arn", &session.arn())],
    );
    result.push_str(&reply::group(
        "Credentials",
        &[
            reply::element(1, "AccessKeyId", &key.access_key_id),
            reply::element(1, "SecretAccessKey", &key.secret_access_key),
            reply::element(1, "SessionToken", key.session_token.as_deref().unwrap_or_default()),
            reply::element(1, "Expiration", &dates::rfc3339(expires / 1_000)),
        ],
    ));
    if let Some(identity) = &call.source_identity {
        result.push_str(&reply::element(0, "SourceIdentity", identity));
    }
    Ok(Assumed { access_key_id: key.access_key_id, result })
}

fn check_duration(role: &Role, caller: &Principal, seconds: u32) -> Result<(), ApiError> {
    if caller.role_arn().is_some() && seconds > limits::CHAINED_DURATION_SECONDS {
        return Err(ApiError::validation(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining",
        ));
    }
    if seconds > role.max_session_seconds {
        return Err(ApiError::validation(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        ));
    }
    Ok(())
}

/// The parts of a call that is well formed.
struct Wanted<'a> {
    role_arn: &'a str,
    session_name: &'a str,
    duration_seconds: u32,
}

impl Wanted<'_> {
    fn check(call: &Call) -> Result<Wanted<'_>, ApiError> {
        let mut constraints = Constraints::default();
        match &call.role_arn {
            None => constraints.broken(None, "roleArn", "not be null"),
            Some(arn) => {
                constraints.length(arn, "roleArn", &limits::ROLE_ARN);
                constraints.pattern(
                    arn,
                    "roleArn",
                    ROLE_ARN_PATTERN,
                    |c| matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..),
                );
            }
        }
        match &call.session_name {
            None => constraints.broken(None, "roleSessionName", "not be null"),
            Some(name) => check_name(&mut constraints, name, "roleSessionName"),
        }
        if let Some(identity) = &call.source_identity {
            check_name(&mut constraints, identity, "sourceIdentity");
        }
        if let Some(id) = &call.external_id {
            constraints.length(id, "externalId", &limits::EXTERNAL_ID);
            constraints.pattern(id, "externalId", r"[\w+=,.@:\/-]*", |c| is_name(c) || matches!(c, ':' | '/'));
        }
        if let Some(policy) = &call.policy {
            constraints.length(policy, "policy", &limits::POLICY);
        }
        let seconds = call.duration_seconds.as_deref().map(str::parse::<u32>).transpose();
        let seconds = seconds.map_err(|_| ApiError::validation("DurationSeconds must be a whole number"))?;
        let seconds = seconds.unwrap_or(limits::DEFAULT_DURATION_SECONDS);
        let (least, most) = (limits::DURATION_SECONDS.start(), limits::DURATION_SECONDS.end());
        if seconds < *least {
            let constraint = format!("have value greater than or equal to {least}");
            constraints.broken(Some(&seconds.to_string()), "durationSeconds", &constraint);
        }
        if seconds > *most {
            let constraint = format!("have value less than or equal to {most}");
            constraints.broken(Some(&seconds.to_string()), "durationSeconds", &constraint);
        }
        check_tags(&mut constraints, &call.tags);
        constraints.check()?;
        check_tag_names(&call.tags, &call.transitive_tag_keys)?;
        let role_arn = call.role_arn.as_deref().unwrap_or_default();
        if !is_role_arn(role_arn) {
            return Err(ApiError::validation(format!("{role_arn} is invalid")));
        }
        let session_name = call.session_name.as_deref().unwrap_or_default();
        Ok(Wanted { role_arn, session_name, duration_seconds: seconds })
    }
}

fn check_name(constraints: &mut Constraints, name: &str, at: &str) {
    constraints.length(name, at, &limits::SESSION_NAME);
    constraints.pattern(name, at, r"[\w+=,.@-]*", is_name);
}

fn check_tags(constraints: &mut Constraints, tags: &[(String, String)]) {
    if tags.len() > limits::MAX_TAGS {
        let constraint = format!("have length less than or equal to {}", limits::MAX_TAGS);
        constraints.broken(Some("tags"), "tags", &constraint);
    }
    // `[\p{L}\p{Z}\p{N}_.:/=+\-@]`: letters and digits of all languages, spaces, and some signs.
    let allowed = |c: char| c.is_alphanumeric() || c.is_whitespace() || "_.:/=+-@".contains(c);
    let pattern = r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*";
    for (index, (key, value)) in tags.iter().enumerate() {
        let at = format!("tags.{}.member.key", index + 1);
        constraints.length(key, &at, &limits::TAG_KEY);
        constraints.pattern(key, &at, pattern, allowed);
        let at = format!("tags.{}.member.value", index + 1);
        constraints.length(value, &at, &limits::TAG_VALUE);
        constraints.pattern(value, &at, pattern, allowed);
    }
}

fn check_tag_names(tags: &[(String, String)], transitive: &[String]) -> Result<(), ApiError> {
    let mut seen = BTreeSet::new();
    for (key, _) in tags {
        if key.to_lowercase().starts_with("aws:") {
            return Err(ApiError::validation("Tag keys starting with 'aws:' are reserved for system use."));
        }
        if !seen.insert(key.to_lowercase()) {
            let message = "Duplicate tag keys found. Please note that Tag keys are case insensitive.";
            return Err(ApiError::validation(message));
        }
    }
    match transitive.iter().find(|key| !seen.contains(&key.to_lowercase())) {
        Some(_) => {
            Err(ApiError::validation("The specified transitive tag key must be included in the requested tags."))
        }
        None => Ok(()),
    }
}

/// `[\w+=,.@-]`
fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_+=,.@-".contains(c)
}

/// `arn:PARTITION:iam::ACCOUNT:role/PATH/NAME`. Names have 1 to 64 characters of `[\w+=,.@-]`, paths are of printable
/// ASCII (IAM API Reference, `CreateRole`).
fn is_role_arn(arn: &str) -> bool {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", partition, "iam", "", account, resource] = parts.as_slice() else { return false };
    let Some((path, name)) = resource.strip_prefix("role/").map(|rest| rest.rsplit_once('/').unwrap_or(("", rest)))
    else {
        return false;
    };
    partition.starts_with("aws")
        && partition.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
        && account.len() == 12
        && account.bytes().all(|b| b.is_ascii_digit())
        && (1..=64).contains(&name.len())
        && name.chars().all(is_name)
        && path.len() <= 510
        && path.bytes().all(|b| b.is_ascii_graphic())
}

/// The unique id of a principal: `AROA...:SESSION`, or `AIDA...` for users.
pub(super) fn user_id(principal: &Principal) -> String {
    let id = |prefix: &str, arn: &str| {
        const ALPHABET: [u8; 32] = *b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let hash = digest::digest(&digest::SHA256, arn.as_bytes());
        let rest = hash.as_ref().iter().take(17).map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
        format!("{prefix}{}", rest.collect::<String>())
    };
    match principal {
        Principal::User { arn } => id("AIDA", arn),
        Principal::Session { role_arn, name } => format!("{}:{name}", id("AROA", role_arn)),
    }
}
