//! The log files of one container: which file on disk is which file we know.
//!
//! A file is its device, its inode and the hash of its head. Rotation renames it, gives it back its name, compresses it
//! into another inode or removes it; it stays the same file with the same offsets.

use std::ffi::OsString;

use safeguard_host::{Attributes, FileId, HostDir, HostError};
use tokio::time::Instant;

use crate::checkpoint::{FileRecord, Owner};
use crate::discover::{Found, Place};
use crate::parse::TimestampCache;
use crate::ranges::Ranges;
use crate::source::{Head, Mark, Source};
use crate::tail::{Syntax, Tail};
use crate::{ContainerNo, FileNo};

/// Bytes of a head that tell two files of a container apart by themselves: a timestamp in nanoseconds and what follows it.
const TELLING: usize = 40;

/// A log file, open or remembered.
#[derive(Debug)]
pub(super) struct LogFile {
    pub(super) number: FileNo,
    pub(super) container: ContainerNo,
    pub(super) name: OsString,
    pub(super) place: Place,
    pub(super) syntax: Syntax,
    /// `None` once the inode is known to belong to another file.
    pub(super) id: Option<FileId>,
    /// The same file as it was compressed.
    pub(super) gzip_id: Option<FileId>,
    pub(super) head: Head,
    /// What was read last of a plain file: heads of plain files may be alike.
    pub(super) mark: Option<Mark>,
    /// Its inode was cut: what it held may live on in a copy (logrotate's `copytruncate`).
    pub(super) cut: bool,
    /// Whether the head was compared since the file was opened, renamed or resized.
    verified: bool,
    pub(super) source: Option<Source>,
    pub(super) tail: Tail,
    pub(super) settled: Ranges,
    /// Uncompressed size when it was last looked at.
    pub(super) size: u64,
    /// When a plain file had been written to last when it was last looked at; `None` if it was not.
    modified_ns: Option<i128>,
    /// Disk space that only we keep from being freed: the file has no name any more.
    pub(super) pinned: u64,
    /// The size at which everything complete had been read.
    pub(super) caught_up_at: u64,
    /// Everything was read, and nothing more is expected.
    pub(super) finished: bool,
    /// It was let go with bytes unread, to free disk space.
    pub(super) given_up: bool,
    /// Why it could not be read, or not to its end.
    pub(super) error: Option<String>,
    /// After an error of the disk: not read before.
    pub(super) retry_at: Option<Instant>,
    /// The last listing had it, or its compressed form.
    pub(super) listed: bool,
    pub(super) missing_since: Instant,
    pub(super) grew_at: Instant,
    pub(super) next_look: Instant,
    /// Milliseconds between looks: short while it grows.
    pub(super) look_every: u64,
}

impl LogFile {
    pub(super) fn remembered(
        number: FileNo,
        container: ContainerNo,
        record: &FileRecord,
        place: Place,
        syntax: Syntax,
        now: Instant,
    ) -> Self {
        use std::os::unix::ffi::OsStringExt;
        Self {
            number,
            container,
            name: OsString::from_vec(record.name.clone()),
            place,
            syntax,
            id: Some(FileId { device: record.device, inode: record.inode }),
            gzip_id: None,
            head: record.head,
            mark: record.mark,
            cut: false,
            verified: false,
            source: None,
            tail: Tail::resume(&record.settled),
            settled: record.settled.clone(),
            size: record.size,
            modified_ns: None,
            pinned: 0,
            caught_up_at: 0,
            finished: false,
            given_up: false,
            error: None,
            retry_at: None,
            listed: false,
            missing_since: now,
            grew_at: now,
            next_look: now,
            look_every: 0,
        }
    }

    pub(super) fn new(
        number: FileNo,
        container: ContainerNo,
        syntax: Syntax,
        found: &Found,
        head: Head,
        source: Source,
        now: Instant,
    ) -> Self {
        Self {
            number,
            container,
            name: found.name.clone(),
            place: found.place.clone(),
            syntax,
            id: (!found.place.gzip).then_some(found.attributes.id),
            gzip_id: found.place.gzip.then_some(found.attributes.id),
            head,
            mark: None,
            cut: false,
            verified: true,
            source: Some(source),
            tail: Tail::default(),
            settled: Ranges::default(),
            size: 0,
            modified_ns: None,
            pinned: 0,
            caught_up_at: 0,
            finished: false,
            given_up: false,
            error: None,
            retry_at: None,
            listed: true,
            missing_since: now,
            grew_at: now,
            next_look: now,
            look_every: 0,
        }
    }

    /// What the checkpoint remembers of it.
    pub(super) fn record(&self, owner: Owner) -> FileRecord {
        use std::os::unix::ffi::OsStrExt;
        let id = self.id.unwrap_or(FileId { device: 0, inode: 0 });
        FileRecord {
            owner,
            name: self.name.as_bytes().to_vec(),
            device: id.device,
            inode: id.inode,
            head: self.head,
            mark: self.mark,
            size: self.size,
            settled: self.settled.clone(),
        }
    }

    /// Bytes that are known to exist and are not settled.
    pub(super) fn behind(&self) -> u64 {
        self.size.saturating_sub(self.settled.len())
    }

    /// The time of the first line that is not settled, as the file says it.
    pub(super) fn oldest_unsettled_ms(&mut self) -> Option<i64> {
        if let Some(source @ Source::Plain(_)) = &mut self.source
            && self.syntax == Syntax::Cri
        {
            // Longer than any timestamp.
            let mut start = [0; 40];
            let len = source.read_at(&mut start, self.settled.low_water()).ok()?;
            let time = start.get(..len)?.split(|b| *b == b' ').next()?;
            if let Some(ms) = TimestampCache::default().milliseconds(time) {
                return Some(ms);
            }
        }
        self.tail.last_ms()
    }

    /// Bytes that are neither settled nor on their way.
    pub(super) fn unread(&self) -> u64 {
        if self.given_up { 0 } else { self.tail.unread(self.size) }
    }

    /// Whether a turn may find something.
    pub(super) fn has_unread(&self) -> bool {
        match &self.source {
            None => false,
            Some(Source::Gzip(_)) => !self.finished,
            Some(Source::Plain(_)) => self.size > self.caught_up_at.max(self.tail.position()),
        }
    }

    /// How far it is read when draining: what is there now; all of a compressed file.
    pub(super) fn drain_until(&self) -> u64 {
        if matches!(self.source, Some(Source::Gzip(_))) && !self.finished { u64::MAX } else { self.size }
    }

    /// Whether reading up to `until` is not done: a file that waits after an error of the disk is not.
    pub(super) fn is_to_be_read(&self, until: u64) -> bool {
        self.has_unread() && self.tail.position() < until
    }

    /// Whether everything before `until` is settled; for [`u64::MAX`], all of a compressed file.
    pub(super) fn is_settled_until(&self, until: u64) -> bool {
        if until == u64::MAX { self.finished && self.is_settled() } else { self.settled.len_before(until) >= until }
    }

    /// Whether everything that was read is settled.
    pub(super) fn is_settled(&self) -> bool {
        self.settled.len() >= self.size
    }

    /// A new start for a file whose old content is gone.
    pub(super) fn start_over(&mut self, number: FileNo, now: Instant) -> std::io::Result<()> {
        let head = match &mut self.source {
            Some(source) => Head::of(&source.head()?),
            None => Head::default(),
        };
        self.number = number;
        self.head = head;
        self.tail = Tail::default();
        self.settled = Ranges::default();
        (self.size, self.caught_up_at, self.finished) = (0, 0, false);
        (self.grew_at, self.next_look, self.look_every) = (now, now, 0);
        Ok(())
    }

    /// Looks at the open file.
    pub(super) fn look(&mut self, now: Instant) -> std::io::Result<Look> {
        let Some(source) = &mut self.source else { return Ok(Look::Same) };
        let Source::Plain(file) = source else {
            return Ok(if self.finished { Look::Same } else { Look::Grew });
        };
        let attributes = Attributes::of(file)?;
        self.pinned = if attributes.links == 0 { attributes.allocated } else { 0 };
        let head = u64::from(self.head.len);
        if attributes.size < self.tail.position() || attributes.size < self.size || attributes.size < head {
            return Ok(Look::Cut);
        }
        if attributes.size > u64::from(self.head.len) {
            self.learn_head();
        }
        if self.syntax == Syntax::Plain {
            // One that was cut may have grown to the very size it had.
            let written = attributes.size > self.size || self.modified_ns != Some(attributes.modified_ns);
            if written && self.was_rewritten()? {
                return Ok(Look::Cut);
            }
            self.modified_ns = Some(attributes.modified_ns);
            self.learn_mark()?;
        }
        let grew = attributes.size > self.size;
        self.size = attributes.size;
        if grew {
            self.grew_at = now;
            self.finished = false;
        }
        Ok(if self.has_unread() { Look::Grew } else { Look::Same })
    }

    /// Whether something else stands where we have read: the file was cut and has grown past that place since.
    fn was_rewritten(&mut self) -> std::io::Result<bool> {
        let Some(source) = &mut self.source else { return Ok(false) };
        match self.mark {
            Some(mark) => Ok(source.mark(mark.at)?.is_none_or(|now| now != mark)),
            None => Ok(self.head.len > 0 && !self.head.matches(&source.head()?)),
        }
    }

    /// Notes what stands before the last byte that is settled.
    fn learn_mark(&mut self) -> std::io::Result<()> {
        let at = self.settled.low_water();
        if at > self.mark.map_or(0, |mark| mark.at)
            && let Some(source) = &mut self.source
        {
            self.mark = source.mark(at)?.or(self.mark);
        }
        Ok(())
    }

    /// The file's inode was cut, and something new begins in it: this becomes the new file, and what was is returned. It has
    /// no source until the copy that logrotate made is found.
    pub(super) fn split_off(&mut self, number: FileNo, now: Instant) -> std::io::Result<Self> {
        let found = Found { name: self.name.clone(), place: self.place.clone(), attributes: self.attributes()? };
        let mut source = self.source.take().expect("only an open file is seen to be cut");
        let head = Head::of(&source.head()?);
        let new = Self::new(number, self.container, self.syntax, &found, head, source, now);
        let mut old = std::mem::replace(self, new);
        (old.id, old.cut, old.listed, old.missing_since, old.pinned) = (None, true, false, now, 0);
        // Older than what is written now, younger than what was rotated before.
        old.place.rotation = vec![0xff];
        Ok(old)
    }

    fn attributes(&self) -> std::io::Result<Attributes> {
        match &self.source {
            Some(Source::Plain(file)) => Attributes::of(file),
            _ => Err(std::io::Error::other("the file is not open")),
        }
    }

    /// Takes more of the head in while the file is shorter than that.
    pub(super) fn learn_head(&mut self) {
        if usize::from(self.head.len) >= crate::source::HEAD {
            return;
        }
        // A file that cannot be read says so when it is tailed.
        if let Some(Source::Plain(_)) = &self.source
            && let Some(Ok(start)) = self.source.as_mut().map(Source::head)
            && start.len() > usize::from(self.head.len)
        {
            self.head = Head::of(&start);
        }
    }

    /// Lets the file go; it is opened again should it grow.
    pub(super) fn close(&mut self) {
        self.source = None;
        self.pinned = 0;
        self.verified = false;
    }
}

/// What a look at a file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// Nothing new.
    Same,
    /// There may be something to read.
    Grew,
    /// It is shorter than what was read of it: its old content is gone.
    Cut,
}

/// What a file on disk is to us.
enum Known {
    /// This one of our files, and nothing about it changed that we would have to look into.
    As(usize),
    /// It has to be opened to know.
    Unsure,
}

/// Compares a listing with the files we know: renames, opens, and adds. Errors are handed to `complain`.
pub(super) fn reconcile(
    files: &mut Vec<LogFile>,
    dir: &HostDir,
    found: &[Found],
    container: ContainerNo,
    next: &mut FileNo,
    now: Instant,
    mut complain: impl FnMut(String),
) {
    for file in files.iter_mut() {
        file.listed = false;
    }
    for item in found {
        match known(files, item) {
            Known::As(index) => {
                let file = &mut files[index];
                file.listed = true;
                // A plain name tells the place; the name of the compressed form does so only when the plain one is gone.
                if !item.place.gzip || file.source.is_none() {
                    file.name.clone_from(&item.name);
                    file.place = item.place.clone();
                }
            }
            Known::Unsure => {
                if let Err(error) = open(files, dir, item, container, next, now)
                    && !is_gone(&error)
                {
                    complain(error.to_string());
                }
            }
        }
    }
    for file in files.iter_mut() {
        if file.listed {
            file.missing_since = now;
        }
    }
    files.sort_by(|a, b| a.place.cmp(&b.place).then(a.number.cmp(&b.number)));
}

fn is_gone(error: &HostError) -> bool {
    error.is_not_found()
}

fn known(files: &[LogFile], item: &Found) -> Known {
    let id = Some(item.attributes.id);
    if item.place.gzip {
        let index = files.iter().position(|f| f.gzip_id == id);
        return index.filter(|i| files[*i].source.is_some() || files[*i].finished).map_or(Known::Unsure, Known::As);
    }
    let Some(index) = files.iter().position(|f| f.id == id) else { return Known::Unsure };
    let file = &files[index];
    // While we hold it open its inode cannot become another file's. Closed, it has to look exactly as we left it.
    let unchanged = file.verified || (file.finished && file.name == item.name && file.size == item.attributes.size);
    let held = matches!(file.source, Some(Source::Plain(_)));
    if held || unchanged && file.finished { Known::As(index) } else { Known::Unsure }
}

/// Opens a file on disk and finds out which of ours it is, or that it is new.
fn open(
    files: &mut Vec<LogFile>,
    dir: &HostDir,
    item: &Found,
    container: ContainerNo,
    next: &mut FileNo,
    now: Instant,
) -> Result<(), HostError> {
    let file = dir.file(&item.name)?;
    let id = item.attributes.id;
    // Between the listing and the opening the name may have come to mean another file: the next listing will tell.
    if Attributes::of(&file).is_ok_and(|a| a.id != id) {
        return Ok(());
    }
    let mut source = if item.place.gzip { Source::gzip(file) } else { Source::Plain(file) };
    // A `.gz` that cannot be read gets an empty head here, and its error when it is tailed.
    let start = source.head().unwrap_or_default();
    // What was empty when it was opened may have its head by now.
    files.iter_mut().for_each(LogFile::learn_head);
    let same_id = |f: &LogFile| if item.place.gzip { f.gzip_id == Some(id) } else { f.id == Some(id) };
    // An inode that now has another head belongs to another file (fluent/fluent-bit#4895, #8025).
    for f in files.iter_mut().filter(|f| same_id(f)) {
        if f.head.len > 0 && !f.head.matches(&start) {
            if item.place.gzip { f.gzip_id = None } else { f.id = None }
        }
    }
    // Compressed, copied, or on a device that got another number at boot: the head tells. The kubelet leaves the plain file
    // in place until its compressed form is complete, so both may be listed at once.
    let same_head = |f: &LogFile| {
        f.place.restart == item.place.restart && usize::from(f.head.len) >= TELLING && f.head.matches(&start)
    };
    let index = files
        .iter()
        .position(|f| same_id(f) && (f.head.len == 0 || f.head.matches(&start)))
        .or_else(|| files.iter().position(same_head));
    let Some(index) = index else {
        let number = *next;
        *next += 1;
        files.push(LogFile::new(number, container, Syntax::Cri, item, Head::of(&start), source, now));
        return Ok(());
    };
    let known = &mut files[index];
    known.listed = true;
    if item.place.gzip {
        known.gzip_id = Some(id);
    } else {
        known.id = Some(id);
    }
    if known.source.is_some() {
        return Ok(());
    }
    let complete = known.finished && known.settled.len() >= known.size;
    if item.place.gzip && complete {
        return Ok(());
    }
    if item.place.gzip {
        // Nobody holds the plain file any more, so its inode may become another file's.
        known.id = None;
    }
    known.name.clone_from(&item.name);
    known.place = item.place.clone();
    known.verified = true;
    known.finished = false;
    known.source = Some(source);
    known.next_look = now;
    known.look_every = 0;
    if usize::from(known.head.len) < start.len() {
        known.head = Head::of(&start);
    }
    Ok(())
}
