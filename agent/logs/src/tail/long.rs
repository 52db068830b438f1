//! Lines longer than an event: they are handed on in parts, and their file is never held in memory.

use std::ops::Range;

use super::pieces::Chunk;
use super::{Record, Sink, Tail, Turn};
use crate::batch::Mark;
use crate::parse::{Stream, TimestampCache, cri_line};
use crate::source::Source;

/// A physical line longer than an event, of which a part was handed on.
#[derive(Debug, Clone, Copy)]
pub(super) struct LongLine {
    pub(super) stream: Stream,
    pub(super) timestamp_ms: Option<i64>,
    pub(super) parts: u32,
    pub(super) dropping: bool,
}

impl Tail {
    /// After a restart, the position may be inside a line of which a part was delivered. Its rest is the next part, or is dropped.
    pub(super) fn starts_inside_a_line(
        &mut self,
        line: &Range<u64>,
        source: &mut Source,
        dropping: bool,
    ) -> std::io::Result<bool> {
        if line.start == 0 || self.skip.is_empty() || line.start != self.position {
            return Ok(false);
        }
        if !self.skip.iter().any(|r| r.end == line.start) {
            return Ok(false);
        }
        let mut before = [0];
        let read = source.read_at(&mut before, line.start - 1)?;
        if read == 1 && before != [b'\n'] {
            self.long = Some(LongLine { stream: Stream::Stdout, timestamp_ms: self.last_ms, parts: 1, dropping });
            return Ok(true);
        }
        Ok(false)
    }

    /// A line without end in sight fills the largest window: as much of it as fits an event goes on.
    pub(super) fn start_of_long_line(
        &mut self,
        chunk: &Chunk<'_>,
        source: &mut Source,
        joined: &mut Vec<u8>,
        clock: &mut TimestampCache,
        sink: &mut impl Sink,
    ) -> std::io::Result<Turn> {
        let start = chunk.start;
        let end = start + chunk.bytes.len() as u64;
        let mut content = chunk.bytes;
        let begins = self.long.is_none();
        if begins {
            let parsed = cri_line(chunk.bytes, clock);
            content = parsed.map_or(content, |p| p.content);
            let stream = parsed.map_or(Stream::Stdout, |p| p.stream);
            let timestamp_ms = parsed.map(|p| p.timestamp_ms).or(self.last_ms);
            // It is too long to be joined with the pieces before it: they go by themselves.
            if parsed.is_some() && self.flush_output(stream, chunk, source, joined, sink)? == Turn::Blocked {
                return Ok(Turn::Blocked);
            }
            self.long = Some(LongLine { stream, timestamp_ms, parts: 0, dropping: false });
        }
        if self.long_part(content, start, end - content.len() as u64, end, false, sink) {
            if begins {
                self.long = None;
            }
            return Ok(Turn::Blocked);
        }
        Ok(Turn::More)
    }

    /// Hands on the next part of a long line: as much of `content` (which lies at `content_start`) as fits. Moves the
    /// position behind it. `true` if the sink is blocked.
    pub(super) fn long_part(
        &mut self,
        content: &[u8],
        claim_start: u64,
        content_start: u64,
        line_end: u64,
        ends: bool,
        sink: &mut impl Sink,
    ) -> bool {
        let Some(long) = self.long else { return false };
        if long.dropping {
            sink.truncated(claim_start..line_end, long.timestamp_ms);
            self.position = line_end;
            self.long = (!ends).then_some(long);
            return false;
        }
        let fits = sink.fitting(long.stream, content).max(1).min(content.len());
        let last = ends && fits == content.len();
        let cut = if last { line_end } else { content_start + fits as u64 };
        let part = long.parts + 1;
        let mark = match (last, sink.splits()) {
            (true, _) => Mark::Ends { part },
            (false, true) => Mark::Continues { part },
            (false, false) => Mark::Truncated,
        };
        let record = Record {
            timestamp_ms: long.timestamp_ms,
            time: b"",
            stream: long.stream,
            content: &content[..fits],
            mark: Some(mark),
            line: claim_start..cut,
            pieces: None,
            carried: None,
            bytes: None,
            malformed: false,
        };
        if sink.record(&record).is_err() {
            return true;
        }
        self.position = cut;
        self.long = (!last).then_some(LongLine { parts: part, dropping: mark == Mark::Truncated, ..long });
        false
    }
}
