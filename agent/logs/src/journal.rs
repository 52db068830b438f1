//! Reads one file of the systemd journal, entry by entry and from any entry on, while journald goes on writing it.
//!
//! The format is that of <https://systemd.io/JOURNAL_FILE_FORMAT/>; names here are those of that page. An entry is known by
//! its ordinal in its file, which never changes: what was read of a file is a number, whatever the clock did meanwhile.
//! Everything in the file is hostile: every offset and size is checked against the file before it is used.

mod fields;
mod header;
mod objects;
mod payload;

use std::fs::File;

use fields::{Field, Fields};
use header::Header;
use objects::{Bytes, Entry as EntryObject, EntryArrays};
use payload::Payload;

pub(crate) use fields::Priority;

/// Most bytes of a message that are handed over at once: more than the largest event. The rest is asked for in parts.
pub(crate) const MESSAGE_AT_ONCE: usize = 2 * 1024 * 1024;

/// Why something of a journal file cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JournalError {
    /// The disk.
    #[error("cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// Not a journal file, or one of a later format.
    #[error("{0}")]
    Format(String),
    /// This place of the file makes no sense.
    #[error("damaged at byte {at}: {why}")]
    Damaged { at: u64, why: &'static str },
}

impl JournalError {
    fn damaged(at: u64, why: &'static str) -> Self {
        Self::Damaged { at, why }
    }

    /// Whether another look may succeed: the disk may recover, a damaged byte does not.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self, Self::Io(_))
    }
}

/// Which file it is: it keeps this through renaming.
pub(crate) type FileId128 = [u8; 16];

/// The numbers of a file's entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Numbering {
    /// Who gives them.
    pub(crate) seqnum_id: FileId128,
    /// That of the first entry; 0 in an empty file.
    pub(crate) head: u64,
    pub(crate) tail: u64,
}

/// What an entry says. Made once and filled again for every entry.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    /// Number of the entry among all that its journald ever wrote.
    pub(crate) seqnum: u64,
    /// When journald took it; Unix microseconds.
    pub(crate) realtime_us: u64,
    pub(crate) boot_id: FileId128,
    /// `_SYSTEMD_UNIT`; empty if there is none.
    pub(crate) unit: Vec<u8>,
    /// `SYSLOG_IDENTIFIER`
    pub(crate) identifier: Vec<u8>,
    /// `_PID`
    pub(crate) pid: Vec<u8>,
    /// `_TRANSPORT`: `journal`, `stdout`, `syslog`, `kernel`, `audit`, `driver`.
    pub(crate) transport: Vec<u8>,
    pub(crate) priority: Option<Priority>,
    /// `MESSAGE`: its first [`MESSAGE_AT_ONCE`] bytes.
    pub(crate) message: Vec<u8>,
    /// Where the message is in the file, if there is more of it.
    rest: Option<u64>,
    taken: bool,
    /// Fields of the entry that cannot be read.
    pub(crate) damaged: u32,
}

impl Entry {
    fn clear(&mut self) {
        for text in [&mut self.unit, &mut self.identifier, &mut self.pid, &mut self.transport, &mut self.message] {
            text.clear();
        }
        (self.priority, self.rest, self.taken, self.damaged) = (None, None, false, 0);
    }

    /// What `message` holds is not its start any more.
    pub(crate) fn take(&mut self) {
        self.taken = true;
    }

    /// Whether the entry has to be read again to be handed on.
    pub(crate) fn is_taken(&self) -> bool {
        self.taken
    }

    /// There is no more of the message than what `message` holds.
    pub(crate) fn end(&mut self) {
        self.rest = None;
    }

    /// Whether the message is longer than what `message` holds.
    pub(crate) fn is_longer(&self) -> bool {
        self.rest.is_some()
    }
}

/// An open journal file.
#[derive(Debug)]
pub(crate) struct JournalFile {
    bytes: Bytes,
    header: Header,
    arrays: EntryArrays,
    fields: Fields,
    /// The long message that is being read in parts.
    long: Option<(u64, Payload)>,
}

impl JournalFile {
    /// Takes an open file.
    ///
    /// # Errors
    /// [`JournalError`] if it is not a journal file that this version understands.
    pub(crate) fn open(file: File) -> Result<Self, JournalError> {
        let header = Header::read(&file)?;
        let arrays = EntryArrays::new(&header);
        Ok(Self { bytes: Bytes::new(file, &header), header, arrays, fields: Fields::default(), long: None })
    }

    /// What identifies it.
    pub(crate) fn id(&self) -> FileId128 {
        self.header.file_id
    }

    /// The numbers of its entries; to find out what vanished between two files.
    pub(crate) fn numbering(&self) -> Numbering {
        let Header { seqnum_id, head_seqnum, tail_seqnum, .. } = self.header;
        Numbering { seqnum_id, head: head_seqnum, tail: tail_seqnum }
    }

    /// How many entries it has, as of the last look.
    pub(crate) fn entries(&self) -> u64 {
        self.header.entries
    }

    /// Whether journald has closed it for good: no entry will be added.
    pub(crate) fn is_archived(&self) -> bool {
        self.header.archived
    }

    /// The open file.
    pub(crate) fn file(&self) -> &File {
        self.bytes.file()
    }

    /// Looks how many entries there are now.
    ///
    /// # Errors
    /// [`JournalError`] if the header cannot be read or is another file's.
    pub(crate) fn look(&mut self) -> Result<u64, JournalError> {
        let now = Header::read(self.bytes.file())?;
        if now.file_id != self.header.file_id {
            return Err(JournalError::Format("it has become another file".into()));
        }
        if now.entries != self.header.entries {
            // What journald has filled in meanwhile must not be read from what was kept.
            self.bytes.forget();
            self.arrays.forget(&now);
        }
        self.header = now;
        Ok(self.header.entries)
    }

    /// Reads an entry, from 0.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] if this entry cannot be read; others may be.
    pub(crate) fn read(&mut self, ordinal: u64, entry: &mut Entry) -> Result<(), JournalError> {
        entry.clear();
        let at = self.arrays.entry(ordinal, &mut self.bytes)?;
        let EntryObject { seqnum, realtime_us, boot_id, items } = self.bytes.entry(at)?;
        (entry.seqnum, entry.realtime_us, entry.boot_id) = (seqnum, realtime_us, boot_id);
        for index in 0..items {
            let Some(data) = self.bytes.item(at, index)? else { break };
            let field = self.fields.of(data, &mut self.bytes);
            match field {
                Ok(Field::Other) => {}
                Ok(Field::Message) => self.message(data, entry)?,
                Ok(Field::Unit(text)) => replace(&mut entry.unit, text),
                Ok(Field::Identifier(text)) => replace(&mut entry.identifier, text),
                Ok(Field::Pid(text)) => replace(&mut entry.pid, text),
                Ok(Field::Transport(text)) => replace(&mut entry.transport, text),
                Ok(Field::Priority(priority)) => entry.priority = entry.priority.or(Some(*priority)),
                Err(error) if error.is_transient() => return Err(error),
                Err(_) => entry.damaged += 1,
            }
        }
        Ok(())
    }

    /// Adds a message. An entry may have several; they become one, line by line.
    fn message(&mut self, data: u64, entry: &mut Entry) -> Result<(), JournalError> {
        if !entry.message.is_empty() {
            if entry.message.len() >= MESSAGE_AT_ONCE || entry.is_longer() {
                entry.damaged += 1;
                return Ok(());
            }
            entry.message.push(b'\n');
        }
        let most = MESSAGE_AT_ONCE - entry.message.len();
        let payload = self.bytes.payload(data);
        match payload.and_then(|p| p.start(b"MESSAGE=", most, &mut self.bytes, &mut entry.message)) {
            Ok(true) => entry.rest = Some(data),
            Ok(false) => {}
            Err(error) if error.is_transient() => return Err(error),
            Err(_) => entry.damaged += 1,
        }
        Ok(())
    }

    /// Reads on in a long message: adds what is there from `from` on to `entry.message`, until it has [`MESSAGE_AT_ONCE`] bytes.
    ///
    /// # Errors
    /// [`JournalError`] if the disk or the compression fails; the message ends there.
    pub(crate) fn read_on(&mut self, entry: &mut Entry, from: u64) -> Result<(), JournalError> {
        let Some(data) = entry.rest else { return Ok(()) };
        let from = from + b"MESSAGE=".len() as u64;
        let (at, payload) = match self.long.take() {
            Some((at, payload)) if at == data && payload.position() <= from => (at, payload),
            _ => (data, self.bytes.payload(data)?),
        };
        let mut payload = payload;
        let most = MESSAGE_AT_ONCE.saturating_sub(entry.message.len());
        payload.read(from, most, &mut self.bytes, &mut entry.message)?;
        if entry.message.len() < MESSAGE_AT_ONCE {
            entry.rest = None;
        } else {
            self.long = Some((at, payload));
        }
        Ok(())
    }
}

fn replace(text: &mut Vec<u8>, with: &[u8]) {
    if text.is_empty() {
        text.extend_from_slice(with);
    }
}

#[cfg(test)]
mod tests;
