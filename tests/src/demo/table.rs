//! The live table: what each log was given, and what the agent says became of it.

use safeguard_agent::{LogName, LogStatus, Status};
use tokio::time::Instant;

use super::screen::Paint;
use crate::node::{SampleLog, SampleNode};

/// Columns of the name of a log, where the terminal has room for the longest, and where it has not.
const NAME: usize = 44;
const SHORT_NAME: usize = 38;

/// Columns that the figures take, with those of the name in full.
const WIDE: usize = 90;

/// Most characters of an error.
const ERROR_CHARS: usize = 60;

/// What is known of the logs, and of errors that have passed.
#[derive(Debug)]
pub(super) struct Table {
    rows: Vec<Row>,
    status: Option<Status>,
    /// Lines delivered, and when, at this update and the one before.
    rate: [(Instant, u64); 2],
    looks: u64,
    imbalances: Vec<String>,
}

#[derive(Debug)]
struct Row {
    name: SampleLog,
    written: u64,
    /// As the agent last said.
    status: Option<LogStatus>,
    /// Whether the agent still speaks of it.
    known: bool,
    error: Option<LastError>,
}

#[derive(Debug)]
struct LastError {
    text: String,
    at: Instant,
    /// Whether it was there at the last update.
    lasts: bool,
}

impl Table {
    pub(super) fn new(started: Instant) -> Self {
        Self { rows: Vec::new(), status: None, rate: [(started, 0); 2], looks: 0, imbalances: Vec::new() }
    }

    /// How many times the agent's accounts were looked at, and each that did not balance.
    pub(super) fn balance(&self) -> (u64, &[String]) {
        (self.looks, &self.imbalances)
    }

    /// Takes in the present state; without a status, what was known stays.
    pub(super) fn update(&mut self, node: &SampleNode, status: Option<Status>) {
        for (name, written) in node.written() {
            match self.rows.iter_mut().find(|row| row.name == name) {
                Some(row) => row.written = written,
                None => self.rows.push(Row { name, written, status: None, known: false, error: None }),
            }
        }
        let Some(status) = status else { return };
        let now = Instant::now();
        for row in &mut self.rows {
            let found = status.logs.iter().find(|log| is_log(&row.name, &log.name));
            row.known = found.is_some();
            if let Some(found) = found {
                row.note_error(error_of(found, &status), now);
                row.status = Some(found.clone());
            }
        }
        self.rate = [self.rate[1], (now, status.total.delivered.events)];
        self.looks += 1;
        for log in &status.logs {
            self.imbalances.extend(log.ledger.imbalance().map(|text| format!("{}: {text}", log.name)));
        }
        self.imbalances.extend(status.total.imbalance());
        self.status = Some(status);
    }

    /// Whether the agent knows of nothing that is left to deliver.
    pub(super) fn is_settled(&self) -> bool {
        self.status.as_ref().is_some_and(|s| {
            let journal_is_read = s.journal.as_ref().is_none_or(|journal| journal.behind_entries == 0);
            s.behind_bytes == 0 && s.total.in_flight.events == 0 && journal_is_read
        })
    }

    /// The table, `seconds` after the start, for a terminal of so many columns. In `brief`, streams are left out. Where there is no
    /// room for errors, a log that has one is red.
    pub(super) fn lines(&self, seconds: u64, columns: Option<usize>, brief: bool, paint: Paint) -> Vec<String> {
        let is_narrow = columns.is_some_and(|columns| columns < WIDE);
        let width = if is_narrow { SHORT_NAME } else { NAME };
        let heading = figures("log", width, ["written", "read", "delivered", "behind"].map(str::to_owned));
        let mut lines = vec![paint.bold(&if is_narrow { heading } else { format!("{heading}  last error") })];
        lines.extend(self.rows.iter().map(|row| if is_narrow { row.short_line(paint) } else { row.line(paint) }));
        if let Some(status) = &self.status {
            for target in status.targets.iter().filter(|_| !brief) {
                let state = match (&target.error, target.failing_seconds) {
                    (Some(error), Some(seconds)) => paint.red(&format!("failing for {seconds} s: {}", short(error))),
                    _ => paint.green("delivering"),
                };
                let name = format!("{} {}", target.group, target.stream);
                lines.push(format!(
                    "{} {name:<57} batches out {:>2}  {state}",
                    paint.dim("stream"),
                    target.outstanding
                ));
            }
        }
        lines.push(paint.bold(&format!("[{seconds:>3} s] {}", self.totals())));
        lines
    }

    /// Everything in one line.
    pub(super) fn totals(&self) -> String {
        let written: u64 = self.rows.iter().map(|row| row.written).sum();
        let Some(status) = &self.status else { return format!("written {written}, no status yet") };
        let total = &status.total;
        let error = status.targets.iter().find_map(|t| t.error.as_deref());
        let error = error.map(|e| format!(", error: {}", short(e))).unwrap_or_default();
        format!(
            "written {written}, read {}, delivered {} ({}/s), behind {}, {} requests, {} sent, \
             {} of memory{error}",
            total.read.events,
            total.delivered.events,
            self.per_second(),
            bytes(status.behind_bytes),
            status.requests,
            bytes(status.wire_bytes),
            bytes(status.memory_bytes),
        )
    }

    fn per_second(&self) -> u128 {
        let [(before, from), (now, to)] = self.rate;
        let millis = now.duration_since(before).as_millis().max(1);
        u128::from(to.saturating_sub(from)) * 1000 / millis
    }
}

impl Row {
    fn note_error(&mut self, error: Option<&str>, now: Instant) {
        match error {
            Some(text) => self.error = Some(LastError { text: text.to_owned(), at: now, lasts: true }),
            None => {
                if let Some(error) = &mut self.error {
                    error.lasts = false;
                }
            }
        }
    }

    fn line(&self, paint: Paint) -> String {
        let error = match &self.error {
            Some(error) if error.lasts => paint.red(&short(&error.text)),
            Some(error) => paint.dim(&format!("{} s ago: {}", error.at.elapsed().as_secs(), short(&error.text))),
            None => String::new(),
        };
        let line = self.figures(NAME);
        match &self.status {
            None => line,
            Some(_) if !self.known => format!("{line}  {}", paint.dim("removed; the agent has closed its account")),
            Some(status) if status.gone => format!("{line}  {}{error}", paint.dim("removed ")),
            Some(_) => format!("{line}  {error}"),
        }
    }

    fn short_line(&self, paint: Paint) -> String {
        let line = self.figures(SHORT_NAME);
        match &self.status {
            Some(_) if !self.known => paint.dim(&line),
            _ if self.error.as_ref().is_some_and(|error| error.lasts) => paint.red(&line),
            _ => line,
        }
    }

    fn figures(&self, width: usize) -> String {
        let name = self.name.to_string();
        let written = self.written.to_string();
        let none = String::new;
        match &self.status {
            None => figures(&name, width, [written, none(), none(), none()]),
            Some(_) if !self.known => figures(&name, width, [written, none(), none(), "-".to_owned()]),
            Some(status) => {
                let (read, delivered) = (status.ledger.read.events, status.ledger.delivered.events);
                let behind = bytes(status.behind_bytes);
                figures(&name, width, [written, read.to_string(), delivered.to_string(), behind])
            }
        }
    }
}

/// A name, cut to its column, and figures.
fn figures(name: &str, width: usize, [written, read, delivered, behind]: [String; 4]) -> String {
    let name = cut(name, width);
    format!("{name:<width$} {written:>9} {read:>9} {delivered:>9} {behind:>9}")
}

/// Whether the agent's name of a log is that of one of the node's.
fn is_log(ours: &SampleLog, name: &LogName) -> bool {
    match (ours, name) {
        (SampleLog::Container(ours), LogName::Container(key)) => key.uid == ours.uid && key.container == ours.container,
        (SampleLog::File(ours), LogName::File { path }) => path == ours,
        (SampleLog::Unit(ours), LogName::Unit { unit }) => unit == ours,
        _ => false,
    }
}

/// What keeps the lines of a log from being read or delivered now.
fn error_of<'a>(log: &'a LogStatus, status: &'a Status) -> Option<&'a str> {
    let target = status.targets.iter().find(|t| t.group == log.group && t.stream == log.stream);
    let delivery = target.and_then(|t| t.error.as_deref());
    let is_unit = matches!(log.name, LogName::Unit { .. });
    let journal = status.journal.as_ref().filter(|_| is_unit).and_then(|journal| journal.last_error.as_deref());
    log.last_error.as_deref().or(delivery).or(journal)
}

fn short(text: &str) -> String {
    cut(text, ERROR_CHARS)
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

/// Bytes for people.
pub(super) fn bytes(count: u64) -> String {
    match count {
        0..1_000 => format!("{count} B"),
        1_000..1_000_000 => format!("{}.{} kB", count / 1_000, count % 1_000 / 100),
        _ => format!("{}.{} MB", count / 1_000_000, count % 1_000_000 / 100_000),
    }
}
