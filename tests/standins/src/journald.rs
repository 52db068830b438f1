//! Writes journal files as systemd-journald does, as far as readers that go through the entries in order can tell: hash
//! tables are there and empty. For tests of hostile files, for benchmarks, and for `demo` on machines without a journal.
//!
//! Format: <https://systemd.io/JOURNAL_FILE_FORMAT/>. `journalctl --file` reads what this writes; a test holds that.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

const HEADER: u64 = 272;
const DATA: u8 = 1;
const ENTRY: u8 = 3;
const DATA_HASH_TABLE: u8 = 4;
const FIELD_HASH_TABLE: u8 = 5;
const ENTRY_ARRAY: u8 = 6;
/// Buckets of each hash table, 16 bytes each.
const BUCKETS: u64 = 16;
/// `state`
const ONLINE: u8 = 1;
const ARCHIVED: u8 = 2;

/// What of a journal file may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shape {
    /// 32-bit offsets, as systemd 252 and later write them.
    pub compact: bool,
}

/// An open journal file.
#[derive(Debug)]
pub struct Journald {
    file: File,
    shape: Shape,
    file_id: [u8; 16],
    seqnum_id: [u8; 16],
    end: u64,
    last_object: u64,
    objects: u64,
    data: HashMap<Vec<u8>, u64>,
    entries: u64,
    first_seqnum: u64,
    seqnum: u64,
    head_realtime: u64,
    tail_realtime: u64,
    tail_monotonic: u64,
    boot_id: [u8; 16],
    first_array: u64,
    /// The last array: where it is, its room, and how much of it is filled.
    array: (u64, u64, u64),
}

impl Journald {
    /// Makes a new file. `id` tells it from others; entries are numbered from `first_seqnum` on.
    ///
    /// # Errors
    /// Those of the disk.
    #[expect(clippy::disallowed_methods, reason = "the stand-in writes files of its own")]
    pub fn create(path: &Path, id: u8, first_seqnum: u64, shape: Shape) -> io::Result<Self> {
        let file = File::options().read(true).write(true).create_new(true).open(path)?;
        let mut journal = Self {
            file,
            shape,
            file_id: [id; 16],
            seqnum_id: [0x5e; 16],
            end: HEADER,
            last_object: 0,
            objects: 0,
            data: HashMap::new(),
            entries: 0,
            first_seqnum,
            seqnum: first_seqnum,
            head_realtime: 0,
            tail_realtime: 0,
            tail_monotonic: 0,
            boot_id: [0xb0; 16],
            first_array: 0,
            array: (0, 0, 0),
        };
        journal.object(DATA_HASH_TABLE, &vec![0; usize::try_from(BUCKETS * 16).unwrap_or(0)])?;
        journal.object(FIELD_HASH_TABLE, &vec![0; usize::try_from(BUCKETS * 16).unwrap_or(0)])?;
        journal.header(ONLINE)?;
        Ok(journal)
    }

    /// Entries from now on are of another boot.
    pub fn reboot(&mut self, id: u8) {
        self.boot_id = [id; 16];
        self.tail_monotonic = 0;
    }

    /// Adds an entry that was taken at `realtime_us` (Unix microseconds).
    ///
    /// # Errors
    /// Those of the disk.
    pub fn append(&mut self, realtime_us: u64, fields: &[(&str, &[u8])]) -> io::Result<()> {
        let mut items = Vec::new();
        for (name, value) in fields {
            let text = [name.as_bytes(), b"=", value].concat();
            items.push(match self.data.get(&text) {
                Some(at) => *at,
                None => {
                    let head = if self.shape.compact { 56 } else { 48 };
                    let at = self.object(DATA, &[&vec![0; head][..], &text].concat())?;
                    // Long values hardly repeat.
                    if text.len() < 256 {
                        self.data.insert(text, at);
                    }
                    at
                }
            });
        }
        items.sort_unstable();
        self.tail_monotonic += 1_000;
        let mut entry = Vec::new();
        for number in [self.seqnum, realtime_us, self.tail_monotonic] {
            entry.extend_from_slice(&number.to_le_bytes());
        }
        entry.extend_from_slice(&self.boot_id);
        entry.extend_from_slice(&(self.entries ^ 0xe17).to_le_bytes());
        for item in items {
            if self.shape.compact {
                entry.extend_from_slice(&u32::try_from(item).map_err(io::Error::other)?.to_le_bytes());
            } else {
                entry.extend_from_slice(&item.to_le_bytes());
                entry.extend_from_slice(&0u64.to_le_bytes());
            }
        }
        let at = self.object(ENTRY, &entry)?;
        self.list(at)?;
        if self.entries == 0 {
            self.head_realtime = realtime_us;
        }
        self.tail_realtime = realtime_us;
        self.seqnum += 1;
        self.entries += 1;
        self.header(ONLINE)
    }

    /// Closes the file for good, as rotation does. The number of the next entry is returned.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn archive(self) -> io::Result<u64> {
        self.header(ARCHIVED)?;
        Ok(self.seqnum)
    }

    /// Bytes of the file so far: what is added next begins there.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.end
    }

    fn object(&mut self, kind: u8, content: &[u8]) -> io::Result<u64> {
        let at = self.end;
        let size = 16 + content.len() as u64;
        let mut object = vec![kind, 0, 0, 0, 0, 0, 0, 0];
        object.extend_from_slice(&size.to_le_bytes());
        object.extend_from_slice(content);
        object.resize(object.len().next_multiple_of(8), 0);
        self.file.write_all_at(&object, at)?;
        self.end += object.len() as u64;
        self.last_object = at;
        self.objects += 1;
        Ok(at)
    }

    fn width(&self) -> u64 {
        if self.shape.compact { 4 } else { 8 }
    }

    fn list(&mut self, entry: u64) -> io::Result<()> {
        let (at, room, filled) = self.array;
        if filled == room {
            let room = (room * 2).max(4);
            let bytes = 8 + room * self.width();
            let next = self.object(ENTRY_ARRAY, &vec![0; usize::try_from(bytes).map_err(io::Error::other)?])?;
            if at == 0 {
                self.first_array = next;
            } else {
                self.file.write_all_at(&next.to_le_bytes(), at + 16)?;
            }
            self.array = (next, room, 0);
        }
        let (at, _, filled) = self.array;
        let place = at + 24 + filled * self.width();
        let width = usize::try_from(self.width()).map_err(io::Error::other)?;
        self.file.write_all_at(&entry.to_le_bytes()[..width], place)?;
        self.array.2 += 1;
        Ok(())
    }

    fn header(&self, state: u8) -> io::Result<()> {
        let mut bytes = b"LPKSHHRH".to_vec();
        let flags: u32 = if self.shape.compact { 1 << 4 } else { 0 };
        bytes.extend_from_slice(&0u32.to_le_bytes());
        bytes.extend_from_slice(&flags.to_le_bytes());
        bytes.extend_from_slice(&[state, 0, 0, 0, 0, 0, 0, 0]);
        for id in [self.file_id, [0xaa; 16], self.boot_id, self.seqnum_id] {
            bytes.extend_from_slice(&id);
        }
        let tables = HEADER;
        let second = tables + 16 + BUCKETS * 16;
        let tail_seqnum = if self.entries == 0 { 0 } else { self.seqnum - 1 };
        let head_seqnum = if self.entries == 0 { 0 } else { self.first_seqnum };
        for number in [
            HEADER,
            self.end - HEADER,
            tables + 16,
            BUCKETS * 16,
            second + 16,
            BUCKETS * 16,
            self.last_object,
            self.objects,
            self.entries,
            tail_seqnum,
            head_seqnum,
            self.first_array,
            self.head_realtime,
            self.tail_realtime,
            self.tail_monotonic,
            self.data.len() as u64,
            0,
            0,
            0,
            0,
            0,
        ] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        let tail_array = u32::try_from(self.array.0).unwrap_or(0);
        bytes.extend_from_slice(&tail_array.to_le_bytes());
        bytes.extend_from_slice(&u32::try_from(self.array.2).unwrap_or(0).to_le_bytes());
        bytes.resize(usize::try_from(HEADER).map_err(io::Error::other)?, 0);
        self.file.write_all_at(&bytes, 0)
    }
}
