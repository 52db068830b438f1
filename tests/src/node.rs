//! A node without Kubernetes: a temporary host root whose containers write their logs as containerd and kubelet write
//! them, with an audit log and a systemd journal beside them, and an [`Oracle`] that knows what was written.
//!
//! Facts from containerd's `internal/cri/io/logger.go` and kubelet's `pkg/kubelet/logs/container_log_manager.go`.
#![expect(
    clippy::disallowed_methods,
    reason = "this plays the container runtime, which owns these files; only the agent is held to those seams"
)]

pub mod audit;
pub mod journal;
pub mod oracle;
pub mod rotation;
mod timestamp;
mod writer;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tempfile::TempDir;

pub use audit::AuditLog;
pub use journal::Journal;
pub use oracle::{Check, Disorder, Oracle, Report, WriterReport};
pub use writer::{MAX_PIECE, Writer};

/// Where the kubelet keeps the logs of pods, inside the host root.
pub const PODS_DIR: &str = "/var/log/pods";

/// Which of a container's outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Output {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Output {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Stdout, Self::Stderr];

    /// As the log names it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }

    const fn index(self) -> usize {
        match self {
            Self::Stdout => 0,
            Self::Stderr => 1,
        }
    }
}

/// What a container is called.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContainerName {
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// UID of the pod.
    pub uid: String,
    /// Name of the container.
    pub container: String,
}

impl fmt::Display for ContainerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.namespace, self.pod, self.container)
    }
}

/// What a log of the node is called.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SampleLog {
    /// Both outputs of a container.
    Container(ContainerName),
    /// A plain file, by its path inside the host root.
    File(String),
    /// A unit of the journal.
    Unit(String),
}

impl fmt::Display for SampleLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Container(name) => name.fmt(f),
            Self::File(name) | Self::Unit(name) => f.write_str(name),
        }
    }
}

/// What a plain file or a unit of the journal has written.
#[derive(Debug)]
struct HostAccount {
    /// The writer in the marks of its lines.
    id: String,
    log: SampleLog,
    /// The number of the last line that is in the file.
    written: AtomicU64,
}

/// What one output of a container has written.
#[derive(Debug)]
struct Account {
    /// The writer in the marks of its lines.
    id: String,
    container: ContainerName,
    output: Output,
    /// The number of the last line that is in the file.
    written: AtomicU64,
}

/// A node's file tree. Dropping it deletes the tree.
#[derive(Debug)]
pub struct SampleNode {
    root: TempDir,
    seed: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    accounts: Vec<Arc<Account>>,
    host_accounts: Vec<Arc<HostAccount>>,
    /// UIDs by namespace and pod.
    uids: HashMap<(String, String), String>,
    pods: u64,
}

impl SampleNode {
    /// A host root with an empty `/var/log/pods`. The same seed gives the same lines.
    ///
    /// # Errors
    /// When the directory for temporary files cannot be written.
    pub fn new(seed: u64) -> io::Result<Self> {
        let root = tempfile::Builder::new().prefix("safeguard-node-").tempdir()?;
        let node = Self { root, seed, state: Mutex::default() };
        std::fs::create_dir_all(node.pods_dir())?;
        Ok(node)
    }

    /// The host root.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// `/var/log/pods` of this node, as this process sees it.
    #[must_use]
    pub fn pods_dir(&self) -> PathBuf {
        self.root().join(PODS_DIR.trim_start_matches('/'))
    }

    /// Starts a container with an empty `0.log`. Containers of the same pod share its UID until
    /// [`SampleNode::remove_pod`].
    ///
    /// # Errors
    /// When its directory or file cannot be made, or the container has one already.
    pub fn container(&self, namespace: &str, pod: &str, container: &str) -> io::Result<Writer> {
        let mut state = self.state();
        let uid = state.uid(namespace, pod);
        let name = ContainerName { namespace: namespace.into(), pod: pod.into(), uid, container: container.into() };
        let number = state.accounts.len() / 2 + 1;
        let accounts = Output::ALL.map(|output| {
            let letter = if output == Output::Stdout { 'o' } else { 'e' };
            let id = format!("c{number}.{letter}");
            Arc::new(Account { id, container: name.clone(), output, written: AtomicU64::new(0) })
        });
        let directory = self.pod_dir(&name.namespace, &name.pod, &name.uid).join(&name.container);
        let writer = Writer::start(directory, name, accounts.clone(), self.seed)?;
        state.accounts.extend(accounts);
        Ok(writer)
    }

    /// Deletes a pod's directory with all that is in it, as kubelet does some time after the pod was deleted; a pod of
    /// the same name then gets another UID.
    ///
    /// # Errors
    /// Of the file system. A pod that is not there is none.
    pub fn remove_pod(&self, namespace: &str, pod: &str) -> io::Result<()> {
        let Some(uid) = self.state().uids.remove(&(namespace.to_owned(), pod.to_owned())) else { return Ok(()) };
        let directory = self.pod_dir(namespace, pod, &uid);
        match std::fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(rotation::naming("remove", &directory, &error))
            }
            _ => Ok(()),
        }
    }

    /// Starts the audit log with an empty file.
    ///
    /// # Errors
    /// When its directory or file cannot be made, or it is there already.
    pub fn audit_log(&self) -> io::Result<AuditLog> {
        let account = self.host_account("audit", SampleLog::File(audit::PATH.to_owned()));
        AuditLog::start(self.root(), account, self.seed)
    }

    /// Starts a journal without entries, in which these units write.
    ///
    /// # Errors
    /// When its directory or file cannot be made, or it is there already.
    pub fn journal(&self, units: &[&str]) -> io::Result<Journal> {
        let account = |unit: &&str| self.host_account(unit, SampleLog::Unit((*unit).to_owned()));
        Journal::start(self.root(), units.iter().map(account).collect(), self.seed)
    }

    fn host_account(&self, id: &str, log: SampleLog) -> Arc<HostAccount> {
        let account = Arc::new(HostAccount { id: id.to_owned(), log, written: AtomicU64::new(0) });
        self.state().host_accounts.push(Arc::clone(&account));
        account
    }

    /// What was written until now: containers first, each with standard output and standard error, then the others.
    #[must_use]
    pub fn oracle(&self) -> Oracle {
        let mut oracle = Oracle::default();
        let state = self.state();
        for account in &state.accounts {
            let name = format!("{} {}", account.container, account.output.name());
            oracle.expect(account.id.clone(), name, account.written.load(Ordering::Acquire));
        }
        for account in &state.host_accounts {
            oracle.expect(account.id.clone(), account.log.to_string(), account.written.load(Ordering::Acquire));
        }
        oracle
    }

    /// Lines that were written until now: containers with both outputs in the order of their start, then the others.
    #[must_use]
    pub fn written(&self) -> Vec<(SampleLog, u64)> {
        let state = self.state();
        let pairs = state.accounts.chunks_exact(2);
        let containers = pairs.map(|of| {
            let written = of.iter().map(|a| a.written.load(Ordering::Acquire)).sum();
            (SampleLog::Container(of[0].container.clone()), written)
        });
        let others = state.host_accounts.iter().map(|a| (a.log.clone(), a.written.load(Ordering::Acquire)));
        containers.chain(others).collect()
    }

    fn pod_dir(&self, namespace: &str, pod: &str, uid: &str) -> PathBuf {
        self.pods_dir().join(format!("{namespace}_{pod}_{uid}"))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn uid(&mut self, namespace: &str, pod: &str) -> String {
        let pods = &mut self.pods;
        let uid = self.uids.entry((namespace.to_owned(), pod.to_owned())).or_insert_with(|| {
            *pods += 1;
            format!("5afe0000-0000-4000-8000-{pods:012}")
        });
        uid.clone()
    }
}

#[cfg(test)]
mod tests;
