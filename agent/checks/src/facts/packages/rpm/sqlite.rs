//! Pure: reads tables of a SQLite database page by page ("Database File Format" of sqlite.org). No more of it than tables with a
//! rowid needs: no indexes, no freed pages, nothing is written.

use std::cell::Cell;
use std::io;

use super::wal::Wal;
use crate::facts::packages::bytes::Bytes;

/// How a database begins.
const MAGIC: &[u8] = b"SQLite format 3\0";
/// Bytes of the header of the database, at the beginning of page 1.
const HEADER: usize = 100;
/// Page 1 is the root of the table of tables.
const SCHEMA: u32 = 1;

/// Kinds of pages of a table's tree.
const INTERIOR: u8 = 0x05;
const LEAF: u8 = 0x0d;

/// The deepest tree; SQLite's own bound (`BTCURSOR_MAX_DEPTH`).
const MAX_DEPTH: usize = 20;

/// Most bytes that are read of a database, however often its pages point to each other.
const MAX_READ: u64 = 256 << 20;

/// Most pages that are still to be looked at; a database of 1 GiB has no more in all.
const MAX_AHEAD: usize = 1 << 18;

/// Why a database cannot be read.
#[derive(Debug)]
pub(super) enum Failure {
    /// It makes no sense.
    Malformed(&'static str),
    /// It is larger than is read.
    TooMuch,
    /// The kernel said something.
    Io(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Malformed("ends too early"),
            _ => Self::Io(error),
        }
    }
}

/// Whether pages can have so many bytes.
pub(super) fn is_page_size(size: usize) -> bool {
    size.is_power_of_two() && (512..=65_536).contains(&size)
}

/// A database and the log that replaces some of its pages.
#[derive(Debug)]
pub(super) struct Database<'a, B: ?Sized> {
    main: &'a B,
    log: Option<(&'a Wal, &'a B)>,
    page_size: usize,
    /// Bytes of a page that hold content.
    usable: usize,
    pages: u32,
    /// Bytes that were read so far.
    read: Cell<u64>,
}

impl<'a, B: Bytes + ?Sized> Database<'a, B> {
    /// Looks at the header.
    pub(super) fn open(main: &'a B, log: Option<(&'a Wal, &'a B)>) -> Result<Self, Failure> {
        let mut header = [0; HEADER];
        let length = main.length()?;
        let page_size = match log {
            // As long as nothing was copied back, the file may be empty.
            Some((wal, _)) => wal.page_size,
            None => {
                main.read_at(0, &mut header)?;
                match header.get(16..18) {
                    Some([0, 1]) => 65_536,
                    Some([high, low]) => usize::from(u16::from_be_bytes([*high, *low])),
                    _ => 0,
                }
            }
        };
        if !is_page_size(page_size) {
            return Err(Failure::Malformed("is no SQLite database"));
        }
        let of_file = u32::try_from(length / page_size as u64).map_err(|_| Failure::TooMuch)?;
        let in_log = log.map_or(0, |(wal, _)| u32::try_from(wal.offsets.len()).unwrap_or(u32::MAX));
        let pages = log.map_or(of_file, |(wal, _)| wal.pages);
        if pages > of_file.saturating_add(in_log) {
            return Err(Failure::Malformed("ends too early"));
        }
        let mut database = Self { main, log, page_size, usable: page_size, pages, read: Cell::new(0) };
        let first = database.page(SCHEMA)?;
        let reserved = usize::from(first.get(20).copied().unwrap_or_default());
        let utf8 = first.get(56..60) == Some(&[0, 0, 0, 1]);
        let readable = first.get(19).is_some_and(|version| matches!(version, 1 | 2));
        if !first.starts_with(MAGIC) || !utf8 || !readable {
            return Err(Failure::Malformed("is no SQLite database in UTF-8"));
        }
        // At least 480 bytes of each page are for content.
        database.usable = page_size.checked_sub(reserved).filter(|usable| *usable >= 480).ok_or(ODD)?;
        Ok(database)
    }

    /// The root page of a table; `None` if there is no such table.
    pub(super) fn table(&self, name: &str) -> Result<Option<u32>, Failure> {
        let mut root = None;
        self.rows(SCHEMA, |row| {
            let record = row.whole_record()?;
            let columns = columns(&record)?;
            let [Column::Bytes(kind), Column::Bytes(own), _, Column::Int(page), ..] = columns.as_slice() else {
                return Ok(());
            };
            if *kind == b"table" && *own == name.as_bytes() {
                root = u32::try_from(*page).ok();
            }
            Ok(())
        })?;
        Ok(root)
    }

    /// Looks at every row of a table.
    pub(super) fn rows(
        &self,
        root: u32,
        mut look: impl FnMut(&Row<'_, 'a, B>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut ahead = vec![(root, 0)];
        let mut visited = 0;
        while let Some((number, depth)) = ahead.pop() {
            visited += 1;
            if visited > self.pages || depth > MAX_DEPTH {
                return Err(Failure::Malformed("has a table that leads in a circle"));
            }
            let page = self.page(number)?;
            let start = if number == SCHEMA { HEADER } else { 0 };
            let kind = page.get(start).copied().ok_or(ODD)?;
            let cells = usize::from(u16_at(&page, start + 3)?);
            let pointers = start + if kind == INTERIOR { 12 } else { 8 };
            let pointer = |index: usize| u16_at(&page, pointers + 2 * index).map(usize::from);
            match kind {
                LEAF => {
                    for index in 0..cells {
                        look(&Row::new(self, &page, pointer(index)?)?)?;
                    }
                }
                INTERIOR => {
                    // The page on the far right comes last, so it is put down first.
                    ahead.push((u32_at(&page, start + 8)?, depth + 1));
                    for index in (0..cells).rev() {
                        ahead.push((u32_at(&page, pointer(index)?)?, depth + 1));
                    }
                    if ahead.len() > MAX_AHEAD {
                        return Err(Failure::Malformed("has a table that leads in a circle"));
                    }
                }
                _ => return Err(Failure::Malformed("has a page of another kind in a table")),
            }
        }
        Ok(())
    }

    /// Bytes that were read so far.
    #[cfg(test)]
    pub(super) fn bytes_read(&self) -> u64 {
        self.read.get()
    }

    fn page(&self, number: u32) -> Result<Vec<u8>, Failure> {
        if number == 0 || number > self.pages {
            return Err(Failure::Malformed("points to a page that is not there"));
        }
        self.read.set(self.read.get() + self.page_size as u64);
        if self.read.get() > MAX_READ {
            return Err(Failure::TooMuch);
        }
        let mut page = vec![0; self.page_size];
        let in_log = self.log.and_then(|(wal, file)| Some((file, *wal.offsets.get(&number)?)));
        match in_log {
            Some((log, offset)) => log.read_at(offset, &mut page)?,
            None => self.main.read_at(u64::from(number - 1) * self.page_size as u64, &mut page)?,
        }
        Ok(page)
    }
}

/// A row: its record, of which no more is read than is asked for.
#[derive(Debug)]
pub(super) struct Row<'p, 'a, B: ?Sized> {
    database: &'p Database<'a, B>,
    /// What of the record is in the page of the tree.
    local: &'p [u8],
    /// Where the rest is.
    overflow: u32,
    length: usize,
}

const ODD: Failure = Failure::Malformed("has a page that makes no sense");

impl<'p, 'a, B: Bytes + ?Sized> Row<'p, 'a, B> {
    fn new(database: &'p Database<'a, B>, page: &'p [u8], at: usize) -> Result<Self, Failure> {
        let cell = page.get(at..database.usable).ok_or(ODD)?;
        let (length, cell) = varint(cell)?;
        let (_, cell) = varint(cell)?;
        let length = usize::try_from(length).map_err(|_| ODD)?;
        // How much of a record stays in the page ("B-tree Pages").
        let usable = database.usable;
        let most = usable - 35;
        let least = (usable - 12) * 32 / 255 - 23;
        let kept = if length <= most {
            length
        } else {
            let fitting = least + (length - least) % (usable - 4);
            if fitting <= most { fitting } else { least }
        };
        let (local, rest) = cell.split_at_checked(kept).ok_or(ODD)?;
        let overflow = if kept < length { u32_at(rest, 0)? } else { 0 };
        Ok(Self { database, local, overflow, length })
    }

    /// The first `wanted` bytes of the record.
    fn beginning(&self, wanted: usize) -> Result<Vec<u8>, Failure> {
        let wanted = wanted.min(self.length);
        let mut bytes = self.local.get(..wanted.min(self.local.len())).unwrap_or_default().to_vec();
        let mut next = self.overflow;
        while bytes.len() < wanted {
            let page = self.database.page(next)?;
            next = u32_at(&page, 0)?;
            let content = page.get(4..self.database.usable).ok_or(ODD)?;
            bytes.extend(content.iter().take(wanted - bytes.len()));
        }
        Ok(bytes)
    }

    fn whole_record(&self) -> Result<Vec<u8>, Failure> {
        self.beginning(self.length)
    }

    /// Where the blob of a row with a number and a blob begins, and how long it is.
    fn blob_place(&self) -> Result<(usize, usize), Failure> {
        // Its header has three numbers, none longer than 9 bytes.
        let beginning = self.beginning(27)?;
        let (header, rest) = varint(&beginning)?;
        let (first, rest) = varint(rest)?;
        let (second, _) = varint(rest)?;
        let header = usize::try_from(header).map_err(|_| ODD)?;
        let start = header.checked_add(content_length(first)?).ok_or(ODD)?;
        let length = content_length(second)?;
        let inside = start.checked_add(length).is_some_and(|end| end <= self.length);
        if second < 12 || second % 2 == 1 || !inside {
            return Err(Failure::Malformed("has a row that holds no package"));
        }
        Ok((start, length))
    }

    /// The length of the blob of a row with a number and a blob, in bytes.
    pub(super) fn blob_length(&self) -> Result<usize, Failure> {
        self.blob_place().map(|(_, length)| length)
    }

    /// The first `wanted` bytes of that blob.
    pub(super) fn blob(&self, wanted: usize) -> Result<Vec<u8>, Failure> {
        let (start, length) = self.blob_place()?;
        let mut bytes = self.beginning(start.saturating_add(wanted.min(length)))?;
        bytes.drain(..start.min(bytes.len()));
        Ok(bytes)
    }
}

/// A value of a record, as far as anybody asks.
#[derive(Debug, PartialEq, Eq)]
enum Column<'a> {
    Null,
    Int(i64),
    /// Text or a blob.
    Bytes(&'a [u8]),
}

/// The values of a record ("Record Format").
fn columns(record: &[u8]) -> Result<Vec<Column<'_>>, Failure> {
    let (header, mut types) = varint(record)?;
    let header = usize::try_from(header).map_err(|_| ODD)?;
    let mut values = record.get(header..).ok_or(ODD)?;
    // The types end where the values begin.
    types = types.get(..types.len().checked_sub(values.len()).ok_or(ODD)?).ok_or(ODD)?;
    let mut columns = Vec::new();
    while !types.is_empty() {
        let (kind, rest) = varint(types)?;
        types = rest;
        let (value, rest) = values.split_at_checked(content_length(kind)?).ok_or(ODD)?;
        values = rest;
        columns.push(match kind {
            1..=6 => Column::Int(value.iter().fold(sign(value), |number, byte| number << 8 | i64::from(*byte))),
            8 => Column::Int(0),
            9 => Column::Int(1),
            12.. => Column::Bytes(value),
            _ => Column::Null,
        });
    }
    Ok(columns)
}

/// What the bytes before a big-endian number are.
fn sign(bytes: &[u8]) -> i64 {
    if bytes.first().is_some_and(|byte| byte & 0x80 != 0) { -1 } else { 0 }
}

/// How many bytes a value of a type takes.
fn content_length(kind: u64) -> Result<usize, Failure> {
    match kind {
        0 | 8 | 9 => Ok(0),
        1..=4 => usize::try_from(kind).map_err(|_| ODD),
        5 => Ok(6),
        6 | 7 => Ok(8),
        10 | 11 => Err(ODD),
        _ => usize::try_from((kind - 12) / 2).map_err(|_| ODD),
    }
}

/// A number of one to nine bytes, and what follows it.
fn varint(bytes: &[u8]) -> Result<(u64, &[u8]), Failure> {
    let mut number = 0;
    for (index, byte) in bytes.iter().take(9).enumerate() {
        let rest = bytes.get(index + 1..).unwrap_or_default();
        if index == 8 {
            return Ok((number << 8 | u64::from(*byte), rest));
        }
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Ok((number, rest));
        }
    }
    Err(ODD)
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, Failure> {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map(|two| u16::from_be_bytes(*two)).ok_or(ODD)
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, Failure> {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map(|four| u32::from_be_bytes(*four)).ok_or(ODD)
}
