//! PutLogEvents: the checks, and what is kept.

use std::fmt;

use serde::{Deserialize, Deserializer, de};

use crate::cloudwatch::{
    Core, error::ApiError, faults::RejectIndexes, limits, locked, store::Record, validation::Violations,
};

/// A message: the text itself, or in discard mode its length only.
pub(crate) trait Message: for<'de> Deserialize<'de> {
    fn bytes(&self) -> usize;
    fn into_text(self) -> Option<Box<str>>;
}

impl Message for Box<str> {
    fn bytes(&self) -> usize {
        self.len()
    }

    fn into_text(self) -> Option<Box<str>> {
        Some(self)
    }
}

pub(crate) struct Length(usize);

impl Message for Length {
    fn bytes(&self) -> usize {
        self.0
    }

    fn into_text(self) -> Option<Box<str>> {
        None
    }
}

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Length, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Length;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Length, E> {
                Ok(Length(text.len()))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound = "M: Message")]
struct Request<M> {
    log_group_name: Option<String>,
    log_stream_name: Option<String>,
    log_events: Option<Vec<Event<M>>>,
}

#[derive(Deserialize)]
#[serde(bound = "M: Message")]
struct Event<M> {
    timestamp: Option<i64>,
    message: Option<M>,
}

/// Carries out a PutLogEvents. `forced` replaces the service's own judgement of the timestamps.
pub(crate) fn put<M: Message>(
    core: &Core,
    text: &str,
    serial: u64,
    forced: Option<RejectIndexes>,
) -> Result<String, ApiError> {
    let request: Request<M> = crate::cloudwatch::validation::parse(text)?;
    check_members(&request)?;
    let group = request.log_group_name.unwrap_or_default();
    let stream = request.log_stream_name.unwrap_or_default();
    let events = request.log_events.unwrap_or_default();
    check_sizes(&events, core.options.max_event_bytes)?;
    check_order(&events)?;

    let now = core.now();
    let mut store = locked(&core.store);
    let (retention, stream, last_id) = store.writable_stream(&group, &stream)?;
    let rejected = match forced {
        Some(forced) => forced,
        None => judge(&events, now, retention)?,
    };
    let count = events.len();
    let kept = rejected.kept(count);
    let mut stored = 0_u64;
    let mut message_bytes = 0_u64;
    if !core.options.discard {
        stream.reserve(kept.len());
    }
    for event in events.into_iter().take(kept.end).skip(kept.start) {
        let (Some(timestamp), Some(message)) = (event.timestamp, event.message) else { continue };
        let bytes = u64::try_from(message.bytes()).unwrap_or(u64::MAX);
        stored += 1;
        message_bytes += bytes;
        stream.count(timestamp, now, bytes);
        if let Some(message) = message.into_text() {
            *last_id += 1;
            stream.push(Record { timestamp, ingestion: now, request: serial, id: *last_id, message });
        }
    }
    drop(store);

    let mut counts = locked(&core.counts);
    counts.events_stored += stored;
    counts.message_bytes += message_bytes;
    let (too_old, expired, too_new) = rejected.numbers(count);
    counts.events_rejected.too_old += too_old;
    counts.events_rejected.expired += expired;
    counts.events_rejected.too_new += too_new;
    drop(counts);
    Ok(rejected.reply())
}

fn check_members<M: Message>(request: &Request<M>) -> Result<(), ApiError> {
    let mut violations = Violations::default();
    violations.group_name(request.log_group_name.as_deref(), "logGroupName");
    violations.stream_name(request.log_stream_name.as_deref(), "logStreamName");
    match &request.log_events {
        None => violations.missing("logEvents"),
        Some(events) if events.is_empty() => {
            violations.add("[]", "logEvents", "have length greater than or equal to 1");
        }
        Some(events) if events.len() > limits::MAX_EVENTS => {
            violations.add("[...]", "logEvents", "have length less than or equal to 10000");
        }
        Some(events) => {
            for (index, event) in events.iter().enumerate() {
                check_event(&mut violations, index + 1, event);
            }
        }
    }
    violations.none()
}

fn check_event<M: Message>(violations: &mut Violations, number: usize, event: &Event<M>) {
    match event.timestamp {
        Some(timestamp) if timestamp >= 0 => {}
        Some(timestamp) => {
            violations.range(timestamp, &format!("logEvents.{number}.member.timestamp"), 0, i64::MAX);
        }
        None => violations.missing(&format!("logEvents.{number}.member.timestamp")),
    }
    match &event.message {
        Some(message) if message.bytes() > 0 => {}
        Some(_) => violations.length("", &format!("logEvents.{number}.member.message"), 1, usize::MAX),
        None => violations.missing(&format!("logEvents.{number}.member.message")),
    }
}

fn check_sizes<M: Message>(events: &[Event<M>], max_event: usize) -> Result<(), ApiError> {
    let size = |event: &Event<M>| event.message.as_ref().map_or(0, Message::bytes) + limits::EVENT_OVERHEAD;
    let mut total = 0;
    for event in events {
        let bytes = size(event);
        if bytes > max_event {
            return Err(ApiError::invalid(format!("Log event too large: {bytes} bytes exceeds limit of {max_event}")));
        }
        total += bytes;
    }
    if total > limits::MAX_BATCH_BYTES {
        let limit = limits::MAX_BATCH_BYTES;
        return Err(ApiError::invalid(format!("Upload too large: {total} bytes exceeds limit of {limit}")));
    }
    Ok(())
}

fn check_order<M>(events: &[Event<M>]) -> Result<(), ApiError> {
    if events.is_sorted_by_key(|event| event.timestamp) {
        return Ok(());
    }
    Err(ApiError::invalid("Log events in a single PutLogEvents request must be in chronological order."))
}

/// Which events of an ordered batch the service drops, and whether the others span too long.
fn judge<M>(events: &[Event<M>], now: i64, retention_days: Option<i64>) -> Result<RejectIndexes, ApiError> {
    let before = |limit: i64| events.partition_point(|event| event.timestamp.unwrap_or(0) < limit);
    let too_old = before(now - limits::MAX_AGE_MS);
    let expired = retention_days.map_or(0, |days| before(now - days * limits::DAY_MS));
    let too_new = before(now.saturating_add(limits::MAX_AHEAD_MS).saturating_add(1));
    let rejected = RejectIndexes {
        too_old_end: (too_old > 0).then_some(too_old),
        expired_end: (expired > too_old).then_some(expired),
        too_new_start: (too_new < events.len()).then_some(too_new),
    };
    let kept = events.get(rejected.kept(events.len())).unwrap_or_default();
    if let (Some(first), Some(last)) = (kept.first(), kept.last())
        && last.timestamp.unwrap_or(0) - first.timestamp.unwrap_or(0) > limits::MAX_SPAN_MS
    {
        return Err(ApiError::invalid(
            "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.",
        ));
    }
    Ok(rejected)
}

impl RejectIndexes {
    /// The indexes that are stored, of `count` events.
    fn kept(&self, count: usize) -> std::ops::Range<usize> {
        let start = self.too_old_end.unwrap_or(0).max(self.expired_end.unwrap_or(0)).min(count);
        start..self.too_new_start.unwrap_or(count).clamp(start, count)
    }

    /// Events too old, expired and too new, of `count` events.
    fn numbers(&self, count: usize) -> (u64, u64, u64) {
        let kept = self.kept(count);
        let too_old = self.too_old_end.unwrap_or(0).min(kept.start);
        let number = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        (number(too_old), number(kept.start - too_old), number(count - kept.end))
    }

    fn reply(&self) -> String {
        let members = [
            ("tooNewLogEventStartIndex", self.too_new_start),
            ("tooOldLogEventEndIndex", self.too_old_end),
            ("expiredLogEventEndIndex", self.expired_end),
        ];
        let members: Vec<String> =
            members.iter().filter_map(|(name, index)| index.map(|index| format!("\"{name}\":{index}"))).collect();
        if members.is_empty() {
            return "{}".to_owned();
        }
        format!("{{\"rejectedLogEventsInfo\":{{{}}}}}", members.join(","))
    }
}
