//! The operations that make, change and delete groups and streams.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::cloudwatch::{
    Core,
    error::ApiError,
    limits, locked,
    store::{Group, Stream},
    validation::{Violations, group_of_arn, parse},
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreateGroup {
    log_group_name: Option<String>,
    kms_key_id: Option<String>,
    tags: Option<BTreeMap<String, String>>,
    log_group_class: Option<String>,
    #[serde(default)]
    deletion_protection_enabled: bool,
}

/// CreateLogGroup. The first `hidden` writes to the new group are told it does not exist.
pub(crate) fn create_group(core: &Core, text: &str, hidden: u32) -> Result<String, ApiError> {
    let request: CreateGroup = parse(text)?;
    let mut violations = Violations::default();
    violations.group_name(request.log_group_name.as_deref(), "logGroupName");
    if let Some(key) = &request.kms_key_id {
        violations.length(key, "kmsKeyId", 0, limits::MAX_KMS_KEY);
    }
    if let Some(tags) = &request.tags {
        check_tags(&mut violations, tags);
    }
    const CLASSES: [&str; 4] = ["STANDARD", "INFREQUENT_ACCESS", "DELIVERY", "ESSENTIALS"];
    if let Some(class) = request.log_group_class.as_deref().filter(|class| !CLASSES.contains(class)) {
        violations.add(class, "logGroupClass", &format!("satisfy enum value set: [{}]", CLASSES.join(", ")));
    }
    violations.none()?;
    let name = request.log_group_name.unwrap_or_default();
    if name.starts_with("aws/") {
        return Err(ApiError::invalid("Log groups starting with AWS/ are reserved for AWS."));
    }
    if let Some(key) = &request.kms_key_id {
        check_kms_key(key)?;
    }
    let mut store = locked(&core.store);
    if store.groups.contains_key(&name) {
        return Err(ApiError::group_exists());
    }
    if store.groups.len() >= core.options.max_groups {
        return Err(ApiError::new("LimitExceededException", "Resource limit exceeded."));
    }
    let group = Group {
        class: request.log_group_class.unwrap_or_else(|| "STANDARD".to_owned()),
        kms_key: request.kms_key_id,
        tags: request.tags.unwrap_or_default(),
        deletion_protected: request.deletion_protection_enabled,
        hidden,
        ..Group::new(core.now())
    };
    store.groups.insert(name, group);
    Ok(String::new())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NamedStream {
    log_group_name: Option<String>,
    log_stream_name: Option<String>,
}

impl NamedStream {
    fn checked(text: &str) -> Result<(String, String), ApiError> {
        let request: NamedStream = parse(text)?;
        let mut violations = Violations::default();
        violations.group_name(request.log_group_name.as_deref(), "logGroupName");
        violations.stream_name(request.log_stream_name.as_deref(), "logStreamName");
        violations.none()?;
        Ok((request.log_group_name.unwrap_or_default(), request.log_stream_name.unwrap_or_default()))
    }
}

/// CreateLogStream. The first `hidden` puts to the new stream are told it does not exist.
pub(crate) fn create_stream(core: &Core, text: &str, hidden: u32) -> Result<String, ApiError> {
    let (group, stream) = NamedStream::checked(text)?;
    let now = core.now();
    let mut store = locked(&core.store);
    let group = store.writable_group(&group)?;
    if group.streams.contains_key(&stream) {
        return Err(ApiError::stream_exists());
    }
    let mut created = Stream::new(now);
    created.hidden = hidden;
    group.streams.insert(stream, created);
    Ok(String::new())
}

pub(crate) fn delete_stream(core: &Core, text: &str) -> Result<String, ApiError> {
    let (group, stream) = NamedStream::checked(text)?;
    let mut store = locked(&core.store);
    store.group(&group)?.streams.remove(&stream).ok_or_else(ApiError::no_stream)?;
    Ok(String::new())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NamedGroup {
    log_group_name: Option<String>,
}

pub(crate) fn delete_group(core: &Core, text: &str) -> Result<String, ApiError> {
    let request: NamedGroup = parse(text)?;
    let mut violations = Violations::default();
    violations.group_name(request.log_group_name.as_deref(), "logGroupName");
    violations.none()?;
    let name = request.log_group_name.unwrap_or_default();
    let mut store = locked(&core.store);
    if store.group(&name)?.deletion_protected {
        return Err(ApiError::new("ValidationException", "The log group has deletion protection enabled."));
    }
    store.groups.remove(&name);
    Ok(String::new())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Retention {
    log_group_name: Option<String>,
    retention_in_days: Option<i64>,
}

pub(crate) fn put_retention(core: &Core, text: &str) -> Result<String, ApiError> {
    let request: Retention = parse(text)?;
    let mut violations = Violations::default();
    violations.group_name(request.log_group_name.as_deref(), "logGroupName");
    if request.retention_in_days.is_none() {
        violations.missing("retentionInDays");
    }
    violations.none()?;
    let days = request.retention_in_days.unwrap_or_default();
    if !limits::RETENTION_DAYS.contains(&days) {
        let allowed: Vec<String> = limits::RETENTION_DAYS.iter().map(i64::to_string).collect();
        return Err(ApiError::invalid(format!(
            "1 validation error detected: Value '{days}' at 'retentionInDays' failed to satisfy constraint: Member \
             must satisfy enum value set: [{}]",
            allowed.join(", ")
        )));
    }
    let mut store = locked(&core.store);
    store.group(&request.log_group_name.unwrap_or_default())?.retention_days = Some(days);
    Ok(String::new())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AssociateKey {
    log_group_name: Option<String>,
    kms_key_id: Option<String>,
    resource_identifier: Option<String>,
}

pub(crate) fn associate_key(core: &Core, text: &str) -> Result<String, ApiError> {
    let request: AssociateKey = parse(text)?;
    let mut violations = Violations::default();
    match &request.kms_key_id {
        None => violations.missing("kmsKeyId"),
        Some(key) => violations.length(key, "kmsKeyId", 0, limits::MAX_KMS_KEY),
    }
    let name = match (request.log_group_name, request.resource_identifier) {
        (Some(name), None) => name,
        (None, Some(arn)) => group_of_arn(&arn).map(str::to_owned).ok_or_else(ApiError::no_group)?,
        _ => {
            return Err(ApiError::invalid("Exactly one of logGroupName and resourceIdentifier must be specified."));
        }
    };
    violations.group_name(Some(&name), "logGroupName");
    violations.none()?;
    let key = request.kms_key_id.unwrap_or_default();
    check_kms_key(&key)?;
    locked(&core.store).group(&name)?.kms_key = Some(key);
    Ok(String::new())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tagging {
    resource_arn: Option<String>,
    tags: Option<BTreeMap<String, String>>,
}

pub(crate) fn tag_resource(core: &Core, text: &str) -> Result<String, ApiError> {
    let request: Tagging = parse(text)?;
    let mut violations = Violations::default();
    if request.resource_arn.is_none() {
        violations.missing("resourceArn");
    }
    match &request.tags {
        None => violations.missing("tags"),
        Some(tags) => check_tags(&mut violations, tags),
    }
    violations.none()?;
    let mut store = locked(&core.store);
    let group = tagged_group(core, &mut store, &request.resource_arn.unwrap_or_default())?;
    let added = request.tags.unwrap_or_default();
    let new = added.keys().filter(|key| !group.tags.contains_key(*key)).count();
    if group.tags.len() + new > limits::MAX_TAGS {
        return Err(ApiError::new("TooManyTagsException", "The resource may not have more than 50 tags."));
    }
    group.tags.extend(added);
    Ok(String::new())
}

pub(crate) fn list_tags(core: &Core, text: &str) -> Result<String, ApiError> {
    let request: Tagging = parse(text)?;
    let mut store = locked(&core.store);
    let group = tagged_group(core, &mut store, request.resource_arn.as_deref().unwrap_or_default())?;
    Ok(serde_json::json!({ "tags": group.tags }).to_string())
}

// The ARN of a tagged group has no last `:*`, unlike the `arn` of DescribeLogGroups.
fn tagged_group<'a>(
    core: &Core,
    store: &'a mut crate::cloudwatch::store::Store,
    arn: &str,
) -> Result<&'a mut Group, ApiError> {
    let name = group_of_arn(arn).filter(|name| core.group_arn(name) == arn);
    let name = name.ok_or_else(|| ApiError::invalid(format!("Invalid resource ARN: {arn}")))?;
    store.group(name)
}

fn check_tags(violations: &mut Violations, tags: &BTreeMap<String, String>) {
    if tags.is_empty() {
        violations.add("{}", "tags", "have length greater than or equal to 1");
    } else if tags.len() > limits::MAX_TAGS {
        violations.add("{...}", "tags", "have length less than or equal to 50");
    }
    let pattern = r"([\p{L}\p{Z}\p{N}_.:/=+\-@]+)";
    for (key, value) in tags {
        violations.length(key, "tags", 1, limits::MAX_TAG_KEY);
        violations.length(value, "tags", 0, limits::MAX_TAG_VALUE);
        if !key.chars().chain(value.chars()).all(is_tag_character) {
            violations.add(key, "tags", &format!("satisfy regular expression pattern: {pattern}"));
        }
        if key.starts_with("aws:") {
            violations.add(key, "tags", "not begin with aws:");
        }
    }
}

fn is_tag_character(c: char) -> bool {
    c.is_alphanumeric() || (c.is_whitespace() && !c.is_control()) || "_.:/=+-@".contains(c)
}

// The service asks KMS whether the key exists, is enabled and symmetric; here its ARN has to look like one.
fn check_kms_key(key: &str) -> Result<(), ApiError> {
    let mut parts = key.split(':');
    let known = parts.next() == Some("arn")
        && parts.next().is_some_and(|partition| partition.starts_with("aws"))
        && parts.next() == Some("kms")
        && parts.nth(2).is_some_and(|resource| resource.starts_with("key/"));
    if known { Ok(()) } else { Err(ApiError::invalid("The specified KMS key is not valid or does not exist.")) }
}
