//! Pure: the report of `redirect check` as a table for people.

use safeguard_daemon::terminal::{BOLD, GREEN, RED, Style, YELLOW, printable};
use safeguard_proxy::redirect::{Ipv6, Layer, Report, Standing};

const LAYERS: [(Layer, &str); 4] = [
    (Layer::Address, "the proxy's own address on lo"),
    (Layer::Table, "redirects and refuses, by nftables"),
    (Layer::Routing, "refuses, by routing rules"),
    (Layer::Probe, "a connection from a namespace like a pod's"),
];

/// The layers, and what there is to say of them.
pub(super) fn table(report: &Report, style: Style) -> String {
    let state = &report.state;
    let mut text = String::new();
    let mut line = |colour: &str, line: &str| {
        let line = printable(line);
        text.push_str(&if colour.is_empty() { line } else { style.paint(colour, &line) });
        text.push('\n');
    };
    line(BOLD, &format!("{:9}{:9}{}", "LAYER", "STATE", "WHAT IT DOES"));
    for (layer, what) in LAYERS {
        let standing = match layer {
            Layer::Address => state.layers.address,
            Layer::Table => state.layers.table,
            Layer::Routing => state.layers.routing,
            Layer::Probe => state.layers.probe,
        };
        let (word, colour) = match standing {
            Standing::Holds => ("holds", ""),
            Standing::Broken => ("BROKEN", RED),
            Standing::Unknown => ("unknown", YELLOW),
        };
        line(colour, &format!("{:9}{word:9}{what}", layer.to_string()));
    }
    for finding in &state.problems {
        line(RED, &finding.to_string());
    }
    for finding in &report.mended {
        line(YELLOW, &format!("mended: {finding}"));
    }
    for warning in &report.warnings {
        line(YELLOW, &format!("warning: {warning}"));
    }
    // What does not hold is a problem of its layer, and was said.
    for passage in report.probes.iter().filter(|passage| passage.holds) {
        line("", &format!("probe: {}", passage.text));
    }
    let ipv6 = match report.ipv6 {
        Ipv6::Redirected => "redirected",
        Ipv6::Refused => "refused",
        Ipv6::Absent => "absent",
    };
    let mended = state.generation;
    line("", &format!("IPv6 is {ipv6}; mended {mended} times since the redirect came up"));
    if state.ok {
        line(GREEN, "All layers hold.");
    } else {
        line(RED, "Not all layers hold: `safeguard-proxy redirect check --repair` mends what can be mended.");
    }
    text
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use safeguard_proxy::redirect::{Family, Finding, Layers, Outcome, Passage, State, VERSION};

    pub(in crate::cli) fn report() -> Report {
        let holds = Standing::Holds;
        Report {
            state: State {
                version: VERSION,
                ok: true,
                generation: 2,
                at_ms: 0,
                problems: Vec::new(),
                layers: Layers { address: holds, table: holds, routing: holds, probe: holds },
            },
            ipv6: Ipv6::Redirected,
            mended: Vec::new(),
            warnings: Vec::new(),
            probes: vec![Passage {
                family: Family::V4,
                outcome: Outcome::Answered,
                holds: true,
                text: "169.254.169.254:80 is redirected and the proxy answers".to_owned(),
            }],
        }
    }

    const PLAIN: Style = Style { colour: false };

    #[test]
    fn all_is_well_in_a_few_lines() {
        let expected = "\
LAYER    STATE    WHAT IT DOES
address  holds    the proxy's own address on lo
table    holds    redirects and refuses, by nftables
routing  holds    refuses, by routing rules
probe    holds    a connection from a namespace like a pod's
probe: 169.254.169.254:80 is redirected and the proxy answers
IPv6 is redirected; mended 2 times since the redirect came up
All layers hold.
";
        assert_eq!(table(&report(), PLAIN), expected);
    }

    #[test]
    fn what_is_broken_unknown_or_mended_is_named() {
        let mut report = report();
        let finding = |layer, text: &str| Finding { layer, text: text.to_owned() };
        report.state.ok = false;
        report.state.layers.table = Standing::Broken;
        report.state.layers.probe = Standing::Unknown;
        report.state.problems = vec![finding(Layer::Table, "a rule of \u{1b}[2Jsomebody")];
        report.mended = vec![finding(Layer::Routing, "a rule was gone")];
        report.warnings = vec!["another table is before ours".to_owned()];
        let said = table(&report, PLAIN);
        for part in [
            "table    BROKEN",
            "probe    unknown",
            "table: a rule of \\u{1b}[2Jsomebody",
            "mended: routing: a rule was gone",
            "warning: another table",
            "check --repair",
        ] {
            assert!(said.contains(part), "{part} is not in {said}");
        }
        assert!(table(&report, Style { colour: true }).contains("\u{1b}[31m"));
    }
}
