use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const NOW: i64 = 1_800_000_000_000;
const MINUTE: i64 = 60_000;
const SEEN: Seen = Seen { now_ms: NOW, contact_ms: Some(NOW - MINUTE), due_ms: MINUTE };

fn beat(sequence: u64, previous: Option<Digest>, made_at_ms: i64) -> Beat {
    Beat {
        sequence,
        previous,
        boot_id: "b".to_owned(),
        made_at_ms,
        uptime_ms: 0,
        clock_offset_ms: None,
        server_nonce: None,
        next_due_s: 60,
    }
}

fn digest(n: u64) -> Digest {
    Digest::of(&n.to_be_bytes())
}

/// After so many beats that came in order.
fn after(n: u64) -> Chain {
    Chain { sequence: n, last: (n > 0).then(|| digest(n)) }
}

fn newest(gap: Option<(u64, u64)>) -> Place {
    Place::Newest { gap, forked: false, late: None }
}

#[test]
fn beats_in_order_are_live() {
    assert_eq!(after(0).place(&beat(1, None, NOW), &digest(1), &SEEN, |_| None), newest(None));
    assert_eq!(after(7).place(&beat(8, Some(digest(7)), NOW), &digest(8), &SEEN, |_| None), newest(None));
}

#[test]
fn what_is_skipped_is_named() {
    assert_eq!(after(7).place(&beat(11, Some(digest(10)), NOW), &digest(11), &SEEN, |_| None), newest(Some((8, 10))));
}

#[test]
fn another_past_is_seen() {
    let place = after(7).place(&beat(8, Some(digest(70)), NOW), &digest(8), &SEEN, |_| None);
    assert_eq!(place, Place::Newest { gap: None, forked: true, late: None });
    let place = after(7).place(&beat(8, None, NOW), &digest(8), &SEEN, |_| None);
    assert!(matches!(place, Place::Newest { forked: true, .. }));
}

#[test]
fn a_clock_that_is_off_by_an_hour_tells_nothing_of_now() {
    for off in [-3_600_000, 3_600_000, -5 * MINUTE - 1, 5 * MINUTE + 1, i64::MIN, i64::MAX] {
        let made = NOW.saturating_add(off);
        let place = after(7).place(&beat(8, Some(digest(7)), made), &digest(8), &SEEN, |_| None);
        let late = Some(Late::Clock(made.saturating_sub(NOW)));
        assert_eq!(place, Place::Newest { gap: None, forked: false, late }, "{made}");
    }
}

#[test]
fn what_repeats_no_nonce_of_late_tells_nothing_of_now() {
    let late = |contact_ms, due_ms| {
        let seen = Seen { now_ms: NOW, contact_ms, due_ms };
        match after(7).place(&beat(8, Some(digest(7)), NOW), &digest(8), &seen, |_| None) {
            Place::Newest { late, .. } => late,
            other => panic!("{other:?}"),
        }
    };
    for (ago, due) in [(6 * MINUTE, MINUTE), (65 * MINUTE, 60 * MINUTE), (-6 * MINUTE, MINUTE)] {
        assert_eq!(late(Some(NOW - ago), due), None, "{ago} {due}");
    }
    for (ago, due) in [(6 * MINUTE + 1, MINUTE), (65 * MINUTE + 1, 60 * MINUTE), (-6 * MINUTE - 1, MINUTE)] {
        assert_eq!(late(Some(NOW - ago), due), Some(Late::Contact), "{ago} {due}");
    }
    for never in [None, Some(i64::MIN), Some(i64::MAX)] {
        assert_eq!(late(never, MINUTE), Some(Late::Contact));
    }
}

proptest! {
    /// Beats in any order, some of them twice: each number is taken once, and the gaps that stay are those that never came.
    #[test]
    fn in_any_order_each_is_taken_once(order in proptest::collection::vec(1..40_u64, 1..200)) {
        let (mut chain, mut stored, mut open) = (Chain::default(), BTreeMap::new(), std::collections::BTreeSet::new());
        for n in &order {
            let statement = beat(*n, (*n > 1).then(|| digest(n - 1)), NOW);
            let place = chain.place(&statement, &digest(*n), &SEEN, |n| stored.get(&n).copied());
            match place {
                Place::Newest { gap, forked, .. } => {
                    prop_assert!(!forked);
                    open.extend(gap.into_iter().flat_map(|(first, last)| first..=last));
                    chain = Chain { sequence: *n, last: Some(digest(*n)) };
                }
                Place::Older => prop_assert!(open.remove(n)),
                Place::Duplicate => prop_assert!(stored.contains_key(n)),
                Place::Reused => prop_assert!(false, "{n} was taken for another"),
            }
            stored.insert(*n, short(&digest(*n)));
        }
        let most = order.iter().max().copied().unwrap_or(0);
        let never: std::collections::BTreeSet<u64> = (1..=most).filter(|n| !order.contains(n)).collect();
        prop_assert_eq!(open, never);
    }
}
