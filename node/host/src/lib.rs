//! The one door to the files of the host.
//!
//! **In:** a directory that is the root of the host as this process sees it (`/`, `/host`, `/proc/1/root`), and paths
//! below it. **Out:** directories, regular files and their attributes. **Never:** leaves the root (symbolic links are
//! resolved inside it by the kernel, `openat2(2)` with `RESOLVE_IN_ROOT`), blocks on a FIFO, opens a device, or writes.
//!
//! Two ways to reach a file, for two kinds of path:
//! * [`HostRoot::dir`] takes a path that the operator or the distribution chose, and follows links inside the root;
//! * [`HostDir`] takes names that somebody else wrote (pods, containers), and follows no link at all.

mod error;

pub use error::HostError;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat2, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstatat};
use nix::unistd::{Whence, lseek};

/// What a directory entry or an opened file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, not followed.
    Symlink,
    /// A FIFO, socket, or device: never opened.
    Special,
}

/// Device and inode: what a file is called by the kernel, whatever its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    /// `st_dev`.
    pub device: u64,
    /// `st_ino`.
    pub inode: u64,
}

/// What `stat(2)` says of a file, as far as rooms ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// Kind of what was looked at.
    pub kind: Kind,
    /// Permission bits with set-user-ID, set-group-ID and sticky: `st_mode & 0o7777`.
    pub mode: u32,
    /// Owner, as a number: names are those of the host's own accounts.
    pub uid: u32,
    /// Group, as a number.
    pub gid: u32,
    /// Device and inode.
    pub id: FileId,
    /// Size in bytes.
    pub size: u64,
    /// Bytes that the file occupies on disk.
    pub allocated: u64,
    /// Number of names the file has; 0 once it is deleted and only held open.
    pub links: u64,
    /// When its content was last changed: nanoseconds since the epoch.
    pub modified_ns: i128,
    /// When its content or its attributes were last changed: nanoseconds since the epoch. Cannot be set back by `touch`.
    pub changed_ns: i128,
}

impl Attributes {
    /// The attributes of an open file.
    ///
    /// # Errors
    /// Whatever `fstat(2)` says.
    pub fn of(file: &File) -> std::io::Result<Self> {
        let m = file.metadata()?;
        let kind = if m.file_type().is_file() {
            Kind::File
        } else if m.file_type().is_dir() {
            Kind::Directory
        } else if m.file_type().is_symlink() {
            Kind::Symlink
        } else {
            Kind::Special
        };
        Ok(Self {
            kind,
            mode: m.mode() & PERMISSIONS,
            uid: m.uid(),
            gid: m.gid(),
            id: FileId { device: m.dev(), inode: m.ino() },
            size: m.len(),
            allocated: m.blocks().saturating_mul(512),
            links: m.nlink(),
            modified_ns: nanoseconds(m.mtime(), m.mtime_nsec()),
            changed_ns: nanoseconds(m.ctime(), m.ctime_nsec()),
        })
    }

    fn from_stat(s: &FileStat) -> Self {
        let kind = match SFlag::from_bits_truncate(s.st_mode & SFlag::S_IFMT.bits()) {
            SFlag::S_IFREG => Kind::File,
            SFlag::S_IFDIR => Kind::Directory,
            SFlag::S_IFLNK => Kind::Symlink,
            _ => Kind::Special,
        };
        Self {
            kind,
            mode: s.st_mode & PERMISSIONS,
            uid: s.st_uid,
            gid: s.st_gid,
            id: FileId { device: s.st_dev, inode: s.st_ino },
            size: u64::try_from(s.st_size).unwrap_or(0),
            allocated: u64::try_from(s.st_blocks).unwrap_or(0).saturating_mul(512),
            links: s.st_nlink,
            modified_ns: nanoseconds(s.st_mtime, s.st_mtime_nsec),
            changed_ns: nanoseconds(s.st_ctime, s.st_ctime_nsec),
        }
    }
}

/// The bits of `st_mode` that say who may do what.
const PERMISSIONS: u32 = 0o7777;

fn nanoseconds(seconds: i64, rest: i64) -> i128 {
    i128::from(seconds) * 1_000_000_000 + i128::from(rest)
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name, any bytes but `/` and NUL.
    pub name: OsString,
    /// What the directory says it is; `None` where the file system does not say.
    pub kind: Option<Kind>,
}

/// The root of the host's file tree.
#[derive(Debug)]
pub struct HostRoot {
    fd: OwnedFd,
    path: PathBuf,
}

impl HostRoot {
    /// Opens `path` as the root of the host.
    ///
    /// # Errors
    /// [`HostError`] when it is no directory or may not be searched.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, HostError> {
        let path = path.into();
        let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC);
        let fd = openat2(nix::fcntl::AT_FDCWD, &path, how).map_err(|e| HostError::new("open", &path, e))?;
        Ok(Self { fd, path })
    }

    /// Where the root is, as this process sees it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where `path` of the host is as this process sees it: for messages and for inotify, never to open it.
    #[must_use]
    pub fn locate(&self, path: &Path) -> PathBuf {
        self.path.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Opens a directory of the host; links are followed inside the root.
    ///
    /// # Errors
    /// [`HostError`] naming the path.
    pub fn dir(&self, path: &Path) -> Result<HostDir, HostError> {
        let how = OpenHow::new()
            .flags(OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        let fd = openat2(&self.fd, path, how).map_err(|e| HostError::new("open", &self.locate(path), e))?;
        Ok(HostDir { fd, path: self.locate(path) })
    }

    /// The attributes of a path, without opening it; links are followed inside the root.
    ///
    /// # Errors
    /// [`HostError`] naming the path.
    pub fn attributes(&self, path: &Path) -> Result<Attributes, HostError> {
        let found = self.look(path, OFlag::empty())?;
        Attributes::of(&found).map_err(|e| HostError::io("stat", &self.locate(path), &e))
    }

    /// The attributes of a path that may be a symbolic link itself; only the directories before it are resolved.
    ///
    /// # Errors
    /// [`HostError`] naming the path.
    pub fn attributes_of_link(&self, path: &Path) -> Result<Attributes, HostError> {
        let found = self.look(path, OFlag::O_NOFOLLOW)?;
        Attributes::of(&found).map_err(|e| HostError::io("stat", &self.locate(path), &e))
    }

    /// What a symbolic link says; `None` if the path is something else. Links of `/proc` such as `ns/net` can be read, and
    /// are never followed.
    ///
    /// # Errors
    /// [`HostError`] naming the path.
    pub fn link(&self, path: &Path) -> Result<Option<OsString>, HostError> {
        let found = self.look(path, OFlag::O_NOFOLLOW)?;
        let seen = Attributes::of(&found).map_err(|e| HostError::io("stat", &self.locate(path), &e))?;
        if seen.kind != Kind::Symlink {
            return Ok(None);
        }
        readlinkat(&found, "").map(Some).map_err(|e| HostError::new("read", &self.locate(path), e))
    }

    /// A descriptor that names a path and can do nothing else.
    fn look(&self, path: &Path, flags: OFlag) -> Result<File, HostError> {
        let how = OpenHow::new()
            .flags(OFlag::O_PATH | OFlag::O_CLOEXEC | flags)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        openat2(&self.fd, path, how).map(File::from).map_err(|e| HostError::new("look at", &self.locate(path), e))
    }

    /// Reads a whole small file of the host; links are followed inside the root.
    ///
    /// # Errors
    /// [`HostError`] when it cannot be opened or read, is not a regular file, or is larger than `max` bytes.
    pub fn read(&self, path: &Path, max: u64) -> Result<Vec<u8>, HostError> {
        let resolve = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS;
        let file = open_regular(self.fd.as_fd(), path.as_os_str(), resolve, &self.locate(path))?;
        let mut bytes = Vec::new();
        file.take(max + 1).read_to_end(&mut bytes).map_err(|e| HostError::io("read", &self.locate(path), &e))?;
        if bytes.len() as u64 > max {
            return Err(HostError::too_large(&self.locate(path), max));
        }
        Ok(bytes)
    }
}

/// An open directory of the host, whose entries somebody else may have written.
#[derive(Debug)]
pub struct HostDir {
    fd: OwnedFd,
    path: PathBuf,
}

impl HostDir {
    /// Where it is, as this process sees it; for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a directory right below this one. Links are not followed.
    ///
    /// # Errors
    /// [`HostError`] naming the path.
    pub fn dir(&self, name: &OsStr) -> Result<HostDir, HostError> {
        let path = self.path.join(name);
        let how = OpenHow::new()
            .flags(OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW)
            .resolve(beneath());
        let fd = openat2(&self.fd, name, how).map_err(|e| HostError::new("open", &path, e))?;
        Ok(HostDir { fd, path })
    }

    /// The names in this directory, in no order, without `.` and `..`.
    ///
    /// # Errors
    /// [`HostError`] when reading it fails half-way: a listing is whole or not given.
    pub fn entries(&self) -> Result<Vec<Entry>, HostError> {
        let how = OpenHow::new().flags(OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC);
        let fd = openat2(&self.fd, ".", how).map_err(|e| HostError::new("list", &self.path, e))?;
        let mut dir = Dir::from_fd(fd).map_err(|e| HostError::new("list", &self.path, e))?;
        let mut entries = Vec::new();
        for entry in dir.iter() {
            let entry = entry.map_err(|e| HostError::new("list", &self.path, e))?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let kind = entry.file_type().map(|t| match t {
                Type::File => Kind::File,
                Type::Directory => Kind::Directory,
                Type::Symlink => Kind::Symlink,
                _ => Kind::Special,
            });
            entries.push(Entry { name: OsStr::from_bytes(name).to_owned(), kind });
        }
        Ok(entries)
    }

    /// The attributes of a name, without opening it and without following a link.
    ///
    /// # Errors
    /// [`HostError`] naming the path.
    pub fn attributes(&self, name: &OsStr) -> Result<Attributes, HostError> {
        fstatat(&self.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW)
            .map(|s| Attributes::from_stat(&s))
            .map_err(|e| HostError::new("stat", &self.path.join(name), e))
    }

    /// Opens a regular file right below this directory, for reading. Links are not followed, and nothing that is not a
    /// regular file is opened, so the call cannot block.
    ///
    /// # Errors
    /// [`HostError`] naming the path and what it is instead.
    pub fn file(&self, name: &OsStr) -> Result<File, HostError> {
        let path = self.path.join(name);
        open_regular(self.fd.as_fd(), name, beneath(), &path)
    }
}

fn beneath() -> ResolveFlag {
    ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS
}

/// Opens with `O_PATH` first, which touches nothing, and reads through the descriptor only when it is a regular file:
/// opening a device for reading may already do something, and opening a FIFO waits for a writer.
fn open_regular(
    dir: std::os::fd::BorrowedFd<'_>,
    name: &OsStr,
    resolve: ResolveFlag,
    path: &Path,
) -> Result<File, HostError> {
    let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC).resolve(resolve);
    let looked = File::from(openat2(dir, name, how).map_err(|e| HostError::new("open", path, e))?);
    let seen = Attributes::of(&looked).map_err(|e| HostError::io("stat", path, &e))?;
    if seen.kind != Kind::File {
        return Err(HostError::not_regular(path, seen.kind));
    }
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let how = OpenHow::new().flags(flags).mode(Mode::empty()).resolve(resolve);
    let file = File::from(openat2(dir, name, how).map_err(|e| HostError::new("open", path, e))?);
    let opened = Attributes::of(&file).map_err(|e| HostError::io("stat", path, &e))?;
    // Between the look and the opening somebody may have put something else there.
    if opened.kind != Kind::File {
        return Err(HostError::not_regular(path, opened.kind));
    }
    Ok(file)
}

/// Where the next byte of a file is that was written, from `offset` on: what lies before is a hole, and reads as zeros. The
/// end of the file if there is none.
///
/// # Errors
/// Those of `lseek(2)`, except for there being no such byte.
pub fn next_data(file: &File, offset: u64) -> std::io::Result<u64> {
    let at = i64::try_from(offset).map_err(std::io::Error::other)?;
    match lseek(file, at, Whence::SeekData) {
        Ok(data) => u64::try_from(data).map_err(std::io::Error::other),
        Err(Errno::ENXIO) => Ok(file.metadata()?.len()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
