//! Beats that no reply has acknowledged, one file each. One that is damaged is dropped, and declared as dropped.
//!
//! A beat goes into a slot if the one before it does not wait there any more, and else into a file that its number names. What is in
//! the slot stays when it was acknowledged, until there is another: it is what the chain goes on from after a crash, and so no
//! acknowledgement has to wait for the disk. After a crash it is sent once more, and the safeguard knows it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use safeguard_protocol::{Digest, Envelope, EnvelopeError, Kind, PublicKey, Statement, limits};

use crate::disk::{self, DiskError};
use record::{DIGITS, Record};
use slots::{Found, Slots};

mod record;
mod slots;

const SUFFIX: &str = ".beat";

/// What is known of a beat that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) made_at_ms: i64,
    pub(crate) digest: Digest,
    bytes: u64,
}

/// A beat as it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) envelope: Vec<u8>,
    pub(crate) digest: Digest,
    pub(crate) statement: Statement,
}

/// The beats that wait.
#[derive(Debug)]
pub(crate) struct Spool {
    dir: PathBuf,
    key: PublicKey,
    waiting: BTreeMap<u64, Waiting>,
    bytes: u64,
    /// The last one that was made: it is the next to be sent.
    last: Option<(u64, Stored)>,
    slots: Slots,
    /// The one that was put into a slot last, acknowledged or not, while it is there.
    in_slot: Option<u64>,
}

impl Spool {
    /// Opens the directory. Gives beats too that cannot be sent any more because they are damaged: their numbers, and files, which
    /// are to be removed once the numbers are kept elsewhere. Those of another key are removed: nobody would take them. `used` is
    /// the highest number that is known from elsewhere.
    pub(crate) fn open(dir: PathBuf, key: PublicKey, used: u64) -> Result<(Self, Vec<(u64, PathBuf)>), DiskError> {
        disk::make_dir(&dir)?;
        let (slots, Found { last: in_slot, unknown }) = Slots::open(&dir);
        let mut spool = Self { dir, key, waiting: BTreeMap::new(), bytes: 0, last: None, slots, in_slot };
        let (mut damaged, mut highest) = (Vec::new(), used);
        let named = |name: String| name.strip_suffix(SUFFIX)?.parse().ok();
        for sequence in disk::names(&spool.dir)?.into_iter().filter_map(named).chain(in_slot) {
            highest = highest.max(sequence);
            match spool.read(sequence) {
                Ok(stored) => spool.note(sequence, &stored),
                Err(Unreadable::OtherKey) => spool.remove(sequence)?,
                Err(Unreadable::Damaged) => damaged.push((sequence, spool.path(sequence))),
            }
        }
        // It may have been the last one, and sent.
        damaged.extend(unknown.into_iter().map(|path| (highest.saturating_add(1), path)));
        if let Some((newest, _)) = spool.newest()
            // Who wrote it may have ended before it was on the disk, and what was read is then only in memory.
            && let Err(error) = disk::rewrite(&spool.path(newest))
        {
            tracing::warn!(%error, "The last beat is perhaps not on the disk.");
        }
        Ok((spool, damaged))
    }

    /// An empty one: removes what is there, and does not ask what it is.
    pub(crate) fn empty(dir: PathBuf, key: PublicKey) -> Result<Self, DiskError> {
        disk::make_dir(&dir)?;
        for name in disk::names(&dir)?.iter().filter(|name| name.ends_with(SUFFIX)) {
            disk::remove(&dir.join(name))?;
        }
        let (slots, _) = Slots::open(&dir);
        slots.clear()?;
        Ok(Self { dir, key, waiting: BTreeMap::new(), bytes: 0, last: None, slots, in_slot: None })
    }

    /// Keeps a beat, the last so far: on the disk when this returns.
    pub(crate) fn put(&mut self, sequence: u64, stored: Stored) -> Result<(), DiskError> {
        let file = record::write(sequence, &stored.envelope);
        if self.waits_in_slot() {
            disk::overwrite(&self.named(sequence), &file)?;
        } else {
            self.slots.put(&file)?;
            self.in_slot = Some(sequence);
        }
        self.note(sequence, &stored);
        self.last = Some((sequence, stored));
        Ok(())
    }

    fn waits_in_slot(&self) -> bool {
        self.in_slot.is_some_and(|sequence| self.waiting.contains_key(&sequence))
    }

    /// A beat is acknowledged: it waits no longer. Whether its file stays; if not, it is to be removed once the number is kept
    /// elsewhere.
    pub(crate) fn acknowledged(&mut self, sequence: u64) -> bool {
        self.unnote(sequence);
        self.in_slot == Some(sequence)
    }

    /// Removes what stayed. What the chain goes on from has to be kept elsewhere before.
    pub(crate) fn forget_acknowledged(&mut self) -> Result<(), DiskError> {
        if self.waits_in_slot() {
            return Ok(());
        }
        self.in_slot = None;
        self.slots.clear()
    }

    fn note(&mut self, sequence: u64, stored: &Stored) {
        let bytes = u64::try_from(stored.envelope.len()).unwrap_or(u64::MAX);
        let made_at_ms = stored.statement.beat.made_at_ms;
        let before = self.waiting.insert(sequence, Waiting { made_at_ms, digest: stored.digest, bytes });
        self.bytes = self.bytes.saturating_sub(before.map_or(0, |before| before.bytes)).saturating_add(bytes);
    }

    /// Removes a beat.
    pub(crate) fn remove(&mut self, sequence: u64) -> Result<(), DiskError> {
        self.unnote(sequence);
        if self.in_slot.take_if(|last| *last == sequence).is_some() {
            return self.slots.clear();
        }
        disk::remove(&self.named(sequence))
    }

    fn unnote(&mut self, sequence: u64) {
        if let Some(gone) = self.waiting.remove(&sequence) {
            self.bytes = self.bytes.saturating_sub(gone.bytes);
        }
        self.last.take_if(|(last, _)| *last == sequence);
    }

    /// Removes all.
    pub(crate) fn clear(&mut self) -> Result<(), DiskError> {
        while let Some(sequence) = self.newest().map(|(sequence, _)| sequence) {
            self.remove(sequence)?;
        }
        self.forget_acknowledged()
    }

    /// The numbers of those that wait.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u64> {
        self.waiting.keys().copied()
    }

    /// The beat with the highest number.
    pub(crate) fn newest(&self) -> Option<(u64, Waiting)> {
        self.waiting.last_key_value().map(|(sequence, waiting)| (*sequence, *waiting))
    }

    /// The beat with the lowest number.
    pub(crate) fn oldest(&self) -> Option<(u64, Waiting)> {
        self.waiting.first_key_value().map(|(sequence, waiting)| (*sequence, *waiting))
    }

    /// How many there are.
    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.waiting.len()).unwrap_or(u32::MAX)
    }

    /// The oldest beat that must not wait any longer: it is too old, or there are too many bytes. Never the newest.
    pub(crate) fn to_drop(&self, most_bytes: u64, most_age: Duration, now_ms: i64) -> Option<u64> {
        let (sequence, oldest) = self.oldest().filter(|_| self.waiting.len() > 1)?;
        let age = u128::try_from(now_ms.saturating_sub(oldest.made_at_ms)).unwrap_or(0);
        (self.bytes > most_bytes || age > most_age.as_millis()).then_some(sequence)
    }

    /// A beat that waits.
    pub(crate) fn get(&self, sequence: u64) -> Result<Stored, Unreadable> {
        match &self.last {
            Some((last, stored)) if *last == sequence => Ok(stored.clone()),
            _ => self.read(sequence),
        }
    }

    fn read(&self, sequence: u64) -> Result<Stored, Unreadable> {
        let file = record::bytes(&self.path(sequence)).map_err(|error| {
            tracing::warn!(%error, "A beat that waits cannot be read.");
            Unreadable::Damaged
        })?;
        let file = file.ok_or(Unreadable::Damaged)?;
        let Some(Record { envelope: Some(envelope), .. }) = record::read(&file) else {
            return Err(Unreadable::Damaged);
        };
        let read = Envelope::read(envelope, limits::BEAT_BYTES).map_err(|_| Unreadable::Damaged)?;
        match read.open::<Statement>(Kind::Statement, &self.key) {
            Ok(opened) if opened.content.beat.sequence == sequence => {
                Ok(Stored { envelope: envelope.to_vec(), digest: opened.digest, statement: opened.content })
            }
            Err(EnvelopeError::UnknownKey(_)) => Err(Unreadable::OtherKey),
            _ => Err(Unreadable::Damaged),
        }
    }

    fn path(&self, sequence: u64) -> PathBuf {
        if self.in_slot == Some(sequence) { self.slots.last().to_owned() } else { self.named(sequence) }
    }

    fn named(&self, sequence: u64) -> PathBuf {
        self.dir.join(format!("{sequence:0DIGITS$}{SUFFIX}"))
    }
}

/// Why a beat that waits cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// It is not there, or not what was written.
    Damaged,
    /// Another key signed it.
    OtherKey,
}
