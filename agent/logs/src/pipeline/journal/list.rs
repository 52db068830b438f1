//! Which journal files there are.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use safeguard_host::{HostDir, HostError, Kind};
use tokio::time::Instant;

use super::{Journal, JournalLog, Reader};
use crate::journal::{FileId128, JournalFile};
use crate::pipeline::Pipeline;

/// `<machine id>`, or `<machine id>.<namespace>`
fn is_journal_dir(name: &OsStr) -> bool {
    let name = name.as_bytes();
    let hex = name.get(..32).is_some_and(|id| id.iter().all(u8::is_ascii_hexdigit));
    hex && matches!(name.get(32), None | Some(b'.'))
}

/// What journald writes, what it has closed, and what it found unclean and has set aside (`~`).
fn is_journal(name: &OsStr) -> bool {
    name.as_bytes().ends_with(b".journal") || name.as_bytes().ends_with(b".journal~")
}

impl Pipeline {
    /// Compares the journal files on disk with those we know.
    pub(in crate::pipeline) fn list_journals(&mut self, now: Instant) {
        let Some(settings) = &self.settings.journal else { return };
        let mut seen = true;
        self.journal.files.iter_mut().for_each(|log| log.listed = false);
        for path in settings.dirs.clone() {
            self.watch.add(&self.host.locate(&path));
            let machines = match self.host.dir(&path).and_then(|dir| dir.entries().map(|e| (dir, e))) {
                Ok(listed) => listed,
                Err(error) if error.is_not_found() => {
                    // A directory that is made again is another one.
                    self.watch.forget(&self.host.locate(&path));
                    continue;
                }
                Err(error) => {
                    self.journal.complain(error.to_string());
                    seen = false;
                    continue;
                }
            };
            let (dir, entries) = machines;
            for entry in entries.into_iter().filter(|e| is_journal_dir(&e.name)) {
                self.watch.add(&self.host.locate(&path).join(&entry.name));
                match dir.dir(&entry.name).and_then(|machine| self.journal.list(&machine, &mut self.next_file, now)) {
                    Ok(()) => {}
                    Err(error) if error.is_not_found() => {}
                    Err(error) => {
                        self.journal.complain(error.to_string());
                        seen = false;
                    }
                }
            }
        }
        if !seen {
            // Not seen is not gone.
            self.journal.files.iter_mut().for_each(|log| log.missing_since = now);
        }
        self.journal.find_gaps();
        self.journal.forget_files(now, self.settings.missing_period);
        self.journal.look(now);
    }
}

impl Journal {
    fn list(&mut self, dir: &HostDir, next: &mut u32, now: Instant) -> Result<(), HostError> {
        let mut names: Vec<_> = dir.entries()?.into_iter().map(|e| e.name).filter(|name| is_journal(name)).collect();
        names.sort();
        for name in names {
            // A file that goes away between the listing and this look is rotation at work.
            let Ok(attributes) = dir.attributes(&name) else { continue };
            if attributes.kind != Kind::File {
                let path = dir.path().join(&name);
                self.complain(format!(
                    "{} is not a regular file ({:?}); it is not read",
                    path.display(),
                    attributes.kind
                ));
                continue;
            }
            let found = |log: &&mut JournalLog| log.inode == Some(attributes.id);
            if let Some(log) = self.files.iter_mut().find(found)
                && (log.file.is_some() || log.settled_entries() >= log.entries)
            {
                (log.listed, log.name, log.missing_since) = (true, name, now);
                continue;
            }
            let file = match dir.file(&name) {
                Ok(file) => file,
                Err(error) if error.is_not_found() => continue,
                Err(error) => {
                    self.complain(error.to_string());
                    continue;
                }
            };
            match JournalFile::open(file) {
                Ok(file) => {
                    let log = self.known(file, next, now);
                    (log.listed, log.name, log.missing_since) = (true, name, now);
                    log.inode = Some(attributes.id);
                }
                Err(error) => self.complain(format!("{}: {error}", dir.path().join(&name).display())),
            }
        }
        Ok(())
    }

    /// The log that an open file belongs to, known or new.
    fn known(&mut self, file: JournalFile, next: &mut u32, now: Instant) -> &mut JournalLog {
        let index = self.files.iter().position(|log| log.id == file.id()).unwrap_or_else(|| {
            self.files.push(JournalLog {
                numbers: [*next, *next + 1],
                id: file.id(),
                name: std::ffi::OsString::new(),
                inode: None,
                file: None,
                readers: [Reader::default(), Reader::default()],
                entries: 0,
                numbering: file.numbering().seqnum_id,
                next_seqnum: 0,
                read_ms: None,
                listed: true,
                missing_since: now,
                retry_at: None,
                until: self.draining.then_some(0),
            });
            *next += 2;
            self.files.len() - 1
        });
        let log = &mut self.files[index];
        if log.file.is_none() {
            log.entries = file.entries();
            // What was delivered to the end of a closed file is not held open.
            if !(file.is_archived() && log.settled_entries() >= log.entries) {
                log.file = Some(file);
            }
        }
        log
    }

    /// Counts entries that nobody can read any more: their numbers lie between what was read and what there is.
    fn find_gaps(&mut self) {
        let numbers = |log: &JournalLog| log.file.as_ref().map(JournalFile::numbering).filter(|n| n.head > 0);
        let mut gaps: Vec<(FileId128, u64, u64)> = Vec::new();
        for (id, next) in self.next_seqnums.iter().filter(|(_, next)| **next > 0) {
            let of: Vec<_> = self.files.iter().filter_map(numbers).filter(|n| n.seqnum_id == *id).collect();
            let covered = of.iter().any(|n| n.head <= *next && *next <= n.tail + 1);
            let first = of.iter().map(|n| n.head).filter(|head| head > next).min();
            if let (false, Some(first)) = (covered, first) {
                gaps.push((*id, *next, first));
            }
        }
        for (id, next, first) in gaps {
            let entries = first - next;
            tracing::error!(entries, "Journal entries were deleted before they were read.");
            self.vacuumed += entries;
            self.next_seqnums.insert(id, first);
        }
    }

    /// Forgets files that are gone, and closes those that are done.
    fn forget_files(&mut self, now: Instant, missing_period: std::time::Duration) {
        for log in self.files.iter_mut().filter(|log| log.file.is_some() && log.is_done()) {
            log.file = None;
        }
        let mut unread = 0;
        self.files.retain(|log| {
            let gone = !log.listed && log.file.is_none() && now.duration_since(log.missing_since) >= missing_period;
            if gone {
                unread += log.entries.saturating_sub(log.settled_entries());
            }
            !gone
        });
        if unread > 0 {
            tracing::error!(entries = unread, "Journal files were deleted before they were read.");
            self.vacuumed += unread;
        }
    }
}
