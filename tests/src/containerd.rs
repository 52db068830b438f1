//! A containerd of the test's own, driven as kubelet drives one, so that containerd itself writes the container logs.
//!
//! Needs root, Debian's `containerd`, `runc` and `busybox-static`, an overlay file system and mounted cgroups (version
//! 1 or 2). Nothing is fetched: the image is packed from the host's busybox. Pods use the host's network unless there is a
//! [`Network`] for them.
#![expect(
    clippy::disallowed_methods,
    reason = "the harness owns its directories and starts the runtime under test; only the agent is held to those seams"
)]

mod cleanup;
mod grpc;
mod guard;
mod image;
mod messages;
mod network;
mod rotation;
mod runtime;
mod workload;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};

use grpc::Client;
use messages::{
    ContainerConfig, ContainerId, ContainerMetadata, ContainerStatus, ContainerStatusResponse, CreateContainerRequest,
    DnsConfig, Empty, ImageSpec, LinuxContainerConfig, LinuxContainerSecurityContext, LinuxPodSandboxConfig,
    LinuxSandboxSecurityContext, Mount, NAMESPACE_CONTAINER, NAMESPACE_NODE, NAMESPACE_POD, NamespaceOption,
    PROFILE_UNCONFINED, PodSandboxConfig, PodSandboxId, PodSandboxMetadata, RunPodSandboxRequest, STATE_EXITED,
    STATE_RUNNING, SecurityProfile, StopContainerRequest,
};
use runtime::{Paths, Process};

pub use network::Network;
pub use workload::{Bind, Workload};

/// How long one call to containerd may take. Creating a sandbox takes about a tenth of a second; on a loaded machine
/// ten times that.
const CALL_DEADLINE: Duration = Duration::from_secs(60);

/// How long [`Containerd::wait_exit`] waits.
const EXIT_DEADLINE: Duration = Duration::from_secs(120);

/// How often a state is asked for while waiting.
const POLL: Duration = Duration::from_millis(20);

/// What a test may change about the runtime.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// `TZ` of the runtime, such as `Europe/Paris`: log timestamps carry the offset of this zone. The host's when
    /// `None`.
    pub timezone: Option<String>,
    /// `max_container_log_line_size` in bytes; containerd's default of 16384 when `None`.
    pub max_line: Option<u32>,
    /// Pods have networks of their own, on this one. They share the host's when `None`.
    pub network: Option<Network>,
    /// Pods see the processes of the host, as with `hostPID`.
    pub host_pid: bool,
    /// What every container sees of the host, read-only: where it is on the host, and in the container.
    pub mounts: Vec<(PathBuf, String)>,
}

/// A running containerd with a root, state and socket of its own. Dropping it kills it, its shims and its containers;
/// so does a watcher when the test process is killed.
#[derive(Debug)]
pub struct Containerd {
    // Declared before `paths`, whose drop deletes what the processes use.
    process: Process,
    client: Client,
    paths: Paths,
    settings: Settings,
}

/// A pod sandbox.
#[derive(Clone, Debug)]
pub struct Pod {
    id: String,
    config: PodSandboxConfig,
    log_directory: PathBuf,
}

impl Pod {
    /// The sandbox's identifier.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The pod's directory, `<pods>/<namespace>_<name>_<uid>`.
    pub fn log_directory(&self) -> &Path {
        &self.log_directory
    }
}

/// A container that was started once. A restart is another container with the next `attempt`.
#[derive(Clone, Debug)]
pub struct Container {
    id: String,
    log_path: PathBuf,
}

impl Container {
    /// The container's identifier.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The log that the runtime writes, `<pod directory>/<name>/<attempt>.log`.
    pub fn log_path(&self) -> &Path {
        &self.log_path
    }
}

impl Containerd {
    /// Starts containerd below `dir` and gives it the image.
    ///
    /// Fails when a package is missing, when `dir` is too long for a unix socket (about 80 bytes), or when containerd
    /// does not come up within 30 seconds; the error then has the end of its log.
    pub async fn start(dir: &Path) -> anyhow::Result<Self> {
        Self::start_with(dir, &Settings::default()).await
    }

    /// Like [`Self::start`], with settings.
    pub async fn start_with(dir: &Path, settings: &Settings) -> anyhow::Result<Self> {
        let paths = Paths::create(dir, settings)?;
        let mut process = Process::spawn(&paths)?;
        let client = runtime::wait_ready(&paths, &mut process).await?;
        runtime::import_image(&paths, &client).await?;
        Ok(Self { process, client, paths, settings: settings.clone() })
    }

    /// Kills containerd and starts it again. Containers keep running, and block once their output pipes are full, as on
    /// a node whose containerd is upgraded.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.process.kill();
        self.process = Process::spawn(&self.paths)?;
        self.client = runtime::wait_ready(&self.paths, &mut self.process).await?;
        Ok(())
    }

    /// Runs a sandbox whose logs go to `<pods_dir>/<ns>_<name>_<uid>`, which is created as kubelet does.
    pub async fn run_pod(&self, ns: &str, name: &str, uid: &str, pods_dir: &Path) -> anyhow::Result<Pod> {
        self.run_sandbox(ns, name, uid, pods_dir, self.namespaces(), None).await
    }

    async fn run_sandbox(
        &self,
        ns: &str,
        name: &str,
        uid: &str,
        pods_dir: &Path,
        namespaces: NamespaceOption,
        dns_config: Option<DnsConfig>,
    ) -> anyhow::Result<Pod> {
        let log_directory = pods_dir.join(format!("{ns}_{name}_{uid}"));
        std::fs::create_dir_all(&log_directory).with_context(|| format!("create {}", log_directory.display()))?;
        let config = PodSandboxConfig {
            metadata: Some(PodSandboxMetadata { name: name.into(), uid: uid.into(), namespace: ns.into(), attempt: 0 }),
            // The host's name.
            hostname: String::new(),
            log_directory: text(&log_directory)?,
            dns_config,
            labels: pod_labels(ns, name, uid),
            linux: Some(LinuxPodSandboxConfig {
                cgroup_parent: self.paths.cgroup_parent(),
                security_context: Some(LinuxSandboxSecurityContext {
                    namespace_options: Some(namespaces),
                    seccomp: Some(unconfined()),
                    apparmor: Some(unconfined()),
                }),
            }),
        };
        let request = RunPodSandboxRequest { config: Some(config.clone()) };
        let answer: PodSandboxId = self.call("RunPodSandbox", &request).await?;
        Ok(Pod { id: answer.pod_sandbox_id, config, log_directory })
    }

    /// Creates and starts a container of the busybox image that runs `command`, such as `["sh", "-c", "echo hello"]`.
    ///
    /// `attempt` counts restarts from 0 and names the log, as kubelet does.
    pub async fn run_container(
        &self,
        pod: &Pod,
        name: &str,
        attempt: u32,
        command: &[&str],
    ) -> anyhow::Result<Container> {
        let config = ContainerConfig {
            image: Some(ImageSpec { image: image::IMAGE.into() }),
            command: command.iter().map(ToString::to_string).collect(),
            mounts: self.mounts()?,
            linux: Some(LinuxContainerConfig {
                security_context: Some(LinuxContainerSecurityContext {
                    namespace_options: Some(self.namespaces()),
                    seccomp: Some(unconfined()),
                    apparmor: Some(unconfined()),
                    ..LinuxContainerSecurityContext::default()
                }),
            }),
            ..ContainerConfig::default()
        };
        self.start_container(pod, name, attempt, config).await
    }

    /// Creates and starts a container whose name, labels and log are not in `config` yet.
    async fn start_container(
        &self,
        pod: &Pod,
        name: &str,
        attempt: u32,
        config: ContainerConfig,
    ) -> anyhow::Result<Container> {
        let directory = pod.log_directory.join(name);
        std::fs::create_dir_all(&directory).with_context(|| format!("create {}", directory.display()))?;
        let log_path = format!("{name}/{attempt}.log");
        let mut labels = pod.config.labels.clone();
        labels.insert("io.kubernetes.container.name".into(), name.into());
        let config = ContainerConfig {
            metadata: Some(ContainerMetadata { name: name.into(), attempt }),
            labels,
            log_path: log_path.clone(),
            ..config
        };
        let request = CreateContainerRequest {
            pod_sandbox_id: pod.id.clone(),
            config: Some(config),
            sandbox_config: Some(pod.config.clone()),
        };
        let id: ContainerId = self.call("CreateContainer", &request).await?;
        let Empty {} = self.call("StartContainer", &id).await?;
        Ok(Container { id: id.container_id, log_path: pod.log_directory.join(log_path) })
    }

    /// Has the runtime close the log and open its path again, creating the file if it is gone.
    pub async fn reopen_log(&self, container: &Container) -> anyhow::Result<()> {
        let Empty {} = self.call("ReopenContainerLog", &id_of(container)).await?;
        Ok(())
    }

    /// Waits until the container has ended and returns its exit code (137 after SIGKILL).
    ///
    /// What is still in the pipes when a container ends may never reach its log (containerd 1.6 loses up to a pipe of 64 KiB):
    /// one whose output is counted sleeps for a moment before it ends. Fails after two minutes.
    pub async fn wait_exit(&self, container: &Container) -> anyhow::Result<i32> {
        let wait = async {
            loop {
                let status = self.status(container).await?;
                if status.state == STATE_EXITED {
                    return Ok(status.exit_code);
                }
                tokio::time::sleep(POLL).await;
            }
        };
        match tokio::time::timeout(EXIT_DEADLINE, wait).await {
            Ok(exit) => exit,
            Err(_) => bail!("container {} still runs after {EXIT_DEADLINE:?}", container.id),
        }
    }

    /// Whether the container runs now.
    pub async fn is_running(&self, container: &Container) -> anyhow::Result<bool> {
        Ok(self.status(container).await?.state == STATE_RUNNING)
    }

    /// Sends SIGTERM, and SIGKILL after `grace` (whole seconds; zero sends SIGKILL at once), and waits for the end.
    ///
    /// A shell that is the container's first process ignores SIGTERM unless it has a trap for it.
    pub async fn stop_container(&self, container: &Container, grace: Duration) -> anyhow::Result<()> {
        let request = StopContainerRequest {
            container_id: container.id.clone(),
            timeout: i64::try_from(grace.as_secs()).unwrap_or(i64::MAX),
        };
        let deadline = CALL_DEADLINE.saturating_add(grace);
        let Empty {} = self.client.call(&method("StopContainer"), &request, deadline).await?;
        Ok(())
    }

    /// Removes a container as kubelet does: first its log and every rotated log (`<path>*`), then the container.
    pub async fn remove_container(&self, container: &Container) -> anyhow::Result<()> {
        rotation::remove_logs(&container.log_path)?;
        let Empty {} = self.call("RemoveContainer", &id_of(container)).await?;
        Ok(())
    }

    /// Ends the pod's containers, removes the sandbox with them, then deletes the pod's log directory, as kubelet does
    /// for a pod that was deleted.
    pub async fn remove_pod(&self, pod: &Pod) -> anyhow::Result<()> {
        let request = PodSandboxId { pod_sandbox_id: pod.id.clone() };
        let Empty {} = self.call("StopPodSandbox", &request).await?;
        let Empty {} = self.call("RemovePodSandbox", &request).await?;
        std::fs::remove_dir_all(&pod.log_directory).with_context(|| format!("remove {}", pod.log_directory.display()))
    }

    /// Ends everything and reports what could not be cleaned up, which a plain drop cannot.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.process.kill();
        self.paths.clean()
    }

    /// What kubelet asks for by default, on the host's network or on one of the pod's own.
    fn namespaces(&self) -> NamespaceOption {
        let network = if self.paths.has_network() { NAMESPACE_POD } else { NAMESPACE_NODE };
        let pid = if self.settings.host_pid { NAMESPACE_NODE } else { NAMESPACE_CONTAINER };
        NamespaceOption { network, pid, ipc: 0 }
    }

    fn mounts(&self) -> anyhow::Result<Vec<Mount>> {
        let mount = |(host, container): &(PathBuf, String)| {
            Ok(Mount { container_path: container.clone(), host_path: text(host)?, readonly: true })
        };
        self.settings.mounts.iter().map(mount).collect()
    }

    async fn status(&self, container: &Container) -> anyhow::Result<ContainerStatus> {
        let answer: ContainerStatusResponse = self.call("ContainerStatus", &id_of(container)).await?;
        answer.status.context("ContainerStatus has no status")
    }

    async fn call<A: prost::Message + Default>(&self, name: &str, request: &impl prost::Message) -> anyhow::Result<A> {
        self.client.call(&method(name), request, CALL_DEADLINE).await
    }
}

fn method(name: &str) -> String {
    format!("runtime.v1.RuntimeService/{name}")
}

fn id_of(container: &Container) -> ContainerId {
    ContainerId { container_id: container.id.clone() }
}

/// No confinement: the host may lack apparmor or seccomp, and the tests are about logs.
fn unconfined() -> SecurityProfile {
    SecurityProfile { profile_type: PROFILE_UNCONFINED }
}

/// The labels by which `crictl` and kubelet know a pod.
fn pod_labels(ns: &str, name: &str, uid: &str) -> HashMap<String, String> {
    [("namespace", ns), ("name", name), ("uid", uid)]
        .map(|(key, value)| (format!("io.kubernetes.pod.{key}"), value.to_owned()))
        .into()
}

fn text(path: &Path) -> anyhow::Result<String> {
    Ok(path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?.to_owned())
}
