//! What the host checks say of the machine that the demo runs on. Files are read and nothing is run; without root much could not
//! be observed, and says so.

use safeguard_checks::policy::Severity;
use safeguard_checks::{Facts, Finding, Host, Inputs, Phase, Report, Sources, Status, evaluate};
use safeguard_daemon::clock;
use safeguard_host::HostRoot;

use super::screen::Paint;

/// Failing controls that are shown; `safeguard-agent check` has all of them.
const MOST_SHOWN: usize = 5;

/// Looks at this machine and tells what was seen.
///
/// # Errors
/// When `/` cannot be opened.
pub(super) fn of_this_machine(paint: Paint) -> anyhow::Result<Vec<String>> {
    let host = Host::new(HostRoot::open("/")?, Phase::Run);
    let inputs = Inputs { node: "this-machine".to_owned(), now_ms: clock::now_ms(), ..Inputs::default() };
    let rulebook = Sources::default().load();
    let mut report = evaluate(&Facts::new(&host, &inputs), &rulebook.policies);
    rulebook.except(&mut report, inputs.now_ms);
    Ok(lines(&report, paint))
}

fn lines(report: &Report, paint: Paint) -> Vec<String> {
    let heading = format!(
        "{:<30} {:>5} {:>8} {:>9} {:>5} {:>15} {:>9}",
        "policy", "fail", "unknown", "excepted", "pass", "not applicable", "coverage"
    );
    let mut lines = vec![
        "The host checks, on the machine that you sit at (read-only; run as root, more can be observed):".to_owned(),
        paint.bold(&heading),
    ];
    for policy in &report.policies {
        let counts = &policy.counts;
        let coverage = counts.coverage().map_or_else(|| "-".to_owned(), |percent| format!("{percent} %"));
        lines.push(format!(
            "{:<30} {:>5} {:>8} {:>9} {:>5} {:>15} {coverage:>9}",
            policy.policy, counts.fail, counts.unknown, counts.excepted, counts.pass, counts.not_applicable
        ));
    }
    let mut failing: Vec<&Finding> = report.findings().map(|(_, f)| f).filter(|f| f.status == Status::Fail).collect();
    failing.sort_by_key(|f| std::cmp::Reverse(f.severity));
    lines.extend(failing.iter().take(MOST_SHOWN).map(|finding| {
        let text = format!("  {:<7} {}", finding.control, finding.title);
        if finding.severity >= Severity::High { paint.red(&text) } else { text }
    }));
    lines.push("All of it, with evidence: cargo run -q --release --bin safeguard-agent -- check".to_owned());
    lines.push(String::new());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_is_told_and_nothing_is_taken_for_granted() {
        let lines = of_this_machine(Paint::none()).unwrap();
        for policy in Sources::default().load().policies {
            assert!(lines.iter().any(|line| line.starts_with(&policy.policy)), "{}: {lines:#?}", policy.policy);
        }
    }
}
