//! A watcher that outlives the test process and ends what it started, should it be killed before it cleans up.
//!
//! Otherwise an interrupted run would leave containers that write logs until the disk is full.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;

/// Waits for its input to end, which the kernel brings about when the test process ends in whatever way. Then kills
/// the containerd ($1), the shims that serve its socket ($2) and every process below its cgroup ($3), and removes the
/// mounts and the cgroups. The files stay, for whoever wants to know what happened.
const SCRIPT: &str = r#"
read -r _
kill -9 "$1"
for process in /proc/[0-9]*; do
    if tr '\0' ' ' < "$process/cmdline" | grep -q -F -e "-address $2 "; then kill -9 "${process#/proc/}"; fi
done
for group in "/sys/fs/cgroup/$3" /sys/fs/cgroup/*/"$3"; do
    find "$group" -name cgroup.procs -exec cat {} + | while read -r pid; do kill -9 "$pid"; done
done
sleep 1
while read -r _ _ _ _ point _; do
    case "$point" in "${2%/*}"/*) umount -l "$point" ;; esac
done < /proc/self/mountinfo
for group in "/sys/fs/cgroup/$3" /sys/fs/cgroup/*/"$3"; do find "$group" -depth -type d -exec rmdir {} +; done
"#;

/// The watcher; dropping it ends it without consequences.
#[derive(Debug)]
pub(super) struct Guard(Child);

impl Guard {
    pub(super) fn spawn(containerd: u32, socket: &Path, cgroup: &str) -> anyhow::Result<Self> {
        let child = Command::new("sh")
            .args(["-c", SCRIPT, "containerd-guard", &containerd.to_string()])
            .arg(socket)
            .arg(cgroup)
            // A group of its own, so that Ctrl-C at a terminal does not end it together with the tests.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("start the shell that watches over containerd")?;
        Ok(Self(child))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Killed before its input closes (`wait` closes it), so it never gets to act. Fails only when it has ended.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
