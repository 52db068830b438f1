//! Properties of accounts, on hosts with and without flaws.

use super::decide::MAX_LISTED;
use crate::facts::accounts::{GROUP, PASSWD, SHADOW};
use crate::fixture::Fixture;

const SOUND_PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\nbin:x:1:1:bin:/bin:/sbin/nologin\n\
    sync:x:5:0:sync:/sbin:/bin/sync\nec2-user:x:1000:1000:EC2:/srv/ec2-user:/bin/bash\n";
const SOUND_GROUP: &str = "root:x:0:\nbin:x:1:\nec2-user:x:1000:\nwheel:x:10:ec2-user\n";
const SOUND_SHADOW: &str = "root:*LOCK*:14600::::::\nbin:*:18849:0:99999:7:::\nsync:*:18849:0:99999:7:::\n\
    ec2-user:!!:19000:0:99999:7:::\n";

/// Every property, and a host that has it.
const ALL: &[&str] = &[
    "only-root-has-uid-zero",
    "root-group-is-zero",
    "no-empty-passwords",
    "passwords-are-shadowed",
    "unique-uids",
    "unique-gids",
    "unique-user-names",
    "unique-group-names",
    "primary-groups-exist",
    "system-accounts-cannot-log-in",
    "no-password-login",
    "no-nis-entries",
];

fn host() -> Fixture {
    let host = Fixture::new();
    host.file(PASSWD, SOUND_PASSWD).file(GROUP, SOUND_GROUP).file(SHADOW, SOUND_SHADOW);
    host
}

/// A sound host with more lines in its files.
fn with(passwd: &str, group: &str, shadow: &str) -> Fixture {
    let host = Fixture::new();
    host.file(PASSWD, format!("{SOUND_PASSWD}{passwd}"));
    host.file(GROUP, format!("{SOUND_GROUP}{group}"));
    host.file(SHADOW, format!("{SOUND_SHADOW}{shadow}"));
    host
}

#[test]
fn a_sound_host_has_them_all_also_when_dead() {
    for property in ALL {
        host().holds(&format!("accounts: {property}"));
        let dead = Fixture::dead();
        dead.file(PASSWD, SOUND_PASSWD).file(GROUP, SOUND_GROUP).file(SHADOW, SOUND_SHADOW);
        dead.holds(&format!("accounts: {property}"));
    }
}

#[test]
fn each_flaw_is_found_on_its_line() {
    let flaws = [
        (
            "only-root-has-uid-zero",
            with("toor:x:0:0::/:/bin/sh\n", "", "toor:*:::::::\n"),
            "/etc/passwd:5",
            "toor has UID 0",
        ),
        (
            "no-empty-passwords",
            with("a:x:1001:0::/:/bin/sh\n", "", "a::::::::\n"),
            "/etc/shadow:5",
            "a: empty password",
        ),
        ("no-empty-passwords", with("a::1001:0::/:/bin/sh\n", "", ""), "/etc/passwd:5", "a: empty password"),
        (
            "passwords-are-shadowed",
            with("a:*:1001:0::/:/bin/sh\n", "", "a:*:::::::\n"),
            "/etc/passwd:5",
            "a: locked password",
        ),
        (
            "passwords-are-shadowed",
            with("a:x:1001:0::/:/bin/sh\n", "", ""),
            "/etc/passwd:5",
            "a has no line in /etc/shadow",
        ),
        ("unique-uids", with("a:x:1:0::/:/bin/sh\n", "", ""), "/etc/passwd:5", "UID 1 of a is that of bin on line 2"),
        ("unique-gids", with("", "a:x:10:\n", ""), "/etc/group:5", "GID 10 of a is that of wheel on line 4"),
        (
            "unique-user-names",
            with("bin:x:9:0::/:/bin/sh\n", "", ""),
            "/etc/passwd:5",
            "name bin of 9 is that of 1 on line 2",
        ),
        ("unique-group-names", with("", "bin:x:9:\n", ""), "/etc/group:5", "name bin of 9 is that of 1 on line 2"),
        (
            "primary-groups-exist",
            with("a:x:9:77::/:/bin/sh\n", "", ""),
            "/etc/passwd:5",
            "a has GID 77, which /etc/group has not",
        ),
        (
            "system-accounts-cannot-log-in",
            with("db:x:70:0::/:/bin/sh\n", "", "db:$6$s$SECRET:::::::\n"),
            "/etc/passwd:5",
            "db (UID 70) has a login shell and a usable password: password hash of scheme 6",
        ),
        (
            "no-password-login",
            with("", "", "a:$y$j$s$SECRET:::::::\n"),
            "/etc/shadow:5",
            "a: password hash of scheme y",
        ),
        ("no-nis-entries", with("+::::::\n", "", ""), "/etc/passwd:5", "asks NIS for accounts"),
    ];
    for (property, host, source, observed) in flaws {
        let verdict = host.fails(&format!("accounts: {property}"));
        let evidence = &verdict.evidence[0];
        assert_eq!((evidence.source.as_str(), evidence.observed.as_str()), (source, observed), "{property}");
    }
    let root = Fixture::new();
    root.file(PASSWD, "root:x:0:1:root:/root:/bin/bash\n").fails("accounts: root-group-is-zero");
    root.file(PASSWD, "admin:x:0:0::/:/bin/sh\n").fails("accounts: root-group-is-zero");
}

#[test]
fn nothing_of_a_hash_is_ever_told() {
    let host = with("db:x:70:0::/:/bin/sh\n", "", "db:$6$SALT$SECRET:::::::\nodd:SECRET:::::::\n");
    for property in ALL {
        let told = format!("{:?}", host.judge(&format!("accounts: {property}")));
        assert!(!told.contains("SECRET") && !told.contains("SALT"), "{property}: {told}");
    }
    let known = host.with(|facts| format!("{:?}", facts.accounts()));
    assert!(!known.contains("SECRET") && !known.contains("SALT"));
}

#[test]
fn what_cannot_be_read_is_unknown_and_the_rest_is_decided() {
    let host = host();
    host.without(SHADOW);
    host.holds("accounts: unique-uids");
    assert!(host.unknown("accounts: no-password-login").contains("/etc/shadow: is not there"));
    assert!(host.unknown("accounts: no-empty-passwords").contains("/etc/shadow"));
    assert!(host.unknown("accounts: passwords-are-shadowed").contains("/etc/shadow"));
    host.file(PASSWD, format!("{SOUND_PASSWD}a::7:0::/:/bin/sh\n"));
    host.fails("accounts: no-empty-passwords");
    host.without(PASSWD).dir(PASSWD);
    assert!(host.unknown("accounts: unique-uids").contains("not a regular file"));
}

#[test]
fn a_host_without_accounts_is_not_decided() {
    for property in ALL {
        Fixture::new().unknown(&format!("accounts: {property}"));
    }
}

#[test]
fn a_line_that_makes_no_sense_is_named_and_hides_no_flaw() {
    let host = with("what\n", "", "");
    assert_eq!(host.unknown("accounts: unique-uids"), "/etc/passwd: line 5: has not 7 fields");
    with("what\nbin:x:9:0::/:/bin/sh\n", "", "").fails("accounts: unique-user-names");
    assert!(with("a:x:+7:0::/:/bin/sh\n", "", "").unknown("accounts: unique-uids").contains("the UID is no number"));
    assert!(with("a:x:99999999999:0::/:\n", "", "").unknown("accounts: unique-uids").contains("line 5"));
    assert!(with("", "", "short:x\n").unknown("accounts: no-empty-passwords").contains("/etc/shadow: line 5"));
    assert!(with("", "", "odd:hunter2:::::::\n").unknown("accounts: no-password-login").contains("of no known kind"));
}

#[test]
fn accounts_of_nis_are_unknown_accounts() {
    let host = with("", "+:::\n", "");
    assert!(host.unknown("accounts: unique-gids").contains("NIS"));
    host.holds("accounts: unique-uids");
    host.fails("accounts: no-nis-entries");
}

#[test]
fn comments_in_any_encoding_empty_lines_and_remarks_do_not_matter() {
    let host = host();
    host.file(PASSWD, [SOUND_PASSWD.as_bytes(), b"\n# remark\njo:x:1001:0:J\xf6rg:/:/bin/sh\n"].concat());
    host.holds("accounts: unique-uids");
    host.file(PASSWD, [SOUND_PASSWD.as_bytes(), b"j\xf6:x:1001:0::/:/bin/sh\n"].concat());
    assert!(host.unknown("accounts: unique-uids").contains("line 5: the name is not UTF-8"));
}

#[test]
fn login_defs_says_who_is_a_system_account() {
    let host = with("app:x:1500:0::/:/bin/sh\n", "", "app:$6$s$h:::::::\n");
    host.holds("accounts: system-accounts-cannot-log-in");
    host.file("/etc/login.defs", "# UID_MIN 5\nUID_MIN\t\t 2000\n");
    host.fails("accounts: system-accounts-cannot-log-in");
    host.file("/etc/login.defs", "UID_MIN many\n");
    assert!(host.unknown("accounts: system-accounts-cannot-log-in").contains("/etc/login.defs: line 1"));
}

#[test]
fn shells_are_known_by_their_base_name() {
    for shell in ["/sbin/nologin", "/usr/sbin/nologin", "/bin/false", "/usr/local/bin/nologin"] {
        with(&format!("db:x:70:0::/:{shell}\n"), "", "db:$6$s$h:::::::\n")
            .holds("accounts: system-accounts-cannot-log-in");
    }
    for shell in ["", "/bin/sh", "/bin/nologin.sh", "/bin/falsehood"] {
        with(&format!("db:x:70:0::/:{shell}\n"), "", "db:$6$s$h:::::::\n")
            .fails("accounts: system-accounts-cannot-log-in");
    }
}

#[test]
fn many_offenders_are_counted_and_not_all_listed() {
    let many: String = (0..100).map(|n| format!("u{n}:x:0:0::/:/bin/sh\n")).collect();
    let verdict = with(&many, "", "").fails("accounts: only-root-has-uid-zero");
    assert_eq!(verdict.evidence.len(), MAX_LISTED + 1);
    assert_eq!(verdict.evidence[MAX_LISTED].observed, "and 80 more");
}
