//! Pure: the write-ahead log of SQLite ("Database File Format", section 4): which pages of the database it replaces.

use std::collections::BTreeMap;

use super::sqlite::Failure;
use crate::facts::packages::bytes::Bytes;

/// Most bytes of a log that are read; SQLite starts over at about 4 MiB.
const MAX_LOG: u64 = 128 << 20;

/// Bytes of the header of the file and of a frame.
const FILE_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// How the file begins: the last bit says in which order checksums take bytes.
const MAGIC: u32 = 0x377f_0682;
const VERSION: u32 = 3_007_000;

/// What the log says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wal {
    /// Bytes of a page.
    pub(super) page_size: usize,
    /// Pages of the database after the last commit.
    pub(super) pages: u32,
    /// Where in the log the newest version of a page is.
    pub(super) offsets: BTreeMap<u32, u64>,
}

impl Wal {
    /// Reads the committed frames; `None` if there are none. A frame whose salts or checksum do not fit ends the log: it is of an
    /// earlier use of the file, or was not written whole.
    pub(super) fn read(log: &(impl Bytes + ?Sized)) -> Result<Option<Self>, Failure> {
        let length = log.length()?;
        if length > MAX_LOG {
            return Err(Failure::TooMuch);
        }
        let mut header = [0; FILE_HEADER];
        if length < FILE_HEADER as u64 {
            return Ok(None);
        }
        log.read_at(0, &mut header)?;
        let [magic, version, page_size, _, salt_1, salt_2, sum_1, sum_2] = words(&header);
        let big_endian = magic & 1 == 1;
        let mut sum = checksum((0, 0), header.get(..24).unwrap_or_default(), big_endian);
        if magic & !1 != MAGIC || version != VERSION || sum != (sum_1, sum_2) {
            return Ok(None);
        }
        let page_size = usize::try_from(page_size).ok().filter(|size| super::sqlite::is_page_size(*size));
        let page_size = page_size.ok_or(Failure::Malformed("has a log with an odd size of pages"))?;
        let (mut committed, mut open) = (None, BTreeMap::new());
        let mut offsets = BTreeMap::new();
        let mut frame = vec![0; FRAME_HEADER + page_size];
        let mut at = FILE_HEADER as u64;
        while at + frame.len() as u64 <= length {
            log.read_at(at, &mut frame)?;
            let (head, page) = frame.split_at_checked(FRAME_HEADER).unwrap_or_default();
            let [number, commit, frame_salt_1, frame_salt_2, frame_sum_1, frame_sum_2, ..] = words(head);
            sum = checksum(sum, head.get(..8).unwrap_or_default(), big_endian);
            sum = checksum(sum, page, big_endian);
            if (frame_salt_1, frame_salt_2) != (salt_1, salt_2) || sum != (frame_sum_1, frame_sum_2) || number == 0 {
                break;
            }
            open.insert(number, at + FRAME_HEADER as u64);
            if commit != 0 {
                offsets.append(&mut open);
                committed = Some(commit);
            }
            at += frame.len() as u64;
        }
        Ok(committed.map(|pages| Self { page_size, pages, offsets }))
    }
}

/// The first eight numbers of a header; what is not there is 0.
fn words(bytes: &[u8]) -> [u32; 8] {
    let mut chunks = bytes.chunks_exact(4);
    std::array::from_fn(|_| chunks.next().and_then(|c| c.first_chunk()).map_or(0, |four| u32::from_be_bytes(*four)))
}

/// Goes on with a checksum over bytes whose number is a multiple of 8.
fn checksum((mut a, mut b): (u32, u32), bytes: &[u8], big_endian: bool) -> (u32, u32) {
    let word = |four: &[u8; 4]| if big_endian { u32::from_be_bytes(*four) } else { u32::from_le_bytes(*four) };
    for eight in bytes.chunks_exact(8) {
        if let (Some(first), Some(second)) = (eight.first_chunk(), eight.last_chunk()) {
            a = a.wrapping_add(word(first)).wrapping_add(b);
            b = b.wrapping_add(word(second)).wrapping_add(a);
        }
    }
    (a, b)
}
