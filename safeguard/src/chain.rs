//! Pure: a beat's place in the chain of its key. Nothing is replayed, reordered or skipped without being seen.

use safeguard_protocol::{Beat, Digest, limits};

/// What is known of a key's chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Chain {
    /// The highest sequence number that was taken; 0 before the first.
    pub sequence: u64,
    /// The digest of that statement.
    pub last: Option<Digest>,
}

/// Where a beat belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The newest. It moves the chain on.
    Newest {
        /// Numbers between the last one and this one, which are missing now: the first and the last of them.
        gap: Option<(u64, u64)>,
        /// It follows directly, and names another statement before it than the one that is known.
        forked: bool,
        /// Its clock is near ours: it tells of now.
        timely: bool,
    },
    /// Older than the newest, and not known: it fills a gap, or nothing.
    Older,
    /// Known, to the byte.
    Duplicate,
    /// Its number was used for another statement.
    Reused,
}

impl Chain {
    /// Where a beat belongs. `stored` gives what is known of the statement with the beat's own number, where that is not the
    /// newest: the first eight bytes of its digest.
    pub fn place(&self, beat: &Beat, digest: &Digest, now_ms: i64, stored: impl FnOnce(u64) -> Option<i64>) -> Place {
        if beat.sequence > self.sequence {
            let next = self.sequence.saturating_add(1);
            let gap = (beat.sequence > next).then(|| (next, beat.sequence - 1));
            let known = self.last.is_some() || self.sequence == 0;
            let forked = gap.is_none() && known && beat.previous != self.last;
            let skew = beat.made_at_ms.abs_diff(now_ms);
            return Place::Newest { gap, forked, timely: skew <= limits::CLOCK_SKEW_MS.unsigned_abs() };
        }
        let known = if beat.sequence == self.sequence { self.last.map(|last| short(&last)) } else { None };
        match known.or_else(|| stored(beat.sequence)) {
            Some(known) if known == short(digest) => Place::Duplicate,
            Some(_) => Place::Reused,
            None => Place::Older,
        }
    }
}

/// The first eight bytes of a digest: enough to tell two statements of one key apart, which only its holder could forge.
#[must_use]
pub fn short(digest: &Digest) -> i64 {
    let mut bytes = [0; 8];
    bytes.iter_mut().zip(digest.as_bytes()).for_each(|(to, from)| *to = *from);
    i64::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests;
