use super::*;

fn holds() -> Verdict {
    Verdict::of(Evidence::new("a", "1", "1", true))
}

fn fails() -> Verdict {
    Verdict::of(Evidence::new("b", "1", "2", false))
}

fn unknown() -> Verdict {
    Verdict::unknown(Unobserved::new(Cause::Permission, "c: permission denied"))
}

fn not_applicable() -> Verdict {
    Verdict::not_applicable("d: not there")
}

fn word(verdict: &Verdict) -> &'static str {
    match verdict.truth {
        Truth::Holds => "holds",
        Truth::Fails => "fails",
        Truth::Unknown(_) => "unknown",
        Truth::NotApplicable(_) => "n/a",
    }
}

type Make = fn() -> Verdict;

/// What each pair comes to, in both orders: `all`, then `any`.
#[test]
fn pairs_come_to_what_the_table_says() {
    let table: [(Make, Make, &str, &str); 10] = [
        (holds, holds, "holds", "holds"),
        (holds, fails, "fails", "holds"),
        (holds, unknown, "unknown", "holds"),
        (holds, not_applicable, "holds", "holds"),
        (fails, fails, "fails", "fails"),
        (fails, unknown, "fails", "unknown"),
        (fails, not_applicable, "fails", "n/a"),
        (unknown, unknown, "unknown", "unknown"),
        (unknown, not_applicable, "unknown", "unknown"),
        (not_applicable, not_applicable, "n/a", "n/a"),
    ];
    for (one, other, all, any) in table {
        for pair in [[one(), other()], [other(), one()]] {
            let of = pair.iter().map(word).collect::<Vec<_>>();
            assert_eq!(word(&Verdict::all(pair.clone())), all, "all of {of:?}");
            assert_eq!(word(&Verdict::any(pair.clone())), any, "any of {of:?}");
        }
    }
}

#[test]
fn nothing_at_all_is_not_applicable() {
    assert_eq!(word(&Verdict::all([])), "n/a");
    assert_eq!(word(&Verdict::any([])), "n/a");
}

#[test]
fn the_reason_that_decides_is_the_first_of_its_kind() {
    let other = Verdict::unknown(Unobserved::new(Cause::Parse, "e: line 3"));
    let Truth::Unknown(why) = Verdict::all([holds(), unknown(), other]).truth else { panic!("unknown") };
    assert_eq!(why.message, "c: permission denied");
}

#[test]
fn evidence_is_kept_in_its_order() {
    let verdict = Verdict::all([holds(), unknown(), fails()]);
    assert_eq!(verdict.evidence.iter().map(|e| e.source.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn the_contrary_turns_the_evidence_too_and_leaves_what_is_not_known() {
    let verdict = holds().negated();
    assert_eq!(verdict.truth, Truth::Fails);
    assert_eq!(verdict.evidence[0].expected, "not: 1");
    assert_eq!(verdict.evidence[0].holds, Some(false));
    assert_eq!(word(&fails().negated()), "holds");
    assert_eq!(word(&unknown().negated()), "unknown");
    assert_eq!(word(&not_applicable().negated()), "n/a");
}

#[test]
fn a_fact_that_does_not_exist_in_this_phase_is_not_applicable() {
    let verdict = Verdict::unknown(Unobserved::in_this_phase("the processes"));
    assert_eq!(word(&verdict), "n/a");
}

#[test]
fn a_fact_that_could_not_be_observed_is_never_judged() {
    let why = Unobserved::new(Cause::Io, "f: input/output error");
    let verdict = Verdict::about(&Err::<(), _>(why.clone()), |()| panic!("there is nothing to judge"));
    assert_eq!(verdict.truth, Truth::Unknown(why));
    assert_eq!(word(&Verdict::about(&Ok(1), |_| holds())), "holds");
}

#[test]
fn evidence_that_says_neither_is_unknown() {
    let evidence = Evidence { holds: None, ..Evidence::new("g", "?", "1", true) };
    let verdict = Verdict::of(evidence);
    let Truth::Unknown(why) = &verdict.truth else { panic!("{verdict:?}") };
    assert!(why.message.contains('g'), "{why}");
    assert_eq!(verdict.evidence.len(), 1);
}
