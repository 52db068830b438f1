//! Containers of other images than the harness's own, confined as a chart confines them.

use std::path::{Path, PathBuf};

use super::messages::{
    Capability, ContainerConfig, DnsConfig, ImageSpec, KeyValue, LinuxContainerConfig, LinuxContainerSecurityContext,
    Mount, NAMESPACE_CONTAINER, NAMESPACE_NODE, NamespaceOption, PROFILE_RUNTIME_DEFAULT, SecurityProfile,
};
use super::{Container, Containerd, Pod, runtime, text, unconfined};

/// What the kubelet has hidden from every container (`procMount: Default`).
const MASKED: [&str; 7] = [
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/sched_debug",
    "/sys/firmware",
];

/// What no container may write.
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// A file or directory of the host in a container.
#[derive(Clone, Debug)]
pub struct Bind {
    /// Where it is on the host.
    pub host: PathBuf,
    /// Where it is in the container.
    pub container: String,
    /// Whether it may be written.
    pub writable: bool,
}

impl Bind {
    /// Only to read.
    pub fn read(host: impl Into<PathBuf>, container: &str) -> Self {
        Self { host: host.into(), container: container.to_owned(), writable: false }
    }

    /// To read and write.
    pub fn write(host: impl Into<PathBuf>, container: &str) -> Self {
        Self { writable: true, ..Self::read(host, container) }
    }
}

/// A container: its root read-only, no new privileges, the runtime's seccomp profile, and all capabilities dropped but those that
/// are named.
#[derive(Clone, Debug, Default)]
pub struct Workload {
    /// The image's name, which [`Containerd::import`] has loaded.
    pub image: String,
    /// In the place of the image's own arguments, unless empty. What is started is the image's entry point.
    pub args: Vec<String>,
    /// Variables of the environment.
    pub env: Vec<(String, String)>,
    /// What it sees of the host.
    pub mounts: Vec<Bind>,
    /// Capabilities, such as `NET_ADMIN`.
    pub capabilities: Vec<String>,
}

impl Containerd {
    /// Loads an archive with an image of that name.
    ///
    /// # Errors
    /// When the runtime does not take it, or does not know the name afterwards.
    pub async fn import(&self, archive: &Path, image: &str) -> anyhow::Result<()> {
        runtime::import(&self.paths, &self.client, archive, &[image]).await
    }

    /// Runs a sandbox with the network and the processes of the host, which asks these servers for names.
    ///
    /// # Errors
    /// When the runtime refuses.
    pub async fn run_host_pod(
        &self,
        ns: &str,
        name: &str,
        uid: &str,
        pods_dir: &Path,
        servers: &[&str],
    ) -> anyhow::Result<Pod> {
        let namespaces = NamespaceOption { network: NAMESPACE_NODE, pid: NAMESPACE_NODE, ipc: 0 };
        let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
        let dns = (!servers.is_empty()).then_some(DnsConfig { servers });
        self.run_sandbox(ns, name, uid, pods_dir, namespaces, dns).await
    }

    /// Creates and starts a container in a pod, with the pod's network. It sees the host's processes where the pod does.
    ///
    /// # Errors
    /// When the runtime refuses.
    pub async fn run_workload(
        &self,
        pod: &Pod,
        name: &str,
        attempt: u32,
        workload: &Workload,
    ) -> anyhow::Result<Container> {
        let mounts = workload.mounts.iter().map(|bind| {
            let (container_path, readonly) = (bind.container.clone(), !bind.writable);
            Ok(Mount { container_path, host_path: text(&bind.host)?, readonly })
        });
        let envs = workload.env.iter().map(|(key, value)| KeyValue { key: key.clone(), value: value.clone() });
        let linux = pod.config.linux.clone().unwrap_or_default();
        let of_pod = linux.security_context.and_then(|context| context.namespace_options);
        let namespaces = of_pod.unwrap_or(NamespaceOption { pid: NAMESPACE_CONTAINER, ..NamespaceOption::default() });
        let config = ContainerConfig {
            image: Some(ImageSpec { image: workload.image.clone() }),
            args: workload.args.clone(),
            envs: envs.collect(),
            mounts: mounts.collect::<anyhow::Result<_>>()?,
            linux: Some(LinuxContainerConfig {
                security_context: Some(LinuxContainerSecurityContext {
                    capabilities: Some(Capability {
                        add_capabilities: workload.capabilities.clone(),
                        drop_capabilities: vec!["ALL".to_owned()],
                    }),
                    namespace_options: Some(namespaces),
                    readonly_rootfs: true,
                    no_new_privs: true,
                    masked_paths: MASKED.map(str::to_owned).to_vec(),
                    readonly_paths: READ_ONLY.map(str::to_owned).to_vec(),
                    seccomp: Some(SecurityProfile { profile_type: PROFILE_RUNTIME_DEFAULT }),
                    apparmor: Some(unconfined()),
                }),
            }),
            ..ContainerConfig::default()
        };
        self.start_container(pod, name, attempt, config).await
    }
}
