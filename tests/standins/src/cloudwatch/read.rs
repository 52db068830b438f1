//! GetLogEvents and FilterLogEvents.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::cloudwatch::{
    Core,
    describe::bad_token,
    error::ApiError,
    limits, locked,
    pattern::Pattern,
    store::Record,
    validation::{Violations, group_of, parse},
};

type Key = (i64, u64);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Get {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    log_stream_name: Option<String>,
    start_time: Option<i64>,
    end_time: Option<i64>,
    next_token: Option<String>,
    limit: Option<i64>,
    #[serde(default)]
    start_from_head: bool,
}

pub(crate) fn get(core: &Core, text: &str) -> Result<String, ApiError> {
    let request: Get = parse(text)?;
    let mut violations = Violations::default();
    let group = group_of(&mut violations, request.log_group_name, request.log_group_identifier)?;
    violations.stream_name(request.log_stream_name.as_deref(), "logStreamName");
    let limit = check_window(&mut violations, request.start_time, request.end_time, request.limit);
    violations.none()?;
    let token = request.next_token.as_deref().map(|token| Token::parse(token).ok_or_else(bad_token)).transpose()?;

    let mut store = locked(&core.store);
    let stream = request.log_stream_name.unwrap_or_default();
    let stream = store.group(&group)?.streams.get_mut(&stream).ok_or_else(ApiError::no_stream)?;
    let window = within(stream.records(), request.start_time, request.end_time);
    let page = match token {
        Some(Token::After(key)) => first(window.get(window.partition_point(|r| r.key() <= key)..), limit),
        Some(Token::Before(key)) => last(window.get(..window.partition_point(|r| r.key() < key)), limit),
        None if request.start_from_head => first(Some(window), limit),
        None => last(Some(window), limit),
    };
    // On an empty page the token that led there comes back, and the other one points at the same gap.
    let (forward, backward) = match (page.first(), page.last(), token) {
        (Some(first), Some(last), _) => (last.key(), first.key()),
        (_, _, Some(Token::After(key))) => (key, (key.0, key.1.saturating_add(1))),
        (_, _, Some(Token::Before(key))) => ((key.0, key.1.saturating_sub(1)), key),
        _ => ((request.start_time.unwrap_or(0), 0), (request.start_time.unwrap_or(0), 0)),
    };
    let events: Vec<Value> = page
        .iter()
        .map(|r| json!({ "timestamp": r.timestamp, "message": r.message, "ingestionTime": r.ingestion }))
        .collect();
    let reply = json!({
        "events": events,
        "nextForwardToken": Token::After(forward).text(),
        "nextBackwardToken": Token::Before(backward).text(),
    });
    Ok(reply.to_string())
}

/// A place between two events: pages go on after a key, or back before one.
#[derive(Clone, Copy)]
enum Token {
    After(Key),
    Before(Key),
}

impl Token {
    fn parse(text: &str) -> Option<Token> {
        let (direction, key) = text.split_once('/')?;
        let key = parse_key(key)?;
        match direction {
            "f" => Some(Token::After(key)),
            "b" => Some(Token::Before(key)),
            _ => None,
        }
    }

    fn text(self) -> String {
        match self {
            Token::After((timestamp, id)) => format!("f/{timestamp}/{id}"),
            Token::Before((timestamp, id)) => format!("b/{timestamp}/{id}"),
        }
    }
}

fn parse_key(text: &str) -> Option<Key> {
    let (timestamp, id) = text.split_once('/')?;
    Some((timestamp.parse().ok()?, id.parse().ok()?))
}

// `startTime` is included and `endTime` is not (API: GetLogEvents). FilterLogEvents includes both.
fn within(records: &[Record], start: Option<i64>, end: Option<i64>) -> &[Record] {
    let from = start.map_or(0, |start| records.partition_point(|r| r.timestamp < start));
    let to = end.map_or(records.len(), |end| records.partition_point(|r| r.timestamp < end));
    records.get(from..to).unwrap_or_default()
}

fn first(records: Option<&[Record]>, limit: usize) -> &[Record] {
    let records = records.unwrap_or_default();
    let fits = fitting(records.iter(), limit);
    records.get(..fits).unwrap_or_default()
}

fn last(records: Option<&[Record]>, limit: usize) -> &[Record] {
    let records = records.unwrap_or_default();
    let fits = fitting(records.iter().rev(), limit);
    records.get(records.len() - fits..).unwrap_or_default()
}

// How many records a page takes: at least one, then up to `limit` and up to 1 MB.
fn fitting<'a>(records: impl Iterator<Item = &'a Record>, limit: usize) -> usize {
    let mut bytes = 0;
    records
        .take(limit)
        .enumerate()
        .take_while(|(index, record)| {
            bytes += record.message.len() + limits::EVENT_OVERHEAD;
            *index == 0 || bytes <= limits::MAX_READ_BYTES
        })
        .count()
}

fn check_window(violations: &mut Violations, start: Option<i64>, end: Option<i64>, limit: Option<i64>) -> usize {
    let limit = limit.unwrap_or(limits::MAX_READ);
    violations.range(limit, "limit", 1, limits::MAX_READ);
    violations.range(start.unwrap_or(0), "startTime", 0, i64::MAX);
    violations.range(end.unwrap_or(0), "endTime", 0, i64::MAX);
    usize::try_from(limit).unwrap_or(1)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Filter {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    log_stream_names: Option<Vec<String>>,
    log_stream_name_prefix: Option<String>,
    start_time: Option<i64>,
    end_time: Option<i64>,
    filter_pattern: Option<String>,
    next_token: Option<String>,
    limit: Option<i64>,
}

pub(crate) fn filter(core: &Core, text: &str) -> Result<String, ApiError> {
    let request: Filter = parse(text)?;
    let mut violations = Violations::default();
    let group = group_of(&mut violations, request.log_group_name, request.log_group_identifier)?;
    if let Some(prefix) = &request.log_stream_name_prefix {
        violations.stream_name(Some(prefix), "logStreamNamePrefix");
    }
    if let Some(names) = &request.log_stream_names {
        if names.is_empty() || names.len() > limits::MAX_STREAM_NAMES {
            violations.add("[...]", "logStreamNames", "have length between 1 and 100");
        }
        for name in names {
            violations.stream_name(Some(name), "logStreamNames");
        }
    }
    let limit = check_window(&mut violations, request.start_time, request.end_time, request.limit);
    violations.none()?;
    if request.log_stream_names.is_some() && request.log_stream_name_prefix.is_some() {
        return Err(ApiError::invalid("logStreamNames and logStreamNamePrefix are mutually exclusive parameters."));
    }
    let pattern = Pattern::parse(request.filter_pattern.as_deref().unwrap_or_default())?;
    let after = match request.next_token.as_deref() {
        None => None,
        Some(token) => Some(token.strip_prefix("filter/").and_then(parse_key).ok_or_else(bad_token)?),
    };
    let end = request.end_time.map(|end| end.saturating_add(1));
    let prefix = request.log_stream_name_prefix.as_deref().unwrap_or_default();

    let mut store = locked(&core.store);
    let group = store.group(&group)?;
    if request.log_stream_names.iter().flatten().any(|name| !group.streams.contains_key(name)) {
        return Err(ApiError::no_stream());
    }
    let mut found: Vec<(Key, &str, &Record)> = Vec::new();
    for (name, stream) in &mut group.streams {
        let wanted = request.log_stream_names.as_ref().is_none_or(|names| names.contains(name));
        if !wanted || !name.starts_with(prefix) {
            continue;
        }
        let window = within(stream.records(), request.start_time, end);
        let from = after.map_or(0, |after| window.partition_point(|r| r.key() <= after));
        let matching = window.iter().skip(from).filter(|r| pattern.matches(&r.message));
        // One more than a page from every stream is enough to know the page and whether another follows.
        found.extend(matching.take(limit + 1).map(|r| (r.key(), name.as_str(), r)));
    }
    found.sort_by_key(|(key, _, _)| *key);
    let fits = fitting(found.iter().map(|(_, _, record)| *record), limit);
    let events: Vec<Value> = found.iter().take(fits).map(|(_, stream, record)| filtered(stream, record)).collect();
    let mut reply = json!({ "events": events, "searchedLogStreams": [] });
    if let (true, Some(((timestamp, id), _, _))) = (found.len() > fits, found.get(fits.saturating_sub(1))) {
        reply["nextToken"] = json!(format!("filter/{timestamp}/{id}"));
    }
    Ok(reply.to_string())
}

fn filtered(stream: &str, record: &Record) -> Value {
    json!({
        "logStreamName": stream,
        "timestamp": record.timestamp,
        "message": record.message,
        "ingestionTime": record.ingestion,
        // The service's ids are 56 digits that grow with the timestamp.
        "eventId": format!("{:028}{:028}", record.timestamp, record.id),
    })
}
