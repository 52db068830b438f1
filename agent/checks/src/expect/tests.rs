use super::*;
use crate::verdict::Truth;

fn expect(yaml: &str) -> Expect {
    serde_yaml_ng::from_str(yaml).unwrap()
}

/// What the verdict is on a value: `Some(true)` holds, `Some(false)` fails, `None` is unknown.
fn judged(yaml: &str, value: Option<&Value>) -> Option<bool> {
    let verdict = expect(yaml).judge("x", value);
    assert_eq!(verdict.evidence.len(), 1, "{verdict:?}");
    match verdict.truth {
        Truth::Holds => Some(true),
        Truth::Fails => Some(false),
        Truth::Unknown(_) => None,
        Truth::NotApplicable(why) => panic!("{why}"),
    }
}

fn list(words: &[&str]) -> Value {
    Value::List(words.iter().map(|word| (*word).to_owned()).collect())
}

#[test]
fn values_are_compared_in_their_type() {
    for (yaml, value, expected) in [
        ("is: 2", Value::int(2), Some(true)),
        ("is: 2", Value::int(20), Some(false)),
        ("is: 2", Value::text("2"), None),
        ("is: true", Value::bool(true), Some(true)),
        ("is: true", Value::text("true"), None),
        ("is: 'true'", Value::text("true"), Some(true)),
        ("is: abc", Value::text("abcd"), Some(false)),
        ("is: abc", list(&["abc"]), None),
        ("not: 0", Value::int(1), Some(true)),
        ("not: 0", Value::int(0), Some(false)),
        ("not: 0", Value::text("0s"), None),
        ("one_of: [1, 2]", Value::int(2), Some(true)),
        ("one_of: [1, 2]", Value::int(3), Some(false)),
        ("at_least: 5", Value::int(5), Some(true)),
        ("at_least: 5", Value::int(4), Some(false)),
        ("at_most: 5", Value::int(6), Some(false)),
        ("at_most: 5", Value::text("4"), None),
        ("{at_least: 1, at_most: 4}", Value::int(4), Some(true)),
        ("{at_least: 1, at_most: 4}", Value::int(0), Some(false)),
        ("{at_least: 1, not: 3}", Value::int(3), Some(false)),
    ] {
        assert_eq!(judged(yaml, Some(&value)), expected, "{yaml} {value:?}");
    }
}

/// aquasecurity/kube-bench finds `RSA` in any name that contains it; here a member of a list is a member as a whole.
#[test]
fn members_of_lists_are_compared_as_a_whole() {
    for (yaml, value, expected) in [
        ("subset_of: [a, b]", list(&["a"]), Some(true)),
        ("subset_of: [a, b]", list(&["a", "ab"]), Some(false)),
        ("subset_of: [a, b]", list(&[]), Some(false)),
        ("includes: [a]", list(&["b", "a"]), Some(true)),
        ("includes: [a]", list(&["xa"]), Some(false)),
        ("excludes: [AlwaysAllow]", list(&["Webhook"]), Some(true)),
        ("excludes: [AlwaysAllow]", list(&["Webhook", "AlwaysAllow"]), Some(false)),
        ("excludes: [AlwaysAllow]", list(&["AlwaysAllowed"]), Some(true)),
        ("excludes: [AlwaysAllow]", Value::text("Webhook"), None),
    ] {
        assert_eq!(judged(yaml, Some(&value)), expected, "{yaml} {value:?}");
    }
}

#[test]
fn what_is_not_set_fails_unless_the_policy_says_otherwise() {
    for (yaml, expected) in [
        ("is: 1", false),
        ("not: 1", false),
        ("excludes: [a]", false),
        ("{}", false),
        ("set: true", false),
        ("set: false", true),
        ("{is: 1, or_unset: true}", true),
    ] {
        assert_eq!(judged(yaml, None), Some(expected), "{yaml}");
    }
}

#[test]
fn empty_is_not_set() {
    for value in [Value::text(""), list(&[])] {
        assert_eq!(judged("set: true", Some(&value)), Some(false), "{value:?}");
        assert_eq!(judged("set: false", Some(&value)), Some(true), "{value:?}");
    }
    for value in [Value::int(0), Value::bool(false), Value::text("a"), list(&["a"])] {
        assert_eq!(judged("set: true", Some(&value)), Some(true), "{value:?}");
    }
}

#[test]
fn the_words_say_what_is_wanted() {
    for (yaml, words) in [
        ("is: false", "false"),
        ("{at_least: 1, or_unset: true}", "at least 1, or not set"),
        ("{not: 0}", "not 0"),
        ("one_of: [1, 2]", "one of 1, 2"),
        ("{subset_of: [a, b], includes: [a], excludes: [c]}", "only a, b, with a, without c"),
        ("set: true", "set"),
        ("set: false", "not set"),
        ("at_most: 3", "at most 3"),
    ] {
        assert_eq!(expect(yaml).to_string(), words);
    }
    let verdict = expect("is: 1").judge("the file", None);
    assert_eq!(verdict.evidence[0].observed, "not set");
    let verdict = expect("includes: [a]").judge("the file", Some(&list(&["b", "c"])));
    assert_eq!(verdict.evidence[0].observed, "[b, c]");
    let Truth::Unknown(why) = expect("is: 1").judge("the file", Some(&Value::text("x"))).truth else {
        panic!("unknown")
    };
    assert_eq!(why.message, "the file: x: is of another type than the policy expects");
}

#[test]
fn a_word_without_a_type_becomes_what_the_policy_speaks_of() {
    let number = expect("is: 1");
    for (word, expected) in [
        ("2", 2),
        ("-1", -1),
        ("0", 0),
        ("017", 15),
        ("0x1F", 31),
        ("-0x10", -16),
        ("9223372036854775807", i64::MAX),
        ("-9223372036854775808", i64::MIN),
    ] {
        assert_eq!(number.untyped(word), Value::int(expected), "{word}");
    }
    for word in ["", "-", "0x", "08", "1s", "+1", "--1", "0x-1", " 1", "9223372036854775808", "٣"] {
        assert_eq!(number.untyped(word), Value::text(word), "{word}");
    }
    assert_eq!(expect("is: '1'").untyped("1"), Value::text("1"));
    assert_eq!(expect("at_least: 1").untyped("1"), Value::int(1));
}

#[test]
fn a_member_that_is_not_known_is_refused() {
    assert!(serde_yaml_ng::from_str::<Expect>("equals: 1").is_err());
}

proptest::proptest! {
    #[test]
    fn numbers_are_read_as_they_are_written(number in proptest::num::i64::ANY) {
        proptest::prop_assert_eq!(super::number(&number.to_string()), Some(number));
    }

    #[test]
    fn never_panics(word in ".{0,20}") {
        super::number(&word);
    }
}
