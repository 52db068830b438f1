//! Pods with networks of their own: the bridge plugin of Debian's `containernetworking-plugins`, on a node that is a network namespace.
//!
//! libcni keeps its results in `/var/lib/cni/results`, and containerd has no setting for that. So this containerd has a view of
//! its own of `/var/lib`, in which that directory is the test's.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::json;

use super::text;

/// Where Debian's package puts the plugins.
pub(super) const PLUGINS: &str = "/usr/lib/cni";

/// Before containerd starts: $1 becomes libcni's directory of results. All of it is gone with the last process that sees it.
const VIEW: &str = r#"
results=$1
shift
cd "$results"
mount -t tmpfs -o mode=755 containerd /var/lib
mkdir -p /var/lib/cni/results
mount --bind . /var/lib/cni/results
cd /
exec "$@"
"#;

/// The network that pods are put on.
#[derive(Clone, Debug)]
pub struct Network {
    /// What the node's network namespace can be opened by, as [`crate::fabric::Fabric::path`] tells.
    pub namespace: PathBuf,
    /// The directory that becomes `/var/lib/cni/results`.
    pub results: PathBuf,
    /// The bridge in the node's namespace, such as `cni0`. It is made when it is not there.
    pub bridge: String,
    /// Where pods get addresses from, such as `10.244.0.0/24`. The first is the bridge's own.
    pub subnet: String,
}

impl Network {
    /// What starts `program` inside of it.
    pub(super) fn command(&self, program: &str) -> anyhow::Result<Command> {
        std::fs::create_dir_all(&self.results).with_context(|| format!("create {}", self.results.display()))?;
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", text(&self.namespace)?));
        command.args(["--", "unshare", "--mount", "--", "sh", "-e", "-c", VIEW, "containerd-view"]);
        command.arg(&self.results).arg(program);
        Ok(command)
    }

    /// Writes the configuration that containerd gives the plugins. Addresses are booked below `state`.
    pub(super) fn configure(&self, configurations: &Path, state: &Path) -> anyhow::Result<()> {
        ensure!(
            Path::new(PLUGINS).join("bridge").exists(),
            "{PLUGINS}/bridge is missing (install containernetworking-plugins)"
        );
        let network = json!({
            "cniVersion": "0.4.0",
            "name": "aws-cni",
            "plugins": [{
                "type": "bridge",
                "bridge": self.bridge,
                "isGateway": true,
                "ipMasq": false,
                "ipam": {
                    "type": "host-local",
                    "dataDir": text(state)?,
                    "ranges": [[{ "subnet": self.subnet }]],
                    "routes": [{ "dst": "0.0.0.0/0" }],
                },
            }],
        });
        std::fs::create_dir_all(configurations).with_context(|| format!("create {}", configurations.display()))?;
        let file = configurations.join("10-bridge.conflist");
        std::fs::write(&file, network.to_string()).with_context(|| format!("write {}", file.display()))
    }
}
