//! The start of a journal file: what it is, and how much is in it.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::{FileId128, JournalError};

/// `incompatible_flags`: compression of single objects, hash tables with keys, 32-bit offsets.
const COMPRESSED_XZ: u32 = 1;
const COMPRESSED_LZ4: u32 = 1 << 1;
const KEYED_HASH: u32 = 1 << 2;
const COMPRESSED_ZSTD: u32 = 1 << 3;
const COMPACT: u32 = 1 << 4;
const KNOWN: u32 = COMPRESSED_XZ | COMPRESSED_LZ4 | KEYED_HASH | COMPRESSED_ZSTD | COMPACT;

/// `state` of a file that journald has closed for good.
const ARCHIVED: u8 = 2;

/// Bytes that every version of the format has.
const LEAST: usize = 208;

#[derive(Debug, Clone)]
pub(super) struct Header {
    pub(super) file_id: FileId128,
    pub(super) seqnum_id: FileId128,
    pub(super) head_seqnum: u64,
    pub(super) tail_seqnum: u64,
    pub(super) entries: u64,
    pub(super) first_array: u64,
    /// Where objects begin.
    pub(super) size: u64,
    pub(super) compact: bool,
    pub(super) archived: bool,
}

impl Header {
    pub(super) fn read(file: &File) -> Result<Self, JournalError> {
        let mut bytes = [0; LEAST];
        file.read_exact_at(&mut bytes, 0).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => JournalError::Format("it ends inside its header".into()),
            _ => JournalError::Io(error),
        })?;
        if !bytes.starts_with(b"LPKSHHRH") {
            return Err(JournalError::Format("it is not a journal file".into()));
        }
        let u64_at = |at: usize| u64::from_le_bytes(part(&bytes, at));
        let flags = u32::from_le_bytes(part(&bytes, 12));
        if flags & !KNOWN != 0 {
            let unknown = flags & !KNOWN;
            return Err(JournalError::Format(format!("it uses features that are not known here (flags {unknown:#x})")));
        }
        let size = u64_at(88);
        if size < LEAST as u64 || !size.is_multiple_of(8) {
            return Err(JournalError::damaged(88, "the size of the header makes no sense"));
        }
        Ok(Self {
            file_id: part(&bytes, 24),
            seqnum_id: part(&bytes, 72),
            head_seqnum: u64_at(168),
            tail_seqnum: u64_at(160),
            entries: u64_at(152),
            first_array: u64_at(176),
            size,
            compact: flags & COMPACT != 0,
            archived: bytes[16] == ARCHIVED,
        })
    }
}

/// A part of the header, whose length is fixed.
fn part<const N: usize>(bytes: &[u8; LEAST], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("offsets above are inside the header")
}
