//! Hosts that somebody prepared for whoever looks at them: what should be a file is a FIFO, a device, a link out of the root, or
//! content that no parser expects. Never a hang, never a panic, and never a pass more.

mod prey;
mod trap;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use prey::Prey;
use safeguard_checks::{Report, Status};
use trap::{Trap, remove};

use super::debian::Debian;
use crate::program::agent;
use safeguard_tests::parts::{Part, here};

/// Programs of the host: that they are there is all that is looked at.
const PROGRAMS: [&str; 3] = ["/lib/systemd/systemd", "/usr/lib/systemd/systemd", "/usr/sbin/sshd"];

/// Says which version's defaults hold. Without it they are modelled, and the evidence says so.
const VERSION: &str = "/etc/eks/kubelet-version.txt";

/// Where units are. What is no regular file is no unit to systemd either.
const UNITS: &str = "/systemd/system/";

/// In the place of each file that a control looks at, each trap. A control that rests on the file does not pass with what cannot be
/// opened or understood, and none passes that does not without the file.
#[test]
fn what_is_in_the_place_of_a_file_lets_nothing_pass() {
    if !here("checks::hostile::what_is_in_the_place_of_a_file_lets_nothing_pass", Part::Debian) {
        return;
    }
    let prey = Prey::new();
    let (files, aside) = (prey.files(), prey.debian.beside("aside"));
    assert!(files.len() > 50, "only {} files: {files:?}", files.len());
    let mut problems = Vec::new();
    for path in files {
        let (at, looks) = (prey.at(&path), prey.who_looks_at(&path));
        let with = prey.findings(&looks);
        fs::rename(&at, &aside).unwrap();
        let without = prey.findings(&looks);
        for trap in Trap::ALL {
            trap.set(&at, &aside);
            let now = prey.findings(&looks);
            remove(&at);
            for (n, looks) in looks.iter().enumerate().filter(|(n, _)| now[*n].status == Status::Pass) {
                let rests_on_it = with[n] != without[n];
                let is_nothing = trap.is_nothing() || path == Path::new(VERSION);
                let wrong = if is_nothing || (!trap.is_content() && path.to_str().unwrap().contains(UNITS)) {
                    without[n].status != Status::Pass
                } else if trap.is_content() {
                    // A mode is that of the file, whatever is in it.
                    let is_program = PROGRAMS.iter().any(|program| path == Path::new(program));
                    rests_on_it && looks.reads && !is_program
                } else {
                    rests_on_it
                };
                if wrong {
                    problems.push(format!("{} with {trap:?} in place of {}", looks.name, path.display()));
                }
            }
        }
        fs::rename(&aside, &at).unwrap();
    }
    assert!(problems.is_empty(), "{} pass:\n{}", problems.len(), problems.join("\n"));
}

/// In the place of each directory, and of what it is a part of.
#[test]
fn what_is_no_directory_lets_nothing_more_pass() {
    if !here("checks::hostile::what_is_no_directory_lets_nothing_more_pass", Part::Debian) {
        return;
    }
    let prey = Prey::new();
    let (directories, aside) = (prey.directories(), prey.debian.beside("aside"));
    assert!(directories.len() > 20, "only {} directories: {directories:?}", directories.len());
    let mut problems = Vec::new();
    for path in directories.iter().filter(|path| path.parent().is_some()) {
        let (at, looks) = (prey.at(path), prey.who_looks_at(path));
        fs::rename(&at, &aside).unwrap();
        let mut without = prey.passing(&looks);
        // Where a link in place of a directory is not followed, nothing is in it.
        fs::create_dir(&at).unwrap();
        without.append(&mut prey.passing(&looks));
        remove(&at);
        for trap in [Trap::Fifo, Trap::Device, Trap::LinkOut, Trap::LinkUp, Trap::LinkNowhere, Trap::LinkToItself] {
            trap.set(&at, &aside);
            let more = prey.passing(&looks);
            remove(&at);
            problems.extend(more.difference(&without).map(|name| format!("{name} with {trap:?} in place of {path:?}")));
        }
        fs::rename(&aside, &at).unwrap();
    }
    assert!(problems.is_empty(), "{} pass:\n{}", problems.len(), problems.join("\n"));
}

/// More names than anybody has, none of them text. What a name that is no text holds is read all the same, or not known.
#[test]
fn names_that_are_no_text_hide_nothing() {
    if !here("checks::hostile::names_that_are_no_text_hide_nothing", Part::Debian) {
        return;
    }
    let prey = Prey::new();
    let weak = [
        ("/etc/sysctl.d", "conf", "kernel.randomize_va_space = 0\n", "KRN-08"),
        ("/etc/modprobe.d", "conf", "install overlay /bin/false\n", "MOD-05"),
        ("/etc/ssh/sshd_config.d", "conf", "PermitRootLogin yes\n", "SSH-01"),
        ("/etc/systemd/journald.conf.d", "conf", "[Journal]\nStorage=none\n", "AUD-09"),
        ("/etc/kubernetes/kubelet/config.json.d", "conf", KUBELET, "KUB-06"),
        ("/etc/audit/rules.d", "rules", "-A never,exit -F arch=b64 -S all\n", "AUD-05"),
    ];
    for (directory, extension, content, control) in weak {
        // sshd takes the first, audit the last of all; the others the last.
        for first in [b"\x01\xff".as_slice(), b"\xff\xfe".as_slice()] {
            let name = [first, b".", extension.as_bytes()].concat();
            let at = prey.at(Path::new(directory)).join(OsStr::from_bytes(&name));
            let looks = prey.called(control);
            fs::write(&at, content).unwrap();
            fs::set_permissions(&at, Permissions::from_mode(0o600)).unwrap();
            let passing = prey.passing(&looks);
            remove(&at);
            let wins = (first[0] == 1) == (control == "SSH-01");
            assert!(!wins || passing.is_empty(), "{control} passes with {} in {directory}", name.escape_ascii());
            assert_eq!(prey.passing(&looks).len(), 1, "{control}");
        }
    }
}

const KUBELET: &str = r#"{"kind": "KubeletConfiguration", "apiVersion": "kubelet.config.k8s.io/v1beta1",
 "authentication": {"webhook": {"enabled": false}}}"#;

/// Memory dumps can be turned off by what is no kernel parameter, and where the kubeconfig is no drop-in says.
const NOT_BY_NAMES: [&str; 5] = ["/KRN-14", "/3.1.1", "/3.1.2", "/4.1.5", "/4.1.6"];

#[test]
fn a_directory_with_endless_names_lets_nothing_pass() {
    if !here("checks::hostile::a_directory_with_endless_names_lets_nothing_pass", Part::Debian) {
        return;
    }
    let prey = Prey::new();
    let (many, aside) = (prey.debian.beside("many"), prey.debian.beside("aside"));
    fs::create_dir(&many).unwrap();
    // A few more than are looked at.
    (0..10_100).for_each(|n| drop(fs::File::create(many.join(format!("x{n}.conf"))).unwrap()));
    for directory in [
        "/etc/sysctl.d",
        "/etc/modprobe.d",
        "/etc/ssh/sshd_config.d",
        "/etc/audit/rules.d",
        "/etc/systemd/system",
        "/etc/kubernetes/kubelet/config.json.d",
        "/etc/cni/net.d",
    ] {
        let (at, looks) = (prey.at(Path::new(directory)), prey.who_looks_at(Path::new(directory)));
        fs::rename(&at, &aside).unwrap();
        fs::rename(&many, &at).unwrap();
        let passing = prey.passing(&looks);
        fs::rename(&at, &many).unwrap();
        fs::rename(&aside, &at).unwrap();
        let passing: Vec<_> = passing.iter().filter(|name| !NOT_BY_NAMES.iter().any(|id| name.ends_with(id))).collect();
        assert!(!looks.is_empty() && passing.is_empty(), "{directory}: {passing:?}");
    }
}

/// Files that include each other without end, and a chain of them that is too long to be meant.
#[test]
fn includes_that_never_end_are_unknown() {
    if !here("checks::hostile::includes_that_never_end_are_unknown", Part::Debian) {
        return;
    }
    let prey = Prey::new();
    let (sshd, config) = (prey.called("SSH-01"), prey.at(Path::new("/etc/ssh/sshd_config")));
    let good = fs::read_to_string(&config).unwrap();
    let chain = |n: u32| format!("Include /etc/ssh/{}.conf\nInclude /etc/ssh/{}.conf\n", n + 1, n + 1);
    for n in 0..40 {
        // Two from each: read one by one these are a million million files.
        fs::write(prey.at(Path::new(&format!("/etc/ssh/{n}.conf"))), chain(n)).unwrap();
    }
    for (what, text) in [
        ("itself", "Include /etc/ssh/sshd_config\n"),
        ("itself, by a pattern", "Include /etc/ssh/sshd_conf*\n"),
        ("a million million", "Include /etc/ssh/0.conf\n"),
        ("every file there is", "Include /*/*/*\nInclude /*/*/*/*\n"),
        (
            "a pattern that is slow to match",
            "Include /etc/*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b\nInclude /etc/ssh/sshd_config\n",
        ),
    ] {
        fs::write(&config, format!("{text}{good}")).unwrap();
        assert_eq!(prey.passing(&sshd).len(), 0, "{what}");
    }
    fs::write(&config, good).unwrap();
    assert_eq!(prey.passing(&sshd).len(), 1);
}

/// Directories deeper than a path may be long, and links that lead to each other one time more than the kernel follows.
#[test]
fn depth_without_end_is_unknown_or_nothing() {
    if !here("checks::hostile::depth_without_end_is_unknown_or_nothing", Part::Debian) {
        return;
    }
    let prey = Prey::new();
    let before = prey.passing(prey.controls());
    for directory in ["/etc/sysctl.d", "/etc/audit/rules.d", "/etc/ssh/sshd_config.d", "/etc/sudoers.d", "/lib/modules"]
    {
        let mut at = prey.at(Path::new(directory));
        for _ in 0..200 {
            at.push("deep.conf");
        }
        fs::create_dir_all(&at).unwrap();
    }
    // A directory with the name of a file is no file: what comes of it is the same or less.
    let deep = prey.passing(prey.controls());
    assert!(deep.is_subset(&before), "{:?}", deep.difference(&before));

    let (links, passwd) = (prey.at(Path::new("/etc/links")), prey.at(Path::new("/etc/passwd")));
    fs::create_dir(&links).unwrap();
    fs::rename(&passwd, links.join("0")).unwrap();
    for n in 0..41 {
        symlink(n.to_string(), links.join((n + 1).to_string())).unwrap();
    }
    symlink("links/41", &passwd).unwrap();
    let looks = prey.who_looks_at(Path::new("/etc/passwd"));
    assert_eq!(prey.passing(&looks), BTreeSet::new());
}

/// Somebody writes while it is read. What is on the disk is never right as a whole, so it never passes.
#[test]
fn what_changes_while_it_is_read_never_passes() {
    if !here("checks::hostile::what_changes_while_it_is_read_never_passes", Part::Debian) {
        return;
    }
    let prey = Prey::new();
    let (looks, at) = (prey.called("SYS-04"), prey.at(Path::new("/etc/sysctl.d/99-kubernetes.conf")));
    let (first, filler) = ("kernel.panic = 10\n", "# nothing\n".repeat(5_000));
    let end = u64::try_from(first.len() + filler.len()).unwrap();
    fs::write(&at, format!("{first}{filler}kernel.panic_on_oops = 0\n")).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let (until, path, pause) = (stop.clone(), at.clone(), pause());
    let writer = std::thread::spawn(move || {
        let file = fs::File::options().write(true).open(path).unwrap();
        // One of the two values is wrong at each moment; the beginning from one moment and the end from another would be right.
        let steps = [
            (0, "kernel.panic = 99\n"),
            (end, "kernel.panic_on_oops = 1\n"),
            (end, "kernel.panic_on_oops = 0\n"),
            (0, "kernel.panic = 10\n"),
        ];
        let mut written = 0_u64;
        while !until.load(Ordering::Relaxed) {
            for (at, line) in steps {
                file.write_all_at(line.as_bytes(), at).unwrap();
                std::thread::sleep(pause);
                written += 1;
            }
        }
        written
    });
    let (late, mut judged) = (Instant::now() + Duration::from_secs(5), 0);
    while Instant::now() < late {
        assert_eq!(prey.passing(&looks), BTreeSet::new(), "after {judged} times");
        judged += 1;
    }
    stop.store(true, Ordering::Relaxed);
    let written = writer.join().unwrap();
    assert!(judged > 20 && written > 100, "{judged} judgements of {written} changes");
}

/// A change is noticed by the file's time. Until Linux 6.13 that is the time of the last tick, of which there are a hundred a second
/// at least: of two changes in one tick the second would not be noticed.
fn pause() -> Duration {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version >= (6, 13) { Duration::ZERO } else { Duration::from_millis(12) }
}

/// Whoever may not read a file does not know what is in it.
#[test]
fn what_may_not_be_read_is_unknown() {
    if !here("checks::hostile::what_may_not_be_read_is_unknown", Part::Debian) {
        return;
    }
    let debian = Debian::hardened();
    let as_root = debian.passing_as(0);
    // Modes are what many controls look at, so they stay: nobody but root may search /etc any more.
    fs::set_permissions(debian.beside("."), Permissions::from_mode(0o755)).unwrap();
    let before = debian.passing_as(NOBODY);
    let more: Vec<_> = before.difference(&as_root).collect();
    assert!(more.is_empty(), "without rights more passes: {more:?}");
    assert!(!before.contains("eks-node-hardening/ACC-02"), "/etc/shadow was not read");
    assert!(!before.contains("eks-node-hardening/SSH-01"), "sshd_config was not read");
    for directory in ["/etc", "/usr", "/boot", "/lib/modules", "/var"] {
        let at = debian.at(directory);
        let mode = fs::metadata(&at).unwrap().permissions();
        fs::set_permissions(&at, Permissions::from_mode(0o700)).unwrap();
        let passing = debian.passing_as(NOBODY);
        fs::set_permissions(&at, mode).unwrap();
        let more: Vec<_> = passing.difference(&before).collect();
        assert!(more.is_empty(), "with {directory} closed more passes: {more:?}");
        assert!(
            directory != "/etc" || passing.iter().all(|name| !READS_ETC.iter().any(|id| name.ends_with(id))),
            "{passing:?}"
        );
    }
}

/// Controls that cannot pass unless something below `/etc` was read.
const READS_ETC: [&str; 10] =
    ["/ACC-01", "/ACC-05", "/SSH-03", "/SSH-06", "/FIL-01", "/FIL-02", "/AUD-05", "/KRN-08", "/OPS-06", "/OPS-03"];

/// A user without rights.
const NOBODY: u32 = 65_534;

impl Debian {
    /// What passes for a user, as the program says.
    fn passing_as(&self, uid: u32) -> BTreeSet<String> {
        let copy = self.beside("safeguard-agent");
        if !copy.exists() {
            fs::copy(agent(), &copy).unwrap();
        }
        let mut program = Command::new(copy);
        program.env_clear().uid(uid).gid(uid).arg("check").arg("--root").arg(self.root());
        let output = program.args(["--phase", "build", "--format", "json", "--no-eks-exceptions"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(0 | 1)), "{}: {said}", output.status);
        let report: Report = serde_json::from_slice(&output.stdout).unwrap();
        let passing = report.findings().filter(|(_, finding)| finding.status == Status::Pass);
        passing.map(|(policy, finding)| format!("{policy}/{}", finding.control)).collect()
    }
}
