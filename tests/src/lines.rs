//! The input of tests, benchmarks and the demo: log lines that can be told apart wherever and however they arrive.
//!
//! The same seed, writer and number always give the same line. In the standard mix 60 % are JSON, 30 % random
//! hexadecimal digits and 10 % frames of a stack trace; some contain quotes, tabs, backslashes and characters of several bytes. Every
//! line carries a [`Mark`], so that loss, duplication, order and damage can be proved from what arrived alone.

mod mark;

use std::io::Write as _;

pub use mark::{Mark, content, is_intact, mark};
use mark::{SUM_DIGITS, sum_of};

/// How many lines of a hundred have which form. What is left are frames of a stack trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mix {
    /// JSON objects.
    pub json: u64,
    /// Random hexadecimal digits, which do not compress to less than half.
    pub hex: u64,
}

impl Mix {
    /// What the figures in the documentation were measured with.
    pub const STANDARD: Self = Self { json: 60, hex: 30 };
    /// An application with structured logs.
    pub const JSON: Self = Self { json: 100, hex: 0 };
}

/// Bytes of content that a line of the standard input has on average.
pub const AVERAGE: usize = 200;

/// The lines of one writer, numbered from 1.
#[derive(Clone, Debug)]
pub struct Lines {
    seed: u64,
    writer: String,
    last: u64,
    average: usize,
    mix: Mix,
}

impl Lines {
    /// Lines of about `average` bytes (from half of that to one and a half, but never so short that the mark does not
    /// fit), in the standard mix.
    ///
    /// # Panics
    /// When `writer` is empty or has other characters than ASCII letters, digits, `-`, `_` and `.`.
    #[must_use]
    pub fn new(seed: u64, writer: impl Into<String>, average: usize) -> Self {
        let writer = writer.into();
        assert!(
            !writer.is_empty() && writer.bytes().all(mark::is_writer_byte),
            "`{writer}` would not be found again in a line"
        );
        Self { seed, writer, last: 0, average, mix: Mix::STANDARD }
    }

    /// The same lines in another mix.
    #[must_use]
    pub fn with_mix(mut self, mix: Mix) -> Self {
        self.mix = mix;
        self
    }

    /// The same lines with another average length.
    #[must_use]
    pub fn with_average(mut self, average: usize) -> Self {
        self.average = average;
        self
    }

    /// Who writes them.
    #[must_use]
    pub fn writer(&self) -> &str {
        &self.writer
    }

    /// The number of the last line; 0 before the first.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Takes the next number for a line of the caller's own: the text has to be somewhere in that line, once.
    pub fn take_mark(&mut self) -> String {
        self.last += 1;
        format!("w={} n={:09}", self.writer, self.last)
    }

    /// Appends the next line with a text of the caller's own around its mark, and returns its number.
    pub fn append_around(&mut self, before: &str, behind: &str, out: &mut Vec<u8>) -> u64 {
        self.last += 1;
        let start = out.len();
        out.extend_from_slice(before.as_bytes());
        let digits = self.mark(out);
        out.extend_from_slice(behind.as_bytes());
        Self::sum(out, start, digits);
        self.last
    }

    /// Appends the next line, without a newline, and returns its number.
    pub fn append(&mut self, out: &mut Vec<u8>) -> u64 {
        self.last += 1;
        let mut random = Random::new(self.seed, self.last);
        let start = out.len();
        let end = start + self.average / 2 + random.below(self.average + 1);
        let kind = random.next() % 100;
        let digits = if kind < self.mix.json {
            self.json(out, end, &mut random)
        } else if kind < self.mix.json + self.mix.hex {
            self.hex(out, end, &mut random)
        } else {
            self.frame(out, end, &mut random)
        };
        Self::sum(out, start, digits);
        self.last
    }

    /// Fills in the sum of the line that begins at `start`.
    fn sum(out: &mut [u8], start: usize, digits: usize) {
        let sum = sum_of(&out[start..digits], &out[digits + SUM_DIGITS..]);
        let mut place = &mut out[digits..digits + SUM_DIGITS];
        write!(place, "{sum:08x}").expect("32 bits are 8 digits");
    }

    /// Writes the mark with its sum left open, and returns where the sum's digits are.
    fn mark(&self, out: &mut Vec<u8>) -> usize {
        write!(out, "w={} n={:09} c=00000000", self.writer, self.last).expect("a Vec takes everything");
        out.len() - SUM_DIGITS
    }

    fn json(&self, out: &mut Vec<u8>, end: usize, random: &mut Random) -> usize {
        out.extend_from_slice(b"{\"level\":\"");
        out.extend_from_slice(random.pick(&LEVELS).as_bytes());
        out.extend_from_slice(b"\",\"mark\":\"");
        let digits = self.mark(out);
        let (status, micros) = (200 + random.below(4) * 100, random.below(1_000_000));
        write!(out, "\",\"status\":{status},\"ms\":{}.{:03},\"msg\":\"", micros / 1000, micros % 1000)
            .expect("a Vec takes everything");
        words(out, end.saturating_sub(2), random);
        out.extend_from_slice(b"\"}");
        digits
    }

    fn hex(&self, out: &mut Vec<u8>, end: usize, random: &mut Random) -> usize {
        let digits = self.mark(out);
        out.push(b' ');
        let full = end.max(out.len());
        while out.len() < full {
            let mut word = random.next();
            let text: [u8; 16] = std::array::from_fn(|_| {
                let digit = HEX[usize::from(word.to_le_bytes()[0] & 15)];
                word >>= 4;
                digit
            });
            out.extend_from_slice(&text);
        }
        out.truncate(full);
        digits
    }

    fn frame(&self, out: &mut Vec<u8>, end: usize, random: &mut Random) -> usize {
        out.extend_from_slice(b"\tat ");
        out.extend_from_slice(random.pick(&FRAMES).as_bytes());
        write!(out, ":{}) [", random.below(900)).expect("a Vec takes everything");
        let digits = self.mark(out);
        out.push(b']');
        while out.len() < end {
            out.extend_from_slice(b" <- ");
            out.extend_from_slice(random.pick(&FRAMES).as_bytes());
            write!(out, ":{})", random.below(900)).expect("a Vec takes everything");
        }
        digits
    }
}

/// Words up to about `end`; they are the inside of a JSON string.
fn words(out: &mut Vec<u8>, end: usize, random: &mut Random) {
    out.extend_from_slice(random.pick(&WORDS).as_bytes());
    while out.len() < end {
        out.push(b' ');
        out.extend_from_slice(random.pick(&WORDS).as_bytes());
    }
}

/// SplitMix64: two multiplications a number, and good enough for text. (Steele, Lea and Flood, "Fast Splittable
/// Pseudorandom Number Generators", 2014.)
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn new(seed: u64, line: u64) -> Self {
        let mut random = Self(seed);
        random.0 = random.next().wrapping_add(line.wrapping_mul(0x5851_f42d_4c95_7f2d));
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// 0 to `bound - 1`; the bias is below one in 2^40 for what is asked here.
    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound.max(1)).unwrap_or(u64::MAX);
        usize::try_from(self.next() % bound).unwrap_or(0)
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

const LEVELS: [&str; 4] = ["debug", "info", "info", "warn"];

/// As they stand inside a JSON string: some are escapes.
const WORDS: [&str; 32] = [
    "request",
    "accepted",
    "order",
    "for",
    "customer",
    "from",
    "cache",
    "miss",
    "retry",
    "in",
    "upstream",
    "took",
    "longer",
    "than",
    "expected",
    "invoice",
    "patient",
    "record",
    "updated",
    "by",
    "scheduler",
    "worker",
    "shard",
    "größer",
    "naïve",
    "日本",
    "🩺",
    "\\\"quoted\\\"",
    "C:\\\\temp",
    "tab\\there",
    "GET",
    "/api/v1/appointments",
];

const FRAMES: [&str; 6] = [
    "com.example.orders.OrderService.place(OrderService.java",
    "com.example.orders.OrderController.lambda$post$3(OrderController.java",
    "org.springframework.web.servlet.FrameworkServlet.service(FrameworkServlet.java",
    "java.base/java.util.concurrent.ThreadPoolExecutor.runWorker(ThreadPoolExecutor.java",
    "java.base/java.lang.Thread.run(Thread.java",
    "com.example.store.JdbcStore.<init>(JdbcStore.java",
];

#[cfg(test)]
mod tests;
