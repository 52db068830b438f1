use proptest::prelude::*;

use super::*;
use crate::policy::Policy;

const GOOD: &str = "\
policy: mine
version: '1'
title: Mine
source: Ours.
controls:
  - id: A-1
    title: One
    level: 1
    assessment: automated
    severity: low
    check:
      all:
        - kubelet: {setting: readOnlyPort, value: {is: 0}}
        - file:
            path: /etc/passwd
            mode: '0644'
    why: Because.
    remedy: chmod
";

#[track_caller]
fn refused(from: &str, to: &str) -> Mistake {
    assert!(GOOD.contains(from), "{from}");
    read::<Policy>(&GOOD.replace(from, to), "mine.yaml").unwrap_err()
}

#[test]
fn what_is_right_is_read() {
    assert_eq!(read::<Policy>(GOOD, "mine.yaml").unwrap().controls.len(), 1);
}

#[test]
fn a_mistake_names_file_line_column_field_and_the_nearest_name() {
    let cases = [
        ("kubelet:", "kubelte:", (13, "controls[0].check.all[0].kubelte"), "unknown variant `kubelte`", "`kubelet`?"),
        (
            "setting:",
            "seting:",
            (13, "controls[0].check.all[0].kubelet.seting"),
            "unknown field `seting`",
            "`setting`?",
        ),
        ("mode: '0644'", "mod: '0644'", (16, "controls[0].check.all[1].file.mod"), "unknown field `mod`", "`mode`?"),
        ("severity: low", "severity: lo", (10, "controls[0].severity"), "unknown variant `lo`", "`low`?"),
        ("level: 1", "level: high", (8, "controls[0].level"), "invalid type: string \"high\"", "u8"),
        ("title: Mine", "tittle: Mine", (3, "tittle"), "unknown field `tittle`", "`title`?"),
        ("    why: Because.\n", "", (6, "controls[0]"), "missing field `why`", "why"),
        ("{is: 0}", "{is: 0, is: 1}", (13, "controls[0].check.all[0].kubelet.value"), "duplicate field `is`", "is"),
    ];
    for (from, to, (line, field), problem, near) in cases {
        let mistake = refused(from, to);
        assert_eq!((mistake.at.map(|at| at.0), mistake.field.as_str()), (Some(line), field), "{to}: {mistake}");
        assert!(mistake.problem.starts_with(problem), "{to}: {mistake}");
        assert!(mistake.problem.ends_with(near) || mistake.problem.contains(near), "{to}: {mistake}");
        assert!(mistake.to_string().starts_with(&format!("mine.yaml:{line}:")), "{mistake}");
        assert!(!mistake.problem.contains(" at line "), "the place is told once: {mistake}");
    }
}

#[test]
fn a_predicate_of_two_kinds_is_refused() {
    let mistake = refused("kubelet: {setting", "swap: {allowed: false}\n          kubelet: {setting");
    assert!(mistake.at.is_some() && mistake.field.starts_with("controls[0].check"), "{mistake}");
}

#[test]
fn what_is_no_yaml_says_where() {
    let mistake = read::<Policy>("policy: mine\nversion: {", "mine.yaml").unwrap_err();
    assert_eq!(mistake.at.map(|at| at.0), Some(2), "{mistake}");
    let mistake = read::<Policy>("", "mine.yaml").unwrap_err();
    assert!(mistake.to_string().starts_with("mine.yaml"), "{mistake}");
}

/// A page of YAML that stands for a billion lines, and brackets in brackets that take the reader minutes.
#[test]
fn what_makes_much_work_of_a_small_file_is_refused_at_once() {
    let refused = |text: &str, line: Option<usize>, problem: &str| {
        let mistake = read::<serde_yaml_ng::Value>(text, "trap.yaml").unwrap_err();
        assert_eq!(mistake.at.map(|at| at.0), line, "{mistake}");
        assert!(mistake.problem.contains(problem), "{mistake}");
    };
    for anchor in ["a: &a x", "&a x", "- &a-1", "[&a x]", "[x,&a y]", "{\"k\":&a x}", "a: !t &a x", "a:\u{85}&a x"] {
        refused(&format!("k: v\n{anchor}"), Some(2), "has an anchor");
    }
    refused(&"%TAG !a! b\n".repeat(3), Some(1), "begins with `%`");
    refused(&("policy: ".to_owned() + &"[".repeat(100_000)), None, "more than 64 brackets open at once");
    refused(&("policy: ".to_owned() + &"[\"]\", ".repeat(50_000)), None, "more than 64 brackets open at once");
    refused(&format!("{GOOD}#{}", "x".repeat(512 << 10)), None, "more than 524288 bytes");
    let nots: String = (0..200).map(|n| "  ".repeat(n) + "not:\n").collect();
    assert!(read::<crate::Predicate>(&nots, "nots.yaml").unwrap_err().problem.contains("recursion limit"));
}

#[test]
fn an_ampersand_in_text_is_no_anchor() {
    for text in ["a: x && y", "a: x & y", "a: R&D", "a: 'b&c'", "a: chmod 0600 x &&chown"] {
        assert!(read::<serde_yaml_ng::Value>(text, "a.yaml").is_ok(), "{text}");
    }
}

#[test]
fn a_flaw_is_placed_where_it_is_or_where_it_is_missing() {
    let key = |name: &'static str| Step::Key(name.into());
    let at = |way: &[Step]| place(GOOD, &Field(way.to_vec()));
    let first = [key("controls"), Step::Index(0)];
    let in_first = |way: &[Step]| at(&[&first[..], way].concat());
    assert_eq!(in_first(&[key("id")]), Some((6, 5)));
    assert_eq!(in_first(&[key("check")]), Some((11, 5)));
    let file = [key("check"), key("all"), Step::Index(1), key("file")];
    assert_eq!(in_first(&file), Some((14, 11)));
    assert_eq!(in_first(&[&file[..], &[key("mode")]].concat()), Some((16, 13)));
    // What is not there is in its parent.
    assert_eq!(in_first(&[key("applies")]), Some((6, 5)));
    assert_eq!(at(&[key("controls"), Step::Index(7)]), Some((6, 3)));
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "[ -~\\n]{0,200}") {
        prop_assert!(read::<Policy>(&text, "any.yaml").is_err());
    }

    #[test]
    fn no_change_of_a_byte_makes_the_reader_panic(at in 0..GOOD.len(), with in "[ -~\\n]") {
        let mut text = GOOD.to_owned();
        text.replace_range(at..=at, &with);
        read::<Policy>(&text, "any.yaml").ok();
    }
}
