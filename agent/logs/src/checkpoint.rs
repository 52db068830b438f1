//! What was delivered of each file, on disk: written whole, in one step, and checked when it is read.
//!
//! A checkpoint only says less than is true, never more: it is made of receipts. Losing it costs duplicates, not lines.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::ranges::Ranges;
use crate::source::Head;

/// Version of the format. This version reads itself and its predecessor, of which there is none yet.
const VERSION: u32 = 1;

const FILE: &str = "logs.checkpoint";

/// What is remembered of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileRecord {
    /// Directories of the pod and the container, and the file's name, as bytes.
    pub(crate) pod: Vec<u8>,
    pub(crate) container: Vec<u8>,
    pub(crate) name: Vec<u8>,
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) head: Head,
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
}

#[derive(Debug, Serialize, Deserialize)]
struct Row {
    pod: String,
    container: String,
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
    pub(crate) fn load(&self) -> Result<Vec<FileRecord>, LoadError> {
        let path = self.path();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
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
pub(crate) fn encode(records: &[FileRecord]) -> Vec<u8> {
    let rows = records.iter().map(|r| Row {
        pod: name_text(&r.pod),
        container: name_text(&r.container),
        name: name_text(&r.name),
        dev: r.device,
        ino: r.inode,
        head_len: r.head.len,
        head: r.head.hash,
        size: r.size,
        settled: r.settled.iter().map(|r| [r.start, r.end]).collect(),
    });
    let document = Document { version: VERSION, files: rows.collect() };
    let mut bytes = serde_json::to_vec(&document).expect("plain data becomes JSON");
    let sum = crc32fast::hash(&bytes);
    bytes.extend_from_slice(format!("\ncrc32 {sum:08x}\n").as_bytes());
    bytes
}

#[derive(Debug, PartialEq, Eq)]
enum Broken {
    Later(u32),
    Corrupt(String),
}

fn decode(bytes: &[u8]) -> Result<Vec<FileRecord>, Broken> {
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
    let record = |row: Row| {
        Some(FileRecord {
            pod: name_bytes(&row.pod)?,
            container: name_bytes(&row.container)?,
            name: name_bytes(&row.name)?,
            device: row.dev,
            inode: row.ino,
            head: Head { len: row.head_len, hash: row.head },
            size: row.size,
            settled: row.settled.into_iter().map(|[start, end]| start..end.max(start)).collect(),
        })
    };
    document.files.into_iter().map(|row| record(row).ok_or_else(|| corrupt("a name in it is not valid"))).collect()
}

fn name_text(name: &[u8]) -> String {
    match std::str::from_utf8(name) {
        Ok(text) if !text.starts_with("hex:") => text.to_owned(),
        _ => name.iter().fold(String::from("hex:"), |text, byte| text + &format!("{byte:02x}")),
    }
}

fn name_bytes(text: &str) -> Option<Vec<u8>> {
    let Some(hex) = text.strip_prefix("hex:") else { return Some(text.as_bytes().to_vec()) };
    hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "a test damages the files it reads")]

    use super::*;
    use proptest::prelude::*;

    fn record(name: &[u8]) -> FileRecord {
        FileRecord {
            pod: b"ns_pod_uid".to_vec(),
            container: b"c".to_vec(),
            name: name.to_vec(),
            device: 1,
            inode: u64::MAX,
            head: Head::of(b"2026-11-23T07:44:02.123456789Z stdout F x"),
            size: 1000,
            settled: [0..500, 600..700].into_iter().collect(),
        }
    }

    #[test]
    fn what_was_saved_is_loaded_whatever_the_names_are() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(&dir.path().join("made/on/demand"));
        assert_eq!(checkpoints.load().unwrap(), []);
        let records = [record(b"0.log"), record(b"\xff\n\""), record(b"hex:00")];
        checkpoints.save(&encode(&records)).unwrap();
        assert_eq!(checkpoints.load().unwrap(), records);
    }

    /// fluent/fluent-bit#8813: a damaged database must not keep the agent from working.
    #[test]
    fn a_damaged_checkpoint_is_set_aside_and_says_so() {
        let whole = encode(&[record(b"0.log")]);
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
            assert_eq!(checkpoints.load().unwrap().len(), 1);
        }
    }

    #[test]
    fn a_later_format_is_refused_with_a_remedy_and_left_alone() {
        let json = br#"{"version":2,"shape":"unknown"}"#;
        let later = [&json[..], format!("\ncrc32 {:08x}\n", crc32fast::hash(json)).as_bytes()].concat();
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), &later).unwrap();
        let error = Checkpoints::new(dir.path()).load().unwrap_err().to_string();
        assert!(error.contains("format 2") && error.contains("install"), "{error}");
        assert_eq!(fs::read(dir.path().join(FILE)).unwrap(), later);
    }

    #[test]
    fn a_failed_write_leaves_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(dir.path());
        checkpoints.save(&encode(&[record(b"0.log")])).unwrap();
        // A directory where the new file has to go: no permission bits stop root.
        fs::create_dir(dir.path().join("logs.new")).unwrap();
        let error = checkpoints.save(&encode(&[])).unwrap_err().to_string();
        assert!(error.contains("delivery goes on"), "{error}");
        assert_eq!(checkpoints.load().unwrap().len(), 1);
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(decode(&bytes).is_err());
        }
    }
}
