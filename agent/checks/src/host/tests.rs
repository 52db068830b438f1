#![expect(clippy::disallowed_methods, reason = "a test changes the host that it looks at")]

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::fixture::Fixture;

fn at(path: &str) -> &Path {
    Path::new(path)
}

#[test]
fn what_is_not_there_is_a_fact() {
    let host = Fixture::new().host();
    assert_eq!(host.bytes(at("/none"), 10), Ok(None));
    assert_eq!(host.text(at("/none/below")), Ok(None));
    assert_eq!(host.attributes(at("/none")), Ok(None));
    assert_eq!(host.attributes_of_link(at("/none")), Ok(None));
    assert_eq!(host.link(at("/none")), Ok(None));
    assert_eq!(host.entries(at("/none")), Ok(None));
}

#[test]
fn a_file_over_its_bound_is_refused_and_named() {
    let fixture = Fixture::new();
    fixture.file("/etc/x", "12345");
    let host = fixture.host();
    assert_eq!(host.bytes(at("/etc/x"), 5).unwrap().unwrap(), b"12345");
    let why = host.bytes(at("/etc/x"), 4).unwrap_err();
    assert_eq!(why.cause, Cause::TooMuch);
    assert!(why.message.contains("/etc/x"), "{why}");
}

/// A file of a gigabyte costs no more than its bound, whoever put it there.
#[test]
fn a_huge_file_is_not_read() {
    let fixture = Fixture::new();
    fixture.file("/etc/x", "");
    std::fs::File::options().write(true).open(fixture.at("/etc/x")).unwrap().set_len(1 << 30).unwrap();
    assert_eq!(fixture.host().text(at("/etc/x")).unwrap_err().cause, Cause::TooMuch);
}

#[test]
fn text_that_is_not_utf8_is_refused_with_its_line() {
    let fixture = Fixture::new();
    fixture.file("/etc/x", b"one\ntwo\nthr\xffe\n");
    let why = fixture.host().text(at("/etc/x")).unwrap_err();
    assert_eq!(why.cause, Cause::Parse);
    assert!(why.message.starts_with("/etc/x: line 3"), "{why}");
}

#[test]
fn what_is_no_regular_file_is_not_read() {
    let fixture = Fixture::new();
    fixture.dir("/etc/d").link("/etc/loop", "loop").link("/etc/fifo", "../fifo");
    assert_eq!(fixture.host().text(at("/etc/d")).unwrap_err().cause, Cause::NotAFile);
    assert_eq!(fixture.host().text(at("/etc/loop")).unwrap_err().cause, Cause::NotAFile);
    let socket = std::os::unix::net::UnixListener::bind(fixture.at("/fifo")).unwrap();
    assert_eq!(fixture.host().text(at("/etc/fifo")).unwrap_err().cause, Cause::NotAFile);
    drop(socket);
}

#[test]
fn links_lead_nowhere_outside_the_root() {
    let outside = Fixture::new();
    outside.file("/secret", "outside");
    let fixture = Fixture::new();
    fixture.link("/etc/absolute", outside.at("/secret").to_str().unwrap());
    fixture.link("/etc/up", "../../../../../../../../etc/own").file("/etc/own", "inside");
    let host = fixture.host();
    assert_eq!(host.text(at("/etc/absolute")), Ok(None));
    assert_eq!(host.text(at("/etc/up")).unwrap().as_deref(), Some("inside"));
    assert_eq!(host.text(at("/../../etc/own")).unwrap().as_deref(), Some("inside"));
}

#[test]
fn a_file_that_may_not_be_read_is_not_one_that_is_not_there() {
    let fixture = Fixture::new();
    fixture.file("/etc/x", "secret").mode("/etc/x", 0o000);
    let host = fixture.host();
    // Root may read everything; then there is nothing to see here.
    match host.text(at("/etc/x")) {
        Err(why) => assert_eq!(why.cause, Cause::Permission),
        Ok(text) => assert_eq!(text.as_deref(), Some("secret")),
    }
}

#[test]
fn names_are_sorted_by_their_bytes() {
    let fixture = Fixture::new();
    for name in ["b", "A", "é", "10", "9", "a"] {
        fixture.file(&format!("/d/{name}"), "");
    }
    let entries = fixture.host().entries(at("/d")).unwrap().unwrap();
    let names: Vec<_> = entries.iter().map(|entry| entry.name.to_str().unwrap()).collect();
    assert_eq!(names, ["10", "9", "A", "a", "b", "é"]);
    fixture.file("/f", "");
    assert!(fixture.host().entries(at("/f")).is_err());
}

#[test]
fn links_are_looked_at_and_through() {
    let fixture = Fixture::new();
    fixture.file("/etc/x", "12345").mode("/etc/x", 0o640).link("/etc/l", "x");
    let host = fixture.host();
    assert_eq!(host.attributes(at("/etc/l")).unwrap().unwrap().mode, 0o640);
    assert_eq!(host.attributes_of_link(at("/etc/l")).unwrap().unwrap().kind, safeguard_host::Kind::Symlink);
    assert_eq!(host.link(at("/etc/l")).unwrap().unwrap(), "x");
    assert_eq!(host.link(at("/etc/x")).unwrap(), None);
}

#[test]
fn a_dead_host_has_no_running_facts() {
    let why = Fixture::dead().host().live("the processes").unwrap_err();
    assert_eq!(why.cause, Cause::Phase);
    assert!(why.message.starts_with("the processes: not applicable in this phase"), "{why}");
    let mut fixture = Fixture::new();
    for phase in [Phase::Run, Phase::Boot] {
        fixture.phase = phase;
        assert_eq!(fixture.host().live("the processes"), Ok(()));
    }
}

#[test]
fn a_namespace_is_the_hosts_if_the_links_say_the_same() {
    let fixture = Fixture::new();
    assert!(fixture.host().in_namespace("net").is_err());
    fixture.link("/proc/1/ns/net", "net:[1]").link("/proc/self/ns/net", "net:[1]");
    fixture.link("/proc/1/ns/ipc", "ipc:[2]").link("/proc/self/ns/ipc", "ipc:[3]");
    assert_eq!(fixture.host().in_namespace("net"), Ok(()));
    assert_eq!(fixture.host().in_namespace("ipc").unwrap_err().cause, Cause::Namespace);
    // Two that are no links are the same in nothing.
    fixture.file("/proc/1/ns/uts", "").file("/proc/self/ns/uts", "");
    assert_eq!(fixture.host().in_namespace("uts").unwrap_err().cause, Cause::Namespace);
}

#[test]
fn what_was_asked_for_is_remembered_once_but_for_what_the_kernel_makes_up() {
    let fixture = Fixture::new();
    let host = fixture.host();
    host.text(at("/etc/a")).unwrap();
    host.entries(at("/etc/b.d")).unwrap();
    host.attributes(at("/etc/c")).unwrap();
    host.link(at("/etc/d")).unwrap();
    host.text(at("/proc/sys/x")).unwrap();
    host.text(at("/sys/y")).unwrap();
    let ((), touched) = host.touched_by(|| {
        host.text(at("/etc/e")).unwrap();
    });
    assert_eq!(host.take_touched(), ["/etc/a", "/etc/b.d", "/etc/c", "/etc/d"].map(PathBuf::from).into());
    assert!(host.take_touched().is_empty());
    host.share(touched);
    assert_eq!(host.take_touched(), BTreeSet::from(["/etc/e".into()]));
}

/// Whoever changes a file all the time does not get it believed: what is read is one of the states that it was in.
#[test]
fn a_file_that_changes_while_it_is_read_is_read_again() {
    let fixture = Fixture::new();
    // Each state has a length of its own: older kernels have clocks that do not tell writes of the same moment apart.
    let state = |byte: u8| vec![byte; 300_001 + 7 * usize::from(byte)];
    fixture.file("/etc/x", state(b'a'));
    let path = fixture.at("/etc/x");
    let host = fixture.host();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for byte in (b'a'..=b'z').cycle() {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                std::fs::write(&path, state(byte)).unwrap();
            }
        });
        for _ in 0..200 {
            match host.bytes(at("/etc/x"), 1 << 20) {
                Ok(Some(bytes)) => assert!(bytes.windows(2).all(|pair| pair[0] == pair[1]), "two states in one"),
                Ok(None) => panic!("it is there"),
                Err(why) => assert_eq!(why.cause, Cause::Changing, "{why}"),
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_host_has_one_name_and_no_path_in_it() {
    let node = crate::fixture::Fixture::new();
    assert_eq!(node.host().name(), None);
    node.file("/etc/hostname", "from-disk\n");
    assert_eq!(node.host().name().as_deref(), Some("from-disk"));
    node.file("/proc/sys/kernel/hostname", "node-1\n");
    assert_eq!(node.host().name().as_deref(), Some("node-1"));
    node.file("/proc/sys/kernel/hostname", "../other\n").file("/etc/hostname", "\n");
    assert_eq!(node.host().name(), None);
}
