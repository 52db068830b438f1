//! What the host's own files say about the node and the cluster. The files may be written by others: each is bounded,
//! and a value that makes no sense is left aside.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::Path;

use safeguard_aws::kubelet::{KUBECONFIG, argument, cluster_in_kubeconfig, node_name};
use safeguard_host::{HostDir, HostRoot};

const KUBECONFIG_BYTES: u64 = 256 * 1024;
const HOSTNAME_BYTES: u64 = 4 * 1024;
/// The kernel's own limit for all arguments of a process is larger; a kubelet's command line has some 2 KiB.
const COMMAND_LINE_BYTES: u64 = 128 * 1024;
const STATUS_BYTES: u64 = 16 * 1024;
/// Processes looked at, lowest number first: the kubelet starts early.
const MAX_PROCESSES: usize = 32_768;

/// The cluster's name in the arguments with which the kubelet gets its tokens: `aws eks get-token --cluster-name X` or
/// `aws-iam-authenticator token -i X`.
pub(super) fn cluster(host: &HostRoot) -> Option<String> {
    let text = host.read(Path::new(KUBECONFIG), KUBECONFIG_BYTES);
    let text = text.inspect_err(|error| tracing::debug!(%error, "no cluster name from the kubelet")).ok()?;
    cluster_in_kubeconfig(&text)
}

/// The node's name in the running kubelet's `--hostname-override`.
pub(super) fn node_of_kubelet(host: &HostRoot) -> Option<String> {
    let proc = host.dir(Path::new("/proc")).ok()?;
    let entries = proc.entries().ok()?;
    let mut pids: Vec<u32> = entries.iter().filter_map(|entry| entry.name.to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    pids.into_iter().take(MAX_PROCESSES).find_map(|pid| {
        let process = proc.dir(&OsString::from(pid.to_string())).ok()?;
        is_kubelet(&process)?;
        let line = read(&process, "cmdline", COMMAND_LINE_BYTES)?;
        let args: Vec<String> = line.split(|b| *b == 0).map(|arg| String::from_utf8_lossy(arg).into_owned()).collect();
        argument(&args, "--hostname-override").as_deref().and_then(node_name)
    })
}

/// Any process may call itself kubelet. The real one is a child of the host's init and runs as root; what runs in a
/// container has a shim for its parent.
fn is_kubelet(process: &HostDir) -> Option<()> {
    let status = read(process, "status", STATUS_BYTES)?;
    let status = String::from_utf8_lossy(&status);
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next());
    (field("Name:") == Some("kubelet") && field("PPid:") == Some("1") && field("Uid:") == Some("0")).then_some(())
}

fn read(dir: &HostDir, name: &str, most: u64) -> Option<Vec<u8>> {
    let file = dir.file(OsStr::new(name)).ok()?;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= most).then_some(bytes)
}

/// The host's own name, which the kubelet takes when it is told no other.
pub(super) fn host_name(host: &HostRoot) -> Option<String> {
    let text = host.read(Path::new("/etc/hostname"), HOSTNAME_BYTES).ok()?;
    let text = String::from_utf8(text).ok()?;
    let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'))?;
    node_name(line).filter(|name| name != "localhost" && !name.starts_with("localhost."))
}

#[cfg(test)]
mod tests;
