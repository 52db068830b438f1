//! One log file from its current position on: chunks become lines, pieces of a line become one record.
//!
//! Nothing is kept of a file between turns but offsets. An unfinished line is read again with what follows it, and the
//! pieces of a joined line are fetched again from the file when its last piece arrives, so that a thousand files with
//! half-written lines cost no memory.

mod long;
mod pieces;

use std::ops::Range;
use std::time::Duration;

use memchr::memchr;

use tokio::time::Instant;

use crate::FileNo;
use crate::batch::Mark;
use crate::multiline::{Multiline, Trace};
use crate::parse::{CriLine, Stream, TimestampCache, cri_line, plain_time};
use crate::ranges::Ranges;
use crate::source::Source;
use long::LongLine;
use pieces::{Chunk, Partial, gather, hand_on};

/// What a turn reads at once. It fits the second-level cache of every processor a node has.
const CHUNK: usize = 256 * 1024;

/// What a turn reads at once when a line does not fit [`CHUNK`]: more than the largest event, so that a longer line has to be
/// cut anyway.
const LONG_CHUNK: usize = 1_280 * 1024;

/// Bytes that a newline counts for at most.
const NEWLINE: usize = 2;

/// Most pieces of a line that are joined: containerd's are 16 KiB, so a line of an event's size has 64.
const PIECES: usize = 1_024;

/// A line without a time gets that of the line before it, if it is not older than this.
const RECENT_MS: i64 = 600_000;

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
    /// Bytes that it stands for, where `line` is not bytes of a file.
    pub(crate) bytes: Option<u64>,
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
    /// How lines are written.
    fn syntax(&self) -> Syntax {
        Syntax::Cri
    }
    /// Which lines become one event.
    fn multiline(&self) -> &Multiline {
        &Multiline::Off
    }
    /// The present; Unix ms.
    fn now_ms(&self) -> i64 {
        0
    }
    /// The present on the clock that waits.
    fn now(&self) -> Instant {
        Instant::now()
    }
    /// Bytes of a hole that nobody wrote: they are settled without an account.
    fn hole(&mut self, _bytes: Range<u64>) {}
    /// A piece, or the rest, of a line of that time that was truncated: it is settled without an event.
    fn truncated(&mut self, line: Range<u64>, timestamp_ms: Option<i64>);
}

/// How the lines of a file are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Syntax {
    /// By a container runtime.
    Cri,
    /// By anybody: all of the line is content.
    Plain,
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

/// How long what is incomplete waits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiting {
    /// Pieces, for the end of their line.
    pub(crate) pieces: Duration,
    /// Lines, for others that belong to them.
    pub(crate) lines: Duration,
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
        // What was carried into this file looks for its end from the start.
        self.position = if self.has_partial() { 0 } else { skip.low_water() };
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
            if sink.syntax() == Syntax::Plain && self.pass_hole(&chunk, source, sink)? {
                return Ok(Turn::More);
            }
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

    /// Passes over zeros where a line would begin: nobody wrote them. A file that was cut while its writer kept its offset
    /// starts with a hole.
    fn pass_hole(&mut self, chunk: &Chunk<'_>, source: &Source, sink: &mut impl Sink) -> std::io::Result<bool> {
        let zeros = chunk.bytes.iter().take_while(|b| **b == 0).count();
        if zeros == 0 || self.long.is_some() {
            return Ok(false);
        }
        let mut end = chunk.start + zeros as u64;
        if zeros == chunk.bytes.len() {
            end = source.next_data(end)?.max(end);
        }
        sink.hole(chunk.start..end);
        self.position = end;
        Ok(true)
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
            if self.flush_output(stream, &Chunk::NONE, source, joined, sink)? == Turn::Blocked {
                return Ok(Turn::Blocked);
            }
        }
        Ok(Turn::CaughtUp)
    }

    /// The same for one output.
    fn flush_output(
        &mut self,
        stream: Stream,
        chunk: &Chunk<'_>,
        source: &mut Source,
        joined: &mut Vec<u8>,
        sink: &mut impl Sink,
    ) -> std::io::Result<Turn> {
        let slot = &mut self.partial[stream.index()];
        let Some(partial) = slot.as_ref().filter(|p| !p.is_empty()) else {
            *slot = None;
            return Ok(Turn::CaughtUp);
        };
        gather(partial, chunk, source, joined)?;
        let mark = (partial.parts > 0).then_some(Mark::Ends { part: partial.parts + 1 });
        if hand_on(partial, joined, stream, mark, sink).is_err() {
            return Ok(Turn::Blocked);
        }
        *slot = None;
        Ok(Turn::CaughtUp)
    }

    /// Bytes of a file of this size that are in no batch and are not settled: what was not read, or is to be read again, and
    /// lines that wait as pieces for their end.
    pub(crate) fn unread(&self, size: u64) -> u64 {
        let mut handed_on = self.skip.clone();
        handed_on.insert(0..self.position);
        let waiting: u64 = self.partial.iter().flatten().map(|p| p.lines.len()).sum();
        let carried: u64 = self.carried().map(|(_, lines)| lines.len()).sum();
        size.saturating_sub(handed_on.len_before(size)) + waiting + carried
    }

    /// Hands on what has waited too long: pieces of a line for their end, complete lines for more that belong to them.
    pub(crate) fn flush_late(
        &mut self,
        periods: &Waiting,
        source: &mut Source,
        window: &mut Window,
        sink: &mut impl Sink,
    ) -> std::io::Result<Turn> {
        let now = sink.now();
        for stream in [Stream::Stdout, Stream::Stderr] {
            let late = self.partial[stream.index()].as_ref().is_some_and(|partial| {
                let period = if partial.mid_line { periods.pieces } else { periods.lines };
                partial.touched.is_none_or(|at| now.duration_since(at) >= period)
            });
            if late && self.flush_output(stream, &Chunk::NONE, source, &mut window.joined, sink)? == Turn::Blocked {
                return Ok(Turn::Blocked);
            }
        }
        Ok(Turn::CaughtUp)
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
                        && self.flush_output(parsed.stream, chunk, source, joined, sink)? == Turn::Blocked
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
        let parsed = match sink.syntax() {
            Syntax::Cri => cri_line(text, clock),
            Syntax::Plain => Some(self.plain(text, clock, sink)),
        };
        let Some(parsed) = parsed else {
            return Ok(self.whole(None, text, text, line, sink));
        };
        if sink.syntax() == Syntax::Cri {
            self.last_ms = Some(parsed.timestamp_ms);
        }
        let waiting = self.partial[parsed.stream.index()].as_ref();
        let mut trace = waiting.map(|p| p.trace).unwrap_or_default();
        if *sink.multiline() != Multiline::Off && waiting.is_none_or(|p| !p.mid_line) {
            // The first piece of a line tells whether it belongs to the lines before it.
            let joins;
            (joins, trace) = sink.multiline().judge(trace, parsed.content);
            if !joins && self.flush_output(parsed.stream, chunk, source, joined, sink)? == Turn::Blocked {
                return Ok(true);
            }
        }
        let waiting = self.partial[parsed.stream.index()].is_some();
        if !parsed.partial && !waiting && trace == Trace::None {
            return Ok(self.whole(Some(&parsed), text, parsed.content, line, sink));
        }
        self.piece(chunk, text, &parsed, trace, line, source, joined, sink)
    }

    /// A line of a plain file. One that does not say when it was written is of the time of the line before it where that is
    /// likely: it is indented, or the other is recent. A time from long ago would have the service refuse it.
    fn plain<'a>(&mut self, text: &'a [u8], clock: &mut TimestampCache, sink: &impl Sink) -> CriLine<'a> {
        let now_ms = sink.now_ms();
        let timestamp_ms = match plain_time(text, now_ms, clock) {
            Some(ms) => {
                self.last_ms = Some(ms);
                ms
            }
            None => {
                let likely = |ms: &i64| text.first().is_some_and(u8::is_ascii_whitespace) || now_ms - ms < RECENT_MS;
                self.last_ms.filter(likely).unwrap_or(now_ms)
            }
        };
        CriLine { timestamp_ms, time: b"", stream: Stream::Stdout, partial: false, content: text }
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
            bytes: None,
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
        trace: Trace,
        line: Range<u64>,
        source: &mut Source,
        joined: &mut Vec<u8>,
        sink: &mut impl Sink,
    ) -> std::io::Result<bool> {
        let stream = parsed.stream;
        let mut partial = self.partial[stream.index()]
            .take()
            .unwrap_or_else(|| Partial { timestamp_ms: parsed.timestamp_ms, ..Partial::default() });
        let newline = !partial.is_empty() && !partial.mid_line;
        let counted = sink.counted(stream, parsed.content) + if newline { NEWLINE } else { 0 };
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
            let Partial { timestamp_ms, mid_line, .. } = partial;
            let parts = partial.parts + 1;
            partial = Partial { timestamp_ms, parts, mid_line, dropping: !splits, ..Partial::default() };
        }
        let newline = newline && !partial.is_empty();
        partial.trace = trace;
        partial.touched = Some(sink.now());
        if partial.dropping {
            sink.truncated(line, Some(partial.timestamp_ms));
            partial.mid_line = parsed.partial;
            if parsed.partial || trace != Trace::None {
                self.partial[stream.index()] = Some(partial);
            }
            return Ok(false);
        }
        if counted > sink.room(stream) {
            // One piece alone is more than an event: it goes on as a long line of its own. What was before it is handed on.
            return Ok(self.whole(Some(parsed), text, parsed.content, line, sink));
        }
        if parsed.partial || trace != Trace::None {
            let content_start = line.start + (text.len() - parsed.content.len()) as u64;
            partial.push(content_start..content_start + parsed.content.len() as u64, newline);
            partial.lines.insert(line);
            partial.counted += counted;
            partial.mid_line = parsed.partial;
            self.partial[stream.index()] = Some(partial);
            return Ok(false);
        }
        if let Err(error) = gather(&partial, chunk, source, joined) {
            self.partial[stream.index()] = Some(partial);
            return Err(error);
        }
        if newline {
            joined.push(b'\n');
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
            bytes: None,
            malformed: false,
        };
        let blocked = sink.record(&record).is_err();
        if blocked {
            self.partial[stream.index()] = Some(partial);
        }
        Ok(blocked)
    }
}

#[cfg(test)]
mod tests;
