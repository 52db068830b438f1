//! The containerd process: its directory, its configuration and its start.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};

use super::grpc::Client;
use super::guard::Guard;
use super::messages::{Empty, ImageSpec, ImageStatusRequest, ImageStatusResponse, StatusResponse};
use super::network::{Network, PLUGINS};
use super::{CALL_DEADLINE, POLL, Settings, cleanup, image, text};

/// How long containerd may take to come up. It takes about half a second.
const START_DEADLINE: Duration = Duration::from_secs(30);

/// How long the runtime service may take to know an imported image. It learns of it by an event, at once.
const IMPORT_DEADLINE: Duration = Duration::from_secs(30);

/// Longest path of a unix socket in bytes (`sun_path` in unix(7), less the final zero).
const MAX_SOCKET_PATH: usize = 107;

/// What follows the socket's path: containerd listens on this second socket, and it must fit too.
const TTRPC_SUFFIX: &str = ".ttrpc";

/// How much of the log an error shows, in bytes.
const LOG_TAIL: u64 = 4096;

/// Where everything of one containerd is. Dropping it kills what still runs there and deletes it.
#[derive(Debug)]
pub(super) struct Paths {
    /// Directory that holds all the rest.
    dir: PathBuf,
    timezone: Option<String>,
    network: Option<Network>,
    /// Name of the cgroup above all containers, unique on the host.
    cgroup: String,
}

impl Paths {
    pub(super) fn create(dir: &Path, settings: &Settings) -> anyhow::Result<Self> {
        let dir = std::path::absolute(dir)?.join("containerd");
        std::fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
        // An inode number is unique among the directories that exist, so no two tests share a cgroup.
        let cgroup = format!("safeguard-tests-{}", std::fs::metadata(&dir)?.ino());
        let paths = Self { dir, timezone: settings.timezone.clone(), network: settings.network.clone(), cgroup };
        let socket = text(&paths.socket())?;
        ensure!(
            socket.len() + TTRPC_SUFFIX.len() <= MAX_SOCKET_PATH,
            "{socket} is too long for a unix socket: use a shorter directory"
        );
        std::fs::write(paths.config(), paths.configuration(settings)?).context("write containerd's configuration")?;
        if let Some(network) = &paths.network {
            network.configure(&paths.dir.join("cni"), &paths.dir.join("addresses"))?;
        }
        Ok(paths)
    }

    /// The cgroup that pods are put below, as an absolute path in every hierarchy.
    pub(super) fn cgroup_parent(&self) -> String {
        format!("/{}", self.cgroup)
    }

    /// Whether pods have networks of their own.
    pub(super) fn has_network(&self) -> bool {
        self.network.is_some()
    }

    pub(super) fn clean(&self) -> anyhow::Result<()> {
        cleanup::clean(&self.dir, &self.socket(), &self.cgroup)
    }

    fn socket(&self) -> PathBuf {
        self.dir.join("c.sock")
    }

    fn config(&self) -> PathBuf {
        self.dir.join("config.toml")
    }

    fn log(&self) -> PathBuf {
        self.dir.join("containerd.log")
    }

    fn log_tail(&self) -> String {
        let tail = || -> std::io::Result<String> {
            let mut log = File::open(self.log())?;
            let length = log.metadata()?.len();
            log.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL)))?;
            let mut tail = Vec::new();
            log.read_to_end(&mut tail)?;
            Ok(String::from_utf8_lossy(&tail).into_owned())
        };
        tail().unwrap_or_else(|error| format!("(no log: {error})"))
    }

    fn configuration(&self, settings: &Settings) -> anyhow::Result<String> {
        let quoted =
            |name: &str| -> anyhow::Result<String> { Ok(serde_json::to_string(&text(&self.dir.join(name))?)?) };
        let max_line = settings.max_line.unwrap_or(16384);
        // oom scores: lowering one needs CAP_SYS_RESOURCE, which a container that runs the tests may lack.
        Ok(format!(
            r#"version = 2
root = {root}
state = {state}
disabled_plugins = [
  "io.containerd.internal.v1.opt",
  "io.containerd.internal.v1.restart",
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
  "io.containerd.tracing.processor.v1.otlp",
]

[grpc]
address = {socket}

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
max_container_log_line_size = {max_line}
disable_apparmor = true
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{PLUGINS}"
conf_dir = {cni}

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
Root = {runc}
SystemdCgroup = false
"#,
            root = quoted("root")?,
            state = quoted("state")?,
            socket = quoted("c.sock")?,
            cni = quoted("cni")?,
            runc = quoted("runc")?,
            pause = image::PAUSE_IMAGE,
        ))
    }
}

impl Drop for Paths {
    fn drop(&mut self) {
        // A drop has nobody to tell; `Containerd::stop` reports.
        drop(self.clean());
    }
}

/// The containerd process, killed on drop.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    guard: Option<Guard>,
}

impl Process {
    pub(super) fn spawn(paths: &Paths) -> anyhow::Result<Self> {
        let log = File::options().create(true).append(true).open(paths.log())?;
        let mut command = match &paths.network {
            Some(network) => network.command("containerd")?,
            None => Command::new("containerd"),
        };
        command.arg("--config").arg(paths.config()).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        if let Some(timezone) = &paths.timezone {
            command.env("TZ", timezone);
        }
        let child = command.spawn().context("start containerd (install the package containerd)")?;
        let mut process = Self { child, guard: None };
        process.guard = Some(Guard::spawn(process.child.id(), &paths.socket(), &paths.cgroup)?);
        Ok(process)
    }

    pub(super) fn kill(&mut self) {
        // The guard first: once containerd has ended, its identifier may become somebody else's.
        self.guard = None;
        // Both fail only when the process has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until the runtime service answers that the runtime is ready. The network is not, where there is none for pods.
pub(super) async fn wait_ready(paths: &Paths, process: &mut Process) -> anyhow::Result<Client> {
    let wait = async {
        loop {
            if let Some(status) = process.child.try_wait()? {
                bail!("containerd ended with {status}");
            }
            if let Ok(client) = Client::connect(&paths.socket()).await
                && let Ok(answer) =
                    client.call::<StatusResponse>("runtime.v1.RuntimeService/Status", &Empty {}, CALL_DEADLINE).await
                && answer.status.unwrap_or_default().conditions.iter().any(|c| c.r#type == "RuntimeReady" && c.status)
            {
                return Ok(client);
            }
            tokio::time::sleep(POLL).await;
        }
    };
    let ready = tokio::time::timeout(START_DEADLINE, wait).await;
    ready
        .unwrap_or_else(|_| bail!("containerd is not ready after {START_DEADLINE:?}"))
        .with_context(|| format!("end of containerd's log:\n{}", paths.log_tail()))
}

/// Loads the harness's own image and waits until the runtime service knows both its names.
pub(super) async fn import_image(paths: &Paths, client: &Client) -> anyhow::Result<()> {
    let archive = paths.dir.join("image.tar");
    std::fs::write(&archive, image::archive()?).context("write the image")?;
    import(paths, client, &archive, &[image::IMAGE, image::PAUSE_IMAGE]).await
}

/// Loads an archive of images and waits until the runtime service knows these names.
pub(super) async fn import(paths: &Paths, client: &Client, archive: &Path, names: &[&str]) -> anyhow::Result<()> {
    let import = tokio::process::Command::new("ctr")
        .arg("--address")
        .arg(paths.socket())
        .args(["--namespace", "k8s.io", "images", "import"])
        .arg(archive)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(CALL_DEADLINE, import).await.context("ctr images import does not end")??;
    ensure!(output.status.success(), "ctr images import: {}", String::from_utf8_lossy(&output.stderr));

    for name in names {
        let request = ImageStatusRequest { image: Some(ImageSpec { image: (*name).to_owned() }) };
        let known = async {
            loop {
                let answer: ImageStatusResponse =
                    client.call("runtime.v1.ImageService/ImageStatus", &request, CALL_DEADLINE).await?;
                if answer.image.is_some_and(|image| !image.id.is_empty()) {
                    return anyhow::Ok(());
                }
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::time::timeout(IMPORT_DEADLINE, known)
            .await
            .with_context(|| format!("image {name} did not appear"))??;
    }
    Ok(())
}
