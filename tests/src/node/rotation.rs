//! What kubelet does to a container's log files, step by step
//! (`pkg/kubelet/logs/container_log_manager.go` in kubernetes/kubernetes).

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

/// kubelet's default for `containerLogMaxFiles`: the live log and all rotated ones.
pub const MAX_FILES: usize = 5;

/// Before the live log is renamed: deletes what an interrupted rotation left and the oldest rotated logs, so that at
/// most `max_files` will remain, then compresses the other rotated logs.
///
/// # Errors
/// Of the file system, naming the path.
pub fn prepare(log: &Path, max_files: usize) -> io::Result<()> {
    let all = siblings(log, ".")?;
    let (mut logs, unused): (Vec<_>, Vec<_>) = all.iter().cloned().partition(|path| is_in_use(path, &all));
    for path in unused {
        remove(&path)?;
    }
    // The live log and the one it is about to become also count.
    let excess = logs.len().saturating_sub(max_files.saturating_sub(2));
    for path in logs.drain(..excess) {
        remove(&path)?;
    }
    for path in logs.iter().filter(|path| !has_extension(path, "gz")) {
        compress(path).map_err(|e| naming("compress", path, &e))?;
    }
    Ok(())
}

/// When a container is removed: deletes its log and everything whose name starts with the log's (`<path>*`).
///
/// # Errors
/// Of the file system, naming the path.
pub fn clean(log: &Path) -> io::Result<()> {
    siblings(log, "")?.iter().try_for_each(|path| remove(path))
}

/// The rotated logs of `log`, oldest first; compressed or not.
///
/// # Errors
/// Of the file system, naming the path.
pub fn rotated(log: &Path) -> io::Result<Vec<PathBuf>> {
    siblings(log, ".")
}

/// `<log>` to `<log>.gz` by way of `<log>.tmp`.
fn compress(log: &Path) -> io::Result<()> {
    let mut source = File::open(log)?;
    let temporary = with_suffix(log, ".tmp");
    let mut encoder = GzEncoder::new(File::create(&temporary)?, Compression::default());
    io::copy(&mut source, &mut encoder)?;
    encoder.finish()?;
    std::fs::rename(&temporary, with_suffix(log, ".gz"))?;
    remove(log)
}

/// The files beside `log` whose name is the log's with `then` and anything after it, sorted.
fn siblings(log: &Path, then: &str) -> io::Result<Vec<PathBuf>> {
    let directory = log.parent().ok_or_else(|| naming("list", log, &io::Error::other("it has no directory")))?;
    let prefix = with_suffix(log, then);
    let prefix = prefix.as_os_str().as_encoded_bytes();
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(|e| naming("list", directory, &e))? {
        let path = entry?.path();
        if path.as_os_str().as_encoded_bytes().starts_with(prefix) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Whether a rotated log is neither a temporary file nor one whose compressed form exists already.
fn is_in_use(path: &Path, all: &[PathBuf]) -> bool {
    has_extension(path, "gz") || !(has_extension(path, "tmp") || all.contains(&with_suffix(path, ".gz")))
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found == extension)
}

pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn remove(path: &Path) -> io::Result<()> {
    std::fs::remove_file(path).map_err(|e| naming("remove", path, &e))
}

/// The error with what failed and where.
pub(super) fn naming(what: &str, path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what} {}: {error}", path.display()))
}
