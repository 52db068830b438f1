//! Cuts the objects out of a list while it arrives, so that only one of them is held at a time. Fifteen thousand pods make a
//! list of 100 MB.

use crate::limits::MAX_ENVELOPE_BYTES;

/// Finds the elements of the array `items` at the top of a JSON object. What is around them is kept as the envelope, with
/// the array empty, and has to be read as JSON by the caller: only then was everything in order.
#[derive(Debug)]
pub(super) struct Cutter {
    most: usize,
    depth: u32,
    in_string: bool,
    escaped: bool,
    /// The last string at the top level, without quotes, if it is short: a key, perhaps.
    last: Vec<u8>,
    in_items: bool,
    object: Vec<u8>,
    too_large: bool,
    envelope: Vec<u8>,
}

const KEY: &[u8] = b"items";

impl Cutter {
    /// Objects larger than `most` bytes are not kept.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            depth: 0,
            in_string: false,
            escaped: false,
            last: Vec::new(),
            in_items: false,
            object: Vec::new(),
            too_large: false,
            envelope: Vec::new(),
        }
    }

    /// Takes a piece of the list; each object that ends in it goes to `each`, `None` for one that is too large. Gives
    /// `false` when there is too much around the objects.
    pub(super) fn push(&mut self, piece: &[u8], each: &mut impl FnMut(Option<Vec<u8>>)) -> bool {
        let mut rest = piece;
        while let Some((&byte, after)) = rest.split_first() {
            // Most of an object is strings: they go in whole.
            if self.in_string && !self.escaped && self.in_object() {
                let plain = memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
                if let (true, Some((text, more))) = (plain > 0, rest.split_at_checked(plain)) {
                    self.take(text);
                    rest = more;
                    continue;
                }
            }
            self.step(byte, each);
            rest = after;
            if self.envelope.len() > MAX_ENVELOPE_BYTES {
                return false;
            }
        }
        true
    }

    /// What is around the objects.
    pub(super) fn envelope(&self) -> &[u8] {
        &self.envelope
    }

    /// Inside an element of the array; its own braces included.
    fn in_object(&self) -> bool {
        self.in_items && self.depth > 2
    }

    fn step(&mut self, byte: u8, each: &mut impl FnMut(Option<Vec<u8>>)) {
        let inside = self.in_object();
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            if self.depth == 1 && self.in_string && self.last.len() <= KEY.len() {
                self.last.push(byte);
            }
            return self.put(byte, inside);
        }
        match byte {
            b'"' => {
                self.in_string = true;
                if self.depth == 1 {
                    self.last.clear();
                }
            }
            b'{' | b'[' => {
                if self.depth == 1 && byte == b'[' && self.last == KEY {
                    self.in_items = true;
                    self.envelope.push(byte);
                    self.depth = 2;
                    return;
                }
                self.depth = self.depth.saturating_add(1);
                return self.put(byte, self.in_object());
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                self.put(byte, inside);
                if self.in_items && self.depth == 2 && inside {
                    let object = std::mem::take(&mut self.object);
                    each((!std::mem::take(&mut self.too_large)).then_some(object));
                }
                self.in_items &= self.depth >= 2;
                return;
            }
            b',' if self.depth == 1 => self.last.clear(),
            // Between the elements.
            b',' | b' ' | b'\n' | b'\r' | b'\t' if self.in_items && self.depth == 2 => return,
            _ => {}
        }
        self.put(byte, inside);
    }

    fn put(&mut self, byte: u8, inside: bool) {
        if inside { self.take(&[byte]) } else { self.envelope.push(byte) }
    }

    fn take(&mut self, text: &[u8]) {
        if self.too_large {
            return;
        }
        if self.object.len() + text.len() > self.most {
            self.too_large = true;
            self.object = Vec::new();
        } else {
            self.object.extend_from_slice(text);
        }
    }
}

#[cfg(test)]
mod tests;
