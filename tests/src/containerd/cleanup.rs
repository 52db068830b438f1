//! Ending what a killed containerd leaves behind: containers, shims, mounts, cgroups and sockets.
//!
//! Shims outlive containerd by design, so that an upgrade does not end the containers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Where cgroup hierarchies are mounted: one below for each controller (version 1), or this itself (version 2).
const CGROUPS: &str = "/sys/fs/cgroup";

/// Pause between attempts to remove a cgroup, which the kernel refuses until the last process in it is gone.
const RETRY: Duration = Duration::from_millis(20);

/// Attempts to remove the cgroups: two seconds in all.
const ATTEMPTS: u32 = 100;

/// Kills and removes everything that belongs to the containerd at `dir`, then `dir` itself. May be called again.
pub(super) fn clean(dir: &Path, socket: &Path, cgroup: &str) -> anyhow::Result<()> {
    let groups = cgroups(cgroup);
    // Shims first: one that sees its container die would run runc to delete it, in the middle of the following.
    kill_all(&shims(socket));
    for _ in 0..ATTEMPTS {
        for group in &groups {
            kill_all(&processes(group));
        }
        if groups.iter().all(|group| remove_cgroup(group)) {
            break;
        }
        std::thread::sleep(RETRY);
    }
    unmount_below(dir)?;
    remove_shim_sockets(dir);
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", dir.display()))
        }
        _ => Ok(()),
    }
}

fn kill_all(pids: &[i32]) {
    for pid in pids {
        // Fails only for a process that has ended meanwhile.
        kill(Pid::from_raw(*pid), Signal::SIGKILL).ok();
    }
}

/// The processes that were started with `-address <socket>`, which is how containerd starts its shims.
fn shims(socket: &Path) -> Vec<i32> {
    let address = [b"-address\0", socket.as_os_str().as_encoded_bytes(), b"\0"].concat();
    let processes = entries(Path::new("/proc")).into_iter().filter_map(|path| {
        let pid = path.file_name()?.to_str()?.parse().ok()?;
        let command = std::fs::read(path.join("cmdline")).ok()?;
        command.windows(address.len()).any(|window| window == address).then_some(pid)
    });
    processes.collect()
}

/// The cgroup called `name` in every hierarchy that has it.
fn cgroups(name: &str) -> Vec<PathBuf> {
    let mut hierarchies = entries(Path::new(CGROUPS));
    hierarchies.push(CGROUPS.into());
    hierarchies.into_iter().map(|hierarchy| hierarchy.join(name)).filter(|group| group.is_dir()).collect()
}

/// The processes in a cgroup and below it.
fn processes(group: &Path) -> Vec<i32> {
    let own = std::fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    let mut pids: Vec<i32> = own.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 1).collect();
    for child in entries(group).into_iter().filter(|path| path.is_dir()) {
        pids.extend(processes(&child));
    }
    pids
}

/// Removes a cgroup and those below it; whether it is gone.
fn remove_cgroup(group: &Path) -> bool {
    for child in entries(group).into_iter().filter(|path| path.is_dir()) {
        remove_cgroup(&child);
    }
    std::fs::remove_dir(group).is_ok() || !group.exists()
}

fn unmount_below(dir: &Path) -> anyhow::Result<()> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").context("read the mounts")?;
    // Field 5 is the mount point (proc_pid_mountinfo(5)). Later mounts may be on earlier ones, so undo in reverse.
    let points = table.lines().filter_map(|line| line.split(' ').nth(4)).map(Path::new);
    let below: Vec<_> = points.filter(|point| point.starts_with(dir)).collect();
    for point in below.into_iter().rev() {
        umount2(point, MntFlags::MNT_DETACH).with_context(|| format!("unmount {}", point.display()))?;
    }
    Ok(())
}

/// Shims listen below `/run/containerd` whatever the state directory; each task's directory names its socket.
fn remove_shim_sockets(dir: &Path) {
    for task in entries(&dir.join("state/io.containerd.runtime.v2.task/k8s.io")) {
        let address = std::fs::read_to_string(task.join("address")).unwrap_or_default();
        if let Some(socket) = address.strip_prefix("unix://") {
            // Already gone when the shim ended in order.
            drop(std::fs::remove_file(socket));
        }
    }
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(dir).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect()
}
