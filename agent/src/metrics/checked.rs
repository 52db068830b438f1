//! What the host checks found, as metrics. Counts of controls, never their evidence.

use std::fmt::Error;

use prometheus_client::encoding::DescriptorEncoder;
use safeguard_checks::Counts;
use safeguard_checks::continuous::Snapshot;

use super::{Labels, gauge};

/// A status as a label, and how many have it.
type Counted = (&'static str, fn(&Counts) -> u32);

const STATUSES: [Counted; 6] = [
    ("pass", |c| c.pass),
    ("fail", |c| c.fail),
    ("excepted", |c| c.excepted),
    ("unknown", |c| c.unknown),
    ("manual", |c| c.manual),
    ("not-applicable", |c| c.not_applicable),
];

pub(super) fn encode(out: &mut DescriptorEncoder<'_>, snapshot: &Snapshot) -> Result<(), Error> {
    let policies = &snapshot.report.policies;
    let controls = policies.iter().flat_map(|p| {
        let labels = |status| -> Labels<'_> { vec![("policy", p.policy.as_str()), ("status", status)] };
        STATUSES.map(|(status, count)| (labels(status), u64::from(count(&p.counts))))
    });
    gauge(out, "safeguard_checks_controls", "Controls of a policy that have a status", controls)?;
    let coverage = policies.iter().filter_map(|p| {
        let labels: Labels<'_> = vec![("policy", p.policy.as_str())];
        p.counts.coverage().map(|percent| (labels, u64::from(percent)))
    });
    gauge(out, "safeguard_checks_coverage_percent", "Decided of applicable controls of a policy", coverage)?;
    let finished = u64::try_from(snapshot.finished_ms / 1_000).unwrap_or(0);
    let what = "When the host was last looked at, in seconds since 1970";
    gauge(out, "safeguard_checks_finished_timestamp_seconds", what, [(vec![], finished)])?;
    let what = "How long the last look took";
    gauge(out, "safeguard_checks_duration_microseconds", what, [(vec![], snapshot.took_us)])?;
    let what = "Policies, exceptions and results that cannot be read or kept";
    let problems = u64::try_from(snapshot.problems.len()).unwrap_or(u64::MAX);
    gauge(out, "safeguard_checks_problems", what, [(vec![], problems)])
}
