use crate::Mistake;
use crate::policy::load;

/// A policy of one control, whose fields a test changes.
fn with(change: &[(&str, &str)]) -> String {
    let mut text = "\
policy: mine
version: '1'
title: Mine
source: Ours.
sections: [{id: A, title: First}]
controls:
  - id: A-1
    title: One
    level: 1
    assessment: automated
    severity: low
    check: {swap: {allowed: false}}
    why: Because.
    remedy: swapoff
    hipaa: [164.312(b)]
"
    .to_owned();
    for (from, to) in change {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    text
}

#[track_caller]
fn flaw(from: &str, to: &str) -> Mistake {
    let mut mistakes = load(&with(&[(from, to)]), "mine.yaml").unwrap_err();
    assert_eq!(mistakes.len(), 1, "{to}: {mistakes:#?}");
    mistakes.remove(0)
}

#[test]
fn what_is_right_has_no_flaw() {
    load(&with(&[]), "mine.yaml").unwrap();
}

#[test]
fn a_flaw_of_a_control_names_line_and_field() {
    let cases = [
        ("title: One", "title: ' '", 8, "title", "is empty"),
        ("title: One", &format!("title: {}", "x".repeat(121)), 8, "title", "at most 120 characters"),
        ("level: 1", "level: 0", 9, "level", "is 0, and levels are 1 and 2"),
        ("    check: {swap: {allowed: false}}\n", "", 7, "check", "is missing, and the control is automated"),
        ("why: Because.", "why: ''", 13, "why", "is empty"),
        ("remedy: swapoff", "remedy: ''", 14, "remedy", "is empty"),
        ("164.312(b)", "164.312(g)", 15, "hipaa[0]", "is no paragraph of the Security Rule; did you mean `164.312("),
        ("[164.312(b)]", "[164.312(b), 164.312(b)]", 15, "hipaa[1]", "is there twice"),
        ("remedy: swapoff", "remedy: swapoff\n    conflicts: ''", 15, "conflicts", "leave it out"),
    ];
    for (from, to, line, field, problem) in cases {
        let mistake = flaw(from, to);
        assert_eq!(mistake.field, format!("controls[0].{field}"), "{mistake}");
        assert_eq!(mistake.at.map(|at| at.0), Some(line), "{mistake}");
        assert!(mistake.problem.contains(problem), "{mistake}");
    }
}

#[test]
fn ids_are_plain_known_by_a_section_and_there_once() {
    assert!(flaw("policy: mine", "policy: Mine").problem.contains("is no id"));
    assert!(flaw("policy: mine", "policy: mine..1").problem.contains("is no id"));
    assert!(flaw("policy: mine", &format!("policy: {}", "m".repeat(65))).problem.contains("is no id"));
    assert!(flaw("id: A-1", "id: A-1_x").problem.contains("is no id"));
    let elsewhere = load(&with(&[("id: A-1", "id: AB-1")]), "mine.yaml").unwrap_err();
    assert!(
        elsewhere.iter().any(|m| m.field == "controls[0].id" && m.problem.contains("is in no section")),
        "{elsewhere:?}"
    );
    assert!(elsewhere.iter().any(|m| m.field == "sections[0].id" && m.problem.contains("no control")), "{elsewhere:?}");
    let second = "  - {id: A-1, title: T, level: 2, assessment: manual, severity: low, why: W, remedy: R}\n";
    let twice = load(&(with(&[]) + second), "mine.yaml").unwrap_err();
    assert_eq!(twice[0].to_string(), "mine.yaml:16:6: controls[1].id: there are two controls `A-1`");
    assert!(
        flaw("[{id: A, title: First}]", "[{id: A, title: First}, {id: A, title: Again}]")
            .problem
            .contains("two sections")
    );
    let none = load("policy: mine\nversion: '1'\ntitle: T\nsource: S\ncontrols: []\n", "mine.yaml").unwrap_err();
    assert!(none[0].problem.contains("between 1 and 1000 controls"), "{none:?}");
}

/// What asks nothing would hold on every host; what contradicts itself on none.
#[test]
fn a_predicate_that_says_nothing_is_a_flaw() {
    let cases = [
        ("all: []", "all", "asks nothing"),
        ("any: [{not: {any: []}}]", "any[0].not.any", "asks nothing"),
        ("kubelet: {setting: readOnlyPort, value: {}}", "kubelet.value", "asks nothing of the value"),
        ("kubelet: {setting: readOnlyPort, value: {or_unset: true}}", "kubelet.value", "asks nothing of the value"),
        ("kubelet: {setting: readOnlyPort, value: {at_least: 3, at_most: 2}}", "kubelet.value", "no number"),
        ("kubelet: {setting: readOnlyPort, value: {set: false, is: 0}}", "kubelet.value.set", "no value"),
        (
            "kubelet: {setting: readOnlyPort, value: {set: true, or_unset: true}}",
            "kubelet.value.or_unset",
            "contradicts",
        ),
        ("kubelet: {setting: 'read only', value: {is: 0}}", "kubelet.setting", "no setting `read only`"),
        ("kubelet: {setting: readOnlyport, value: {is: 0}}", "kubelet.setting", "no setting `readOnlyport`"),
        ("kubelet: {setting: '--nonsense', value: {set: true}}", "kubelet.setting", "no setting `--nonsense`"),
        ("file: {path: /a}", "file", "asks nothing of the file"),
        ("file: {mode: '0600'}", "file", "exactly one of"),
        ("file: {path: /a, from: kubelet-config, mode: '0600'}", "file", "exactly one of"),
        ("file: {path: etc/passwd, mode: '0600'}", "file.path", "is not absolute"),
        ("file: {path: /etc/../passwd, mode: '0600'}", "file.path", "is not absolute"),
        ("file: {paths: [/a, b], mode: '0600'}", "file.paths[1]", "`b` is not absolute"),
        ("file: {path: /a, mode: '0888'}", "file.mode", "is not octal"),
        ("file: {path: /a, mode: '6'}", "file.mode", "is not octal"),
        ("file: {path: /a, exists: false, owner: root}", "file.exists", "no file"),
        ("file: {path: /a, exists: true, absent: holds}", "file.absent", "means nothing"),
        ("certificate: {days_left: 3}", "certificate", "exactly one of"),
        ("config: {file: journald.conf, format: ini, key: k, value: {is: a}}", "config.file", "has to be absolute"),
        (
            "config: {file: /etc/systemd/a.conf, format: systemd, key: k, value: {is: a}}",
            "config.file",
            "what systemd calls it",
        ),
        ("config: {file: /a, format: ini, key: '', value: {is: a}}", "config.key", "is empty"),
        ("mount: {at: tmp}", "mount.at", "is not absolute"),
        ("mount: {at: /tmp, absent: not-applicable}", "mount", "asks nothing"),
        ("mount: {at: /tmp, options: [nodev], without: [nodev]}", "mount.without", "contradicts"),
        ("unit: {names: []}", "unit.names", "has to have a name"),
        ("unit: {names: [chronyd], state: [enabled]}", "unit.names", "ends with its type"),
        ("audit_rule: {permissions: wa}", "audit_rule", "exactly one of"),
        ("audit_rule: {watch: /a, permissions: wz}", "audit_rule.permissions", "other letters"),
        ("audit_rule: {watch: /a}", "audit_rule.permissions", "goes with `watch`"),
        ("audit_rule: {syscalls: [a], architectures: [x86]}", "audit_rule.architectures", "`b64` and `b32`"),
        ("sysctl: {key: panic, value: {is: 1}}", "sysctl.key", "no name with dots"),
        ("module: {name: 'a b', is: loaded}", "module.name", "no name of a module"),
        ("package: {names: [''], installed: true}", "package.names", "has to have a name"),
        ("process: {name: /usr/bin/kubelet, running: true}", "process.name", "no base name"),
        ("listening: {port: 0, allowed: nobody}", "listening.port", "is no port"),
        ("redirect: {max_age_seconds: 0}", "redirect.max_age_seconds", "no state be fresh"),
        ("selinux: {modes: []}", "selinux.modes", "allows no mode"),
        ("sshd: {option: 'A b', value: {is: a}}", "sshd.option", "sshd has no option `A b`"),
        ("kernel_parameter: {name: 'a=b', value: {is: a}}", "kernel_parameter.name", "no name"),
    ];
    for (predicate, field, problem) in cases {
        let mistakes = load(&with(&[("swap: {allowed: false}", predicate)]), "mine.yaml").unwrap_err();
        let found = mistakes.iter().find(|m| m.field == format!("controls[0].check.{field}"));
        let found = found.unwrap_or_else(|| panic!("{predicate}: {mistakes:#?}"));
        assert!(found.problem.contains(problem), "{predicate}: {found}");
        assert_eq!(found.at.map(|at| at.0), Some(12), "{predicate}: {found}");
    }
}

#[test]
fn what_applies_is_looked_at_too() {
    let mistake = flaw("    why:", "    applies: {all: []}\n    why:");
    assert_eq!(mistake.field, "controls[0].applies.all");
}
