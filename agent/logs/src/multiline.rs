//! Pure: which lines belong to the one before. A line is judged by its own text and by what the lines before it were.
//!
//! The stack traces are those that the runtimes print: Java's `Throwable.printStackTrace`, Python's `traceback`, Go's
//! `runtime.printpanics` and `debug.PrintStack`. A trace begins with the line that names the exception; what was logged
//! before it stays an event of its own.

use memchr::memmem::find;
use regex::bytes::Regex;

/// How lines of a log become events.
#[derive(Debug, Clone, Default)]
pub enum Multiline {
    /// Every line is an event.
    #[default]
    Off,
    /// A line that matches begins an event; all others belong to the one before.
    Start(Regex),
    /// The stack traces of Java, Go and Python are one event each.
    StackTraces,
}

/// Largest compiled expression: an operator's line pattern has a few kilobytes.
const COMPILED_BYTES: usize = 1024 * 1024;

impl Multiline {
    /// Lines that match begin an event.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the regular expression.
    pub fn start(expression: &str) -> Result<Self, String> {
        let regex = regex::bytes::RegexBuilder::new(expression).size_limit(COMPILED_BYTES).build();
        regex.map(Self::Start).map_err(|error| format!("not a regular expression: {error}"))
    }
}

impl PartialEq for Multiline {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Off, Self::Off) | (Self::StackTraces, Self::StackTraces) => true,
            (Self::Start(a), Self::Start(b)) => a.as_str() == b.as_str(),
            _ => false,
        }
    }
}

/// What may come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Trace {
    /// Nothing that belongs to the line before.
    #[default]
    None,
    /// Whatever does not begin an event ([`Multiline::Start`]).
    Any,
    /// Frames of a Java exception, or its cause.
    Java,
    /// `File "...", line N`, or the exception itself.
    PythonFrame,
    /// The source line of a frame.
    PythonCode,
    /// `goroutine N [running]:`, or what the panic says beside its value.
    GoGoroutine,
    /// A function of a goroutine.
    GoFunction,
    /// The file and line of that function.
    GoPlace,
}

/// Longest part of a line that is judged: what tells a trace is at its start.
const JUDGED: usize = 512;

impl Multiline {
    /// Whether the line belongs to the one before, and what may come next.
    pub(crate) fn judge(&self, state: Trace, line: &[u8]) -> (bool, Trace) {
        match self {
            Self::Off => (false, Trace::None),
            Self::Start(start) => (state != Trace::None && !start.is_match(line), Trace::Any),
            Self::StackTraces => {
                let line = line.get(..JUDGED).unwrap_or(line);
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                match goes_on(state, line) {
                    Some(next) => (true, next),
                    None => (false, begins(line)),
                }
            }
        }
    }
}

/// What comes after `line` if it belongs to what was before it.
fn goes_on(state: Trace, line: &[u8]) -> Option<Trace> {
    let indented = matches!(line, [b' ' | b'\t', ..]);
    let text = line.trim_ascii_start();
    match state {
        Trace::None | Trace::Any => None,
        Trace::Java => {
            let frame = indented && (text.starts_with(b"at ") || text.starts_with(b"... "));
            let cause = text.starts_with(b"Caused by:") || text.starts_with(b"Suppressed:");
            (frame || cause || text.starts_with(b"nested exception is:")).then_some(Trace::Java)
        }
        Trace::PythonFrame if indented => {
            Some(if text.starts_with(b"File ") { Trace::PythonCode } else { Trace::PythonFrame })
        }
        // The exception: `module.Name: what it says`, or the name alone. Nothing follows but a chained one.
        Trace::PythonFrame => is_dotted_name(until(text, b':')).then_some(Trace::None),
        // A frame without its source is followed by the next one.
        Trace::PythonCode if indented => {
            Some(if text.starts_with(b"File ") { Trace::PythonCode } else { Trace::PythonFrame })
        }
        Trace::PythonCode => is_dotted_name(until(text, b':')).then_some(Trace::None),
        Trace::GoGoroutine => {
            if is_goroutine(line) {
                return Some(Trace::GoFunction);
            }
            let of_the_panic = line.is_empty() || line.starts_with(b"[") || text.starts_with(b"panic: ");
            (of_the_panic || line.starts_with(b"exit status ")).then_some(Trace::GoGoroutine)
        }
        Trace::GoFunction => {
            if line.is_empty() {
                return Some(Trace::GoGoroutine);
            }
            let function = !indented && line.ends_with(b")") && line.contains(&b'(');
            let more = line.starts_with(b"...") || line.starts_with(b"created by ");
            (function || more).then_some(Trace::GoPlace)
        }
        Trace::GoPlace if indented => Some(Trace::GoFunction),
        Trace::GoPlace => line.is_empty().then_some(Trace::GoGoroutine),
    }
}

/// What may come after a line that begins something.
fn begins(line: &[u8]) -> Trace {
    if line == b"Traceback (most recent call last):" || line.ends_with(b" Traceback (most recent call last):") {
        return Trace::PythonFrame;
    }
    if line.starts_with(b"panic: ")
        || line.starts_with(b"fatal error: ")
        || find(line, b"http: panic serving").is_some()
    {
        return Trace::GoGoroutine;
    }
    if is_goroutine(line) {
        return Trace::GoFunction;
    }
    if names_a_throwable(line) { Trace::Java } else { Trace::None }
}

/// `goroutine 1 [running]:`
fn is_goroutine(line: &[u8]) -> bool {
    line.starts_with(b"goroutine ") && line.ends_with(b"]:")
}

/// `java.lang.IllegalStateException: what it says`, at the start or after `Exception in thread "main" `, or behind a log
/// line's own head: a word that ends with Exception, Error or Throwable, and then a colon or the end.
fn names_a_throwable(line: &[u8]) -> bool {
    [&b"Exception"[..], b"Error", b"Throwable"].iter().any(|name| {
        let mut from = 0;
        while let Some(at) = line.get(from..).and_then(|rest| find(rest, name)) {
            let end = from + at + name.len();
            if matches!(line.get(end), None | Some(b':')) {
                // A qualified name: otherwise every "Error: ..." of every program would wait for frames.
                let word = line[..end].rsplit(|b| b.is_ascii_whitespace() || *b == b'"').next().unwrap_or_default();
                return word.contains(&b'.') && is_dotted_name(word);
            }
            from = end;
        }
        false
    })
}

fn until(line: &[u8], end: u8) -> &[u8] {
    line.split(|b| *b == end).next().unwrap_or_default()
}

fn is_dotted_name(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'$'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The events that lines become.
    fn events(rule: &Multiline, text: &str) -> Vec<String> {
        let mut events: Vec<String> = Vec::new();
        let mut state = Trace::None;
        for line in text.lines() {
            let (joins, next) = rule.judge(state, line.as_bytes());
            state = next;
            match events.last_mut().filter(|_| joins) {
                Some(event) => *event = format!("{event}\n{line}"),
                None => events.push(line.to_owned()),
            }
        }
        events
    }

    const JAVA: &str = "Exception in thread \"main\" java.lang.IllegalStateException: no stock for order 17\n\
        \tat com.shop.Cart.checkout(Cart.java:42)\n\
        \tat com.shop.Main.main(Main.java:7)\n\
        \tSuppressed: java.io.IOException: closed\n\
        \t\tat com.shop.Pool.close(Pool.java:9)\n\
        Caused by: java.sql.SQLException: timeout\n\
        \tat org.postgresql.Driver.connect(Driver.java:300)\n\
        \t... 23 more";
    const PYTHON: &str = "Traceback (most recent call last):\n  \
        File \"/app/main.py\", line 12, in <module>\n    \
        main()\n  \
        File \"/app/main.py\", line 8, in main\n    \
        raise ValueError(\"no stock\")\n    \
        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n\
        ValueError: no stock";
    const GO: &str = "panic: runtime error: invalid memory address or nil pointer dereference\n\
        [signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x48e1a5]\n\
        \n\
        goroutine 1 [running]:\n\
        main.(*Cart).Checkout(0x0)\n\
        \t/app/cart.go:12 +0x5\n\
        main.main()\n\
        \t/app/main.go:8 +0x1d\n\
        \n\
        goroutine 18 [select]:\n\
        net/http.(*Server).Serve(0xc000120000)\n\
        \t/usr/lib/go/src/net/http/server.go:3086 +0x3e\n\
        created by main.main in goroutine 1\n\
        \t/app/main.go:5 +0x9c";

    #[test]
    fn traces_are_one_event_each_and_lines_around_them_stay_theirs() {
        let text = format!("starting\n{JAVA}\nnext\n{PYTHON}\nat work\n{GO}\nexit status 2 of another\nend");
        let found = events(&Multiline::StackTraces, &text);
        assert_eq!(found, ["starting", JAVA, "next", PYTHON, "at work", GO, "exit status 2 of another", "end"]);
    }

    #[test]
    fn a_logged_exception_begins_with_the_line_that_names_it() {
        let text =
            "2026-11-24 ERROR failed: com.shop.StockException: none\n\tat a.b.C.d(C.java:1)\nError: plain\n  indented";
        let found = events(&Multiline::StackTraces, text);
        let first = "2026-11-24 ERROR failed: com.shop.StockException: none\n\tat a.b.C.d(C.java:1)";
        assert_eq!(found, [first, "Error: plain", "  indented"]);
    }

    #[test]
    fn what_matches_begins_an_event() {
        let rule = Multiline::Start(Regex::new(r"^\d{4}-\d{2}-\d{2} ").unwrap());
        let found = events(&rule, "lost its head\n2026-11-24 one\n  two\nthree\n2026-11-24 four");
        assert_eq!(found, ["lost its head", "2026-11-24 one\n  two\nthree", "2026-11-24 four"]);
        assert_eq!(events(&Multiline::Off, JAVA).len(), 8);
    }

    proptest! {
        #[test]
        fn any_line_is_judged(lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..20)) {
            let mut state = Trace::None;
            for line in &lines {
                let (joins, next) = Multiline::StackTraces.judge(state, line);
                prop_assert!(!joins || state != Trace::None, "nothing joins where nothing was begun");
                state = next;
            }
        }
    }
}
