#![expect(clippy::disallowed_methods, reason = "the tests look at the file from outside")]

use super::*;
use crate::child;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn makes_its_directory_and_writes_our_pid_for_root_alone() {
    let directory = directory();
    let path = directory.path().join("run/safeguard/agent.lock");
    let _lock = InstanceLock::acquire(&path).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o755);
}

#[test]
fn the_second_one_learns_who_holds_it_and_what_to_do() {
    let directory = directory();
    let path = directory.path().join("agent.lock");
    let lock = InstanceLock::acquire(&path).unwrap();
    let error = InstanceLock::acquire(&path).unwrap_err();
    assert!(matches!(&error, LockError::Held { holder: Some(pid), .. } if *pid == std::process::id()), "{error:?}");
    let message = error.to_string();
    for part in [path.to_str().unwrap(), &format!("pid {}", std::process::id()), "systemctl stop", "start again"] {
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
    drop(lock);
    assert!(path.exists(), "the file stays");
    let _again = InstanceLock::acquire(&path).unwrap();
}

#[test]
fn a_holder_that_has_not_written_yet_is_another_process() {
    let directory = directory();
    let path = directory.path().join("agent.lock");
    let _lock = InstanceLock::acquire(&path).unwrap();
    std::fs::write(&path, "").unwrap();
    let message = InstanceLock::acquire(&path).unwrap_err().to_string();
    assert!(message.contains("held by another process"), "{message}");
}

const HOLDER: &str = "lock::tests::child_that_holds_the_lock";

#[test]
fn child_that_holds_the_lock() {
    if child::is_child(HOLDER) {
        let _lock = InstanceLock::acquire(Path::new(&std::env::var_os("LOCK").unwrap())).unwrap();
        std::io::stderr().write_all(b"locked\n").unwrap();
        std::io::stdin().lines().for_each(drop);
    }
}

#[test]
fn survives_the_holders_sigkill() {
    let directory = directory();
    let path = directory.path().join("agent.lock");
    // What a crash of a process with a longer pid left behind must not run into ours.
    std::fs::write(&path, "4194304000000\n").unwrap();
    let mut holder = child::command(HOLDER)
        .env("LOCK", &path)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(holder.stderr.take().unwrap()).lines();
    assert!(said.any(|line| line.unwrap() == "locked"));
    let error = InstanceLock::acquire(&path).unwrap_err();
    assert!(matches!(&error, LockError::Held { holder: Some(pid), .. } if *pid == holder.id()), "{error:?}");
    holder.kill().unwrap();
    holder.wait().unwrap();
    let _lock = InstanceLock::acquire(&path).unwrap();
}

#[test]
fn follows_no_symlink_and_names_the_path_it_could_not_use() {
    let directory = directory();
    let target = directory.path().join("shadow");
    std::fs::write(&target, "root:x").unwrap();
    let path = directory.path().join("agent.lock");
    std::os::unix::fs::symlink(&target, &path).unwrap();
    let error = InstanceLock::acquire(&path).unwrap_err();
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "root:x");

    let below_a_file = target.join("agent.lock");
    let error = InstanceLock::acquire(&below_a_file).unwrap_err();
    assert!(error.to_string().contains("cannot make the directory of"), "{error}");
}
