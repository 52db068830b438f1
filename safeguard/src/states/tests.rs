use super::*;

const MIN: i64 = 60_000;
const NOW: i64 = 1_800_000_000_000;
const PERIODS: Periods = Periods { interval_ms: MIN, stale_ms: 45 * MIN, grace_ms: 15 * MIN };

fn well() -> Known {
    Known {
        first_seen_ms: NOW - 1_000 * MIN,
        enrolled: true,
        last_live_ms: Some(NOW - MIN),
        next_due_ms: MIN,
        assessed_ms: Some(NOW - 10 * MIN),
        ..Known::default()
    }
}

fn of(known: &Known) -> State {
    state(known, &PERIODS, 0, NOW).0
}

#[test]
fn alive_assessed_and_without_critical_failures_is_compliant() {
    assert_eq!(state(&well(), &PERIODS, 0, NOW), (State::Compliant, Vec::new()));
}

#[test]
fn each_state_has_its_cause() {
    type Change = fn(&mut Known);
    let cases: [(State, Change); 9] = [
        (State::NeverEnrolled, |k| (k.enrolled, k.last_live_ms) = (false, None)),
        (State::NeverEnrolled, |k| (k.last_live_ms, k.first_seen_ms) = (None, NOW - 14 * MIN)),
        (State::Missing, |k| k.last_live_ms = None),
        (State::Missing, |k| k.last_live_ms = Some(NOW - 3 * MIN - 1)),
        (State::Stale, |k| k.assessed_ms = None),
        (State::Stale, |k| k.assessed_ms = Some(NOW - 45 * MIN - 1)),
        (State::NonCompliant, |k| k.critical = vec!["p/1".to_owned()]),
        (State::Suspect, |k| k.suspicion = Some("two keys".to_owned())),
        (State::Retired, |k| (k.retired, k.suspicion) = (true, Some("two keys".to_owned()))),
    ];
    for (at, (expected, change)) in cases.into_iter().enumerate() {
        let mut known = well();
        change(&mut known);
        let (state, reasons) = state(&known, &PERIODS, 0, NOW);
        assert_eq!(state, expected, "{at}");
        assert!(!reasons.is_empty() && reasons.iter().all(|r| !r.is_empty()), "{at}: a state without a reason");
    }
}

#[test]
fn silence_counts_before_assessment_and_findings() {
    let silent =
        Known { last_live_ms: Some(NOW - 60 * MIN), assessed_ms: None, critical: vec!["p/1".to_owned()], ..well() };
    assert_eq!(of(&silent), State::Missing);
    let unassessed = Known { assessed_ms: Some(NOW - 60 * MIN), critical: vec!["p/1".to_owned()], ..well() };
    assert_eq!(of(&unassessed), State::Stale);
}

#[test]
fn while_we_were_away_nobody_went_missing() {
    let known = Known { last_live_ms: Some(NOW - 60 * MIN), ..well() };
    assert_eq!(state(&known, &PERIODS, NOW - 2 * MIN, NOW).0, State::Compliant);
    assert_eq!(state(&known, &PERIODS, NOW - 4 * MIN, NOW).0, State::Missing);
}

/// Who is paged for a silent node that speaks has to know why that does not count.
#[test]
fn a_node_that_speaks_and_is_missing_says_why() {
    for (late, word) in [
        (Late::Clock(-60 * MIN), "what it says is 60 min old by its clock"),
        (Late::Clock(i64::MAX), "ahead"),
        (Late::Contact, "it repeats no nonce"),
    ] {
        let of = |at| {
            state(&Known { late: Some((late, at)), last_live_ms: Some(NOW - 60 * MIN), ..well() }, &PERIODS, 0, NOW)
        };
        let (state, reasons) = of(NOW - 3 * MIN);
        assert!(state == State::Missing && reasons[1].contains(word), "{reasons:?}");
        assert_eq!(of(NOW - 3 * MIN - 1).1, ["no live beat for 60 min"], "it does not speak any more");
    }
}

#[test]
fn a_node_that_was_told_to_beat_seldom_is_waited_for() {
    let of = |silent, next_due_ms, interval_ms| {
        let known = Known { last_live_ms: Some(NOW - silent), next_due_ms, ..well() };
        state(&known, &Periods { interval_ms, ..PERIODS }, 0, NOW).0
    };
    assert_eq!(of(15 * MIN, 5 * MIN, MIN), State::Compliant);
    assert_eq!(of(15 * MIN + 1, 60 * MIN, MIN), State::Missing, "what it promises is not believed for hours");
    assert_eq!(of(30 * MIN, MIN, 10 * MIN), State::Compliant, "it is asked to speak seldom");
}

#[test]
fn many_reasons_are_counted() {
    let known = Known { critical: (0..16).map(|n| format!("p/{n}")).collect(), critical_more: 4, ..well() };
    let (_, reasons) = state(&known, &PERIODS, 0, NOW);
    assert_eq!((reasons.len(), reasons[7].as_str()), (8, "13 more critical controls fail"));
}

#[test]
fn since_is_when_the_state_came() {
    let first = posture(None, (State::Missing, vec!["no live beat for 4 min".to_owned()]), 100);
    let second = posture(Some(&first), (State::Missing, vec!["no live beat for 5 min".to_owned()]), 200);
    assert_eq!((second.since_ms, second.reasons[0].as_str()), (100, "no live beat for 5 min"));
    assert_eq!(posture(Some(&second), (State::Compliant, Vec::new()), 300).since_ms, 300);
}
