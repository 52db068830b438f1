//! Doors for the fuzz targets in `fuzz/`: what reads bytes that others wrote. Only with the feature `fuzzing`; no part of the API.

use std::fs::File;
use std::ops::Range;

use crate::checkpoint;
use crate::parse::{Stream, TimestampCache, cri_line};
use crate::ranges::Ranges;
use crate::source::Source;
use crate::tail::{Blocked, Record, Sink, Tail, Turn, Window};

/// A line of a container's log: what is found in it is a part of it.
///
/// # Panics
/// If the parser is wrong.
pub fn line(text: &[u8]) {
    let mut clock = TimestampCache::default();
    for _ in 0..2 {
        let Some(line) = cri_line(text, &mut clock) else { continue };
        assert!(text.starts_with(line.time) && text.ends_with(line.content));
        assert_eq!(TimestampCache::default().milliseconds(line.time), Some(line.timestamp_ms));
    }
}

/// A checkpoint whose checksum is right: what is taken from it is written as it was read.
///
/// # Panics
/// If the decoder is wrong.
pub fn checkpoint(json: &[u8]) {
    let sum = crc32fast::hash(json);
    let bytes = [json, format!("\ncrc32 {sum:08x}\n").as_bytes()].concat();
    let Ok(records) = checkpoint::decode(&bytes) else { return };
    assert_eq!(checkpoint::decode(&checkpoint::encode(&records)).ok(), Some(records));
}

/// How a file is read.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// It is a `.gz`.
    pub gzip: bool,
    /// Bytes of an event at most.
    pub most: usize,
    /// Lines that are too long are split, or truncated.
    pub splits: bool,
    /// Records after which reading is interrupted.
    pub take: usize,
    /// What is known after an interruption is only what is settled.
    pub crashes: bool,
}

/// A log file with any content: reading it ends, and every byte that can be read is handed on or dropped, once.
///
/// # Panics
/// If it is not so.
pub fn file(file: File, reading: Reading) {
    let mut source = if reading.gzip { Source::gzip(file) } else { Source::Plain(file) };
    // What identifies it; a `.gz` that is none cannot be read.
    drop(source.head());
    let mut sink = Counting { reading, left: reading.take, settled: Ranges::default(), bytes: 0 };
    let (mut tail, mut window) = (Tail::default(), Window::default());
    let mut ending = false;
    // Each turn hands something on, passes something over or is the last: far fewer than this.
    for _ in 0..10_000_000 {
        let turn = if ending {
            tail.finish(&mut source, &mut window, &mut sink)
        } else {
            tail.turn(&mut source, &mut window, &mut sink)
        };
        match turn {
            Ok(Turn::More) => ending = false,
            Ok(Turn::CaughtUp) if ending => {
                let size = source.size().ok().flatten().unwrap_or_default();
                assert_eq!(sink.settled.low_water(), size, "every byte");
                assert_eq!(sink.bytes, size, "once");
                return;
            }
            // What cannot be read is not there.
            Ok(Turn::CaughtUp) | Err(_) => ending = true,
            Ok(Turn::Blocked) => {
                sink.left = reading.take.max(1);
                if reading.crashes {
                    (tail, ending) = (Tail::resume(&sink.settled), false);
                }
            }
        }
    }
    panic!("reading does not end");
}

struct Counting {
    reading: Reading,
    left: usize,
    settled: Ranges,
    bytes: u64,
}

impl Counting {
    fn settle(&mut self, range: Range<u64>) {
        self.bytes += range.end - range.start;
        self.settled.insert(range);
    }
}

impl Sink for Counting {
    fn record(&mut self, record: &Record<'_>) -> Result<(), Blocked> {
        self.left = self.left.checked_sub(1).ok_or(Blocked)?;
        assert!(record.content.len() <= self.reading.most, "a record fits one event");
        self.settle(record.line.clone());
        record.pieces.into_iter().flat_map(Ranges::iter).for_each(|r| self.settle(r));
        Ok(())
    }
    fn room(&self, _: Stream) -> usize {
        self.reading.most
    }
    fn counted(&self, _: Stream, content: &[u8]) -> usize {
        content.len()
    }
    fn fitting(&self, _: Stream, content: &[u8]) -> usize {
        content.len().min(self.reading.most)
    }
    fn splits(&self) -> bool {
        self.reading.splits
    }
    fn truncated(&mut self, line: Range<u64>, _timestamp_ms: Option<i64>) {
        self.settle(line);
    }
}
