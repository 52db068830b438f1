//! Reading at an offset: of files of the host, and of bytes in tests.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Something that is read piece by piece.
pub(super) trait Bytes {
    /// Its length, in bytes.
    fn length(&self) -> io::Result<u64>;

    /// Fills `into` with what is at `offset`; an error if there is less.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()>;
}

impl Bytes for File {
    fn length(&self) -> io::Result<u64> {
        self.metadata().map(|metadata| metadata.len())
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(into, offset)
    }
}

impl Bytes for [u8] {
    fn length(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let from =
            usize::try_from(offset).ok().and_then(|from| self.get(from..)).and_then(|rest| rest.get(..into.len()));
        into.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}
