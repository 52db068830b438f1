//! Pure: the state of a node, from what is known of it and the time.
//!
//! Two clocks run beside each other: when the node was last heard, and when it was last assessed. A node that beats and does
//! not look at itself goes stale; one that looks and does not beat goes missing.

use safeguard_protocol::{Posture, State, limits};

use crate::chain::Late;
use crate::expected::InstanceState;

/// Reasons that are told.
const REASONS: usize = 8;

/// What the operator decided, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Periods {
    /// Between beats.
    pub interval_ms: i64,
    /// An assessment that is older makes a node stale.
    pub stale_ms: i64,
    /// How long an instance may take from its launch to its first beat.
    pub grace_ms: i64,
}

/// What is known of a node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known {
    /// When it was first heard of.
    pub first_seen_ms: i64,
    /// Whether it ever enrolled.
    pub enrolled: bool,
    /// Its last live beat, by our clock.
    pub last_live_ms: Option<i64>,
    /// Why its newest beat tells nothing of now, if it does not, and when that came. Not kept over a restart: the next one tells it
    /// again.
    pub late: Option<(Late, i64)>,
    /// When its next beat is due, after the last one.
    pub next_due_ms: i64,
    /// When its last assessment ended, by its clock, and not later than now by ours.
    pub assessed_ms: Option<i64>,
    /// Critical controls that fail, and how many more there are.
    pub critical: Vec<String>,
    /// Those that are not named.
    pub critical_more: u32,
    /// Why it is not believed.
    pub suspicion: Option<String>,
    /// The last reason that an operator looked into and found nothing in.
    pub acquitted: Option<String>,
    /// Whether its instance is gone.
    pub retired: bool,
    /// What EC2 says that its instance is doing, where EC2 is asked.
    pub instance: Option<InstanceState>,
}

/// The state now. `alive_since_ms` is since when we listen without interruption: silence before was ours.
#[must_use]
pub fn state(known: &Known, periods: &Periods, alive_since_ms: i64, now_ms: i64) -> (State, Vec<String>) {
    if known.retired {
        return (State::Retired, vec!["its instance is terminated".to_owned()]);
    }
    if let Some(why) = &known.suspicion {
        return (State::Suspect, vec![why.clone()]);
    }
    let Some(last) = known.last_live_ms else {
        let silent = now_ms - known.first_seen_ms.max(alive_since_ms);
        let word = if known.enrolled { "it enrolled and has sent no beat in time" } else { "it has never enrolled" };
        let since = if silent > periods.grace_ms {
            format!("{word}, {} after it was first seen", words(silent))
        } else {
            format!("{word} yet")
        };
        let state = if known.enrolled && silent > periods.grace_ms { State::Missing } else { State::NeverEnrolled };
        return (state, [since].into_iter().chain(late(known, periods, now_ms)).chain(instance(known)).collect());
    };
    let silent = now_ms - last.max(alive_since_ms);
    if silent > patience_ms(known, periods) {
        let silence = format!("no live beat for {}", words(now_ms - last));
        return (
            State::Missing,
            [silence].into_iter().chain(late(known, periods, now_ms)).chain(instance(known)).collect(),
        );
    }
    match known.assessed_ms {
        None => return (State::Stale, vec!["it has not been assessed yet".to_owned()]),
        Some(at) if now_ms - at > periods.stale_ms => {
            return (State::Stale, vec![format!("its last assessment is {} old", words(now_ms - at))]);
        }
        Some(_) => {}
    }
    if known.critical.is_empty() && known.critical_more == 0 {
        return (State::Compliant, Vec::new());
    }
    let mut reasons: Vec<String> =
        known.critical.iter().take(REASONS - 1).map(|control| format!("critical control {control} fails")).collect();
    let more = known.critical.len().saturating_sub(reasons.len()) + usize::try_from(known.critical_more).unwrap_or(0);
    if more > 0 {
        reasons.push(format!("{more} more critical controls fail"));
    }
    (State::NonCompliant, reasons)
}

/// The posture after a look: since when, too. A reason that only tells a longer time is no change.
#[must_use]
pub fn posture(before: Option<&Posture>, (state, reasons): (State, Vec<String>), now_ms: i64) -> Posture {
    let since_ms = before.filter(|before| before.state == state).map_or(now_ms, |before| before.since_ms);
    Posture { state, since_ms, reasons }
}

/// How long after a beat the next is waited for, in milliseconds: what the node promised, if that is between what it is asked and
/// five minutes. A node cannot promise itself hours of silence.
#[must_use]
pub fn due_ms(next_due_ms: i64, periods: &Periods) -> i64 {
    let most = i64::from(limits::PROMISE_SECONDS) * 1_000;
    next_due_ms.clamp(periods.interval_ms, periods.interval_ms.max(most))
}

/// How long a node may be silent, in milliseconds: three intervals.
fn patience_ms(known: &Known, periods: &Periods) -> i64 {
    3 * due_ms(known.next_due_ms, periods)
}

/// Why a node that speaks counts as silent, if it spoke lately.
fn late(known: &Known, periods: &Periods, now_ms: i64) -> Option<String> {
    let (late, _) = known.late.filter(|(_, at_ms)| now_ms - at_ms <= patience_ms(known, periods))?;
    Some(match late {
        Late::Clock(off) if off > 0 => format!("it speaks, but its clock is {} ahead", words(off)),
        Late::Clock(off) => {
            let old = words(off.saturating_abs());
            format!("it speaks, but what it says is {old} old by its clock: that is behind, or it waited")
        }
        Late::Contact => {
            "it speaks, but what it says may have been signed long before: it repeats no nonce that it was given lately"
                .to_owned()
        }
    })
}

/// What EC2 says of the instance of a silent node.
fn instance(known: &Known) -> Option<String> {
    known.instance.map(|state| format!("EC2 says that its instance is {}", state.as_str()))
}

/// A duration in words: the two largest units.
fn words(ms: i64) -> String {
    let s = ms.max(0) / 1000;
    match s {
        0..=119 => format!("{s} s"),
        120..=7_199 => format!("{} min", s / 60),
        7_200..=172_799 => format!("{} h", s / 3_600),
        _ => format!("{} days", s / 86_400),
    }
}

#[cfg(test)]
mod tests;
