//! How a beat lies in a file.
//!
//! A line with the beat's number, the length of the envelope and its CRC-32, the envelope, and blanks up to a whole block: a file
//! that is written over keeps its size, so the disk has only its content to write.

use std::ops::Range;
use std::path::Path;

use crate::disk;

/// What the file system writes at once.
const BLOCK: usize = 4096;
/// Digits of a sequence number, so that names are in the order of numbers.
pub(crate) const DIGITS: usize = 20;
const LENGTH: Range<usize> = DIGITS + 1..DIGITS + 6;
const SUM: Range<usize> = LENGTH.end + 1..LENGTH.end + 9;
/// Bytes of the line.
const HEADER: usize = SUM.end + 1;
/// The longest file.
const MOST: usize = 2 * BLOCK;

/// A beat as it was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) sequence: u64,
    /// `None` if it is not what was written.
    pub(crate) envelope: Option<&'a [u8]>,
}

/// The file of a beat.
pub(crate) fn write(sequence: u64, envelope: &[u8]) -> Vec<u8> {
    let mut file = Vec::with_capacity(MOST);
    file.extend_from_slice(header(sequence, envelope).as_bytes());
    file.extend_from_slice(envelope);
    file.resize(file.len().next_multiple_of(BLOCK), b' ');
    file
}

/// A file of a beat; `None` if there is none that can be read.
pub(crate) fn of(path: &Path) -> Option<Vec<u8>> {
    let file = disk::read(path, u64::try_from(MOST).unwrap_or(u64::MAX));
    file.inspect_err(|error| tracing::warn!(%error, "A beat that waits cannot be read.")).ok()?
}

/// The beat of a file; `None` if not even its number can be told.
pub(crate) fn read(file: &[u8]) -> Option<Record<'_>> {
    let text = |range: Range<usize>| std::str::from_utf8(file.get(range)?).ok();
    let sequence = text(0..DIGITS)?.parse().ok()?;
    let envelope = || {
        let length: usize = text(LENGTH)?.parse().ok()?;
        let envelope = file.get(HEADER..)?.get(..length)?;
        (header(sequence, envelope).as_bytes() == file.get(..HEADER)?).then_some(envelope)
    };
    Some(Record { sequence, envelope: envelope() })
}

fn header(sequence: u64, envelope: &[u8]) -> String {
    format!("{sequence:0DIGITS$} {:05} {:08x}\n", envelope.len(), crc32fast::hash(envelope))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_beat_has_whole_blocks() {
        for (length, blocks) in [(0, 1), (BLOCK - HEADER, 1), (BLOCK - HEADER + 1, 2), (4_096, 2)] {
            assert_eq!(write(7, &vec![b'x'; length]).len(), blocks * BLOCK, "{length}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(sequence: u64, envelope in prop::collection::vec(any::<u8>(), 0..4_096), over in 0_usize..4_096) {
            let mut file = write(sequence, &envelope);
            prop_assert_eq!(read(&file), Some(Record { sequence, envelope: Some(&envelope) }));
            // What a longer one has left behind does not matter.
            file.extend(vec![b'y'; over]);
            prop_assert_eq!(read(&file).unwrap().envelope, Some(&*envelope));
        }

        /// No change to what is read goes unseen.
        #[test]
        fn damage_is_seen(sequence: u64, envelope in prop::collection::vec(any::<u8>(), 1..300), at: prop::sample::Index, bit in 0_u8..8) {
            let mut file = write(sequence, &envelope);
            let at = at.index(HEADER + envelope.len());
            file[at] ^= 1 << bit;
            // A number that is another one is believed here; the signed statement knows better.
            let intact = read(&file).filter(|record| record.sequence == sequence).and_then(|record| record.envelope);
            prop_assert_eq!(intact, None);
        }

        #[test]
        fn no_bytes_are_too_strange(file in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&file);
        }
    }
}
