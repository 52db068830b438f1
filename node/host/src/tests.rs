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
