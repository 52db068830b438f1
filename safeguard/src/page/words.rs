//! Numbers, times and names in the words of the page.

use maud::{Markup, html};
use safeguard_daemon::clock;
use safeguard_protocol::State;

/// `1234567` as `1,234,567`.
pub(crate) fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with its noun: `1 node`, `2 nodes`.
pub(crate) fn count(n: u64, noun: &str) -> String {
    let s = if n == 1 { "" } else { "s" };
    format!("{} {noun}{s}", number(n))
}

/// Tenths of a percent as `96.4 %`; nothing to count is a dash.
pub(crate) fn percent(permille: Option<u16>) -> String {
    permille.map_or_else(|| "\u{2013}".to_owned(), |p| format!("{}.{}\u{202f}%", p / 10, p % 10))
}

/// A span of time in its largest unit that says enough: `43 s`, `12 min`, `3 h`, `5 days`.
pub(crate) fn span(ms: i64) -> String {
    let s = ms.max(0) / 1_000;
    match s {
        0..120 => format!("{s} s"),
        120..7_200 => format!("{} min", s / 60),
        7_200..172_800 => format!("{} h", s / 3_600),
        _ => format!("{} days", s / 86_400),
    }
}

/// How long ago something was. The exact time is in its title and for programs.
pub(crate) fn ago(now_ms: i64, then_ms: i64) -> Markup {
    let text = match now_ms.saturating_sub(then_ms) {
        i64::MIN..-60_000 => format!("in {}", span(then_ms.saturating_sub(now_ms))),
        -60_000..2_000 => "just now".to_owned(),
        past => format!("{} ago", span(past)),
    };
    let exact = clock::utc(then_ms);
    html! { time datetime=(machine(&exact)) title=(exact) { (text) } }
}

/// For how long something has been so. The exact time is in its title and for programs.
pub(crate) fn for_time(now_ms: i64, then_ms: i64) -> Markup {
    let exact = clock::utc(then_ms);
    html! { time datetime=(machine(&exact)) title={ "since " (exact) } { "for " (span(now_ms.saturating_sub(then_ms))) } }
}

/// An exact time.
pub(crate) fn at(ms: i64) -> Markup {
    let exact = clock::utc(ms);
    html! { time datetime=(machine(&exact)) { (exact) } }
}

/// An exact time as text.
pub(crate) fn at_text(ms: i64) -> String {
    clock::utc(ms)
}

fn machine(exact: &str) -> String {
    exact.replace(" UTC", "Z").replace(' ', "T")
}

/// A state in words.
pub(crate) fn state(state: State) -> &'static str {
    match state {
        State::NeverEnrolled => "never enrolled",
        State::Compliant => "compliant",
        State::NonCompliant => "non-compliant",
        State::Stale => "stale",
        State::Missing => "missing",
        State::Suspect => "suspect",
        State::Retired => "retired",
    }
}

/// What a state means, in a sentence.
pub(crate) fn meaning(state: State) -> &'static str {
    match state {
        State::NeverEnrolled => "EC2 knows the instance, and it has never spoken here.",
        State::Compliant => "Alive, assessed lately, and no critical control fails.",
        State::NonCompliant => "Alive and assessed lately; at least one critical control fails.",
        State::Stale => "It speaks, but its checks have not run lately: nobody knows how it stands.",
        State::Missing => "Silent for longer than it said it would be.",
        State::Suspect => "What it says does not fit what it, or another with its name, said before.",
        State::Retired => "Its instance is gone. Kept for the record.",
    }
}

/// What stands behind the word that this is the node, for people.
pub(crate) fn assurance(level: &str) -> (&'static str, &'static str) {
    match level {
        "iid" => (
            "identity signed by AWS",
            "AWS signed that this instance exists. Anyone who reached its metadata service could have sent that.",
        ),
        "iid+sts" => (
            "key vouched for by AWS",
            "AWS signed the identity, and STS says that the role session of this instance chose this key.",
        ),
        "iid+sts+psat" => (
            "key vouched for by AWS and the cluster",
            "AWS signed the identity, STS vouches for the key, and the cluster says that the agent's pod on this node spoke.",
        ),
        _ => ("the node's own word", "Nobody but the node itself says who it is."),
    }
}

/// A verdict in words.
pub(crate) fn verdict(verdict: &str) -> &'static str {
    match verdict {
        "pass" => "pass",
        "fail" => "fails",
        "excepted" => "excepted",
        "not_applicable" => "not applicable",
        "manual" => "by hand",
        _ => "not observed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (n, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(number(n), text);
        }
        assert_eq!((count(1, "node"), count(0, "node")), ("1 node".to_owned(), "0 nodes".to_owned()));
    }

    #[test]
    fn a_time_is_told_in_its_largest_unit_and_exactly() {
        for (ms, text) in
            [(0, "0 s"), (119_999, "119 s"), (120_000, "2 min"), (7_200_000, "2 h"), (400_000_000, "4 days")]
        {
            assert_eq!(span(ms), text);
        }
        let told = ago(1_000_000, 0).into_string();
        assert_eq!(told, r#"<time datetime="1970-01-01T00:00:00Z" title="1970-01-01 00:00:00 UTC">16 min ago</time>"#);
        assert!(ago(0, 10_000_000).into_string().contains(">in 2 h<"));
        assert!(ago(i64::MAX, i64::MIN).into_string().contains("days ago"));
        assert!(ago(i64::MIN, i64::MAX).into_string().contains("in "));
    }

    #[test]
    fn nothing_to_count_is_no_zero_and_no_hundred() {
        assert_eq!((percent(None), percent(Some(999))), ("\u{2013}".to_owned(), "99.9\u{202f}%".to_owned()));
    }
}
