//! Records of one file become events in the batch of its stream, and entries in the ledger of its container.

use std::ops::Range;

use crate::batch::{Event, Mark, Source, Wrapping};
use crate::exclude::Span;
use crate::ledger::{Count, Ledger, Reason};
use crate::limits;
use crate::multiline::Multiline;
use crate::parse::Stream;
use crate::ranges::Ranges;
use crate::settings::{Format, Oversize};
use crate::tail::{Blocked, Record, Sink, Syntax};
use crate::{ContainerNo, FileNo, TargetNo};

use tokio::time::Instant;

use super::batcher::Batcher;

/// Takes the records of one file for the time of a turn.
#[derive(Debug)]
pub(super) struct FileSink<'a> {
    pub(super) batcher: &'a mut Batcher,
    pub(super) ledger: &'a mut Ledger,
    pub(super) wrappings: &'a [Wrapping; 2],
    pub(super) settled: &'a mut Ranges,
    pub(super) target: TargetNo,
    pub(super) container: ContainerNo,
    pub(super) file: FileNo,
    pub(super) format: Format,
    pub(super) oversize: Oversize,
    pub(super) syntax: Syntax,
    pub(super) multiline: &'a Multiline,
    /// Lines of these times are left out.
    pub(super) excluded: &'a [Span],
    /// Its stream takes nothing now: only what is left out goes on.
    pub(super) paused: bool,
    /// Lines of other files that were left out together with one of this file.
    pub(super) settled_elsewhere: Vec<(FileNo, Ranges)>,
    pub(super) now: Instant,
    pub(super) now_ms: i64,
    /// Space for content that has to be repaired.
    pub(super) scratch: &'a mut Vec<u8>,
}

impl FileSink<'_> {
    fn wrapping(&self, stream: Stream) -> &Wrapping {
        &self.wrappings[stream.index()]
    }

    /// An event is of the time of its first line.
    fn excludes(&self, timestamp_ms: Option<i64>) -> bool {
        // Nearly always there is nothing to ask.
        !self.excluded.is_empty() && {
            let ms = timestamp_ms.unwrap_or(self.now_ms);
            self.excluded.iter().any(|span| span.holds(ms))
        }
    }

    /// Settles what an event would have been made of. Read and settled it is, so that nothing is shipped when the exclusion ends,
    /// and files can go.
    fn exclude(&mut self, source: &Source<'_>) {
        self.count_excluded(source.file_bytes());
        self.settled.insert(source.line.clone());
        if let Some(pieces) = source.pieces {
            self.settled.insert_all(pieces);
        }
        if let Some((file, lines)) = source.carried {
            self.settled_elsewhere.push((file, lines.clone()));
        }
    }

    fn count_excluded(&mut self, bytes: u64) {
        let count = Count::new(1, bytes);
        self.ledger.read.add(count);
        self.ledger.excluded.add(count);
    }

    /// Settles a line of which no event is made.
    pub(super) fn settle(&mut self, line: Range<u64>, bytes: u64, reason: Reason) {
        let count = Count::new(1, bytes);
        self.ledger.read.add(count);
        self.ledger.reason_mut(reason).add(count);
        self.settled.insert(line);
    }
}

/// Makes valid UTF-8 of any bytes, as Unicode recommends: U+FFFD for each maximal invalid part. Where that would no longer
/// fit one event, `?` for each invalid byte, which never makes it longer.
fn repair(content: &[u8], wrapping: &Wrapping, out: &mut Vec<u8>) {
    out.clear();
    for chunk in content.utf8_chunks() {
        out.extend_from_slice(chunk.valid().as_bytes());
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    if wrapping.fitting(out) < out.len() {
        out.clear();
        for chunk in content.utf8_chunks() {
            out.extend_from_slice(chunk.valid().as_bytes());
            out.extend(chunk.invalid().iter().map(|_| b'?'));
        }
    }
}

impl Sink for FileSink<'_> {
    fn record(&mut self, record: &Record<'_>) -> Result<(), Blocked> {
        let source = Source {
            file: self.file,
            container: self.container,
            line: record.line.clone(),
            pieces: record.pieces,
            carried: record.carried,
            bytes: record.bytes,
        };
        if self.excludes(record.timestamp_ms) {
            self.exclude(&source);
            return Ok(());
        }
        if self.paused {
            return Err(Blocked);
        }
        // The service takes no empty message.
        let empty = record.content.is_empty() && self.format == Format::Raw;
        if empty && record.pieces.is_none() {
            let line = record.line.clone();
            let bytes = record.bytes.unwrap_or(line.end - line.start);
            self.settle(line, bytes, Reason::Empty);
            return Ok(());
        }
        let mut timestamp_ms = record.timestamp_ms.unwrap_or(self.now_ms).max(0);
        let mut mark = record.mark;
        let retimed = timestamp_ms > self.now_ms + limits::TOO_NEW_MS - limits::CLOCK_MARGIN_MS;
        if retimed {
            timestamp_ms = self.now_ms;
            mark = mark.or_else(|| (!record.time.is_empty()).then_some(Mark::Retimed { time: record.time }));
        }
        let wrapping = &self.wrappings[record.stream.index()];
        let valid = simdutf8::basic::from_utf8(record.content).is_ok();
        if !valid {
            repair(record.content, wrapping, self.scratch);
        }
        let event = Event {
            timestamp_ms,
            wrapping,
            content: match (empty, valid) {
                (true, _) => b" ",
                (false, true) => record.content,
                (false, false) => self.scratch,
            },
            mark,
            source,
        };
        self.batcher.push(self.target, &event, self.now_ms - timestamp_ms)?;
        let count = Count::new(1, event.source.file_bytes());
        self.ledger.read.add(count);
        self.ledger.in_flight.add(count);
        self.ledger.repaired += u64::from(!valid);
        self.ledger.malformed += u64::from(record.malformed);
        self.ledger.retimed += u64::from(retimed);
        self.ledger.split_parts +=
            u64::from(matches!(mark, Some(Mark::Continues { part } | Mark::Ends { part }) if part > 1));
        Ok(())
    }

    fn room(&self, stream: Stream) -> usize {
        self.wrapping(stream).content_room()
    }

    fn counted(&self, stream: Stream, content: &[u8]) -> usize {
        self.wrapping(stream).counted_content(content)
    }

    fn fitting(&self, stream: Stream, content: &[u8]) -> usize {
        self.wrapping(stream).fitting(content)
    }

    fn splits(&self) -> bool {
        self.oversize == Oversize::Split
    }

    fn truncated(&mut self, line: Range<u64>, timestamp_ms: Option<i64>) {
        let bytes = line.end - line.start;
        if self.excludes(timestamp_ms) {
            self.count_excluded(bytes);
            self.settled.insert(line);
            return;
        }
        self.settle(line, bytes, Reason::Truncated);
    }

    fn syntax(&self) -> Syntax {
        self.syntax
    }

    fn multiline(&self) -> &Multiline {
        self.multiline
    }

    fn now_ms(&self) -> i64 {
        self.now_ms
    }

    fn now(&self) -> Instant {
        self.now
    }

    fn hole(&mut self, bytes: Range<u64>) {
        self.settled.insert(bytes);
    }
}
