//! A container's log as containerd writes it and kubelet rotates it.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::rotation::{self, MAX_FILES, naming, with_suffix};
use super::timestamp::Clock;
use super::{Account, ContainerName, Output};
use crate::lines::{self, Lines, Mix};

/// containerd's default for `max_container_log_line_size`: longer lines are written in pieces of this many bytes, the last
/// one with the tag `F` and all others with `P`. A cut may be in the middle of a character.
pub const MAX_PIECE: usize = 16_384;

/// Bytes that [`Writer::lines`] collects before it writes.
const BULK: usize = 256 * 1024;

/// The container's side of a log: numbered lines go in, files come out. Both outputs have their own numbers, since
/// order is only promised within one.
#[derive(Debug)]
pub struct Writer {
    name: ContainerName,
    directory: PathBuf,
    restart: u32,
    max_piece: usize,
    accounts: [Arc<Account>; 2],
    lines: [Lines; 2],
    clock: Clock,
    /// The live log; `None` when the container does not run.
    file: Option<File>,
    /// What the live log is called while it is renamed and not reopened.
    renamed: Option<PathBuf>,
    /// The last rotation's date, in seconds.
    last_rotation: i128,
    length: u64,
    /// The rest of a line of which a piece is written.
    open: [Option<Vec<u8>>; 2],
    buffer: Vec<u8>,
}

impl Writer {
    pub(super) fn start(
        directory: PathBuf,
        name: ContainerName,
        accounts: [Arc<Account>; 2],
        seed: u64,
    ) -> io::Result<Self> {
        std::fs::create_dir_all(&directory).map_err(|e| naming("make", &directory, &e))?;
        let [stdout, stderr] = &accounts;
        let mut writer = Self {
            lines: [stdout, stderr].map(|account| Lines::new(seed, &account.id, lines::AVERAGE)),
            accounts,
            name,
            directory,
            restart: 0,
            max_piece: MAX_PIECE,
            clock: Clock::new(0),
            file: None,
            renamed: None,
            last_rotation: i128::MIN,
            length: 0,
            open: [None, None],
            buffer: Vec::new(),
        };
        writer.create()?;
        Ok(writer)
    }

    /// Another average length and mix of lines.
    #[must_use]
    pub fn with_lines(mut self, average: usize, mix: Mix) -> Self {
        self.lines = self.lines.map(|lines| lines.with_average(average).with_mix(mix));
        self
    }

    /// Another `max_container_log_line_size`, in bytes; at least 1.
    #[must_use]
    pub fn with_max_piece(mut self, bytes: usize) -> Self {
        self.max_piece = bytes.max(1);
        self
    }

    /// The zone in timestamps and in the names of rotated logs, in minutes east of UTC. It is UTC at first.
    #[must_use]
    pub fn with_zone(mut self, offset_minutes: i32) -> Self {
        self.clock.set_zone(offset_minutes);
        self
    }

    /// Sets this container's clock ahead of the machine's (behind it if negative), from the next line on.
    pub fn set_clock_ahead_ms(&mut self, ms: i64) {
        self.clock.set_ahead_ms(ms);
    }

    /// What the container is called.
    #[must_use]
    pub fn name(&self) -> &ContainerName {
        &self.name
    }

    /// The writer in the marks of an output's lines.
    #[must_use]
    pub fn id(&self, output: Output) -> &str {
        &self.accounts[output.index()].id
    }

    /// `<restart>.log`, whether it is there or not.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.path_of(self.restart)
    }

    /// Bytes in the file that is written to.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Lines that were written, both outputs.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.accounts.iter().map(|a| a.written.load(Ordering::Acquire)).sum()
    }
}

/// Writing.
impl Writer {
    /// Writes the next line of an output, with one `write(2)` for each piece as containerd does, and returns its number.
    ///
    /// # Errors
    /// Of the file system, or when the container does not run.
    pub fn line(&mut self, output: Output) -> io::Result<u64> {
        self.finish(output)?;
        let (n, line) = self.next(output)?;
        self.pieces(output, &line, "F")?;
        self.account(output, n);
        Ok(n)
    }

    /// Writes many lines with few system calls: for backlogs and benchmarks.
    ///
    /// # Errors
    /// As [`Writer::line`].
    pub fn lines(&mut self, output: Output, count: u64) -> io::Result<()> {
        self.finish(output)?;
        self.running()?;
        let mut line = Vec::new();
        for left in (0..count).rev() {
            line.clear();
            let n = self.lines[output.index()].append(&mut line);
            let mut rest = &line[..];
            while let Some((piece, behind)) = rest.split_at_checked(self.max_piece).filter(|(_, b)| !b.is_empty()) {
                self.frame(output, "P", piece);
                rest = behind;
            }
            self.frame(output, "F", rest);
            if left == 0 || self.buffer.len() >= BULK {
                self.flush()?;
                self.account(output, n);
            }
        }
        Ok(())
    }

    /// Writes the first half of the next line as a piece, and returns its number. Whatever is done before
    /// [`Writer::finish`] comes between the pieces: pieces of the other output, or a rotation.
    ///
    /// # Errors
    /// As [`Writer::line`].
    pub fn begin(&mut self, output: Output) -> io::Result<u64> {
        self.finish(output)?;
        let (n, mut line) = self.next(output)?;
        let rest = line.split_off((line.len() / 2).min(self.max_piece));
        self.pieces(output, &line, "P")?;
        self.open[output.index()] = Some(rest);
        Ok(n)
    }

    /// Writes the rest of a line that was begun. Does nothing when there is none.
    ///
    /// # Errors
    /// As [`Writer::line`].
    pub fn finish(&mut self, output: Output) -> io::Result<()> {
        self.finish_as(output, "F")
    }

    /// Writes a line with content of the caller's own, which the oracle knows only by a mark of [`Writer::take_mark`].
    ///
    /// # Errors
    /// As [`Writer::line`].
    pub fn text(&mut self, output: Output, content: &[u8]) -> io::Result<()> {
        self.pieces(output, content, "F")?;
        self.account(output, self.lines[output.index()].last());
        Ok(())
    }

    /// A mark for the next [`Writer::text`], which has to contain it.
    pub fn take_mark(&mut self, output: Output) -> String {
        self.lines[output.index()].take_mark()
    }

    /// Writes bytes that no runtime would.
    ///
    /// # Errors
    /// As [`Writer::line`].
    pub fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(bytes);
        self.flush()
    }

    /// Takes no number when the line cannot be written.
    fn next(&mut self, output: Output) -> io::Result<(u64, Vec<u8>)> {
        self.running()?;
        let mut line = Vec::new();
        let n = self.lines[output.index()].append(&mut line);
        Ok((n, line))
    }

    fn running(&mut self) -> io::Result<&mut File> {
        let path = self.renamed.clone().unwrap_or_else(|| self.log_path());
        self.file.as_mut().ok_or_else(|| naming("write", &path, &io::Error::other("the container has ended")))
    }

    fn finish_as(&mut self, output: Output, tag: &str) -> io::Result<()> {
        if let Some(rest) = self.open[output.index()].take() {
            self.pieces(output, &rest, tag)?;
            self.account(output, self.lines[output.index()].last());
        }
        Ok(())
    }

    /// Writes content in pieces, the last one with `tag`.
    fn pieces(&mut self, output: Output, content: &[u8], tag: &str) -> io::Result<()> {
        let mut rest = content;
        while let Some((piece, behind)) = rest.split_at_checked(self.max_piece).filter(|(_, b)| !b.is_empty()) {
            self.frame(output, "P", piece);
            self.flush()?;
            rest = behind;
        }
        self.frame(output, tag, rest);
        self.flush()
    }

    /// `TIMESTAMP SP stdout|stderr SP TAG SP CONTENT`, with the present time.
    fn frame(&mut self, output: Output, tag: &str, content: &[u8]) {
        let now = self.clock.now();
        self.clock.append(now, &mut self.buffer);
        for part in [" ", output.name(), " ", tag, " "] {
            self.buffer.extend_from_slice(part.as_bytes());
        }
        self.buffer.extend_from_slice(content);
        self.buffer.push(b'\n');
    }

    fn flush(&mut self) -> io::Result<()> {
        let buffer = std::mem::take(&mut self.buffer);
        self.running()?.write_all(&buffer)?;
        self.length += u64::try_from(buffer.len()).unwrap_or(u64::MAX);
        self.buffer = buffer;
        self.buffer.clear();
        Ok(())
    }

    fn account(&self, output: Output, n: u64) {
        self.accounts[output.index()].written.store(n, Ordering::Release);
    }
}

/// Rotation.
impl Writer {
    /// Rotates as kubelet does with its default of five files: see [`rotation::prepare`], [`Writer::rename_away`],
    /// [`Writer::reopen`]. Returns the path of the rotated log. A line that was begun is cut by it: its start is the last
    /// piece of the old file, and what [`Writer::finish`] writes is the first record of that output in the new one.
    ///
    /// # Errors
    /// Of the file system.
    pub fn rotate(&mut self) -> io::Result<PathBuf> {
        rotation::prepare(&self.log_path(), MAX_FILES)?;
        let rotated = self.rename_away()?;
        self.reopen()?;
        Ok(rotated)
    }

    /// The first half of a rotation: the log is renamed to `<restart>.log.YYYYMMDD-HHMMSS`, there is no
    /// `<restart>.log`, and lines go on being written to the renamed file.
    ///
    /// Two rotations within a second give kubelet the same name twice, and it then deletes a file. Its period of ten seconds
    /// keeps that from happening; here the second one gets the name of the next second.
    ///
    /// # Errors
    /// Of the file system.
    pub fn rename_away(&mut self) -> io::Result<PathBuf> {
        const SECOND: i128 = 1_000_000_000;
        self.last_rotation = self.clock.now().div_euclid(SECOND).max(self.last_rotation.saturating_add(1));
        let log = self.log_path();
        let rotated = with_suffix(&log, &format!(".{}", self.clock.rotation(self.last_rotation * SECOND)));
        std::fs::rename(&log, &rotated).map_err(|e| naming("rename", &log, &e))?;
        self.renamed = Some(rotated.clone());
        Ok(rotated)
    }

    /// The second half: the runtime reopens the log, that is, makes a new `<restart>.log` and writes there.
    ///
    /// # Errors
    /// Of the file system.
    pub fn reopen(&mut self) -> io::Result<()> {
        self.create()?;
        self.renamed = None;
        Ok(())
    }

    /// The second half when the runtime could not reopen: kubelet renames the log back. Does nothing when it is not
    /// renamed.
    ///
    /// # Errors
    /// Of the file system.
    pub fn rename_back(&mut self) -> io::Result<()> {
        let Some(renamed) = self.renamed.take() else { return Ok(()) };
        std::fs::rename(&renamed, self.log_path()).map_err(|e| naming("rename back", &renamed, &e))
    }
}

/// A container's life.
impl Writer {
    /// The container ends. Lines that were begun, and with `partial` one more line of standard output, are written
    /// whole but without a newline at their end, which containerd logs as `P` with no `F` ever.
    ///
    /// # Errors
    /// Of the file system.
    pub fn end(&mut self, partial: bool) -> io::Result<()> {
        for output in Output::ALL {
            self.finish_as(output, "P")?;
        }
        if partial {
            let (n, line) = self.next(Output::Stdout)?;
            self.pieces(Output::Stdout, &line, "P")?;
            self.account(Output::Stdout, n);
        }
        self.file = None;
        Ok(())
    }

    /// The container is started again, after [`Writer::end`] or as if killed: the next `<restart>.log`. The logs of
    /// its former lives stay.
    ///
    /// # Errors
    /// Of the file system.
    pub fn restart(&mut self) -> io::Result<()> {
        if self.file.is_some() {
            self.end(false)?;
        }
        self.restart += 1;
        self.renamed = None;
        self.create()
    }

    /// kubelet deletes the logs of a former life (`<restart>.log*`); it keeps one dead container.
    ///
    /// # Errors
    /// Of the file system.
    pub fn remove_restart(&self, restart: u32) -> io::Result<()> {
        rotation::clean(&self.path_of(restart))
    }

    /// kubelet removes the container: `<restart>.log*` of all its lives is deleted, then its directory and the pod's
    /// if they are empty. See also [`super::SampleNode::remove_pod`].
    ///
    /// # Errors
    /// Of the file system.
    pub fn remove(mut self) -> io::Result<()> {
        self.file = None;
        for restart in 0..=self.restart {
            self.remove_restart(restart)?;
        }
        for directory in [Some(self.directory.as_path()), self.directory.parent()].into_iter().flatten() {
            match std::fs::remove_dir(directory) {
                Err(e) if e.kind() == io::ErrorKind::DirectoryNotEmpty => break,
                removed => removed.map_err(|e| naming("remove", directory, &e))?,
            }
        }
        Ok(())
    }

    fn path_of(&self, restart: u32) -> PathBuf {
        Path::new(&self.directory).join(format!("{restart}.log"))
    }

    /// Opens the live log anew. It must not exist, since two containers would write to one file.
    fn create(&mut self) -> io::Result<()> {
        let path = self.log_path();
        let file = File::options().append(true).create_new(true).open(&path);
        self.file = Some(file.map_err(|e| naming("create", &path, &e))?);
        self.length = 0;
        Ok(())
    }
}
