//! A Debian with a real systemd and journald, booted in a container of its own for one test.
//!
//! Needs root, Debian's `systemd-container`, an overlay file system and the disk that `tests/run` makes with
//! debootstrap. The disk is shared and never written: each machine has its changes in a directory of its own. All mounts
//! are in a namespace that ends with the machine, so a killed test leaves none.
#![expect(
    clippy::disallowed_methods,
    reason = "the harness owns its directories and starts the machine under test; only the agent is held to those seams"
)]

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use safeguard_standins::Listen;
use tempfile::TempDir;

/// How long a boot may take. It takes about two seconds; on a loaded machine ten times that.
const BOOT_DEADLINE: Duration = Duration::from_secs(60);

/// How long a shutdown may take before the machine is killed, and the kernel to give back the cgroups after it.
const STOP_DEADLINE: Duration = Duration::from_secs(30);

/// How long a command may take inside, in seconds.
const RUN_DEADLINE: &str = "60";

/// How often a state is asked for while waiting.
const POLL: Duration = Duration::from_millis(20);

/// Where systemd keeps track of processes: version 2 alone, version 1, and version 2 beside version 1.
const HIERARCHIES: [&str; 3] = ["/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"];

/// Starts the container manager as the process that was spawned, in the cgroup $1, on the disk $2 with its changes below
/// $3.
///
/// Its input ends when the test process ends in whatever way. A watcher, itself outside the cgroup, then kills the machine
/// and removes the cgroup, unless a line told it that the end was in order. Killing the manager is not enough: what runs
/// inside survives it. Machines in one cgroup would disturb each other, so each has its own. systemd-nspawn refuses to
/// work where `/run` is on a disk, as it is in some containers, so it gets another one.
const SCRIPT: &str = r#"
each() { for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do "$@" "$hierarchy"; done; }
enter() { [ ! -e "$2/cgroup.procs" ] || { mkdir -p "$2/$1" && echo $$ > "$2/$1/cgroup.procs"; }; }
end() {
    find "$2/$1" -name cgroup.procs -exec cat {} + | while read -r pid; do [ "$pid" -le 1 ] || kill -9 "$pid"; done
    find "$2/$1" -depth -type d -exec rmdir {} +
}
exec 3<&0 </dev/null
(
    read -r _ <&3 && exit
    kill -9 $$
    for _ in 1 2 3 4 5 6 7 8 9 10; do each end "$1"; sleep 0.2; done
) >/dev/null 2>&1 &
exec 3<&-
each enter "$1"
exec unshare --mount --propagation private sh -ec '
    mount -t tmpfs -o mode=755 tmpfs /run
    mount -t overlay -o "lowerdir=$2,upperdir=$3/disk,workdir=$3/work" overlay "$3/root"
    exec systemd-nspawn --quiet --boot --register=no --keep-unit --private-network --console=pipe \
        --machine="$1" --directory="$3/root"
' "$0" "$@"
"#;

/// Where journald keeps its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In `/var/log/journal`, which a reboot leaves in place.
    Persistent,
    /// In `/run/log/journal`, which a reboot empties.
    Volatile,
}

/// A booted machine. Dropping it shuts it down and removes what it wrote; so does a watcher, but for the files, when the
/// test process is killed.
#[derive(Debug)]
pub struct Machine {
    /// The container manager, and the input that its watcher reads.
    manager: Child,
    /// The machine's first process, as the host numbers it.
    leader: Arc<AtomicU32>,
    /// The cgroup, also the name of the container.
    name: String,
    dir: TempDir,
}

impl Machine {
    /// What a machine needs and is not here, as `tests/run` names it. Empty when a machine can be booted.
    pub fn missing() -> Vec<&'static str> {
        let mut missing = Vec::new();
        // The owner of this directory is the effective user.
        if !fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) {
            missing.push("root");
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        if !std::env::split_paths(&path).any(|dir| dir.join("systemd-nspawn").exists()) {
            missing.push("systemd-container");
        }
        if !debian().is_ok_and(|disk| disk.join("lib/systemd/systemd").exists()) {
            missing.push("debian");
        }
        missing
    }

    /// Boots a machine and waits until its services are up.
    ///
    /// Its journal is not rate limited, so a test may write as much as it likes. The machine identifier is the same in
    /// every machine. The error has the end of the console.
    pub fn boot(storage: Storage) -> Result<Self, String> {
        let dir =
            tempfile::Builder::new().prefix("safeguard-machine-").tempdir().map_err(|e| format!("tempdir: {e}"))?;
        let name = dir.path().file_name().and_then(|name| name.to_str()).ok_or("a strange tempdir")?.to_owned();
        let settings = dir.path().join("disk/etc/systemd/journald.conf.d");
        for path in [&settings, &dir.path().join("work"), &dir.path().join("root")] {
            fs::create_dir_all(path).map_err(|e| format!("create {}: {e}", path.display()))?;
        }
        let storage = match storage {
            Storage::Persistent => "persistent",
            Storage::Volatile => "volatile",
        };
        let text = format!("[Journal]\nStorage={storage}\nRateLimitIntervalSec=0\nRateLimitBurst=0\n");
        fs::write(settings.join("test.conf"), text).map_err(|e| format!("settings of journald: {e}"))?;
        // Otherwise the one that debootstrap found where it ran.
        fs::write(dir.path().join("disk/etc/hostname"), "node\n").map_err(|e| format!("hostname: {e}"))?;
        let manager = spawn(&name, dir.path())?;
        // Made before the wait, so that a failure to boot ends what was started.
        let mut machine = Self { manager, leader: Arc::default(), name, dir };
        machine.wait_booted()?;
        Ok(machine)
    }

    /// The machine's `/` as it sees it itself, with `/run` and `/proc`. Another one after [`Self::reboot`].
    pub fn root(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", self.leader()))
    }

    /// A stand-in that listens here listens on this port of the machine's own loopback; on that of each boot, once it was down and
    /// came up again.
    pub fn listen(&self, port: u16) -> Listen {
        self.listen_at((Ipv4Addr::LOCALHOST, port).into())
    }

    /// The same for any address that the machine has.
    pub fn listen_at(&self, address: SocketAddr) -> Listen {
        let leader = Arc::clone(&self.leader);
        Listen::with(move || {
            let network = File::open(format!("/proc/{}/ns/net", leader.load(Ordering::Relaxed)))?;
            setns(network, CloneFlags::CLONE_NEWNET)?;
            TcpListener::bind(address)
        })
    }

    fn leader(&self) -> u32 {
        self.leader.load(Ordering::Relaxed)
    }

    /// What the machine has written to its disk, such as `var/log/journal`. Stays through [`Self::reboot`].
    pub fn disk(&self) -> PathBuf {
        self.dir.path().join("disk")
    }

    /// Runs a command inside as root and returns what it wrote to its standard output. An exit status other than 0, and
    /// more than a minute, is an error.
    ///
    /// The command belongs to no unit. For one that does, use `systemd-run --wait --unit=NAME`.
    pub fn run(&self, command: &[&str]) -> Result<String, String> {
        let shown = command.join(" ");
        // Files rather than pipes: a process that the command left behind would keep a pipe open past the deadline.
        let file = || tempfile::tempfile_in(self.dir.path()).map_err(|e| format!("output of {shown}: {e}"));
        let (mut out, mut err) = (file()?, file()?);
        let to = |file: &File| file.try_clone().map(Stdio::from).map_err(|e| format!("output of {shown}: {e}"));
        let status = Command::new("timeout")
            .args(["--kill-after=5", RUN_DEADLINE, "nsenter", "-t", &self.leader().to_string()])
            .args(["-m", "-u", "-i", "-n", "-p", "--"])
            .args(command)
            .stdin(Stdio::null())
            .stdout(to(&out)?)
            .stderr(to(&err)?)
            .status()
            .map_err(|e| format!("nsenter: {e}"))?;
        if status.success() {
            return read(&mut out).map_err(|e| format!("output of {shown}: {e}"));
        }
        Err(format!("{shown}: {status}: {}", read(&mut err).unwrap_or_default().trim_end()))
    }

    /// The journal as `journalctl` inside prints it, one JSON object an entry, oldest first: what an oracle compares with.
    pub fn journal_json(&self, arguments: &[&str]) -> Result<Vec<String>, String> {
        // What was written before must be in the files, also for a reader outside.
        self.run(&["journalctl", "--sync"])?;
        let mut command = vec!["journalctl", "-o", "json", "--no-pager", "-q", "--all"];
        command.extend(arguments);
        Ok(self.run(&command)?.lines().map(str::to_owned).collect())
    }

    /// Shuts the machine down in order and boots it again on the same disk.
    pub fn reboot(&mut self) -> Result<(), String> {
        self.stop("RTMIN+5")?;
        self.manager = spawn(&self.name, self.dir.path())?;
        self.wait_booted()
    }

    /// Finds the first process and waits until it has started everything.
    fn wait_booted(&mut self) -> Result<(), String> {
        let until = Instant::now() + BOOT_DEADLINE;
        let mut state = "no first process".to_owned();
        while Instant::now() < until {
            if let Ok(Some(status)) = self.manager.try_wait() {
                return Err(format!("the machine ended: {status}: {}", self.console()));
            }
            if let Some(leader) = leader_of(self.manager.id()) {
                self.leader.store(leader, Ordering::Relaxed);
                // A degraded machine is up too: the kernel of a container host may deny what some unit wants.
                let command = ["sh", "-c", "systemctl is-system-running || true"];
                state = self.run(&command).unwrap_or_else(|error| error).trim_end().to_owned();
                if state == "running" || state == "degraded" {
                    return Ok(());
                }
            }
            std::thread::sleep(POLL);
        }
        Err(format!("not booted within {BOOT_DEADLINE:?}: {state}: {}", self.console()))
    }

    /// Asks the first process to end (systemd(1), "Signals"), and kills the machine when it has not within the deadline.
    fn stop(&mut self, signal: &str) -> Result<(), String> {
        let asked = self.leader() > 0 && self.manager.try_wait().is_ok_and(|ended| ended.is_none()) && {
            // The standard library sends no signals, and nix knows no real-time ones.
            let leader = self.leader().to_string();
            Command::new("sh").args(["-c", r#"kill -s "$0" "$1""#, signal, &leader]).status().is_ok_and(|s| s.success())
        };
        let until = Instant::now() + STOP_DEADLINE;
        while asked && Instant::now() < until && self.manager.try_wait().is_ok_and(|ended| ended.is_none()) {
            std::thread::sleep(POLL);
        }
        let in_time = self.manager.try_wait().is_ok_and(|ended| ended.is_some());
        // The end of its input has the watcher kill the machine. `wait` closes it, but for a manager that has ended it is
        // told first that nothing is to be done.
        if let Some(watcher) = self.manager.stdin.as_mut().filter(|_| in_time) {
            drop(watcher.write_all(b"\n"));
        }
        drop(self.manager.wait());
        self.leader.store(0, Ordering::Relaxed);
        // The last process gives back the mounts as well, so the same disk may be mounted again.
        let until = Instant::now() + STOP_DEADLINE;
        while !HIERARCHIES.iter().all(|hierarchy| remove_cgroup(&Path::new(hierarchy).join(&self.name))) {
            if Instant::now() > until {
                return Err(format!("processes are left in the cgroup {}", self.name));
            }
            std::thread::sleep(POLL);
        }
        if asked && !in_time { Err(format!("not down within {STOP_DEADLINE:?}: {}", self.console())) } else { Ok(()) }
    }

    /// The end of what was written to the console, for an error.
    fn console(&self) -> String {
        let text = fs::read(self.dir.path().join("console")).unwrap_or_default();
        String::from_utf8_lossy(&text[text.len().saturating_sub(2000)..]).into_owned()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Err(error) = self.stop("RTMIN+3") {
            // To whoever looks at the test's output; there is nobody else left to tell.
            drop(writeln!(std::io::stderr(), "machine {}: {error}", self.name));
        }
    }
}

/// The disk that all machines start from. Nobody writes to it.
pub fn debian() -> Result<PathBuf, String> {
    let home = std::env::var_os("HOME").ok_or("HOME is not set")?;
    Ok(Path::new(&home).join(".cache/safeguard/debian"))
}

fn spawn(name: &str, dir: &Path) -> Result<Child, String> {
    let console =
        File::options().create(true).append(true).open(dir.join("console")).map_err(|e| format!("console: {e}"))?;
    let errors = console.try_clone().map_err(|e| format!("console: {e}"))?;
    Command::new("sh")
        .args(["-c", SCRIPT, "machine", name])
        .arg(debian()?)
        .arg(dir)
        // A group of its own, so that Ctrl-C at a terminal does not end the watcher together with the test.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(console)
        .stderr(errors)
        .spawn()
        .map_err(|e| format!("start the machine: {e}"))
}

/// The child of the manager that is the first process of its namespace: the second number of `NSpid` is 1.
fn leader_of(manager: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{manager}/task/{manager}/children")).ok()?;
    children.split_whitespace().find_map(|pid| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let mut inside = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?.split_whitespace().skip(1);
        (inside.next() == Some("1")).then(|| pid.parse().ok())?
    })
}

/// Removes a cgroup and those below it; whether it is gone.
fn remove_cgroup(group: &Path) -> bool {
    for entry in fs::read_dir(group).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir()) {
        remove_cgroup(&entry.path());
    }
    fs::remove_dir(group).is_ok() || !group.exists()
}

fn read(file: &mut File) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
