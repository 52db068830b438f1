//! How a beat lies in a file.
//!
//! A line with the beat's number, the length and the CRC-32 of its envelope, and the CRC-32 of what the line says; the envelope; and
//! blanks up to a whole block: a file that is written over keeps its size, so the disk has only its content to write. Blanks where
//! the line would be mean that there is no beat. A sector is written whole or not at all, and the line is in the first.

use std::ops::Range;
use std::path::Path;

use crate::disk::{self, DiskError};

/// What the file system writes at once. A beat has at most so much with its line, or little more.
const BLOCK: usize = 4096;
/// Digits of a sequence number, so that names are in the order of numbers.
pub(crate) const DIGITS: usize = 20;
const LENGTH: Range<usize> = DIGITS + 1..DIGITS + 6;
const SUM: Range<usize> = LENGTH.end + 1..LENGTH.end + 9;
const LINE_SUM: Range<usize> = SUM.end + 1..SUM.end + 9;
/// Bytes of the line.
const LINE: usize = LINE_SUM.end + 1;
/// Bytes of the longest file.
pub(crate) const MOST: usize = 2 * BLOCK;
/// What a file is filled with.
pub(crate) const BLANK: u8 = b' ';

/// A beat as it was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) sequence: u64,
    /// `None` if it is not what was written.
    pub(crate) envelope: Option<&'a [u8]>,
}

/// The file of a beat.
pub(crate) fn write(sequence: u64, envelope: &[u8]) -> Vec<u8> {
    let line = format!("{sequence:0DIGITS$} {:05} {:08x}", envelope.len(), crc32fast::hash(envelope));
    let mut file = Vec::with_capacity(BLOCK);
    file.extend_from_slice(line.as_bytes());
    file.extend_from_slice(format!(" {:08x}\n", crc32fast::hash(line.as_bytes())).as_bytes());
    file.extend_from_slice(envelope);
    file.resize(file.len().max(BLOCK), BLANK);
    file
}

/// The bytes of a beat's file; `None` if there is none.
pub(crate) fn bytes(path: &Path) -> Result<Option<Vec<u8>>, DiskError> {
    disk::read(path, u64::try_from(MOST).unwrap_or(u64::MAX))
}

/// Whether a file was emptied, or has never held a beat: it is as long as it has to be before it holds one.
pub(crate) fn is_blank(file: &[u8]) -> bool {
    file.iter().take(LINE).all(|byte| *byte == BLANK)
}

/// The beat of a file; `None` if not even its number can be told.
pub(crate) fn read(file: &[u8]) -> Option<Record<'_>> {
    let text = |range: Range<usize>| std::str::from_utf8(file.get(range)?).ok();
    let sum = |range| u32::from_str_radix(text(range)?, 16).ok();
    if sum(LINE_SUM)? != crc32fast::hash(file.get(..SUM.end)?) {
        return None;
    }
    let envelope = || {
        let length: usize = text(LENGTH)?.parse().ok()?;
        let envelope = file.get(LINE..)?.get(..length)?;
        (sum(SUM)? == crc32fast::hash(envelope)).then_some(envelope)
    };
    Some(Record { sequence: text(0..DIGITS)?.parse().ok()?, envelope: envelope() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use safeguard_protocol::limits;

    use super::*;

    #[test]
    fn a_beat_has_a_block_and_the_longest_can_be_read() {
        assert_eq!(write(7, &vec![b'x'; BLOCK - LINE]).len(), BLOCK);
        assert!(write(7, &vec![b'x'; limits::BEAT_BYTES]).len() <= MOST);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            sequence: u64,
            envelope in prop::collection::vec(any::<u8>(), 0..limits::BEAT_BYTES),
            over in 0..BLOCK,
        ) {
            let mut file = write(sequence, &envelope);
            prop_assert_eq!(read(&file), Some(Record { sequence, envelope: Some(&envelope) }));
            // What a longer one has left behind does not matter.
            file.extend(vec![b'y'; over]);
            prop_assert_eq!(read(&file).unwrap().envelope, Some(&*envelope));
        }

        /// No change to what is read goes unseen, and no number is believed that was not written.
        #[test]
        fn damage_is_seen(
            sequence: u64,
            envelope in prop::collection::vec(any::<u8>(), 1..300),
            at: prop::sample::Index,
            bit in 0_u8..8,
        ) {
            let mut file = write(sequence, &envelope);
            // All but the line break.
            let at = at.index(LINE - 1 + envelope.len());
            file[if at < LINE - 1 { at } else { at + 1 }] ^= 1 << bit;
            match read(&file) {
                None => prop_assert!(at < LINE - 1),
                // A capital letter in the sum of the line is the same number.
                Some(record) if at < LINE - 1 => prop_assert_eq!(record, Record { sequence, envelope: Some(&envelope) }),
                Some(record) => prop_assert_eq!(record, Record { sequence, envelope: None }),
            }
        }

        #[test]
        fn no_bytes_are_too_strange(file in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&file);
        }
    }
}
