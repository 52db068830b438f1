//! Cuts a stream into lines, none of which can be longer than a bound.

use bytes::{Buf, Bytes, BytesMut};

/// A buffer that grew for a large line is given back when it is empty.
const KEEP: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Lines {
    most: usize,
    buffer: BytesMut,
    /// So much of the buffer has no line end in it.
    searched: usize,
}

/// A line is longer than the bound.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

impl Lines {
    pub(super) fn new(most: usize) -> Self {
        Self { most, buffer: BytesMut::new(), searched: 0 }
    }

    pub(super) fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// The next whole line, without its end. Empty ones are left out.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, TooLong> {
        loop {
            let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
            let Some(found) = memchr::memchr(b'\n', unsearched) else {
                self.searched = self.buffer.len();
                return if self.searched > self.most { Err(TooLong) } else { Ok(None) };
            };
            let line = self.buffer.split_to(self.searched + found).freeze();
            self.buffer.advance(1);
            self.searched = 0;
            if self.buffer.is_empty() && self.buffer.capacity() > KEEP {
                self.buffer = BytesMut::new();
            }
            if line.len() > self.most {
                return Err(TooLong);
            }
            if !line.trim_ascii().is_empty() {
                return Ok(Some(line));
            }
        }
    }

    /// Whether the stream ended at the end of a line.
    pub(super) fn is_whole(&self) -> bool {
        self.buffer.trim_ascii().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn lines_come_out_as_they_went_in_however_they_are_cut(
            lines in prop::collection::vec("[a-z]{1,20}", 0..10), rest in "[a-z]{0,5}", size in 1usize..30,
        ) {
            let text: String = lines.iter().map(|line| format!("{line}\n\r\n")).chain([rest.clone()]).collect();
            let (mut cutter, mut seen) = (Lines::new(20), Vec::new());
            for piece in text.as_bytes().chunks(size) {
                cutter.push(piece);
                while let Some(line) = cutter.next().unwrap() {
                    seen.push(String::from_utf8(line.to_vec()).unwrap());
                }
            }
            prop_assert_eq!(seen, lines);
            prop_assert_eq!(cutter.is_whole(), rest.is_empty());
        }

        #[test]
        fn a_line_beyond_the_bound_is_refused_whether_it_ends_or_not(size in 1usize..10, ends in any::<bool>()) {
            let mut cutter = Lines::new(20);
            let mut refused = false;
            for piece in format!("short\n{}{}", "x".repeat(21), if ends { "\n" } else { "" }).as_bytes().chunks(size) {
                cutter.push(piece);
                while match cutter.next() { Ok(line) => line.is_some(), Err(TooLong) => { refused = true; false } } {}
                if refused { break; }
            }
            prop_assert!(refused);
        }
    }
}
