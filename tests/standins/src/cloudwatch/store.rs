//! What the service holds: groups, their streams, and the events in them.

use std::collections::BTreeMap;

use crate::cloudwatch::{GroupInfo, StreamInfo, error::ApiError};

#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) groups: BTreeMap<String, Group>,
    last_id: u64,
}

#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) created_ms: i64,
    pub(crate) retention_days: Option<i64>,
    pub(crate) class: String,
    pub(crate) kms_key: Option<String>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) deletion_protected: bool,
    pub(crate) streams: BTreeMap<String, Stream>,
    // Requests that are still told the group does not exist.
    pub(crate) hidden: u32,
}

#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) created_ms: i64,
    pub(crate) first_timestamp: Option<i64>,
    pub(crate) last_timestamp: Option<i64>,
    pub(crate) last_ingestion: Option<i64>,
    pub(crate) stored: u64,
    pub(crate) message_bytes: u64,
    pub(crate) hidden: u32,
    records: Vec<Record>,
    sorted: bool,
}

#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) timestamp: i64,
    pub(crate) ingestion: i64,
    pub(crate) request: u64,
    // From 1, in order of arrival over all streams: makes (timestamp, id) unique, which tokens rely on.
    pub(crate) id: u64,
    pub(crate) message: Box<str>,
}

impl Record {
    pub(crate) fn key(&self) -> (i64, u64) {
        (self.timestamp, self.id)
    }
}

impl Group {
    pub(crate) fn new(created_ms: i64) -> Group {
        Group {
            created_ms,
            retention_days: None,
            class: "STANDARD".to_owned(),
            kms_key: None,
            tags: BTreeMap::new(),
            deletion_protected: false,
            streams: BTreeMap::new(),
            hidden: 0,
        }
    }

    pub(crate) fn info(&self, name: &str) -> GroupInfo {
        GroupInfo {
            name: name.to_owned(),
            created_ms: self.created_ms,
            retention_days: self.retention_days,
            class: self.class.clone(),
            kms_key: self.kms_key.clone(),
            tags: self.tags.clone(),
            deletion_protected: self.deletion_protected,
            streams: self.streams.keys().cloned().collect(),
        }
    }

    // The group as a request that writes sees it: a newly created one may still be out of sight.
    fn seen(&mut self) -> Result<&mut Group, ApiError> {
        if self.hidden > 0 {
            self.hidden -= 1;
            return Err(ApiError::no_group());
        }
        Ok(self)
    }
}

impl Stream {
    pub(crate) fn new(created_ms: i64) -> Stream {
        Stream {
            created_ms,
            first_timestamp: None,
            last_timestamp: None,
            last_ingestion: None,
            stored: 0,
            message_bytes: 0,
            hidden: 0,
            records: Vec::new(),
            sorted: true,
        }
    }

    /// Accounts for one event; `push` keeps it too.
    pub(crate) fn count(&mut self, timestamp: i64, ingestion: i64, bytes: u64) {
        self.stored += 1;
        self.message_bytes += bytes;
        self.first_timestamp = Some(self.first_timestamp.map_or(timestamp, |first| first.min(timestamp)));
        self.last_timestamp = Some(self.last_timestamp.map_or(timestamp, |last| last.max(timestamp)));
        self.last_ingestion = Some(ingestion);
    }

    pub(crate) fn push(&mut self, record: Record) {
        if self.records.last().is_some_and(|last| last.timestamp > record.timestamp) {
            self.sorted = false;
        }
        self.records.push(record);
    }

    pub(crate) fn reserve(&mut self, more: usize) {
        self.records.reserve(more);
    }

    /// The events in (timestamp, arrival) order.
    pub(crate) fn records(&mut self) -> &[Record] {
        if !self.sorted {
            // Ids grow with arrival, so this is the stable order, and cheap on runs that are already sorted.
            self.records.sort_by_key(Record::key);
            self.sorted = true;
        }
        &self.records
    }

    pub(crate) fn info(&self, name: &str) -> StreamInfo {
        StreamInfo {
            name: name.to_owned(),
            created_ms: self.created_ms,
            events: self.stored,
            message_bytes: self.message_bytes,
            first_timestamp: self.first_timestamp,
            last_timestamp: self.last_timestamp,
            last_ingestion: self.last_ingestion,
        }
    }
}

impl Store {
    pub(crate) fn group(&mut self, name: &str) -> Result<&mut Group, ApiError> {
        self.groups.get_mut(name).ok_or_else(ApiError::no_group)
    }

    /// A group that a request is about to write to.
    pub(crate) fn writable_group(&mut self, name: &str) -> Result<&mut Group, ApiError> {
        self.group(name)?.seen()
    }

    /// The group's retention, and the stream, as PutLogEvents sees them.
    pub(crate) fn writable_stream(
        &mut self,
        group: &str,
        stream: &str,
    ) -> Result<(Option<i64>, &mut Stream, &mut u64), ApiError> {
        let last_id = &mut self.last_id;
        let group = self.groups.get_mut(group).ok_or_else(ApiError::no_group)?.seen()?;
        let retention = group.retention_days;
        let stream = group.streams.get_mut(stream).ok_or_else(ApiError::no_stream)?;
        if stream.hidden > 0 {
            stream.hidden -= 1;
            return Err(ApiError::no_stream());
        }
        Ok((retention, stream, last_id))
    }
}
