//! Objects of a journal file: entries, the arrays that list them, and the data they refer to.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::header::Header;
use super::payload::{Compression, Payload};
use super::{FileId128, JournalError};

const OBJECT_DATA: u8 = 1;
const OBJECT_ENTRY: u8 = 3;
const OBJECT_ENTRY_ARRAY: u8 = 6;

const OBJECT_HEADER: u64 = 16;
/// What an entry has before its items.
const ENTRY_HEAD: u64 = 64;
/// What an array has before its items.
const ARRAY_HEAD: u64 = 24;

/// Most fields of an entry that are looked at: systemd's own bound (`ENTRY_FIELD_COUNT_MAX`).
const ITEMS: u64 = 1024;

/// Arrays grow twofold, so a chain of more than this is none.
const CHAIN: u32 = 256;

/// What is read at once: neighbours in the file were written at the same time.
const WINDOW: usize = 128 * 1024;

/// What an object is, as its header says; checked against the file.
#[derive(Debug, Clone, Copy)]
struct Object {
    flags: u8,
    size: u64,
}

/// An entry, without its items.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) seqnum: u64,
    pub(super) realtime_us: u64,
    pub(super) boot_id: FileId128,
    pub(super) items: u64,
}

/// The bytes of the file, read in windows.
#[derive(Debug)]
pub(super) struct Bytes {
    file: File,
    compact: bool,
    first_object: u64,
    window: Vec<u8>,
    start: u64,
    /// What lies far from the window.
    apart: Vec<u8>,
}

impl Bytes {
    pub(super) fn new(file: File, header: &Header) -> Self {
        Self {
            file,
            compact: header.compact,
            first_object: header.size,
            window: Vec::new(),
            start: 0,
            apart: Vec::new(),
        }
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Forgets what was read: it may have changed.
    pub(super) fn forget(&mut self) {
        self.window.clear();
    }

    /// Bytes at an offset.
    pub(super) fn get(&mut self, at: u64, len: usize) -> Result<&[u8], JournalError> {
        if self.inside(at, len).is_none() {
            // Reading goes up: what lies behind is a look back and leaves the window where it is.
            let behind = !self.window.is_empty() && at < self.start;
            if behind || len > WINDOW / 2 {
                self.apart.resize(len, 0);
                let read = read_at(&self.file, &mut self.apart, at)?;
                return self.apart.get(..len).filter(|_| read == len).ok_or_else(|| ends(at));
            }
            // A little before it as well: the data of an entry lie in front of it.
            let start = at.saturating_sub(WINDOW as u64 / 8);
            self.window.resize(WINDOW, 0);
            let read = read_at(&self.file, &mut self.window, start);
            self.window.truncate(*read.as_ref().unwrap_or(&0));
            read?;
            self.start = start;
        }
        let range = self.inside(at, len).ok_or_else(|| ends(at))?;
        Ok(&self.window[range])
    }

    fn inside(&self, at: u64, len: usize) -> Option<std::ops::Range<usize>> {
        let from = usize::try_from(at.checked_sub(self.start)?).ok()?;
        let to = from.checked_add(len)?;
        (to <= self.window.len()).then_some(from..to)
    }

    fn number(&mut self, at: u64) -> Result<u64, JournalError> {
        let bytes = self.get(at, 8)?;
        Ok(u64::from_le_bytes(bytes.try_into().expect("8 bytes were asked for")))
    }

    /// An offset in a list of items.
    fn offset(&mut self, at: u64) -> Result<u64, JournalError> {
        if !self.compact {
            return self.number(at);
        }
        let bytes = self.get(at, 4)?;
        Ok(u64::from(u32::from_le_bytes(bytes.try_into().expect("4 bytes were asked for"))))
    }

    fn object(&mut self, at: u64, kind: u8, least: u64) -> Result<Object, JournalError> {
        if at < self.first_object || !at.is_multiple_of(8) {
            return Err(JournalError::damaged(at, "no object can be there"));
        }
        let bytes = self.get(at, 16)?;
        let (found, flags) = (bytes[0], bytes[1]);
        let size = u64::from_le_bytes(bytes[8..16].try_into().expect("16 bytes were asked for"));
        if found != kind {
            return Err(JournalError::damaged(at, "another kind of object is there"));
        }
        if size < least || at.checked_add(size).is_none() {
            return Err(JournalError::damaged(at, "the size of the object makes no sense"));
        }
        Ok(Object { flags, size })
    }

    pub(super) fn entry(&mut self, at: u64) -> Result<Entry, JournalError> {
        let object = self.object(at, OBJECT_ENTRY, ENTRY_HEAD)?;
        let width = if self.compact { 4 } else { 16 };
        let items = ((object.size - ENTRY_HEAD) / width).min(ITEMS);
        // The whole entry at once, so that its items are at hand.
        let len = usize::try_from(ENTRY_HEAD + items * width).expect("at most 16 KiB and a head");
        let head = self.get(at, len)?;
        let number = |from: usize| u64::from_le_bytes(head[from..from + 8].try_into().expect("inside the head"));
        let boot_id = head[40..56].try_into().expect("inside the head");
        Ok(Entry { seqnum: number(16), realtime_us: number(24), boot_id, items })
    }

    /// Where the data of an entry's item is. `None` if there is no further item.
    pub(super) fn item(&mut self, entry: u64, index: u64) -> Result<Option<u64>, JournalError> {
        let width = if self.compact { 4 } else { 16 };
        let at = self.offset(entry + ENTRY_HEAD + index * width)?;
        Ok((at != 0).then_some(at))
    }

    /// The content of a data object, to be read.
    pub(super) fn payload(&mut self, at: u64) -> Result<Payload, JournalError> {
        let head = if self.compact { 72 } else { 64 };
        let object = self.object(at, OBJECT_DATA, head)?;
        let compression = Compression::of(object.flags).ok_or(JournalError::damaged(at, "unknown compression"))?;
        Ok(Payload::new(compression, at + head, object.size - head))
    }
}

fn ends(at: u64) -> JournalError {
    JournalError::damaged(at, "the file ends here")
}

/// Reads as much as there is.
pub(super) fn read_at(file: &File, buffer: &mut [u8], at: u64) -> std::io::Result<usize> {
    let mut filled = 0;
    while let Some(room) = buffer.get_mut(filled..).filter(|r| !r.is_empty()) {
        match file.read_at(room, at + filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

/// The chain of arrays that lists all entries in the order in which they were written.
#[derive(Debug)]
pub(super) struct EntryArrays {
    first: u64,
    compact: bool,
    /// The array at hand: where it is, the ordinal of its first entry, and how many it has room for.
    array: Option<(u64, u64, u64)>,
    /// Entries from `listed_from` on that were read of it.
    listed: Vec<u64>,
    listed_from: u64,
}

/// Entries of an array that are looked up at once.
const LISTED: u64 = 2048;

impl EntryArrays {
    pub(super) fn new(header: &Header) -> Self {
        Self { first: header.first_array, compact: header.compact, array: None, listed: Vec::new(), listed_from: 0 }
    }

    /// Forgets what was read: free places may have been filled.
    pub(super) fn forget(&mut self, header: &Header) {
        self.first = header.first_array;
        self.listed.clear();
    }

    /// Where an entry is.
    pub(super) fn entry(&mut self, ordinal: u64, bytes: &mut Bytes) -> Result<u64, JournalError> {
        let known = ordinal.checked_sub(self.listed_from).and_then(|i| self.listed.get(usize::try_from(i).ok()?));
        if let Some(at) = known.copied() {
            return Ok(at);
        }
        if self.array.is_none_or(|(_, first, _)| ordinal < first) {
            self.array = None;
        }
        let (mut at, mut first, mut room) = match self.array {
            Some(array) => array,
            None => self.load(self.first, 0, bytes)?,
        };
        let mut steps = 0;
        while ordinal - first >= room {
            steps += 1;
            if steps > CHAIN {
                return Err(JournalError::damaged(at, "the arrays of entries run in a circle"));
            }
            let next = bytes.number(at + OBJECT_HEADER)?;
            (at, first, room) = self.load(next, first + room, bytes)?;
        }
        self.array = Some((at, first, room));
        self.list(ordinal, (at, first, room), bytes)?;
        match self.listed.first() {
            Some(0) | None => Err(JournalError::damaged(at, "an entry is counted and not listed")),
            Some(at) => Ok(*at),
        }
    }

    fn load(&self, at: u64, first: u64, bytes: &mut Bytes) -> Result<(u64, u64, u64), JournalError> {
        let object = bytes.object(at, OBJECT_ENTRY_ARRAY, ARRAY_HEAD)?;
        let room = (object.size - ARRAY_HEAD) / if self.compact { 4 } else { 8 };
        if room == 0 {
            return Err(JournalError::damaged(at, "an array of entries is empty"));
        }
        Ok((at, first, room))
    }

    /// Looks up entries from an ordinal on, past the window: the arrays lie elsewhere.
    fn list(&mut self, ordinal: u64, array: (u64, u64, u64), bytes: &Bytes) -> Result<(), JournalError> {
        let (at, first, room) = array;
        let width: usize = if self.compact { 4 } else { 8 };
        let index = ordinal - first;
        let many = usize::try_from((room - index).min(LISTED)).expect("at most 2,048");
        let mut text = vec![0; many * width];
        let read = read_at(bytes.file(), &mut text, at + ARRAY_HEAD + index * width as u64)?;
        text.truncate(read);
        self.listed_from = ordinal;
        self.listed.clear();
        self.listed.extend(text.chunks_exact(width).map(|item| {
            let mut number = [0; 8];
            number[..width].copy_from_slice(item);
            u64::from_le_bytes(number)
        }));
        // Places that are still free are looked at again.
        let filled = self.listed.iter().position(|at| *at == 0).unwrap_or(self.listed.len());
        self.listed.truncate(filled.max(1));
        Ok(())
    }
}
