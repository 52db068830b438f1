//! Values in configuration files, as the programs that read them would take them.

use proptest::prelude::*;

use super::*;
use crate::fixture::Fixture;

const JOURNAL: &str = "config: {file: systemd/journald.conf, format: systemd, section: Journal, key: Storage, \
    value: {is: persistent}, default: auto}";

fn ini(expect: &str) -> String {
    format!("config: {{file: /etc/x.conf, format: ini, section: main, key: gpgcheck, value: {expect}}}")
}

fn words(key: &str, expect: &str) -> String {
    format!("config: {{file: /etc/login.defs, format: words, key: {key}, value: {expect}}}")
}

fn shell(expect: &str) -> String {
    format!("config: {{file: /etc/sysconfig/x, format: shell, key: MODE, value: {expect}}}")
}

#[test]
fn drop_ins_of_systemd_decide_by_name_and_then_by_directory() {
    let host = Fixture::new();
    host.file("/etc/systemd/journald.conf", "[Journal]\nStorage=volatile\n");
    host.fails(JOURNAL);
    host.file("/usr/lib/systemd/journald.conf.d/50-vendor.conf", "[Journal]\nStorage=persistent\n");
    let verdict = host.holds(JOURNAL);
    assert_eq!(verdict.evidence[0].source, "/usr/lib/systemd/journald.conf.d/50-vendor.conf:2");
    host.file("/run/systemd/journald.conf.d/50-vendor.conf", "[Journal]\nStorage=none\n");
    host.fails(JOURNAL);
    host.link("/etc/systemd/journald.conf.d/50-vendor.conf", "/dev/null");
    host.fails(JOURNAL);
    host.file("/etc/systemd/journald.conf.d/60.conf", "[Journal]\nStorage=persistent\n");
    host.holds(JOURNAL);
    host.file("/etc/systemd/journald.conf.d/70.conf.bak", "[Journal]\nStorage=none\n");
    host.holds(JOURNAL);
    host.file("/etc/systemd/journald.conf.d/80.conf", "[Journal]\nStorage=\n");
    let verdict = host.fails(JOURNAL);
    assert!(verdict.evidence[0].source.ends_with("the program's default"), "{verdict:?}");
}

#[test]
fn the_file_itself_is_the_first_that_is_there_and_may_be_masked() {
    let host = Fixture::new();
    host.file("/usr/lib/systemd/journald.conf", "[Journal]\nStorage=persistent\n");
    host.holds(JOURNAL);
    host.link("/etc/systemd/journald.conf", "/dev/null");
    host.fails(JOURNAL);
}

#[test]
fn where_nothing_is_written_the_default_decides_or_else_absence() {
    let host = Fixture::new();
    host.fails(JOURNAL);
    host.holds(&JOURNAL.replace("default: auto", "default: persistent"));
    host.fails(&JOURNAL.replace(", default: auto", ""));
    host.holds(&JOURNAL.replace("default: auto", "absent: holds"));
    host.not_applicable(&JOURNAL.replace("default: auto", "absent: not-applicable"));
    host.file("/etc/systemd/journald.conf", "[Journal]\n#Storage=persistent\n");
    host.fails(&JOURNAL.replace("default: auto", "absent: holds"));
    host.holds(&JOURNAL.replace("{is: persistent}", "{is: persistent, or_unset: true}").replace(", default: auto", ""));
}

/// wazuh#33748: case decides where the program says so.
#[test]
fn another_case_is_another_key_and_another_value() {
    let host = Fixture::new();
    host.file("/etc/systemd/journald.conf", "[Journal]\nstorage=persistent\n[journal]\nStorage=persistent\n");
    host.fails(JOURNAL);
    host.file("/etc/systemd/journald.conf", "[Journal]\nStorage=Persistent\n");
    host.fails(JOURNAL);
    host.file("/etc/login.defs", "pass_max_days 365\n");
    host.fails(&words("PASS_MAX_DAYS", "{at_most: 365}"));
}

#[test]
fn booleans_of_systemd_are_booleans_in_all_their_spellings() {
    let is = |wanted: bool| {
        format!("config: {{file: systemd/journald.conf, format: systemd, key: Compress, value: {{is: {wanted}}}}}")
    };
    for (spelling, means) in [("yes", true), ("On", true), ("1", true), ("TRUE", true), ("no", false), ("0", false)] {
        let host = Fixture::new();
        host.file("/etc/systemd/journald.conf", format!("[Journal]\nCompress={spelling}\n"));
        host.holds(&is(means));
        host.fails(&is(!means));
    }
    let host = Fixture::new();
    host.file("/etc/systemd/journald.conf", "[Journal]\nCompress=yess\n");
    assert!(host.unknown(&is(true)).contains("journald.conf:2: yess: is of another type"));
}

/// bottlerocket-core-kit, bloodhound: needles were counted, so `= 1` was found in `= 10`, and one needle twice stood for two.
#[test]
fn a_value_is_compared_as_a_whole() {
    let host = Fixture::new();
    host.file("/etc/x.conf", "[main]\ngpgcheck = 10\n");
    host.fails(&ini("{is: 1}"));
    host.fails(&ini("{is: '1'}"));
    host.holds(&ini("{is: 10}"));
    host.file("/etc/x.conf", "[main]\nxgpgcheck = 1\ngpgcheckx = 1\n# gpgcheck = 1\n[other]\ngpgcheck = 1\n");
    host.fails(&ini("{is: 1}"));
}

#[test]
fn sections_of_ini_files_the_last_value_and_a_key_alone() {
    let host = Fixture::new();
    host.file("/etc/x.conf", "gpgcheck=2\n; no\n[ main ]\n gpgcheck=0\ngpgcheck = 1\n[other]\ngpgcheck=3\n");
    assert_eq!(host.holds(&ini("{is: 1}")).evidence[0].source, "/etc/x.conf:5");
    host.holds("config: {file: /etc/x.conf, format: ini, key: gpgcheck, value: {is: 2}}");
    host.file("/etc/x.conf", "[main]\ngpgcheck\n");
    host.holds(&ini("{is: true}"));
    host.holds(&ini("{set: true}"));
    host.file("/etc/x.conf", "[main]\ngpgcheck = 1\nwhat is this\n");
    assert!(host.unknown(&ini("{is: 1}")).contains("/etc/x.conf: line 3"));
}

#[test]
fn numbers_are_numbers_and_octal_is_not_guessed() {
    let host = Fixture::new();
    host.file(
        "/etc/login.defs",
        "# PASS_MAX_DAYS 1\nPASS_MAX_DAYS\t99999\nPASS_MAX_DAYS 365\nUMASK 027\nPASS_WARN_AGE seven\n",
    );
    host.holds(&words("PASS_MAX_DAYS", "{at_most: 365}"));
    host.fails(&words("PASS_MAX_DAYS", "{at_most: 364}"));
    host.holds(&words("UMASK", "{is: '027'}"));
    host.unknown(&words("UMASK", "{at_most: 27}"));
    assert!(host.unknown(&words("PASS_WARN_AGE", "{at_least: 7}")).contains("is no number"));
    host.fails(&words("PASS_MIN_DAYS", "{at_least: 1}"));
}

#[test]
fn words_may_be_a_list_or_nothing() {
    let host = Fixture::new();
    host.file("/etc/login.defs", "rtcsync\nserver 169.254.169.123  prefer iburst\n");
    host.holds(&words("rtcsync", "{is: true}"));
    host.holds(&words("server", "{includes: [prefer]}"));
    host.fails(&words("server", "{includes: [pref]}"));
    host.holds(&words("server", "{is: 169.254.169.123 prefer iburst}"));
}

#[test]
fn shells_take_quotes_off_and_what_they_would_compute_is_not_known() {
    let host = Fixture::new();
    for line in
        ["MODE=a b", "MODE=$X", "MODE=\"`x`\"", "MODE='a", "MODE=a; MODE=b", "if true; then MODE=a; fi", ". /etc/other"]
    {
        host.file("/etc/sysconfig/x", format!("# MODE=a\nMODE=a\n{line}\n"));
        assert!(host.unknown(&shell("{is: a}")).contains("/etc/sysconfig/x: line 3"), "{line}");
    }
    for line in ["MODE=a", "MODE='a'", "MODE=\"a\"", "export MODE=a", "MODE=a # why", "MODE=\\a", "readonly MODE=a"] {
        host.file("/etc/sysconfig/x", format!("MODE=b\nexport OTHER\n{line}\n"));
        host.holds(&shell("{is: a}"));
        host.fails(&shell("{is: ab}"));
    }
    host.file("/etc/sysconfig/x", "MODE='a b'\"c\"\n");
    host.holds(&shell("{is: a bc}"));
}

#[test]
fn toml_says_itself_what_type_a_value_has() {
    let host = Fixture::new();
    let text = "version = 2\nlist = [\"a\", \"b\"]\n[plugins.\"io.containerd.grpc.v1.cri\"]\nenable_selinux = true\nname = \"1\"\n";
    host.file("/etc/containerd/config.toml", text);
    let at = |section: &str, key: &str, expect: &str| {
        format!("config: {{file: /etc/containerd/config.toml, format: toml, {section}key: {key}, value: {expect}}}")
    };
    let cri = "section: 'plugins.\"io.containerd.grpc.v1.cri\"', ";
    host.holds(&at("", "version", "{at_least: 2}"));
    host.holds(&at("", "list", "{excludes: [c]}"));
    host.holds(&at(cri, "enable_selinux", "{is: true}"));
    host.fails(&at(cri, "Enable_SELinux", "{is: true}"));
    host.unknown(&at(cri, "name", "{is: 1}"));
    host.fails(&at("section: plugins.other, ", "name", "{set: true}"));
    host.file("/etc/containerd/config.toml", "a = 1\nb = \n");
    assert!(host.unknown(&at("", "a", "{is: 1}")).contains("config.toml: line 2: is no TOML"));
    host.file("/etc/containerd/config.toml", "a = ".to_owned() + &"[".repeat(500_000));
    host.unknown(&at("", "a", "{is: 1}"));
}

#[test]
fn what_cannot_be_read_is_not_decided() {
    let host = Fixture::new();
    host.dir("/etc/x.conf");
    host.unknown(&ini("{is: 1}"));
    host.dir("/etc/systemd/journald.conf.d").dir("/etc/systemd/journald.conf.d/10.conf");
    host.unknown(JOURNAL);
    let broken = Fixture::new();
    broken.file("/etc/systemd/journald.conf", "[Journal]\nStorage\n");
    assert!(broken.unknown(JOURNAL).contains("journald.conf: line 2"));
    broken.file("/etc/x.conf", b"[main]\ngpgcheck=1\n\xff\n");
    assert!(broken.unknown(&ini("{is: 1}")).contains("line 3: is not UTF-8"));
    broken.file("/etc/x.conf", format!("[main]\ngpgcheck={}\n", "1".repeat(5000)));
    assert!(broken.unknown(&ini("{not: '1'}")).contains("more than 4096 bytes"));
}

#[test]
fn a_dead_host_is_judged_by_its_files() {
    let host = Fixture::dead();
    host.file("/etc/systemd/journald.conf", "[Journal]\nStorage=persistent\n");
    host.holds(JOURNAL);
}

proptest! {
    #[test]
    fn no_parser_panics(text in "(?s)([\\[\\]=#;\\\\'\"$ \n\ta-c.0-9]|.){0,200}") {
        ini::find(&text, Some("a"), "b").ok();
        shell::find(&text, "a").ok();
        words::find(&text, "a");
        toml::find(&text, Some(&text), "a").ok();
        toml::find(&text, None, "a").ok();
    }
}
