//! What a predicate says about the host, with the evidence.

use serde::{Deserialize, Serialize};

use crate::observed::{Cause, Observed, Unobserved};

/// Whether a predicate holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Truth {
    /// It does.
    Holds,
    /// It does not.
    Fails,
    /// It could not be decided, for this reason.
    Unknown(Unobserved),
    /// What it speaks of does not exist on this host or in this phase; says why.
    NotApplicable(String),
}

/// What was looked at, what was seen there, and what was wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The file, with its line where that helps, or the flag, unit, key of `/proc` that decided. Never a secret.
    pub source: String,
    /// What is there, as short as can be: `mode 0644, owner 0:0`. Never a secret: rules that look at one redact it.
    pub observed: String,
    /// What was wanted: `mode 0600 or stricter`.
    pub expected: String,
    /// Whether that is what was wanted; `None` if it could not be told.
    pub holds: Option<bool>,
}

/// A predicate's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it holds.
    pub truth: Truth,
    /// What that rests on: never empty for [`Truth::Holds`] and [`Truth::Fails`].
    pub evidence: Vec<Evidence>,
}

impl Evidence {
    /// Evidence that speaks for (`holds`) or against the predicate.
    pub fn new(
        source: impl Into<String>,
        observed: impl Into<String>,
        expected: impl Into<String>,
        holds: bool,
    ) -> Self {
        Self { source: source.into(), observed: observed.into(), expected: expected.into(), holds: Some(holds) }
    }
}

impl Verdict {
    /// One piece of evidence decides.
    #[must_use]
    pub fn of(evidence: Evidence) -> Self {
        let truth = match evidence.holds {
            Some(true) => Truth::Holds,
            Some(false) => Truth::Fails,
            None => Truth::Unknown(Unobserved::new(Cause::Missing, format!("{}: could not be told", evidence.source))),
        };
        Self { truth, evidence: vec![evidence] }
    }

    /// It could not be decided.
    #[must_use]
    pub fn unknown(why: Unobserved) -> Self {
        match why.cause {
            Cause::Phase => Self::not_applicable(why.message),
            _ => Self { truth: Truth::Unknown(why), evidence: Vec::new() },
        }
    }

    /// There is nothing to decide about.
    pub fn not_applicable(why: impl Into<String>) -> Self {
        Self { truth: Truth::NotApplicable(why.into()), evidence: Vec::new() }
    }

    /// The word of `judge` about a fact, if there is one.
    pub fn about<T>(fact: &Observed<T>, judge: impl FnOnce(&T) -> Self) -> Self {
        match fact {
            Ok(fact) => judge(fact),
            Err(why) => Self::unknown(why.clone()),
        }
    }

    /// Holds if every one holds. One that fails decides; then one that is unknown. What is not applicable is left out, and if
    /// all are, so is the whole.
    pub fn all(verdicts: impl IntoIterator<Item = Self>) -> Self {
        Self::combine(verdicts, |truths| {
            first(truths, |t| matches!(t, Truth::Fails))
                .or_else(|| first(truths, |t| matches!(t, Truth::Unknown(_))))
                .or_else(|| first(truths, |t| matches!(t, Truth::Holds)))
        })
    }

    /// Holds if one holds. Otherwise one that is unknown decides, then one that is not applicable: what was not looked at might
    /// have held.
    pub fn any(verdicts: impl IntoIterator<Item = Self>) -> Self {
        Self::combine(verdicts, |truths| {
            first(truths, |t| matches!(t, Truth::Holds))
                .or_else(|| first(truths, |t| matches!(t, Truth::Unknown(_))))
                .or_else(|| first(truths, |t| matches!(t, Truth::NotApplicable(_))))
        })
    }

    /// Holds if the other fails. What is not known stays so.
    #[must_use]
    pub fn negated(mut self) -> Self {
        self.truth = match self.truth {
            Truth::Holds => Truth::Fails,
            Truth::Fails => Truth::Holds,
            other => other,
        };
        for evidence in &mut self.evidence {
            evidence.expected = format!("not: {}", evidence.expected);
            evidence.holds = evidence.holds.map(|holds| !holds);
        }
        self
    }

    fn combine(verdicts: impl IntoIterator<Item = Self>, decide: impl FnOnce(&[Truth]) -> Option<Truth>) -> Self {
        let (mut truths, mut evidence) = (Vec::new(), Vec::new());
        for verdict in verdicts {
            truths.push(verdict.truth);
            evidence.extend(verdict.evidence);
        }
        let rest =
            truths.first().cloned().unwrap_or_else(|| Truth::NotApplicable("there is nothing to decide".to_owned()));
        Self { truth: decide(&truths).unwrap_or(rest), evidence }
    }
}

fn first(truths: &[Truth], is: impl Fn(&Truth) -> bool) -> Option<Truth> {
    truths.iter().find(|t| is(t)).cloned()
}

#[cfg(test)]
mod tests;
