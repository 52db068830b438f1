//! Pure: a report as a table for people.

use std::fmt::Write;

use safeguard_checks::{Counts, ExceptionNote, ExceptionState, Finding, Phase, Policy, PolicyReport, Report, Status};
use safeguard_daemon::clock;
use safeguard_daemon::terminal::{BOLD, GREEN, RED, Style, YELLOW, printable};

/// Columns of a line that holds a sentence.
const WIDTH: usize = 120;

/// By policy and section, what fails first; then what it comes to.
pub(super) fn table(report: &Report, policies: &[Policy], style: Style) -> String {
    let mut text = format!("{}, phase {}, {}\n", printable(&report.node), phase(report.phase), utc(report.started_ms));
    for (policy, result) in policies.iter().zip(&report.policies) {
        let heading =
            format!("{} {}  {}", printable(&result.policy), printable(&result.version), printable(&result.title));
        line(&mut text, format_args!("\n{}", style.paint(BOLD, &heading)));
        for (title, findings) in sections(policy, result) {
            line(&mut text, format_args!("  {}", printable(&title)));
            let id = findings.iter().map(|f| f.control.chars().count()).max().unwrap_or(0);
            for finding in findings {
                row(&mut text, finding, id, style);
            }
        }
    }
    text.push('\n');
    totals(&mut text, report, style);
    remarks(&mut text, report, style);
    text
}

/// The sections with their findings, what fails first: sections that fail before those that do not, and within each alike.
fn sections<'a>(policy: &Policy, result: &'a PolicyReport) -> Vec<(String, Vec<&'a Finding>)> {
    let mut sections: Vec<(String, Vec<&Finding>)> = Vec::new();
    for finding in &result.findings {
        let section = policy.section_of(&finding.control);
        let title = section.map_or_else(String::new, |s| format!("{} {}", s.id, s.title));
        match sections.iter_mut().find(|(name, _)| *name == title) {
            Some((_, findings)) => findings.push(finding),
            None => sections.push((title, vec![finding])),
        }
    }
    for (_, findings) in &mut sections {
        findings.sort_by_key(|f| f.status);
    }
    sections.sort_by_key(|(_, findings)| findings.first().is_none_or(|f| f.status != Status::Fail));
    sections
}

fn row(text: &mut String, finding: &Finding, id: usize, style: Style) {
    let word = style.paint(colour(finding.status), &format!("{:<14}", finding.status.word()));
    line(text, format_args!("    {word}  {:<id$}  {}", printable(&finding.control), printable(&finding.title)));
    let margin = 4 + 14 + 2 + id + 2;
    let below = |text: &mut String, words: &str| {
        line(text, format_args!("{:margin$}{}", "", wrapped(&printable(words), margin, WIDTH)));
    };
    if matches!(finding.status, Status::Fail | Status::Unknown | Status::Excepted) {
        below(text, &finding.because());
    }
    match &finding.exception {
        Some(note) if note.state == ExceptionState::NoLongerNeeded && note.expires.is_none() => {}
        Some(note) => below(text, &exception(note)),
        None => {}
    }
}

/// What an exception says, in a sentence.
pub(super) fn exception(note: &ExceptionNote) -> String {
    let state = match note.state {
        ExceptionState::Active => "excepted",
        ExceptionState::Expired => "the exception has expired",
        ExceptionState::NoLongerNeeded => "the exception is no longer needed",
    };
    let until = note.expires.as_deref().map_or_else(|| "for good".to_owned(), |day| format!("until {day}"));
    let ticket = note.ticket.as_deref().map_or_else(String::new, |ticket| format!(", {ticket}"));
    format!("{state} ({until}, {}{ticket}): {}", note.owner, note.reason)
}

fn totals(text: &mut String, report: &Report, style: Style) {
    const HEADINGS: [&str; 10] =
        ["POLICY", "FAIL", "UNKNOWN", "EXCEPTED", "MANUAL", "PASS", "N/A", "LEVEL 1", "LEVEL 1+2", "COVERAGE"];
    let mut rows = vec![HEADINGS.map(str::to_owned)];
    for policy in &report.policies {
        let Counts { pass, fail, excepted, not_applicable, manual, unknown } = policy.counts;
        rows.push([
            printable(&policy.policy),
            fail.to_string(),
            unknown.to_string(),
            excepted.to_string(),
            manual.to_string(),
            pass.to_string(),
            not_applicable.to_string(),
            percent(policy.of_level(1).score()),
            percent(policy.counts.score()),
            percent(policy.counts.coverage()),
        ]);
    }
    let width = |i: usize| rows.iter().filter_map(|row| row.get(i)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: [usize; 10] = std::array::from_fn(width);
    for (n, row) in rows.iter().enumerate() {
        let mut written = String::new();
        for (i, (cell, w)) in row.iter().zip(widths).enumerate() {
            match i {
                0 => write!(written, "{cell:<w$}"),
                _ => write!(written, "  {cell:>w$}"),
            }
            .expect("writing to a String does not fail");
        }
        match n {
            0 => line(text, format_args!("{}", style.paint(BOLD, &written))),
            _ => line(text, format_args!("{written}")),
        }
    }
}

/// What the numbers mean, and what has to be known beside them.
fn remarks(text: &mut String, report: &Report, style: Style) {
    line(text, format_args!("LEVEL: passed of what applies and is not manual. COVERAGE: decided of what applies."));
    let expired = states(report, ExceptionState::Expired);
    if !expired.is_empty() {
        line(text, format_args!("{}", style.paint(RED, &format!("expired exceptions: {}", expired.join(", ")))));
    }
    let needless = states(report, ExceptionState::NoLongerNeeded);
    if !needless.is_empty() {
        line(
            text,
            format_args!("{}", style.paint(YELLOW, &format!("exceptions that can go: {}", needless.join(", ")))),
        );
    }
}

fn states(report: &Report, state: ExceptionState) -> Vec<String> {
    let with = |f: &&Finding| {
        // One that holds for good is about how nodes are built, not about this node: it may go unused here.
        f.exception
            .as_ref()
            .is_some_and(|n| n.state == state && (n.expires.is_some() || state == ExceptionState::Expired))
    };
    report
        .policies
        .iter()
        .flat_map(|p| {
            p.findings.iter().filter(with).map(|f| format!("{}/{}", printable(&p.policy), printable(&f.control)))
        })
        .collect()
}

fn percent(value: Option<u32>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value} %"))
}

/// The colour of a status.
pub(super) fn colour(status: Status) -> &'static str {
    match status {
        Status::Fail => RED,
        Status::Unknown | Status::Excepted => YELLOW,
        Status::Pass => GREEN,
        Status::Manual | Status::NotApplicable => "2",
    }
}

fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Build => "build",
        Phase::Boot => "boot",
        Phase::Run => "run",
    }
}

/// A time in milliseconds since the epoch, for people.
pub(super) fn utc(ms: i64) -> String {
    clock::utc(ms)
}

/// Words in lines of at most `width` columns, each after the first indented by `margin`. What is indented already, a command or a
/// piece of a file, stays as it is.
pub(super) fn wrapped(text: &str, margin: usize, width: usize) -> String {
    if text.starts_with(' ') {
        return text.to_owned();
    }
    let mut wrapped = String::new();
    let mut column = margin;
    for (n, word) in text.split_whitespace().enumerate() {
        let length = word.chars().count();
        if n > 0 && column + 1 + length > width {
            wrapped.push('\n');
            wrapped.extend(std::iter::repeat_n(' ', margin));
            column = margin;
        } else if n > 0 {
            wrapped.push(' ');
            column += 1;
        }
        wrapped.push_str(word);
        column += length;
    }
    wrapped
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    writeln!(text, "{arguments}").expect("writing to a String does not fail");
}

#[cfg(test)]
mod tests;
