//! The systemd journal of the node, written by the stand-in of journald.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use safeguard_daemon::clock::now_ms;
use safeguard_standins::{Journald, Shape};

use super::HostAccount;
use super::rotation::naming;
use crate::lines::{AVERAGE, Lines};

/// Where journals are, inside the host root.
const DIRECTORY: &str = "var/log/journal";

/// What `/etc/machine-id` would say.
const MACHINE_ID: &str = "5afe00000000400080000000000000aa";

/// As systemd 252 and later write it.
const SHAPE: Shape = Shape { compact: true };

/// journald's side of a journal: numbered messages of each unit go in, files come out.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    units: Vec<Unit>,
    /// `None` once a rotation has failed.
    file: Option<Journald>,
    /// Files begun.
    files: u8,
}

#[derive(Debug)]
struct Unit {
    account: Arc<HostAccount>,
    lines: Lines,
}

impl Journal {
    pub(super) fn start(root: &Path, units: Vec<Arc<HostAccount>>, seed: u64) -> io::Result<Self> {
        let directory = root.join(DIRECTORY).join(MACHINE_ID);
        std::fs::create_dir_all(&directory).map_err(|e| naming("make", &directory, &e))?;
        let path = directory.join("system.journal");
        let file = Journald::create(&path, 1, 1, SHAPE).map_err(|e| naming("create", &path, &e))?;
        let unit = |account: Arc<HostAccount>| Unit { lines: Lines::new(seed, &account.id, AVERAGE), account };
        Ok(Self { path, units: units.into_iter().map(unit).collect(), file: Some(file), files: 1 })
    }

    /// Writes a message of each unit.
    ///
    /// # Errors
    /// Of the file system.
    pub fn messages(&mut self) -> io::Result<()> {
        let file = self.file.as_mut().ok_or_else(|| naming("write", &self.path, &closed()))?;
        for unit in &mut self.units {
            let mut message = Vec::new();
            let n = unit.lines.append(&mut message);
            let name = unit.account.log.to_string();
            let identifier = name.trim_end_matches(".service");
            let micros = u64::try_from(now_ms()).unwrap_or(0) * 1_000;
            let fields: [(&str, &[u8]); 6] = [
                ("MESSAGE", &message),
                ("PRIORITY", b"6"),
                ("SYSLOG_IDENTIFIER", identifier.as_bytes()),
                ("_PID", b"812"),
                ("_SYSTEMD_UNIT", name.as_bytes()),
                ("_TRANSPORT", b"stdout"),
            ];
            file.append(micros, &fields)?;
            unit.account.written.store(n, Ordering::Release);
        }
        Ok(())
    }

    /// Rotates as journald does: the file is closed for good and renamed, and another one begun.
    ///
    /// # Errors
    /// Of the file system.
    pub fn rotate(&mut self) -> io::Result<()> {
        let file = self.file.take().ok_or_else(|| naming("rotate", &self.path, &closed()))?;
        let next = file.archive()?;
        let archived = self.path.with_file_name(format!("system@{:032x}-{next:016x}.journal", self.files));
        std::fs::rename(&self.path, archived).map_err(|e| naming("rename", &self.path, &e))?;
        self.files = self.files.saturating_add(1);
        self.file = Some(Journald::create(&self.path, self.files, next, SHAPE)?);
        Ok(())
    }
}

fn closed() -> io::Error {
    io::Error::other("its rotation has failed")
}
