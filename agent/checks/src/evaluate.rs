//! Facts and policies become a report.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use crate::facts::Facts;
use crate::host::Touched;
use crate::policy::{Control, Policy};
use crate::report::{Counts, Finding, PolicyReport, Report, Status};
use crate::verdict::{Truth, Verdict};

/// What is known about the host besides its files.
///
/// Whoever makes them may use the network; this room does not. `Err` says why something could not be had; `None`, that nobody
/// asked.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    /// What the node is called.
    pub node: String,
    /// What time it is: milliseconds since the epoch.
    pub now_ms: i64,
    /// What the kubelet says of its own configuration: the body of `/configz`.
    pub configz: Option<Result<serde_json::Value, String>>,
    /// The version of the kubelet, if somebody knows it: `v1.34.2-eks-113cf36`. Otherwise it is looked for on disk.
    pub kubelet_version: Option<String>,
    /// The HTTP status with which the instance metadata service answered a request without a token.
    pub tokenless_imds: Option<Result<u16, String>>,
    /// What is said of the clock by who keeps it in step.
    pub clock: Option<Result<ClockState, String>>,
}

/// What is said of the clock by who keeps it in step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockState {
    /// Whether it follows a source other than itself.
    pub synchronized: bool,
    /// How far off it can be at most, in microseconds; that grows while no source is heard of.
    pub max_error_us: i64,
}

/// Looks at the host with the eyes of these policies.
#[must_use]
pub fn evaluate(facts: &Facts<'_>, policies: &[Policy]) -> Report {
    Evaluation::new(facts, policies).report(facts, policies)
}

/// What came of every control, and the files that it rests on: after a change only those are asked again that it concerns.
#[derive(Debug)]
pub(crate) struct Evaluation {
    /// As the policies have them.
    looks: Vec<Vec<Look>>,
}

#[derive(Debug)]
struct Look {
    finding: Finding,
    touched: Arc<Touched>,
}

impl Evaluation {
    pub(crate) fn new(facts: &Facts<'_>, policies: &[Policy]) -> Self {
        let all = |policy: &Policy| policy.controls.iter().map(|control| Look::at(facts, policy, control)).collect();
        Self { looks: policies.iter().map(all).collect() }
    }

    /// Asks again what one of these files, or directories, had a part in. `policies` are those that it was made with.
    pub(crate) fn refresh(&mut self, facts: &Facts<'_>, policies: &[Policy], changed: &BTreeSet<PathBuf>) {
        for (policy, looks) in policies.iter().zip(&mut self.looks) {
            for (control, look) in policy.controls.iter().zip(looks) {
                if look.touched.concerns(changed) {
                    *look = Look::at(facts, policy, control);
                }
            }
        }
    }

    pub(crate) fn report(&self, facts: &Facts<'_>, policies: &[Policy]) -> Report {
        let inputs = facts.inputs();
        Report {
            version: 1,
            node: inputs.node.clone(),
            phase: facts.host().phase(),
            started_ms: inputs.now_ms,
            policies: policies.iter().zip(&self.looks).map(|(policy, looks)| policy_report(policy, looks)).collect(),
        }
    }
}

impl Look {
    fn at(facts: &Facts<'_>, policy: &Policy, control: &Control) -> Self {
        let (finding, touched) = facts.host().touched_by(|| finding(facts, policy, control));
        facts.host().share(touched.clone());
        Self { finding, touched }
    }
}

fn policy_report(policy: &Policy, looks: &[Look]) -> PolicyReport {
    let findings: Vec<Finding> = looks.iter().map(|look| look.finding.clone()).collect();
    PolicyReport {
        policy: policy.policy.clone(),
        version: policy.version.clone(),
        title: policy.title.clone(),
        digest: policy.digest(),
        counts: findings.iter().map(|f| f.status).collect::<Counts>(),
        findings,
    }
}

fn finding(facts: &Facts<'_>, policy: &Policy, control: &Control) -> Finding {
    let verdict = judge(facts, control);
    let (status, reason, unobserved) = match verdict.as_ref().map(|v| &v.truth) {
        None => (Status::Manual, Some("a person has to decide".to_owned()), None),
        Some(Truth::Holds) => (Status::Pass, None, None),
        Some(Truth::Fails) => (Status::Fail, None, None),
        Some(Truth::NotApplicable(why)) => (Status::NotApplicable, Some(why.clone()), None),
        Some(Truth::Unknown(why)) => (Status::Unknown, Some(why.message.clone()), Some(why.clone())),
    };
    Finding {
        id: format!("{}/{}/{}", facts.inputs().node, policy.policy, control.id),
        control: control.id.clone(),
        title: control.title.clone(),
        level: control.level,
        assessment: control.assessment,
        severity: control.severity,
        status,
        reason,
        unobserved,
        evidence: verdict.map(|v| v.evidence).unwrap_or_default(),
        exception: None,
        remedy: matches!(status, Status::Fail | Status::Unknown | Status::Manual).then(|| control.remedy.clone()),
    }
}

/// `None` where the policy leaves the decision to a person.
fn judge(facts: &Facts<'_>, control: &Control) -> Option<Verdict> {
    let applies = control.applies.as_ref().map(|p| p.judge(facts));
    match applies {
        Some(Verdict { truth: Truth::Fails, evidence }) => {
            let why =
                evidence.iter().filter(|e| e.holds == Some(false)).map(|e| format!("{}: {}", e.source, e.observed));
            let why = why.collect::<Vec<_>>().join("; ");
            return Some(Verdict { truth: Truth::NotApplicable(why), evidence });
        }
        Some(unclear @ Verdict { truth: Truth::Unknown(_) | Truth::NotApplicable(_), .. }) => return Some(unclear),
        Some(Verdict { truth: Truth::Holds, .. }) | None => {}
    }
    control.check.as_ref().map(|p| p.judge(facts))
}

#[cfg(test)]
mod tests;
