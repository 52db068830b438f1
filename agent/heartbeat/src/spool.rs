//! Beats that no reply has acknowledged, one file each, named by their sequence numbers.
//!
//! A file begins with the CRC-32 of what follows: a beat that was damaged is dropped, and declared as dropped.
//!
//! The file of the last beat stays when that was acknowledged, until there is another: it is what the chain goes on from after a
//! crash, and so no acknowledgement has to wait for the disk. After a crash it is sent once more, and the safeguard knows it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use safeguard_protocol::{Digest, Envelope, EnvelopeError, Kind, PublicKey, Statement, limits};

use crate::disk::{self, DiskError};

/// Digits of a sequence number, so that names are in the order of numbers.
const DIGITS: usize = 20;
const SUFFIX: &str = ".beat";
/// Hexadecimal digits of the checksum, and a line break.
const HEADER: usize = 9;

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
    /// The last one, if it was acknowledged and its file is there.
    kept: Option<u64>,
}

impl Spool {
    /// Opens the directory. Gives the numbers of beats too that cannot be sent any more because they are damaged. Those of
    /// another key are removed: nobody would take them.
    pub(crate) fn open(dir: PathBuf, key: PublicKey) -> Result<(Self, Vec<u64>), DiskError> {
        disk::make_dir(&dir)?;
        let mut spool = Self { dir, key, waiting: BTreeMap::new(), bytes: 0, last: None, kept: None };
        let mut damaged = Vec::new();
        for name in disk::names(&spool.dir)? {
            let Some(sequence) = name.strip_suffix(SUFFIX).and_then(|digits| digits.parse().ok()) else { continue };
            match spool.read(sequence) {
                Ok(stored) => spool.note(sequence, &stored),
                Err(Unreadable::OtherKey) => disk::remove(&spool.path(sequence))?,
                Err(Unreadable::Damaged) => damaged.push(sequence),
            }
        }
        Ok((spool, damaged))
    }

    /// Keeps a beat, the last so far: on the disk when this returns.
    pub(crate) fn put(&mut self, sequence: u64, stored: Stored) -> Result<(), DiskError> {
        let mut file = format!("{:08x}\n", crc32fast::hash(&stored.envelope)).into_bytes();
        file.extend_from_slice(&stored.envelope);
        disk::put_in_place(&self.path(sequence), &file)?;
        self.note(sequence, &stored);
        self.last = Some((sequence, stored));
        self.forget_kept()
    }

    /// The last beat is acknowledged: it waits no longer, and its file stays.
    pub(crate) fn keep(&mut self, sequence: u64) {
        self.unnote(sequence);
        self.kept = Some(sequence);
    }

    /// Removes the file that stayed. What the chain goes on from has to be kept elsewhere before.
    pub(crate) fn forget_kept(&mut self) -> Result<(), DiskError> {
        self.kept.take().map_or(Ok(()), |sequence| disk::remove(&self.path(sequence)))
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
        disk::remove(&self.path(sequence))
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
        self.forget_kept()
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
        let most = u64::try_from(HEADER + limits::BEAT_BYTES).unwrap_or(u64::MAX);
        let file = disk::read(&self.path(sequence), most).map_err(|error| {
            tracing::warn!(%error, "A beat that waits cannot be read.");
            Unreadable::Damaged
        })?;
        let file = file.ok_or(Unreadable::Damaged)?;
        let envelope = checked(&file).ok_or(Unreadable::Damaged)?;
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

/// What follows the checksum, if it is what was written.
fn checked(file: &[u8]) -> Option<&[u8]> {
    let (header, envelope) = file.split_at_checked(HEADER)?;
    let sum = u32::from_str_radix(std::str::from_utf8(header).ok()?.strip_suffix('\n')?, 16).ok()?;
    (crc32fast::hash(envelope) == sum).then_some(envelope)
}
