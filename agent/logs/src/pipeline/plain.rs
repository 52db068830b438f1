//! Which plain file on disk is which file we know.
//!
//! A plain file may start like every other of its kind, so its head says less than a container's. What tells it is its inode,
//! and the bytes that were read last of it. Rotation renames it (`create`), or copies it and cuts the original
//! (`copytruncate`), or compresses it into another inode; the bytes that were not read go on wherever they are.

use safeguard_host::{Attributes, HostDir, HostError};
use tokio::time::Instant;

use super::files::LogFile;
use crate::discover::Found;
use crate::source::{HEAD, Head, Source};
use crate::tail::Syntax;
use crate::{ContainerNo, FileNo};

/// Compares a listing with the files we know: renames, opens, and adds. Errors are handed to `complain`. `true` if a file has
/// to be looked at again soon: it is a copy that is being made.
pub(super) fn reconcile_plain(
    files: &mut Vec<LogFile>,
    dir: &HostDir,
    found: &[Found],
    container: ContainerNo,
    next: &mut FileNo,
    now: Instant,
    mut complain: impl FnMut(String),
) -> bool {
    for file in files.iter_mut() {
        file.listed = false;
    }
    // First those that are certain: while we hold a file open, its inode cannot become another file's.
    let mut unsure = Vec::new();
    for item in found {
        match certain(files, item) {
            Some(index) => {
                let file = &mut files[index];
                file.listed = true;
                file.name.clone_from(&item.name);
                file.place = item.place.clone();
            }
            None => unsure.push(item),
        }
    }
    // A compressed form says what it is of once that has its place: of the two of a copy, one is read.
    unsure.sort_by_key(|item| item.place.gzip);
    let mut again = false;
    for item in unsure {
        match open(files, dir, item, container, next, now) {
            Ok(opened) => again |= opened == Opened::Copy,
            Err(error) if error.is_not_found() => {}
            Err(error) => complain(error.to_string()),
        }
    }
    for file in files.iter_mut().filter(|f| f.listed) {
        file.missing_since = now;
    }
    files.sort_by(|a, b| a.place.cmp(&b.place).then(a.number.cmp(&b.number)));
    again
}

/// The file that an inode certainly is: we hold it open, or it is as we left it when all of it was settled.
fn certain(files: &[LogFile], item: &Found) -> Option<usize> {
    let id = Some(item.attributes.id);
    files.iter().position(|file| {
        if item.place.gzip {
            return file.gzip_id == id && (file.finished || file.source.is_some());
        }
        let as_left = file.source.is_none()
            && file.finished
            && file.name == item.name
            && file.size == item.attributes.size
            && file.is_settled();
        file.id == id && (as_left || matches!(file.source, Some(Source::Plain(_))))
    })
}

/// What a file turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opened {
    /// One that is read, new or known.
    Log,
    /// The copy of a file that is still read itself.
    Copy,
}

fn open(
    files: &mut Vec<LogFile>,
    dir: &HostDir,
    item: &Found,
    container: ContainerNo,
    next: &mut FileNo,
    now: Instant,
) -> Result<Opened, HostError> {
    let file = dir.file(&item.name)?;
    let id = item.attributes.id;
    // Between the listing and the opening the name may have come to mean another file: the next listing will tell.
    if Attributes::of(&file).is_ok_and(|a| a.id != id) {
        return Ok(Opened::Log);
    }
    let mut source = if item.place.gzip { Source::gzip(file) } else { Source::Plain(file) };
    // A `.gz` that cannot be read gets an empty head here, and its error when it is tailed.
    let start = source.head().unwrap_or_default();
    files.iter_mut().for_each(LogFile::learn_head);
    let same_id = |f: &LogFile| if item.place.gzip { f.gzip_id == Some(id) } else { f.id == Some(id) };
    let free = |f: &LogFile| !f.listed && f.source.is_none();
    let mut index = None;
    for (i, file) in files.iter().enumerate().filter(|(_, f)| free(f)) {
        // Another inode only continues a rotated file; what is written now was never another.
        let may_be = same_id(file) || (!item.place.is_current() && file.head.len > 0);
        if may_be && continues(file, &mut source, &start, item) {
            index = Some(i);
            if same_id(file) {
                break;
            }
        }
    }
    if let Some(index) = index {
        take_over(&mut files[index], item, source, &start, now);
        return Ok(Opened::Log);
    }
    // Compressed while we still read the plain file, which has no name any more.
    if item.place.gzip
        && let Some(index) =
            files.iter().position(|f| !f.listed && f.source.is_some() && continues(f, &mut source, &start, item))
    {
        let file = &mut files[index];
        (file.gzip_id, file.listed) = (Some(id), true);
        file.name.clone_from(&item.name);
        file.place = item.place.clone();
        return Ok(Opened::Log);
    }
    // The inode is another file's now.
    for f in files.iter_mut().filter(|f| same_id(f)) {
        if item.place.gzip { f.gzip_id = None } else { f.id = None }
    }
    let half_made = match item.place.gzip {
        true => start.is_empty() || files.iter_mut().any(|f| is_packed(f, &mut source, &start)),
        false => !item.place.is_current() && files.iter_mut().any(|f| is_copy_of(f, &mut source, &start)),
    };
    if half_made {
        return Ok(Opened::Copy);
    }
    let number = *next;
    *next += 1;
    files.push(LogFile::new(number, container, Syntax::Plain, item, Head::of(&start), source, now));
    Ok(Opened::Log)
}

/// Whether a source may be the compressed form, half made, of a file that is or was there.
fn is_packed(file: &mut LogFile, source: &mut Source, start: &[u8]) -> bool {
    if file.place.gzip {
        return false;
    }
    if file.listed && file.source.is_some() {
        return holds_the_same(file, source, start);
    }
    let starts_alike = start.len() < usize::from(file.head.len) || file.head.matches(start);
    let mut reaches = |mark| matches!(source.mark(mark), Ok(Some(_)));
    starts_alike && (file.listed || !file.mark.is_some_and(|mark| reaches(mark.at)))
}

/// Whether a source is a copy, perhaps half made, of the file that is written now.
fn is_copy_of(file: &mut LogFile, source: &mut Source, start: &[u8]) -> bool {
    file.listed && file.place.is_current() && holds_the_same(file, source, start)
}

/// Whether a source may be a copy, plain or compressed, of a file that we hold open. What that file was is told by what is
/// known of it: it may have been cut since it was looked at, and then the next look makes the copy what it was.
fn holds_the_same(file: &mut LogFile, source: &mut Source, start: &[u8]) -> bool {
    let known = usize::from(file.head.len);
    let Some(original) = &mut file.source else { return false };
    let same_start = match start.len() < known || known == 0 {
        false => file.head.matches(start),
        true => original.head().is_ok_and(|head| head.starts_with(start) || head.len() < known),
    };
    let mut differs = |mark| source.mark(mark).is_ok_and(|copied| copied.is_some() && copied != file.mark);
    same_start && !file.mark.is_some_and(|mark| differs(mark.at))
}

/// Whether a source holds what was read of a file.
fn continues(file: &LogFile, source: &mut Source, start: &[u8], item: &Found) -> bool {
    if file.head.len == 0 {
        return file.settled.low_water() == 0;
    }
    if !file.head.matches(start) {
        return false;
    }
    let Some(mark) = file.mark else {
        // Nothing of it is settled: only its head is known. Of two that start alike, the one of the same size is likelier.
        return file.cut || usize::from(file.head.len) < HEAD || file.size <= item.attributes.size || item.place.gzip;
    };
    match source.mark(mark.at) {
        Ok(Some(found)) => found == mark,
        // What was written while the copy was made is not in it.
        Ok(None) => file.cut,
        Err(_) => false,
    }
}

fn take_over(file: &mut LogFile, item: &Found, source: Source, start: &[u8], now: Instant) {
    file.listed = true;
    if item.place.gzip {
        file.gzip_id = Some(item.attributes.id);
        file.id = None;
        if file.finished && file.is_settled() {
            return;
        }
    } else {
        file.id = Some(item.attributes.id);
    }
    file.name.clone_from(&item.name);
    file.place = item.place.clone();
    let size = source.size().ok().flatten().unwrap_or(u64::MAX);
    if size < file.tail.position() {
        // A copy that does not have what was written last, or not yet: there is nothing in it to read.
        (file.finished, file.size) = (true, size);
        return;
    }
    (file.finished, file.cut, file.caught_up_at) = (false, false, 0);
    file.source = Some(source);
    (file.next_look, file.look_every) = (now, 0);
    if usize::from(file.head.len) < start.len() {
        file.head = Head::of(start);
    }
}

#[cfg(test)]
mod tests;
