//! Pure: what changed between two reports.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Finding, Report, Status};

/// A control that has another status than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// `POLICY/CONTROL`: nodes are left out, so that two images can be compared.
    pub control: String,
    /// The control's title.
    pub title: String,
    /// What it was; `None` if it was not asked for.
    pub from: Option<Status>,
    /// What it is; `None` if it is not asked for any more.
    pub to: Option<Status>,
    /// What the new status rests on, in one line; empty if the control is gone.
    pub because: String,
}

/// How much less is known about a policy than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoverageDrop {
    /// The policy.
    pub policy: String,
    /// Decided of applicable controls before, in percent.
    pub from: u32,
    /// The same now.
    pub to: u32,
    /// Applicable controls before.
    pub applicable_before: u32,
    /// Applicable controls now.
    pub applicable_now: u32,
}

impl Report {
    /// The controls whose status is another in `newer`, in its order; what is gone comes last.
    #[must_use]
    pub fn changes(&self, newer: &Self) -> Vec<Change> {
        let old = self.by_control();
        let mut seen = std::collections::BTreeSet::new();
        let mut changes = Vec::new();
        for (policy, finding) in newer.findings() {
            let key = format!("{policy}/{}", finding.control);
            let from = old.get(&key).map(|f| f.status);
            if from != Some(finding.status) {
                let (title, because) = (finding.title.clone(), finding.because());
                changes.push(Change { control: key.clone(), title, from, to: Some(finding.status), because });
            }
            seen.insert(key);
        }
        for (key, finding) in old {
            if !seen.contains(&key) {
                let (title, from) = (finding.title.clone(), Some(finding.status));
                changes.push(Change { control: key, title, from, to: None, because: String::new() });
            }
        }
        changes
    }

    /// The policies of which less is decided than before, or of which less applies: a tool that silently skips four of five rules
    /// (ComplianceAsCode/content#14819) looks exactly like that.
    #[must_use]
    pub fn coverage_drops(&self, newer: &Self) -> Vec<CoverageDrop> {
        let before: BTreeMap<&str, _> = self.policies.iter().map(|p| (p.policy.as_str(), p.counts)).collect();
        let drops = newer.policies.iter().filter_map(|now| {
            let before = before.get(now.policy.as_str())?;
            let (from, to) = (before.coverage().unwrap_or(0), now.counts.coverage().unwrap_or(0));
            let (applicable_before, applicable_now) = (before.applicable(), now.counts.applicable());
            (to < from || applicable_now < applicable_before).then(|| CoverageDrop {
                policy: now.policy.clone(),
                from,
                to,
                applicable_before,
                applicable_now,
            })
        });
        drops.collect()
    }

    /// Every finding, with its policy.
    pub fn findings(&self) -> impl Iterator<Item = (&str, &Finding)> {
        self.policies.iter().flat_map(|p| p.findings.iter().map(|f| (p.policy.as_str(), f)))
    }

    fn by_control(&self) -> BTreeMap<String, &Finding> {
        self.findings().map(|(policy, finding)| (format!("{policy}/{}", finding.control), finding)).collect()
    }
}

impl Finding {
    /// What the status rests on, in one line: the reason, or the evidence that speaks against it, or all evidence.
    #[must_use]
    pub fn because(&self) -> String {
        if let Some(reason) = &self.reason {
            return reason.clone();
        }
        let against = self.evidence.iter().filter(|e| e.holds == Some(false)).collect::<Vec<_>>();
        let chosen = if against.is_empty() { self.evidence.iter().collect() } else { against };
        let words = chosen.iter().map(|e| format!("{}: {} (wanted: {})", e.source, e.observed, e.expected));
        words.collect::<Vec<_>>().join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{finding, report};
    use super::*;

    #[test]
    fn what_has_another_status_is_named_and_nothing_else() {
        let old = report(vec![finding("1", Status::Pass), finding("2", Status::Fail), finding("3", Status::Pass)]);
        let new = report(vec![finding("1", Status::Pass), finding("2", Status::Pass), finding("4", Status::Unknown)]);
        let changes = old.changes(&new);
        let short: Vec<_> = changes.iter().map(|c| (c.control.as_str(), c.from, c.to)).collect();
        assert_eq!(
            short,
            [
                ("test/2", Some(Status::Fail), Some(Status::Pass)),
                ("test/4", None, Some(Status::Unknown)),
                ("test/3", Some(Status::Pass), None)
            ]
        );
        assert_eq!(old.changes(&old), []);
    }

    /// ComplianceAsCode/content#14819: 80 % of the rules were not applicable, and the score looked better than before.
    #[test]
    fn less_that_applies_is_a_drop_although_all_of_it_is_decided() {
        let old = report(vec![finding("1", Status::Pass), finding("2", Status::Fail)]);
        let new = report(vec![finding("1", Status::Pass), finding("2", Status::NotApplicable)]);
        let drops = old.coverage_drops(&new);
        assert_eq!((drops.len(), drops[0].applicable_before, drops[0].applicable_now), (1, 2, 1));
        let unknown = report(vec![finding("1", Status::Pass), finding("2", Status::Unknown)]);
        assert_eq!((old.coverage_drops(&unknown)[0].from, old.coverage_drops(&unknown)[0].to), (100, 50));
        assert_eq!(new.coverage_drops(&old), []);
    }
}
