//! What is generated from policies and their types: the page of all controls, and the schema of a policy file.

use std::fmt::Write as _;

use super::{Assessment, Control, Policy, Section, Severity, hipaa};
use crate::rules::Predicate;

/// What stands at the top of the page of all controls.
const HEAD: &str = "# Controls\n\n\
    All that the agent asks of a node, by policy. Generated from `agent/checks/policies/*.yaml`; a test holds that it is current, and\n\
    `UPDATE_GOLDEN=1 cargo test -p safeguard-checks --test policies` writes it anew.\n\n\
    *Automated* and *manual* is the benchmark's own word: whether it thinks that a program can decide. A manual control with something\n\
    to look at is decided here too. What cannot be observed is never a pass. Where nothing else is said, kernel parameters, mounts, swap\n\
    and SELinux are looked at twice: as they are now, and as they will be after the next boot. The numbers behind *HIPAA* are paragraphs\n\
    of 45 CFR 164.\n\n\
    | policy | controls | automated | manual | level 1 | level 2 |\n\
    |--------|----------|-----------|--------|---------|---------|\n";

/// The page of all controls of these policies, in Markdown.
#[must_use]
pub fn document(policies: &[Policy]) -> String {
    let mut page = HEAD.to_owned();
    // Writing to a `String` cannot fail, here and below.
    for policy in policies {
        let count = |wanted: fn(&&Control) -> bool| policy.controls.iter().filter(wanted).count();
        let automated = count(|control| control.assessment == Assessment::Automated);
        let (all, first) = (policy.controls.len(), count(|control| control.level == 1));
        let manual = all - automated;
        writeln!(page, "| `{}` | {all} | {automated} | {manual} | {first} | {} |", policy.policy, all - first).ok();
    }
    for policy in policies {
        write!(page, "\n## {}\n\n`{}`, version {}. ", policy.title, policy.policy, policy.version).ok();
        writeln!(page, "{}", paragraph(&policy.source)).ok();
        if policy.sections.is_empty() {
            policy.controls.iter().for_each(|one| control(&mut page, one));
        }
        for section in &policy.sections {
            write!(page, "\n### {} {}\n", section.id, section.title).ok();
            policy.controls.iter().filter(|one| is_of(policy, one, section)).for_each(|one| control(&mut page, one));
        }
    }
    page
}

/// Whether a section is the innermost one that a control is in.
fn is_of(policy: &Policy, control: &Control, section: &Section) -> bool {
    let sections = policy.sections.iter().filter(|section| section.has(&control.id));
    sections.max_by_key(|section| section.id.len()) == Some(section)
}

fn control(page: &mut String, control: &Control) {
    let assessment = match control.assessment {
        Assessment::Automated => "automated",
        Assessment::Manual => "manual",
    };
    write!(page, "\n#### {} {}\n\n", control.id, escaped(&control.title)).ok();
    write!(page, "Level {}, {assessment}, severity {}.", control.level, severity(control.severity)).ok();
    let cited: Vec<String> = control.hipaa.iter().map(|citation| cited(citation)).collect();
    if !cited.is_empty() {
        write!(page, " HIPAA: {}.", cited.join(", ")).ok();
    }
    write!(page, "\n\n{}\n\n", paragraph(&control.why)).ok();
    if let Some(applies) = &control.applies {
        writeln!(page, "- **Applies if:** {}", looked_at(applies)).ok();
    }
    match &control.check {
        Some(check) => writeln!(page, "- **Looks at:** {}", looked_at(check)).ok(),
        None => writeln!(page, "- **Looks at:** nothing; a person has to decide").ok(),
    };
    if let Some(conflicts) = &control.conflicts {
        writeln!(page, "- **On a Kubernetes node:** {}", paragraph(conflicts)).ok();
    }
    write!(page, "- **Remedy:**\n\n```text\n{}\n```\n", control.remedy.trim_end()).ok();
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}

fn cited(citation: &str) -> String {
    let short = citation.strip_prefix("164.").unwrap_or(citation);
    match hipaa::heading(citation) {
        Some(heading) => {
            let heading = heading.to_lowercase();
            format!("{short} {}", heading.replace("electronic protected health information", "ePHI"))
        }
        None => short.to_owned(),
    }
}

/// A predicate in words; one that is made of others as a list.
fn looked_at(predicate: &Predicate) -> String {
    let list = |lead: &str, of: &[Predicate]| {
        let items = of.iter().map(|one| format!("\n  - {}", escaped(&one.to_string())));
        format!("{lead} of{}", items.collect::<String>())
    };
    match predicate {
        Predicate::All(all) if all.len() > 1 => list("each", all),
        Predicate::Any(any) if any.len() > 1 => list("one", any),
        _ => escaped(&predicate.to_string()),
    }
}

/// Text as one paragraph, however it was broken into lines.
fn paragraph(text: &str) -> String {
    escaped(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// What Markdown would take for marks, in text that has none. A `_` inside a word is no mark.
fn escaped(text: &str) -> String {
    text.replace('*', "\\*").replace('<', "\\<")
}

/// The JSON Schema of a policy file, for editors and for whoever writes policies with a program.
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Policy).to_value()
}
