//! What a policy file says: data, not code.

pub mod hipaa;

mod document;
mod lint;
mod load;
mod words;

pub use document::{document, schema};
pub use lint::lint;
pub use load::{directory, embedded, load, parse};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules::Predicate;

/// A policy: controls with an id each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// What it is called: `cis-eks-1.8.0`. Lower case letters, digits, `-` and `.`, at most 64.
    pub policy: String,
    /// Its version, of our wording and predicates; raised with every change.
    pub version: String,
    /// One line for people.
    pub title: String,
    /// Where its controls come from, with the version of the benchmark.
    pub source: String,
    /// Titles of sections by the beginning of their controls' ids: `"3.1"`.
    #[serde(default)]
    pub sections: Vec<Section>,
    /// Its controls, in their order.
    pub controls: Vec<Control>,
}

/// A section of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Section {
    /// Its id: the ids of its controls are this, a dot or dash, and more.
    pub id: String,
    /// Its title.
    pub title: String,
}

impl Section {
    /// Whether a control's id is this one's, a dot or dash, and more.
    pub(crate) fn has(&self, control: &str) -> bool {
        control.strip_prefix(self.id.as_str()).is_some_and(|rest| rest.starts_with(['.', '-']))
    }
}

/// One control.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// Its id in the policy: `3.1.1`.
    pub id: String,
    /// What it asks for, in one line of our own words.
    pub title: String,
    /// Level 1 (sensible everywhere) or 2 (where security comes before convenience).
    pub level: u8,
    /// Whether the benchmark thinks that a program can decide it.
    pub assessment: Assessment,
    /// How bad a failure is, for whoever decides what to mend first.
    pub severity: Severity,
    /// Where it applies; not given, everywhere. If this fails, the control is not applicable, with the evidence as the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applies: Option<Predicate>,
    /// What has to hold. Only a manual control may be without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Predicate>,
    /// Why it matters.
    pub why: String,
    /// How to mend it on a node, as concretely as can be.
    pub remedy: String,
    /// Citations of the HIPAA Security Rule: `164.312(a)(1)`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hipaa: Vec<String>,
    /// What it conflicts with on a Kubernetes node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflicts: Option<String>,
}

/// Whether the benchmark thinks that a program can decide a control. We decide a manual one too where a predicate can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Assessment {
    /// A program can.
    Automated,
    /// A person has to.
    Manual,
}

/// How bad a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Tidiness.
    Low,
    /// It makes an attack easier.
    Medium,
    /// It lets an attacker in, or hides one.
    High,
    /// Patient data is open now.
    Critical,
}

impl Severity {
    /// In words.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl Assessment {
    /// In words.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Automated => "automated",
            Self::Manual => "manual",
        }
    }
}

impl Policy {
    /// The section that a control's id is in: the innermost, if sections are nested.
    #[must_use]
    pub fn section_of(&self, control: &str) -> Option<&Section> {
        self.sections.iter().filter(|section| section.has(control)).max_by_key(|section| section.id.len())
    }

    /// SHA-256 of the JSON form, in hexadecimal: two policies with the same digest ask the same.
    #[must_use]
    pub fn digest(&self) -> String {
        use sha2::{Digest, Sha256};
        use std::fmt::Write;
        let json = serde_json::to_vec(self).unwrap_or_default();
        Sha256::digest(&json).iter().fold(String::new(), |mut hex, byte| {
            // Writing to a `String` cannot fail.
            write!(hex, "{byte:02x}").ok();
            hex
        })
    }
}
