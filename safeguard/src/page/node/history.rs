//! How it came about: beats by the hour, and everything else in one line of time.

use std::cmp::Reverse;

use maud::{Markup, html};
use serde_json::Value;

use crate::store::read::{Event, Gap, NodeDetail, StateChange};

use super::super::layout::state;
use super::super::words;

const HOUR_MS: i64 = 3_600_000;
const HOURS: i64 = 48;
/// Lines of the timeline.
const LINES: usize = 80;

/// Beats of the last two days, an hour a bar.
pub(crate) fn beats(detail: &NodeDetail, now_ms: i64) -> Markup {
    let most = detail.hours.iter().map(|hour| hour.live.saturating_add(hour.late)).max().unwrap_or(0).max(1);
    let newest = now_ms.div_euclid(HOUR_MS);
    let open = detail.gaps.iter().filter(|gap| gap.closed_ms.is_none()).count();
    let (live, late) =
        detail.hours.iter().fold((0_u64, 0_u64), |(a, b), h| (a + u64::from(h.live), b + u64::from(h.late)));
    html! {
        @if detail.hours.is_empty() { p.dim { "No beat in the last two days." } }
        @else {
            svg.beats viewBox="0 0 480 44" preserveAspectRatio="none" role="img" aria-label={ (words::number(live)) " beats in time and " (words::number(late)) " late ones in two days." } {
                line.grid x1="0" x2="480" y1="43.5" y2="43.5" {}
                @for hour in &detail.hours {
                    @let back = newest.saturating_sub(hour.hour_ms.div_euclid(HOUR_MS));
                    @if (0..HOURS).contains(&back) {
                        @let x = (HOURS - 1 - back) * 10 + 1;
                        @let high = |n: u32| f64::from(n) / f64::from(most) * 40.0;
                        @let (a, b) = (high(hour.live), high(hour.late));
                        rect.live x=(x) y=(format!("{:.1}", 43.0 - a)) width="8" height=(format!("{a:.1}")) { title { (words::at_text(hour.hour_ms)) ": " (hour.live) " in time, " (hour.late) " late" } }
                        @if hour.late > 0 { rect.late x=(x) y=(format!("{:.1}", 43.0 - a - b)) width="8" height=(format!("{b:.1}")) {} }
                        @if hour.gaps > 0 { rect.gap x=(x) y="0" width="8" height="3" { title { (hour.gaps) " gaps" } } }
                    }
                }
            }
            p.dim { (words::count(live, "beat")) " in time, " (words::number(late)) " late. "
                @if open > 0 { span.bad { (words::count(open.try_into().unwrap_or(u64::MAX), "gap")) " open" } } @else { "No gap is open." } }
        }
    }
}

enum Line<'a> {
    State(&'a StateChange),
    Gap(&'a Gap),
    Event(&'a Event),
}

/// States, gaps and events, the newest first.
pub(crate) fn timeline(detail: &NodeDetail, now_ms: i64) -> Markup {
    let mut lines: Vec<(i64, Line<'_>)> = Vec::new();
    lines.extend(detail.states.iter().map(|change| (change.at_ms, Line::State(change))));
    lines.extend(detail.gaps.iter().map(|gap| (gap.opened_ms, Line::Gap(gap))));
    // What is told as a gap or a state is not told again.
    let events = detail.events.iter().filter(|event| event.kind != "gap");
    lines.extend(events.map(|event| (event.at_ms, Line::Event(event))));
    lines.sort_by_key(|(at, _)| Reverse(*at));
    html! {
        @if lines.is_empty() { p.dim { "Nothing yet." } }
        ol.timeline { @for (at, line) in lines.iter().take(LINES) { li {
            span.when { (words::ago(now_ms, *at)) }
            div { @match line {
                Line::State(change) => {
                    @if let Some(from) = &change.from { (state(from)) " \u{2192} " } (state(&change.to))
                    @if !change.reasons.is_empty() { " " span.dim { (change.reasons.join("; ")) } }
                    @if change.evidence { " " span.tag title="The signed beat behind this is kept." { "evidence kept" } }
                },
                Line::Gap(gap) => (told_gap(gap)),
                Line::Event(event) => (told_event(event)),
            } }
        } } }
    }
}

fn told_gap(gap: &Gap) -> Markup {
    let n = gap.last.saturating_sub(gap.first).saturating_add(1);
    html! {
        span.kind { "gap" } " " (words::count(u64::try_from(n).unwrap_or(0), "beat")) " (" (gap.first) " to " (gap.last) ") "
        @match (gap.closed_ms, gap.declared) {
            (_, true) => "the node says that they will never come: its spool was full.",
            (Some(closed), _) => { "filled after " (words::span(closed.saturating_sub(gap.opened_ms))) "." },
            (None, _) => span.bad { "still missing." },
        }
    }
}

/// The longest detail that is shown of an event, in characters.
const DETAIL: usize = 400;

fn told_event(event: &Event) -> Markup {
    let text = |name: &str| event.detail.get(name).and_then(Value::as_str);
    html! {
        span.kind { (event.kind) } " "
        @if let (Some(control), to) = (text("control"), text("to")) {
            code { (control) } " "
            @if let Some(from) = text("from") { (words::verdict(from)) " \u{2192} " } (to.map_or("gone", words::verdict))
        } @else if let Some(message) = text("message").or(text("reason")).or(event.detail.as_str()) {
            (message.chars().take(DETAIL).collect::<String>())
        } @else if event.detail.as_object().is_none_or(|detail| !detail.is_empty()) && !event.detail.is_null() {
            code { (event.detail.to_string().chars().take(DETAIL).collect::<String>()) }
        }
    }
}
