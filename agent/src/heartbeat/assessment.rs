//! Pure: what the checks found, as a beat says it, and the report that goes with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use safeguard_checks::policy::Severity;
use safeguard_checks::{Report, Status};
use safeguard_heartbeat::{Assessment, Change, ControlVerdict as Verdict, Counts, Digest, Policy, limits};

use crate::CheckSnapshot;

/// An assessment, and the full report behind it.
#[derive(Debug, Clone)]
pub(crate) struct Assessed {
    pub(crate) assessment: Assessment,
    pub(crate) policies: Vec<Policy>,
    /// Controls that are excepted, and the day on which the first of the exceptions ends.
    pub(crate) excepted: (u32, Option<String>),
    /// The report as JSON. Without the time at which it began: the same result is the same report, and is sent once.
    pub(crate) report: Arc<[u8]>,
    verdicts: BTreeMap<String, Verdict>,
}

impl Assessed {
    /// What came of an evaluation, and what changed since the one before.
    pub(crate) fn of(snapshot: &CheckSnapshot, before: Option<&Self>) -> Self {
        let mut report = snapshot.report.clone();
        report.started_ms = 0;
        let bytes = serde_json::to_vec(&report).unwrap_or_default();
        let verdicts: BTreeMap<String, Verdict> = report
            .findings()
            .map(|(policy, found)| (format!("{policy}/{}", found.control), verdict(found.status)))
            .collect();
        let (changed, changed_more) = before.map(|before| changes(&before.verdicts, &verdicts)).unwrap_or_default();
        let (critical, critical_more) = first(critical(&report), limits::CRITICAL);
        let assessment = Assessment {
            started_at_ms: snapshot.report.started_ms,
            finished_at_ms: snapshot.finished_ms,
            report: Digest::of(&bytes),
            counts: counts(&report),
            changed,
            changed_more,
            critical,
            critical_more,
        };
        Self { assessment, policies: policies(&report), excepted: excepted(&report), report: bytes.into(), verdicts }
    }
}

fn verdict(status: Status) -> Verdict {
    match status {
        Status::Pass => Verdict::Pass,
        Status::Fail => Verdict::Fail,
        Status::Excepted => Verdict::Excepted,
        Status::NotApplicable => Verdict::NotApplicable,
        Status::Manual => Verdict::Manual,
        Status::Unknown => Verdict::Unknown,
    }
}

pub(crate) fn counts(report: &Report) -> Counts {
    report.policies.iter().fold(Counts::default(), |sum, policy| {
        let more = &policy.counts;
        Counts {
            pass: sum.pass + more.pass,
            fail: sum.fail + more.fail,
            excepted: sum.excepted + more.excepted,
            not_applicable: sum.not_applicable + more.not_applicable,
            manual: sum.manual + more.manual,
            unknown: sum.unknown + more.unknown,
        }
    })
}

/// Of a control that several policies have, each counts.
pub(crate) fn critical(report: &Report) -> Vec<String> {
    let fails = report.findings().filter(|(_, f)| f.status == Status::Fail && f.severity == Severity::Critical);
    fails.map(|(policy, found)| format!("{policy}/{}", found.control)).collect()
}

fn policies(report: &Report) -> Vec<Policy> {
    let digest = |hex: &str| format!("sha256:{hex}").parse().unwrap_or_else(|_| Digest::of(hex.as_bytes()));
    let named = report.policies.iter().map(|p| Policy { id: p.policy.clone(), digest: digest(&p.digest) });
    named.take(limits::POLICIES).collect()
}

fn excepted(report: &Report) -> (u32, Option<String>) {
    let notes = || report.findings().filter(|(_, f)| f.status == Status::Excepted).map(|(_, f)| &f.exception);
    // Days are written so that the order of texts is that of time.
    let next = notes().flatten().filter_map(|note| note.expires.clone()).min();
    (u32::try_from(notes().count()).unwrap_or(u32::MAX), next)
}

fn changes(before: &BTreeMap<String, Verdict>, now: &BTreeMap<String, Verdict>) -> (Vec<Change>, u32) {
    let of_now = now.iter().map(|(control, to)| (control, before.get(control).copied(), Some(*to)));
    let gone = before.iter().filter(|(control, _)| !now.contains_key(*control));
    let all = of_now.chain(gone.map(|(control, from)| (control, Some(*from), None)));
    let mut changed: Vec<Change> = all
        .filter(|(_, from, to)| from != to)
        .map(|(control, from, to)| Change { control: control.clone(), from, to })
        .collect();
    // What got worse is named first.
    let worse = |change: &Change| !matches!(change.to, Some(Verdict::Fail | Verdict::Unknown));
    changed.sort_by(|a, b| (worse(a), &a.control).cmp(&(worse(b), &b.control)));
    first(changed, limits::CHANGES)
}

/// The first of them, and how many more there are.
fn first<T>(mut all: Vec<T>, most: usize) -> (Vec<T>, u32) {
    let more = all.len().saturating_sub(most);
    all.truncate(most);
    (all, u32::try_from(more).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests;
