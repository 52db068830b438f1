#![expect(clippy::disallowed_methods, reason = "a test makes the host's files")]

use super::*;
use nix::sys::stat::{SFlag, mknod};
use nix::unistd::mkfifo;
use std::os::unix::fs::symlink;

fn host() -> (tempfile::TempDir, HostRoot) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("var/log/pods")).unwrap();
    let root = HostRoot::open(dir.path()).unwrap();
    (dir, root)
}

#[test]
fn an_absolute_link_is_resolved_inside_the_root() {
    let (dir, root) = host();
    std::fs::create_dir_all(dir.path().join("data/log/pods")).unwrap();
    std::fs::write(dir.path().join("data/log/pods/x"), "inside").unwrap();
    std::fs::remove_dir_all(dir.path().join("var/log")).unwrap();
    symlink("/data/log", dir.path().join("var/log")).unwrap();
    let pods = root.dir(Path::new("/var/log/pods")).unwrap();
    assert_eq!(pods.entries().unwrap(), [Entry { name: "x".into(), kind: Some(Kind::File) }]);
}

#[test]
fn a_link_out_of_the_root_stays_inside() {
    let (dir, root) = host();
    std::fs::create_dir(dir.path().join("etc")).unwrap();
    std::fs::write(dir.path().join("etc/shadow"), "the root's own").unwrap();
    symlink("../../../../../../etc/shadow", dir.path().join("var/log/up")).unwrap();
    assert_eq!(root.read(Path::new("/var/log/up"), 100).unwrap(), b"the root's own");
}

#[test]
fn names_from_pods_follow_no_link() {
    let (dir, root) = host();
    symlink("/etc/shadow", dir.path().join("var/log/pods/0.log")).unwrap();
    symlink("/etc", dir.path().join("var/log/pods/dir")).unwrap();
    let pods = root.dir(Path::new("var/log/pods")).unwrap();
    assert!(matches!(pods.file(OsStr::new("0.log")), Err(HostError::Symlink { .. })));
    assert!(pods.dir(OsStr::new("dir")).is_err());
    assert!(pods.file(OsStr::new("../../../etc/passwd")).is_err());
    assert_eq!(pods.attributes(OsStr::new("0.log")).unwrap().kind, Kind::Symlink);
}

#[test]
fn a_fifo_a_device_and_a_directory_are_named_and_not_opened() {
    let (dir, root) = host();
    let pods_path = dir.path().join("var/log/pods");
    mkfifo(&pods_path.join("fifo"), Mode::S_IRUSR).unwrap();
    std::fs::create_dir(pods_path.join("dir")).unwrap();
    let pods = root.dir(Path::new("var/log/pods")).unwrap();
    let kind = |name: &str| match pods.file(OsStr::new(name)) {
        Err(HostError::NotRegular { kind, .. }) => kind,
        other => panic!("{name}: {other:?}"),
    };
    assert_eq!(kind("fifo"), Kind::Special);
    assert_eq!(kind("dir"), Kind::Directory);
    // Making a device node needs a capability that a sandbox may lack.
    if mknod(&pods_path.join("zero"), SFlag::S_IFCHR, Mode::S_IRUSR, nix::sys::stat::makedev(1, 5)).is_ok() {
        assert_eq!(kind("zero"), Kind::Special);
    }
}

#[test]
fn a_file_over_the_bound_is_refused_by_name() {
    let (dir, root) = host();
    std::fs::write(dir.path().join("big"), [b'x'; 101]).unwrap();
    let error = root.read(Path::new("big"), 100).unwrap_err().to_string();
    assert!(error.contains("big") && error.contains("100 bytes"), "{error}");
    assert_eq!(root.read(Path::new("big"), 101).unwrap().len(), 101);
    assert!(root.read(Path::new("none"), 100).unwrap_err().is_not_found());
}

#[test]
fn attributes_are_those_of_what_a_link_leads_to() {
    let (dir, root) = host();
    std::fs::write(dir.path().join("var/file"), "12345").unwrap();
    std::fs::set_permissions(dir.path().join("var/file"), std::os::unix::fs::PermissionsExt::from_mode(0o4640))
        .unwrap();
    symlink("file", dir.path().join("var/relative")).unwrap();
    symlink("/var/file", dir.path().join("var/absolute")).unwrap();
    symlink("../../../../var/file", dir.path().join("var/up")).unwrap();
    let file = root.attributes(Path::new("/var/file")).unwrap();
    assert_eq!((file.kind, file.mode, file.size, file.links), (Kind::File, 0o4640, 5, 1));
    for link in ["/var/relative", "/var/absolute", "/var/up", "/../var/./up"] {
        assert_eq!(root.attributes(Path::new(link)).unwrap(), file, "{link}");
    }
    assert_eq!(root.attributes(Path::new("/var/log")).unwrap().kind, Kind::Directory);
    assert_eq!(root.attributes(Path::new("/")).unwrap().kind, Kind::Directory);
}

#[test]
fn attributes_of_a_link_are_its_own_and_what_it_says_is_what_was_written() {
    let (dir, root) = host();
    symlink("/somewhere/../else", dir.path().join("var/link")).unwrap();
    symlink("/var", dir.path().join("through")).unwrap();
    for path in ["/var/link", "/through/link"] {
        assert_eq!(root.attributes_of_link(Path::new(path)).unwrap().kind, Kind::Symlink);
        assert_eq!(root.link(Path::new(path)).unwrap().unwrap(), "/somewhere/../else");
    }
    assert_eq!(root.link(Path::new("/var/log")).unwrap(), None);
    assert!(root.link(Path::new("/none")).unwrap_err().is_not_found());
    assert!(root.attributes_of_link(Path::new("/none")).unwrap_err().is_not_found());
}

#[test]
fn a_link_out_of_the_root_leads_nowhere() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), "x").unwrap();
    let (dir, root) = host();
    symlink(outside.path().join("secret"), dir.path().join("absolute")).unwrap();
    symlink(outside.path(), dir.path().join("directory")).unwrap();
    for path in ["/absolute", "/directory", "/directory/secret"] {
        assert!(root.attributes(Path::new(path)).unwrap_err().is_not_found(), "{path}");
        assert!(root.read(Path::new(path), 10).unwrap_err().is_not_found(), "{path}");
    }
    assert!(root.attributes_of_link(Path::new("/directory/secret")).unwrap_err().is_not_found());
}

#[test]
fn a_loop_of_links_ends() {
    let (dir, root) = host();
    symlink("b", dir.path().join("a")).unwrap();
    symlink("a", dir.path().join("b")).unwrap();
    assert!(matches!(root.attributes(Path::new("/a")), Err(HostError::Symlink { .. })));
    assert_eq!(root.link(Path::new("/a")).unwrap().unwrap(), "b");
}

/// Such a link (`/proc/PID/ns/net`, `/proc/PID/root`) leads wherever the kernel says, out of any root.
#[test]
fn a_magic_link_is_read_and_not_followed() {
    let root = HostRoot::open("/").unwrap();
    let says = root.link(Path::new("/proc/self/ns/net")).unwrap().unwrap();
    assert!(says.to_str().unwrap().starts_with("net:["), "{says:?}");
    assert_eq!(root.attributes_of_link(Path::new("/proc/self/ns/net")).unwrap().kind, Kind::Symlink);
    for followed in ["/proc/self/ns/net", "/proc/self/root", "/proc/self/root/etc", "/proc/self/fd/0"] {
        assert!(matches!(root.attributes(Path::new(followed)), Err(HostError::Symlink { .. })), "{followed}");
    }
}

#[test]
fn a_fifo_is_looked_at_but_not_opened() {
    let (dir, root) = host();
    mkfifo(&dir.path().join("fifo"), Mode::S_IRUSR).unwrap();
    symlink("fifo", dir.path().join("link")).unwrap();
    // Opening it for reading would wait for a writer that never comes.
    for path in ["/fifo", "/link"] {
        let seen = root.attributes(Path::new(path)).unwrap();
        assert_eq!((seen.kind, seen.mode), (Kind::Special, 0o400));
        assert!(matches!(root.read(Path::new(path), 10), Err(HostError::NotRegular { kind: Kind::Special, .. })));
    }
    assert_eq!(root.link(Path::new("/fifo")).unwrap(), None);
}
