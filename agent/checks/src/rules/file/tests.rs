#![expect(clippy::disallowed_methods, reason = "a test writes the host that it looks at")]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::fixture::Fixture;

const CONFIG: &str = "/etc/kubernetes/kubelet/config.json";

/// A host with a file of this mode. Tests run as any user: owner and group are whoever they are.
fn host(mode: u32) -> Fixture {
    let fixture = Fixture::new();
    fixture.file(CONFIG, "{}").mode(CONFIG, mode);
    fixture
}

fn wants(more: &str) -> String {
    format!("file: {{path: {CONFIG}, {more}}}")
}

/// wazuh#33748: 0740 was refused where 0750 is allowed, because modes were compared as a whole.
#[test]
fn modes_are_bits() {
    host(0o740).holds(&wants("mode: '0750'"));
    host(0o750).holds(&wants("mode: '0750'"));
    host(0o400).holds(&wants("mode: '600'"));
    let verdict = host(0o644).fails(&wants("mode: '0600'"));
    assert_eq!(verdict.evidence[0].expected, "mode 0600 or stricter");
    assert!(verdict.evidence[0].observed.starts_with("file, mode 0644, owner "), "{verdict:?}");
    host(0o607).fails(&wants("mode: '0640'"));
    host(0o4755).fails(&wants("mode: '0755'"));
    host(0o000).holds(&wants("mode: '0600'"));
    for mode in ["0689", "rw", "'77777'", "''", "'-1'"] {
        host(0o600).unknown(&wants(&format!("mode: {mode}")));
    }
}

/// kube-bench compares with `strings.Contains`: `xroot:root` passes for `root:root`. The kernel knows numbers alone.
#[test]
fn owners_are_numbers() {
    let fixture = host(0o600);
    let own = fixture.with(|facts| facts.host().attributes(CONFIG.as_ref()).unwrap().unwrap());
    let (uid, gid) = (own.uid, own.gid);
    fixture.file("/etc/passwd", format!("xroot:x:0:0\nme:x:{uid}:{gid}\nyou:x:4242:4242\n"));
    fixture.file("/etc/group", format!("ours:x:{gid}:\nyours:x:4242:\n"));
    fixture.holds(&wants("owner: me, group: [nobody-has-it, ours]"));
    fixture.holds(&wants(&format!("owner: '{uid}', group: ['{gid}']")));
    fixture.fails(&wants("owner: you"));
    fixture.fails(&wants("group: [yours]"));
    fixture.fails(&wants("owner: oot"));
    fixture.fails(&wants("group: [nobody-has-it]"));
    if uid == 0 {
        // root under another name, and somebody else under root's.
        fixture.holds(&wants("owner: xroot")).evidence.iter().for_each(|e| assert!(e.observed.ends_with("owner 0:0")));
        fixture.file("/etc/passwd", "root:x:4242:4242\n").owner(CONFIG, 4242, 4242);
        fixture.fails(&wants("owner: root"));
        fixture.owner(CONFIG, 0, 0).holds(&wants("owner: root, group: [root]"));
    }
    // Accounts that cannot be read decide nothing; they are not asked for numbers.
    let fixture = host(0o600);
    fixture.dir("/etc/passwd");
    fixture.unknown(&wants("owner: me"));
    fixture.holds(&wants(&format!("owner: '{uid}'")));
}

#[test]
fn a_file_that_is_not_there() {
    let fixture = Fixture::new();
    fixture.fails(&wants("mode: '0600'"));
    fixture.holds(&wants("mode: '0600', absent: holds"));
    fixture.not_applicable(&wants("mode: '0600', absent: not-applicable"));
    fixture.fails(&wants("exists: true"));
    fixture.holds(&wants("exists: false"));
    host(0o600).fails(&wants("exists: false"));
    host(0o600).holds(&wants("exists: true"));
}

#[test]
fn kinds_are_those_of_what_links_lead_to() {
    let fixture = host(0o600);
    fixture
        .dir("/var/run")
        .link("/etc/link", "../etc/kubernetes/kubelet/config.json")
        .link("/etc/out", "/../../../../etc/kubernetes");
    fixture.holds("file: {path: /etc/link, kind: file, mode: '0600'}");
    fixture.fails("file: {path: /etc/link, mode: '0400'}");
    fixture.holds("file: {path: /etc/out, kind: directory}");
    fixture.fails("file: {path: /var/run, kind: file}");
    let socket = std::os::unix::net::UnixListener::bind(fixture.at("/var/run/s")).unwrap();
    fixture.holds("file: {path: /var/run/s, kind: special}");
    // Who opens it does not find what the mode is about; only a policy that expects it may look at that.
    fixture.mode("/var/run/s", 0o600).unknown("file: {path: /var/run/s, mode: '0600'}");
    fixture.holds("file: {path: /var/run/s, kind: any, mode: '0600'}");
    fixture.fails("file: {path: /var/run/s, kind: any, mode: '0400'}");
    fixture.fails("file: {path: /var/run/s, exists: false}");
    drop(socket);
}

#[test]
fn a_link_that_leads_nowhere_decides_nothing() {
    let fixture = Fixture::new();
    fixture.link(CONFIG, "/nowhere").link("/etc/loop", "/etc/loop");
    for more in ["mode: '0600'", "exists: false", "exists: true", "absent: holds"] {
        assert!(fixture.unknown(&wants(more)).contains("leads nowhere"), "{more}");
    }
    fixture.unknown("file: {path: /etc/loop, exists: false}");
}

#[test]
fn every_file_has_to_hold_and_those_that_do_not_are_named() {
    let fixture = Fixture::new();
    for name in ["10-a.conf", "20-b.conf", "30-c.conf", "40-d.conf", "notes"] {
        fixture.file(&format!("/etc/k/{name}"), "").mode(&format!("/etc/k/{name}"), 0o600);
    }
    let verdict = fixture.holds("file: {path: '/etc/k/*.conf', mode: '0600'}");
    assert_eq!(verdict.evidence.len(), 1);
    assert_eq!(verdict.evidence[0].source, "/etc/k/10-a.conf, /etc/k/20-b.conf, /etc/k/30-c.conf and 1 more");
    fixture.mode("/etc/k/30-c.conf", 0o644).mode("/etc/k/notes", 0o666);
    let verdict = fixture.fails("file: {path: '/etc/k/?0-*.conf', mode: '0600'}");
    assert_eq!(verdict.evidence.iter().map(|e| e.source.as_str()).collect::<Vec<_>>(), ["/etc/k/30-c.conf"]);
    fixture.fails("file: {paths: ['/etc/k/10-a.conf', '/etc/k/gone'], mode: '0600'}");
    fixture.holds("file: {paths: ['/etc/k/10-a.conf', '/etc/k/gone'], mode: '0600', absent: not-applicable}");
    // One that cannot be looked at hides nothing that fails, and is no pass.
    fixture.link("/etc/k/50-e.conf", "/nowhere");
    fixture.fails("file: {path: '/etc/k/*.conf', mode: '0600'}");
    fixture.mode("/etc/k/30-c.conf", 0o600);
    fixture.unknown("file: {path: '/etc/k/*.conf', mode: '0600'}");
}

#[test]
fn a_pattern_that_nothing_matches_is_a_file_that_is_not_there() {
    let fixture = Fixture::new();
    fixture.fails("file: {path: '/etc/ssh/ssh_host_*_key', mode: '0600'}");
    fixture.holds("file: {path: '/etc/ssh/ssh_host_*_key', mode: '0600', absent: holds}");
    fixture.holds("file: {path: '/users/*/.netrc', exists: false}");
}

#[test]
fn patterns_reach_through_directories() {
    let fixture = Fixture::new();
    fixture
        .file("/users/a/.netrc", "")
        .file("/users/b/.bashrc", "")
        .file("/users/readme", "")
        .link("/users/x", "readme");
    let verdict = fixture.fails("file: {path: '/users/*/.netrc', exists: false}");
    assert_eq!(verdict.evidence[0].source, "/users/a/.netrc");
    fixture.holds("file: {path: '/users/*/.bash*', kind: file}");
    fixture.holds("file: {path: '/*/b/.bashrc', kind: file}");
}

#[test]
fn names_need_not_be_utf_8() {
    let fixture = Fixture::new();
    fixture.dir("/etc/k");
    std::fs::write(fixture.at("/etc/k").join(OsStr::from_bytes(b"\xff.conf")), "").unwrap();
    fixture.fails("file: {path: '/etc/k/*.conf', mode: '0000'}");
}

#[test]
fn a_policy_that_names_nothing_decides_nothing() {
    for predicate in [
        "file: {mode: '0600'}",
        "file: {path: /a, from: kubelet-config}",
        "file: {path: /a, paths: [/b]}",
        "file: {path: relative}",
    ] {
        Fixture::new().unknown(predicate);
    }
}

#[test]
fn the_dead_have_files() {
    let fixture = Fixture::dead();
    fixture.file(CONFIG, "{}");
    fixture.fails(&wants("mode: '0600'"));
    fixture.holds(&wants("mode: '0644'"));
}
