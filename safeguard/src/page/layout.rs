//! What every page has around it.

use maud::{DOCTYPE, Markup, html};

use crate::page::link;
use crate::store::read::{Filter, Tally};

use super::words;

/// Where a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Overview,
    Controls,
    Nodes,
    Actions,
    Nowhere,
}

/// The links at the top, in their order.
const PLACES: [(Place, &str, &str); 4] = [
    (Place::Overview, "/", "Overview"),
    (Place::Controls, "/controls", "Controls"),
    (Place::Nodes, "/nodes", "Nodes"),
    (Place::Actions, "/actions", "Actions"),
];

/// A whole page. `topics` are the changes that concern it, for the script: `fleet`, or `node-7`.
pub(crate) fn whole(title: &str, place: Place, topics: &str, signed_in: bool, main: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (title) " \u{b7} Compliance Explorer" }
                link rel="icon" href="/static/icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="/static/page.css";
                script src="/static/live.js" defer {}
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                header.top {
                    a.brand href="/" { "Compliance Explorer" }
                    nav aria-label="Pages" {
                        @for (each, href, name) in PLACES {
                            a href=(href) aria-current=[(each == place).then_some("page")] { (name) }
                        }
                    }
                    @if !topics.is_empty() { span #live .live role="status" data-topics=(topics) {} }
                    @if signed_in { form method="post" action="/sign-out" { button.quiet { "Sign out" } } }
                }
                main #main tabindex="-1" { (main) }
            }
        }
    }
}

/// What the page is limited to, each part with a link that takes it away; the rest of the address is kept.
pub(crate) fn scope(path: &str, filter: &Filter, kept: &[(&str, &str)]) -> Markup {
    let parts = [
        ("Tenant", "tenant", filter.tenant.as_deref()),
        ("Cluster", "cluster", filter.cluster.as_deref()),
        ("Node group", "group", filter.group.as_deref()),
        ("Policy", "policy", filter.policy.as_deref()),
        ("State", "state", filter.state.map(safeguard_protocol::State::as_str)),
        ("Search", "text", filter.text.as_deref()),
    ];
    html! {
        @if parts.iter().any(|(_, _, value)| value.is_some()) {
            ul.scope aria-label="Limited to" {
                @for (name, key, value) in parts {
                    @if let Some(value) = value {
                        @let without = address(path, filter, &[&[(key, "")], kept].concat());
                        li { span.dim { (name) " " } b { (value) } " "
                            a href=(without) aria-label={ "Remove the limit to " (name) " " (value) } { "\u{d7}" } }
                    }
                }
            }
        }
    }
}

/// An address with a filter in it; `changed` overrides, and an empty value takes away.
pub(crate) fn address(path: &str, filter: &Filter, changed: &[(&str, &str)]) -> String {
    let mut query = vec![
        ("tenant", filter.tenant.as_deref().unwrap_or_default()),
        ("cluster", filter.cluster.as_deref().unwrap_or_default()),
        ("group", filter.group.as_deref().unwrap_or_default()),
        ("policy", filter.policy.as_deref().unwrap_or_default()),
        ("state", filter.state.map_or("", safeguard_protocol::State::as_str)),
        ("text", filter.text.as_deref().unwrap_or_default()),
    ];
    for (name, value) in changed {
        query.retain(|(each, _)| each != name);
        query.push((name, value));
    }
    link::to(path, &query)
}

/// A number that leads to what it counts. A zero leads nowhere.
pub(crate) fn counted(n: u32, href: &str, what: &str) -> Markup {
    html! {
        @if n == 0 { span.zero { "0" } }
        @else { a.n href=(href) data-count=(n) aria-label={ (words::count(u64::from(n), what)) } { (words::number(u64::from(n))) } }
    }
}

/// The narrowest part of a bar, in percent: one failure among thousands is still seen.
const NARROWEST: f64 = 1.5;

/// How much of the checks passed, as a bar: passed, excepted, could not be observed, failed.
pub(crate) fn bar(tally: &Tally) -> Markup {
    let counts = [("pass", tally.pass), ("excepted", tally.excepted), ("unknown", tally.unknown), ("fail", tally.fail)];
    let enabled = f64::from(tally.enabled().max(1));
    let widths = counts.map(|(class, n)| {
        let share = f64::from(n) / enabled * 100.0;
        (class, if n == 0 { 0.0 } else { share.max(NARROWEST) })
    });
    let all: f64 = widths.iter().map(|(_, width)| width).sum();
    let mut x = 0.0;
    let parts = widths.map(|(class, width)| {
        let (from, width) = (x, width / all.max(1.0) * 100.0);
        x += width;
        (class, from, width)
    });
    html! {
        svg.bar viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true" focusable="false" {
            @for (class, x, width) in parts {
                @if width > 0.0 { rect class=(class) x=(format!("{x:.2}")) y="0" width=(format!("{width:.2}")) height="6" {} }
            }
        }
    }
}

/// A state with its mark.
pub(crate) fn state(text: &str) -> Markup {
    let known = safeguard_protocol::State::ALL.into_iter().find(|state| state.as_str() == text);
    html! {
        @match known {
            Some(known) => span.state .(known.as_str()) title=(words::meaning(known)) { (words::state(known)) },
            None => span.state { (text) },
        }
    }
}

/// What says that a node is part of a demonstration.
pub(crate) fn simulated(simulated: bool) -> Markup {
    html! { @if simulated { " " span.tag title="Part of a demonstration: no real instance stands behind it." { "simulated" } } }
}
