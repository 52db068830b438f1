//! Pure: the text of an event inside a `PutLogEvents` body, escaped while it is copied out of the read buffer.
//!
//! The message of an event is a JSON string of the request body. In the `json` format the message is itself JSON, so what
//! a container wrote is escaped twice. Both levels are done in one pass, eight bytes at a time where nothing is special.

/// How deep the content is nested in JSON strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// The content is the message (`raw`).
    Once,
    /// The content is a string inside the message's JSON (`json`).
    Twice,
}

/// How one byte is written. Eight bytes are always copied and `len` of them kept: no loop for short lengths.
#[derive(Clone, Copy)]
struct Escape {
    text: [u8; 8],
    len: u8,
    /// Bytes that the service counts: the length after the request body was decoded.
    counted: u8,
}

const fn escape(byte: u8, twice: bool) -> Escape {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    // What JSON writes behind the backslash; `u` is followed by 4 hex digits.
    let letter = match byte {
        b'"' => b'"',
        b'\\' => b'\\',
        0x08 => b'b',
        0x09 => b't',
        0x0a => b'n',
        0x0c => b'f',
        0x0d => b'r',
        0x00..=0x1f => b'u',
        _ => return Escape { text: [byte, 0, 0, 0, 0, 0, 0, 0], len: 1, counted: 1 },
    };
    let mut text = [0; 8];
    let mut len = 0;
    text[len] = b'\\';
    len += 1;
    if twice {
        text[len] = b'\\';
        len += 1;
        // The second level escapes the backslash of the first, and its quote or backslash once more.
        if letter == b'"' || letter == b'\\' {
            text[len] = b'\\';
            len += 1;
        }
    }
    text[len] = letter;
    len += 1;
    let mut once_len = 2;
    if letter == b'u' {
        text[len] = b'0';
        text[len + 1] = b'0';
        text[len + 2] = HEX[(byte >> 4) as usize];
        text[len + 3] = HEX[(byte & 15) as usize];
        len += 4;
        once_len = 6;
    }
    let counted = if twice { once_len } else { 1 };
    #[expect(clippy::cast_possible_truncation, reason = "at most 7")]
    let len = len as u8;
    Escape { text, len, counted }
}

const fn table(twice: bool) -> [Escape; 256] {
    let mut table = [Escape { text: [0; 8], len: 0, counted: 0 }; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "below 256")]
        let b = byte as u8;
        table[byte] = escape(b, twice);
        byte += 1;
    }
    table
}

static ONCE: [Escape; 256] = table(false);
static TWICE: [Escape; 256] = table(true);

impl Depth {
    fn table(self) -> &'static [Escape; 256] {
        match self {
            Self::Once => &ONCE,
            Self::Twice => &TWICE,
        }
    }

    /// Most bytes that one byte of content can become on the wire.
    pub(crate) const fn worst(self) -> usize {
        match self {
            Self::Once => 6,
            Self::Twice => 7,
        }
    }
}

/// A bit in every byte of `word` that JSON does not take as it is. Only the lowest set bit is meant to be used: a borrow
/// may set false ones above it.
const fn special(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    let quote = word ^ (ONES * b'"' as u64);
    let quote = quote.wrapping_sub(ONES) & !quote;
    let slash = word ^ (ONES * b'\\' as u64);
    let slash = slash.wrapping_sub(ONES) & !slash;
    (control | quote | slash) & HIGH
}

/// Writes `content`, which is valid UTF-8, escaped to the start of `out`. Returns the bytes written and the bytes that
/// the service counts.
///
/// # Panics
/// If `out` is shorter than [`room_for`] says.
pub(crate) fn escape_into(out: &mut [u8], content: &[u8], depth: Depth) -> (usize, usize) {
    let table = depth.table();
    let mut at = 0;
    let mut extra = 0;
    let mut rest = content;
    while let Some((chunk, behind)) = rest.split_first_chunk::<8>() {
        out[at..at + 8].copy_from_slice(chunk);
        let mask = special(u64::from_le_bytes(*chunk));
        if mask == 0 {
            at += 8;
            rest = behind;
            continue;
        }
        let plain = (mask.trailing_zeros() / 8) as usize;
        at += plain;
        let escape = &table[usize::from(chunk[plain])];
        out[at..at + 8].copy_from_slice(&escape.text);
        at += usize::from(escape.len);
        extra += usize::from(escape.counted) - 1;
        rest = &rest[plain + 1..];
    }
    for byte in rest {
        let escape = &table[usize::from(*byte)];
        out[at..at + 8].copy_from_slice(&escape.text);
        at += usize::from(escape.len);
        extra += usize::from(escape.counted) - 1;
    }
    (at, content.len() + extra)
}

/// [`escape_into`] for text that is written once and kept.
pub(crate) fn escaped(content: &[u8], depth: Depth) -> (Vec<u8>, usize) {
    let mut out = vec![0; room_for(content, depth)];
    let (len, counted) = escape_into(&mut out, content, depth);
    out.truncate(len);
    (out, counted)
}

/// The bytes that the service counts for `content`.
pub(crate) fn counted(content: &[u8], depth: Depth) -> usize {
    let table = depth.table();
    content.iter().map(|b| usize::from(table[usize::from(*b)].counted)).sum()
}

/// Room that [`escape_into`] needs for `content`: exact for long content, the worst case for short.
pub(crate) fn room_for(content: &[u8], depth: Depth) -> usize {
    const SHORT: usize = 4096;
    if content.len() <= SHORT {
        return content.len() * depth.worst() + 8;
    }
    let table = depth.table();
    content.iter().map(|b| usize::from(table[usize::from(*b)].len)).sum::<usize>() + 8
}

/// The length of the longest start of `content` that counts at most `max` bytes and does not cut a character.
pub(crate) fn fitting(content: &[u8], depth: Depth, max: usize) -> usize {
    let table = depth.table();
    let mut used = 0;
    let mut end = content.len();
    for (i, byte) in content.iter().enumerate() {
        used += usize::from(table[usize::from(*byte)].counted);
        if used > max {
            end = i;
            break;
        }
    }
    // A continuation byte of UTF-8 is 10xxxxxx, and a character has at most three; more of them are no characters.
    let inside = |at: usize| content.get(at).is_some_and(|b| b & 0xc0 == 0x80);
    (end.saturating_sub(3)..=end).rev().find(|at| !inside(*at)).unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// serde_json reads back what was written, at both depths, and the counted length is the message's.
        #[test]
        fn reads_back(content in "\\PC{0,40}|[\"\\\\\\x00-\\x1fa-zé𝄞]{0,64}") {
            let (wire, counted_once) = escaped(content.as_bytes(), Depth::Once);
            let read: String = serde_json::from_slice(&[b"\"", &wire[..], b"\""].concat()).unwrap();
            prop_assert_eq!(&read, &content);
            prop_assert_eq!(counted_once, content.len());

            let (wire, counted_twice) = escaped(content.as_bytes(), Depth::Twice);
            let inner: String = serde_json::from_slice(&[b"\"", &wire[..], b"\""].concat()).unwrap();
            prop_assert_eq!(counted_twice, inner.len());
            prop_assert_eq!(counted(content.as_bytes(), Depth::Twice), inner.len());
            let read: String = serde_json::from_str(&format!("\"{inner}\"")).unwrap();
            prop_assert_eq!(&read, &content);
        }

        /// fluent/fluent-bit PR#4143: a cut never splits an escape; nor a character.
        #[test]
        fn a_cut_is_legal(content in "[\"\\\\\\x00-\\x1fa-zé𝄞]{0,64}", max in 0usize..80) {
            let end = fitting(content.as_bytes(), Depth::Twice, max);
            prop_assert!(content.is_char_boundary(end));
            prop_assert!(counted(&content.as_bytes()[..end], Depth::Twice) <= max);
            if let Some(next) = content.get(end..).unwrap().chars().next() {
                let longer = &content.as_bytes()[..end + next.len_utf8()];
                prop_assert!(counted(longer, Depth::Twice) > max, "the longest that fits");
            }
        }
    }

    /// fluent/fluent-bit PR#4143: bytes that only look like the inside of a character are cut like any others, not given up
    /// down to nothing.
    #[test]
    fn invalid_utf8_is_cut_at_full_size() {
        let content = [0x80; 2_000];
        for depth in [Depth::Once, Depth::Twice] {
            assert_eq!(fitting(&content, depth, 1_000), 1_000);
        }
        // Three bytes back may be one character, and that stays whole.
        let content = [&[b'x'; 997][..], "\u{1d11e}".as_bytes(), &[0x80; 50]].concat();
        assert_eq!(fitting(&content, Depth::Once, 1_000), 997);
        assert_eq!(fitting(&content, Depth::Once, 1_001), 1_001);
    }
}
