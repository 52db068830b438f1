//! What came of a run, for people and programs.

mod diff;
mod junit;
mod page;

use serde::{Deserialize, Serialize};

use crate::host::Phase;
use crate::observed::Unobserved;
use crate::policy::{Assessment, Severity};
use crate::verdict::Evidence;

pub use diff::{Change, CoverageDrop};

/// What became of a control.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It was looked at and does not hold.
    Fail,
    /// It could not be observed. Never a pass.
    Unknown,
    /// It does not hold, and somebody answers for that until a date.
    Excepted,
    /// A person has to decide.
    Manual,
    /// It was looked at and holds.
    Pass,
    /// There is nothing here that it speaks of.
    NotApplicable,
}

/// How many controls have which status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// [`Status::Pass`].
    pub pass: u32,
    /// [`Status::Fail`].
    pub fail: u32,
    /// [`Status::Excepted`].
    pub excepted: u32,
    /// [`Status::NotApplicable`].
    pub not_applicable: u32,
    /// [`Status::Manual`].
    pub manual: u32,
    /// [`Status::Unknown`].
    pub unknown: u32,
}

/// One control on one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// `NODE/POLICY/CONTROL`: the same in every run, whatever the result.
    pub id: String,
    /// The control's id in its policy.
    pub control: String,
    /// The control's title.
    pub title: String,
    /// The benchmark's level.
    pub level: u8,
    /// The benchmark's assessment.
    pub assessment: Assessment,
    /// How bad a failure is.
    pub severity: Severity,
    /// What became of it.
    pub status: Status,
    /// Why it is unknown, not applicable or manual, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why it could not be observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unobserved: Option<Unobserved>,
    /// What it rests on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
    /// The exception that covers it, or that does no longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exception: Option<ExceptionNote>,
    /// How to mend it, where it does not pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// What an exception does for a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExceptionNote {
    /// What the exception is worth now.
    pub state: ExceptionState,
    /// Why it was made.
    pub reason: String,
    /// Who answers for it.
    pub owner: String,
    /// Where it was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// The last day (UTC, `2027-01-31`) on which it is good; `None` is for as long as the node is what it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// What an exception is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExceptionState {
    /// It covers a failure.
    Active,
    /// Its last day has passed: the control fails again.
    Expired,
    /// The control passes without it: it can be deleted.
    NoLongerNeeded,
}

/// What came of one policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicyReport {
    /// The policy's id.
    pub policy: String,
    /// Its version.
    pub version: String,
    /// Its title.
    pub title: String,
    /// SHA-256 of the policy's JSON form, in hexadecimal.
    pub digest: String,
    /// Its controls, in its order.
    pub findings: Vec<Finding>,
    /// How many have which status.
    pub counts: Counts,
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Version of this document: 1.
    pub version: u32,
    /// The node's name; also the beginning of every finding's id.
    pub node: String,
    /// The phase that the host was said to be in.
    pub phase: Phase,
    /// When it was begun: milliseconds since the epoch.
    pub started_ms: i64,
    /// One for each policy.
    pub policies: Vec<PolicyReport>,
}

impl Counts {
    /// Counts one more.
    pub fn add(&mut self, status: Status) {
        *self.of_mut(status) += 1;
    }

    /// How many there are.
    #[must_use]
    pub fn all(&self) -> u32 {
        self.applicable() + self.not_applicable
    }

    /// How many speak of something that is here.
    #[must_use]
    pub fn applicable(&self) -> u32 {
        self.pass + self.fail + self.excepted + self.manual + self.unknown
    }

    /// How many were decided: looked at, with an answer.
    #[must_use]
    pub fn decided(&self) -> u32 {
        self.pass + self.fail + self.excepted
    }

    /// Decided of applicable, in percent, rounded down; `None` if nothing is applicable.
    #[must_use]
    pub fn coverage(&self) -> Option<u32> {
        percent(self.decided(), self.applicable())
    }

    /// Passed of what is applicable and not manual, in percent, rounded down: what could not be observed does not count as passed.
    #[must_use]
    pub fn score(&self) -> Option<u32> {
        percent(self.pass, self.applicable() - self.manual)
    }

    fn of_mut(&mut self, status: Status) -> &mut u32 {
        match status {
            Status::Pass => &mut self.pass,
            Status::Fail => &mut self.fail,
            Status::Excepted => &mut self.excepted,
            Status::NotApplicable => &mut self.not_applicable,
            Status::Manual => &mut self.manual,
            Status::Unknown => &mut self.unknown,
        }
    }
}

impl FromIterator<Status> for Counts {
    fn from_iter<I: IntoIterator<Item = Status>>(statuses: I) -> Self {
        let mut counts = Self::default();
        statuses.into_iter().for_each(|status| counts.add(status));
        counts
    }
}

impl Status {
    /// In words.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Unknown => "unknown",
            Self::Excepted => "excepted",
            Self::Manual => "manual",
            Self::Pass => "pass",
            Self::NotApplicable => "not applicable",
        }
    }
}

fn percent(part: u32, whole: u32) -> Option<u32> {
    (part * 100).checked_div(whole)
}

#[cfg(test)]
mod tests;
