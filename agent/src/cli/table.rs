//! Pure: the table of `logs status`.

use std::fmt::Write as _;

use safeguard_agent::{Count, JournalStatus, Ledger, LogStatus, Status, TargetStatus};
use safeguard_daemon::terminal::{BOLD, RED, Style, YELLOW, printable};

use super::units::{age, bytes, seconds};

/// Longest message in the table; `--format json` has all of it.
const MESSAGE: usize = 80;

/// Excluded containers that are named; `--format json` has all of them.
const MOST_NAMED: usize = 10;

const HEADINGS: [&str; 7] = ["LOG", "READ", "DELIVERED", "LOST", "BEHIND", "OLDEST", "LAST ERROR"];

struct Row {
    cells: [String; 7],
    colour: Option<&'static str>,
}

/// Containers, the totals, and the streams in trouble.
pub(super) fn table(status: &Status, style: Style) -> String {
    let mut logs: Vec<&LogStatus> = status.logs.iter().filter(|c| c.shipped).collect();
    logs.sort_by(|a, b| a.name.cmp(&b.name));
    let mut rows: Vec<Row> = logs.iter().map(|c| row(c, status)).collect();
    rows.push(totals(status));
    let mut text = aligned(&rows, style);
    let excluded = status.logs.len() - logs.len();
    if excluded > 0 {
        line(&mut text, &format!("{excluded} logs are not shipped, as `include` and `exclude` in the settings say"));
    }
    if let Some(journal) = &status.journal {
        line(&mut text, &journal_line(journal));
    }
    exclusions(&mut text, status, style);
    troubles(&mut text, status, style);
    text
}

/// What pods have left out: a hole in the trail that somebody wanted.
fn exclusions(text: &mut String, status: &Status, style: Style) {
    let count = status.total.excluded;
    if count.events > 0 {
        let counted =
            format!("excluded: {} lines ({}) were left out by word of their pods", count.events, bytes(count.bytes));
        line(text, &style.paint(YELLOW, &counted));
    }
    let now: Vec<String> = status
        .logs
        .iter()
        .filter_map(|log| Some(format!("{} (by {})", log.name, log.excluded_by.as_deref()?)))
        .map(|log| printable(&log))
        .collect();
    if !now.is_empty() {
        let more = now.len().saturating_sub(MOST_NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let named: Vec<&str> = now.iter().take(MOST_NAMED).map(String::as_str).collect();
        line(text, &style.paint(YELLOW, &format!("excluded now: {}{more}", named.join(", "))));
    }
    if let Some(problem) = status.exclusions.as_ref().and_then(|exclusions| exclusions.problem.as_deref()) {
        line(text, &style.paint(YELLOW, &format!("exclusions: {}", printable(problem))));
    }
}

/// The journal as a whole: its files belong to no unit.
fn journal_line(journal: &JournalStatus) -> String {
    let JournalStatus { files, behind_entries, vacuumed_entries, damaged_entries, .. } = journal;
    let mut text = format!("journal: {files} files, {behind_entries} entries behind");
    if *vacuumed_entries > 0 {
        text.push_str(&format!(", {vacuumed_entries} deleted before they were read"));
    }
    if *damaged_entries > 0 {
        text.push_str(&format!(", {damaged_entries} damaged"));
    }
    if let Some(error) = &journal.last_error {
        text.push_str(&format!("; {}", message(error)));
    }
    text
}

fn row(c: &LogStatus, status: &Status) -> Row {
    let target = status.targets.iter().find(|t| t.group == c.group && t.stream == c.stream);
    let error = target.and_then(|t| t.error.as_deref()).or(c.last_error.as_deref());
    let lost = lost(&c.ledger);
    let gone = if c.gone { " (gone)" } else { "" };
    let colour = match (lost.events > 0 || c.ledger.abandoned_bytes > 0, error.is_some()) {
        (true, _) => Some(RED),
        (false, true) => Some(YELLOW),
        (false, false) => None,
    };
    let oldest = c.behind_since_ms.map_or_else(|| "-".to_owned(), |since| age(status.at_ms.saturating_sub(since)));
    let cells = [
        format!("{}{gone}", printable(&c.name.to_string())),
        c.ledger.read.events.to_string(),
        c.ledger.delivered.events.to_string(),
        lost.events.to_string(),
        bytes(c.behind_bytes),
        oldest,
        error.map_or_else(|| "-".to_owned(), message),
    ];
    Row { cells, colour }
}

fn totals(status: &Status) -> Row {
    let total = &status.total;
    let oldest = status.logs.iter().filter_map(|c| c.behind_since_ms).min();
    let cells = [
        "total (all logs ever)".to_owned(),
        total.read.events.to_string(),
        total.delivered.events.to_string(),
        lost(total).events.to_string(),
        bytes(status.behind_bytes),
        oldest.map_or_else(|| "-".to_owned(), |since| age(status.at_ms.saturating_sub(since))),
        String::new(),
    ];
    Row { cells, colour: Some(BOLD) }
}

fn troubles(text: &mut String, status: &Status, style: Style) {
    let total = &status.total;
    let reasons = total.lost().into_iter().filter(|(_, count)| count.events > 0);
    let lost: Vec<String> = reasons.map(|(reason, count)| format!("{} {}", count.events, reason.name())).collect();
    if !lost.is_empty() {
        line(text, &style.paint(RED, &format!("lost: {}", lost.join(", "))));
    }
    if total.abandoned_bytes > 0 {
        let abandoned = bytes(total.abandoned_bytes);
        line(text, &style.paint(RED, &format!("abandoned: {abandoned} were deleted before they were read")));
    }
    if let Some(error) = &status.checkpoint_error {
        let error = message(error);
        line(text, &style.paint(RED, &format!("checkpoints: {error}; a restart would send lines again")));
    }
    if let Some(error) = &status.started_without_checkpoint {
        let error = message(error);
        line(text, &style.paint(YELLOW, &format!("started without a checkpoint, so lines may arrive twice: {error}")));
    }
    if let Some(error) = &status.pods_dir_error {
        let error = message(error);
        line(text, &style.paint(RED, &format!("no log file can be found: {error}")));
    }
    for error in &status.listing_errors {
        line(text, &style.paint(RED, &format!("files cannot be found: {}", message(error))));
    }
    if !status.inotify {
        line(text, &style.paint(YELLOW, "inotify is not available: directories are listed every second"));
    }
    let failing: Vec<&TargetStatus> = status.targets.iter().filter(|t| t.error.is_some()).collect();
    for t in failing {
        let since = t.failing_seconds.map_or_else(String::new, |s| format!(" for {}", seconds(s)));
        let name = printable(&format!("{} {}", t.group, t.stream));
        let reason = printable(t.error.as_deref().unwrap_or_default());
        line(text, &style.paint(YELLOW, &format!("failing{since}: {name}: {reason}")));
    }
}

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

fn aligned(rows: &[Row], style: Style) -> String {
    let width =
        |i: usize| rows.iter().map(|row| row.cells[i].chars().count()).chain([HEADINGS[i].len()]).max().unwrap_or(0);
    let widths: [usize; 7] = std::array::from_fn(width);
    let write = |cells: &[String; 7]| {
        let mut text = String::new();
        for (i, cell) in cells.iter().enumerate() {
            // Words to the left, numbers to the right.
            let gap = if i == 0 { "" } else { "  " };
            let written = match i {
                0 | 6 => write!(text, "{gap}{cell:<w$}", w = widths[i]),
                _ => write!(text, "{gap}{cell:>w$}", w = widths[i]),
            };
            written.expect("writing to a String does not fail");
        }
        text.trim_end().to_owned()
    };
    let mut text = String::new();
    line(&mut text, &style.paint(BOLD, &write(&HEADINGS.map(str::to_owned))));
    for row in rows {
        let written = write(&row.cells);
        line(&mut text, &row.colour.map_or_else(|| written.clone(), |code| style.paint(code, &written)));
    }
    text
}

fn lost(ledger: &Ledger) -> Count {
    let mut sum = Count::default();
    for (_, count) in ledger.lost() {
        sum.add(count);
    }
    sum
}

fn message(text: &str) -> String {
    let text = printable(text);
    match text.char_indices().nth(MESSAGE) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests;
