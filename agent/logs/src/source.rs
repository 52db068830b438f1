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

/// Bytes before a later place of a file. Plain files may start alike: a banner, the same first line each day. What was read
/// last of them tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Where the bytes end.
    pub(crate) at: u64,
    /// XXH3 of the [`HEAD`] bytes before, or of as many as there are.
    pub(crate) hash: u64,
}

/// An open log file.
#[derive(Debug)]
pub(crate) enum Source {
    /// As the runtime writes it.
    Plain(File),
    /// As the kubelet compresses it: complete, and read from its start.
    Gzip(Box<Gunzip>),
}

/// Output that is kept to go back in: a chunk that was read and not taken, and an unfinished line before it.
const RECENT: usize = 384 * 1024;

/// The same for a file that was read further back once: the pieces of a line as long as an event, and a chunk. Without it,
/// every such line would have the file decompressed from its start again.
const FAR_BACK: usize = 1536 * 1024;

/// A compressed file, and its decoder while it is being read.
#[derive(Debug)]
pub(crate) struct Gunzip {
    file: File,
    decoder: Option<Decoder>,
    /// Known once the end was reached. What is damaged ends where it can no longer be read.
    size: Option<u64>,
    /// Why it ends there, until somebody was told.
    error: Option<io::Error>,
    /// How often decompression began.
    #[cfg(test)]
    begun: u32,
}

#[derive(Debug)]
struct Decoder {
    stream: MultiGzDecoder<File>,
    position: u64,
    /// The output before `position`.
    recent: Vec<u8>,
    /// How much of it is kept at least.
    keep: usize,
}

impl Source {
    pub(crate) fn gzip(file: File) -> Self {
        Self::Gzip(Box::new(Gunzip {
            file,
            decoder: None,
            size: None,
            error: None,
            #[cfg(test)]
            begun: 0,
        }))
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
        if let Self::Gzip(gunzip) = self {
            // Many are looked at and few are read: a decoder is memory.
            gunzip.decoder = None;
        }
        Ok(start)
    }

    /// Where the next byte is that was written, from an offset on; the end of the file if there is none.
    pub(crate) fn next_data(&self, offset: u64) -> io::Result<u64> {
        match self {
            Self::Plain(file) => safeguard_host::next_data(file, offset),
            Self::Gzip(_) => Ok(offset),
        }
    }

    /// What stands before a place; `None` if the file does not reach there.
    pub(crate) fn mark(&mut self, at: u64) -> io::Result<Option<Mark>> {
        let mut before = [0; HEAD];
        let len = usize::try_from(at).unwrap_or(HEAD).min(HEAD);
        let read = self.read_at(&mut before[..len], at - len as u64)?;
        Ok((read == len).then(|| Mark { at, hash: xxh3_64(&before[..len]) }))
    }

    /// How often decompression began.
    #[cfg(test)]
    pub(crate) fn begun(&self) -> u32 {
        match self {
            Self::Plain(_) => 0,
            Self::Gzip(gunzip) => gunzip.begun,
        }
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
        if self.size.is_some_and(|size| offset >= size) {
            self.decoder = None;
            return self.error.take().map_or(Ok(0), Err);
        }
        let reachable = |d: &Decoder| offset + d.recent.len() as u64 >= d.position;
        if !self.decoder.as_ref().is_some_and(reachable) {
            #[cfg(test)]
            {
                self.begun += 1;
            }
            let mut file = self.file.try_clone()?;
            file.seek(SeekFrom::Start(0))?;
            let keep = if self.decoder.is_some() { FAR_BACK } else { RECENT };
            self.decoder = Some(Decoder { stream: MultiGzDecoder::new(file), position: 0, recent: Vec::new(), keep });
        }
        let Some(decoder) = &mut self.decoder else { return Ok(0) };
        let mut filled = decoder.again(buffer, offset);
        while let Some(room) = buffer.get_mut(filled..).filter(|r| !r.is_empty()) {
            // Before the offset, output is only passed over.
            let ahead = usize::try_from(offset.saturating_sub(decoder.position)).unwrap_or(usize::MAX);
            let step = if ahead > 0 { room.len().min(ahead) } else { room.len() };
            let result = decoder.stream.read(&mut room[..step]);
            match result {
                Ok(n) if n > 0 => {
                    decoder.keep(&room[..n]);
                    filled += if ahead > 0 { 0 } else { n };
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                end => {
                    self.size = Some(decoder.position);
                    self.error = end.err();
                    break;
                }
            }
        }
        if filled == 0 && self.size.is_some() { self.error.take().map_or(Ok(0), Err) } else { Ok(filled) }
    }
}

impl Decoder {
    /// Copies what is still kept of the output from `offset` on.
    fn again(&self, buffer: &mut [u8], offset: u64) -> usize {
        let back = usize::try_from(self.position.saturating_sub(offset)).unwrap_or(usize::MAX);
        let kept = self.recent.len().checked_sub(back).and_then(|start| self.recent.get(start..)).unwrap_or_default();
        let len = kept.len().min(buffer.len());
        buffer[..len].copy_from_slice(&kept[..len]);
        len
    }

    fn keep(&mut self, output: &[u8]) {
        self.position += output.len() as u64;
        if self.recent.len() + output.len() > self.keep + RECENT {
            let surplus = (self.recent.len() + output.len()).saturating_sub(self.keep).min(self.recent.len());
            self.recent.drain(..surplus);
        }
        self.recent.extend_from_slice(output);
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
        // What can be read is; then comes the error, once; then the file ends there, without being read again.
        let mut buffer = vec![1; 200_000];
        let readable = source.read_at(&mut buffer, 0).unwrap();
        assert!(readable > 0 && buffer[..readable].iter().all(|b| *b == 7));
        assert!(source.read_at(&mut buffer, readable as u64).is_err());
        assert_eq!(source.read_at(&mut buffer, readable as u64).unwrap(), 0);
        assert_eq!(source.size().unwrap(), Some(readable as u64));
    }
}
