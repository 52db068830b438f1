//! What the grammar allows in a predicate and is wrong all the same: what asks nothing, and what can never hold.

use crate::expect::Expect;
use crate::facts::sshd;
use crate::mistake::Walk;
use crate::rules::audit_rule::AuditRule;
use crate::rules::certificate::Certificate;
use crate::rules::config::{Config, Format};
use crate::rules::file::File;
use crate::rules::kubelet;
use crate::rules::mount::Mount;
use crate::rules::unit::Unit;
use crate::rules::{Absent, Predicate};

/// Looks at a predicate and those inside it.
pub(super) fn lint(walk: &mut Walk, predicate: &Predicate) {
    match predicate {
        Predicate::All(all) => walk.key("all", |walk| list(walk, all)),
        Predicate::Any(any) => walk.key("any", |walk| list(walk, any)),
        Predicate::Not(other) => walk.key("not", |walk| lint(walk, other)),
        Predicate::AuditRule(rule) => walk.key("audit_rule", |walk| audit_rule(walk, rule)),
        Predicate::Certificate(it) => walk.key("certificate", |walk| certificate(walk, it)),
        Predicate::Config(it) => walk.key("config", |walk| config(walk, it)),
        Predicate::File(it) => walk.key("file", |walk| file(walk, it)),
        Predicate::KernelParameter(it) => walk.key("kernel_parameter", |walk| {
            let is_name = !it.name.is_empty() && !it.name.contains(|c: char| c.is_whitespace() || c == '=');
            walk.require("name", is_name, "is no name of a kernel parameter");
            walk.key("value", |walk| expect(walk, &it.value));
        }),
        Predicate::Kubelet(it) => walk.key("kubelet", |walk| {
            let known = kubelet::known_setting(&it.setting);
            walk.require("setting", known, format!("the kubelet has no setting `{}`", it.setting));
            walk.key("value", |walk| expect(walk, &it.value));
        }),
        Predicate::Listening(it) => walk.key("listening", |walk| {
            walk.require("port", it.port > 0, "is no port");
        }),
        Predicate::Module(it) => walk.key("module", |walk| {
            walk.require("name", is_module(&it.name), format!("`{}` is no name of a module", it.name));
        }),
        Predicate::Mount(it) => walk.key("mount", |walk| mount(walk, it)),
        Predicate::Package(it) => walk.key("package", |walk| names(walk, &it.names)),
        Predicate::Process(it) => walk.key("process", |walk| {
            let is_name = !it.name.is_empty() && !it.name.contains('/');
            walk.require("name", is_name, "is no base name of a program");
        }),
        Predicate::Redirect(it) => walk.key("redirect", |walk| {
            walk.require("max_age_seconds", it.max_age_seconds > 0, "lets no state be fresh");
        }),
        Predicate::Selinux(it) => walk.key("selinux", |walk| {
            walk.require("modes", !it.modes.is_empty(), "allows no mode");
        }),
        Predicate::Sshd(it) => walk.key("sshd", |walk| {
            let known = sshd::options::find(&it.option).is_some();
            walk.require("option", known, format!("sshd has no option `{}` that is known here", it.option));
            walk.key("value", |walk| expect(walk, &it.value));
        }),
        Predicate::Sysctl(it) => walk.key("sysctl", |walk| {
            let is_key = it.key.contains('.') && it.key.split('.').all(|part| !part.is_empty());
            walk.require("key", is_key, format!("`{}` is no name with dots", it.key));
            walk.key("value", |walk| expect(walk, &it.value));
        }),
        Predicate::Unit(it) => walk.key("unit", |walk| unit(walk, it)),
        Predicate::Accounts(_)
        | Predicate::Clock(_)
        | Predicate::Imds(_)
        | Predicate::KubeletDrift(_)
        | Predicate::Swap(_) => {}
    }
}

fn list(walk: &mut Walk, predicates: &[Predicate]) {
    if predicates.is_empty() {
        walk.flaw("asks nothing: the list is empty");
    }
    for (n, predicate) in predicates.iter().enumerate() {
        walk.index(n, |walk| lint(walk, predicate));
    }
}

fn expect(walk: &mut Walk, expect: &Expect) {
    if *expect == (Expect { or_unset: expect.or_unset, ..Expect::default() }) {
        walk.flaw("asks nothing of the value");
    }
    if let (Some(least), Some(most)) = (expect.at_least, expect.at_most)
        && least > most
    {
        walk.flaw(format!("no number is at least {least} and at most {most}"));
    }
    let asks_a_value = Expect { set: None, or_unset: false, ..expect.clone() } != Expect::default();
    if expect.set == Some(false) && asks_a_value {
        walk.require("set", false, "is false, so that there is no value of which more could be asked");
    }
    if expect.set == Some(true) && expect.or_unset {
        walk.require("or_unset", false, "contradicts `set: true`");
    }
}

fn file(walk: &mut Walk, file: &File) {
    let given = [file.path.is_some(), !file.paths.is_empty(), file.from.is_some()];
    exactly_one(walk, &given, "`path`, `paths` and `from`");
    walk.require("path", file.path.iter().all(|path| is_absolute(path)), "is not absolute, or not in its plain form");
    for (n, path) in file.paths.iter().enumerate().filter(|(_, path)| !is_absolute(path)) {
        walk.key("paths", |walk| walk.index(n, |walk| walk.flaw(format!("`{path}` is not absolute or not plain"))));
    }
    let mode = file.mode.as_deref();
    walk.require("mode", mode.is_none_or(is_octal), "is not octal: three or four digits from 0 to 7, in quotes");
    let asks = mode.is_some() || file.owner.is_some() || !file.group.is_empty() || file.kind.is_some();
    if !asks && file.exists.is_none() {
        walk.flaw("asks nothing of the file");
    }
    if asks && file.exists == Some(false) {
        walk.require("exists", false, "is false, so that there is no file of which more could be asked");
    }
    if file.exists.is_some() && file.absent != Absent::default() {
        walk.require("absent", false, "means nothing beside `exists`");
    }
}

fn certificate(walk: &mut Walk, certificate: &Certificate) {
    exactly_one(walk, &[certificate.path.is_some(), certificate.from.is_some()], "`path` and `from`");
    walk.require("path", certificate.path.iter().all(|path| is_absolute(path)), "is not absolute or not plain");
}

fn config(walk: &mut Walk, config: &Config) {
    let right = if config.format == Format::Systemd { is_relative(&config.file) } else { is_absolute(&config.file) };
    walk.require(
        "file",
        right,
        "has to be absolute; with `format: systemd` it is what systemd calls it: `systemd/x.conf`",
    );
    walk.require("key", !config.key.trim().is_empty(), "is empty");
    walk.key("value", |walk| expect(walk, &config.value));
}

fn mount(walk: &mut Walk, mount: &Mount) {
    walk.require("at", is_absolute(&mount.at), "is not absolute or not plain");
    if mount.options.is_empty() && mount.without.is_empty() && mount.absent != Absent::Fails {
        walk.flaw("asks nothing of the mount point");
    }
    let both: Vec<_> = mount.options.iter().filter(|option| mount.without.contains(option)).collect();
    walk.require("without", both.is_empty(), format!("contradicts `options`: {both:?}"));
}

fn unit(walk: &mut Walk, unit: &Unit) {
    names(walk, &unit.names);
    const TYPES: [&str; 7] = [".service", ".socket", ".timer", ".mount", ".path", ".target", ".swap"];
    let typed = unit.names.iter().all(|name| TYPES.iter().any(|ending| name.ends_with(ending)));
    walk.require("names", typed, "a unit's name ends with its type, such as `.service`");
}

fn audit_rule(walk: &mut Walk, rule: &AuditRule) {
    let given = [rule.watch.is_some(), !rule.syscalls.is_empty(), rule.immutable.is_some()];
    exactly_one(walk, &given, "`watch`, `syscalls` and `immutable`");
    walk.require("watch", rule.watch.iter().all(|path| is_absolute(path)), "is not absolute or not plain");
    let letters = |text: &String| !text.is_empty() && text.chars().all(|c| "rwxa".contains(c));
    walk.require("permissions", rule.permissions.iter().all(letters), "has other letters than `rwxa`");
    walk.require("permissions", rule.permissions.is_some() == rule.watch.is_some(), "goes with `watch`, always");
    let known = rule.architectures.iter().all(|name| name == "b64" || name == "b32");
    walk.require("architectures", known, "are `b64` and `b32`");
}

fn names(walk: &mut Walk, names: &[String]) {
    let right = !names.is_empty() && names.iter().all(|name| !name.trim().is_empty() && !name.contains('/'));
    walk.require("names", right, "has to have a name, and names have no slash");
}

fn exactly_one(walk: &mut Walk, given: &[bool], of: &str) {
    if given.iter().filter(|given| **given).count() != 1 {
        walk.flaw(format!("has to have exactly one of {of}"));
    }
}

/// Whether a path is absolute and each of its parts is a name.
fn is_absolute(path: &str) -> bool {
    path == "/" || path.strip_prefix('/').is_some_and(is_relative)
}

fn is_relative(path: &str) -> bool {
    path.split('/').all(|name| !matches!(name, "" | "." | ".."))
}

fn is_octal(mode: &str) -> bool {
    matches!(mode.len(), 3 | 4) && mode.chars().all(|digit| ('0'..='7').contains(&digit))
}

fn is_module(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}
