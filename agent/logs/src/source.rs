//! The bytes of one log file at any offset, whether the file is plain or was compressed by the kubelet.
//!
//! Offsets always count uncompressed bytes, so that a file keeps its offsets when rotation turns it into a `.gz`.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

use flate2::read::MultiGzDecoder;
use safeguard_host::Attributes;
use xxhash_rust::xxh3::xxh3_64;

/// Bytes of a file's start that identify it. The first line of a container's log starts with a timestamp in
/// nanoseconds, so they differ between any two files.
pub(crate) const HEAD: usize = 256;

/// What a file starts with: the part of its identity that survives renaming, compression and a reused inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Head {
    /// How many bytes were hashed; fewer than [`HEAD`] while the file is shorter.
    pub(crate) len: u16,
    /// XXH3 of them.
    pub(crate) hash: u64,
}

impl Head {
    pub(crate) fn of(start: &[u8]) -> Self {
        let start = start.get(..HEAD).unwrap_or(start);
        Self { len: u16::try_from(start.len()).expect("at most 256"), hash: xxh3_64(start) }
    }

    /// Whether a file that starts with `start` may be the one this was taken of. A file only grows, so what was hashed
    /// must still be there; an empty head says nothing.
    pub(crate) fn matches(&self, start: &[u8]) -> bool {
        self.len > 0 && start.get(..usize::from(self.len)).is_some_and(|s| xxh3_64(s) == self.hash)
    }
}

/// An open log file.
#[derive(Debug)]
pub(crate) enum Source {
    /// As the runtime writes it.
    Plain(File),
    /// As the kubelet compresses it: complete, and read from its start.
    Gzip(Box<Gunzip>),
}

/// A decoder that knows how far it is.
#[derive(Debug)]
pub(crate) struct Gunzip {
    decoder: MultiGzDecoder<File>,
    position: u64,
    /// Known once the end was reached.
    size: Option<u64>,
}

impl Source {
    pub(crate) fn gzip(file: File) -> Self {
        Self::Gzip(Box::new(Gunzip { decoder: MultiGzDecoder::new(file), position: 0, size: None }))
    }

    /// Reads at an offset. Fills the buffer unless the file ends before.
    pub(crate) fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match self {
            Self::Plain(file) => {
                let mut filled = 0;
                while let Some(room) = buffer.get_mut(filled..).filter(|r| !r.is_empty()) {
                    match file.read_at(room, offset + filled as u64) {
                        Ok(0) => break,
                        Ok(n) => filled += n,
                        Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                        Err(e) => return Err(e),
                    }
                }
                Ok(filled)
            }
            Self::Gzip(gunzip) => gunzip.read_at(buffer, offset),
        }
    }

    /// The file's first [`HEAD`] bytes.
    pub(crate) fn head(&mut self) -> io::Result<Vec<u8>> {
        let mut start = vec![0; HEAD];
        let len = self.read_at(&mut start, 0)?;
        start.truncate(len);
        Ok(start)
    }

    /// The uncompressed size, if it is known: a `.gz` knows it at its end.
    pub(crate) fn size(&self) -> io::Result<Option<u64>> {
        match self {
            Self::Plain(file) => Attributes::of(file).map(|a| Some(a.size)),
            Self::Gzip(gunzip) => Ok(gunzip.size),
        }
    }
}

impl Gunzip {
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if offset < self.position {
            // Going back is rare (a joined line whose first piece was read a window ago): start over.
            let mut file = self.decoder.get_ref().try_clone()?;
            file.seek(SeekFrom::Start(0))?;
            self.decoder = MultiGzDecoder::new(file);
            self.position = 0;
        }
        while self.position < offset {
            let step = usize::try_from(offset - self.position).unwrap_or(usize::MAX).min(buffer.len());
            let Some(room) = buffer.get_mut(..step).filter(|r| !r.is_empty()) else { break };
            match self.decoder.read(room)? {
                0 => {
                    self.size = Some(self.position);
                    return Ok(0);
                }
                n => self.position += n as u64,
            }
        }
        let mut filled = 0;
        while let Some(room) = buffer.get_mut(filled..).filter(|r| !r.is_empty()) {
            match self.decoder.read(room)? {
                0 => {
                    self.size = Some(self.position);
                    break;
                }
                n => {
                    filled += n;
                    self.position += n as u64;
                }
            }
        }
        Ok(filled)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "a test writes the files it reads")]

    use super::*;
    use flate2::write::GzEncoder;
    use std::io::Write;

    fn both(content: &[u8]) -> [Source; 2] {
        let dir = tempfile::tempdir().unwrap();
        let plain = dir.path().join("0.log");
        std::fs::write(&plain, content).unwrap();
        let packed = dir.path().join("0.log.gz");
        let mut encoder = GzEncoder::new(File::create(&packed).unwrap(), flate2::Compression::default());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap();
        [Source::Plain(File::open(plain).unwrap()), Source::gzip(File::open(packed).unwrap())]
    }

    #[test]
    fn a_gz_reads_like_the_file_it_was_made_of_in_any_order() {
        let content: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
        for mut source in both(&content) {
            for offset in [0usize, 399_990, 7, 200_000, 400_000, 500_000, 0] {
                let mut buffer = [0; 1000];
                let len = source.read_at(&mut buffer, offset as u64).unwrap();
                let expected = content.get(offset..).unwrap_or_default();
                assert_eq!(&buffer[..len], &expected[..expected.len().min(1000)], "{offset}");
            }
            assert_eq!(source.size().unwrap(), Some(400_000));
        }
    }

    #[test]
    fn a_head_is_the_same_plain_and_compressed_and_grows_with_the_file() {
        let [mut plain, mut packed] = both(&[b'x'; 300]);
        assert_eq!(Head::of(&plain.head().unwrap()), Head::of(&packed.head().unwrap()));
        let young = Head::of(b"2026-11-23T07:44:02.1");
        assert!(young.matches(b"2026-11-23T07:44:02.123 stdout F longer by now"));
        assert!(!young.matches(b"2026-11-23T07:44:03.1 stdout F another file"));
        assert!(!young.matches(b"2026"));
        assert!(!Head::of(b"").matches(b"anything"), "an empty head identifies nothing");
    }

    #[test]
    fn a_torn_gz_is_an_error_and_not_an_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log.gz");
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(&[7; 100_000]).unwrap();
        let packed = encoder.finish().unwrap();
        std::fs::write(&path, &packed[..packed.len() / 2]).unwrap();
        let mut source = Source::gzip(File::open(path).unwrap());
        assert!(source.read_at(&mut vec![0; 200_000], 0).is_err());
    }
}
