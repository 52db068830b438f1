//! `check explain`: one control on this host, in full.

use std::fmt::Write;

use safeguard_checks::{Control, Finding, Policy};
use safeguard_daemon::terminal::{BOLD, Style, complain, exit, print, printable};

use super::{COULD_NOT_RUN, render, run};
use crate::cli::arguments::CheckArgs;

/// Every control with this id; ids of different policies may be the same.
pub(crate) fn explain(id: &str, args: &CheckArgs) -> u8 {
    let args = CheckArgs { only: vec![id.to_owned()], level: 2, ..args.clone() };
    let run = match run(&args) {
        Ok(run) => run,
        Err(problems) => return complain(COULD_NOT_RUN, &problems.join("\n")),
    };
    let style = Style::of_stdout();
    let mut text = String::new();
    for (policy, report) in run.rulebook.policies.iter().zip(&run.report.policies) {
        for (control, finding) in policy.controls.iter().zip(&report.findings) {
            if !text.is_empty() {
                text.push('\n');
            }
            one(&mut text, policy, control, finding, style);
        }
    }
    match print(&text) {
        exit::OK => exit::OK,
        _ => COULD_NOT_RUN,
    }
}

/// Columns before the words.
const MARGIN: usize = 12;

/// Columns of a line.
const WIDTH: usize = 100;

/// Sentences in lines that fit; lines that are indented, such as those of a file, stay as they are.
fn paragraphs(words: &str) -> String {
    let mut text = String::new();
    for (n, line) in words.trim_end().lines().enumerate() {
        if n > 0 {
            text.push('\n');
            text.extend(std::iter::repeat_n(' ', if line.is_empty() { 0 } else { MARGIN }));
        }
        let line = printable(line);
        text.push_str(&if line.starts_with(' ') { line } else { render::wrapped(&line, MARGIN, WIDTH) });
    }
    text
}

fn one(text: &mut String, policy: &Policy, control: &Control, finding: &Finding, style: Style) {
    let mut line = |name: &str, words: &str| {
        let words = paragraphs(words);
        writeln!(text, "{} {words}", style.paint(BOLD, &format!("{name:<11}")))
            .expect("writing to a String does not fail");
    };
    let level =
        format!("{} ({} assessment, severity {})", control.level, finding.assessment.word(), control.severity.word());
    line("control", &format!("{}/{}  {}", policy.policy, control.id, control.title));
    line("finding", &finding.id);
    line("level", &level);
    line("status", finding.status.word());
    if let Some(reason) = &finding.reason {
        line("because", reason);
    }
    for evidence in &finding.evidence {
        let word = match evidence.holds {
            Some(true) => "for it",
            Some(false) => "against it",
            None => "unclear",
        };
        line(word, &format!("{}: {} (wanted: {})", evidence.source, evidence.observed, evidence.expected));
    }
    if let Some(applies) = &control.applies {
        line("applies if", &applies.to_string());
    }
    if let Some(check) = &control.check {
        line("wanted", &check.to_string());
    }
    if let Some(note) = &finding.exception {
        line("exception", &render::exception(note));
    }
    line("why", &control.why);
    line("remedy", &control.remedy);
    if let Some(conflicts) = &control.conflicts {
        line("on nodes", conflicts);
    }
    if !control.hipaa.is_empty() {
        line("HIPAA", &control.hipaa.join(", "));
    }
}
