//! Lines in pieces: what is kept of them between reads, and how they are put together.

use std::ops::Range;

use tokio::time::Instant;

use super::{Blocked, Record, Sink, Tail, Window};
use crate::FileNo;
use crate::batch::Mark;
use crate::multiline::Trace;
use crate::parse::Stream;
use crate::ranges::Ranges;
use crate::source::Source;

/// Most bytes of a line's first pieces that are kept in memory to be joined with what follows in the next file.
const CARRIED: usize = 128 * 1024;

/// The first pieces of a line that rotation cut: the runtime finishes the line in the next file.
#[derive(Debug, Clone)]
pub(crate) struct Carried {
    pub(super) timestamp_ms: i64,
    pub(super) content: Vec<u8>,
    /// Bytes that the content counts for in an event.
    pub(super) counted: usize,
    /// The file they stand in, and the lines.
    pub(super) file: FileNo,
    pub(super) lines: Ranges,
    pub(super) parts: u32,
    mid_line: bool,
    trace: Trace,
    touched: Option<Instant>,
}

/// Where a content is in the file.
#[derive(Debug, Clone)]
pub(super) struct Content {
    pub(super) range: Range<u64>,
    /// It begins a line, and is not the first.
    pub(super) newline: bool,
}

/// What waits to become one event: the first pieces of a line whose last piece has not come yet, or lines that more may
/// belong to.
#[derive(Debug, Default)]
pub(super) struct Partial {
    pub(super) timestamp_ms: i64,
    pub(super) carried: Option<Carried>,
    /// Where the contents are.
    pub(super) contents: Vec<Content>,
    /// The lines they stand in.
    pub(super) lines: Ranges,
    /// Bytes that the contents count for in an event.
    pub(super) counted: usize,
    /// How many parts of this line were handed on already.
    pub(super) parts: u32,
    /// The line was truncated: the rest of it is dropped.
    pub(super) dropping: bool,
    /// The last piece did not end its line.
    pub(super) mid_line: bool,
    /// What may belong to it.
    pub(super) trace: Trace,
    /// When the last piece came.
    pub(super) touched: Option<Instant>,
}

impl Partial {
    pub(super) fn continuing(carried: Carried) -> Self {
        Self {
            timestamp_ms: carried.timestamp_ms,
            counted: carried.counted,
            parts: carried.parts,
            mid_line: carried.mid_line,
            trace: carried.trace,
            touched: carried.touched,
            carried: Some(carried),
            ..Self::default()
        }
    }

    /// Adds a content. Lines of a plain file lie side by side and become one range, their newlines included.
    pub(super) fn push(&mut self, range: Range<u64>, newline: bool) {
        if let Some(last) = self.contents.last_mut()
            && newline
            && last.range.end + 1 == range.start
        {
            last.range.end = range.end;
            return;
        }
        self.contents.push(Content { range, newline });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.contents.is_empty() && self.carried.is_none()
    }

    pub(super) fn carried(&self) -> Option<(FileNo, &Ranges)> {
        self.carried.as_ref().map(|c| (c.file, &c.lines))
    }
}

/// Bytes of a file and where they start.
pub(super) struct Chunk<'a> {
    pub(super) start: u64,
    pub(super) bytes: &'a [u8],
}

impl Chunk<'_> {
    /// Nothing at hand: everything is fetched from the file.
    pub(super) const NONE: Self = Self { start: 0, bytes: &[] };

    fn get(&self, range: &Range<u64>) -> Option<&[u8]> {
        let start = usize::try_from(range.start.checked_sub(self.start)?).ok()?;
        let end = usize::try_from(range.end.checked_sub(self.start)?).ok()?;
        self.bytes.get(start..end)
    }
}

/// Puts the contents of a line's pieces together, from the chunk at hand or else from the file.
pub(super) fn gather(
    partial: &Partial,
    chunk: &Chunk<'_>,
    source: &mut Source,
    joined: &mut Vec<u8>,
) -> std::io::Result<()> {
    joined.clear();
    if let Some(carried) = &partial.carried {
        joined.extend_from_slice(&carried.content);
    }
    for Content { range, newline } in &partial.contents {
        if *newline {
            joined.push(b'\n');
        }
        if let Some(bytes) = chunk.get(range) {
            joined.extend_from_slice(bytes);
            continue;
        }
        let at = joined.len();
        let len = usize::try_from(range.end - range.start).expect("a piece fits an event");
        joined.resize(at + len, 0);
        let read = source.read_at(&mut joined[at..], range.start)?;
        joined.truncate(at + read);
    }
    Ok(())
}

pub(super) fn hand_on(
    partial: &Partial,
    content: &[u8],
    stream: Stream,
    mark: Option<Mark<'_>>,
    sink: &mut impl Sink,
) -> Result<(), Blocked> {
    let end = partial.lines.iter().last().map_or(0, |r| r.end);
    sink.record(&Record {
        timestamp_ms: Some(partial.timestamp_ms),
        time: b"",
        stream,
        content,
        mark,
        line: end..end,
        pieces: Some(&partial.lines),
        carried: partial.carried(),
        bytes: None,
        malformed: false,
    })
}

impl Tail {
    /// Takes the pieces whose line goes on in the next file. What is too long to be carried stays.
    pub(crate) fn carry(
        &mut self,
        file: FileNo,
        source: &mut Source,
        window: &mut Window,
    ) -> std::io::Result<[Option<Carried>; 2]> {
        let mut carried = [None, None];
        for (slot, out) in self.partial.iter_mut().zip(&mut carried) {
            let size: u64 = slot.iter().flat_map(|p| &p.contents).map(|c| c.range.end - c.range.start).sum();
            let movable = |p: &Partial| p.carried.is_none() && !p.dropping && size <= CARRIED as u64;
            // First the content, then the pieces: an error of the disk must leave them where they are.
            let Some(partial) = slot.as_ref().filter(|p| movable(p)) else { continue };
            if gather(partial, &Chunk::NONE, source, &mut window.joined).is_err() {
                continue;
            }
            let content = window.joined.clone();
            let Some(partial) = slot.take() else { continue };
            *out = Some(Carried {
                timestamp_ms: partial.timestamp_ms,
                content,
                counted: partial.counted,
                file,
                lines: partial.lines,
                parts: partial.parts,
                mid_line: partial.mid_line,
                trace: partial.trace,
                touched: partial.touched,
            });
        }
        Ok(carried)
    }

    /// The lines that the file before this one began, and that wait here for their end.
    pub(crate) fn carried(&self) -> impl Iterator<Item = (FileNo, &Ranges)> {
        self.partial.iter().flatten().filter_map(Partial::carried)
    }

    /// Whether nothing was read yet, so that lines begun in the file before can go on here.
    pub(crate) fn is_untouched(&self) -> bool {
        !self.touched
    }

    /// Goes on with lines that the file before this one began.
    pub(crate) fn continue_with(&mut self, carried: [Option<Carried>; 2]) {
        if carried.iter().any(Option::is_some) {
            // Their end may be settled here already: it is looked for from the start, so that they are not joined with another.
            self.skip.insert(0..self.position);
            self.position = 0;
        }
        for (slot, carried) in self.partial.iter_mut().zip(carried) {
            if let Some(carried) = carried {
                *slot = Some(Partial::continuing(carried));
            }
        }
    }
}
