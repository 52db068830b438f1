//! Controls that may fail: who answers for it, why, where, and until when.
//!
//! An excepted control is still looked at. An exception covers a failure and nothing else: what could not be observed stays
//! unknown, and what passes says that its exception can go.

mod expires;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use expires::Expires;

use crate::mistake::{Mistake, Walk};
use crate::policy::Policy;
use crate::report::{Counts, ExceptionNote, ExceptionState, Finding, Report, Status};
use crate::yaml::{self, nearest};

/// What an exceptions file says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exceptions {
    /// In the order of the file: where several cover a control on a node, one that is in force goes first, then the first.
    pub exceptions: Vec<Exception>,
}

/// One control that may fail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// `POLICY/CONTROL`: `cis-kubernetes-1.12-worker/4.2.7`.
    pub control: String,
    /// On which nodes; not given, on all.
    #[serde(default, skip_serializing_if = "Scope::is_everywhere")]
    pub scope: Scope,
    /// Why it may fail, in a sentence that an auditor understands.
    pub reason: String,
    /// Who answers for it.
    pub owner: String,
    /// Where it was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// The last day on which it is good, or `never`.
    pub expires: Expires,
    /// Has to be `true` with `expires: never`, so that nobody writes that by accident.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub permanent: bool,
}

/// Nodes; whatever is given has to hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// Nodes of this group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_group: Option<String>,
    /// Nodes with each of these labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// The node that a report is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeScope {
    /// The node group, if it is known.
    pub node_group: Option<String>,
    /// The node's labels, as far as they are known.
    pub labels: BTreeMap<String, String>,
}

impl Exceptions {
    /// Reads an exceptions file. `file` is what messages call it; `policies` are all that there are, whether they are asked
    /// for in this run or not.
    ///
    /// # Errors
    /// Every [`Mistake`], in the order of the file: against the grammar, a control that no policy has (with the nearest), a
    /// date that is none, an exception that never ends and does not say so twice.
    pub fn load(text: &str, file: &str, policies: &[Policy]) -> Result<Self, Vec<Mistake>> {
        let exceptions: Self = yaml::read(text, file).map_err(|mistake| vec![mistake])?;
        let mut walk = Walk::default();
        exceptions.lint(&mut walk, policies);
        if walk.flaws.is_empty() { Ok(exceptions) } else { Err(yaml::placed(walk.flaws, text, file)) }
    }

    /// The reviewed exceptions for EKS nodes: what conflicts with how EKS works, each with its reason.
    ///
    /// # Panics
    /// Never: a test reads what the build put in.
    #[must_use]
    pub fn eks() -> Self {
        let json = include_str!(concat!(env!("OUT_DIR"), "/exceptions-eks.json"));
        serde_json::from_str(json).expect("a test reads it")
    }

    /// Failures that are covered on this node become [`Status::Excepted`]; every control with an exception says what that is
    /// worth at `now_ms` (milliseconds since the epoch). Counts follow.
    pub fn apply(&self, report: &mut Report, node: &NodeScope, now_ms: i64) {
        for policy in &mut report.policies {
            for finding in &mut policy.findings {
                let control = format!("{}/{}", policy.policy, finding.control);
                if let Some(exception) = self.covering(&control, node, now_ms) {
                    exception.apply(finding, now_ms);
                }
            }
            policy.counts = policy.findings.iter().map(|finding| finding.status).collect::<Counts>();
        }
    }

    fn covering(&self, control: &str, node: &NodeScope, now_ms: i64) -> Option<&Exception> {
        let all = || self.exceptions.iter().filter(|one| one.control == control && one.scope.has(node));
        all().find(|one| !one.expires.is_over(now_ms)).or_else(|| all().next())
    }

    fn lint(&self, walk: &mut Walk, policies: &[Policy]) {
        let controls = policies
            .iter()
            .flat_map(|policy| policy.controls.iter().map(move |control| format!("{}/{}", policy.policy, control.id)));
        let known: BTreeSet<String> = controls.collect();
        let mut seen = BTreeSet::new();
        walk.key("exceptions", |walk| {
            for (n, one) in self.exceptions.iter().enumerate() {
                walk.index(n, |walk| {
                    one.lint(walk, &known);
                    let first = seen.insert((&one.control, &one.scope));
                    walk.require("control", first, "has another exception for the same nodes; keep one of the two");
                });
            }
        });
    }
}

impl Exception {
    fn lint(&self, walk: &mut Walk, known: &BTreeSet<String>) {
        for (key, text) in [("reason", &self.reason), ("owner", &self.owner)] {
            walk.require(key, !text.trim().is_empty(), "is empty");
        }
        if !known.contains(&self.control) {
            let near = nearest(&self.control, known.iter().map(String::as_str));
            let near = near.map(|known| format!("; did you mean `{known}`?")).unwrap_or_default();
            walk.require("control", false, format!("no policy has a control `{}`{near}", self.control));
        }
        let never = self.expires == Expires::Never;
        walk.require("expires", self.permanent || !never, "is `never`, which goes with `permanent: true` alone");
        walk.require("permanent", never || !self.permanent, "is true, and the exception expires");
    }

    fn apply(&self, finding: &mut Finding, now_ms: i64) {
        let state = match finding.status {
            Status::Fail if self.expires.is_over(now_ms) => ExceptionState::Expired,
            Status::Fail => {
                finding.status = Status::Excepted;
                ExceptionState::Active
            }
            Status::Pass => ExceptionState::NoLongerNeeded,
            // Nothing failed that could be excepted: what is not known has to stay visible as such.
            Status::Unknown | Status::Excepted | Status::Manual | Status::NotApplicable => return,
        };
        finding.exception = Some(ExceptionNote {
            state,
            reason: self.reason.trim().to_owned(),
            owner: self.owner.clone(),
            ticket: self.ticket.clone(),
            expires: self.expires.day(),
        });
    }
}

impl Scope {
    fn is_everywhere(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a node is meant. What is not known of a node is not taken for right.
    fn has(&self, node: &NodeScope) -> bool {
        let group = self.node_group.is_none() || self.node_group == node.node_group;
        group && self.labels.iter().all(|(key, value)| node.labels.get(key) == Some(value))
    }
}

#[cfg(test)]
mod tests;
