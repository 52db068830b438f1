//! An open batch becomes a request: in order of time, closed, and compressed if that is set.

use std::io::Read;

use bytes::Bytes;
use flate2::read::GzDecoder;

use super::buffers::Buffers;
use super::gzip::Gzip;
use super::{Claim, EventRef, OpenBatch};
use crate::TargetNo;

const END: &[u8] = b"]}";

/// What is done to bodies before they are sent.
#[derive(Debug)]
pub(crate) enum Compression {
    /// Sent as they are.
    None,
    /// `Content-Encoding: gzip`.
    Gzip(Box<Gzip>),
}

impl Compression {
    /// gzip at this level, 1 to 9.
    pub(crate) fn gzip(level: u32) -> Self {
        Self::Gzip(Box::new(Gzip::new(level)))
    }
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
    /// Closes the batch. Memory that is not needed any more goes to `buffers`.
    pub(crate) fn seal(mut self, compression: &mut Compression, buffers: &Buffers) -> Sealed {
        if !self.sorted {
            // Stable: lines of one millisecond keep the order in which they were written.
            self.events.sort_by_key(|e| e.timestamp_ms);
        }
        let head = Bytes::copy_from_slice(&self.text[..self.head]);
        let (body, held, gzip) = match compression {
            Compression::Gzip(gzip) => {
                let body = self.compressed(gzip);
                let held = body.len();
                (body, held, true)
            }
            Compression::None => {
                let mut text = if self.sorted { std::mem::take(&mut self.text) } else { self.in_order(buffers.take()) };
                // Every event ends with a comma; the last one's place is taken by the end.
                text.resize(text.len().max(self.len + 1), 0);
                text[self.len - 1..=self.len].copy_from_slice(END);
                let held = text.capacity();
                (buffers.lend(text, self.len + 1), held, false)
            }
        };
        if !self.text.is_empty() {
            buffers.give(std::mem::take(&mut self.text));
        }
        let mut start = u32::try_from(self.head).expect("names are short");
        for event in &mut self.events {
            event.start = start;
            start += event.len;
        }
        self.events.shrink_to_fit();
        Sealed { target: self.target, body, gzip, events: self.events, claims: self.claims, head, held }
    }

    /// The text with its events in order of time, in another buffer.
    fn in_order(&self, mut text: Vec<u8>) -> Vec<u8> {
        text.resize(text.len().max(self.len + 1), 0);
        text[..self.head].copy_from_slice(&self.text[..self.head]);
        let mut at = self.head;
        for event in &self.events {
            let (start, len) = (event.start as usize, event.len as usize);
            text[at..at + len].copy_from_slice(&self.text[start..start + len]);
            at += len;
        }
        text
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

    fn compressed(&self, gzip: &mut Gzip) -> Bytes {
        let packed = if self.sorted {
            gzip.compress([&self.text[..self.len - 1], END].into_iter())
        } else {
            gzip.compress(self.pieces())
        };
        Bytes::copy_from_slice(packed)
    }
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
