//! Where the commands of a page run: a booted Debian that is a node of a cluster, as far as our programs can tell.
//!
//! The network is the machine's own and leads nowhere. In it answer the stand-ins of CloudWatch Logs, STS, the Kubernetes API and the
//! metadata service, the last at its own address. Pages say by `<!-- sandbox: ... -->` how they find the node: with the `programs`
//! alone and what is in a clone of this repository, or with all three `running` and a pod, `shop/cart-1`.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use safeguard_standins::kubernetes::{self, PodSpec};
use safeguard_standins::sts;
use safeguard_tests::built::program;
use safeguard_tests::machine::{Machine, Storage};
use tokio::task::block_in_place;

use super::cli::PROGRAMS;
use super::pages::root;
use crate::cloud::{self, ACCOUNT, Cloud, copy_program, kubeconfig, node_name, node_role};

/// What pages may say behind `sandbox:`.
pub(super) const KINDS: [&str; 2] = ["programs", "running"];

/// What a page's commands need that the machine's disk does not have: copied from where the test runs.
const TOOLS: [&str; 4] = ["curl", "jq", "nft", "ip"];

/// How long something that has to come is waited for.
const PATIENCE: Duration = Duration::from_secs(120);

/// The machine and the services around it.
pub(super) struct Sandbox {
    machine: Machine,
    cloud: Cloud,
}

/// How a script ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// Its exit code.
    pub(super) code: i32,
    /// What it said, on both outputs.
    pub(super) said: String,
}

impl Sandbox {
    /// A node of a kind that a page asks for.
    pub(super) async fn new(kind: &str) -> Self {
        let machine = block_in_place(|| Machine::boot(Storage::Persistent)).unwrap();
        block_in_place(|| TOOLS.iter().for_each(|tool| copy_program(tool, &machine.root())));
        let cloud = Cloud::around(&machine).await;
        let pods = sts::Role::new(format!("arn:aws:iam::{ACCOUNT}:role/pods/cart"));
        cloud.sts.put_role(pods.trusting(node_role()));
        let allowed = ("iam.amazonaws.com/allowed-roles", r#"["pods/*"]"#);
        cloud.api.add_namespace(kubernetes::namespace("shop", &[allowed]));
        let sandbox = Self { machine, cloud };
        block_in_place(|| sandbox.furnish());
        if kind == "running" {
            block_in_place(|| sandbox.begin());
        }
        sandbox
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.machine.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// What a node has before anything of ours is set up.
    fn furnish(&self) {
        let (root, repository) = (self.machine.root(), root());
        self.write("etc/hostname", &format!("{}\n", node_name()));
        let ca = self.cloud.api.ca_pem().unwrap();
        self.write("etc/kubernetes/pki/ca.crt", &ca);
        self.write("etc/ssl/certs/ca-certificates.crt", &ca);
        self.write("var/lib/kubelet/kubeconfig", &kubeconfig());
        // A clone in which the programs are built.
        for dir in ["systemd", "docs"] {
            copy_dir(&repository.join(dir), &root.join("srv/safeguard").join(dir));
        }
        for name in PROGRAMS {
            let built = root.join("srv/safeguard/target/release").join(name);
            fs::create_dir_all(built.parent().unwrap()).unwrap();
            fs::copy(program(name), &built).unwrap();
            fs::hard_link(&built, root.join("usr/bin").join(name)).unwrap();
        }
        // An image that is judged before it becomes one.
        self.write("mnt/image/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n");
        self.write("mnt/image/etc/os-release", "ID=amzn\nVERSION_ID=2023\n");
        self.write("srv/image/exceptions.yaml", "exceptions: []\n");
        for unit in ["safeguard-agent", "safeguard-proxy"] {
            self.write(&format!("run/systemd/system/{unit}.service.d/services.conf"), &cloud::endpoints());
        }
        // The safeguard of this node believes the stand-in of AWS.
        for (path, text) in self.cloud.safeguard().iter().filter(|(path, _)| path.contains("certificates")) {
            self.write(path, text);
        }
        self.pod();
    }

    /// The pod `shop/cart-1`: its log, its address, and what Kubernetes says of it.
    fn pod(&self) {
        let uid = "3f2a9c1e-5b7d-4a08-9c55-0d6f1e2b7a90";
        let pod = PodSpec::new("shop", "cart-1").uid(uid).node(node_name()).phase("Running").service_account("web");
        self.cloud.api.add_pod(pod.ip("10.0.12.34").annotation("iam.amazonaws.com/role", "pods/cart"));
        let result = serde_json::json!({
            "kind": "cniCacheV1", "containerId": "c1", "config": "e30=", "ifName": "eth0", "networkName": "aws-cni",
            "cniArgs": [["K8S_POD_NAMESPACE", "shop"], ["K8S_POD_NAME", "cart-1"], ["K8S_POD_UID", uid]],
            "result": {"cniVersion": "1.0.0", "ips": [{"address": "10.0.12.34/32"}]},
        });
        self.write("var/lib/cni/results/aws-cni-c1-eth0", &result.to_string());
        let now = self.machine.run(&["date", "-u", "+%Y-%m-%dT%H:%M:%S.%NZ"]).unwrap();
        let log = format!("var/log/pods/shop_cart-1_{uid}/web/0.log");
        self.write(&log, &format!("{} stdout F an order came in\n", now.trim()));
        self.write("var/log/audit/audit.log", "type=SYSCALL msg=audit(1.1:1): an event\n");
    }

    /// All three programs, by their units.
    fn begin(&self) {
        self.cloud.safeguard().iter().for_each(|(path, text)| self.write(path, text));
        self.write("etc/safeguard/proxy.toml", "");
        self.sh("cp systemd/*.service systemd/*.timer /etc/systemd/system/ && systemd-sysusers $PWD/systemd/safeguard.sysusers.conf && systemctl daemon-reload && systemctl start safeguard");
        let agent = format!(
            "[node]\nhost_root = \"/proc/1/root\"\n[logs]\nannotations_may_exclude = [\"dev\"]\nflush_interval = \"1s\"\n{}",
            cloud::heartbeat(&self.sh("safeguard key show"))
        );
        self.write("etc/safeguard/agent.toml", &agent);
        self.sh("systemctl start safeguard-proxy-redirect safeguard-proxy safeguard-agent safeguard-proxy-redirect-check.timer");
        self.sh("safeguard-proxy redirect check --repair");
        // The first delivery.
        self.until("safeguard-agent logs status | grep -q 'shop/cart-1/web .* 1 .* 1 '");
        self.is_well();
    }

    /// Waits until the safeguard takes the node's next beat, and the pod has its credentials.
    pub(super) fn is_well(&self) {
        let now = self.sh("date +%s");
        self.until(&format!(
            "test \"$(curl -sS http://127.0.0.1:9464/metrics |
               sed -n 's/^safeguard_heartbeat_acknowledged_timestamp_seconds //p')\" -gt {}",
            now.trim()
        ));
        self.until("safeguard-agent status | grep -Eq '^state +compliant'");
        self.until("safeguard-proxy explain shop/cart-1");
    }

    /// Writes a file; a name without a slash in front is one of the clone.
    pub(super) fn put(&self, path: &str, text: &str) {
        let path = path.strip_prefix('/').map_or_else(|| format!("srv/safeguard/{path}"), str::to_owned);
        self.write(&path, text);
    }

    /// What has to work.
    pub(super) fn sh(&self, script: &str) -> String {
        let ended = self.run(script);
        assert_eq!(ended.code, 0, "{script}: {}", ended.said);
        ended.said
    }

    /// Waits until a script works.
    pub(super) fn until(&self, script: &str) {
        let late = Instant::now() + PATIENCE;
        loop {
            let ended = self.run(script);
            if ended.code == 0 {
                return;
            }
            let logs = || {
                self.run("journalctl --no-pager -o cat -n 40 -u safeguard-agent -u safeguard-proxy -u safeguard").said
            };
            assert!(Instant::now() < late, "{script}: {}\n{}", ended.said, logs());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Runs a script in the clone as somebody types it who stops at the first mistake, with nothing of this test's environment.
    pub(super) fn run(&self, script: &str) -> Ended {
        self.write("run/block.sh", script);
        let line = "cd /srv/safeguard && env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
                    timeout 50 bash -euo pipefail /run/block.sh >/run/block.out 2>&1 </dev/null; echo $?";
        let code = self.machine.run(&["sh", "-c", line]).unwrap();
        let said = fs::read(self.machine.root().join("run/block.out")).unwrap();
        Ended { code: code.trim().parse().unwrap(), said: String::from_utf8_lossy(&said).into_owned() }
    }
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file()) {
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
