//! Two files that are written over in turns, for a beat that is acknowledged before there is another, as nearly all are.
//!
//! Nothing of a directory changes then, and no file grows: one `fdatasync` a beat. The one that was written before stays whole
//! while the other is written, so a crash at any moment leaves at least that.

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

impl Slots {
    /// Gives the number of the last beat too, if there is one. The other slot is from before it.
    pub(crate) fn open(dir: &Path) -> (Self, Option<u64>) {
        let paths = NAMES.map(|name| dir.join(name));
        let [first, second] = paths.each_ref().map(|path| Some(record::read(&record::of(path)?)?.sequence));
        (Self { paths, next: usize::from(first > second) }, first.max(second))
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

    /// Removes both.
    pub(crate) fn clear(&self) -> Result<(), DiskError> {
        // The older one first: alone it would be taken for the last.
        disk::remove(&self.paths[self.next])?;
        disk::remove(self.last())
    }
}
