//! DescribeLogGroups and DescribeLogStreams.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::cloudwatch::{
    Core,
    error::ApiError,
    limits, locked,
    store::{Group, Stream},
    validation::{Violations, group_of, group_of_arn, parse},
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Groups {
    log_group_name_prefix: Option<String>,
    log_group_name_pattern: Option<String>,
    log_group_identifiers: Option<Vec<String>>,
    log_group_class: Option<String>,
    next_token: Option<String>,
    limit: Option<i64>,
}

pub(crate) fn groups(core: &Core, text: &str) -> Result<String, ApiError> {
    let request: Groups = parse(text)?;
    let limit = page_size(request.limit)?;
    if request.log_group_name_prefix.is_some() && request.log_group_name_pattern.is_some() {
        return Err(ApiError::invalid(
            "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.",
        ));
    }
    if let Some(identifiers) = &request.log_group_identifiers {
        let alone = request.log_group_name_prefix.is_none()
            && request.log_group_name_pattern.is_none()
            && request.log_group_class.is_none();
        if !alone {
            return Err(ApiError::invalid("logGroupIdentifiers cannot be combined with other filters."));
        }
        if identifiers.is_empty() || identifiers.len() > 50 {
            let mut violations = Violations::default();
            violations.add("[...]", "logGroupIdentifiers", "have length between 1 and 50");
            violations.none()?;
        }
    }
    let identified: Option<Vec<&str>> = request
        .log_group_identifiers
        .as_ref()
        .map(|identifiers| identifiers.iter().map(|id| group_of_arn(id).unwrap_or(id)).collect());
    let pattern = request.log_group_name_pattern.as_deref().map(str::to_lowercase);
    let prefix = request.log_group_name_prefix.as_deref().unwrap_or_default();
    let after = token(request.next_token.as_deref(), "groups/")?;

    let store = locked(&core.store);
    let mut matching = store.groups.iter().filter(|(name, group)| {
        after.is_none_or(|after| name.as_str() > after)
            && name.starts_with(prefix)
            && pattern.as_ref().is_none_or(|pattern| name.to_lowercase().contains(pattern))
            && identified.as_ref().is_none_or(|names| names.contains(&name.as_str()))
            && request.log_group_class.as_ref().is_none_or(|class| group.class == *class)
    });
    let page: Vec<_> = matching.by_ref().take(limit).collect();
    let more = matching.next().is_some();
    let described: Vec<Value> = page.iter().map(|(name, group)| describe_group(core, name, group)).collect();
    let mut reply = json!({ "logGroups": described });
    if let (true, Some((last, _))) = (more, page.last()) {
        reply["nextToken"] = json!(format!("groups/{last}"));
    }
    Ok(reply.to_string())
}

fn describe_group(core: &Core, name: &str, group: &Group) -> Value {
    let arn = core.group_arn(name);
    let mut described = json!({
        "logGroupName": name,
        "creationTime": group.created_ms,
        "metricFilterCount": 0,
        "arn": format!("{arn}:*"),
        "storedBytes": 0,
        "logGroupClass": group.class,
        "logGroupArn": arn,
        "deletionProtectionEnabled": group.deletion_protected,
    });
    if let Some(days) = group.retention_days {
        described["retentionInDays"] = json!(days);
    }
    if let Some(key) = &group.kms_key {
        described["kmsKeyId"] = json!(key);
    }
    described
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Streams {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    log_stream_name_prefix: Option<String>,
    order_by: Option<String>,
    #[serde(default)]
    descending: bool,
    next_token: Option<String>,
    limit: Option<i64>,
}

pub(crate) fn streams(core: &Core, text: &str) -> Result<String, ApiError> {
    let request: Streams = parse(text)?;
    let mut violations = Violations::default();
    let name = group_of(&mut violations, request.log_group_name, request.log_group_identifier)?;
    if let Some(prefix) = &request.log_stream_name_prefix {
        violations.stream_name(Some(prefix), "logStreamNamePrefix");
    }
    let by_time = match request.order_by.as_deref() {
        None | Some("LogStreamName") => false,
        Some("LastEventTime") => true,
        Some(other) => {
            violations.add(other, "orderBy", "satisfy enum value set: [LogStreamName, LastEventTime]");
            false
        }
    };
    violations.none()?;
    let limit = page_size(request.limit)?;
    if by_time && request.log_stream_name_prefix.is_some() {
        return Err(ApiError::invalid("Cannot order by LastEventTime with a logStreamNamePrefix."));
    }
    let prefix = request.log_stream_name_prefix.as_deref().unwrap_or_default();
    let after = token(request.next_token.as_deref(), "streams/")?
        .map(|token| {
            let (time, name) = token.split_once('/')?;
            Some((time.parse::<i64>().ok()?, name))
        })
        .map(|position| position.ok_or_else(bad_token))
        .transpose()?;

    let mut store = locked(&core.store);
    let group = store.group(&name)?;
    let position = |stream: &Stream| if by_time { stream.last_timestamp.unwrap_or(-1) } else { 0 };
    let mut matching: Vec<_> = group
        .streams
        .iter()
        .filter(|(name, _)| name.starts_with(prefix))
        .map(|(name, stream)| ((position(stream), name.as_str()), stream))
        .filter(|(key, _)| after.is_none_or(|after| if request.descending { *key < after } else { *key > after }))
        .collect();
    matching.sort_by_key(|(key, _)| *key);
    if request.descending {
        matching.reverse();
    }
    let more = matching.len() > limit;
    matching.truncate(limit);
    let described: Vec<Value> =
        matching.iter().map(|((_, stream), held)| describe_stream(core, &name, stream, held)).collect();
    let mut reply = json!({ "logStreams": described });
    if let (true, Some(((time, last), _))) = (more, matching.last()) {
        reply["nextToken"] = json!(format!("streams/{time}/{last}"));
    }
    Ok(reply.to_string())
}

fn describe_stream(core: &Core, group: &str, name: &str, stream: &Stream) -> Value {
    let mut described = json!({
        "logStreamName": name,
        "creationTime": stream.created_ms,
        "arn": format!("{}:log-stream:{name}", core.group_arn(group)),
        "storedBytes": 0,
    });
    let times = [
        ("firstEventTimestamp", stream.first_timestamp),
        ("lastEventTimestamp", stream.last_timestamp),
        ("lastIngestionTime", stream.last_ingestion),
    ];
    for (member, time) in times {
        if let Some(time) = time {
            described[member] = json!(time);
        }
    }
    described
}

fn page_size(limit: Option<i64>) -> Result<usize, ApiError> {
    let limit = limit.unwrap_or(limits::MAX_DESCRIBED);
    let mut violations = Violations::default();
    violations.range(limit, "limit", 1, limits::MAX_DESCRIBED);
    violations.none()?;
    Ok(usize::try_from(limit).unwrap_or(1))
}

fn token<'a>(token: Option<&'a str>, kind: &str) -> Result<Option<&'a str>, ApiError> {
    token.map(|token| token.strip_prefix(kind).ok_or_else(bad_token)).transpose()
}

pub(crate) fn bad_token() -> ApiError {
    ApiError::invalid("The specified nextToken is invalid.")
}
