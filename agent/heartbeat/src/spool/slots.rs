//! Two files that are written over in turns, for beats that are acknowledged before there is another, as nearly all are.
//!
//! Nothing of a directory changes then, and no file grows: one `fdatasync` a beat, and no room on a disk that is full. The one that
//! was written before stays whole while the other is written, so a crash at any moment leaves at least that.

use std::path::{Path, PathBuf};

use crate::disk::{self, DiskError};
use crate::spool::record;

const NAMES: [&str; 2] = ["0.slot", "1.slot"];

#[derive(Debug)]
pub(crate) struct Slots {
    paths: [PathBuf; 2],
    /// The one that is written next.
    next: usize,
}

/// What the slots hold when they are opened.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// The number of the last beat in them, which may be damaged. The other one was acknowledged before that was written.
    pub(crate) last: Option<u64>,
    /// Those that are there and do not tell their number.
    pub(crate) unknown: Vec<PathBuf>,
}

impl Slots {
    /// Reads what is there, and takes the room that it has not yet.
    pub(crate) fn open(dir: &Path) -> (Self, Found) {
        let paths = NAMES.map(|name| dir.join(name));
        let mut unknown = Vec::new();
        let numbers = paths.each_ref().map(|path| {
            let number = match record::bytes(path) {
                Ok(None) => None,
                Ok(Some(file)) if record::is_blank(&file) => None,
                Ok(Some(file)) => match record::read(&file) {
                    Some(record) => Some(record.sequence),
                    None => {
                        unknown.push(path.clone());
                        return None;
                    }
                },
                Err(error) => {
                    tracing::warn!(%error, "A beat cannot be read.");
                    unknown.push(path.clone());
                    return None;
                }
            };
            if let Err(error) = disk::pad(path, record::MOST, record::BLANK) {
                tracing::warn!(%error, "The room for beats cannot be taken: a disk that is full may keep them from being sent.");
            }
            number
        });
        let [first, second] = numbers;
        (Self { paths, next: usize::from(first > second) }, Found { last: first.max(second), unknown })
    }

    /// The file of the beat that was put last.
    pub(crate) fn last(&self) -> &Path {
        &self.paths[1 - self.next]
    }

    /// Writes a beat: on the disk when this returns.
    pub(crate) fn put(&mut self, file: &[u8]) -> Result<(), DiskError> {
        disk::overwrite(&self.paths[self.next], file)?;
        self.next = 1 - self.next;
        Ok(())
    }

    /// Empties both, which keep their room.
    pub(crate) fn clear(&self) -> Result<(), DiskError> {
        let blanks = [record::BLANK; record::MOST];
        // The older one first: alone it would be taken for the last.
        for path in [&self.paths[self.next], &self.paths[1 - self.next]] {
            // A beat that nobody is to send goes, with its room if it cannot be without.
            disk::overwrite(path, &blanks).or_else(|_| disk::remove(path))?;
        }
        Ok(())
    }
}
