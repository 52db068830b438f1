//! The host's processes: names, arguments, working directories.
//!
//! Of each process only the name is read at first; what else is known of it, when somebody asks for that name. Whoever started
//! a process can give it a name: a rule that none may run holds against accidents, not against an intruder with root.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::facts::Facts;
use crate::host::Host;
use crate::observed::{Cause, Observed, Unobserved};

/// Longest name that the kernel keeps, in bytes: `TASK_COMM_LEN` less the final NUL.
const COMM: usize = 15;

/// Most bytes of a command line: `MAX_ARG_STRLEN`, which is the longest argument.
const MAX_COMMAND: u64 = 128 << 10;

/// Most bytes of small files of `/proc`.
const MAX_STATUS: u64 = 16 << 10;

/// The processes that could be seen.
#[derive(Debug)]
pub(crate) struct Processes {
    seen: Vec<(u32, Vec<u8>)>,
    /// How many could not be: `hidepid`, or not root.
    unseen: usize,
}

impl Processes {
    pub(crate) fn gather(facts: &Facts<'_>) -> Observed<Self> {
        let host = facts.host();
        host.live("the processes")?;
        let missing = || Unobserved::new(Cause::Namespace, "/proc: is not mounted, the processes cannot be seen");
        let entries = host.entries(Path::new("/proc"))?.ok_or_else(missing)?;
        let numbers = entries.iter().filter_map(|entry| entry.name.to_str()?.parse::<u32>().ok());
        let mut processes = Self { seen: Vec::new(), unseen: 0 };
        let mut first = false;
        for pid in numbers {
            first |= pid == 1;
            match host.bytes(&of(pid, "comm"), MAX_STATUS) {
                Ok(Some(name)) => processes.seen.push((pid, name.trim_ascii_end().to_owned())),
                Ok(None) => {}
                // One that ends while it is looked at gives an error that says nothing.
                Err(_) if !matches!(host.attributes(&of(pid, "")), Ok(None)) => processes.unseen += 1,
                Err(_) => {}
            }
        }
        // Where not even the first process is listed, others are hidden too.
        if !first {
            processes.unseen += 1;
        }
        Ok(processes)
    }

    /// The numbers of the host's processes with this name, smallest first: not those of containers, and not those that are dead.
    pub(crate) fn named(&self, host: &Host, name: &str) -> Vec<u32> {
        let comm = name.as_bytes().get(..COMM).unwrap_or(name.as_bytes());
        let named = self.seen.iter().filter(|(_, seen)| seen == comm).map(|(pid, _)| *pid);
        let mut pids: Vec<u32> =
            named.filter(|pid| is_alive_on_host(host, *pid) && is_whole(host, *pid, name)).collect();
        pids.sort_unstable();
        pids
    }

    /// That there is no process but those that were seen.
    ///
    /// # Errors
    /// If there may be.
    pub(crate) fn complete(&self) -> Observed<()> {
        if self.unseen == 0 {
            return Ok(());
        }
        let message =
            "some processes of the host cannot be seen; run the agent as root, with hostPID, and without hidepid";
        Err(Unobserved::new(Cause::Permission, message))
    }
}

/// The command line of a process, one argument each; empty if it has ended.
///
/// # Errors
/// If it cannot be read, is longer than 128 KiB, or is not UTF-8.
pub(crate) fn command(host: &Host, pid: u32) -> Observed<Vec<String>> {
    let path = of(pid, "cmdline");
    let bytes = host.bytes(&path, MAX_COMMAND)?.unwrap_or_default();
    let arguments = bytes.strip_suffix(b"\0").unwrap_or(&bytes);
    if arguments.is_empty() {
        return Ok(Vec::new());
    }
    let text = arguments.split(|b| *b == 0).map(|argument| String::from_utf8(argument.to_vec()));
    text.collect::<Result<_, _>>().map_err(|_| Unobserved::file(&path, "has an argument that is not UTF-8 text"))
}

/// The directory that a process works in.
///
/// # Errors
/// If that cannot be read: it needs the right to trace the process.
pub(crate) fn directory(host: &Host, pid: u32) -> Observed<PathBuf> {
    let path = of(pid, "cwd");
    let gone = || Unobserved::file(&path, "is no link: the working directory cannot be told");
    host.link(&path)?.map(PathBuf::from).ok_or_else(gone)
}

fn of(pid: u32, file: &str) -> PathBuf {
    Path::new("/proc").join(pid.to_string()).join(file)
}

/// Whether a process is the host's own, and not a zombie. What cannot be read is taken for the host's: to be looked at twice is
/// better than not at all.
fn is_alive_on_host(host: &Host, pid: u32) -> bool {
    let text = |file| host.text_within(&of(pid, file), MAX_STATUS).ok().flatten().unwrap_or_default();
    let status = text("status");
    let field = |name| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    // A number for each namespace of processes that it is in, from that of `/proc` inwards.
    let nested = field("NSpid:").split_whitespace().count() > 1;
    !nested && !field("State:").trim_start().starts_with('Z') && !is_of_container(&text("cgroup"))
}

/// Pure: whether a control group is that of a container. lynis#1067 reports the nginx of a container as the host's. Namespaces do
/// not tell for containers that share the host's.
fn is_of_container(cgroups: &str) -> bool {
    const BEGINNINGS: [&str; 5] = ["kubepods", "docker-", "cri-containerd-", "crio-", "libpod-"];
    let paths = cgroups.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    paths
        .flat_map(|path| path.split('/'))
        .any(|name| name == "docker" || BEGINNINGS.iter().any(|b| name.starts_with(b)))
}

/// Whether a process has the whole name, if that is longer than the kernel keeps.
fn is_whole(host: &Host, pid: u32, name: &str) -> bool {
    if name.len() <= COMM {
        return true;
    }
    let program = host
        .link(&of(pid, "exe"))
        .ok()
        .flatten()
        .or_else(|| command(host, pid).ok().and_then(|arguments| arguments.into_iter().next()).map(OsString::from));
    let program = program.unwrap_or_default();
    let base = program.as_bytes().rsplit(|b| *b == b'/').next().unwrap_or_default();
    base.strip_suffix(b" (deleted)").unwrap_or(base) == name.as_bytes()
}

#[cfg(test)]
mod tests;
