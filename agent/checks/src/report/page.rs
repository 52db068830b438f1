//! Pure: a report as one HTML page without anything from elsewhere, for a compliance officer to read and to print.

use std::collections::BTreeMap;

use super::junit::{escaped, push};
use super::{Counts, ExceptionState, Finding, PolicyReport, Report, Status};
use crate::policy::{Control, Policy};

/// Sections of the page in their order: what has to be done comes first.
const ORDER: [(Status, &str, &str); 6] = [
    (Status::Fail, "fail", "Failing"),
    (Status::Unknown, "unknown", "Could not be observed"),
    (Status::Excepted, "excepted", "Excepted"),
    (Status::Manual, "manual", "For a person to decide"),
    (Status::Pass, "pass", "Passing"),
    (Status::NotApplicable, "na", "Not applicable"),
];

impl Report {
    /// The page. `policies` give the words beside the findings; `when` is the time of the run in words.
    #[must_use]
    pub fn page(&self, policies: &[Policy], when: &str) -> String {
        let words: BTreeMap<(&str, &str), &Control> = policies
            .iter()
            .flat_map(|p| p.controls.iter().map(move |c| ((p.policy.as_str(), c.id.as_str()), c)))
            .collect();
        let mut html = String::with_capacity(256 * 1024);
        let node = escaped(&self.node);
        push(
            &mut html,
            format_args!(
                "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
                 <title>Host checks of {node}</title>\n<style>\n{}</style>\n</head>\n<body>\n<main>\n<h1>Host checks of {node}</h1>\n\
                 <p class=\"dim\">{}, phase {}. Made by reading files; nothing was run. A control that could not be observed is never counted as passed.</p>\n",
                include_str!("page.css"),
                escaped(when),
                escaped(phase(self)),
            ),
        );
        summary(&mut html, self);
        for (status, class, title) in ORDER {
            section(&mut html, self, &words, status, class, title);
        }
        html.push_str("</main>\n</body>\n</html>\n");
        html
    }
}

fn phase(report: &Report) -> &'static str {
    match report.phase {
        crate::Phase::Build => "build (an image that does not run)",
        crate::Phase::Boot => "boot",
        crate::Phase::Run => "run",
    }
}

fn summary(html: &mut String, report: &Report) {
    html.push_str(
        "<h2>Summary</h2>\n<div class=\"scroll\"><table>\n<thead><tr><th scope=\"col\">Policy</th><th scope=\"col\" class=\"n\">Score</th>\
         <th scope=\"col\" class=\"n\">Level 1</th><th scope=\"col\" class=\"n\">Coverage</th><th scope=\"col\" class=\"n\">Fail</th>\
         <th scope=\"col\" class=\"n\">Unknown</th><th scope=\"col\" class=\"n\">Excepted</th><th scope=\"col\" class=\"n\">Manual</th>\
         <th scope=\"col\" class=\"n\">Pass</th><th scope=\"col\" class=\"n\">Not applicable</th></tr></thead>\n<tbody>\n",
    );
    for policy in &report.policies {
        let c = &policy.counts;
        let cells = [c.fail, c.unknown, c.excepted, c.manual, c.pass, c.not_applicable];
        let cells: String = cells.iter().map(|n| format!("<td class=\"n\">{n}</td>")).collect();
        push(
            html,
            format_args!(
                "<tr><td>{} <span class=\"dim\">{}</span></td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>{cells}</tr>\n",
                escaped(&policy.policy),
                escaped(&policy.version),
                percent(c.score()),
                percent(policy.of_level(1).score()),
                percent(c.coverage())
            ),
        );
    }
    html.push_str(
        "</tbody>\n</table></div>\n<p class=\"dim\">Score: passed of what applies and is not manual. Coverage: decided of what applies.</p>\n",
    );
}

fn percent(value: Option<u32>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value} %"))
}

fn section(
    html: &mut String,
    report: &Report,
    words: &BTreeMap<(&str, &str), &Control>,
    status: Status,
    class: &str,
    title: &str,
) {
    let mut found: Vec<(&PolicyReport, &Finding)> = report
        .policies
        .iter()
        .flat_map(|p| p.findings.iter().map(move |f| (p, f)))
        .filter(|(_, f)| f.status == status)
        .collect();
    if found.is_empty() {
        return;
    }
    // What is worse comes first; within that, the policies' own order.
    found.sort_by_key(|(_, f)| std::cmp::Reverse(f.severity));
    let long = matches!(status, Status::Fail | Status::Unknown | Status::Excepted);
    let number = found.len();
    match long {
        true => push(html, format_args!("<h2>{title} ({number})</h2>\n")),
        false => push(html, format_args!("<details>\n<summary>{title} ({number})</summary>\n")),
    }
    for (policy, finding) in found {
        let control = words.get(&(policy.policy.as_str(), finding.control.as_str())).copied();
        article(html, policy, finding, control, class, long);
    }
    if !long {
        html.push_str("</details>\n");
    }
}

fn article(
    html: &mut String,
    policy: &PolicyReport,
    finding: &Finding,
    control: Option<&Control>,
    class: &str,
    long: bool,
) {
    let (id, title) = (escaped(&finding.control), escaped(&finding.title));
    let word = finding.status.word();
    push(
        html,
        format_args!(
            "<article class=\"{class}\" id=\"{}\">\n<h3>{id} {title}</h3>\n<p class=\"dim\"><span class=\"word\">{word}</span>, {}, level {}, severity {}</p>\n",
            escaped(&format!("{}/{}", policy.policy, finding.control)),
            escaped(&policy.policy),
            finding.level,
            finding.severity.word(),
        ),
    );
    if let Some(reason) = &finding.reason {
        push(html, format_args!("<p>{}</p>\n", escaped(reason)));
    }
    if let Some(note) = &finding.exception {
        exception(html, note);
    }
    if !finding.evidence.is_empty() {
        html.push_str("<div class=\"scroll\"><table><thead><tr><th scope=\"col\">Looked at</th><th scope=\"col\">Seen</th><th scope=\"col\">Wanted</th></tr></thead><tbody>\n");
        for e in &finding.evidence {
            let (source, seen, wanted) = (escaped(&e.source), escaped(&e.observed), escaped(&e.expected));
            push(html, format_args!("<tr><td class=\"code\">{source}</td><td>{seen}</td><td>{wanted}</td></tr>\n"));
        }
        html.push_str("</tbody></table></div>\n");
    }
    if let (Some(control), true) = (control, long) {
        push(html, format_args!("<p><b>Why.</b> {}</p>\n", escaped(&control.why)));
        push(html, format_args!("<p><b>To mend it.</b> {}</p>\n", escaped(&control.remedy)));
        if let Some(conflicts) = &control.conflicts {
            push(html, format_args!("<p><b>On Kubernetes nodes.</b> {}</p>\n", escaped(conflicts)));
        }
        if !control.hipaa.is_empty() {
            push(html, format_args!("<p class=\"dim\">HIPAA {}</p>\n", escaped(&control.hipaa.join(", "))));
        }
    }
    html.push_str("</article>\n");
}

fn exception(html: &mut String, note: &super::ExceptionNote) {
    let state = match note.state {
        ExceptionState::Active => "Excepted",
        ExceptionState::Expired => "The exception has expired",
        ExceptionState::NoLongerNeeded => "The exception is no longer needed",
    };
    let until = note.expires.as_deref().map_or_else(|| "no end".to_owned(), |day| format!("until {day}"));
    let ticket = note.ticket.as_deref().map_or_else(String::new, |ticket| format!(", {ticket}"));
    let words = format!("{state} ({until}), answered for by {}{ticket}: {}", note.owner, note.reason);
    push(html, format_args!("<p>{}</p>\n", escaped(&words)));
}

impl PolicyReport {
    /// The counts of the controls up to and including a level.
    #[must_use]
    pub fn of_level(&self, level: u8) -> Counts {
        self.findings.iter().filter(|f| f.level <= level).map(|f| f.status).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{finding, report};
    use super::*;

    #[test]
    fn what_has_to_be_done_comes_first_and_nothing_is_loaded_from_elsewhere() {
        let all = [Status::Pass, Status::Fail, Status::Unknown, Status::NotApplicable];
        let page = report(all.iter().enumerate().map(|(i, s)| finding(&i.to_string(), *s)).collect())
            .page(&[], "2026-01-01 00:00:00 UTC");
        let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text} is not in {page}"));
        assert!(at("Failing (1)") < at("Could not be observed (1)"));
        assert!(at("Could not be observed (1)") < at("Passing (1)"));
        assert!(!page.contains("http") && !page.contains("<script"));
        assert!(page.contains("because of &lt;this&gt;"));
    }
}
