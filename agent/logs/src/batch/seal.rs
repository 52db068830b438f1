//! An open batch becomes a request: in order of time, closed, and compressed if that is set.

use std::io::{Read, Write};

use bytes::Bytes;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::{Claim, EventRef, OpenBatch};
use crate::TargetNo;

const END: &[u8] = b"]}";

/// What is done to the body before it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    /// Sent as it is.
    None,
    /// `Content-Encoding: gzip` at this level (1 to 9).
    Gzip(u32),
}

/// A batch that is ready to be sent, and everything needed to account for it.
#[derive(Debug, Clone)]
pub(crate) struct Sealed {
    pub(crate) target: TargetNo,
    pub(crate) body: Bytes,
    pub(crate) gzip: bool,
    /// In the order of the request: what the indexes of a reply mean.
    pub(crate) events: Vec<EventRef>,
    pub(crate) claims: Vec<Claim>,
    /// The part of the body before the first event.
    head: Bytes,
    /// Bytes that the body keeps allocated.
    held: usize,
}

impl OpenBatch {
    /// Closes the batch. Returns it with the memory that may be used again, if any is left over.
    pub(crate) fn seal(mut self, compression: Compression) -> (Sealed, Option<Vec<u8>>) {
        if !self.sorted {
            // Stable: lines of one millisecond keep the order in which they were written.
            self.events.sort_by_key(|e| e.timestamp_ms);
        }
        let head = Bytes::copy_from_slice(&self.text[..self.head]);
        let (body, held, spare, gzip) = match compression {
            Compression::Gzip(level) => {
                let body = self.compressed(level);
                let held = body.len();
                (body, held, Some(std::mem::take(&mut self.text)), true)
            }
            Compression::None if self.sorted => {
                let mut text = std::mem::take(&mut self.text);
                // Every event ends with a comma; the last one's place is taken by the end.
                text[self.len - 1] = END[0];
                text.truncate(self.len);
                text.push(END[1]);
                let held = text.capacity();
                (Bytes::from(text), held, None, false)
            }
            Compression::None => {
                let mut text = Vec::with_capacity(self.len + END.len());
                for piece in self.pieces() {
                    text.extend_from_slice(piece);
                }
                let held = text.capacity();
                (Bytes::from(text), held, Some(std::mem::take(&mut self.text)), false)
            }
        };
        let mut start = u32::try_from(self.head).expect("names are short");
        for event in &mut self.events {
            event.start = start;
            start += event.len;
        }
        self.events.shrink_to_fit();
        let sealed = Sealed { target: self.target, body, gzip, events: self.events, claims: self.claims, head, held };
        (sealed, spare)
    }

    /// The body in order, in pieces.
    fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let last = self.events.len().saturating_sub(1);
        let text = |e: &EventRef, comma: usize| {
            let start = e.start as usize;
            &self.text[start..start + e.len as usize - comma]
        };
        let events = self.events.iter().enumerate().map(move |(i, e)| text(e, usize::from(i == last)));
        std::iter::once(&self.text[..self.head]).chain(events).chain(std::iter::once(END))
    }

    fn compressed(&self, level: u32) -> Bytes {
        let mut encoder = GzEncoder::new(Vec::with_capacity(self.len / 4), flate2::Compression::new(level));
        if self.sorted {
            write_all(&mut encoder, &self.text[..self.len - 1]);
            write_all(&mut encoder, END);
        } else {
            for piece in self.pieces() {
                write_all(&mut encoder, piece);
            }
        }
        let mut body = encoder.finish().expect("writing to memory does not fail");
        body.shrink_to_fit();
        Bytes::from(body)
    }
}

fn write_all(encoder: &mut GzEncoder<Vec<u8>>, bytes: &[u8]) {
    encoder.write_all(bytes).expect("writing to memory does not fail");
}

impl Sealed {
    /// Bytes of memory it holds.
    pub(crate) fn memory(&self) -> usize {
        self.held + self.events.capacity() * size_of::<EventRef>()
    }

    /// The body without compression.
    fn text(&self) -> Bytes {
        if !self.gzip {
            return self.body.clone();
        }
        let mut text = Vec::new();
        GzDecoder::new(&self.body[..]).read_to_end(&mut text).expect("we compressed it ourselves");
        Bytes::from(text)
    }

    /// A request with the events of one half, to find the one that the service refuses. It is sent without compression:
    /// it is rare and soon small.
    pub(crate) fn body_of(&self, events: std::ops::Range<usize>) -> Bytes {
        let text = self.text();
        let mut body = self.head.to_vec();
        for event in self.events.get(events).unwrap_or_default() {
            let start = event.start as usize;
            body.extend_from_slice(&text[start..start + event.len as usize - 1]);
            body.push(b',');
        }
        body.pop();
        body.extend_from_slice(END);
        Bytes::from(body)
    }

    /// The text of one event as JSON, for the quarantine.
    pub(crate) fn event_text(&self, index: usize) -> Bytes {
        let text = self.text();
        let Some(event) = self.events.get(index) else { return Bytes::new() };
        let start = event.start as usize;
        text.slice(start..start + event.len as usize - 1)
    }
}
