#![expect(clippy::disallowed_methods, reason = "the tests start the programs that the filter forbids")]

use super::*;
use crate::child;
use std::convert::Infallible;
use std::ffi::CString;
use std::fs;
use std::io::Write;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Output};
use std::sync::mpsc;
use std::thread;

/// linux/signal.h, the same on both architectures.
const SIGSYS: i32 = 31;

/// Installs the filter while other threads already run, and reports on every thread.
fn install_and_report() {
    let (stop, stopped) = mpsc::channel::<Infallible>();
    let older = thread::spawn(move || assert!(stopped.recv().is_err()));
    confine().unwrap();
    let (stop_younger, stopped) = mpsc::channel::<Infallible>();
    let younger = thread::spawn(move || assert!(stopped.recv().is_err()));
    let mut report = String::new();
    for task in fs::read_dir("/proc/self/task").unwrap() {
        let status = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        let field = |name| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim();
        report += &format!("thread Seccomp={} NoNewPrivs={}\n", field("Seccomp:"), field("NoNewPrivs:"));
    }
    drop((stop, stop_younger));
    older.join().unwrap();
    younger.join().unwrap();
    std::io::stderr().write_all(report.as_bytes()).unwrap();
}

fn run(name: &str) -> (Output, String) {
    let output = child::command(name).output().unwrap();
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    (output, said)
}

const EXEC: &str = "seccomp::tests::child_that_execs_from_a_thread";

#[test]
fn child_that_execs_from_a_thread() {
    if child::is_child(EXEC) {
        install_and_report();
        let error = thread::spawn(|| Command::new("/bin/true").exec()).join().unwrap();
        panic!("still here after execve: {error}");
    }
}

#[test]
fn every_thread_is_filtered_and_execve_kills_the_process() {
    let (output, said) = run(EXEC);
    let threads: Vec<_> = said.lines().filter(|line| line.starts_with("thread ")).collect();
    // The harness's main thread, the test's, one started before the filter and one after.
    assert!(threads.len() >= 4, "{said}");
    assert!(threads.iter().all(|thread| *thread == "thread Seccomp=2 NoNewPrivs=1"), "{said}");
    assert_eq!(output.status.signal(), Some(SIGSYS), "{:?}: {said}", output.status);
}

const EXECVEAT: &str = "seccomp::tests::child_that_calls_execveat";

#[test]
fn child_that_calls_execveat() {
    if child::is_child(EXECVEAT) {
        install_and_report();
        let program = fs::File::open("/bin/true").unwrap();
        let arguments = [CString::new("true").unwrap()];
        let flags = nix::fcntl::AtFlags::AT_EMPTY_PATH;
        let error = nix::unistd::execveat(&program, c"", &arguments, &arguments, flags).unwrap_err();
        panic!("still here after execveat: {error}");
    }
}

#[test]
fn execveat_kills_the_process() {
    let (output, said) = run(EXECVEAT);
    assert!(said.contains("Seccomp=2"), "{said}");
    assert_eq!(output.status.signal(), Some(SIGSYS), "{:?}: {said}", output.status);
}

const SPAWN: &str = "seccomp::tests::child_that_spawns";

#[test]
fn child_that_spawns() {
    if child::is_child(SPAWN) {
        install_and_report();
        let spawned = Command::new("/bin/sh").args(["-c", "echo escaped >&2"]).status();
        // What remains of the attempt is a process that died before it was another program.
        let died = spawned.map_or(true, |status| status.signal() == Some(SIGSYS));
        // Everything else still works: files, threads, sockets.
        let socket = std::net::TcpListener::bind("127.0.0.1:0");
        let verdict = format!("died={died} socket={}\n", socket.is_ok());
        std::io::stderr().write_all(verdict.as_bytes()).unwrap();
    }
}

#[test]
fn a_spawned_program_never_runs_and_the_rest_goes_on() {
    let (output, said) = run(SPAWN);
    assert!(output.status.success(), "{:?}: {said}", output.status);
    assert!(said.contains("died=true socket=true") && !said.contains("escaped"), "{said}");
}

const SIGNAL: &str = "seccomp::tests::child_that_signals";

#[test]
fn child_that_signals() {
    if child::is_child(SIGNAL) {
        use nix::sys::signal::{Signal, kill, raise};
        install_and_report();
        // To itself it may: nothing happens by default.
        raise(Signal::SIGCONT).unwrap();
        kill(nix::unistd::getpid(), Signal::SIGCONT).unwrap();
        std::io::stderr().write_all(b"itself\n").unwrap();
        // Nothing would be sent, only asked whether it could be.
        let error = kill(nix::unistd::getppid(), None).unwrap_err();
        panic!("still here after kill: {error}");
    }
}

#[test]
fn a_signal_to_another_process_kills_this_one() {
    let (output, said) = run(SIGNAL);
    assert!(said.contains("itself"), "{said}");
    assert_eq!(output.status.signal(), Some(SIGSYS), "{:?}: {said}", output.status);
}

const ABORT: &str = "seccomp::tests::child_that_aborts";

#[test]
fn child_that_aborts() {
    if child::is_child(ABORT) {
        install_and_report();
        std::process::abort();
    }
}

/// A watchdog's dump, and a panic that cannot be unwound, end as they always did.
#[test]
fn a_process_can_still_end_itself() {
    let (output, said) = run(ABORT);
    assert_eq!(output.status.signal(), Some(nix::libc::SIGABRT), "{:?}: {said}", output.status);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn the_x32_calls_are_filtered_like_the_native_ones() {
    let compared: Vec<u32> = filter("x86_64", 7).unwrap().iter().map(|instruction| instruction.k).collect();
    for number in [59, 322, 101, 310, 311, 0x4000_0000 + 520, 0x4000_0000 + 545, 0x4000_0000 + 521, 0x4000_0000 + 62] {
        assert!(compared.contains(&number), "{number:#x} is not in {compared:x?}");
    }
}

#[test]
fn both_architectures_have_a_filter_and_others_a_message() {
    assert!(!filter("x86_64", 7).unwrap().is_empty());
    assert!(!filter("aarch64", 7).unwrap().is_empty());
    let message = filter("riscv64", 7).unwrap_err().to_string();
    assert!(message.contains("riscv64"), "{message}");
}
