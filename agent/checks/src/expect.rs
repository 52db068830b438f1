//! What a policy wants of one value: the tests that every kind of predicate over values shares.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::observed::{Cause, Unobserved};
use crate::verdict::{Evidence, Verdict};

/// A value in a policy or on a host. Never compared by its spelling: `true` is not `"true"` until a fact has said that it is a
/// boolean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Scalar {
    /// A boolean.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Text, compared as a whole.
    Text(String),
}

/// What a value has to be: every member that is given has to hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Exactly this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is: Option<Scalar>,
    /// Anything but this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not: Option<Scalar>,
    /// One of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub one_of: Vec<Scalar>,
    /// A number of at least this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<i64>,
    /// A number of at most this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<i64>,
    /// A list, each member of which is one of these; an empty list fails.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subset_of: Vec<String>,
    /// A list that has each of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub includes: Vec<String>,
    /// A list that has none of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excludes: Vec<String>,
    /// Whether the value is set at all (and not empty).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<bool>,
    /// Whether no value at all is right too. Without it, what is not set fails.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub or_unset: bool,
}

/// A value as a fact gives it, already of its own type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// A boolean, number or text. A duration is a number of seconds.
    Scalar(Scalar),
    /// A list of texts, in its order.
    List(Vec<String>),
}

impl Value {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Scalar(Scalar::Text(text.into()))
    }

    /// A whole number.
    #[must_use]
    pub fn int(number: i64) -> Self {
        Self::Scalar(Scalar::Int(number))
    }

    /// A boolean.
    #[must_use]
    pub fn bool(yes: bool) -> Self {
        Self::Scalar(Scalar::Bool(yes))
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Scalar(Scalar::Text(text)) => text.is_empty(),
            Self::Scalar(_) => false,
            Self::List(list) => list.is_empty(),
        }
    }
}

impl Expect {
    /// What this says of a value that was seen at `source`; `None` is a value that is not set.
    #[must_use]
    pub fn judge(&self, source: impl Into<String>, value: Option<&Value>) -> Verdict {
        let source = source.into();
        let observed = value.map_or_else(|| "not set".to_owned(), Value::to_string);
        match self.holds(value) {
            Ok(holds) => Verdict::of(Evidence::new(source, observed, self.to_string(), holds)),
            Err(problem) => {
                let mut verdict =
                    Verdict::unknown(Unobserved::new(Cause::Parse, format!("{source}: {observed}: {problem}")));
                verdict.evidence = vec![Evidence { source, observed, expected: self.to_string(), holds: None }];
                verdict
            }
        }
    }

    /// The word of a source that has no types, such as the kernel, in the type that this speaks of: text where it asks for
    /// text, otherwise a number where it is one.
    pub(crate) fn untyped(&self, word: &str) -> Value {
        let wanted = self.is.iter().chain(&self.not).chain(&self.one_of);
        let wants_text = wanted.into_iter().any(|w| matches!(w, Scalar::Text(_)));
        let number = if wants_text { None } else { number(word) };
        number.map_or_else(|| Value::text(word), Value::int)
    }

    fn holds(&self, value: Option<&Value>) -> Result<bool, &'static str> {
        let Some(value) = value else {
            return Ok(self.or_unset || self.set == Some(false));
        };
        if let Some(set) = self.set
            && set == value.is_empty()
        {
            return Ok(false);
        }
        Ok(self.scalar_holds(value)? && self.number_holds(value)? && self.list_holds(value)?)
    }

    fn scalar_holds(&self, value: &Value) -> Result<bool, &'static str> {
        if self.is.is_none() && self.not.is_none() && self.one_of.is_empty() {
            return Ok(true);
        }
        let Value::Scalar(value) = value else {
            return Err("is a list where one value was expected");
        };
        let wanted = self.is.iter().chain(&self.not).chain(&self.one_of);
        if wanted.into_iter().any(|w| std::mem::discriminant(w) != std::mem::discriminant(value)) {
            return Err("is of another type than the policy expects");
        }
        Ok(self.is.as_ref().is_none_or(|w| w == value)
            && self.not.as_ref().is_none_or(|w| w != value)
            && (self.one_of.is_empty() || self.one_of.contains(value)))
    }

    fn number_holds(&self, value: &Value) -> Result<bool, &'static str> {
        if self.at_least.is_none() && self.at_most.is_none() {
            return Ok(true);
        }
        let Value::Scalar(Scalar::Int(value)) = value else {
            return Err("is no number");
        };
        Ok(self.at_least.is_none_or(|least| *value >= least) && self.at_most.is_none_or(|most| *value <= most))
    }

    fn list_holds(&self, value: &Value) -> Result<bool, &'static str> {
        if self.subset_of.is_empty() && self.includes.is_empty() && self.excludes.is_empty() {
            return Ok(true);
        }
        let Value::List(value) = value else {
            return Err("is no list");
        };
        Ok((self.subset_of.is_empty() || (!value.is_empty() && value.iter().all(|v| self.subset_of.contains(v))))
            && self.includes.iter().all(|wanted| value.contains(wanted))
            && !self.excludes.iter().any(|bad| value.contains(bad)))
    }
}

/// A number as the kernel reads one (`kstrtoint` with base 0): `0x1f` and `017` are numbers too.
fn number(word: &str) -> Option<i64> {
    let (sign, digits) = word.strip_prefix('-').map_or(("", word), |digits| ("-", digits));
    let (digits, base) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None => (digits, if digits.len() > 1 && digits.starts_with('0') { 8 } else { 10 }),
    };
    let all_digits = !digits.is_empty() && digits.chars().all(|c| c.is_digit(base));
    all_digits.then(|| i64::from_str_radix(&format!("{sign}{digits}"), base).ok()).flatten()
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(yes) => write!(f, "{yes}"),
            Self::Int(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "{text}"),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scalar(value) => write!(f, "{value}"),
            Self::List(list) => write!(f, "[{}]", list.join(", ")),
        }
    }
}

/// In words, such as `false` or `at least 1, or not set`.
impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scalars = |list: &[Scalar]| list.iter().map(Scalar::to_string).collect::<Vec<_>>().join(", ");
        let mut parts = Vec::new();
        parts.extend(self.is.as_ref().map(Scalar::to_string));
        parts.extend(self.not.as_ref().map(|v| format!("not {v}")));
        parts.extend((!self.one_of.is_empty()).then(|| format!("one of {}", scalars(&self.one_of))));
        parts.extend(self.at_least.map(|v| format!("at least {v}")));
        parts.extend(self.at_most.map(|v| format!("at most {v}")));
        parts.extend((!self.subset_of.is_empty()).then(|| format!("only {}", self.subset_of.join(", "))));
        parts.extend((!self.includes.is_empty()).then(|| format!("with {}", self.includes.join(", "))));
        parts.extend((!self.excludes.is_empty()).then(|| format!("without {}", self.excludes.join(", "))));
        parts.extend(self.set.map(|set| if set { "set" } else { "not set" }.to_owned()));
        f.write_str(&parts.join(", "))?;
        if self.or_unset { f.write_str(", or not set") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
