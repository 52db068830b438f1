//! A node whose pods have the proxy before them: the network of [`crate::fabric`], the metadata service outside of it, STS and the
//! Kubernetes API as strict stand-ins, and the real program.
//!
//! ```text
//! pod N --- node: safeguard-proxy, 127.0.0.1:6443 (Kubernetes) --- outside: 169.254.169.254:80 (IMDS), 10.0.0.254:8443 (STS)
//! ```
#![expect(
    clippy::disallowed_methods,
    reason = "the harness writes what the CNI writes, and starts the program that is tested"
)]

mod ask;

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use safeguard_daemon::admin::get_unix;
use safeguard_standins::kubernetes::{self, PodSpec};
use safeguard_standins::{Account, Imds, ImdsOptions, Kubernetes, KubernetesOptions, Listen, Sts, StsOptions, sts};
use tempfile::TempDir;
use tokio::task::block_in_place;
use tokio::time::Instant;

use crate::fabric::{Fabric, METADATA_V4, OUTSIDE_V4, Place, Wiring};

pub use ask::{Reply, ask, exchange};

/// The account that everything is in.
pub const ACCOUNT: &str = "123456789012";
/// The node's name, and the namespace of its pods.
pub const NODE: &str = "node-1";
/// The namespace of the pods.
pub const NAMESPACE: &str = "shop";

/// How long something that has to come is waited for.
pub const PATIENCE: Duration = Duration::from_secs(30);

const STS_PORT: u16 = 8443;
const API: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 6443);

/// A pod as it is to be.
#[derive(Debug, Clone)]
pub struct Wish {
    /// `metadata.uid`
    pub uid: String,
    /// `metadata.name`
    pub name: String,
    /// Its annotations.
    pub annotations: Vec<(String, String)>,
}

impl Wish {
    /// A pod of this number that asks for this role.
    pub fn role(number: u8, role: &str) -> Self {
        let annotations = vec![("iam.amazonaws.com/role".to_owned(), role.to_owned())];
        Self { uid: format!("uid-{number}-{role}"), name: format!("pod-{number}-{role}"), annotations }
    }

    /// A pod of this number that asks for none.
    pub fn none(number: u8) -> Self {
        Self { uid: format!("uid-{number}-none"), name: format!("pod-{number}-none"), annotations: Vec::new() }
    }
}

/// The node, and everything around it. Dropping it ends all of it.
#[derive(Debug)]
pub struct Proxied {
    /// The network.
    pub fabric: Fabric,
    /// The account whose keys are known.
    pub account: Arc<Account>,
    /// The real metadata service's stand-in, outside.
    pub imds: Imds,
    /// STS, outside.
    pub sts: Sts,
    /// The Kubernetes API.
    pub api: Kubernetes,
    dir: TempDir,
    sts_url: String,
    settings: String,
    kubernetes: String,
    unknown_pod_wait: Duration,
    program: PathBuf,
    proxies: Vec<Child>,
    wishes: BTreeMap<u8, Wish>,
}

impl Proxied {
    /// The network with so many pods' interfaces, and the services; neither proxy nor redirect nor pods.
    ///
    /// # Panics
    /// When something of it cannot be had here.
    pub async fn new(wiring: Wiring, pods: u8) -> Self {
        let fabric = block_in_place(|| Fabric::build(wiring, pods)).unwrap_or_else(|error| panic!("fabric: {error}"));
        let account = Account::new(ACCOUNT).unwrap_or_else(|error| panic!("account: {error}"));
        // Bound again, in its namespace, whenever the service comes back.
        let listen = |place, address: SocketAddr| {
            let entrance = fabric.entrance(place).unwrap_or_else(|error| panic!("{place:?}: {error}"));
            Listen::with(move || {
                entrance.enter()?;
                std::net::TcpListener::bind(address)
            })
        };
        let mut imds = ImdsOptions::new(account.clone());
        imds.listen = listen(Place::Outside, (METADATA_V4, 80).into());
        imds.keep_alive = true;
        let mut options = StsOptions::new(account.clone());
        options.listen = listen(Place::Outside, (OUTSIDE_V4, STS_PORT).into());
        let api = KubernetesOptions { listen: listen(Place::Node, API), ..KubernetesOptions::default() };
        let imds = Imds::start(imds).await.unwrap_or_else(|error| panic!("imds: {error}"));
        let sts = Sts::start(options).await.unwrap_or_else(|error| panic!("sts: {error}"));
        let api = Kubernetes::start(api).await.unwrap_or_else(|error| panic!("kubernetes: {error}"));
        let dir = tempfile::tempdir().unwrap_or_else(|error| panic!("a directory: {error}"));
        let node = Self {
            fabric,
            account,
            imds,
            sts,
            api,
            dir,
            sts_url: format!("http://{OUTSIDE_V4}:{STS_PORT}"),
            settings: String::new(),
            kubernetes: String::new(),
            unknown_pod_wait: Duration::from_millis(400),
            program: program(),
            proxies: Vec::new(),
            wishes: BTreeMap::new(),
        };
        node.write("cni/.keep", "");
        node.write("token", &node.api.issue_token("system:serviceaccount:safeguard:proxy"));
        node.api.add_namespace(kubernetes::namespace(NAMESPACE, &[("iam.amazonaws.com/allowed-roles", r#"["*"]"#)]));
        node
    }

    /// Lines of settings in addition, as `[limits]\nrequests_per_second = 100000`; for what is started from now on.
    pub fn set(&mut self, settings: &str) {
        settings.clone_into(&mut self.settings);
    }

    /// Lines of settings in addition for the table `[kubernetes]`; for what is started from now on.
    pub fn set_kubernetes(&mut self, settings: &str) {
        settings.clone_into(&mut self.kubernetes);
    }

    /// How long the proxy waits for pods that it does not know; for what is started from now on.
    pub fn set_unknown_pod_wait(&mut self, wait: Duration) {
        self.unknown_pod_wait = wait;
    }

    /// Another STS than the stand-in, by its URL; for what is started from now on.
    pub fn ask_sts_at(&mut self, url: &str) {
        url.clone_into(&mut self.sts_url);
    }

    /// The URL of the STS that the proxy asks, which pods reach too.
    pub fn sts_url(&self) -> &str {
        &self.sts_url
    }

    /// Another build of the program, for what is started from now on.
    pub fn set_program(&mut self, program: PathBuf) {
        self.program = program;
    }

    /// A role that the node may assume.
    pub fn put_role(&self, name: &str) {
        self.sts.put_role(sts::Role::new(role_arn(name)).trusting(role_arn("node")));
    }

    /// The directory of the proxy's files.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.dir.path().join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).unwrap_or_else(|error| panic!("{}: {error}", parent.display()));
        }
        std::fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    fn settings_file(&self) -> PathBuf {
        let dir = self.dir.path().display();
        let text = format!(
            "[node]\nname = \"{NODE}\"\n[aws]\nregion = \"us-east-1\"\nsts_endpoint_url = \"{}\"\n\
             [kubernetes]\nmode = \"url\"\nurl = \"http://{API}\"\ntoken_file = \"{dir}/token\"\n{}\n\
             [identity]\ncni_results = \"{dir}/cni\"\nunknown_pod_wait = \"{}ms\"\n\
             [proxy]\nsocket = \"{dir}/proxy.sock\"\nlock = \"{dir}/proxy.lock\"\nmetrics = \"off\"\n\
             [redirect]\nstate_file = \"{dir}/redirect.json\"\n{}\n",
            self.sts_url,
            self.kubernetes,
            self.unknown_pod_wait.as_millis(),
            self.settings,
        );
        self.write("proxy.toml", &text);
        self.dir.path().join("proxy.toml")
    }

    /// Runs the program in the node's namespace and waits for it, as `redirect up`.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn run(&self, arguments: &[&str]) -> Output {
        let settings = self.settings_file();
        block_in_place(|| {
            self.fabric
                .command_in(Place::Node, self.program.to_str().unwrap_or_default())
                .args(arguments)
                .arg("--config")
                .arg(settings)
                .output()
                .unwrap_or_else(|error| panic!("{arguments:?}: {error}"))
        })
    }

    /// Puts the redirect up.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn redirect_up(&self) {
        let output = self.run(&["redirect", "up"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Starts the proxy; with `--replace` beside one that runs.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(&mut self, arguments: &[&str]) {
        let settings = self.settings_file();
        let said = File::options().append(true).create(true).open(self.dir.path().join("said"));
        let said = said.unwrap_or_else(|error| panic!("the log: {error}"));
        let mut command = self.fabric.command_in(Place::Node, self.program.to_str().unwrap_or_default());
        command.arg("serve").args(arguments).arg("--config").arg(settings).stdin(Stdio::null()).stdout(Stdio::null());
        // As systemd starts it: where this machine's environment leads to is none of its business.
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        let child = command.stderr(said).spawn().unwrap_or_else(|error| panic!("serve: {error}"));
        self.proxies.push(child);
    }

    /// Waits until the proxy that was started last answers on its admin socket.
    ///
    /// # Panics
    /// When it does not in [`PATIENCE`], or ends.
    pub async fn started(&mut self) {
        let late = Instant::now() + PATIENCE;
        let socket = self.dir.path().join("proxy.sock");
        while get_unix(&socket, "/v1/health", Duration::from_secs(1)).await.is_err() {
            assert!(Instant::now() < late, "it does not answer: {}", self.said());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Redirect and proxy, ready.
    pub async fn up(&mut self) {
        self.redirect_up();
        self.start(&[]);
        self.started().await;
    }

    /// SIGKILL for every proxy.
    pub fn kill(&mut self) {
        for mut child in self.proxies.drain(..) {
            // Both fail only when it has ended already.
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// SIGTERM for the proxy that runs longest, and how it ended.
    ///
    /// # Panics
    /// When there is none, or it does not end in [`PATIENCE`].
    pub async fn terminate(&mut self) -> ExitStatus {
        let pid = self.proxies.first().map(Child::id).and_then(|pid| i32::try_from(pid).ok());
        // It may have ended by itself.
        if let Some(Err(error)) = pid.map(|pid| kill(Pid::from_raw(pid), Signal::SIGTERM)) {
            assert_eq!(error, Errno::ESRCH, "SIGTERM");
        }
        self.ended().await
    }

    /// How the proxy that runs longest ended.
    ///
    /// # Panics
    /// When there is none, or it does not end in [`PATIENCE`].
    pub async fn ended(&mut self) -> ExitStatus {
        let mut child = self.proxies.remove(0);
        let late = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait().unwrap_or_else(|error| panic!("wait: {error}")) {
                return status;
            }
            assert!(Instant::now() < late, "it does not end: {}", self.said());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The process id of the proxy that was started last.
    pub fn pid(&self) -> Option<u32> {
        self.proxies.last().map(Child::id)
    }

    /// Everything that proxies have said so far.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("said")).unwrap_or_default()
    }

    /// Starts a pod in the interface of this number, as the runtime does: first the CNI's result, then the API hears of it.
    pub fn run_pod(&mut self, number: u8, wish: Wish) {
        self.write_result(number, &wish);
        self.tell_api(number, &wish);
        self.wishes.insert(number, wish);
    }

    /// Tells the API of a pod.
    pub fn tell_api(&self, number: u8, wish: &Wish) {
        let pod = self.fabric.pod(number);
        self.tell_api_at(&[pod.v4.into(), pod.v6.into()], wish);
    }

    /// Tells the API of a pod that need not have a network.
    pub fn tell_api_at(&self, addresses: &[IpAddr], wish: &Wish) {
        let mut spec = PodSpec::new(NAMESPACE, wish.name.clone()).uid(wish.uid.clone()).node(NODE);
        spec = spec.phase("Running").service_account("web");
        for address in addresses {
            spec = spec.ip(address.to_string());
        }
        for (name, value) in &wish.annotations {
            spec = spec.annotation(name.clone(), value.clone());
        }
        self.api.add_pod(spec);
    }

    /// Writes the CNI's result of a pod.
    pub fn write_result(&self, number: u8, wish: &Wish) {
        let pod = self.fabric.pod(number);
        self.write_result_at(&[pod.v4.into(), pod.v6.into()], wish);
    }

    /// Writes the CNI's result of a pod that need not have a network.
    pub fn write_result_at(&self, addresses: &[IpAddr], wish: &Wish) {
        let ips: Vec<_> = addresses
            .iter()
            .map(|address| serde_json::json!({ "address": format!("{address}/{}", if address.is_ipv4() { 32 } else { 128 }) }))
            .collect();
        let result = serde_json::json!({
            "kind": "cniCacheV1",
            "containerId": wish.uid,
            "config": "e30=",
            "ifName": "eth0",
            "networkName": "aws-cni",
            "cniArgs": [
                ["IgnoreUnknown", "1"],
                ["K8S_POD_NAMESPACE", NAMESPACE],
                ["K8S_POD_NAME", wish.name],
                ["K8S_POD_INFRA_CONTAINER_ID", wish.uid],
                ["K8S_POD_UID", wish.uid],
            ],
            "result": {
                "cniVersion": "1.0.0",
                "ips": ips,
            },
        });
        self.write(&format!("cni/aws-cni-{}-eth0", wish.uid), &result.to_string());
    }

    /// Removes the CNI's result of a pod, as after its interface is gone.
    pub fn remove_result(&self, wish: &Wish) {
        let path = self.dir.path().join(format!("cni/aws-cni-{}-eth0", wish.uid));
        std::fs::remove_file(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// Ends the pod in the interface of this number: the CNI's result goes, and the API hears of it.
    pub fn end_pod(&mut self, number: u8) {
        let Some(wish) = self.wishes.remove(&number) else { return };
        self.remove_result(&wish);
        self.api.delete_pod(NAMESPACE, &wish.name);
    }

    /// The pod in the interface of this number.
    pub fn wish(&self, number: u8) -> Option<&Wish> {
        self.wishes.get(&number)
    }

    /// A request of a pod to the metadata service.
    pub fn ask(&self, number: u8, method: &str, path: &str, headers: &[(&str, &str)]) -> std::io::Result<Reply> {
        let to = SocketAddr::from((METADATA_V4, 80));
        block_in_place(|| self.fabric.in_pod(number, || ask(to, method, path, headers)))
    }

    /// The same by GET.
    pub fn get(&self, number: u8, path: &str) -> std::io::Result<Reply> {
        self.ask(number, "GET", path, &[])
    }

    /// The ARN of the session that a pod gets, found by asking for its credentials and looking the key up. `None` if it gets none.
    pub fn whoami(&self, number: u8) -> Option<String> {
        const LIST: &str = "/latest/meta-data/iam/security-credentials/";
        let list = self.get(number, LIST).ok().filter(|reply| reply.status == 200)?;
        let got = self.get(number, &format!("{LIST}{}", list.body)).ok().filter(|reply| reply.status == 200)?;
        let document: serde_json::Value = serde_json::from_str(&got.body).ok()?;
        let key = document["AccessKeyId"].as_str()?;
        Some(self.account.principal(key).map_or_else(|| format!("nobody's key {key}"), |principal| principal.arn()))
    }

    /// The invariant of all tests: no pod has ever caused a request for what is the node's own. What the proxy asks for itself, its own
    /// credentials, comes from the SDK, with its name.
    ///
    /// # Panics
    /// When it is broken.
    pub fn nothing_leaked(&self) {
        let own = |request: &safeguard_standins::imds::Request| {
            request.user_agent().contains("safeguard-proxy") || is_sdk(request)
        };
        let leaked = self.imds.sensitive_requests(own);
        assert!(leaked.is_empty(), "{leaked:#?}");
        let forwarded: Vec<_> =
            self.imds.requests().into_iter().filter(|request| !request.forwarded().is_empty()).collect();
        assert!(forwarded.is_empty(), "{forwarded:#?}");
    }
}

/// The AWS SDK of the proxy itself: it asks from the node's own address, which no pod has.
fn is_sdk(request: &safeguard_standins::imds::Request) -> bool {
    request.peer.ip() == IpAddr::from(crate::fabric::NODE_V4) && request.user_agent().contains("aws-sdk-rust")
}

impl Drop for Proxied {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The ARN of a role of the account.
pub fn role_arn(name: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:role/{name}")
}

/// The program, built beside this one: `target/release/deps/it-...` and `target/release/safeguard-proxy`.
///
/// # Panics
/// When it was not built.
pub fn program() -> PathBuf {
    let here = std::env::current_exe().unwrap_or_default();
    let beside = here.ancestors().skip(1).map(|dir| dir.join("safeguard-proxy")).find(|path| path.exists());
    beside.unwrap_or_else(|| panic!("safeguard-proxy is missing: `cargo build --release --workspace --bins` makes it"))
}
