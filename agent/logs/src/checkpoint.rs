//! What was delivered of each file, on disk: written whole, in one step, and checked when it is read.
//!
//! A checkpoint only says less than is true, never more: it is made of receipts. Losing it costs duplicates, not lines.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::ranges::Ranges;
use crate::source::{Head, Mark};

/// Version of the format. This version reads itself and its predecessor, which knew containers only.
const VERSION: u32 = 2;

const FILE: &str = "logs.checkpoint";

/// Everything that is remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Records {
    pub(crate) files: Vec<FileRecord>,
    pub(crate) journals: Vec<JournalRecord>,
}

/// What is remembered of a journal file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JournalRecord {
    pub(crate) id: [u8; 16],
    pub(crate) name: Vec<u8>,
    /// Who numbers its entries, and the number after the last one that was read of it.
    pub(crate) seqnum_id: [u8; 16],
    pub(crate) next_seqnum: u64,
    /// How many entries it had when it was last looked at.
    pub(crate) entries: u64,
    /// Entries that are settled for each of the two groups, as positions.
    pub(crate) settled: [Ranges; 2],
}

/// The log a file belongs to, as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The directories of its pod and container.
    Container { pod: Vec<u8>, container: Vec<u8> },
    /// The directory, and the name of the file that is written now.
    Plain { dir: Vec<u8>, base: Vec<u8> },
}

/// What is remembered of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileRecord {
    pub(crate) owner: Owner,
    pub(crate) name: Vec<u8>,
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) head: Head,
    /// What stands before a later place of a plain file, whose head may not be unique.
    pub(crate) mark: Option<Mark>,
    /// How large the file was when it was last looked at, uncompressed.
    pub(crate) size: u64,
    /// The bytes that are settled.
    pub(crate) settled: Ranges,
}

/// Why there is no checkpoint to go on from.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error(
        "{}: cannot be read ({why}); set aside as {}; every file that exists is read from its start, so lines that were \
         delivered before may be delivered again", path.display(), aside.display()
    )]
    Corrupt { path: PathBuf, aside: PathBuf, why: String },
    #[error(
        "{}: written by a later version of the agent (format {found}, this one knows {VERSION}); install that version \
         again, or move the file away to read every log from its start", path.display()
    )]
    Later { path: PathBuf, found: u32 },
    #[error("{}: {source}; the agent needs to read and write its state directory", path.display())]
    Io { path: PathBuf, source: std::io::Error },
}

/// A checkpoint could not be written. The one before it is untouched.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {source}; delivery goes on, but after a crash more lines are delivered again", path.display())]
pub(crate) struct SaveError {
    path: PathBuf,
    source: std::io::Error,
}

/// The file as JSON. Bytes that are not UTF-8 make names hexadecimal, with a prefix that no name of Kubernetes has.
#[derive(Debug, Serialize, Deserialize)]
struct Document {
    version: u32,
    #[serde(default)]
    files: Vec<Row>,
    #[serde(default)]
    plain: Vec<PlainRow>,
    #[serde(default)]
    journals: Vec<JournalRow>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Row {
    pod: String,
    container: String,
    #[serde(flatten)]
    file: FileRow,
}

#[derive(Debug, Serialize, Deserialize)]
struct PlainRow {
    dir: String,
    base: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mark: Option<[u64; 2]>,
    #[serde(flatten)]
    file: FileRow,
}

#[derive(Debug, Serialize, Deserialize)]
struct JournalRow {
    id: String,
    name: String,
    seqnum_id: String,
    next_seqnum: u64,
    entries: u64,
    dataplane: Vec<[u64; 2]>,
    host: Vec<[u64; 2]>,
}

/// What is remembered of every file.
#[derive(Debug, Serialize, Deserialize)]
struct FileRow {
    name: String,
    dev: u64,
    ino: u64,
    head_len: u16,
    head: u64,
    size: u64,
    settled: Vec<[u64; 2]>,
}

/// Only the version, to tell a later format from a broken file.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// The place where checkpoints are kept.
#[derive(Debug, Clone)]
pub(crate) struct Checkpoints {
    dir: PathBuf,
}

impl Checkpoints {
    pub(crate) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_path_buf() }
    }

    fn path(&self) -> PathBuf {
        self.dir.join(FILE)
    }

    /// Reads the checkpoint; empty if there is none yet.
    #[expect(clippy::disallowed_methods, reason = "the state directory is the agent's own")]
    pub(crate) fn load(&self) -> Result<Records, LoadError> {
        let path = self.path();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Records::default()),
            Err(source) => return Err(LoadError::Io { path, source }),
        };
        match decode(&bytes) {
            Ok(records) => Ok(records),
            Err(Broken::Later(found)) => Err(LoadError::Later { path, found }),
            Err(Broken::Corrupt(why)) => {
                let aside = path.with_extension("corrupt");
                // If even this fails, the next checkpoint replaces the broken file.
                drop(fs::rename(&path, &aside));
                Err(LoadError::Corrupt { path, aside, why })
            }
        }
    }

    /// Replaces the checkpoint, durably: a crash leaves the old one or the new one.
    #[expect(clippy::disallowed_methods, reason = "the state directory is the agent's own")]
    pub(crate) fn save(&self, bytes: &[u8]) -> Result<(), SaveError> {
        let path = self.path();
        let new = path.with_extension("new");
        let write = || -> std::io::Result<()> {
            fs::create_dir_all(&self.dir)?;
            let mut file = File::create(&new)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            File::open(&self.dir)?.sync_all()
        };
        write().map_err(|source| SaveError { path, source })
    }
}

/// The text of a checkpoint: one line of JSON and one with its checksum.
pub(crate) fn encode(records: &Records) -> Vec<u8> {
    let mut document = Document { version: VERSION, files: Vec::new(), plain: Vec::new(), journals: Vec::new() };
    for r in &records.files {
        let file = FileRow {
            name: name_text(&r.name),
            dev: r.device,
            ino: r.inode,
            head_len: r.head.len,
            head: r.head.hash,
            size: r.size,
            settled: pairs(&r.settled),
        };
        match &r.owner {
            Owner::Container { pod, container } => {
                document.files.push(Row { pod: name_text(pod), container: name_text(container), file });
            }
            Owner::Plain { dir, base } => {
                let mark = r.mark.map(|m| [m.at, m.hash]);
                document.plain.push(PlainRow { dir: name_text(dir), base: name_text(base), mark, file });
            }
        }
    }
    document.journals.extend(records.journals.iter().map(|j| JournalRow {
        id: hex(&j.id),
        name: name_text(&j.name),
        seqnum_id: hex(&j.seqnum_id),
        next_seqnum: j.next_seqnum,
        entries: j.entries,
        dataplane: pairs(&j.settled[0]),
        host: pairs(&j.settled[1]),
    }));
    let mut bytes = serde_json::to_vec(&document).expect("plain data becomes JSON");
    let sum = crc32fast::hash(&bytes);
    bytes.extend_from_slice(format!("\ncrc32 {sum:08x}\n").as_bytes());
    bytes
}

fn pairs(ranges: &Ranges) -> Vec<[u64; 2]> {
    ranges.iter().map(|r| [r.start, r.end]).collect()
}

fn ranges(pairs: Vec<[u64; 2]>) -> Ranges {
    pairs.into_iter().map(|[start, end]| start..end.max(start)).collect()
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    Later(u32),
    Corrupt(String),
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Records, Broken> {
    let corrupt = |why: &str| Broken::Corrupt(why.to_owned());
    let end = memchr::memchr(b'\n', bytes).ok_or_else(|| corrupt("it ends too early"))?;
    let (json, sum) = bytes.split_at(end);
    if sum != format!("\ncrc32 {:08x}\n", crc32fast::hash(json)).as_bytes() {
        return Err(corrupt("its checksum does not match"));
    }
    let version: Version = serde_json::from_slice(json).map_err(|e| Broken::Corrupt(e.to_string()))?;
    if version.version > VERSION {
        return Err(Broken::Later(version.version));
    }
    let document: Document = serde_json::from_slice(json).map_err(|e| Broken::Corrupt(e.to_string()))?;
    let rows = document.files.len() + document.plain.len();
    let mut records = Records::default();
    for row in document.files {
        let owner = || Some(Owner::Container { pod: name_bytes(&row.pod)?, container: name_bytes(&row.container)? });
        records.files.extend(owner().and_then(|owner| row.file.record(owner, None)));
    }
    for row in document.plain {
        let owner = || Some(Owner::Plain { dir: name_bytes(&row.dir)?, base: name_bytes(&row.base)? });
        let mark = row.mark.map(|[at, hash]| Mark { at, hash });
        records.files.extend(owner().and_then(|owner| row.file.record(owner, mark)));
    }
    for row in document.journals {
        let journal = || {
            let (id, seqnum_id) = (id(&row.id)?, id(&row.seqnum_id)?);
            let settled = [ranges(row.dataplane), ranges(row.host)];
            let (name, next_seqnum, entries) = (name_bytes(&row.name)?, row.next_seqnum, row.entries);
            Some(JournalRecord { id, name, seqnum_id, next_seqnum, entries, settled })
        };
        records.journals.push(journal().ok_or_else(|| corrupt("a journal in it is not valid"))?);
    }
    if records.files.len() != rows {
        return Err(corrupt("a name in it is not valid"));
    }
    Ok(records)
}

impl FileRow {
    fn record(self, owner: Owner, mark: Option<Mark>) -> Option<FileRecord> {
        Some(FileRecord {
            owner,
            name: name_bytes(&self.name)?,
            device: self.dev,
            inode: self.ino,
            head: Head { len: self.head_len, hash: self.head },
            mark,
            size: self.size,
            settled: ranges(self.settled),
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

fn id(hex: &str) -> Option<[u8; 16]> {
    bytes_of(hex)?.try_into().ok()
}

fn name_text(name: &[u8]) -> String {
    match std::str::from_utf8(name) {
        Ok(text) if !text.starts_with("hex:") => text.to_owned(),
        _ => format!("hex:{}", hex(name)),
    }
}

fn name_bytes(text: &str) -> Option<Vec<u8>> {
    let Some(hex) = text.strip_prefix("hex:") else { return Some(text.as_bytes().to_vec()) };
    bytes_of(hex)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "a test damages the files it reads")]

    use super::*;
    use proptest::prelude::*;

    fn record(name: &[u8]) -> FileRecord {
        FileRecord {
            owner: Owner::Container { pod: b"ns_pod_uid".to_vec(), container: b"c".to_vec() },
            name: name.to_vec(),
            device: 1,
            inode: u64::MAX,
            head: Head::of(b"2026-11-23T07:44:02.123456789Z stdout F x"),
            mark: None,
            size: 1000,
            settled: [0..500, 600..700].into_iter().collect(),
        }
    }

    fn records() -> Records {
        Records { files: vec![record(b"0.log")], journals: Vec::new() }
    }

    /// An upgrade must not deliver everything again.
    #[test]
    fn what_the_version_before_wrote_is_read() {
        let json = br#"{"version":1,"files":[{"pod":"ns_pod_uid","container":"c","name":"0.log","dev":1,"ino":7,"head_len":3,"head":9,"size":10,"settled":[[0,5]]}]}"#;
        let old = [&json[..], format!("\ncrc32 {:08x}\n", crc32fast::hash(json)).as_bytes()].concat();
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), &old).unwrap();
        let records = Checkpoints::new(dir.path()).load().unwrap();
        assert_eq!((records.files.len(), records.files[0].inode, records.files[0].settled.low_water()), (1, 7, 5));
    }

    #[test]
    fn what_was_saved_is_loaded_whatever_the_names_are() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(&dir.path().join("made/on/demand"));
        assert_eq!(checkpoints.load().unwrap(), Records::default());
        let mut plain = record(b"audit.log.1");
        plain.owner = Owner::Plain { dir: b"/var/log/audit".to_vec(), base: b"audit.log".to_vec() };
        plain.mark = Some(Mark { at: 500, hash: u64::MAX });
        let settled = [std::iter::once(0..1 << 40).collect(), [0..7, 9..11].into_iter().collect()];
        let name = b"system.journal".to_vec();
        let journal = JournalRecord { id: [0xfe; 16], name, seqnum_id: [1; 16], next_seqnum: 17, entries: 20, settled };
        let files = vec![record(b"0.log"), record(b"\xff\n\""), record(b"hex:00"), plain];
        let records = Records { files, journals: vec![journal] };
        checkpoints.save(&encode(&records)).unwrap();
        assert_eq!(checkpoints.load().unwrap(), records);
    }

    /// fluent/fluent-bit#8813: a damaged database must not keep the agent from working.
    #[test]
    fn a_damaged_checkpoint_is_set_aside_and_says_so() {
        let whole = encode(&records());
        let mut flipped = whole.clone();
        flipped[20] ^= 1;
        for damaged in [&whole[..whole.len() / 2], &whole[..whole.len() - 3], &flipped, b"", b"\0\0\0\0", b"{}\n"] {
            let dir = tempfile::tempdir().unwrap();
            let checkpoints = Checkpoints::new(dir.path());
            fs::write(dir.path().join(FILE), damaged).unwrap();
            let error = checkpoints.load().unwrap_err().to_string();
            assert!(error.contains("logs.checkpoint") && error.contains("delivered again"), "{error}");
            assert_eq!(fs::read(dir.path().join("logs.corrupt")).unwrap(), damaged, "kept as evidence");
            checkpoints.save(&whole).unwrap();
            assert_eq!(checkpoints.load().unwrap(), records());
        }
    }

    #[test]
    fn a_later_format_is_refused_with_a_remedy_and_left_alone() {
        let json = br#"{"version":3,"shape":"unknown"}"#;
        let later = [&json[..], format!("\ncrc32 {:08x}\n", crc32fast::hash(json)).as_bytes()].concat();
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), &later).unwrap();
        let error = Checkpoints::new(dir.path()).load().unwrap_err().to_string();
        assert!(error.contains("format 3") && error.contains("install"), "{error}");
        assert_eq!(fs::read(dir.path().join(FILE)).unwrap(), later);
    }

    #[test]
    fn a_failed_write_leaves_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(dir.path());
        checkpoints.save(&encode(&records())).unwrap();
        // A directory where the new file has to go: no permission bits stop root.
        fs::create_dir(dir.path().join("logs.new")).unwrap();
        let error = checkpoints.save(&encode(&Records::default())).unwrap_err().to_string();
        assert!(error.contains("delivery goes on"), "{error}");
        assert_eq!(checkpoints.load().unwrap(), records());
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(decode(&bytes).is_err());
        }
    }
}
