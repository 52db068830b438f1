//! What the instance metadata service answers, as observed from the node and handed in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::facts::Facts;
use crate::observed::{Cause, Unobserved};
use crate::verdict::{Evidence, Verdict};

const SOURCE: &str = "the instance metadata service, asked without a token";

/// What it has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Imds {
    /// A request without a token is refused: IMDSv2 is required.
    RequiresTokens,
}

impl Imds {
    pub(crate) fn judge(self, facts: &Facts<'_>) -> Verdict {
        if let Err(why) = facts.host().live("the instance metadata service") {
            return Verdict::unknown(why);
        }
        let missing = |why: &str| Verdict::unknown(Unobserved::new(Cause::Missing, format!("{SOURCE}: {why}")));
        match &facts.inputs().tokenless_imds {
            None => missing("nobody asked"),
            Some(Err(why)) => missing(why),
            Some(Ok(status @ (200..=299 | 401))) => {
                let Self::RequiresTokens = self;
                Verdict::of(Evidence::new(SOURCE, status.to_string(), "401", *status == 401))
            }
            // 403 is said for more than one reason, and 404 and 5xx are no word on tokens.
            Some(Ok(status)) => missing(&format!("answered {status}, which does not say whether tokens are required")),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::Fixture;

    const REQUIRED: &str = "{imds: requires-tokens}";

    fn answered(answer: Option<Result<u16, String>>) -> Fixture {
        let mut fixture = Fixture::new();
        fixture.inputs.tokenless_imds = answer;
        fixture
    }

    #[test]
    fn a_refusal_for_want_of_a_token_holds_and_an_answer_fails() {
        answered(Some(Ok(401))).holds(REQUIRED);
        let verdict = answered(Some(Ok(200))).fails(REQUIRED);
        assert_eq!(verdict.evidence[0].observed, "200");
    }

    #[test]
    fn no_answer_and_other_answers_are_unknown() {
        answered(None).unknown(REQUIRED);
        let why = answered(Some(Err("no route to host".to_owned()))).unknown(REQUIRED);
        assert!(why.contains("no route to host"), "{why}");
        for status in [0, 302, 403, 404, 500, 503] {
            answered(Some(Ok(status))).unknown(REQUIRED);
        }
    }

    #[test]
    fn a_dead_host_has_none() {
        Fixture::dead().not_applicable(REQUIRED);
    }
}
