//! The one place of this room that touches its state directory. What was written is on the disk.

#![expect(clippy::disallowed_methods, reason = "the one place of this room that touches its own state directory")]

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::libc::{O_NOFOLLOW, O_NONBLOCK};

/// Why the state directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} {}: {source}", .path.display())]
pub(crate) struct DiskError {
    what: &'static str,
    path: PathBuf,
    source: io::Error,
}

fn wrong<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> DiskError + 'a {
    move |source| DiskError { what, path: path.to_owned(), source }
}

/// Makes a directory that only its owner may look into.
pub(crate) fn make_dir(path: &Path) -> Result<(), DiskError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(wrong("make", path))
}

/// Puts a file there that only its owner may read: written beside it, synced, and renamed.
pub(crate) fn put(path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    let new = path.with_extension("new");
    let write = || -> io::Result<()> {
        write_synced(&new, bytes)?;
        std::fs::rename(&new, path)?;
        sync_dir(path)
    };
    write().map_err(wrong("write", path))
}

/// Writes over the beginning of a file, which is made if it is not there, for its owner alone. A crash may leave a part of what is
/// written, between parts of what was there: whoever reads it has to see that. A file that cannot be written for another reason
/// than a lack of room is removed, so that the next one is another: its place on the disk may be broken.
pub(crate) fn overwrite(path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    let write = || -> io::Result<()> {
        let mut options = OpenOptions::new();
        match options.write(true).custom_flags(O_NOFOLLOW | O_NONBLOCK).open(path) {
            Ok(mut file) => {
                let written = file.write_all(bytes).and_then(|()| file.sync_data());
                let room =
                    |error: &io::Error| matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
                written.inspect_err(|error| {
                    if !room(error) {
                        drop(std::fs::remove_file(path))
                    }
                })
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // What is there of a file that did not fit helps nobody.
                let made = write_synced(path, bytes).and_then(|()| sync_dir(path));
                made.inspect_err(|_| drop(std::fs::remove_file(path)))
            }
            Err(error) => Err(error),
        }
    };
    write().map_err(wrong("write", path))
}

/// Makes a file as long as it has to be, with `blank` after what it holds. It is made if it is not there, for its owner alone.
pub(crate) fn pad(path: &Path, length: usize, blank: u8) -> Result<(), DiskError> {
    let write = || -> io::Result<()> {
        let mut options = OpenOptions::new();
        let options = options.append(true).create(true).mode(0o600).custom_flags(O_NOFOLLOW | O_NONBLOCK);
        let mut file = options.open(path)?;
        let held = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        if held < length {
            file.write_all(&vec![blank; length.saturating_sub(held)])?;
            file.sync_all()?;
            sync_dir(path)?;
        }
        Ok(())
    };
    write().map_err(wrong("write", path))
}

/// Writes what a file holds over it, and its name too: what was only in memory is on the disk then.
pub(crate) fn rewrite(path: &Path) -> Result<(), DiskError> {
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().read(true).write(true).custom_flags(O_NOFOLLOW | O_NONBLOCK).open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        file.rewind()?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        sync_dir(path)
    };
    write().map_err(wrong("write", path))
}

/// Removes a file, if it is there. It may be back after a crash.
pub(crate) fn remove(path: &Path) -> Result<(), DiskError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(wrong("remove", path)(error)),
        _ => Ok(()),
    }
}

/// A regular file of at most `most` bytes that the operator named, which may be a link.
pub(crate) fn read_followed(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    read_regular(path, most, 0)
}

fn read_regular(path: &Path, most: u64, flags: i32) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new().read(true).custom_flags(O_NONBLOCK | flags).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() > most {
        return Err(io::Error::other(format!("it is no regular file of at most {most} bytes")));
    }
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A regular file of at most `most` bytes in the state directory; `None` if there is none.
pub(crate) fn read(path: &Path, most: u64) -> Result<Option<Vec<u8>>, DiskError> {
    match read_regular(path, most, O_NOFOLLOW) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(wrong("read", path)(error)),
    }
}

/// The names in a directory that are text.
pub(crate) fn names(path: &Path) -> Result<Vec<String>, DiskError> {
    let entries = std::fs::read_dir(path).map_err(wrong("list", path))?;
    let names = entries.map(|entry| Ok(entry?.file_name().into_string().ok()));
    Ok(names.collect::<io::Result<Vec<_>>>().map_err(wrong("list", path))?.into_iter().flatten().collect())
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).custom_flags(O_NOFOLLOW).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync_dir(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}
