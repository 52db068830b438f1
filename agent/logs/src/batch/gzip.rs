//! gzip of one body after the other, with the state and the buffer kept.
//!
//! The framing is ours (RFC 1952): the encoders of `flate2` make a new state for each body, and sum it with a checksum that
//! costs a quarter of compressing it.

use flate2::{Compress, FlushCompress, Status};

/// Magic, deflate, no flags, no time, no extra flags, unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// What the buffer grows by at least.
const ROOM: usize = 64 * 1024;

/// A compressor.
#[derive(Debug)]
pub(crate) struct Gzip {
    state: Compress,
    out: Vec<u8>,
}

impl Gzip {
    /// Level 1 (fast) to 9 (small).
    pub(crate) fn new(level: u32) -> Self {
        Self { state: Compress::new(flate2::Compression::new(level.clamp(1, 9)), false), out: Vec::new() }
    }

    /// Compresses a body that comes in pieces.
    pub(crate) fn compress<'a>(&mut self, pieces: impl Iterator<Item = &'a [u8]>) -> &[u8] {
        self.state.reset();
        self.out.clear();
        self.out.extend_from_slice(&HEADER);
        let mut sum = crc32fast::Hasher::new();
        let mut size: u32 = 0;
        for piece in pieces {
            sum.update(piece);
            // The format counts modulo 2^32.
            size = size.wrapping_add(u32::try_from(piece.len()).unwrap_or(u32::MAX));
            self.feed(piece, FlushCompress::None);
        }
        self.feed(&[], FlushCompress::Finish);
        self.out.extend_from_slice(&sum.finalize().to_le_bytes());
        self.out.extend_from_slice(&size.to_le_bytes());
        &self.out
    }

    fn feed(&mut self, mut piece: &[u8], flush: FlushCompress) {
        loop {
            if self.out.capacity() - self.out.len() < ROOM / 4 {
                self.out.reserve(ROOM);
            }
            let before = self.state.total_in();
            let status = self.state.compress_vec(piece, &mut self.out, flush);
            let status = status.expect("there is room, and the state is used in order");
            let taken = usize::try_from(self.state.total_in() - before).unwrap_or(usize::MAX);
            piece = piece.get(taken..).unwrap_or_default();
            match flush {
                FlushCompress::Finish if status == Status::StreamEnd => return,
                FlushCompress::Finish => {}
                _ if piece.is_empty() => return,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Read;

    proptest! {
        /// A decoder that is not ours reads back what was compressed, one body after the other.
        #[test]
        fn reads_back(bodies in prop::collection::vec(prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 0..60), 1..4), level in 1u32..=9) {
            let mut gzip = Gzip::new(level);
            for pieces in bodies {
                let packed = gzip.compress(pieces.iter().map(Vec::as_slice)).to_vec();
                let mut read = Vec::new();
                flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut read).unwrap();
                prop_assert_eq!(read, pieces.concat());
            }
        }
    }
}
