//! Which bytes of a file are settled: a sorted set of byte ranges that almost always is one range from 0.

use std::ops::Range;

/// A set of byte offsets, kept as sorted ranges that neither touch nor overlap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ranges {
    ranges: Vec<Range<u64>>,
}

impl Ranges {
    /// Adds a range. Appending next to the last one, which is what reading a file does, costs a comparison.
    pub(crate) fn insert(&mut self, new: Range<u64>) {
        if new.is_empty() {
            return;
        }
        if let Some(last) = self.ranges.last_mut()
            && last.end == new.start
        {
            last.end = new.end;
            return;
        }
        // The first range that reaches `new`, and the first one that lies wholly behind it.
        let from = self.ranges.partition_point(|r| r.end < new.start);
        let to = self.ranges.partition_point(|r| r.start <= new.end);
        if from >= to {
            self.ranges.insert(from, new);
        } else {
            let start = self.ranges.get(from).map_or(new.start, |r| r.start.min(new.start));
            let end = self.ranges.get(to - 1).map_or(new.end, |r| r.end.max(new.end));
            self.ranges.splice(from..to, std::iter::once(start..end));
        }
    }

    /// Adds every range of another set.
    pub(crate) fn insert_all(&mut self, other: &Ranges) {
        for range in &other.ranges {
            self.insert(range.clone());
        }
    }

    /// Takes a range out.
    pub(crate) fn remove(&mut self, gone: Range<u64>) {
        if gone.is_empty() {
            return;
        }
        let from = self.ranges.partition_point(|r| r.end <= gone.start);
        let to = self.ranges.partition_point(|r| r.start < gone.end);
        if from >= to {
            return;
        }
        let first = self.ranges.get(from).map_or(gone.start, |r| r.start);
        let last = self.ranges.get(to - 1).map_or(gone.end, |r| r.end);
        let kept = [first..gone.start, gone.end..last].into_iter().filter(|r| !r.is_empty());
        self.ranges.splice(from..to, kept);
    }

    /// The end of the settled bytes that start at offset 0: where reading has to resume.
    #[must_use]
    pub(crate) fn low_water(&self) -> u64 {
        match self.ranges.first() {
            Some(first) if first.start == 0 => first.end,
            _ => 0,
        }
    }

    /// If `offset` is settled, the offset where the settled range around it ends.
    #[must_use]
    pub(crate) fn end_around(&self, offset: u64) -> Option<u64> {
        let index = self.ranges.partition_point(|r| r.end <= offset);
        self.ranges.get(index).filter(|r| r.start <= offset).map(|r| r.end)
    }

    /// How many bytes are settled.
    #[must_use]
    pub(crate) fn len(&self) -> u64 {
        self.ranges.iter().map(|r| r.end - r.start).sum()
    }

    /// How many bytes before `offset` are settled.
    #[must_use]
    pub(crate) fn len_before(&self, offset: u64) -> u64 {
        self.ranges.iter().map(|r| r.end.min(offset).saturating_sub(r.start)).sum()
    }

    /// Whether nothing is settled.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The ranges in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.ranges.iter().cloned()
    }
}

impl FromIterator<Range<u64>> for Ranges {
    fn from_iter<I: IntoIterator<Item = Range<u64>>>(iter: I) -> Self {
        let mut ranges = Self::default();
        for range in iter {
            ranges.insert(range);
        }
        ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever the order and overlap of what is inserted and removed, the set says the same as a plain bitmap.
        #[test]
        fn says_the_same_as_a_bitmap(changes in prop::collection::vec((any::<bool>(), 0u64..200, 0u64..30), 0..40)) {
            let mut bitmap = [false; 256];
            let mut ranges = Ranges::default();
            for (insert, start, len) in changes {
                if insert { ranges.insert(start..start + len) } else { ranges.remove(start..start + len) }
                for i in start..start + len {
                    bitmap[usize::try_from(i).unwrap()] = insert;
                }
                let low = bitmap.iter().take_while(|b| **b).count() as u64;
                prop_assert_eq!(ranges.low_water(), low);
                prop_assert_eq!(ranges.len(), bitmap.iter().filter(|b| **b).count() as u64);
                let before = bitmap[..100].iter().filter(|b| **b).count() as u64;
                prop_assert_eq!(ranges.len_before(100), before);
                for (i, settled) in bitmap.iter().enumerate() {
                    let end = ranges.end_around(i as u64);
                    prop_assert_eq!(end.is_some(), *settled);
                    if let Some(end) = end {
                        prop_assert!(!bitmap[usize::try_from(end).unwrap()]);
                    }
                }
                let all: Vec<_> = ranges.iter().collect();
                prop_assert!(all.windows(2).all(|w| w[0].end < w[1].start));
            }
        }
    }
}
