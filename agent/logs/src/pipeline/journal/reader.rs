//! How far a journal file was read for one log group.
//!
//! Two groups take what a journal says, and one that refuses must not hold the other up. So each has a place of its own in
//! every file. A position is the ordinal of an entry and a part of it: a message longer than an event is delivered in parts.

use std::ops::Range;

use crate::ranges::Ranges;

/// Bits of a position that number the part.
const PART_BITS: u32 = 16;

/// The position behind all parts of an entry.
pub(super) const fn behind(ordinal: u64) -> u64 {
    (ordinal + 1) << PART_BITS
}

/// The position of a part.
pub(super) const fn part(ordinal: u64, part: u32) -> u64 {
    (ordinal << PART_BITS) | part as u64
}

/// The entry at a position.
pub(super) const fn ordinal(position: u64) -> u64 {
    position >> PART_BITS
}

#[derive(Debug, Default)]
pub(super) struct Reader {
    /// Everything below was read.
    position: u64,
    /// Everything below was handed on or is settled; from here to `position` are entries that the other group takes.
    claimed: u64,
    /// Settled before, or on its way: passed over.
    skip: Ranges,
    pub(super) settled: Ranges,
}

impl Reader {
    pub(super) fn resume(settled: Ranges) -> Self {
        let at = settled.low_water();
        Self { position: at, claimed: at, skip: settled.clone(), settled }
    }

    /// Where to read.
    pub(super) fn next(&mut self) -> u64 {
        if let Some(end) = self.skip.end_around(self.position) {
            (self.position, self.claimed) = (end, end);
        }
        self.position
    }

    /// The part of an entry that is to be read.
    pub(super) fn part(&self) -> u32 {
        u32::try_from(self.position & ((1 << PART_BITS) - 1)).expect("it has 16 bits")
    }

    /// Passes an entry that is not for this group. It is settled with the next one that is, or at once if nothing is on its
    /// way.
    pub(super) fn pass(&mut self, end: u64) {
        self.position = end;
        self.close_up();
    }

    /// What an event that ends here stands for.
    pub(super) fn claim(&self, end: u64) -> Range<u64> {
        self.claimed..end
    }

    /// An event was handed on.
    pub(super) fn taken(&mut self, end: u64) {
        (self.position, self.claimed) = (end, end);
    }

    pub(super) fn settle(&mut self, ranges: &Ranges) {
        self.settled.insert_all(ranges);
        self.close_up();
    }

    fn close_up(&mut self) {
        if self.settled.low_water() >= self.claimed && self.position > self.claimed {
            self.settled.insert(self.claimed..self.position);
            self.claimed = self.position;
        }
    }

    /// Entries that were handed on and not delivered are read again.
    pub(super) fn give_back(&mut self, returned: &Ranges) {
        let mut skip = std::mem::take(&mut self.skip);
        skip.insert(0..self.claimed);
        for range in returned.iter() {
            skip.remove(range);
        }
        (self.position, self.claimed) = (skip.low_water(), skip.low_water());
        self.skip = skip;
    }

    /// Entries below this ordinal are settled.
    pub(super) fn settled_entries(&self) -> u64 {
        ordinal(self.settled.low_water())
    }

    /// Entries below this ordinal were read.
    pub(super) fn read_entries(&self) -> u64 {
        ordinal(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ranges: &[Range<u64>]) -> Ranges {
        ranges.iter().cloned().collect()
    }

    #[test]
    fn entries_of_the_other_group_are_settled_with_our_own() {
        let mut reader = Reader::default();
        reader.pass(behind(0));
        assert_eq!(reader.settled_entries(), 1, "nothing is on its way");
        let claim = reader.claim(behind(1));
        reader.taken(behind(1));
        reader.pass(behind(2));
        assert_eq!(reader.settled_entries(), 1);
        reader.settle(&set(&[claim]));
        assert_eq!(reader.settled_entries(), 3);
    }

    #[test]
    fn what_is_given_back_is_read_again_and_what_was_delivered_is_not() {
        let mut reader = Reader::default();
        let claims: Vec<_> = (0..6)
            .map(|n| {
                let claim = reader.claim(behind(n));
                reader.taken(behind(n));
                claim
            })
            .collect();
        reader.pass(behind(6));
        reader.settle(&set(&claims[3..4]));
        reader.give_back(&set(&claims[1..3]));
        let mut read = Vec::new();
        while ordinal(reader.next()) < 8 {
            let n = ordinal(reader.next());
            read.push(n);
            reader.taken(behind(n));
        }
        assert_eq!(read, [1, 2, 6, 7], "6 was passed, and is looked at again");
    }

    #[test]
    fn after_a_crash_reading_goes_on_behind_what_is_settled() {
        let mut reader = Reader::resume(set(&[0..part(4, 2), behind(5)..behind(7)]));
        assert_eq!((ordinal(reader.next()), reader.part()), (4, 2));
        reader.taken(behind(4));
        assert_eq!(ordinal(reader.next()), 5);
        reader.taken(behind(5));
        assert_eq!(ordinal(reader.next()), 8);
    }
}
