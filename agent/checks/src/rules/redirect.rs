//! The redirect of the metadata proxy, as its timer last wrote it to `/run/safeguard/redirect.json`.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::facts::Facts;
use crate::observed::{Cause, Unobserved};
use crate::verdict::{Evidence, Verdict};

/// What the timer writes. The format is the proxy's; that crate is not named here, because the agent does not depend on it.
const STATE: &str = "/run/safeguard/redirect.json";

/// The last version of the format that is known here.
const VERSION: u32 = 1;

/// How far ahead of this clock a state may be dated, in milliseconds: as far as the proxy lets it be. Both clocks are one.
const AHEAD_MS: i64 = 5_000;

/// Most problems that a person is shown.
const MAX_SHOWN: usize = 3;

const EXPECTED: &str = "whole at the last check";

/// What it has to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Redirect {
    /// The last check found the redirect whole, and is at most so many seconds old.
    pub max_age_seconds: u32,
}

impl Redirect {
    pub(crate) fn judge(&self, facts: &Facts<'_>) -> Verdict {
        if let Err(why) = facts.host().live("the redirect of the metadata proxy") {
            return Verdict::unknown(why);
        }
        match facts.host().text(Path::new(STATE)) {
            Err(why) => Verdict::unknown(why),
            Ok(None) => Verdict::of(Evidence::new(STATE, "not there: no redirect on this node", EXPECTED, false)),
            Ok(Some(text)) => match parse(&text) {
                Ok(state) => self.about(&state, facts.now_ms()),
                Err(problem) => Verdict::unknown(Unobserved::file(Path::new(STATE), &problem)),
            },
        }
    }

    fn about(&self, state: &State, now_ms: i64) -> Verdict {
        let age_ms = now_ms.saturating_sub(state.at_ms);
        if age_ms < -AHEAD_MS {
            let why = format!("{STATE}: is dated in the future, so the clock was set back and its age is not known");
            return Verdict::unknown(Unobserved::new(Cause::Missing, why));
        }
        let age = age_ms.max(0) / 1000;
        if age_ms > i64::from(self.max_age_seconds) * 1000 {
            let at_most = self.max_age_seconds;
            let why = format!("{STATE}: is {age} s old, of at most {at_most} s; the timer that checks does not run");
            return Verdict::unknown(Unobserved::new(Cause::Missing, why));
        }
        let mut observed = format!("{} {age} s ago", if state.ok { "whole" } else { "not whole" });
        for problem in state.problems.iter().take(MAX_SHOWN) {
            observed = format!("{observed}; {}: {}", problem.layer, problem.text);
        }
        Verdict::of(Evidence::new(STATE, observed, EXPECTED, state.ok))
    }
}

/// What is read of the state: the part that the proxy promises to other programs.
#[derive(Debug, Deserialize)]
struct State {
    ok: bool,
    at_ms: i64,
    problems: Vec<Problem>,
}

/// Something that was not as it should be.
#[derive(Debug, Deserialize)]
struct Problem {
    layer: String,
    text: String,
}

/// The version first: of a later one nothing else can be relied on.
#[derive(Debug, Deserialize)]
struct Dated {
    version: u32,
}

fn parse(text: &str) -> Result<State, String> {
    let dated: Dated = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if dated.version > VERSION {
        return Err(format!("has version {}, and {VERSION} is the last that is known here", dated.version));
    }
    serde_json::from_str(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;

    const WHOLE: &str = "{redirect: {max_age_seconds: 180}}";
    const NOW_MS: i64 = 1_700_000_100_000;

    /// A node whose timer wrote this so many seconds ago.
    fn written(ok: bool, seconds_ago: i64) -> Fixture {
        let mut fixture = Fixture::new();
        fixture.inputs.now_ms = NOW_MS;
        let problems = if ok { "" } else { r#"{"layer": "table", "text": "it is gone"}"# };
        let at_ms = NOW_MS - seconds_ago * 1000;
        fixture.file(
            STATE,
            format!(
                r#"{{"version": 1, "ok": {ok}, "generation": 7, "at_ms": {at_ms}, "problems": [{problems}],
                "layers": {{"address": "holds", "table": "broken", "routing": "holds", "probe": "unknown"}},
                "ipv6": "refused", "mended": [], "warnings": [], "probes": []}}"#
            ),
        );
        fixture
    }

    #[test]
    fn a_redirect_that_was_whole_a_moment_ago_holds() {
        let verdict = written(true, 59).holds(WHOLE);
        assert_eq!(verdict.evidence[0].observed, "whole 59 s ago");
        written(true, 180).holds(WHOLE);
        written(true, -4).holds(WHOLE);
    }

    #[test]
    fn a_redirect_that_is_not_whole_fails_with_the_reasons() {
        let verdict = written(false, 10).fails(WHOLE);
        assert_eq!(verdict.evidence[0].observed, "not whole 10 s ago; table: it is gone");
    }

    #[test]
    fn no_redirect_fails() {
        let verdict = Fixture::new().fails(WHOLE);
        assert!(verdict.evidence[0].observed.contains("no redirect on this node"));
    }

    #[test]
    fn what_is_old_or_dated_ahead_is_unknown() {
        let why = written(true, 181).unknown(WHOLE);
        assert!(why.contains("181 s old"), "{why}");
        written(false, 10_000).unknown(WHOLE);
        let why = written(true, -6).unknown(WHOLE);
        assert!(why.contains("future"), "{why}");
        let mut fixture = written(true, 0);
        fixture.inputs.now_ms = i64::MIN;
        fixture.unknown(WHOLE);
        fixture.inputs.now_ms = i64::MAX;
        fixture.unknown(WHOLE);
    }

    #[test]
    fn a_state_that_makes_no_sense_is_unknown() {
        for text in [
            "",
            "{",
            "[]",
            r#"{"version": 1, "ok": true}"#,
            r#"{"version": 1, "ok": "true", "at_ms": 1, "problems": []}"#,
        ] {
            let why = Fixture::new().file(STATE, text).unknown(WHOLE);
            assert!(why.contains(STATE), "{why}");
        }
        let why = Fixture::new().file(STATE, r#"{"version": 2, "ok": true}"#).unknown(WHOLE);
        assert!(why.contains("version 2"), "{why}");
    }

    #[test]
    fn a_dead_host_has_none() {
        let fixture = Fixture::dead();
        fixture.file(STATE, "{}").not_applicable(WHOLE);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in ".{0,100}") {
            parse(&text).ok();
        }
    }
}
