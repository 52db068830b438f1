//! What sshd would do with a configuration, judged.

use crate::fixture::Fixture;

const ROOT_NO: &str = "sshd: {option: PermitRootLogin, value: {is: 'no'}}";

fn host(config: &str) -> Fixture {
    let host = Fixture::new();
    host.file("/usr/sbin/sshd", "").file("/etc/ssh/sshd_config", config);
    host
}

#[test]
fn the_first_value_wins_in_any_spelling() {
    let verdict = host("# PermitRootLogin yes\npermitrootlogin = NO\nPermitRootLogin yes\n").holds(ROOT_NO);
    assert_eq!(verdict.evidence[0].source, "/etc/ssh/sshd_config:2");
    host("PermitRootLogin yes\nPermitRootLogin no\n").fails(ROOT_NO);
    host("XPermitRootLogin no\nPermitRootLogin yes\n").fails(ROOT_NO);
}

#[test]
fn where_nothing_is_written_the_default_counts() {
    let host = host("");
    let verdict = host.fails(ROOT_NO);
    assert_eq!(verdict.evidence[0].observed, "prohibit-password");
    host.holds("sshd: {option: permitemptypasswords, value: {is: 'no'}}");
    host.holds("sshd: {option: LoginGraceTime, value: {at_most: 120}}");
    host.holds("sshd: {option: Ciphers, value: {excludes: [3des-cbc, aes128-cbc]}}");
    host.fails("sshd: {option: AllowUsers, value: {set: true}}");
    assert!(host.unknown("sshd: {option: KexAlgorithms, value: {excludes: [x]}}").contains("depends on the version"));
}

#[test]
fn a_block_that_loosens_fails_and_one_that_tightens_does_not_help() {
    let config = "PermitRootLogin no\nMatch Address 10.0.0.0/8\n  PermitRootLogin yes\n";
    let verdict = host(config).fails(ROOT_NO);
    assert_eq!(verdict.evidence[1].source, "/etc/ssh/sshd_config:3 (Match Address 10.0.0.0/8)");
    host("PermitRootLogin yes\nMatch User bob\nPermitRootLogin no\n").fails(ROOT_NO);
    host("PermitRootLogin no\nMatch User bob\nX11Forwarding yes\n").holds(ROOT_NO);
    host("PermitRootLogin no\nMatch User bob\nPermitRootLogin no\nPermitRootLogin yes\n").holds(ROOT_NO);
}

#[test]
fn match_all_wins_over_the_global_section_and_ends_what_comes_later() {
    host("PermitRootLogin no\nMatch all\nPermitRootLogin yes\n").fails(ROOT_NO);
    host("PermitRootLogin yes\nMatch all\nPermitRootLogin no\n").holds(ROOT_NO);
    host("Match all\nPermitRootLogin no\nMatch User bob\nPermitRootLogin yes\n").holds(ROOT_NO);
    host("Match User bob\nPermitRootLogin yes\nMatch all\nPermitRootLogin no\n").fails(ROOT_NO);
}

#[test]
fn included_files_count_where_they_are_included() {
    let host = host("Include /etc/ssh/sshd_config.d/*.conf\nPermitRootLogin yes\n");
    host.fails(ROOT_NO);
    host.file("/etc/ssh/sshd_config.d/50-x.conf", "PermitRootLogin no\n");
    let verdict = host.holds(ROOT_NO);
    assert_eq!(verdict.evidence[0].source, "/etc/ssh/sshd_config.d/50-x.conf:1");
    host.file("/etc/ssh/sshd_config.d/40-x.conf", "PermitRootLogin yes\n");
    host.fails(ROOT_NO);
    host.file("/etc/ssh/sshd_config.d/30-x.conf.rpmsave", "PermitRootLogin no\n");
    host.file("/etc/ssh/sshd_config.d/.20-x.conf", "PermitRootLogin no\n");
    host.fails(ROOT_NO);
}

#[test]
fn relative_nested_and_quoted_includes() {
    let host = host("include=\"sshd_config.d/a b.conf\" missing.conf\n");
    host.file("/etc/ssh/sshd_config.d/a b.conf", "Include nested/?/x\n");
    host.file("/etc/ssh/nested/1/x", "PermitRootLogin no\n");
    host.holds(ROOT_NO);
}

#[test]
fn a_block_of_an_included_file_ends_with_the_file_and_an_include_in_a_block_stays_in_it() {
    let leaves = host("Include /etc/ssh/a\nPermitRootLogin no\n");
    leaves.file("/etc/ssh/a", "Match User bob\nX11Forwarding yes\n");
    leaves.holds(ROOT_NO);

    let inside = host("PermitRootLogin no\nMatch User bob\nInclude /etc/ssh/a\n");
    inside.file("/etc/ssh/a", "PermitRootLogin yes\nMatch Group wheel\nX11Forwarding yes\n");
    let verdict = inside.fails(ROOT_NO);
    assert_eq!(verdict.evidence[1].source, "/etc/ssh/a:1 (Match User bob)");
    let verdict = inside.fails("sshd: {option: X11Forwarding, value: {is: 'no'}}");
    assert_eq!(verdict.evidence[1].source, "/etc/ssh/a:3 (Match User bob and Group wheel)");
}

#[test]
fn includes_in_a_circle_end() {
    let deep = host("Include /etc/ssh/sshd_config\nPermitRootLogin no\n");
    assert!(deep.unknown(ROOT_NO).contains("more than 16 files deep"));
    let wide = host("Include /etc/ssh/a\n");
    wide.file("/etc/ssh/a", "Include /etc/ssh/b /etc/ssh/b\n".repeat(1000)).file("/etc/ssh/b", "X11Forwarding no\n");
    assert!(wide.unknown(ROOT_NO).contains("more files"));
}

#[test]
fn times_numbers_startups_and_lists_are_values() {
    let host = host(
        "LoginGraceTime 1m\nMaxAuthTries 4\nMaxStartups 10:30:60\nClientAliveInterval 15s\nAllowUsers a\nAllowUsers b c\n",
    );
    host.holds("sshd: {option: LoginGraceTime, value: {at_least: 1, at_most: 60}}");
    host.fails("sshd: {option: LoginGraceTime, value: {at_most: 59}}");
    host.holds("sshd: {option: MaxAuthTries, value: {at_most: 4}}");
    host.holds("sshd: {option: MaxStartups, value: {is: '10:30:60'}}");
    host.holds("sshd: {option: AllowUsers, value: {subset_of: [a, b, c], includes: [c]}}");
    host.holds("sshd: {option: ClientAliveInterval, value: {is: 15}}");
}

#[test]
fn of_an_option_that_versions_read_differently_every_line_has_to_be_right() {
    host("MaxStartups 10:30:60\nMaxStartups 10:30:60\n").holds("sshd: {option: MaxStartups, value: {is: '10:30:60'}}");
    host("MaxStartups 10:30:60\nMaxStartups 1000\n").fails("sshd: {option: MaxStartups, value: {is: '10:30:60'}}");
}

#[test]
fn an_older_name_is_the_same_option() {
    let kbd = "sshd: {option: KbdInteractiveAuthentication, value: {is: 'no'}}";
    host("ChallengeResponseAuthentication no\nKbdInteractiveAuthentication yes\n").holds(kbd);
    host("").fails(kbd);
}

#[test]
fn options_of_the_unit_come_first() {
    let host = host("PermitRootLogin no\nPort 22\n");
    let unit = "[Service]\nEnvironmentFile=-/etc/sysconfig/sshd\nExecStart=/usr/sbin/sshd -D $OPTIONS\n";
    host.file("/usr/lib/systemd/system/sshd.service", unit);
    host.holds(ROOT_NO);
    host.file("/etc/sysconfig/sshd", "OPTIONS=\"-oPermitRootLogin=yes -p 2222\"\n");
    let verdict = host.fails(ROOT_NO);
    assert_eq!(verdict.evidence[0].source, "/usr/lib/systemd/system/sshd.service:3 (command line)");
    host.holds("sshd: {option: Port, value: {subset_of: ['2222']}}");
    host.file("/etc/sysconfig/sshd", "OPTIONS=\"-f /etc/ssh/other\"\n");
    assert!(host.unknown(ROOT_NO).contains("/etc/ssh/other: is not there"));
    host.file("/etc/ssh/other", "PermitRootLogin no\n");
    host.holds(ROOT_NO);
    host.file("/etc/sysconfig/sshd", "OPTIONS=-Z\n");
    assert!(host.unknown(ROOT_NO).contains("knows no option -Z"));
    host.file("/etc/systemd/system/sshd.service.d/x.conf", "[Service]\nExecStart=\nExecStart=/opt/wrapper\n");
    assert!(host.unknown(ROOT_NO).contains("starts another program"));
}

#[test]
fn without_sshd_there_is_nothing_to_decide() {
    Fixture::new().not_applicable(ROOT_NO);
    let only_config = Fixture::new();
    only_config.file("/etc/ssh/sshd_config", "PermitRootLogin no\n").holds(ROOT_NO);
    let only_program = Fixture::new();
    only_program.file("/usr/sbin/sshd", "");
    assert!(only_program.unknown(ROOT_NO).contains("/etc/ssh/sshd_config: is not there"));
}

#[test]
fn a_dead_host_is_judged_by_its_files() {
    let host = Fixture::dead();
    host.file("/etc/ssh/sshd_config", "PermitRootLogin no\n").holds(ROOT_NO);
}

#[test]
fn what_sshd_would_refuse_is_not_decided() {
    for (config, why) in [
        ("PermitRootLogin maybe\n", "sshd_config:1: PermitRootLogin: sshd does not know the value maybe"),
        ("X11Forwarding no\nPermitRootLogin\n", "line 2: there is no value"),
        ("PermitRootLogin \"no\n", "line 1: its quotes do not close"),
        ("PermitRootLogin no\nMatch\n", "line 2"),
        ("PermitRootLogin no\nMatch Colour red\n", "line 2: sshd knows no such criterion"),
        ("PermitRootLogin no\nInclude [a]\n", "line 2"),
    ] {
        let said = host(config).unknown(ROOT_NO);
        assert!(said.contains(why), "{config}: {said}");
    }
    assert!(host("").unknown("sshd: {option: PermitRoot, value: {is: 'no'}}").contains("no such option"));
    let binary = Fixture::new();
    binary.file("/etc/ssh/sshd_config", b"PermitRootLogin no\n\xff\xfe\n");
    assert!(binary.unknown(ROOT_NO).contains("line 2: is not UTF-8"));
    let dir = Fixture::new();
    dir.dir("/etc/ssh/sshd_config");
    dir.unknown(ROOT_NO);
}

#[test]
fn many_blocks_and_long_values_are_refused_and_not_shown() {
    let blocks = "Match User bob\nPermitRootLogin no\n".repeat(1_001);
    assert!(host(&blocks).unknown(ROOT_NO).contains("more files, lines or blocks"));
    let long = format!("AllowUsers {}\n", "a".repeat(5_000));
    assert!(host(&long).unknown("sshd: {option: AllowUsers, value: {set: true}}").contains("more than 4096 bytes"));
}
