//! What is asked for in an address: bounded, and nothing that is not known.

use safeguard_protocol::State;

use super::Problem;
use crate::store::read::{Cursor, Filter, Which};

/// The longest query, in bytes.
const LONGEST: usize = 8_192;
/// The longest value, in characters; a cursor may be longer.
const VALUE: usize = 300;

/// Names of [`Filter`].
pub(crate) const FILTER: [&str; 6] = ["tenant", "cluster", "group", "policy", "state", "text"];

/// The names and values of an address.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    pairs: Vec<(String, String)>,
}

impl Asked {
    /// Reads a query. Names that are not among those of a filter and `more` are refused, and so is a name that comes twice: what a
    /// misspelt limit does not limit would look like an answer.
    pub(crate) fn read(query: Option<&str>, more: &[&str]) -> Result<Self, Problem> {
        let query = query.unwrap_or_default();
        if query.len() > LONGEST {
            return Err(Problem::bad("the query is longer than 8192 bytes"));
        }
        let mut pairs: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let known = FILTER.iter().chain(more).find(|known| **known == name);
            let known = known.ok_or_else(|| Problem::bad(format!("{:?} is not known here", shortened(&name))))?;
            if pairs.iter().any(|(other, _)| other == known) {
                return Err(Problem::bad(format!("`{known}` is given twice")));
            }
            if *known != "after" && value.chars().count() > VALUE {
                return Err(Problem::bad(format!("`{known}` is longer than {VALUE} characters")));
            }
            if value.contains('\0') {
                return Err(Problem::bad(format!("`{known}` has a NUL in it")));
            }
            pairs.push(((*known).to_owned(), value.into_owned()));
        }
        Ok(Self { pairs })
    }

    /// The value of a name; an empty one counts as none, as forms send it.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.pairs.iter().find(|(each, _)| each == name)?;
        Some(found.1.as_str()).filter(|value| !value.is_empty())
    }

    pub(crate) fn filter(&self) -> Result<Filter, Problem> {
        let of = |name| self.get(name).map(str::to_owned);
        let state = match self.get("state") {
            None => None,
            Some(text) => Some(State::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(|| {
                let all: Vec<&str> = State::ALL.iter().map(|state| state.as_str()).collect();
                Problem::bad(format!("`state` is one of {}", all.join(", ")))
            })?),
        };
        let (tenant, cluster, group) = (of("tenant"), of("cluster"), of("group"));
        Ok(Filter { tenant, cluster, group, policy: of("policy"), state, text: of("text") })
    }

    pub(crate) fn which(&self) -> Result<Which, Problem> {
        let verdict = self.get("verdict").map(str::to_owned);
        if verdict.as_deref().is_some_and(|verdict| !VERDICTS.contains(&verdict)) {
            return Err(Problem::bad(format!("`verdict` is one of {}", VERDICTS.join(", "))));
        }
        Ok(Which { control: self.get("control").map(str::to_owned), verdict })
    }

    pub(crate) fn after(&self) -> Result<Option<Cursor>, Problem> {
        let read = |text| {
            Cursor::read(text).ok_or_else(|| {
                Problem::missing("`after` is no place in this list: it is the `next` of the part before")
            })
        };
        self.get("after").map(read).transpose()
    }

    /// The value of a name that no form sends: an empty one is a value too.
    pub(crate) fn given(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(each, _)| each == name).map(|(_, value)| value.as_str())
    }

    /// How many items are wanted: 1 to 500, or 100 if nothing is said.
    pub(crate) fn limit(&self) -> Result<u32, Problem> {
        let Some(text) = self.given("limit") else { return Ok(100) };
        let limit = text.parse().ok().filter(|limit| (1..=500).contains(limit));
        limit.ok_or_else(|| Problem::bad("`limit` is a number from 1 to 500"))
    }
}

/// Verdicts that a finding can have.
pub(crate) const VERDICTS: [&str; 4] = ["fail", "unknown", "excepted", "manual"];

fn shortened(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_twice_too_long_or_makes_no_sense_is_refused() {
        let long = format!("text={}", "x".repeat(301));
        let longer = format!("after={}", "x".repeat(9_000));
        for wrong in ["staet=missing", "state=a&state=b", long.as_str(), longer.as_str(), "text=%00"] {
            assert_eq!(Asked::read(Some(wrong), &["after"]).unwrap_err().status, 400, "{wrong}");
        }
        for wrong in ["state=there", "verdict=maybe", "limit=", "limit=0", "limit=501", "limit=x", "after=x"] {
            let asked = Asked::read(Some(wrong), &["after", "limit", "verdict"]).unwrap();
            let refused =
                asked.filter().is_err() || asked.which().is_err() || asked.limit().is_err() || asked.after().is_err();
            assert!(refused, "{wrong}");
        }
    }

    #[test]
    fn what_is_empty_is_not_asked_for() {
        let asked = Asked::read(Some("state=&cluster=a%26b&text="), &[]).unwrap();
        let cluster = Some("a&b".to_owned());
        assert_eq!(asked.filter().unwrap(), Filter { cluster, ..Filter::default() });
        assert_eq!(Asked::read(None, &[]).unwrap().limit().unwrap(), 100);
    }
}
