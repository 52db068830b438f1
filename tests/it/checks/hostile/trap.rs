//! What somebody puts in the place of a file.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::mkfifo;

/// Length of a file that nobody wants to read: 1 GB.
const HUGE: u64 = 1_000_000_000;

/// As long as a configuration file may be, and no parser may take a frame of the stack for each byte of it.
const LONG: usize = 1 << 20;

/// What is there instead of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trap {
    /// Opening it waits for a writer.
    Fifo,
    /// `/dev/zero`: reading it never ends.
    Device,
    Socket,
    Directory,
    /// To the file itself, by its path on the machine that looks: it has that content, but lies outside of the root.
    LinkOut,
    /// The same by way of more `..` than there are directories.
    LinkUp,
    LinkNowhere,
    LinkToItself,
    /// A hole of 1 GB.
    Huge,
    /// Bytes that are no text.
    Garbage,
    /// Brackets that open and never close.
    Deep,
    /// One line without an end.
    LongLine,
}

impl Trap {
    /// All of them.
    pub(crate) const ALL: [Self; 12] = [
        Self::Fifo,
        Self::Device,
        Self::Socket,
        Self::LinkToItself,
        Self::Directory,
        Self::LinkOut,
        Self::LinkUp,
        Self::LinkNowhere,
        Self::Huge,
        Self::Garbage,
        Self::Deep,
        Self::LongLine,
    ];

    /// Whether to the host itself there is no such file: its own links lead nowhere outside of it either.
    pub(crate) fn is_nothing(self) -> bool {
        matches!(self, Self::Directory | Self::LinkOut | Self::LinkUp | Self::LinkNowhere)
    }

    /// Whether it is a regular file, with the owner and mode of the one that was there.
    pub(crate) fn is_content(self) -> bool {
        matches!(self, Self::Huge | Self::Garbage | Self::Deep | Self::LongLine)
    }

    /// Puts it at a path where nothing is. `original` is outside of the root what was there.
    pub(crate) fn set(self, at: &Path, original: &Path) {
        let mode = fs::symlink_metadata(original).unwrap().permissions().mode() & 0o7777;
        match self {
            Self::Fifo => mkfifo(at, Mode::from_bits_truncate(0o600)).unwrap(),
            Self::Device => mknod(at, SFlag::S_IFCHR, Mode::from_bits_truncate(0o600), makedev(1, 5)).unwrap(),
            Self::Socket => drop(UnixListener::bind(at).unwrap()),
            Self::Directory => fs::create_dir(at).unwrap(),
            Self::LinkOut => symlink(original, at).unwrap(),
            Self::LinkUp => symlink(format!("{}{}", "../".repeat(40), original.display()), at).unwrap(),
            Self::LinkNowhere => symlink("nowhere", at).unwrap(),
            Self::LinkToItself => symlink(at.file_name().unwrap(), at).unwrap(),
            Self::Huge => File::create(at).unwrap().set_len(HUGE).unwrap(),
            Self::Garbage => fs::write(at, garbage()).unwrap(),
            Self::Deep => fs::write(at, "[{".repeat(LONG / 2)).unwrap(),
            Self::LongLine => fs::write(at, "a".repeat(LONG)).unwrap(),
        }
        // The strictest of all: what is there must not pass for its mode.
        match self {
            Self::Fifo | Self::Device | Self::Socket | Self::Directory => {
                fs::set_permissions(at, Permissions::from_mode(0o600)).unwrap();
            }
            Self::Huge | Self::Garbage | Self::Deep | Self::LongLine => {
                fs::set_permissions(at, Permissions::from_mode(mode)).unwrap();
            }
            Self::LinkOut | Self::LinkUp | Self::LinkNowhere | Self::LinkToItself => {}
        }
    }
}

/// All bytes, in an order without a pattern.
fn garbage() -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(5);
    std::iter::repeat_with(|| random.u8(..)).take(64 << 10).collect()
}

/// Takes away what a trap or a test put there, whatever it is.
pub(crate) fn remove(at: &Path) {
    match fs::symlink_metadata(at) {
        Ok(m) if m.is_dir() => fs::remove_dir_all(at).unwrap(),
        Ok(_) => fs::remove_file(at).unwrap(),
        Err(_) => {}
    }
}
