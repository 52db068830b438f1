//! Looking at a host starts no program: the kernel refuses it from the first byte on that is read of the host.

use std::fs;
use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use safeguard_checks::Report;

use super::debian::{Debian, check};
use crate::program::agent;
use safeguard_tests::parts::{Part, here};

/// For what a healthy program does at once; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(10);

/// A `check` that has everything to say and cannot: its report is larger than a pipe.
fn held() -> Child {
    let mut program = Command::new(agent());
    program.env_clear().args(["check", "--root", "/", "--format", "json"]).stdout(Stdio::piped()).spawn().unwrap()
}

/// A field of `/proc/PID/status`.
fn field(pid: u32, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap().trim().to_owned()
}

/// Where the report is written, all that was read of the host is behind it.
#[test]
fn a_running_check_has_its_filter_and_no_children() {
    let mut child = held();
    let pid = child.id();
    let late = Instant::now() + PATIENCE;
    while !fs::read_to_string(format!("/proc/{pid}/wchan")).unwrap_or_default().contains("pipe") {
        assert!(child.try_wait().unwrap().is_none(), "it has ended: the report fits into a pipe");
        // Where the kernel does not tell what a process waits for, one that sleeps that long waits for its reader.
        if Instant::now() > late {
            assert!(field(pid, "State").starts_with('S'));
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    // A filter, not the strict mode (proc(5)); and what it inherits to others.
    assert_eq!((field(pid, "Seccomp"), field(pid, "NoNewPrivs")), ("2".to_owned(), "1".to_owned()));
    let mut children = String::new();
    for task in fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        children += &fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default();
    }
    assert_eq!(children, "");
    let mut report = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut report).unwrap();
    assert!(report.len() > 64 << 10, "{} bytes", report.len());
    let _: Report = serde_json::from_slice(&report).unwrap();
    assert!(matches!(child.wait().unwrap().code(), Some(0 | 1)));
}

/// The only execve of a whole run is the one that started it; it makes no process either, opens no socket and writes no file.
#[test]
fn a_check_does_nothing_but_read() {
    if !here("checks::no_exec::a_check_does_nothing_but_read", Part::Strace) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let trace = dir.path().join("trace");
    let mut strace = Command::new("strace");
    strace.args([
        "-f",
        "-qq",
        "-e",
        "trace=%process,%network,openat,openat2,creat,unlink,unlinkat,rename,renameat2,mkdir,mkdirat",
    ]);
    strace.arg("-o").arg(&trace).arg(agent()).args(["check", "--root", "/", "--fail-on", "none"]);
    assert!(strace.stdout(Stdio::null()).status().unwrap().success());
    let trace = fs::read_to_string(trace).unwrap();
    // Each line: the thread, the call, its arguments and what came of it.
    let calls = |name: &str| -> Vec<&str> {
        trace
            .lines()
            .filter(|line| line.split_once(' ').is_some_and(|(_, call)| call.trim_start().starts_with(name)))
            .collect()
    };
    assert_eq!(calls("execve(").len(), 1, "{:?}", calls("execve("));
    for forbidden in ["execveat(", "fork(", "vfork(", "socket(", "connect(", "creat(", "unlink", "rename", "mkdir"] {
        assert_eq!(calls(forbidden), Vec::<&str>::new());
    }
    let threads_only = |line: &&str| line.contains("CLONE_THREAD");
    assert!(calls("clone").iter().all(threads_only), "{:?}", calls("clone"));
    let writes = |line: &&&str| ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"].iter().any(|flag| line.contains(flag));
    assert_eq!(calls("open").iter().filter(writes).collect::<Vec<_>>(), Vec::<&&str>::new());
    assert!(calls("openat2(").len() > 100, "it did look: {}", calls("openat2(").len());
}

/// A host on which every program is gone is looked at like any other: none of them was needed.
#[test]
fn no_program_of_the_host_is_needed() {
    if !here("checks::no_exec::no_program_of_the_host_is_needed", Part::Debian) {
        return;
    }
    let debian = Debian::hardened();
    let before = check(&debian.root(), &[]);
    for dir in ["/usr/bin", "/usr/sbin"] {
        for program in fs::read_dir(debian.at(dir)).unwrap() {
            let program = program.unwrap();
            // Empty, and as it was: whether it is there is something to look at.
            if program.file_type().unwrap().is_file() {
                fs::File::options().write(true).truncate(true).open(program.path()).unwrap();
            }
        }
    }
    let after = check(&debian.root(), &[]);
    assert_eq!(before.changes(&after), []);
}
