//! What was written against what arrived: loss, duplication, order and damage, proved by the marks in the lines.

use std::collections::HashMap;
use std::fmt;
use std::ops::RangeInclusive;

use crate::lines;

/// What every writer has written.
#[derive(Clone, Debug, Default)]
pub struct Oracle {
    writers: Vec<Expected>,
}

#[derive(Clone, Debug, Default)]
struct Expected {
    id: String,
    name: String,
    written: u64,
}

impl Oracle {
    /// Adds a writer with its lines 1 to `written`; `name` is for people.
    pub fn expect(&mut self, id: impl Into<String>, name: impl Into<String>, written: u64) {
        self.writers.push(Expected { id: id.into(), name: name.into(), written });
    }

    /// Lines that were written, of all writers.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.writers.iter().map(|w| w.written).sum()
    }

    /// Compares it with all that was delivered, as (group, stream, timestamp in Unix ms, message), in the order in
    /// which a reader of the service gets it.
    #[must_use]
    pub fn compare<'a>(&self, delivered: impl IntoIterator<Item = (&'a str, &'a str, i64, &'a str)>) -> Report {
        let mut check = self.check();
        for (group, stream, timestamp, message) in delivered {
            check.see(group, stream, timestamp, message);
        }
        check.report()
    }

    /// Begins a comparison that is told of one message after another. It holds one bit for each line that was written.
    #[must_use]
    pub fn check(&self) -> Check {
        let seen = |w: &Expected| Seen { expected: w.clone(), bits: Bits::new(w.written), ..Seen::default() };
        let writers: Vec<_> = self.writers.iter().map(seen).collect();
        let by_id = writers.iter().enumerate().map(|(at, w)| (w.expected.id.clone(), at)).collect();
        Check { writers, by_id, unmarked: 0, unknown: 0 }
    }
}

/// A comparison under way.
#[derive(Debug)]
pub struct Check {
    writers: Vec<Seen>,
    by_id: HashMap<String, usize>,
    unmarked: u64,
    unknown: u64,
}

#[derive(Debug, Default)]
struct Seen {
    expected: Expected,
    bits: Bits,
    distinct: u64,
    duplicated: u64,
    out_of_order: u64,
    disorder: Option<Disorder>,
    damaged: u64,
    places: Vec<Place>,
}

/// A log stream and how far a writer has come in it.
#[derive(Debug)]
struct Place {
    group: String,
    stream: String,
    highest: u64,
    /// Of the line with the highest number.
    timestamp: i64,
}

impl Check {
    /// Notes a delivered message.
    pub fn see(&mut self, group: &str, stream: &str, timestamp: i64, message: &str) {
        let Some(mark) = lines::mark(message) else {
            self.unmarked += 1;
            return;
        };
        let writer = self.by_id.get(mark.writer).and_then(|at| self.writers.get_mut(*at));
        let Some(seen) = writer.filter(|w| (1..=w.expected.written).contains(&mark.n)) else {
            self.unknown += 1;
            return;
        };
        if lines::is_intact(message) == Some(false) {
            seen.damaged += 1;
        }
        if !seen.bits.set(mark.n) {
            seen.duplicated += 1;
            return;
        }
        seen.distinct += 1;
        let place = seen.places.iter_mut().find(|p| p.stream == stream && p.group == group);
        match place {
            None => {
                let (group, stream) = (group.to_owned(), stream.to_owned());
                seen.places.push(Place { group, stream, highest: mark.n, timestamp });
            }
            Some(place) if mark.n < place.highest || timestamp < place.timestamp => {
                seen.out_of_order += 1;
                let line = (mark.n, timestamp);
                seen.disorder.get_or_insert(Disorder { line, behind: (place.highest, place.timestamp) });
            }
            Some(place) => (place.highest, place.timestamp) = (mark.n, timestamp),
        }
    }

    /// What came of it.
    #[must_use]
    pub fn report(self) -> Report {
        let writers = self.writers.into_iter().map(|seen| WriterReport {
            id: seen.expected.id,
            name: seen.expected.name,
            written: seen.expected.written,
            delivered_distinct: seen.distinct,
            lost: seen.bits.missing(),
            duplicated: seen.duplicated,
            out_of_order: seen.out_of_order,
            disorder: seen.disorder,
            damaged: seen.damaged,
            places: seen.places.into_iter().map(|p| (p.group, p.stream)).collect(),
        });
        Report { writers: writers.collect(), unmarked: self.unmarked, unknown: self.unknown }
    }
}

/// A line that came out of order. Numbers, and timestamps in Unix ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disorder {
    /// The line.
    pub line: (u64, i64),
    /// The line with the highest number among those that came before.
    pub behind: (u64, i64),
}

/// What became of one writer's lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriterReport {
    /// The writer in the marks.
    pub id: String,
    /// The name that was given for people.
    pub name: String,
    /// Lines that were written.
    pub written: u64,
    /// Lines of these that arrived, however often.
    pub delivered_distinct: u64,
    /// The numbers of lines that did not arrive.
    pub lost: Vec<RangeInclusive<u64>>,
    /// Arrivals beyond the first of a line.
    pub duplicated: u64,
    /// First arrivals that came behind a higher number, or with an earlier timestamp than a lower number, in the same
    /// log stream.
    pub out_of_order: u64,
    /// The first of them.
    pub disorder: Option<Disorder>,
    /// Arrivals that are not what was written. Only generated lines can tell.
    pub damaged: u64,
    /// The groups and streams that they arrived in.
    pub places: Vec<(String, String)>,
}

impl WriterReport {
    /// How many lines did not arrive.
    #[must_use]
    pub fn lost_lines(&self) -> u64 {
        self.written - self.delivered_distinct
    }
}

/// What became of all lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Of each writer, in the order in which they were expected.
    pub writers: Vec<WriterReport>,
    /// Messages without a mark.
    pub unmarked: u64,
    /// Messages with the mark of a line that nobody wrote.
    pub unknown: u64,
}

impl Report {
    /// Lines that were written.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.sum(|w| w.written)
    }

    /// Lines of these that arrived, however often.
    #[must_use]
    pub fn delivered_distinct(&self) -> u64 {
        self.sum(|w| w.delivered_distinct)
    }

    /// Lines that did not arrive.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.sum(WriterReport::lost_lines)
    }

    /// Arrivals beyond the first of a line.
    #[must_use]
    pub fn duplicated(&self) -> u64 {
        self.sum(|w| w.duplicated)
    }

    /// First arrivals out of order; see [`WriterReport::out_of_order`].
    #[must_use]
    pub fn out_of_order(&self) -> u64 {
        self.sum(|w| w.out_of_order)
    }

    /// Arrivals that are not what was written.
    #[must_use]
    pub fn damaged(&self) -> u64 {
        self.sum(|w| w.damaged)
    }

    /// Whether every line arrived as it was written, and nothing that nobody wrote. Duplicates and order are another
    /// matter.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.lost() == 0 && self.damaged() == 0 && self.unknown == 0
    }

    fn sum(&self, of: impl Fn(&WriterReport) -> u64) -> u64 {
        self.writers.iter().map(of).sum()
    }
}

/// For the message of a failed test: the totals, and each writer with something wrong.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "written {}, delivered {}, lost {}, duplicated {}, out of order {}, damaged {}, unknown {}, unmarked {}",
            self.written(),
            self.delivered_distinct(),
            self.lost(),
            self.duplicated(),
            self.out_of_order(),
            self.damaged(),
            self.unknown,
            self.unmarked
        )?;
        let wrong = |w: &&WriterReport| w.lost_lines() + w.duplicated + w.out_of_order + w.damaged > 0;
        for w in self.writers.iter().filter(wrong) {
            write!(f, "\n  {} ({}): written {}, lost {}", w.id, w.name, w.written, w.lost_lines())?;
            for (at, range) in w.lost.iter().take(10).enumerate() {
                write!(f, "{} {}-{}", if at == 0 { ":" } else { "," }, range.start(), range.end())?;
            }
            if w.lost.len() > 10 {
                write!(f, ", and {} more ranges", w.lost.len() - 10)?;
            }
            write!(f, "; duplicated {}, out of order {}, damaged {}", w.duplicated, w.out_of_order, w.damaged)?;
            if let Some(Disorder { line, behind }) = w.disorder {
                write!(f, "; line {} at {} ms came behind line {} at {} ms", line.0, line.1, behind.0, behind.1)?;
            }
        }
        Ok(())
    }
}

/// One bit for each of the lines 1 to `count`.
#[derive(Debug, Default)]
struct Bits {
    words: Vec<u64>,
    count: u64,
}

impl Bits {
    fn new(count: u64) -> Self {
        let words = usize::try_from(count.div_ceil(64)).expect("a bit for every line fits into memory");
        Self { words: vec![0; words], count }
    }

    fn place(n: u64) -> (usize, u64) {
        (usize::try_from((n - 1) / 64).unwrap_or(usize::MAX), 1 << ((n - 1) % 64))
    }

    /// Sets the bit of a line, and returns whether it was not set before.
    fn set(&mut self, n: u64) -> bool {
        let (at, bit) = Self::place(n);
        let Some(word) = self.words.get_mut(at) else { return false };
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    fn has(&self, n: u64) -> bool {
        let (at, bit) = Self::place(n);
        self.words.get(at).is_some_and(|word| word & bit != 0)
    }

    /// The lines whose bit is not set.
    fn missing(&self) -> Vec<RangeInclusive<u64>> {
        let mut missing: Vec<RangeInclusive<u64>> = Vec::new();
        let mut n = 1;
        while n <= self.count {
            let (at, bit) = Self::place(n);
            if bit == 1 && self.words.get(at) == Some(&u64::MAX) {
                n += 64;
                continue;
            }
            if !self.has(n) {
                match missing.last_mut() {
                    Some(range) if *range.end() + 1 == n => *range = *range.start()..=n,
                    _ => missing.push(n..=n),
                }
            }
            n += 1;
        }
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(writer: &str, numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
        numbers.into_iter().map(|n| format!("text w={writer} n={n:09}")).collect()
    }

    fn compare(written: u64, numbers: impl IntoIterator<Item = u64>) -> WriterReport {
        let mut oracle = Oracle::default();
        oracle.expect("a", "the only one", written);
        let delivered = lines("a", numbers);
        let report = oracle.compare(delivered.iter().map(|m| ("group", "stream", 0, m.as_str())));
        report.writers[0].clone()
    }

    #[test]
    fn everything_once_and_in_order_is_complete() {
        let report = compare(1000, 1..=1000);
        assert_eq!((report.delivered_distinct, report.lost_lines()), (1000, 0));
        assert_eq!((report.lost.len(), report.duplicated, report.out_of_order), (0, 0, 0));
        assert_eq!(report.places, [("group".to_owned(), "stream".to_owned())]);
    }

    #[test]
    fn loss_is_found_to_the_line() {
        let gone = |n: &u64| matches!(n, 1 | 64..=66 | 200..=500 | 1000);
        let report = compare(1000, (1..=1000).filter(|n| !gone(n)));
        assert_eq!(report.lost, [1..=1, 64..=66, 200..=500, 1000..=1000]);
        assert_eq!(report.lost_lines(), 306);
        assert_eq!(compare(3, []).lost, [1..=3]);
    }

    #[test]
    fn duplicates_are_counted_and_are_no_disorder() {
        let report = compare(10, (1..=7).chain(5..=10).chain([1]));
        assert_eq!((report.duplicated, report.out_of_order, report.lost_lines()), (4, 0, 0));
    }

    #[test]
    fn disorder_is_found_by_number_and_by_time() {
        assert_eq!(compare(5, [1, 2, 4, 3, 5]).out_of_order, 1);
        let mut oracle = Oracle::default();
        oracle.expect("a", "", 2);
        let delivered = lines("a", 1..=2);
        let report = oracle.compare(delivered.iter().zip([7, 6]).map(|(m, t)| ("g", "s", t, m.as_str())));
        assert_eq!(report.out_of_order(), 1);
    }

    #[test]
    fn strangers_and_damage_are_found() {
        let mut oracle = Oracle::default();
        oracle.expect("a", "", 2);
        let mut line = Vec::new();
        crate::lines::Lines::new(1, "a", 300).append(&mut line);
        let line = String::from_utf8(line).unwrap();
        let cut: String = line.chars().take(200).collect();
        let messages = [cut.as_str(), "w=a n=000000002", "w=a n=000000003", "w=b n=000000001", "no mark"];
        let report = oracle.compare(messages.map(|m| ("g", "s", 0, m)));
        assert_eq!((report.damaged(), report.unknown, report.unmarked, report.lost()), (1, 2, 1, 0));
        assert!(!report.is_complete());
        assert!(report.to_string().contains("damaged 1"), "{report}");
    }
}
