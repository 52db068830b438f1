//! A turn of reading: entries become events of the group that takes them.

use std::time::Duration;

use tokio::time::Instant;

use super::reader::{behind, ordinal, part};
use super::{DATAPLANE, HOST, Journal, JournalLog, Unit};
use crate::batch::{Mark, Wrapping};
use crate::discover::Origin;
use crate::journal::Entry;
use crate::ledger::Reason;
use crate::multiline::Multiline;
use crate::parse::Stream;
use crate::pipeline::Pipeline;
use crate::pipeline::sink::FileSink;
use crate::settings::Format;
use crate::tail::{Blocked, Record, Sink as _, Syntax};

/// Entries that a turn reads at most: receipts and requests want to be taken in between.
const ENTRIES: u32 = 2_048;

/// Units that have an account of their own. A node has about a hundred; more are somebody's way to fill our memory.
const UNITS: usize = 1_000;

/// The unit of all units beyond that.
const OTHER: &[u8] = b"(other units)";

/// After an error of the disk, a file is left alone for this long.
const AFTER_ERROR: Duration = Duration::from_secs(5);

impl Pipeline {
    /// Looks for new entries when it is time, and reads some.
    pub(in crate::pipeline) fn read_journal(&mut self, now: Instant) {
        if self.journal.next_look.is_some_and(|at| at <= now) {
            self.journal.look(now);
        }
        if !self.journal.ready {
            return;
        }
        let mut journal = std::mem::take(&mut self.journal);
        let mut left = ENTRIES;
        journal.ready = false;
        for index in 0..journal.files.len() {
            self.turn_of(&mut journal, index, now, &mut left);
        }
        journal.ready = left == 0;
        self.journal = journal;
    }

    fn turn_of(&mut self, journal: &mut Journal, index: usize, now: Instant, left: &mut u32) {
        while *left > 0 && self.entry(journal, index, now) {
            *left -= 1;
        }
    }

    /// Reads one entry of a file for the groups that have not had it. `false` if there is none for now.
    fn entry(&mut self, journal: &mut Journal, index: usize, now: Instant) -> bool {
        let blocked = journal.blocked;
        let log = &mut journal.files[index];
        if log.retry_at.is_some_and(|at| at > now) {
            return false;
        }
        let open = [DATAPLANE, HOST].into_iter().filter(|group| !blocked[*group]);
        let Some(position) = open.map(|group| log.readers[group].next()).min() else { return false };
        let entry = ordinal(position);
        if entry >= log.end() {
            return false;
        }
        let Some(file) = &mut log.file else { return false };
        if journal.held != Some((log.numbers[0], entry)) {
            journal.held = None;
            match file.read(entry, &mut journal.entry) {
                Ok(()) => journal.held = Some((log.numbers[0], entry)),
                Err(error) => {
                    let message = format!("{}: {error}", log.name.to_string_lossy());
                    if error.is_transient() {
                        log.retry_at = Some(now + AFTER_ERROR);
                    } else {
                        journal.damaged += 1;
                        for reader in &mut log.readers {
                            if ordinal(reader.next()) == entry {
                                reader.pass(behind(entry));
                            }
                        }
                    }
                    journal.complain(message);
                    return true;
                }
            }
            journal.damaged += u64::from(journal.entry.damaged.min(1));
            log.next_seqnum = journal.entry.seqnum + 1;
            log.read_ms = i64::try_from(journal.entry.realtime_us / 1_000).ok();
            let next = journal.next_seqnums.entry(log.numbering).or_default();
            *next = log.next_seqnum.max(*next);
        }
        let name = unit_of(&journal.entry);
        let unit = match journal.units.get_mut(name) {
            Some(unit) => unit,
            None => {
                let name = if journal.units.len() < UNITS { name } else { OTHER }.to_vec();
                let Some(unit) = self.unit(&name) else { return false };
                journal.units.entry(name).or_insert(unit)
            }
        };
        for group in [DATAPLANE, HOST] {
            if journal.blocked[group] || ordinal(log.readers[group].next()) != entry {
                continue;
            }
            if group != unit.group || !unit.shipped {
                log.readers[group].pass(behind(entry));
            } else if self.offer(log, group, unit, &mut journal.entry, entry, now).is_err() {
                journal.blocked[group] = true;
            }
        }
        if journal.entry.is_taken() {
            journal.held = None;
        }
        true
    }

    /// The log of a unit.
    fn unit(&mut self, name: &[u8]) -> Option<Unit> {
        let number = self.container(&Origin::Unit(name.to_vec()))?;
        let log = self.containers.get(&number)?;
        let group = if self.settings.is_dataplane(&log.name) { DATAPLANE } else { HOST };
        Some(Unit { number, group, shipped: log.shipped, says: Vec::new() })
    }

    /// Hands an entry on, in parts if it is longer than an event.
    fn offer(
        &mut self,
        log: &mut JournalLog,
        group: usize,
        unit: &mut Unit,
        entry: &mut Entry,
        number: u64,
        now: Instant,
    ) -> Result<(), Blocked> {
        let Some(owner) = self.containers.get_mut(&unit.number) else { return Ok(()) };
        if self.batcher.is_paused(owner.target, now) {
            return Err(Blocked);
        }
        if self.settings.format == Format::Json && !says(entry, &mut unit.says) {
            owner.wrappings[0] = Wrapping::json("message", &members(entry));
        }
        owner.active_at = now;
        let (numbers, readers, file) = (&log.numbers, &mut log.readers, &mut log.file);
        let reader = &mut readers[group];
        let first = reader.part();
        let (mut nth, mut from) = (0, 0u64);
        loop {
            let fits = owner.wrappings[0].fitting(&entry.message).min(entry.message.len());
            let last = fits == entry.message.len() && !entry.is_longer();
            if nth >= first {
                let splits = self.settings.oversize == crate::Oversize::Split;
                let mark = match (last, splits) {
                    (true, _) if nth == 0 => None,
                    (true, _) => Some(Mark::Ends { part: nth + 1 }),
                    (false, true) => Some(Mark::Continues { part: nth + 1 }),
                    (false, false) => Some(Mark::Truncated),
                };
                let ends = last || !splits;
                let end = if ends { behind(number) } else { part(number, nth + 1) };
                let line = reader.claim(end);
                let mut sink = FileSink {
                    batcher: &mut self.batcher,
                    ledger: &mut owner.ledger,
                    wrappings: &owner.wrappings,
                    settled: &mut reader.settled,
                    target: owner.target,
                    container: unit.number,
                    file: numbers[group],
                    format: self.settings.format,
                    oversize: self.settings.oversize,
                    syntax: Syntax::Plain,
                    multiline: &Multiline::Off,
                    excluded: &[],
                    paused: false,
                    settled_elsewhere: Vec::new(),
                    now,
                    now_ms: (self.now_ms)(),
                    scratch: &mut self.scratch,
                };
                let record = Record {
                    timestamp_ms: i64::try_from(entry.realtime_us / 1_000).ok(),
                    time: b"",
                    stream: Stream::Stdout,
                    content: &entry.message[..fits],
                    mark,
                    line,
                    pieces: None,
                    carried: None,
                    bytes: Some(fits as u64),
                    malformed: false,
                };
                let taken = sink.record(&record);
                if taken.is_ok() && ends && !last {
                    let rest = (entry.message.len() - fits) as u64;
                    sink.settle(end..end, rest, Reason::Truncated);
                }
                if let Err(blocked) = taken {
                    if nth > 0 {
                        // What was passed of the message is not in memory any more.
                        entry.take();
                    }
                    return Err(blocked);
                }
                reader.taken(end);
                if ends {
                    if nth > 0 || !last {
                        entry.take();
                    }
                    return Ok(());
                }
            }
            nth += 1;
            from += fits as u64;
            entry.message.drain(..fits);
            if entry.is_longer()
                && let Some(file) = file
                && file.read_on(entry, from + entry.message.len() as u64).is_err()
            {
                // What could be read of it is an event, and nothing more comes.
                entry.end();
            }
        }
    }
}

/// The unit that an entry is of.
fn unit_of(entry: &Entry) -> &[u8] {
    match (&*entry.unit, &*entry.transport, &*entry.identifier) {
        (b"", b"kernel", _) => b"kernel",
        (b"", b"audit", _) => b"audit",
        (b"", _, b"") => b"(no unit)",
        (b"", _, identifier) => identifier,
        (unit, _, _) => unit,
    }
}

/// Whether the wrapping that was made last says what this entry has to say; if not, notes what it will say.
fn says(entry: &Entry, said: &mut Vec<u8>) -> bool {
    let priority = [entry.priority.unwrap_or(b'-')];
    let parts: [&[u8]; 5] = [&entry.unit, &entry.identifier, &entry.pid, &priority, &entry.boot_id];
    let mut rest = said.as_slice();
    let same = parts.iter().all(|part| {
        let found = rest.strip_prefix(*part).and_then(|rest| rest.strip_prefix(b"\0"));
        rest = found.unwrap_or_default();
        found.is_some()
    });
    if !same {
        said.clear();
        for part in parts {
            said.extend_from_slice(part);
            said.push(0);
        }
    }
    same
}

/// What stands behind the message. `message` and `systemd_unit` are what Container Insights' queries of the dataplane expect.
fn members(entry: &Entry) -> String {
    use std::fmt::Write as _;
    let quoted = |text: &[u8]| serde_json::Value::from(String::from_utf8_lossy(text)).to_string();
    let mut text = String::new();
    let written = (|| {
        if !entry.unit.is_empty() {
            write!(text, ",\"systemd_unit\":{}", quoted(&entry.unit))?;
        }
        if let Some(priority) = entry.priority {
            write!(text, ",\"priority\":{priority}")?;
        }
        if !entry.identifier.is_empty() {
            write!(text, ",\"identifier\":{}", quoted(&entry.identifier))?;
        }
        if !entry.pid.is_empty() {
            write!(text, ",\"pid\":{}", quoted(&entry.pid))?;
        }
        text.push_str(",\"boot_id\":\"");
        entry.boot_id.iter().try_for_each(|byte| write!(text, "{byte:02x}"))?;
        text.push('"');
        Ok::<(), std::fmt::Error>(())
    })();
    written.expect("writing to a String does not fail");
    text
}
