//! The Helm charts: what they render, that the programs take it, and that it lets them do what they do and no more.
//!
//! `SAFEGUARD_BLESS=1` writes what is made of something else: `golden/`, the settings in each `values.schema.json`, and the tables
//! of values in each README.md. Look at what it changed before it is committed.

mod containers;
mod golden;
mod probes;
mod redirect;
mod reference;
mod rights;
mod schema;
mod settings;

use std::path::Path;

/// The charts, and the cases in `values/CHART/CASE.yaml`.
const CASES: [(&str, &[&str]); 2] = [
    ("safeguard-agent", &["default", "everything", "logs-alone", "proxy-alone", "units"]),
    ("safeguard", &["default", "everything", "existing-claim"]),
];

/// Every case of every chart.
fn cases() -> impl Iterator<Item = (&'static str, &'static str)> {
    CASES.into_iter().flat_map(|(chart, cases)| cases.iter().map(move |case| (chart, *case)))
}

/// Whether files that are made of others are written anew.
fn bless() -> bool {
    std::env::var_os("SAFEGUARD_BLESS").is_some_and(|value| value == "1")
}

/// Compares a file with what it should be, or writes that.
fn is_as_made(path: &Path, made: &str) {
    if bless() {
        std::fs::write(path, made).unwrap();
        return;
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    let differs = found.lines().zip(made.lines()).position(|(found, made)| found != made);
    let line = differs.unwrap_or_else(|| found.lines().count().min(made.lines().count()));
    let at = |text: &str| text.lines().nth(line).unwrap_or("(its end)").to_owned();
    assert!(
        found == made,
        "{} line {}: {:?} and not {:?}; with SAFEGUARD_BLESS=1 this test writes it",
        path.display(),
        line + 1,
        at(&found),
        at(made),
    );
}
