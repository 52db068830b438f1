//! A network namespace as an open file.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::process::{Command, Stdio};

use nix::sched::{CloneFlags, setns, unshare};

/// Open as long as this is.
#[derive(Debug)]
pub(super) struct Namespace(OwnedFd);

impl Namespace {
    /// A new one, in which `lo` is up and addresses are usable at once.
    pub(super) fn new() -> io::Result<Self> {
        // Of the thread alone, which ends with it; the file holds the namespace.
        let made = std::thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            File::open("/proc/thread-self/ns/net")
        });
        let file = made.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        let namespace = Self(file.into());
        if fs::exists("/proc/sys/net/ipv6")? {
            namespace.sysctl("net/ipv6/conf/default/accept_dad", "0")?;
        }
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// The same, opened once more.
    pub(super) fn entrance(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// Moves the calling thread into it.
    pub(super) fn enter(&self) -> io::Result<()> {
        Ok(setns(self.0.as_fd(), CloneFlags::CLONE_NEWNET)?)
    }

    pub(super) fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let inside = || {
            self.enter().expect("only root builds a fabric, and root may enter it");
            work()
        };
        std::thread::scope(|scope| scope.spawn(inside).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// What other processes can open it by while this one runs.
    pub(super) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }

    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path())).args(["--", "setpriv", "--pdeathsig", "KILL", "--", program]);
        command
    }

    pub(super) fn ip(&self, lines: &str) -> io::Result<()> {
        let mut ip = self.command("ip");
        ip.args(["-batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = ip.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(lines.as_bytes())?;
            stdin.write_all(b"\n")?;
        }
        let ended = child.wait_with_output()?;
        if ended.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&ended.stderr).trim_end().to_owned();
        Err(io::Error::other(format!("ip: {said}: {lines}")))
    }

    pub(super) fn sysctl(&self, name: &str, value: &str) -> io::Result<()> {
        // The kernel shows each thread the sysctls of its own namespace.
        self.within(|| fs::write(format!("/proc/sys/{name}"), value))
            .map_err(|error| io::Error::new(error.kind(), format!("sysctl {name}: {error}")))
    }
}
