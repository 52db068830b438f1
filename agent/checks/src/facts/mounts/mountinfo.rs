//! `/proc/PID/mountinfo` (proc_pid_mountinfo(5)): what is mounted where now.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::options::Options;

/// Most mounts on top of each other on one point that are looked through. More are a loop in what was read.
const MAX_STACK: usize = 256;

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    id: u32,
    parent: u32,
    /// Where it is, in PID 1's tree.
    point: PathBuf,
    /// The type of its file system.
    pub(crate) file_system: String,
    own: String,
    whole: String,
}

/// All mounts, in the kernel's order.
#[derive(Debug, Default)]
pub(crate) struct Table(Vec<Mount>);

impl Mount {
    /// Its options together with those of the file system.
    pub(crate) fn options(&self) -> Options {
        Options::of_mount(&self.own, &self.whole)
    }

    /// Its own options, as the kernel lists them.
    pub(crate) fn own(&self) -> &str {
        &self.own
    }

    fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = line.split(|b| *b == b' ');
        let mut text = || fields.next().map(|field| String::from_utf8_lossy(field).into_owned());
        let (id, parent) = (text()?.parse().ok()?, text()?.parse().ok()?);
        let (_device, _root) = (fields.next()?, fields.next()?);
        let point = unescape(fields.next()?);
        // An option that is not UTF-8 is none that a policy can name, so nothing is decided by what is put in its place.
        let own = String::from_utf8_lossy(fields.next()?).into_owned();
        // As many optional fields as there are, and then a dash.
        fields.by_ref().find(|field| *field == b"-")?;
        let file_system = String::from_utf8_lossy(fields.next()?).into_owned();
        let _source = fields.next()?;
        let whole = fields.next().map(|field| String::from_utf8_lossy(field).into_owned()).unwrap_or_default();
        Some(Self { id, parent, point: PathBuf::from(OsStr::from_bytes(&point)), file_system, own, whole })
    }
}

impl Table {
    /// Reads the whole file. The error is the line, counted from 1, that makes no sense.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, usize> {
        let lines = bytes.split(|b| *b == b'\n').enumerate().filter(|(_, line)| !line.is_empty());
        lines.map(|(at, line)| Mount::parse(line).ok_or(at + 1)).collect::<Result<_, _>>().map(Self)
    }

    /// The mount that a path leads to, if the path is its mount point: what is mounted there last, unless something was mounted
    /// over a directory above it. It goes as the kernel goes: from the root, at each directory into what is mounted on it.
    pub(crate) fn at(&self, path: &Path) -> Option<&Mount> {
        let mut above: Vec<&Path> = path.ancestors().collect();
        above.reverse();
        let mut current = self.root()?;
        for directory in above {
            for _ in 0..MAX_STACK {
                let Some(next) = self.on(current, directory) else { break };
                current = next;
            }
        }
        (current.point == path).then_some(current)
    }

    /// Whether a file system of this type is mounted anywhere.
    pub(crate) fn has_file_system(&self, name: &str) -> bool {
        self.0.iter().any(|mount| mount.file_system == name)
    }

    /// What is mounted on a directory of a mount.
    fn on(&self, parent: &Mount, directory: &Path) -> Option<&Mount> {
        let is_on = |mount: &Mount| mount.parent == parent.id && mount.id != parent.id;
        // Both are plain, so their texts say it; comparing part by part takes longer than all the rest.
        self.0.iter().rfind(|m| is_on(m) && m.point.as_os_str() == directory.as_os_str())
    }

    /// The first mount on `/` that is on no other mount of the table: all others are on it.
    fn root(&self) -> Option<&Mount> {
        let on_top = |mount: &Mount| self.0.iter().any(|other| other.id == mount.parent && other.id != mount.id);
        self.0.iter().find(|mount| mount.point == Path::new("/") && !on_top(mount))
    }
}

/// Undoes what the kernel, fstab(5) and systemd do to blanks: `\040` is one.
pub(crate) fn unescape(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        let escaped = behind.first_chunk().filter(|_| *first == b'\\').and_then(octal);
        plain.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { behind.get(3..).unwrap_or_default() } else { behind };
    }
    plain
}

fn octal(digits: &[u8; 3]) -> Option<u8> {
    digits.iter().try_fold(0_u8, |number, digit| {
        let digit = digit.checked_sub(b'0').filter(|d| *d < 8)?;
        number.checked_mul(8)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        Table::parse(text.as_bytes()).unwrap()
    }

    fn kind(table: &Table, path: &str) -> Option<String> {
        table.at(Path::new(path)).map(|mount| mount.file_system.clone())
    }

    const ROOT: &str = "20 1 259:1 / / rw,noatime shared:1 - xfs /dev/nvme0n1p1 rw,seclabel\n";

    #[test]
    fn a_line_is_read_with_any_number_of_optional_fields() {
        for optional in ["", "shared:7 ", "shared:7 master:1 propagate_from:2 unbindable "] {
            let line = format!("30 20 0:26 / /dev/shm rw,nosuid,nodev {optional}- tmpfs tmpfs rw,size=8G\n");
            let table = table(&format!("{ROOT}{line}"));
            let shm = table.at(Path::new("/dev/shm")).unwrap();
            assert_eq!(shm.file_system, "tmpfs");
            assert_eq!(shm.own(), "rw,nosuid,nodev");
            let options = shm.options();
            assert!(options.has("nodev") && options.has("size=8G") && !options.has("noexec"));
        }
    }

    #[test]
    fn blanks_in_names_are_escaped() {
        let table = table(&format!("{ROOT}30 20 0:1 / /mnt/a\\040b\\134c\\043 rw - ext4 /dev/x rw\n"));
        assert!(table.at(Path::new("/mnt/a b\\c#")).is_some());
        assert_eq!(unescape(b"\\777\\04\\x\\"), b"\\777\\04\\x\\");
        assert_eq!(unescape(b"\\011\\012"), b"\t\n");
    }

    #[test]
    fn names_that_are_not_utf8_do_not_hide_the_others() {
        let mut text = ROOT.as_bytes().to_vec();
        text.extend(b"30 20 0:1 / /mnt/\xff rw - ext4 /dev/x rw\n31 20 0:2 / /tmp rw,nodev - tmpfs tmpfs rw\n");
        assert!(Table::parse(&text).unwrap().at(Path::new("/tmp")).is_some());
    }

    #[test]
    fn the_last_mount_on_a_point_counts() {
        let table =
            table(&format!("{ROOT}30 20 0:1 / /tmp rw,nodev - tmpfs tmpfs rw\n31 30 0:2 / /tmp rw - ext4 /dev/x rw\n"));
        assert_eq!(kind(&table, "/tmp").as_deref(), Some("ext4"));
    }

    #[test]
    fn a_mount_below_a_directory_that_was_mounted_over_is_gone() {
        let table = table(&format!(
            "{ROOT}30 20 0:1 / /var/log rw,nodev - xfs /dev/y rw\n31 20 0:2 / /var rw - ext4 /dev/x rw\n"
        ));
        assert_eq!(kind(&table, "/var").as_deref(), Some("ext4"));
        assert_eq!(kind(&table, "/var/log"), None);
    }

    #[test]
    fn a_directory_of_a_mount_is_no_mount_point() {
        let table = table(ROOT);
        assert_eq!(kind(&table, "/").as_deref(), Some("xfs"));
        assert_eq!(kind(&table, "/tmp"), None);
        assert_eq!(kind(&table, "relative"), None);
    }

    #[test]
    fn a_root_that_was_mounted_over_is_gone() {
        let table = table(&format!(
            "1 1 0:1 / / rw - rootfs rootfs rw\n{}30 20 0:1 / /tmp rw - tmpfs tmpfs rw\n",
            "20 1 259:1 / / rw - xfs /dev/nvme0n1p1 rw\n"
        ));
        assert_eq!(kind(&table, "/").as_deref(), Some("xfs"));
        assert_eq!(kind(&table, "/tmp").as_deref(), Some("tmpfs"));
    }

    #[test]
    fn a_loop_of_parents_ends() {
        let table = table(
            "1 9 0:1 / / rw - a a rw\n2 3 0:1 / / rw - b b rw\n3 1 0:1 / / rw - c c rw\n1 2 0:1 / / rw - d d rw\n",
        );
        assert!(table.at(Path::new("/")).is_none_or(|m| m.point == Path::new("/")));
    }

    #[test]
    fn a_line_that_makes_no_sense_is_named() {
        for bad in
            ["x", "30 20 0:1 / /tmp rw tmpfs tmpfs rw", "30 x 0:1 / / rw - a b c", "99999999999 1 0:1 / / rw - a b c"]
        {
            assert_eq!(Table::parse(format!("{ROOT}{bad}\n").as_bytes()).unwrap_err(), 2, "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            Table::parse(&bytes).ok();
            unescape(&bytes);
        }
    }
}
