//! The audit log of the node, rotated in both ways that there are: by renaming, and by copying and cutting.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use safeguard_daemon::clock::now_ms;

use super::HostAccount;
use super::rotation::{naming, with_suffix};
use crate::lines::{AVERAGE, Lines};

/// Where it is, inside the host root.
pub const PATH: &str = "/var/log/audit/audit.log";

/// The writer's side of the audit log: numbered lines go in, files come out.
#[derive(Debug)]
pub struct AuditLog {
    path: PathBuf,
    account: Arc<HostAccount>,
    lines: Lines,
    file: File,
    buffer: Vec<u8>,
}

impl AuditLog {
    pub(super) fn start(root: &Path, account: Arc<HostAccount>, seed: u64) -> io::Result<Self> {
        let path = root.join(PATH.trim_start_matches('/'));
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory).map_err(|e| naming("make", directory, &e))?;
        }
        let lines = Lines::new(seed, &account.id, AVERAGE);
        Ok(Self { file: create(&path)?, path, account, lines, buffer: Vec::new() })
    }

    /// Where it is written now.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes lines as sudo has them audited, with one `write(2)` in all.
    ///
    /// # Errors
    /// Of the file system.
    pub fn lines(&mut self, count: u64) -> io::Result<()> {
        self.buffer.clear();
        for _ in 0..count {
            let (now, serial) = (now_ms(), self.lines.last() + 1);
            let before = format!(
                "type=USER_CMD msg=audit({}.{:03}:{serial}): pid=4242 uid=1000 auid=1000 ses=3 msg='cwd=\"/srv\" cmd=\"",
                now.div_euclid(1_000),
                now.rem_euclid(1_000)
            );
            self.lines.append_around(&before, "\" exe=\"/usr/bin/sudo\" terminal=pts/0 res=success'", &mut self.buffer);
            self.buffer.push(b'\n');
        }
        self.file.write_all(&self.buffer)?;
        self.account.written.store(self.lines.last(), Ordering::Release);
        Ok(())
    }

    /// Rotates as auditd does: the file is renamed, and another one begun.
    ///
    /// # Errors
    /// Of the file system.
    pub fn rotate_by_renaming(&mut self) -> io::Result<()> {
        self.make_room()?;
        let rotated = with_suffix(&self.path, ".1");
        std::fs::rename(&self.path, &rotated).map_err(|e| naming("rename", &self.path, &e))?;
        self.file = create(&self.path)?;
        Ok(())
    }

    /// Rotates as logrotate does with `copytruncate`: the file is copied, and then cut to nothing. A program that writes
    /// between the two loses its lines; this one does not.
    ///
    /// # Errors
    /// Of the file system.
    pub fn rotate_by_copying(&mut self) -> io::Result<()> {
        self.make_room()?;
        std::fs::copy(&self.path, with_suffix(&self.path, ".1")).map_err(|e| naming("copy", &self.path, &e))?;
        self.file.set_len(0).map_err(|e| naming("cut", &self.path, &e))
    }

    /// `audit.log.1` becomes `audit.log.2`.
    fn make_room(&self) -> io::Result<()> {
        let first = with_suffix(&self.path, ".1");
        match std::fs::rename(&first, with_suffix(&self.path, ".2")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(naming("rename", &first, &error)),
            _ => Ok(()),
        }
    }
}

fn create(path: &Path) -> io::Result<File> {
    File::options().append(true).create_new(true).open(path).map_err(|e| naming("create", path, &e))
}
