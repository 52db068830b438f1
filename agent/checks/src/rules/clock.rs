//! The host's clock against its time source, as what keeps it in step tells, handed in as an input.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::facts::Facts;
use crate::observed::{Cause, Unobserved};
use crate::verdict::{Evidence, Verdict};

const SOURCE: &str = "the clock (chronyc tracking)";

/// What the clock has to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Clock {
    /// What keeps the clock says that it is in step with a source, and off by at most so many milliseconds.
    pub max_error_ms: u32,
}

impl Clock {
    pub(crate) fn judge(&self, facts: &Facts<'_>) -> Verdict {
        if let Err(why) = facts.host().live("the clock") {
            return Verdict::unknown(why);
        }
        let missing = |why: &str| Verdict::unknown(Unobserved::new(Cause::Missing, format!("{SOURCE}: {why}")));
        match &facts.inputs().clock {
            None => missing("nobody asked"),
            Some(Err(why)) => missing(why),
            Some(Ok(clock)) => {
                let at_most = i64::from(self.max_error_ms) * 1000;
                let holds = clock.synchronized && (0..=at_most).contains(&clock.max_error_us);
                let kept = if clock.synchronized { "synchronized" } else { "not synchronized" };
                let observed = format!("{kept}, at most {} ms off", clock.max_error_us / 1000);
                let expected = format!("synchronized, at most {} ms off", self.max_error_ms);
                Verdict::of(Evidence::new(SOURCE, observed, expected, holds))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::evaluate::ClockState;
    use crate::fixture::Fixture;

    const IN_STEP: &str = "{clock: {max_error_ms: 100}}";

    fn said(clock: Option<Result<ClockState, String>>) -> Fixture {
        let mut fixture = Fixture::new();
        fixture.inputs.clock = clock;
        fixture
    }

    fn state(synchronized: bool, max_error_us: i64) -> Fixture {
        said(Some(Ok(ClockState { synchronized, max_error_us })))
    }

    #[test]
    fn a_clock_that_is_kept_in_step_and_near_holds() {
        let verdict = state(true, 100_000).holds(IN_STEP);
        assert_eq!(verdict.evidence[0].observed, "synchronized, at most 100 ms off");
        state(true, 0).holds(IN_STEP);
    }

    #[test]
    fn a_clock_that_nobody_keeps_or_that_is_far_off_fails() {
        state(false, 0).fails(IN_STEP);
        state(true, 100_001).fails(IN_STEP);
        state(true, -1).fails(IN_STEP);
        state(true, i64::MAX).fails(IN_STEP);
    }

    #[test]
    fn a_clock_that_nobody_asked_is_unknown() {
        said(None).unknown(IN_STEP);
        let why = said(Some(Err("chronyd refused".to_owned()))).unknown(IN_STEP);
        assert!(why.contains("refused"), "{why}");
        Fixture::dead().not_applicable(IN_STEP);
    }
}
