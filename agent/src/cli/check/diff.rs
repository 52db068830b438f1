//! `check diff`: what changed between two reports.

use std::path::Path;

use safeguard_checks::{Report, Status};
use safeguard_daemon::settings::read_regular;
use safeguard_daemon::terminal::{Style, complain, exit, print, printable};

use super::{COULD_NOT_RUN, FINDINGS, render};
use crate::cli::arguments::Format;

/// Most bytes of a report: one of all policies has about 300 KB.
const MAX_REPORT: u64 = 32 << 20;

pub(crate) fn diff(old: &Path, new: &Path, format: Format) -> u8 {
    let (old, new) = match (read(old), read(new)) {
        (Ok(old), Ok(new)) => (old, new),
        (Err(problem), _) | (_, Err(problem)) => return complain(COULD_NOT_RUN, &problem),
    };
    let (changes, drops) = (old.changes(&new), old.coverage_drops(&new));
    let printed = print(&match format {
        Format::Json => format!("{:#}\n", serde_json::json!({ "changes": changes, "coverage_drops": drops })),
        Format::Table => table(&changes, &drops, Style::of_stdout()),
    });
    match printed {
        exit::OK if changes.is_empty() && drops.is_empty() => exit::OK,
        exit::OK => FINDINGS,
        _ => COULD_NOT_RUN,
    }
}

fn read(path: &Path) -> Result<Report, String> {
    let text = read_regular(path, MAX_REPORT).map_err(|error| format!("{}: {error}", path.display()))?;
    let report: Report = serde_json::from_str(&text)
        .map_err(|error| format!("{}: is no report of `check --format json`: {error}", path.display()))?;
    match report.version {
        1 => Ok(report),
        later => Err(format!("{}: is of version {later}; this program reads 1", path.display())),
    }
}

fn table(changes: &[safeguard_checks::Change], drops: &[safeguard_checks::CoverageDrop], style: Style) -> String {
    let word = |status: Option<Status>| status.map_or("-", Status::word);
    let width = |of: fn(&safeguard_checks::Change) -> usize| changes.iter().map(of).max().unwrap_or(0);
    let control = width(|c| c.control.chars().count());
    let mut text = String::new();
    for change in changes {
        let arrow = format!("{:<14} -> {:<14}", word(change.from), word(change.to));
        let arrow = change.to.map_or_else(|| arrow.clone(), |status| style.paint(render::colour(status), &arrow));
        text.push_str(&format!("{:<control$}  {arrow}  {}\n", printable(&change.control), printable(&change.title)));
        if !change.because.is_empty() && change.to != Some(Status::Pass) {
            text.push_str(&format!(
                "{:<control$}  {}\n",
                "",
                render::wrapped(&printable(&change.because), control + 2, 100)
            ));
        }
    }
    for drop in drops {
        text.push_str(&format!(
            "{}: coverage {} % -> {} %, applicable controls {} -> {}\n",
            printable(&drop.policy),
            drop.from,
            drop.to,
            drop.applicable_before,
            drop.applicable_now
        ));
    }
    if text.is_empty() { "nothing changed\n".to_owned() } else { text }
}
