//! Reading a file and the one that rotation began after it, interrupted in every way that the pipeline interrupts it.

use super::*;
use proptest::prelude::*;

/// A record that was handed on; its bytes are counted through both files.
#[derive(Debug, Clone)]
struct Handed {
    file: usize,
    bytes: Ranges,
    content: Vec<u8>,
}

/// Takes records of one of two files.
struct Taken {
    base: [u64; 2],
    file: usize,
    in_flight: Vec<Handed>,
    settled: [Ranges; 2],
    dropped: Ranges,
    may_take: usize,
    most: usize,
    splits: bool,
}

impl Taken {
    fn global<'a>(
        &self,
        file: usize,
        ranges: impl Iterator<Item = Range<u64>> + 'a,
    ) -> impl Iterator<Item = Range<u64>> + 'a {
        let base = self.base[file];
        ranges.map(move |r| r.start + base..r.end + base)
    }

    fn settle(&mut self, handed: &Handed) {
        for (file, ranges) in self.parts(handed).into_iter().enumerate() {
            self.settled[file].insert_all(&ranges);
        }
    }

    /// What a record holds of each file.
    fn parts(&self, handed: &Handed) -> [Ranges; 2] {
        let mut parts = [Ranges::default(), Ranges::default()];
        for range in handed.bytes.iter() {
            let (old, new) = (range.start..range.end.min(self.base[1]), range.start.max(self.base[1])..range.end);
            parts[0].insert(old);
            if !new.is_empty() {
                parts[1].insert(new.start - self.base[1]..new.end - self.base[1]);
            }
        }
        parts
    }
}

impl Sink for Taken {
    fn record(&mut self, record: &Record<'_>) -> Result<(), Blocked> {
        if self.may_take == 0 {
            return Err(Blocked);
        }
        self.may_take -= 1;
        assert!(record.content.len() <= self.most, "a record fits one event");
        let mut bytes: Ranges = self.global(self.file, std::iter::once(record.line.clone())).collect();
        if let Some(pieces) = record.pieces {
            self.global(self.file, pieces.iter()).for_each(|r| bytes.insert(r));
        }
        if let Some((file, lines)) = record.carried {
            self.global(usize::try_from(file).unwrap(), lines.iter()).for_each(|r| bytes.insert(r));
        }
        self.in_flight.push(Handed { file: self.file, bytes, content: record.content.to_vec() });
        Ok(())
    }
    fn room(&self, _: Stream) -> usize {
        self.most
    }
    fn counted(&self, _: Stream, content: &[u8]) -> usize {
        content.len()
    }
    fn fitting(&self, _: Stream, content: &[u8]) -> usize {
        content.len().min(self.most)
    }
    fn splits(&self) -> bool {
        self.splits
    }
    fn truncated(&mut self, line: Range<u64>, _timestamp_ms: Option<i64>) {
        let global: Vec<_> = self.global(self.file, std::iter::once(line.clone())).collect();
        global.into_iter().for_each(|r| self.dropped.insert(r));
        self.settled[self.file].insert(line);
    }
}

/// A line of a file and the line of the container that it is a piece of.
#[derive(Debug)]
struct Physical {
    bytes: Range<u64>,
    content: Range<u64>,
    logical: usize,
}

/// What the lines of both files are, known without reading them.
fn known(text: &str) -> Vec<Physical> {
    let (mut lines, mut at, mut next) = (Vec::new(), 0, 0);
    let mut open: [Option<usize>; 2] = [None, None];
    for line in text.split_inclusive('\n') {
        let mut fields = line.splitn(4, ' ').skip(1);
        let slot = &mut open[usize::from(fields.next().unwrap() == "stderr")];
        let logical = *slot.get_or_insert_with(|| {
            next += 1;
            next
        });
        if fields.next().unwrap() == "F" {
            *slot = None;
        }
        let content = fields.next().unwrap().trim_end_matches('\n');
        let (end, start) = (at + line.len() as u64, at + line.find(content).unwrap() as u64);
        let start = if content.is_empty() { end - u64::from(line.ends_with('\n')) } else { start };
        lines.push(Physical { bytes: at..end, content: start..start + content.len() as u64, logical });
        at = end;
    }
    lines
}

/// How reading is interrupted, after some records were taken.
#[derive(Debug, Clone)]
enum Stop {
    /// There was no room for more.
    Full,
    /// Some of what is on its way is given back; one bit for each record.
    Returned(u32),
    /// Some of it is delivered.
    Delivered(u32),
    /// Only what is settled is known afterwards.
    Crash,
}

fn any_stop() -> impl Strategy<Value = (usize, Stop)> {
    let stop = prop_oneof![
        1 => Just(Stop::Full),
        3 => any::<u32>().prop_map(Stop::Returned),
        3 => any::<u32>().prop_map(Stop::Delivered),
        2 => Just(Stop::Crash),
    ];
    (0usize..6, stop)
}

struct Node {
    logs: [Log; 2],
    tails: [Tail; 2],
    taken: Taken,
    rotated: bool,
}

impl Node {
    fn new(old: &str, new: &str, most: usize, splits: bool) -> Self {
        Self {
            logs: [Log::new(old.as_bytes()), Log::new(new.as_bytes())],
            tails: [Tail::default(), Tail::default()],
            taken: Taken {
                base: [0, old.len() as u64],
                file: 0,
                in_flight: Vec::new(),
                settled: [Ranges::default(), Ranges::default()],
                dropped: Ranges::default(),
                may_take: 0,
                most,
                splits,
            },
            rotated: !new.is_empty(),
        }
    }

    /// Reads as the pipeline does: the old file to its end, then the new one. `false` if there is no room for more.
    fn read(&mut self, take: usize) -> bool {
        self.taken.may_take = take;
        let [old, new] = &mut self.tails;
        let [first, second] = &mut self.logs;
        self.taken.file = 0;
        let turn = |tail: &mut Tail, log: &mut Log, taken: &mut Taken| loop {
            match tail.turn(&mut log.source, &mut log.window, taken).unwrap() {
                Turn::More => {}
                turn => return turn == Turn::CaughtUp,
            }
        };
        if !turn(old, first, &mut self.taken) {
            return false;
        }
        if self.rotated && old.has_partial() && new.is_untouched() && !new.has_partial() {
            new.continue_with(old.carry(0, &mut first.source, &mut first.window).unwrap());
        }
        if old.finish(&mut first.source, &mut first.window, &mut self.taken).unwrap() == Turn::Blocked {
            return false;
        }
        self.taken.file = 1;
        turn(new, second, &mut self.taken)
            && new.finish(&mut second.source, &mut second.window, &mut self.taken).unwrap() == Turn::CaughtUp
    }
}

fn interrupted(
    lines: &[String],
    rotation: usize,
    stops: Vec<(usize, Stop)>,
    most: usize,
    splits: bool,
) -> Result<(), TestCaseError> {
    let text = lines.concat();
    let (old, new) = text.split_at(lines.iter().take(rotation).map(String::len).sum());
    let known = known(&text);
    let mut node = Node::new(old, new, most, splits);
    let mut delivered = Vec::new();
    for (take, stop) in stops {
        node.read(take);
        let chosen = |mask: u32, in_flight: &mut Vec<Handed>| {
            let mut index = 0;
            let (chosen, left): (Vec<_>, Vec<_>) = std::mem::take(in_flight).into_iter().partition(|_| {
                index += 1;
                mask & (1 << (index % 32)) != 0
            });
            *in_flight = left;
            chosen
        };
        match stop {
            Stop::Full => {}
            Stop::Returned(mask) => {
                for handed in chosen(mask, &mut node.taken.in_flight) {
                    for (file, ranges) in node.taken.parts(&handed).iter().enumerate() {
                        // A batch claims something of the file that it was read from, if only nothing of it.
                        if file == handed.file || !ranges.is_empty() {
                            node.tails[file].give_back(ranges);
                        }
                    }
                }
            }
            Stop::Delivered(mask) => {
                for handed in chosen(mask, &mut node.taken.in_flight) {
                    node.taken.settle(&handed);
                    delivered.push(handed);
                }
            }
            Stop::Crash => {
                node.taken.in_flight.clear();
                node.tails = [Tail::resume(&node.taken.settled[0]), Tail::resume(&node.taken.settled[1])];
            }
        }
    }
    prop_assert!(node.read(usize::MAX), "reading ends");
    for handed in std::mem::take(&mut node.taken.in_flight) {
        node.taken.settle(&handed);
        delivered.push(handed);
    }

    prop_assert_eq!(node.taken.settled[0].low_water(), old.len() as u64);
    prop_assert_eq!(node.taken.settled[1].low_water(), new.len() as u64);
    let sum: u64 = delivered.iter().map(|h| h.bytes.len()).sum();
    prop_assert_eq!(sum + node.taken.dropped.len(), text.len() as u64, "every byte once");
    let of = |range: &Range<u64>| {
        let within = |l: &&Physical| l.bytes.start < range.end && range.start < l.bytes.end;
        known.iter().filter(within).collect::<Vec<_>>()
    };
    for handed in &delivered {
        let mut expected = Vec::new();
        let mut logical = std::collections::BTreeSet::new();
        for range in handed.bytes.iter() {
            for line in of(&range) {
                logical.insert(line.logical);
                let part = range.start.max(line.content.start)..range.end.min(line.content.end);
                if !part.is_empty() {
                    let (start, end) = (usize::try_from(part.start).unwrap(), usize::try_from(part.end).unwrap());
                    expected.extend_from_slice(&text.as_bytes()[start..end]);
                }
            }
        }
        prop_assert_eq!(logical.len(), 1, "lines are not mixed: {:?}", handed);
        prop_assert_eq!(&handed.content, &expected);
    }
    prop_assert!(!splits || node.taken.dropped.is_empty());
    for range in node.taken.dropped.iter() {
        for line in of(&range) {
            let same = known.iter().filter(|l| l.logical == line.logical);
            let size: u64 = same.map(|l| l.content.end - l.content.start).sum();
            prop_assert!(size > most as u64, "only what is too long is truncated");
            let handed = delivered.iter().flat_map(|h| h.bytes.iter());
            prop_assert!(handed.flat_map(|r| of(&r)).any(|l| l.logical == line.logical), "and its start is kept");
        }
    }
    Ok(())
}

fn any_line(content: impl Strategy<Value = usize>) -> impl Strategy<Value = (&'static str, &'static str, usize)> {
    let stream = prop_oneof![2 => Just("stdout"), 1 => Just("stderr")];
    let tag = prop_oneof![2 => Just("F"), 1 => Just("P")];
    (stream, tag, content)
}

/// Lines that can be told apart, the last one perhaps without its end.
fn numbered(lines: Vec<(&str, &str, usize)>, torn: bool) -> Vec<String> {
    let digits = |i: usize, n: usize| {
        (0..)
            .map(|k| format!("{i}.{k};"))
            .scan(0, |len, t| {
                let more = *len < n;
                *len += t.len();
                more.then_some(t)
            })
            .collect::<String>()
    };
    let mut lines: Vec<String> = lines
        .into_iter()
        .enumerate()
        .map(|(i, (s, t, n))| line(s, t, &digits(i, n).chars().take(n).collect::<String>()))
        .collect();
    if let Some(last) = lines.last_mut().filter(|_| torn) {
        last.pop();
    }
    lines
}

proptest! {
    /// However reading is interrupted (blocked, given back, resumed from what is settled), every content is handed on once,
    /// no two lines are mixed, and what is truncated was too long.
    #[test]
    fn interruptions_lose_nothing(
        lines in prop::collection::vec(any_line(0usize..300), 1..30), rotation in 0usize..40, torn in any::<bool>(),
        stops in prop::collection::vec(any_stop(), 0..12),
        most in prop_oneof![Just(1_000_000), 90usize..130], splits in any::<bool>(),
    ) {
        interrupted(&numbered(lines, torn), rotation, stops, most, splits)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    /// The same for lines that do not fit what a turn reads at once.
    #[test]
    fn interruptions_of_long_lines_lose_nothing(
        lines in prop::collection::vec(any_line(prop_oneof![0usize..300, Just(300_000), Just(1_500_000)]), 1..6), rotation in 0usize..8, torn in any::<bool>(),
        stops in prop::collection::vec(any_stop(), 0..8),
        most in prop_oneof![Just(1_000_000), Just(200_000)], splits in any::<bool>(),
    ) {
        interrupted(&numbered(lines, torn), rotation, stops, most, splits)?;
    }
}
