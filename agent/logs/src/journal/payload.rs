//! The content of a data object, `NAME=value`, read in pieces: it may be compressed, and it may be far larger than an event.

use std::fs::File;
use std::io::Read;

use ruzstd::decoding::StreamingDecoder;

use super::JournalError;
use super::objects::{Bytes, read_at};

/// Largest content that is decompressed in one piece: LZ4 has no other way.
const LZ4_MOST: usize = 8 * 1024 * 1024;

/// How one object is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Xz,
    Lz4,
    Zstd,
}

impl Compression {
    /// As the flags of the object say.
    pub(super) fn of(flags: u8) -> Option<Self> {
        match flags & 7 {
            0 => Some(Self::None),
            1 => Some(Self::Xz),
            2 => Some(Self::Lz4),
            4 => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// The part of the file that holds the content.
#[derive(Debug)]
struct Stored {
    file: File,
    at: u64,
    left: u64,
}

impl Read for Stored {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let len = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = read_at(&self.file, &mut buffer[..len], self.at)?;
        self.at += read as u64;
        self.left -= read as u64;
        Ok(read)
    }
}

/// Content on its way out.
enum Decoder {
    Zstd(Box<dyn Read + Send>),
    Whole(Vec<u8>),
}

/// The content of a data object.
pub(super) struct Payload {
    compression: Compression,
    at: u64,
    size: u64,
    decoder: Option<Decoder>,
    position: u64,
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Payload").field("at", &self.at).field("position", &self.position).finish_non_exhaustive()
    }
}

impl Payload {
    pub(super) fn new(compression: Compression, at: u64, size: u64) -> Self {
        Self { compression, at, size, decoder: None, position: 0 }
    }

    /// Where its first bytes are, at most `most`, if they are stored as they are.
    pub(super) fn stored(&self, most: usize) -> Option<(u64, usize)> {
        let len = usize::try_from(self.size).unwrap_or(usize::MAX).min(most);
        (self.compression == Compression::None).then_some((self.at, len))
    }

    /// How far it was read. Compressed content is only read upwards.
    pub(super) fn position(&self) -> u64 {
        if self.compression == Compression::Zstd { self.position } else { 0 }
    }

    /// Adds the content behind `name` to `out`, at most `most` bytes of it. `true` if there is more.
    pub(super) fn start(
        mut self,
        name: &[u8],
        most: usize,
        bytes: &mut Bytes,
        out: &mut Vec<u8>,
    ) -> Result<bool, JournalError> {
        let before = out.len();
        if self.compression == Compression::None {
            let rest = self.size.saturating_sub(name.len() as u64);
            let len = usize::try_from(rest).unwrap_or(usize::MAX).min(most);
            out.extend_from_slice(bytes.get(self.at + name.len() as u64, len)?);
            return Ok(rest > len as u64);
        }
        // One byte more tells whether there is more.
        self.read(name.len() as u64, most.saturating_add(1), bytes, out)?;
        let longer = out.len() - before > most;
        out.truncate(before + most);
        Ok(longer)
    }

    /// Adds up to `most` bytes from `from` on to `out`.
    pub(super) fn read(
        &mut self,
        from: u64,
        most: usize,
        bytes: &mut Bytes,
        out: &mut Vec<u8>,
    ) -> Result<(), JournalError> {
        match self.compression {
            Compression::None => {
                let len = usize::try_from(self.size.saturating_sub(from)).unwrap_or(usize::MAX).min(most);
                out.extend_from_slice(bytes.get(self.at + from, len)?);
                Ok(())
            }
            Compression::Xz => Err(JournalError::damaged(self.at, "XZ compression is not supported")),
            Compression::Lz4 | Compression::Zstd => self.decode(from, most, bytes, out),
        }
    }

    fn decode(&mut self, from: u64, most: usize, bytes: &mut Bytes, out: &mut Vec<u8>) -> Result<(), JournalError> {
        let at = self.at;
        let broken = move |_| JournalError::damaged(at, "the compressed content is broken");
        let decoder = match &mut self.decoder {
            Some(decoder) => decoder,
            None => {
                self.position = 0;
                self.decoder.insert(open(self.compression, self.at, self.size, bytes)?)
            }
        };
        match decoder {
            Decoder::Whole(text) => {
                let rest = usize::try_from(from).ok().and_then(|from| text.get(from..)).unwrap_or_default();
                out.extend_from_slice(&rest[..rest.len().min(most)]);
            }
            Decoder::Zstd(stream) => {
                let ahead = from.saturating_sub(self.position);
                let passed = std::io::copy(&mut stream.take(ahead), &mut std::io::sink()).map_err(broken)?;
                self.position += passed;
                let read = stream.take(most as u64).read_to_end(out).map_err(broken)?;
                self.position += read as u64;
            }
        }
        Ok(())
    }
}

fn open(compression: Compression, at: u64, size: u64, bytes: &mut Bytes) -> Result<Decoder, JournalError> {
    let broken = JournalError::damaged(at, "the compressed content is broken");
    if compression == Compression::Zstd {
        let stored = Stored { file: bytes.file().try_clone()?, at, left: size };
        let stream = StreamingDecoder::new(std::io::BufReader::new(stored)).map_err(|_| broken)?;
        return Ok(Decoder::Zstd(Box::new(stream)));
    }
    // The length of the content, then one block.
    let size = usize::try_from(size).ok().filter(|s| (8..=LZ4_MOST).contains(s));
    let Some(size) = size else { return Err(broken) };
    let stored = bytes.get(at, size)?;
    let (length, block) = stored.split_at(8);
    let length = u64::from_le_bytes(length.try_into().expect("8 bytes were split off"));
    let length = usize::try_from(length).ok().filter(|l| *l <= LZ4_MOST);
    let Some(length) = length else { return Err(JournalError::damaged(at, "the LZ4 content is too large")) };
    let text = lz4_flex::block::decompress(block, length).map_err(|_| broken)?;
    Ok(Decoder::Whole(text))
}
