//! The modules of one kernel on disk.

use std::path::{Path, PathBuf};

use safeguard_host::Kind;

use crate::host::Host;
use crate::observed::{Cause, Observed, Unobserved};

/// Most bytes of `modules.dep` and `modules.builtin`. A kernel of a distribution has 0.7 MB of the first.
const MAX_LIST: u64 = 16 << 20;

/// The lists of a kernel: what is a part of it, and what can be loaded (depmod(8)).
const LISTS: [&str; 2] = ["modules.builtin", "modules.dep"];

/// The modules of one kernel: names, with `_` for `-`, one a line.
#[derive(Debug)]
pub(crate) struct Tree {
    /// Where they are: `/lib/modules/VERSION`.
    pub(crate) directory: PathBuf,
    built_in: Vec<u8>,
    on_disk: Vec<u8>,
}

impl Tree {
    /// Reads the lists that `depmod` and the kernel's build made.
    pub(crate) fn read(host: &Host, directory: PathBuf) -> Observed<Self> {
        let list = |name: &str| {
            let path = directory.join(name);
            let missing = || {
                let what = "is not there, so which modules there are cannot be told";
                Unobserved::new(Cause::Missing, format!("{}: {what}", path.display()))
            };
            let list = host.bytes(&path, MAX_LIST)?.ok_or_else(missing)?;
            names(&list).map_err(|line| Unobserved::line(&path, line, "is no path of a module"))
        };
        let [built_in, on_disk] = LISTS;
        Ok(Self { built_in: list(built_in)?, on_disk: list(on_disk)?, directory })
    }

    /// Whether the module is a part of the kernel.
    pub(crate) fn is_built_in(&self, name: &str) -> bool {
        contains(&self.built_in, name)
    }

    /// Whether the module is a file that can be loaded.
    pub(crate) fn is_on_disk(&self, name: &str) -> bool {
        contains(&self.on_disk, name)
    }

    /// The list of what is a part of the kernel.
    pub(crate) fn built_in_list(&self) -> String {
        self.directory.join(LISTS[0]).display().to_string()
    }

    /// The list of what can be loaded.
    pub(crate) fn on_disk_list(&self) -> String {
        self.directory.join(LISTS[1]).display().to_string()
    }
}

/// The names in a list of paths, each before its colon if it has one: `kernel/fs/x-y.ko.xz: …` is `x_y`. All in one piece of
/// memory, because there are thousands and most are never asked for. A module that is in no list cannot be loaded, so what is no
/// list must not be taken for one that is short: the error is the number of the first line that names no module.
fn names(list: &[u8]) -> Result<Vec<u8>, usize> {
    let mut names = Vec::with_capacity(list.len() / 8);
    for (index, line) in list.split(|b| *b == b'\n').enumerate().filter(|(_, line)| !line.is_empty()) {
        let path = line.split(|b| *b == b':').next().unwrap_or_default();
        let mut parts = path.rsplit(|b| *b == b'/').next().unwrap_or_default().split(|b| *b == b'.');
        match (parts.next(), parts.next()) {
            (Some(name), Some(b"ko")) if !name.is_empty() => {
                names.extend(name.iter().map(|b| if *b == b'-' { b'_' } else { *b }));
                names.push(b'\n');
            }
            _ => return Err(index + 1),
        }
    }
    names.shrink_to_fit();
    Ok(names)
}

fn contains(names: &[u8], name: &str) -> bool {
    let name = name.replace('-', "_");
    !name.is_empty() && names.split(|b| *b == b'\n').any(|own| own == name.as_bytes())
}

/// Where modules of kernels are; the second is the first by another name on most hosts.
const ABOVE: [&str; 2] = ["/lib/modules", "/usr/lib/modules"];

/// Where the modules of a kernel are.
pub(crate) fn of_version(host: &Host, version: &str) -> Observed<Option<PathBuf>> {
    for above in ABOVE {
        let directory = Path::new(above).join(version);
        if host.attributes(&directory)?.is_some() {
            return Ok(Some(directory));
        }
    }
    Ok(None)
}

/// Where the modules of each kernel on disk are.
pub(crate) fn of_all(host: &Host) -> Observed<Vec<PathBuf>> {
    let mut directories = Vec::new();
    let mut seen = Vec::new();
    for above in ABOVE {
        let above = Path::new(above);
        let Some(attributes) = host.attributes(above)? else { continue };
        if seen.contains(&attributes.id) {
            continue;
        }
        seen.push(attributes.id);
        for entry in host.entries(above)?.unwrap_or_default() {
            let directory = above.join(entry.name);
            if !host.attributes(&directory)?.is_some_and(|a| a.kind == Kind::Directory) {
                continue;
            }
            // What a removed kernel leaves behind has no list of either kind.
            let mut is_kernel = false;
            for list in LISTS {
                is_kernel |= host.attributes(&directory.join(list))?.is_some();
            }
            directories.extend(is_kernel.then_some(directory));
        }
    }
    Ok(directories)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_files_without_directory_and_ending() {
        let list =
            names(b"kernel/fs/squashfs/squashfs.ko.xz: kernel/lib/a.ko\nkernel/x/usb-storage.ko:\nkernel/y/e.ko\n\n")
                .unwrap();
        assert_eq!(list, b"squashfs\nusb_storage\ne\n");
        assert!(contains(&list, "usb-storage") && contains(&list, "usb_storage") && contains(&list, "e"));
        assert!(!contains(&list, "squash") && !contains(&list, "a") && !contains(&list, ""));
        assert!(!contains(&list, "squashfs\nusb_storage"));
    }

    #[test]
    fn what_is_no_list_of_modules_is_refused() {
        for (list, line) in [
            (&b"kernel/x/a.ko:\n[{[{[{\n"[..], 2),
            (b"aaaa", 1),
            (b"kernel/x/.ko:\n", 1),
            (b"kernel/x/a.txt:\n", 1),
            (b"kernel/x/a.ko\n\xff\n", 2),
        ] {
            assert_eq!(names(list), Err(line), "{}", list.escape_ascii());
        }
        // A kernel without modules is one.
        assert_eq!(names(b""), Ok(Vec::new()));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            contains(&names(&bytes).unwrap_or_default(), "x");
        }
    }
}
