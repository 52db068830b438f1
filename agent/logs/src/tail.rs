//! One log file from its current position on: chunks become lines, pieces of a line become one record.
//!
//! Nothing is kept of a file between turns but offsets. An unfinished line is read again with what follows it, and the
//! pieces of a joined line are fetched again from the file when its last piece arrives, so that a thousand files with
//! half-written lines cost no memory.

mod pieces;

use std::ops::Range;

use memchr::memchr;

use crate::FileNo;
use crate::batch::Mark;
use crate::parse::{CriLine, Stream, TimestampCache, cri_line};
use crate::ranges::Ranges;
use crate::source::Source;
use pieces::{Chunk, Partial, gather, hand_on};

/// What a turn reads at once. It fits the second-level cache of every processor a node has.
const CHUNK: usize = 256 * 1024;

/// What a turn reads at once when a line does not fit [`CHUNK`]: more than the largest event, so that a longer line has to be
/// cut anyway.
const LONG_CHUNK: usize = 1_280 * 1024;

/// Most pieces of a line that are joined: containerd's are 16 KiB, so a line of an event's size has 64.
const PIECES: usize = 1_024;

/// A record on its way to its batch.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    /// When it was written; `None` if the line does not say so in a way we can read.
    pub(crate) timestamp_ms: Option<i64>,
    /// The same as text.
    pub(crate) time: &'a [u8],
    pub(crate) stream: Stream,
    /// Any bytes.
    pub(crate) content: &'a [u8],
    pub(crate) mark: Option<Mark<'a>>,
    pub(crate) line: Range<u64>,
    pub(crate) pieces: Option<&'a Ranges>,
    pub(crate) carried: Option<(FileNo, &'a Ranges)>,
    /// The line is not in the CRI format: all of it is content.
    pub(crate) malformed: bool,
}

/// Who takes the records of a file.
pub(crate) trait Sink {
    /// Takes a record, or says that it cannot now: the same record is offered again in a later turn.
    fn record(&mut self, record: &Record<'_>) -> Result<(), Blocked>;
    /// Bytes counted for one event at most, for content of this stream.
    fn room(&self, stream: Stream) -> usize;
    /// Bytes that `content` counts for.
    fn counted(&self, stream: Stream, content: &[u8]) -> usize;
    /// The longest start of `content` that fits one event.
    fn fitting(&self, stream: Stream, content: &[u8]) -> usize;
    /// Whether a line longer than an event is cut into several (or truncated).
    fn splits(&self) -> bool;
    /// A piece, or the rest, of a line that was truncated: it is settled without an event.
    fn truncated(&mut self, line: Range<u64>);
}

/// The sink cannot take more now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Blocked;

/// How a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// There may be more to read.
    More,
    /// Everything complete was read; at most an unfinished line is left.
    CaughtUp,
    /// The sink cannot take more now.
    Blocked,
}

/// The read buffer, shared by all files: one turn at a time uses it.
#[derive(Debug, Default)]
pub(crate) struct Window {
    bytes: Vec<u8>,
    joined: Vec<u8>,
    clock: TimestampCache,
}

/// A physical line longer than an event, of which a part was handed on.
#[derive(Debug, Clone, Copy)]
struct LongLine {
    stream: Stream,
    timestamp_ms: Option<i64>,
    parts: u32,
    dropping: bool,
}

/// Where reading a file is.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    /// Everything below was handed on, is held in `partial`, or is in `skip`.
    position: u64,
    /// Settled before: passed over.
    skip: Ranges,
    partial: [Option<Partial>; 2],
    long: Option<LongLine>,
    last_ms: Option<i64>,
    touched: bool,
}

impl Tail {
    /// Starts where everything in `settled` is passed over.
    pub(crate) fn resume(settled: &Ranges) -> Self {
        Self { position: settled.low_water(), skip: settled.clone(), ..Self::default() }
    }

    /// Where the next turn reads.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Takes ranges back that were handed on but not delivered: they are read again.
    pub(crate) fn give_back(&mut self, returned: &Ranges) {
        let mut skip = std::mem::take(&mut self.skip);
        skip.insert(0..self.position);
        // What the pieces of unfinished lines say is only known from the file.
        for slot in &mut self.partial {
            let Some(partial) = slot.take() else { continue };
            for line in partial.lines.iter() {
                skip.remove(line);
            }
            *slot = partial.carried.map(Partial::continuing);
        }
        for range in returned.iter() {
            skip.remove(range);
        }
        self.long = None;
        self.touched = false;
        self.position = skip.low_water();
        self.skip = skip;
    }

    /// The time of the last line that was read; Unix ms.
    pub(crate) fn last_ms(&self) -> Option<i64> {
        self.last_ms
    }

    /// Whether pieces of a line wait for their end.
    pub(crate) fn has_partial(&self) -> bool {
        self.partial.iter().any(Option::is_some)
    }

    /// Reads one chunk and hands its records on.
    pub(crate) fn turn(
        &mut self,
        source: &mut Source,
        window: &mut Window,
        sink: &mut impl Sink,
    ) -> std::io::Result<Turn> {
        if let Some(end) = self.skip.end_around(self.position).filter(|_| !self.has_partial()) {
            self.position = end;
            self.long = None;
        } else if self.skip.iter().last().is_some_and(|r| r.end < self.position) {
            self.skip = Ranges::default();
        }
        let mut size = CHUNK;
        loop {
            if window.bytes.len() < size {
                window.bytes.resize(size, 0);
            }
            let len = source.read_at(&mut window.bytes[..size], self.position)?;
            let Window { bytes, joined, clock } = window;
            let chunk = Chunk { start: self.position, bytes: &bytes[..len] };
            let (used, blocked) = self.lines(&chunk, source, joined, clock, sink)?;
            if blocked {
                return Ok(Turn::Blocked);
            }
            if len < size {
                return Ok(Turn::CaughtUp);
            }
            if used > 0 {
                return Ok(Turn::More);
            }
            if size == LONG_CHUNK {
                return self.start_of_long_line(&chunk, source, joined, clock, sink);
            }
            size = LONG_CHUNK;
        }
    }

    /// Hands on what is left of a file that nobody writes any more: a line without its newline, pieces without their end.
    pub(crate) fn finish(
        &mut self,
        source: &mut Source,
        window: &mut Window,
        sink: &mut impl Sink,
    ) -> std::io::Result<Turn> {
        window.bytes.resize(window.bytes.len().max(LONG_CHUNK), 0);
        let Window { bytes, joined, clock } = window;
        loop {
            while let Some(end) = self.skip.end_around(self.position) {
                (self.position, self.long) = (end, None);
            }
            let len = source.read_at(&mut bytes[..LONG_CHUNK], self.position)?;
            let rest = &bytes[..len];
            if rest.is_empty() {
                break;
            }
            if memchr(b'\n', rest).is_some() {
                return Ok(Turn::More);
            }
            let line = self.position..self.position + len as u64;
            let chunk = Chunk { start: self.position, bytes: rest };
            if len == LONG_CHUNK {
                if self.start_of_long_line(&chunk, source, joined, clock, sink)? == Turn::Blocked {
                    return Ok(Turn::Blocked);
                }
                continue;
            }
            if self.line(&chunk, rest, line.clone(), source, joined, clock, sink)? {
                return Ok(Turn::Blocked);
            }
            if self.position == line.start {
                self.position = line.end;
            }
        }
        self.flush_partials(source, joined, sink)
    }

    /// Hands on pieces whose end will not come, or has not come for long.
    pub(crate) fn flush_partials(
        &mut self,
        source: &mut Source,
        joined: &mut Vec<u8>,
        sink: &mut impl Sink,
    ) -> std::io::Result<Turn> {
        for stream in [Stream::Stdout, Stream::Stderr] {
            if self.flush_output(stream, source, joined, sink)? == Turn::Blocked {
                return Ok(Turn::Blocked);
            }
        }
        Ok(Turn::CaughtUp)
    }

    /// The same for one output.
    fn flush_output(
        &mut self,
        stream: Stream,
        source: &mut Source,
        joined: &mut Vec<u8>,
        sink: &mut impl Sink,
    ) -> std::io::Result<Turn> {
        let slot = &mut self.partial[stream.index()];
        let Some(partial) = slot.as_ref().filter(|p| !p.is_empty()) else {
            *slot = None;
            return Ok(Turn::CaughtUp);
        };
        gather(partial, &Chunk { start: 0, bytes: &[] }, source, joined)?;
        let mark = (partial.parts > 0).then_some(Mark::Ends { part: partial.parts + 1 });
        if hand_on(partial, joined, stream, mark, sink).is_err() {
            return Ok(Turn::Blocked);
        }
        *slot = None;
        Ok(Turn::CaughtUp)
    }

    /// Bytes of lines that wait as pieces for their end: they were read and are in no batch.
    pub(crate) fn waiting_bytes(&self) -> u64 {
        self.partial.iter().flatten().map(|p| p.lines.len() + p.carried.as_ref().map_or(0, |c| c.lines.len())).sum()
    }

    /// [`Tail::flush_partials`] with the shared window.
    pub(crate) fn flush(
        &mut self,
        source: &mut Source,
        window: &mut Window,
        sink: &mut impl Sink,
    ) -> std::io::Result<Turn> {
        self.flush_partials(source, &mut window.joined, sink)
    }

    /// Takes the complete lines of a chunk. Says how many bytes were passed, and whether the sink is blocked.
    fn lines(
        &mut self,
        chunk: &Chunk<'_>,
        source: &mut Source,
        joined: &mut Vec<u8>,
        clock: &mut TimestampCache,
        sink: &mut impl Sink,
    ) -> std::io::Result<(usize, bool)> {
        let mut at = 0;
        while let Some(rest) = chunk.bytes.get(at..).filter(|r| !r.is_empty()) {
            let start = chunk.start + at as u64;
            if !self.skip.is_empty()
                && let Some(end) = self.skip.end_around(start)
            {
                self.long = None;
                self.position = end;
                if self.has_partial() {
                    // Line by line: where later pieces of a line are settled, the earlier ones go by themselves.
                    let newline = memchr(b'\n', rest);
                    if newline.is_none() && rest.len() < LONG_CHUNK {
                        self.position = start;
                        break;
                    }
                    let text = &rest[..newline.unwrap_or(rest.len())];
                    if let Some(parsed) = cri_line(text, clock)
                        && self.flush_output(parsed.stream, source, joined, sink)? == Turn::Blocked
                    {
                        self.position = start;
                        return Ok((at, true));
                    }
                    self.position = end.min(start + newline.map_or(rest.len(), |len| len + 1) as u64);
                }
                at = usize::try_from(self.position - chunk.start).unwrap_or(usize::MAX);
                continue;
            }
            let Some(len) = memchr(b'\n', rest) else { break };
            let line = start..start + len as u64 + 1;
            let text = &rest[..len];
            if self.line(chunk, text, line.clone(), source, joined, clock, sink)? {
                return Ok((at, true));
            }
            // A line that was too long moved the position itself, to where it was cut.
            if self.position <= line.start {
                self.position = line.end;
            }
            at = usize::try_from(self.position - chunk.start).unwrap_or(usize::MAX);
        }
        Ok((at, false))
    }

    /// Takes one line. `true` if the sink is blocked, and then nothing has changed.
    #[expect(clippy::too_many_arguments, reason = "the parts of a turn, borrowed apart")]
    fn line(
        &mut self,
        chunk: &Chunk<'_>,
        text: &[u8],
        line: Range<u64>,
        source: &mut Source,
        joined: &mut Vec<u8>,
        clock: &mut TimestampCache,
        sink: &mut impl Sink,
    ) -> std::io::Result<bool> {
        self.touched = true;
        if self.long.is_some() || self.starts_inside_a_line(&line, source, !sink.splits())? {
            return Ok(self.long_part(text, line.start, line.start, line.end, true, sink));
        }
        let Some(parsed) = cri_line(text, clock) else {
            return Ok(self.whole(None, text, text, line, sink));
        };
        self.last_ms = Some(parsed.timestamp_ms);
        let waiting = self.partial[parsed.stream.index()].is_some();
        if !parsed.partial && !waiting {
            return Ok(self.whole(Some(&parsed), text, parsed.content, line, sink));
        }
        self.piece(chunk, text, &parsed, line, source, joined, sink)
    }

    /// After a restart, the position may be inside a line of which a part was delivered. Its rest is the next part, or is dropped.
    fn starts_inside_a_line(
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

    /// A line that is a record by itself; `parsed` is `None` if it is not in the CRI format, and then all of it is content.
    /// `true` if the sink is blocked.
    fn whole(
        &mut self,
        parsed: Option<&CriLine<'_>>,
        text: &[u8],
        content: &[u8],
        line: Range<u64>,
        sink: &mut impl Sink,
    ) -> bool {
        let stream = parsed.map_or(Stream::Stdout, |p| p.stream);
        let timestamp_ms = parsed.map(|p| p.timestamp_ms).or(self.last_ms);
        if sink.fitting(stream, content) < content.len() {
            self.long = Some(LongLine { stream, timestamp_ms, parts: 0, dropping: false });
            // The line's head is claimed with the first part.
            let content_start = line.start + (text.len() - content.len()) as u64;
            let blocked = self.long_part(content, line.start, content_start, line.end, true, sink);
            if blocked {
                self.long = None;
            }
            return blocked;
        }
        let time = parsed.map_or(&b""[..], |p| p.time);
        let malformed = parsed.is_none();
        sink.record(&Record {
            timestamp_ms,
            time,
            stream,
            content,
            mark: None,
            line,
            pieces: None,
            carried: None,
            malformed,
        })
        .is_err()
    }

    /// A piece of a line, first, middle or last. `true` if the sink is blocked.
    #[expect(clippy::too_many_arguments, reason = "the parts of a turn, borrowed apart")]
    fn piece(
        &mut self,
        chunk: &Chunk<'_>,
        text: &[u8],
        parsed: &CriLine<'_>,
        line: Range<u64>,
        source: &mut Source,
        joined: &mut Vec<u8>,
        sink: &mut impl Sink,
    ) -> std::io::Result<bool> {
        let stream = parsed.stream;
        let counted = sink.counted(stream, parsed.content);
        let mut partial = self.partial[stream.index()]
            .take()
            .unwrap_or_else(|| Partial { timestamp_ms: parsed.timestamp_ms, ..Partial::default() });
        let too_long = partial.counted + counted > sink.room(stream);
        let crowded = too_long || partial.contents.len() >= PIECES;
        if !partial.dropping && crowded && !partial.is_empty() {
            // No room for this piece: hand on what there is, as a part of the line.
            if let Err(error) = gather(&partial, chunk, source, joined) {
                self.partial[stream.index()] = Some(partial);
                return Err(error);
            }
            let splits = sink.splits() || !too_long;
            let mark = if splits { Mark::Continues { part: partial.parts + 1 } } else { Mark::Truncated };
            if hand_on(&partial, joined, stream, Some(mark), sink).is_err() {
                self.partial[stream.index()] = Some(partial);
                return Ok(true);
            }
            let (timestamp_ms, parts) = (partial.timestamp_ms, partial.parts + 1);
            partial = Partial { timestamp_ms, parts, dropping: !splits, ..Partial::default() };
        }
        if partial.dropping {
            sink.truncated(line);
            if parsed.partial {
                self.partial[stream.index()] = Some(partial);
            }
            return Ok(false);
        }
        if counted > sink.room(stream) {
            // One piece alone is more than an event: it goes on as a long line of its own. What was before it is handed on.
            return Ok(self.whole(Some(parsed), text, parsed.content, line, sink));
        }
        if parsed.partial {
            let content_start = line.start + (text.len() - parsed.content.len()) as u64;
            partial.contents.push(content_start..content_start + parsed.content.len() as u64);
            partial.lines.insert(line);
            partial.counted += counted;
            self.partial[stream.index()] = Some(partial);
            return Ok(false);
        }
        if let Err(error) = gather(&partial, chunk, source, joined) {
            self.partial[stream.index()] = Some(partial);
            return Err(error);
        }
        joined.extend_from_slice(parsed.content);
        let mark = (partial.parts > 0).then_some(Mark::Ends { part: partial.parts + 1 });
        let record = Record {
            timestamp_ms: Some(partial.timestamp_ms),
            time: b"",
            stream,
            content: joined,
            mark,
            line,
            pieces: Some(&partial.lines),
            carried: partial.carried(),
            malformed: false,
        };
        let blocked = sink.record(&record).is_err();
        if blocked {
            self.partial[stream.index()] = Some(partial);
        }
        Ok(blocked)
    }

    /// A line without end in sight fills the largest window: as much of it as fits an event goes on.
    fn start_of_long_line(
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
            if parsed.is_some() && self.flush_output(stream, source, joined, sink)? == Turn::Blocked {
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
    fn long_part(
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
            sink.truncated(claim_start..line_end);
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

#[cfg(test)]
mod tests;
