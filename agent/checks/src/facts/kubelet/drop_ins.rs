//! The drop-ins of `--config-dir`, found as `filepath.WalkDir` finds them.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use safeguard_host::Kind;

use crate::host::Host;
use crate::observed::{Cause, Observed, Unobserved};

/// Most names below the directory.
const MAX_NAMES: usize = 1000;

/// Deepest directory below it.
const MAX_DEPTH: usize = 8;

/// The drop-ins in the order in which they are laid over the file: by the bytes of their names, directories where their own name
/// is. Links to directories are not followed, not even the directory itself; links to files are.
///
/// # Errors
/// If the directory does not exist, cannot be read, or holds too much. The kubelet does not start without it.
pub(crate) fn find(host: &Host, directory: &Path) -> Observed<Vec<PathBuf>> {
    let whole = directory.as_os_str().as_bytes().ends_with(b"/");
    let kind = host.attributes_of_link(directory)?.map(|seen| seen.kind);
    let mut found = Vec::new();
    match kind {
        None => {
            let message =
                format!("{}: does not exist; the kubelet does not start without its drop-ins", directory.display());
            Err(Unobserved::new(Cause::NotAFile, message))
        }
        Some(Kind::Symlink) if !whole => Ok(found),
        Some(_) => {
            let mut left = MAX_NAMES;
            walk(host, directory, MAX_DEPTH, &mut left, &mut found)?;
            Ok(found)
        }
    }
}

fn walk(host: &Host, directory: &Path, depth: usize, left: &mut usize, found: &mut Vec<PathBuf>) -> Observed<()> {
    let too_much = || Unobserved::new(Cause::TooMuch, format!("{}: holds too much", directory.display()));
    let depth = depth.checked_sub(1).ok_or_else(too_much)?;
    for entry in host.entries(directory)?.unwrap_or_default() {
        *left = left.checked_sub(1).ok_or_else(too_much)?;
        let path = directory.join(&entry.name);
        let kind = match entry.kind {
            Some(kind) => Some(kind),
            None => host.attributes_of_link(&path)?.map(|seen| seen.kind),
        };
        if kind == Some(Kind::Directory) {
            walk(host, &path, depth, left, found)?;
        } else if entry.name.as_bytes().ends_with(b".conf") {
            found.push(path);
        }
    }
    Ok(())
}
