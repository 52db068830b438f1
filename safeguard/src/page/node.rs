//! One node: who it is, how it stands, and how that came about.

mod history;
mod said;

use maud::{Markup, html};

use crate::store::read::{Finding, NodeDetail, Roll};

use super::controls::{evidence, paragraphs, verdict_mark};
use super::layout::{bar, simulated, state};
use super::{link, words};

/// The page of a node.
pub(crate) fn page(detail: &NodeDetail, now_ms: i64) -> Markup {
    let node = &detail.node;
    html! {
        p.crumbs { a href="/nodes" { "Nodes" } " / " a href=(link::to("/nodes", &[("tenant", &node.tenant), ("cluster", &node.cluster)])) { (node.cluster) }
            @if let Some(group) = &node.group { " / " a href=(link::to("/nodes", &[("tenant", &node.tenant), ("cluster", &node.cluster), ("group", group)])) { (group) } } }
        h1 { (node.name) (simulated(node.simulated)) }
        section #state data-part="" aria-labelledby="state-h" {
            h2.hidden #state-h { "State" }
            p.lead { (state(&node.state)) " " (words::for_time(now_ms, node.state_since_ms)) }
            @if node.state == "suspect" { p.dim { "Who looked into it says so with a token that operates: " code { "POST /v1/nodes/" (node.id) "/clear" }
                ", with " code { "reason" } " and " code { "owner" } "." } }
            @if !node.reasons.is_empty() { ul.reasons { @for reason in &node.reasons { li { (reason) } } } }
            dl.facts {
                div { dt { "Passed" } dd { b { (words::percent(node.passed_permille)) } " of " (words::count(u64::from(node.checks.enabled()), "enabled check")) } }
                div { dt { "Last heard" } dd { @match node.last_live_ms { Some(last) => (words::ago(now_ms, last)), None => "never" }
                    @if let Some(due) = detail.next_due_s { span.dim { ", due every " (words::span(i64::from(due) * 1_000)) } } } }
                div { dt { "Assessed" } dd { @match node.assessed_ms { Some(at) => (words::ago(now_ms, at)), None => "never" } } }
            }
        }
        section #findings data-part="" data-total=(node.checks.fail) aria-labelledby="findings-h" {
            h2 #findings-h { "Findings" }
            (findings(&detail.findings, now_ms))
        }
        section #policies data-part="" aria-labelledby="policies-h" {
            h2 #policies-h { "By policy" }
            (policies(&detail.policies))
        }
        section #beats data-part="" aria-labelledby="beats-h" {
            h2 #beats-h { "Beats of the last two days" }
            (history::beats(detail, now_ms))
        }
        section #timeline data-part="" aria-labelledby="timeline-h" {
            h2 #timeline-h { "What happened" }
            (history::timeline(detail, now_ms))
        }
        section #identity data-part="" aria-labelledby="identity-h" {
            h2 #identity-h { "Who it is" }
            (said::identity(detail))
        }
        section #said data-part="" aria-labelledby="said-h" {
            h2 #said-h { "What it says of itself" }
            (said::said(detail.statement.as_ref(), now_ms))
        }
    }
}

fn findings(findings: &[Finding], now_ms: i64) -> Markup {
    let (open, rest): (Vec<_>, Vec<_>) = findings.iter().partition(|f| f.verdict == "fail" || f.verdict == "unknown");
    html! {
        @if findings.is_empty() { p.good { "Every check that applies passed." } }
        @for finding in open { (one(finding, now_ms, true)) }
        @if !rest.is_empty() {
            details { summary { (words::count(rest.len().try_into().unwrap_or(u64::MAX), "control")) " excepted or to be looked at by hand" }
                @for finding in rest { (one(finding, now_ms, false)) } }
        }
    }
}

fn one(finding: &Finding, now_ms: i64, open: bool) -> Markup {
    let at = link::to("/control", &[("policy", &finding.policy), ("control", &finding.control)]);
    html! {
        article.finding {
            h3 { (verdict_mark(&finding.verdict)) " " a href=(at) { span.id { (finding.control) } " " (finding.title) } }
            p.dim { (finding.policy) @if let Some(level) = finding.level { " \u{b7} level " (level) } " \u{b7} since " (words::ago(now_ms, finding.since_ms)) }
            (evidence(finding.evidence.as_deref()))
            @if let (Some(remedy), true) = (&finding.remedy, open) { div.remedy { b { "What to do: " } (paragraphs(remedy)) } }
        }
    }
}

fn policies(policies: &[Roll]) -> Markup {
    html! {
        @if policies.is_empty() { p.dim { "It was never assessed." } }
        @else { div.scroll tabindex="0" role="region" aria-label="By policy" { table.rolls {
            thead { tr { th scope="col" { "Policy" } th.n scope="col" { "Passed" } th.wide scope="col" { span.hidden { "Share" } } th.n scope="col" { "Failed" }
                th.n scope="col" { "Not observed" } th.n scope="col" { "Excepted" } th.n scope="col" { "By hand" } th.n scope="col" { "Not applicable" } } }
            tbody { @for roll in policies { @let c = &roll.checks; tr {
                th scope="row" { @let policy = roll.policy.as_deref().unwrap_or_default(); a href=(link::to("/", &[("policy", policy)])) { (policy) } }
                td.n { (words::percent(roll.passed_permille)) } td.wide { (bar(c)) }
                @for (n, bad) in [(c.fail, true), (c.unknown, false), (c.excepted, false), (c.manual, false), (c.not_applicable, false)] {
                    td.n .bad[bad && n > 0] .zero[n == 0] { (words::number(u64::from(n))) }
                }
            } } }
        } } }
    }
}
