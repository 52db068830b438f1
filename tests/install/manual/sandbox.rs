//! Where the commands of a page run: a booted Debian that is a node of a cluster, as far as our programs can tell.
//!
//! The network is the machine's own and leads nowhere. In it answer the stand-ins of CloudWatch Logs, STS, the Kubernetes API and the
//! metadata service, the last at its own address. Pages say by `<!-- sandbox: ... -->` how they find the node: with the `programs`
//! alone and what is in a clone of this repository, or with all three `running` and a pod, `shop/cart-1`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use safeguard_standins::imds::Instance;
use safeguard_standins::kubernetes::{self, Eks, PodSpec, Resource, Verb};
use safeguard_standins::{
    Account, CloudWatch, IdentityCa, Imds, ImdsOptions, Kubernetes, KubernetesOptions, Listen, Options, Sts,
    StsOptions, sts,
};
use safeguard_tests::built::program;
use safeguard_tests::machine::{Machine, Storage};
use tokio::task::block_in_place;

use super::cli::PROGRAMS;
use super::pages::root;

/// What pages may say behind `sandbox:`.
pub(super) const KINDS: [&str; 2] = ["programs", "running"];

/// What a page's commands need that the machine's disk does not have: copied from where the test runs.
const TOOLS: [&str; 4] = ["curl", "jq", "nft", "ip"];

const ACCOUNT: &str = "123456789012";
const CLUSTER: &str = "production";
const LOGS: SocketAddr = local(4567);
const STS: SocketAddr = local(4566);
const API: SocketAddr = local(6443);
const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
/// How long something that has to come is waited for.
const PATIENCE: Duration = Duration::from_secs(120);

const fn local(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// The machine and the services around it.
pub(super) struct Sandbox {
    machine: Machine,
    node: String,
    _logs: CloudWatch,
    _sts: Sts,
    _api: Kubernetes,
    _imds: Imds,
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
        let instance = Instance::default();
        let node = format!("ip-{}.ec2.internal", instance.local_ipv4.replace('.', "-"));
        let tools = block_in_place(|| install_tools(&machine.root()));
        assert!(tools.is_ok(), "{tools:?}");
        // Its address may only be in a network that is not this host's.
        let inside = machine.root().parent().unwrap().join("ns/net");
        assert_ne!(fs::read_link(inside).unwrap(), fs::read_link("/proc/self/ns/net").unwrap());
        machine.run(&["ip", "address", "add", &format!("{METADATA}/32"), "dev", "lo"]).unwrap();

        let account = Account::new(ACCOUNT).unwrap();
        let role = format!("arn:aws:iam::{ACCOUNT}:role/node");
        let user = format!("system:node:{node}");
        let authority = Arc::new(IdentityCa::new(&instance.region).unwrap());
        let inside = |address: SocketAddr| {
            let namespace = machine.root().parent().unwrap().join("ns/net");
            Listen::with(move || {
                setns(File::open(&namespace)?, CloneFlags::CLONE_NEWNET)?;
                TcpListener::bind(address)
            })
        };
        let options = ImdsOptions {
            listen: inside((METADATA, 80).into()),
            instance,
            identity_ca: Some(authority.clone()),
            ..ImdsOptions::new(account.clone())
        };
        let imds = Imds::start(options).await.unwrap();
        let sts = Sts::start(StsOptions { listen: inside(STS), ..StsOptions::new(account.clone()) }).await.unwrap();
        sts.put_role(sts::Role::new(format!("arn:aws:iam::{ACCOUNT}:role/pods/cart")).trusting(role.clone()));
        let eks = Eks {
            account: account.clone(),
            region: "us-east-1".to_owned(),
            cluster: CLUSTER.to_owned(),
            endpoints: vec![format!("http://{STS}")],
            users: BTreeMap::from([(role, user.clone())]),
        };
        let options =
            KubernetesOptions { listen: inside(API), tls: true, eks: Some(eks), ..KubernetesOptions::default() };
        let api = Kubernetes::start(options).await.unwrap();
        api.bind_to_node(&user, &node);
        // What the node authorizer lets a node do, and what docs/permissions.md gives to all nodes.
        api.grant(&user, &[Verb::List, Verb::Watch], Resource::Pods, None);
        api.grant(&user, &[Verb::Get], Resource::Nodes, None);
        api.grant(&user, &[Verb::Get], Resource::Leases, None);
        api.grant(&user, &[Verb::List, Verb::Watch], Resource::Namespaces, None);
        api.add_node(kubernetes::node(&node, "10.0.1.23"));
        api.add_namespace(kubernetes::namespace("shop", &[("iam.amazonaws.com/allowed-roles", r#"["pods/*"]"#)]));
        let logs = Options { listener: Some(inside(LOGS)), keys: Some(account), ..Options::default() };
        let logs = CloudWatch::start(logs).await.unwrap();
        let sandbox = Self { machine, node, _logs: logs, _sts: sts, _api: api, _imds: imds };
        block_in_place(|| {
            sandbox.furnish();
            sandbox.believe(&authority);
        });
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
        self.write("etc/hostname", &format!("{}\n", self.node));
        let ca = self._api.ca_pem().unwrap();
        self.write("etc/kubernetes/pki/ca.crt", &ca);
        self.write("etc/ssl/certs/ca-certificates.crt", &ca);
        self.write(
            "var/lib/kubelet/kubeconfig",
            &format!(
                "clusters: [{{name: a, cluster: {{server: 'https://{API}', certificate-authority: /etc/kubernetes/pki/ca.crt}}}}]\n\
                 contexts: [{{name: a, context: {{cluster: a, user: a}}}}]\ncurrent-context: a\n\
                 users: [{{name: a, user: {{exec: {{apiVersion: client.authentication.k8s.io/v1beta1, command: aws, \
                 args: [eks, get-token, --cluster-name, {CLUSTER}]}}}}}}]\n"
            ),
        );
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
        // A region's services have no address here.
        for unit in ["safeguard-agent", "safeguard-proxy"] {
            self.write(
                &format!("run/systemd/system/{unit}.service.d/services.conf"),
                &format!(
                    "[Service]\nEnvironment=AWS_ENDPOINT_URL_CLOUDWATCH_LOGS=http://{LOGS}\nEnvironment=AWS_ENDPOINT_URL_STS=http://{STS}\n"
                ),
            );
        }
        self.pod();
    }

    /// The pod `shop/cart-1`: its log, its address, and what Kubernetes says of it.
    fn pod(&self) {
        let uid = "3f2a9c1e-5b7d-4a08-9c55-0d6f1e2b7a90";
        let pod =
            PodSpec::new("shop", "cart-1").uid(uid).node(self.node.clone()).phase("Running").service_account("web");
        self._api.add_pod(pod.ip("10.0.12.34").annotation("iam.amazonaws.com/role", "pods/cart"));
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

    /// The safeguard of this node: it believes the stand-in of AWS.
    fn believe(&self, authority: &IdentityCa) {
        self.write("etc/safeguard/aws-certificates/index.toml", &authority.index_entry("2195-01-01T00:00:00Z"));
        self.write("etc/safeguard/aws-certificates/demo.pem", authority.certificate_pem());
    }

    /// All three programs, by their units.
    fn begin(&self) {
        let server = format!(
            "[page]\nopen = true\n[nodes]\ninterval = \"5s\"\n[verify]\ncertificates = \"/etc/safeguard/aws-certificates\"\n\
             [verify.sts]\nendpoint = \"http://{STS}\"\n\
             [[verify.tenants]]\nname = \"example\"\naccounts = [\"{ACCOUNT}\"]\nroles = [\"node\"]\n"
        );
        self.write("etc/safeguard/safeguard.toml", &server);
        self.write("etc/safeguard/proxy.toml", "");
        self.sh("cp systemd/*.service systemd/*.timer /etc/systemd/system/ && systemd-sysusers $PWD/systemd/safeguard.sysusers.conf && systemctl daemon-reload && systemctl start safeguard");
        let key = self.sh("safeguard key show");
        let agent = format!(
            "[node]\nhost_root = \"/proc/1/root\"\n[logs]\nannotations_may_exclude = [\"dev\"]\nflush_interval = \"1s\"\n\
             [heartbeat]\nurl = \"http://127.0.0.1:8420\"\ntenant = \"example\"\nserver_keys = [\"{}\"]\n",
            key.trim()
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

/// Copies programs with the libraries that they are linked with. Both sides are the same Debian.
fn install_tools(root: &Path) -> Result<(), String> {
    for tool in TOOLS {
        let found = ["/usr/bin", "/usr/sbin", "/sbin", "/bin"].map(|dir| Path::new(dir).join(tool));
        let path = found.iter().find(|path| path.exists()).ok_or(format!("the program {tool} is missing"))?;
        let linked = Command::new("ldd").arg(path).output().map_err(|error| format!("ldd: {error}"))?;
        let linked = String::from_utf8_lossy(&linked.stdout).into_owned();
        let libraries = linked.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from);
        for file in libraries.chain([path.clone()]) {
            let to = root.join(file.strip_prefix("/").unwrap_or(&file));
            if !to.exists() {
                fs::create_dir_all(to.parent().unwrap()).map_err(|error| error.to_string())?;
                fs::copy(&file, &to).map_err(|error| format!("{}: {error}", file.display()))?;
            }
        }
    }
    Ok(())
}
