//! Controls: all of them ranked, and one with the nodes that it is about.

use maud::{Markup, html};

use crate::store::read::{Control, Filter, Finding, Page, Which};

use super::layout::{address, scope};
use super::{overview, words};

/// Verdicts that a list can be limited to.
const VERDICTS: [(&str, &str); 5] = [
    ("", "failing or not observed"),
    ("fail", "failing"),
    ("unknown", "not observed"),
    ("excepted", "excepted"),
    ("manual", "by hand"),
];

/// All controls, ranked.
pub(crate) fn all(controls: &Page<Control>, filter: &Filter, verdict: &str, now_ms: i64) -> Markup {
    let checks = controls.items.iter().map(|control| match verdict {
        "fail" => control.fail,
        "unknown" => control.unknown,
        "excepted" => control.excepted,
        "manual" => control.manual,
        _ => 0,
    });
    let checks = checks.fold(0, u32::saturating_add);
    html! {
        h1 { "Controls" }
        (scope("/controls", filter, &[("verdict", verdict)]))
        nav.tabs aria-label="Verdict" {
            @for (value, name) in VERDICTS {
                a href=(address("/controls", filter, &[("verdict", value)])) aria-current=[(value == verdict).then_some("true")] { (name) }
            }
        }
        section #list data-part="" data-total=(controls.total) data-checks=(checks) aria-label="Controls" {
            p { (words::count(u64::from(controls.total), "control"))
                @if !verdict.is_empty() && controls.next.is_none() { ", " (words::count(u64::from(checks), "check")) " in all" } "." }
            (overview::controls(&controls.items, 0, filter, now_ms))
        }
        (more(controls.next.as_deref(), &address("/controls", filter, &[("verdict", verdict)])))
    }
}

/// One control, and the nodes that it is about.
pub(crate) fn one(
    control: Option<&Control>,
    findings: &Page<Finding>,
    filter: &Filter,
    which: &Which,
    now_ms: i64,
) -> Markup {
    let id = which.control.as_deref().unwrap_or_default();
    let policy = filter.policy.as_deref().unwrap_or_default();
    let verdict = which.verdict.as_deref().unwrap_or_default();
    let first = findings.items.first();
    let title = first.map(|finding| finding.title.as_str()).or(control.map(|control| control.title.as_str()));
    let remedy = findings.items.iter().find_map(|finding| finding.remedy.as_deref());
    let tab = |value: &str| address("/control", filter, &[("control", id), ("verdict", value)]);
    let rest = Filter { policy: None, ..filter.clone() };
    html! {
        p.crumbs { a href=(address("/controls", &rest, &[])) { "Controls" } " / " a href=(address("/controls", filter, &[])) { (policy) } }
        h1 { span.id { (id) } " " (title.unwrap_or("No node says anything but \u{201c}pass\u{201d} of this control")) }
        (scope("/control", &rest, &[("policy", policy), ("control", id), ("verdict", verdict)]))
        @if let Some(first) = first {
            p.dim { @if let Some(level) = first.level { "Level " (level) ". " } @if let Some(section) = &first.section { (section) } }
        }
        @if let Some(remedy) = remedy { section.remedy aria-labelledby="remedy-h" { h2 #remedy-h { "What to do" } (paragraphs(remedy)) } }
        nav.tabs aria-label="Verdict" {
            @for (value, name, n) in tabs(control) {
                a href=(tab(value)) aria-current=[(value == verdict).then_some("true")] { (name) " " span.n { (words::number(u64::from(n))) } }
            }
        }
        section #list data-part="" data-total=(findings.total) aria-label="Nodes" {
            p { (words::count(u64::from(findings.total), "node")) "." }
            @if !findings.items.is_empty() { div.scroll tabindex="0" role="region" aria-label="Nodes" { table {
                thead { tr { th scope="col" { "Node" } th scope="col" { "Verdict" } th scope="col" { "What was seen" } th scope="col" { "Since" } } }
                tbody { @for finding in &findings.items { tr {
                    th scope="row" { a href={ "/nodes/" (finding.node_id) } { (finding.node) }
                        div.dim { (finding.cluster) @if let Some(group) = &finding.group { " / " (group) } } }
                    td { (verdict_mark(&finding.verdict)) }
                    td.evidence { (evidence(finding.evidence.as_deref())) }
                    td.when { (words::ago(now_ms, finding.since_ms)) }
                } } }
            } } }
        }
        (more(findings.next.as_deref(), &tab(verdict)))
    }
}

fn tabs(control: Option<&Control>) -> Vec<(&'static str, &'static str, u32)> {
    let of = |pick: fn(&Control) -> u32| control.map_or(0, pick);
    vec![
        ("", "all", of(|c| c.fail.saturating_add(c.unknown).saturating_add(c.excepted).saturating_add(c.manual))),
        ("fail", "failing", of(|c| c.fail)),
        ("unknown", "not observed", of(|c| c.unknown)),
        ("excepted", "excepted", of(|c| c.excepted)),
        ("manual", "by hand", of(|c| c.manual)),
    ]
}

/// A verdict with its mark.
pub(crate) fn verdict_mark(verdict: &str) -> Markup {
    html! { span.verdict .(known(verdict)) { (words::verdict(verdict)) } }
}

/// The class of a verdict: never a text that a node chose.
fn known(verdict: &str) -> &'static str {
    match verdict {
        "pass" => "pass",
        "fail" => "fail",
        "excepted" => "excepted",
        "manual" => "manual",
        _ => "unknown",
    }
}

/// What a node saw: the list of its report, or a text.
pub(crate) fn evidence(text: Option<&str>) -> Markup {
    /// How much of one is shown; the API has all of it.
    const SHOWN: usize = 6;
    #[derive(serde::Deserialize)]
    struct Seen {
        source: String,
        observed: String,
        expected: String,
        #[serde(default)]
        holds: Option<bool>,
    }
    let Some(text) = text.filter(|text| !text.is_empty()) else { return html! { span.dim { "\u{2013}" } } };
    let Ok(seen) = serde_json::from_str::<Vec<Seen>>(text) else { return paragraphs(text) };
    // What speaks against the control comes first.
    let mut seen: Vec<&Seen> = seen.iter().collect();
    seen.sort_by_key(|each| each.holds == Some(true));
    let more = seen.len().saturating_sub(SHOWN);
    html! {
        ul.seen { @for each in seen.iter().take(SHOWN) { li .held[each.holds == Some(true)] {
            @if !each.source.is_empty() { code { (each.source) } }
            div { b { (each.observed) } @if each.holds != Some(true) && !each.expected.is_empty() { span.dim { "; wanted: " (each.expected) } } }
        } } }
        @if more > 0 { p.dim { "And " (more) " more." } }
    }
}

/// A text in paragraphs.
pub(crate) fn paragraphs(text: &str) -> Markup {
    html! { @for line in text.lines().filter(|line| !line.trim().is_empty()).take(40) { p { (line) } } }
}

/// The way to the next part of a list.
pub(crate) fn more(next: Option<&str>, address: &str) -> Markup {
    html! {
        @if let Some(next) = next {
            @let sign = if address.contains('?') { "&" } else { "?" };
            p.more { a rel="next" href={ (address) (sign) "after=" (next) } { "Next page" } }
        }
    }
}
