//! Pure: a report as `JUnit` XML, one test suite for each policy. A control that fails or is unknown is a failure or an error, one that is
//! excepted, manual or not applicable is skipped with its reason: what was not decided never looks like a pass.

use std::fmt::Write;

use super::{ExceptionState, Finding, PolicyReport, Report, Status};

impl Report {
    /// The document.
    #[must_use]
    pub fn junit(&self) -> String {
        let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let total = |of: fn(&PolicyReport) -> u32| self.policies.iter().map(of).sum::<u32>();
        push(
            &mut xml,
            format_args!(
                "<testsuites name=\"safeguard\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\">\n",
                total(|p| p.counts.all()),
                total(|p| p.counts.fail),
                total(|p| p.counts.unknown),
                total(|p| p.counts.all() - p.counts.pass - p.counts.fail - p.counts.unknown)
            ),
        );
        for policy in &self.policies {
            suite(&mut xml, policy, &self.node);
        }
        xml.push_str("</testsuites>\n");
        xml
    }
}

fn suite(xml: &mut String, policy: &PolicyReport, node: &str) {
    let counts = &policy.counts;
    let skipped = counts.all() - counts.pass - counts.fail - counts.unknown;
    push(
        xml,
        format_args!(
            "  <testsuite name=\"{}\" hostname=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{skipped}\">\n",
            escaped(&policy.policy),
            escaped(node),
            counts.all(),
            counts.fail,
            counts.unknown
        ),
    );
    for finding in &policy.findings {
        case(xml, policy, finding);
    }
    xml.push_str("  </testsuite>\n");
}

fn case(xml: &mut String, policy: &PolicyReport, finding: &Finding) {
    let (class, name) = (escaped(&policy.policy), escaped(&format!("{} {}", finding.control, finding.title)));
    push(xml, format_args!("    <testcase classname=\"{class}\" name=\"{name}\""));
    let because = escaped(&finding.because());
    let element = match finding.status {
        Status::Pass => None,
        Status::Fail => Some(format!("<failure message=\"{because}\"/>")),
        Status::Unknown => Some(format!("<error message=\"{because}\"/>")),
        Status::Manual | Status::NotApplicable => Some(format!("<skipped message=\"{because}\"/>")),
        Status::Excepted => Some(format!("<skipped message=\"{}\"/>", escaped(&excepted(finding)))),
    };
    match element {
        None => xml.push_str("/>\n"),
        Some(element) => push(xml, format_args!(">{element}</testcase>\n")),
    }
}

fn excepted(finding: &Finding) -> String {
    match &finding.exception {
        Some(note) if note.state == ExceptionState::Active => {
            let until = note.expires.as_deref().map_or_else(String::new, |day| format!(" until {day}"));
            format!("excepted by {}{until}: {}; {}", note.owner, note.reason, finding.because())
        }
        _ => finding.because(),
    }
}

/// Text as XML 1.0 and HTML may hold it between tags and in attributes: control characters have no form there at all.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

pub(super) fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("writing to a String does not fail");
}

#[cfg(test)]
mod tests {
    use super::super::tests::{finding, report};
    use super::*;

    #[test]
    fn only_what_was_looked_at_and_holds_looks_like_a_pass() {
        let all = [Status::Pass, Status::Fail, Status::Unknown, Status::Manual, Status::NotApplicable];
        let xml = report(all.iter().enumerate().map(|(i, s)| finding(&i.to_string(), *s)).collect()).junit();
        assert!(xml.contains("tests=\"5\" failures=\"1\" errors=\"1\" skipped=\"2\""), "{xml}");
        assert_eq!(xml.matches("<testcase").count(), 5);
        assert_eq!(xml.matches("\"/>\n").count(), 1, "one case without an element: {xml}");
        assert!(xml.contains("<failure message=\"/etc/b: mode 0666 (wanted: mode 0600 or stricter)\"/>"), "{xml}");
        assert!(xml.contains("because of &lt;this&gt; &amp; &quot;that&quot;"), "{xml}");
    }

    #[test]
    fn nothing_that_a_host_wrote_becomes_markup() {
        assert_eq!(escaped("<a href='\"'>\u{1b}[2J&\n"), "&lt;a href=&#39;&quot;&#39;&gt;\u{fffd}[2J&amp; ");
    }
}
