//! Reading the journal: which files there are, what is new in them, and which group takes it.
//!
//! A journal file is read by the ordinals of its entries, so that neither the clock nor rotation nor a vacuumed file moves a
//! place. A file that is deleted while it is open is read to its end.

mod list;
mod reader;
mod turn;

use std::collections::HashMap;
use std::ffi::OsString;
use std::time::Duration;

use safeguard_host::{Attributes, FileId};
use tokio::time::Instant;

use crate::batch::Claim;
use crate::checkpoint::JournalRecord;
use crate::journal::{Entry, FileId128, JournalFile};
use crate::status::JournalStatus;
use crate::{ContainerNo, FileNo};
use reader::Reader;

/// The groups that take what a journal says.
const DATAPLANE: usize = 0;
const HOST: usize = 1;

/// Longest time between looks at a journal that does not grow, in milliseconds.
const LOOK_AT_LEAST_EVERY: u64 = 1_000;

/// A journal file, open or remembered.
#[derive(Debug)]
struct JournalLog {
    /// What claims call it: one number for each group.
    numbers: [FileNo; 2],
    id: FileId128,
    name: OsString,
    /// Where it was found; `None` while it is only remembered.
    inode: Option<FileId>,
    file: Option<JournalFile>,
    readers: [Reader; 2],
    /// Entries as of the last look.
    entries: u64,
    numbering: FileId128,
    /// The number after the last entry that was read.
    next_seqnum: u64,
    /// When the entry that was read last was written; Unix ms.
    read_ms: Option<i64>,
    listed: bool,
    missing_since: Instant,
    /// After an error of the disk: not read before.
    retry_at: Option<Instant>,
    /// When draining: read to here.
    until: Option<u64>,
}

impl JournalLog {
    fn settled_entries(&self) -> u64 {
        self.readers.iter().map(Reader::settled_entries).min().unwrap_or(0)
    }

    fn read_entries(&self) -> u64 {
        self.readers.iter().map(Reader::read_entries).min().unwrap_or(0)
    }

    /// Up to where it is read now.
    fn end(&self) -> u64 {
        self.until.map_or(self.entries, |until| until.min(self.entries))
    }

    fn has_unread(&self) -> bool {
        self.file.is_some() && self.read_entries() < self.end()
    }

    /// Whether everything was delivered and no entry will come.
    fn is_done(&self) -> bool {
        let final_size = self.file.as_ref().is_some_and(JournalFile::is_archived) || !self.listed;
        final_size && self.settled_entries() >= self.entries
    }
}

/// A unit that wrote to the journal.
#[derive(Debug)]
struct Unit {
    number: ContainerNo,
    group: usize,
    shipped: bool,
    /// What the wrapping that its log has at present says.
    says: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Journal {
    files: Vec<JournalLog>,
    units: HashMap<Vec<u8>, Unit>,
    entry: Entry,
    /// Which entry `entry` is: the file's first number, and the ordinal.
    held: Option<(FileNo, u64)>,
    /// Groups that have no room now.
    blocked: [bool; 2],
    ready: bool,
    draining: bool,
    look_every: u64,
    next_look: Option<Instant>,
    /// The highest number that was read, and one, by who gives the numbers.
    next_seqnums: HashMap<FileId128, u64>,
    vacuumed: u64,
    damaged: u64,
    last_error: Option<String>,
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            files: Vec::new(),
            units: HashMap::new(),
            entry: Entry::default(),
            held: None,
            blocked: [false; 2],
            ready: false,
            draining: false,
            look_every: 50,
            next_look: None,
            next_seqnums: HashMap::new(),
            vacuumed: 0,
            damaged: 0,
            last_error: None,
        }
    }
}

impl Journal {
    /// Takes over what the last run knew.
    pub(super) fn remember(&mut self, records: Vec<JournalRecord>, next_file: &mut FileNo, now: Instant) {
        for record in records {
            use std::os::unix::ffi::OsStringExt;
            let next = self.next_seqnums.entry(record.seqnum_id).or_default();
            *next = record.next_seqnum.max(*next);
            self.files.push(JournalLog {
                numbers: [*next_file, *next_file + 1],
                id: record.id,
                name: OsString::from_vec(record.name),
                inode: None,
                file: None,
                readers: record.settled.map(Reader::resume),
                entries: record.entries,
                numbering: record.seqnum_id,
                next_seqnum: record.next_seqnum,
                read_ms: None,
                listed: false,
                missing_since: now,
                retry_at: None,
                until: None,
            });
            *next_file += 2;
        }
    }

    /// What is remembered of every file.
    pub(super) fn records(&self) -> Vec<JournalRecord> {
        use std::os::unix::ffi::OsStrExt;
        let record = |log: &JournalLog| JournalRecord {
            id: log.id,
            name: log.name.as_bytes().to_vec(),
            seqnum_id: log.numbering,
            next_seqnum: log.next_seqnum,
            entries: log.entries,
            settled: [log.readers[DATAPLANE].settled.clone(), log.readers[HOST].settled.clone()],
        };
        self.files.iter().map(record).collect()
    }

    /// Whether there is more to read at once.
    pub(super) fn is_ready(&self) -> bool {
        self.ready
    }

    /// When to look for new entries.
    pub(super) fn next_look(&self) -> Instant {
        self.next_look.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600))
    }

    /// There may be room again.
    pub(super) fn unblock(&mut self) {
        self.blocked = [false; 2];
        self.ready |= self.files.iter().any(JournalLog::has_unread);
    }

    /// What is written from now on is for the next start.
    pub(super) fn stop_at_what_there_is(&mut self, now: Instant) {
        self.look(now);
        self.draining = true;
        for log in &mut self.files {
            log.until = Some(log.entries);
        }
    }

    /// Whether everything that may be read was read.
    pub(super) fn is_read(&self) -> bool {
        !self.files.iter().any(JournalLog::has_unread)
    }

    fn reader(&mut self, number: FileNo) -> Option<&mut Reader> {
        self.files.iter_mut().find_map(|log| {
            let group = log.numbers.iter().position(|n| *n == number)?;
            log.readers.get_mut(group)
        })
    }

    /// Books what was delivered, if it is of the journal.
    pub(super) fn settle(&mut self, claim: &Claim) {
        if let Some(reader) = self.reader(claim.file) {
            reader.settle(&claim.ranges);
        }
    }

    /// Entries of a batch that was given up for now are read again later. `false` if they are not of the journal.
    pub(super) fn give_back(&mut self, claim: &Claim) -> bool {
        let Some(reader) = self.reader(claim.file) else { return false };
        reader.give_back(&claim.ranges);
        self.ready = true;
        true
    }

    /// Logs came or went, or settings changed: which unit is which has to be asked anew.
    pub(super) fn forget_units(&mut self) {
        self.units.clear();
    }

    /// Looks at open files for new entries.
    fn look(&mut self, now: Instant) {
        let mut grew = false;
        for log in &mut self.files {
            let Some(file) = &mut log.file else { continue };
            match file.look() {
                Ok(entries) => {
                    grew |= entries > log.entries;
                    log.entries = entries;
                }
                Err(error) => self.last_error = Some(format!("{}: {error}", log.name.to_string_lossy())),
            }
            self.ready |= log.has_unread();
        }
        self.look_every = if grew { 50 } else { (self.look_every * 2).min(LOOK_AT_LEAST_EVERY) };
        let open = self.files.iter().any(|log| log.file.is_some());
        self.next_look = open.then(|| now + Duration::from_millis(self.look_every));
    }

    /// Disk space that only we keep from being freed.
    pub(super) fn pinned(&self) -> u64 {
        let unlisted = self.files.iter().filter(|log| !log.listed).filter_map(|log| log.file.as_ref());
        let attributes = unlisted.filter_map(|file| Attributes::of(file.file()).ok());
        attributes.filter(|a| a.links == 0).map(|a| a.allocated).sum()
    }

    pub(super) fn status(&self) -> JournalStatus {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let behind = |log: &JournalLog| log.entries.saturating_sub(log.settled_entries());
        let open: Vec<_> = self.files.iter().filter(|log| log.file.is_some()).collect();
        JournalStatus {
            files: count(self.files.len()),
            open_files: count(open.len()),
            behind_entries: open.iter().map(|log| behind(log)).sum(),
            behind_since_ms: open.iter().filter(|log| behind(log) > 0).filter_map(|log| log.read_ms).min(),
            vacuumed_entries: self.vacuumed,
            damaged_entries: self.damaged,
            last_error: self.last_error.clone(),
        }
    }

    fn complain(&mut self, error: String) {
        if self.last_error.as_ref() != Some(&error) {
            tracing::warn!(error, "A journal file cannot be read.");
            self.last_error = Some(error);
        }
    }
}
