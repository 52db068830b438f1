//! Pure: events of one log stream become the body of one `PutLogEvents` request that keeps every limit of the service.
//!
//! The body is written as events arrive, straight from the read buffer. Nothing is copied again unless the events turn
//! out not to be in order of time, which the service demands.

mod buffers;
mod gzip;
mod seal;

pub(crate) use buffers::Buffers;
pub(crate) use seal::{Compression, Sealed};

use std::ops::Range;

use crate::encode::{Depth, counted, escape_into, escaped, fitting, room_for};
use crate::limits;
use crate::ranges::Ranges;
use crate::{ContainerNo, FileNo, TargetNo};

const EVENT_START: &[u8] = b"{\"timestamp\":";
/// Digits of an `i64` and its sign.
const NUMBER: usize = 20;

/// Most bytes of a mark.
const MARK: usize = 128;

/// Bytes that an event may need, without its mark.
fn room(event: &Event<'_>) -> usize {
    let Wrapping { before, after, close, depth, .. } = event.wrapping;
    EVENT_START.len() + NUMBER + before.len() + after.len() + close.len() + room_for(event.content, *depth)
}

/// What stands around the content in every event of one file and output. Computed once per file.
#[derive(Debug)]
pub(crate) struct Wrapping {
    depth: Depth,
    /// From behind the timestamp up to the content.
    before: Vec<u8>,
    /// From behind the content up to where more members may be added.
    after: Vec<u8>,
    /// Ends the event, with the comma that separates it from the next.
    close: &'static [u8],
    /// Bytes of the message that are not content.
    counted: usize,
}

impl Wrapping {
    /// The line alone.
    pub(crate) fn raw() -> Self {
        Self { depth: Depth::Once, before: b",\"message\":\"".to_vec(), after: Vec::new(), close: b"\"},", counted: 0 }
    }

    /// JSON whose first member, `member`, is the content. `after` is the JSON text between its closing quote and the object's
    /// closing brace.
    pub(crate) fn json(member: &str, after: &str) -> Self {
        let (log, log_counted) = escaped(format!("{{\"{member}\":\"").as_bytes(), Depth::Once);
        let (after, after_counted) = escaped(format!("\"{after}").as_bytes(), Depth::Once);
        let before = [b",\"message\":\"".as_slice(), &log].concat();
        Self { depth: Depth::Twice, before, after, close: b"}\"},", counted: log_counted + after_counted + 1 }
    }

    /// The text that marks an event as said, in this format: a JSON member, or words behind the line.
    fn mark(&self, mark: &Mark<'_>) -> (Vec<u8>, usize) {
        let text = match (self.depth, mark) {
            (Depth::Once, Mark::Continues { .. }) => " [continues in the next event]".to_owned(),
            (Depth::Once, Mark::Ends { .. } | Mark::Retimed { .. }) => String::new(),
            (Depth::Once, Mark::Truncated) => " [truncated]".to_owned(),
            (Depth::Twice, Mark::Continues { part }) => format!(",\"part\":{part},\"continues\":true"),
            (Depth::Twice, Mark::Ends { part }) => format!(",\"part\":{part},\"continues\":false"),
            (Depth::Twice, Mark::Truncated) => ",\"truncated\":true".to_owned(),
            (Depth::Twice, Mark::Retimed { time }) => {
                format!(",\"time\":{}", serde_json::Value::from(String::from_utf8_lossy(time)))
            }
        };
        escaped(text.as_bytes(), Depth::Once)
    }

    /// Most bytes of a message that content may count here, with room for a mark.
    pub(crate) fn content_room(&self) -> usize {
        limits::MESSAGE_BYTES - self.counted - MARK
    }

    /// Bytes that `content` counts for in an event of this wrapping.
    pub(crate) fn counted_content(&self, content: &[u8]) -> usize {
        counted(content, self.depth)
    }

    /// The longest start of `content` that fits an event of this wrapping.
    pub(crate) fn fitting(&self, content: &[u8]) -> usize {
        // Nothing of the content counts for more than 6 bytes, so short ones need no look.
        if content.len() * 6 <= self.content_room() {
            return content.len();
        }
        fitting(content, self.depth, self.content_room())
    }
}

/// What an event says beside its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark<'a> {
    /// The line was too long for one event; this is part `part` (from 1), and there is more.
    Continues { part: u32 },
    /// The last part of such a line.
    Ends { part: u32 },
    /// The rest of the line was dropped, as the operator set.
    Truncated,
    /// The line's own time is further in the future than the service accepts: this is that time.
    Retimed { time: &'a [u8] },
}

/// An event on its way into a batch.
#[derive(Debug)]
pub(crate) struct Event<'a> {
    pub(crate) timestamp_ms: i64,
    pub(crate) wrapping: &'a Wrapping,
    /// Valid UTF-8 that [`Wrapping::fitting`] accepts whole.
    pub(crate) content: &'a [u8],
    pub(crate) mark: Option<Mark<'a>>,
    pub(crate) source: Source<'a>,
}

/// Where an event comes from.
#[derive(Debug, Clone)]
pub(crate) struct Source<'a> {
    pub(crate) file: FileNo,
    pub(crate) container: ContainerNo,
    /// The event's own line.
    pub(crate) line: Range<u64>,
    /// Lines before it that hold earlier pieces of it.
    pub(crate) pieces: Option<&'a Ranges>,
    /// Pieces at the end of the file that was written before this one.
    pub(crate) carried: Option<(FileNo, &'a Ranges)>,
    /// Bytes that the event stands for, where the ranges are no bytes.
    pub(crate) bytes: Option<u64>,
}

impl Source<'_> {
    /// Bytes of the file that the event stands for.
    pub(crate) fn file_bytes(&self) -> u64 {
        if let Some(bytes) = self.bytes {
            return bytes;
        }
        let carried = self.carried.map_or(0, |(_, lines)| lines.len());
        self.line.end - self.line.start + self.pieces.map_or(0, Ranges::len) + carried
    }
}

/// What a batch holds of one file: the bytes that are settled once the batch is.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub(crate) file: FileNo,
    pub(crate) container: ContainerNo,
    pub(crate) ranges: Ranges,
    pub(crate) events: u64,
    pub(crate) file_bytes: u64,
}

/// One event of a batch: where its text is and whom it belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EventRef {
    pub(crate) timestamp_ms: i64,
    start: u32,
    pub(crate) len: u32,
    pub(crate) file_bytes: u32,
    pub(crate) claim: u32,
}

/// The batch cannot take the event: seal it and start the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// A batch that takes events.
#[derive(Debug)]
pub(crate) struct OpenBatch {
    pub(crate) target: TargetNo,
    /// `text[..len]` is the body so far; what is behind is room that was zeroed once.
    text: Vec<u8>,
    len: usize,
    head: usize,
    events: Vec<EventRef>,
    claims: Vec<Claim>,
    counted: usize,
    first_ms: i64,
    last_ms: i64,
    newest_ms: i64,
    sorted: bool,
}

impl OpenBatch {
    /// A batch for one group and stream, whose names are legal. `text` is memory to use again.
    pub(crate) fn new(target: TargetNo, group: &str, stream: &str, mut text: Vec<u8>) -> Self {
        let quoted = |name: &str| serde_json::Value::from(name).to_string();
        let head = format!("{{\"logGroupName\":{},\"logStreamName\":{},\"logEvents\":[", quoted(group), quoted(stream));
        if text.len() < head.len() {
            text.resize(head.len().next_multiple_of(4096), 0);
        }
        text[..head.len()].copy_from_slice(head.as_bytes());
        Self {
            target,
            text,
            len: head.len(),
            head: head.len(),
            events: Vec::new(),
            claims: Vec::new(),
            counted: 0,
            first_ms: i64::MAX,
            last_ms: i64::MIN,
            newest_ms: i64::MIN,
            sorted: true,
        }
    }

    /// Bytes of memory it holds.
    pub(crate) fn memory(&self) -> usize {
        self.text.len() + self.events.capacity() * size_of::<EventRef>()
    }

    /// Whether it holds no event.
    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Whether so little room is left that the next event will hardly fit.
    pub(crate) fn is_nearly_full(&self) -> bool {
        self.counted + 1024 > limits::BATCH_BYTES || self.events.len() == limits::BATCH_EVENTS
    }

    /// What it holds, per file.
    pub(crate) fn claims(&self) -> &[Claim] {
        &self.claims
    }

    /// Whether an event can be added without taking more memory.
    pub(crate) fn has_room(&self, event: &Event<'_>) -> bool {
        self.len + room(event) + MARK <= self.text.len()
    }

    /// Adds an event, or says that the batch is full and leaves it as it was.
    pub(crate) fn push(&mut self, event: &Event<'_>) -> Result<(), Full> {
        let wrapping = event.wrapping;
        let (mark, mark_counted) = event.mark.map_or_else(Default::default, |m| wrapping.mark(&m));
        let (first, last) = (self.first_ms.min(event.timestamp_ms), self.last_ms.max(event.timestamp_ms));
        // An empty batch takes whatever comes: what cannot be sent at all is for the quarantine, and must stop nothing.
        let limited = !self.events.is_empty();
        if limited && (self.events.len() >= limits::BATCH_EVENTS || last.saturating_sub(first) > limits::BATCH_SPAN_MS)
        {
            return Err(Full);
        }
        let around = wrapping.counted + mark_counted + limits::EVENT_OVERHEAD;
        // Exact only where it may matter: counting costs a pass over the content.
        let worst = wrapping.depth.worst();
        if limited
            && self.counted + around + event.content.len() * worst > limits::BATCH_BYTES
            && self.counted + around + counted(event.content, wrapping.depth) > limits::BATCH_BYTES
        {
            return Err(Full);
        }
        self.make_room(room(event) + mark.len());

        let start = self.len;
        self.write(EVENT_START);
        self.write_number(event.timestamp_ms);
        self.write(&wrapping.before);
        let (written, counted) = escape_into(&mut self.text[self.len..], event.content, wrapping.depth);
        self.len += written;
        self.write(&wrapping.after);
        self.write(&mark);
        self.write(wrapping.close);

        (self.first_ms, self.last_ms) = (first, last);
        self.sorted &= event.timestamp_ms >= self.newest_ms;
        self.newest_ms = event.timestamp_ms;
        self.counted += around + counted;
        let claim = self.claim(&event.source);
        let small = |n: usize| u32::try_from(n).expect("a body is far below 4 GiB");
        self.events.push(EventRef {
            timestamp_ms: event.timestamp_ms,
            start: small(start),
            len: small(self.len - start),
            file_bytes: u32::try_from(event.source.file_bytes()).unwrap_or(u32::MAX),
            claim,
        });
        Ok(())
    }

    /// The place of a file's claim.
    fn claim_of(&mut self, file: FileNo, container: ContainerNo) -> usize {
        // Files take turns, so it is nearly always the last one.
        self.claims.iter().rposition(|c| c.file == file && c.container == container).unwrap_or_else(|| {
            self.claims.push(Claim { file, container, ranges: Ranges::default(), events: 0, file_bytes: 0 });
            self.claims.len() - 1
        })
    }

    /// Notes the event's bytes in the claim of its file, and says which claim that is.
    fn claim(&mut self, source: &Source<'_>) -> u32 {
        if let Some((file, lines)) = source.carried {
            // The bytes are settled there and counted here, with the event.
            let index = self.claim_of(file, source.container);
            self.claims[index].ranges.insert_all(lines);
        }
        let index = self.claim_of(source.file, source.container);
        let claim = &mut self.claims[index];
        if let Some(pieces) = source.pieces {
            claim.ranges.insert_all(pieces);
        }
        claim.ranges.insert(source.line.clone());
        claim.events += 1;
        claim.file_bytes += source.file_bytes();
        u32::try_from(index).expect("a batch has at most 10,000 events")
    }

    fn make_room(&mut self, needed: usize) {
        let end = self.len + needed;
        if end > self.text.len() {
            // Doubling, and in one step to the usual size of a full body once the batch is no longer small.
            let doubled = self.text.len() * 2;
            let size =
                if doubled > limits::BATCH_BYTES / 4 { doubled.max(limits::BATCH_BYTES * 3 / 2) } else { doubled };
            self.text.resize(size.max(end), 0);
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        self.text[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    fn write_number(&mut self, number: i64) {
        let mut digits = [0; NUMBER];
        let mut at = NUMBER;
        // The API takes no negative timestamp.
        let mut rest = number.max(0).unsigned_abs();
        loop {
            at -= 1;
            digits[at] = b'0' + u8::try_from(rest % 10).expect("a digit");
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.write(&digits[at..]);
    }
}

#[cfg(test)]
mod tests;
