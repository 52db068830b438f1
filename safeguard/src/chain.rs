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

/// Why the newest beat tells nothing of now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Late {
    /// The clock that it was made by is too far from ours: the difference, in milliseconds; positive if it is ahead.
    Clock(i64),
    /// It repeats no nonce that its key was given lately: it may have been signed long before.
    Contact,
}

/// When a beat came, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Now.
    pub now_ms: i64,
    /// When the nonce that it repeats was given to its key, if it was.
    pub contact_ms: Option<i64>,
    /// How long after a beat the next is waited for, in milliseconds. A nonce is good for that long and what clocks may differ by:
    /// what was signed beforehand is live no longer.
    pub due_ms: i64,
}

impl Seen {
    fn late(&self, made_at_ms: i64) -> Option<Late> {
        let off = made_at_ms.saturating_sub(self.now_ms);
        if off.saturating_abs() > limits::CLOCK_SKEW_MS {
            return Some(Late::Clock(off));
        }
        let good = self.due_ms.saturating_add(limits::CLOCK_SKEW_MS);
        let lately = |given: i64| given.saturating_sub(self.now_ms).saturating_abs() <= good;
        (!self.contact_ms.is_some_and(lately)).then_some(Late::Contact)
    }
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
        /// Why it tells nothing of now, if it does not.
        late: Option<Late>,
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
    pub fn place(&self, beat: &Beat, digest: &Digest, seen: &Seen, stored: impl FnOnce(u64) -> Option<i64>) -> Place {
        if beat.sequence > self.sequence {
            let next = self.sequence.saturating_add(1);
            let gap = (beat.sequence > next).then(|| (next, beat.sequence - 1));
            let known = self.last.is_some() || self.sequence == 0;
            let forked = gap.is_none() && known && beat.previous != self.last;
            return Place::Newest { gap, forked, late: seen.late(beat.made_at_ms) };
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
