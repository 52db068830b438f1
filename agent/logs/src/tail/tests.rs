#![expect(clippy::disallowed_methods, reason = "a test writes the files it reads")]

mod interruptions;

use super::*;
use std::fs::File;
use std::io::Write;

/// Takes what it is given, up to a number of records at a time.
struct Taker {
    records: Vec<(Stream, Vec<u8>, Option<String>)>,
    settled: Ranges,
    carried: Vec<(FileNo, Ranges)>,
    may_take: usize,
    most: usize,
    splits: bool,
}

impl Taker {
    fn new() -> Self {
        Self {
            records: Vec::new(),
            settled: Ranges::default(),
            carried: Vec::new(),
            may_take: usize::MAX,
            most: 1_000_000,
            splits: true,
        }
    }

    fn contents(&self) -> Vec<String> {
        self.records.iter().map(|(_, c, _)| String::from_utf8_lossy(c).into_owned()).collect()
    }
}

impl Sink for Taker {
    fn record(&mut self, record: &Record<'_>) -> Result<(), Blocked> {
        if self.may_take == 0 {
            return Err(Blocked);
        }
        self.may_take -= 1;
        assert!(record.content.len() <= self.most, "a record fits one event");
        let mark = record.mark.map(|m| format!("{m:?}"));
        self.records.push((record.stream, record.content.to_vec(), mark));
        self.settled.insert(record.line.clone());
        if let Some(pieces) = record.pieces {
            self.settled.insert_all(pieces);
        }
        if let Some((file, lines)) = record.carried {
            self.carried.push((file, lines.clone()));
        }
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
        self.settled.insert(line);
    }
}

struct Log {
    dir: tempfile::TempDir,
    source: Source,
    window: Window,
}

impl Log {
    fn new(text: &[u8]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("0.log"), text).unwrap();
        let source = Source::Plain(File::open(dir.path().join("0.log")).unwrap());
        Self { dir, source, window: Window::default() }
    }

    fn append(&self, text: &[u8]) {
        let mut file = File::options().append(true).open(self.dir.path().join("0.log")).unwrap();
        file.write_all(text).unwrap();
    }

    fn read(&mut self, tail: &mut Tail, taker: &mut Taker) -> Turn {
        loop {
            let turn = tail.turn(&mut self.source, &mut self.window, taker).unwrap();
            if turn != Turn::More {
                return turn;
            }
        }
    }
}

fn line(stream: &str, tag: &str, content: &str) -> String {
    format!("2026-11-23T07:44:02.123456789Z {stream} {tag} {content}\n")
}

/// VictoriaMetrics/VictoriaLogs#1215, vectordotdev/vector#25385: pieces of the two outputs interleave and stay apart.
#[test]
fn pieces_are_joined_per_output() {
    let text = [
        line("stdout", "P", "out-1 "),
        line("stderr", "P", "err-1 "),
        line("stdout", "P", "out-2 "),
        line("stderr", "F", "err-2"),
        line("stdout", "F", "out-3"),
        line("stdout", "F", ""),
    ]
    .concat();
    let (mut log, mut tail, mut taker) = (Log::new(text.as_bytes()), Tail::default(), Taker::new());
    assert_eq!(log.read(&mut tail, &mut taker), Turn::CaughtUp);
    assert_eq!(taker.contents(), ["err-1 err-2", "out-1 out-2 out-3", ""]);
    assert_eq!(taker.settled.low_water(), text.len() as u64);
}

/// fluent/fluent-bit#3938, #4769: neither time nor other lines nor the size of the read buffer cut a joined line.
#[test]
fn a_joined_line_outlives_many_reads() {
    let mut taker = Taker::new();
    let piece = "p".repeat(16_384);
    let mut log = Log::new(line("stdout", "P", "start ").as_bytes());
    let mut tail = Tail::default();
    let mut expected = "start ".to_owned();
    for _ in 0..40 {
        log.append(line("stdout", "P", &piece).as_bytes());
        log.append(line("stderr", "F", &"e".repeat(20_000)).as_bytes());
        expected.push_str(&piece);
        log.read(&mut tail, &mut taker);
    }
    log.append(line("stdout", "F", "end").as_bytes());
    log.read(&mut tail, &mut taker);
    assert_eq!(taker.contents().last().unwrap(), &(expected + "end"));
}

#[test]
fn a_line_is_read_when_it_is_complete() {
    let whole = line("stdout", "F", "hello");
    let (start, rest) = whole.split_at(40);
    let (mut log, mut tail, mut taker) = (Log::new(start.as_bytes()), Tail::default(), Taker::new());
    log.read(&mut tail, &mut taker);
    assert!(taker.records.is_empty());
    log.append(rest.as_bytes());
    log.read(&mut tail, &mut taker);
    assert_eq!(taker.contents(), ["hello"]);
}

/// fluent/fluentd and Fluent Bit keep such a line for ever or lose it: a process that dies in the middle of a line leaves
/// pieces without an end.
#[test]
fn the_last_words_of_a_container_are_handed_on() {
    let text = [line("stdout", "F", "fine"), line("stderr", "P", "panic: out of ")].concat()
        + "2026-11-23T07:44:03Z stdout F torn";
    let (mut log, mut tail, mut taker) = (Log::new(text.as_bytes()), Tail::default(), Taker::new());
    log.read(&mut tail, &mut taker);
    assert_eq!(taker.contents(), ["fine"]);
    assert!(tail.has_partial());
    assert_eq!(tail.finish(&mut log.source, &mut log.window, &mut taker).unwrap(), Turn::CaughtUp);
    assert_eq!(taker.contents(), ["fine", "torn", "panic: out of "]);
    assert_eq!(taker.settled.low_water(), text.len() as u64);
}

/// containerd reopens the log in the middle of a line: its start is the last thing in the old file, its end the first of
/// that output in the new one.
#[test]
fn a_line_that_rotation_cut_is_joined_across_the_files() {
    let mut old =
        Log::new([line("stdout", "F", "a"), line("stdout", "P", "16"), line("stderr", "P", "x")].concat().as_bytes());
    let mut new =
        Log::new([line("stdout", "F", "8"), line("stderr", "P", "y"), line("stderr", "F", "z")].concat().as_bytes());
    let (mut first, mut second, mut taker) = (Tail::default(), Tail::default(), Taker::new());
    old.read(&mut first, &mut taker);
    assert!(second.is_untouched());
    second.continue_with(first.carry(7, &mut old.source, &mut old.window).unwrap());
    assert!(!first.has_partial());
    new.read(&mut second, &mut taker);
    assert_eq!(taker.contents(), ["a", "168", "xyz"]);
    assert_eq!(taker.carried.len(), 2);
    assert!(taker.carried.iter().all(|(file, _)| *file == 7));
    // Given back before they were delivered, the lines can be joined again.
    second.give_back(&Ranges::from_iter(std::iter::once(0..1000)));
    assert!(second.is_untouched());
}

/// fluent/fluent-bit#4203, aws-for-fluent-bit "Skipping file": a line longer than an event is cut, and nothing stops.
#[test]
fn a_line_longer_than_an_event_becomes_parts() {
    for size in [25, 300_000, 2_000_000] {
        let long: String = (0..size).map(|i| char::from(b'a' + u8::try_from(i % 26).unwrap())).collect();
        let pieces: String =
            long.as_bytes().chunks(16_384).map(|p| line("stdout", "P", std::str::from_utf8(p).unwrap())).collect();
        for text in [line("stdout", "F", &long), pieces + &line("stdout", "F", "!")] {
            let whole = text.clone() + &line("stdout", "F", "next");
            let (mut log, mut tail, mut taker) = (Log::new(whole.as_bytes()), Tail::default(), Taker::new());
            taker.most = 20_000;
            log.read(&mut tail, &mut taker);
            let contents = taker.contents();
            assert_eq!(contents.last().unwrap(), "next");
            let joined = contents[..contents.len() - 1].concat();
            assert_eq!(joined.trim_end_matches('!').len(), size);
            assert!(joined.starts_with(&long));
            assert_eq!(taker.settled.low_water(), whole.len() as u64);
            if size > 20_000 {
                let marks: Vec<_> = taker.records.iter().filter_map(|(_, _, m)| m.clone()).collect();
                assert!(
                    marks[0].contains("Continues { part: 1 }") && marks.last().unwrap().contains("Ends"),
                    "{marks:?}"
                );
            }
        }
    }
}

#[test]
fn a_truncated_line_keeps_its_start_and_settles_the_rest() {
    let long = "x".repeat(100_000);
    let pieces: String =
        long.as_bytes().chunks(16_384).map(|p| line("stdout", "P", std::str::from_utf8(p).unwrap())).collect();
    for text in [line("stdout", "F", &long), pieces + &line("stdout", "F", "!")] {
        let whole = text + &line("stdout", "F", "next");
        let (mut log, mut tail, mut taker) = (Log::new(whole.as_bytes()), Tail::default(), Taker::new());
        (taker.most, taker.splits) = (20_000, false);
        log.read(&mut tail, &mut taker);
        assert_eq!(taker.records.len(), 2);
        assert!(taker.records[0].2.as_ref().unwrap().contains("Truncated"));
        assert_eq!(taker.settled.low_water(), whole.len() as u64);
    }
}

#[test]
fn what_is_not_cri_is_handed_on_whole() {
    let text = format!("garbage\n{}\u{fffd}\n\n{}", line("stdout", "F", "ok"), line("stdin", "F", "x"));
    let (mut log, mut tail, mut taker) = (Log::new(text.as_bytes()), Tail::default(), Taker::new());
    log.read(&mut tail, &mut taker);
    assert_eq!(taker.contents(), ["garbage", "ok", "\u{fffd}", "", line("stdin", "F", "x").trim_end()]);
}

/// After a crash in the middle of a line longer than an event, its rest is still content and not a broken line's head.
#[test]
fn reading_resumes_inside_a_long_line() {
    let text = line("stdout", "F", &"x".repeat(50_000)) + &line("stdout", "F", "next");
    let mut log = Log::new(text.as_bytes());
    let mut taker = Taker::new();
    taker.most = 20_000;
    taker.may_take = 1;
    let mut tail = Tail::default();
    assert_eq!(tail.turn(&mut log.source, &mut log.window, &mut taker).unwrap(), Turn::Blocked);
    let mut resumed = Tail::resume(&taker.settled);
    taker.may_take = usize::MAX;
    log.read(&mut resumed, &mut taker);
    assert_eq!(taker.contents().iter().map(String::len).sum::<usize>(), 50_004);
    assert_eq!(taker.settled.low_water(), text.len() as u64);
}

/// A `.gz` is read in one pass, whatever the lines are like and however often the sink is full.
#[test]
fn a_gz_is_decompressed_once() {
    let pieces = |n: usize| {
        let middle: String = (0..n).map(|_| line("stdout", "P", &"p".repeat(16_384))).collect();
        middle + &line("stdout", "F", "end")
    };
    let texts = [
        (
            "short lines",
            (0..60_000).map(|n| line("stdout", "F", &format!("{n} {}", "s".repeat(60)))).collect::<String>(),
        ),
        ("lines beyond a chunk", (0..20).map(|_| line("stdout", "F", &"m".repeat(300_000))).collect()),
        ("lines beyond an event", (0..4).map(|_| line("stdout", "F", &"l".repeat(2_500_000))).collect()),
        ("lines in pieces", (0..20).map(|_| pieces(60)).collect()),
    ];
    for (what, text) in texts {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log.gz");
        let mut encoder = flate2::write::GzEncoder::new(File::create(&path).unwrap(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap();
        let mut source = Source::gzip(File::open(path).unwrap());
        let (mut window, mut tail, mut taker) = (Window::default(), Tail::default(), Taker::new());
        assert_eq!(source.begun(), 0, "a file that waits for its turn holds no decoder");
        for _ in 0..10_000 {
            // Room for a batch of so many records, and then none.
            taker.may_take = if taker.may_take == 0 { 3_000_000 / (text.len() / 20) } else { taker.may_take };
            if tail.turn(&mut source, &mut window, &mut taker).unwrap() == Turn::CaughtUp {
                break;
            }
        }
        taker.may_take = usize::MAX;
        assert_eq!(tail.finish(&mut source, &mut window, &mut taker).unwrap(), Turn::CaughtUp);
        assert_eq!(taker.settled.low_water(), text.len() as u64, "{what}");
        assert!(source.begun() <= 2, "{what}: decompressed {} times", source.begun());
    }
}

/// A line cut by rotation: what was carried counts, so that the pieces together never exceed an event.
#[test]
fn a_carried_line_near_the_limit_never_exceeds_an_event() {
    for (most, last, expected) in [(150_000, 50_000, 1), (150_000, 50_001, 2), (100_000, 10_000, 2)] {
        let old = line("stdout", "P", &"o".repeat(if most == 100_000 { 95_000 } else { 100_000 }));
        let new = line("stdout", "F", &"n".repeat(last));
        let (mut first, mut second) = (Log::new(old.as_bytes()), Log::new(new.as_bytes()));
        let (mut tail, mut next, mut taker) = (Tail::default(), Tail::default(), Taker::new());
        taker.most = most;
        first.read(&mut tail, &mut taker);
        next.continue_with(tail.carry(7, &mut first.source, &mut first.window).unwrap());
        // The taker refuses what exceeds an event.
        second.read(&mut next, &mut taker);
        let whole = if most == 100_000 { 105_000 } else { 100_000 + last };
        assert_eq!(taker.records.iter().map(|(_, c, _)| c.len()).sum::<usize>(), whole);
        assert_eq!(taker.records.len(), expected, "{most} {last}");
        assert_eq!(taker.carried, [(7, std::iter::once(0..old.len() as u64).collect())]);
        assert_eq!(taker.settled.low_water(), new.len() as u64);
    }
}

/// A line of very many pieces is handed on in parts, even where long lines are truncated: it is not too long for an event.
#[test]
fn a_line_of_very_many_pieces_goes_on_in_parts() {
    let digits: String = "0123456789".repeat(300);
    let pieces: String = digits.chars().map(|c| line("stdout", "P", &c.to_string())).collect();
    let text = pieces + &line("stdout", "F", "end");
    for splits in [true, false] {
        let (mut log, mut tail, mut taker) = (Log::new(text.as_bytes()), Tail::default(), Taker::new());
        taker.splits = splits;
        assert_eq!(log.read(&mut tail, &mut taker), Turn::CaughtUp);
        assert_eq!(taker.contents().concat(), digits.clone() + "end");
        let marks: Vec<_> = taker.records.iter().map(|(_, c, m)| (c.len() <= PIECES, m.clone().unwrap())).collect();
        let part = |text: &str| (true, text.to_owned());
        let expected = [part("Continues { part: 1 }"), part("Continues { part: 2 }"), part("Ends { part: 3 }")];
        assert_eq!(marks, expected);
        assert_eq!(taker.settled.low_water(), text.len() as u64);
    }
}

/// Bytes of `text` from where `from` begins to the end of `to`.
fn span(text: &str, from: &str, to: &str) -> Range<u64> {
    text.find(from).unwrap() as u64..(text.find(to).unwrap() + to.len()) as u64
}

/// After a restart, pieces whose end was delivered before are lines of their own.
#[test]
fn pieces_are_not_joined_across_what_is_settled() {
    let end = line("stdout", "F", "b");
    for (start, expected) in [("a".to_owned(), &["a", "c"][..]), (String::new(), &["", "c"])] {
        let text = line("stdout", "P", &start) + &end + &line("stdout", "F", "c");
        let (mut log, mut taker) = (Log::new(text.as_bytes()), Taker::new());
        taker.settled = Ranges::from_iter(std::iter::once(span(&text, &end, &end)));
        log.read(&mut Tail::resume(&taker.settled.clone()), &mut taker);
        assert_eq!(taker.contents(), expected);
        assert_eq!(taker.settled.low_water(), text.len() as u64);
    }
}

/// The same where rotation cut the line, and more of the new file than its first line is settled.
#[test]
fn carried_pieces_are_not_joined_across_what_is_settled() {
    let text = line("stdout", "F", "its end") + &line("stdout", "F", "another");
    let mut old = Log::new(line("stdout", "P", "start").as_bytes());
    let (mut new, mut first, mut taker) = (Log::new(text.as_bytes()), Tail::default(), Taker::new());
    let mut second = Tail::resume(&Ranges::from_iter(std::iter::once(span(&text, "2026", "its end\n"))));
    old.read(&mut first, &mut taker);
    second.continue_with(first.carry(7, &mut old.source, &mut old.window).unwrap());
    new.read(&mut second, &mut taker);
    assert_eq!(taker.contents(), ["start", "another"]);
}

/// A line that is being truncated, or handed on in parts, ends where its end is settled: the next line is another.
#[test]
fn a_long_line_ends_where_its_rest_is_settled() {
    let tail = line("stdout", "F", &"c".repeat(80));
    let pieces = line("stdout", "P", &"a".repeat(80)) + &line("stdout", "P", &"b".repeat(80)) + &tail;
    let whole = line("stdout", "F", &("d".repeat(100) + &"e".repeat(80)));
    for (text, rest, parts) in [(pieces, tail, 1), (whole, "e".repeat(80) + "\n", 1)] {
        for splits in [false, true] {
            let text = text.clone() + &line("stdout", "F", "next");
            let (mut log, mut taker) = (Log::new(text.as_bytes()), Taker::new());
            (taker.most, taker.splits) = (100, splits);
            taker.settled = Ranges::from_iter(std::iter::once(span(&text, &rest, &rest)));
            log.read(&mut Tail::resume(&taker.settled.clone()), &mut taker);
            let contents = taker.contents();
            assert!(contents.len() > parts && contents.last().unwrap() == "next", "{contents:?}");
            assert_eq!(taker.settled.low_water(), text.len() as u64);
        }
    }
}

/// After a crash in the middle of a truncated line its rest is no event.
#[test]
fn the_rest_of_a_truncated_line_stays_away_after_a_restart() {
    let text = line("stdout", "F", &"x".repeat(50_000)) + &line("stdout", "F", "next");
    let (mut log, mut taker) = (Log::new(text.as_bytes()), Taker::new());
    (taker.most, taker.splits) = (20_000, false);
    let cut = text.find('x').unwrap() as u64 + 20_000;
    let mut resumed = Tail::resume(&Ranges::from_iter(std::iter::once(0..cut)));
    log.read(&mut resumed, &mut taker);
    assert_eq!(taker.contents(), ["next"]);
}

/// An error of the disk while the pieces of a line are fetched again leaves them where they are.
#[test]
fn pieces_outlive_an_error_of_the_disk() {
    let mut log = Log::new(line("stdout", "P", "one ").as_bytes());
    let (mut tail, mut taker) = (Tail::default(), Taker::new());
    log.read(&mut tail, &mut taker);
    log.append(line("stdout", "F", "two").as_bytes());
    // The last piece is read, and then the disk fails: its buffer is all there is.
    let broken = || Source::Plain(File::options().append(true).open("/dev/null").unwrap());
    let text = line("stdout", "F", "two");
    let chunk = Chunk { start: tail.position(), bytes: text.as_bytes() };
    let mut clock = TimestampCache::default();
    assert!(tail.lines(&chunk, &mut broken(), &mut Vec::new(), &mut clock, &mut taker).is_err());
    assert!(tail.flush_partials(&mut broken(), &mut Vec::new(), &mut taker).is_err());
    assert!(tail.carry(7, &mut broken(), &mut log.window).unwrap().iter().all(Option::is_none));
    taker.most = 5;
    assert!(tail.lines(&chunk, &mut broken(), &mut Vec::new(), &mut clock, &mut taker).is_err());
    taker.most = 1_000;
    log.read(&mut tail, &mut taker);
    assert_eq!(taker.contents(), ["one two"]);
}

/// What is missing of a file that is deleted: not what was delivered behind lines that were given back.
#[test]
fn what_is_unread_is_what_was_neither_handed_on_nor_settled() {
    let text = [line("stdout", "F", "a"), line("stdout", "F", "b"), line("stdout", "F", "c")].concat();
    let (mut log, mut tail, mut taker) = (Log::new(text.as_bytes()), Tail::default(), Taker::new());
    log.read(&mut tail, &mut taker);
    let size = text.len() as u64;
    assert_eq!(tail.unread(size), 0);
    tail.give_back(&Ranges::from_iter(std::iter::once(0..size / 3)));
    assert_eq!(tail.unread(size), size / 3);
    assert_eq!(tail.unread(size + 10), size / 3 + 10);
}

/// Given back once more while they wait for their end, carried pieces are still not joined with what follows their settled end.
#[test]
fn carried_pieces_wait_where_the_file_begins() {
    let text = line("stdout", "F", "its end") + &line("stdout", "F", "another");
    let mut old = Log::new(line("stdout", "P", "start").as_bytes());
    let (mut new, mut first, mut taker) = (Log::new(text.as_bytes()), Tail::default(), Taker::new());
    let settled = Ranges::from_iter(std::iter::once(span(&text, "2026", "its end\n")));
    let mut second = Tail::resume(&settled);
    old.read(&mut first, &mut taker);
    second.continue_with(first.carry(7, &mut old.source, &mut old.window).unwrap());
    second.give_back(&Ranges::default());
    new.read(&mut second, &mut taker);
    assert_eq!(taker.contents(), ["start", "another"]);
}

/// The end of a line that rotation cut may come later than the rest of the new file: its start waits there as long as it would
/// have in the old one.
#[test]
fn carried_pieces_wait_as_long_as_others() {
    let mut old = Log::new(line("stdout", "P", "start, ").as_bytes());
    let mut new = Log::new(line("stderr", "F", "another").as_bytes());
    let (mut first, mut second, mut taker) = (Tail::default(), Tail::default(), Taker::new());
    old.read(&mut first, &mut taker);
    second.continue_with(first.carry(7, &mut old.source, &mut old.window).unwrap());
    new.read(&mut second, &mut taker);
    let mut waiting = Waiting { pieces: Duration::from_secs(3600), lines: Duration::ZERO };
    second.flush_late(&waiting, &mut new.source, &mut new.window, &mut taker).unwrap();
    assert_eq!(taker.contents(), ["another"]);
    new.append(line("stdout", "F", "end").as_bytes());
    new.read(&mut second, &mut taker);
    assert_eq!(taker.contents(), ["another", "start, end"]);
    // And no longer.
    let mut third = Tail::default();
    old.append(line("stdout", "P", "last words").as_bytes());
    old.read(&mut first, &mut taker);
    third.continue_with(first.carry(7, &mut old.source, &mut old.window).unwrap());
    waiting.pieces = Duration::ZERO;
    third.flush_late(&waiting, &mut new.source, &mut new.window, &mut taker).unwrap();
    assert_eq!(taker.contents().last().unwrap(), "last words");
}
