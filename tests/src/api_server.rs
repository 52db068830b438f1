//! A real API server of Kubernetes with an etcd of its own: a cluster without nodes, controllers or kubelets, in which objects are
//! what somebody wrote there.
//!
//! `tests/run` builds it of the source that Debian has: 1.20, whose tokens do not say yet on which node a pod is. What does say it is
//! asked for as Kubernetes lets one: of a webhook that knows tokens ([`ApiServer::start`]).
#![expect(
    clippy::disallowed_methods,
    reason = "the harness owns its directories and starts the server under test; only the agent is held to those seams"
)]

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use safeguard_standins::Tls;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::moto::venv_program;

/// How long both may take to come up. It takes some four seconds.
const START_DEADLINE: Duration = Duration::from_secs(60);

/// How often it is asked meanwhile.
const POLL: Duration = Duration::from_millis(100);

/// How long it is waited for once it was told to end. It listens no more then, and lets watches go on for up to a minute.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// What the administrator's token is.
const ADMINISTRATOR: &str = "administrator";

/// A running API server on a loopback address of its own, which forgets everything when it is dropped.
#[derive(Debug)]
pub struct ApiServer {
    // Ends before what it stores in.
    server: Process,
    etcd: Process,
    address: SocketAddr,
    store: SocketAddr,
    // Deleted after both have ended.
    directory: TempDir,
}

impl ApiServer {
    /// Starts etcd and kube-apiserver. `webhook` is the URL of a webhook that is asked about tokens that are no service account's
    /// (Kubernetes, "Webhook Token Authentication").
    ///
    /// Fails when one of them is missing or does not answer within a minute; the error then has what it wrote.
    pub async fn start(webhook: Option<&str>) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let at = directory.path();
        let ip = own_address();
        let tls = Tls::generate_for(&[&ip.to_string()])?;
        write(at, "ca.pem", tls.ca_pem())?;
        write(at, "server.pem", tls.certificate_pem())?;
        write(at, "server.key", tls.key_pem())?;
        // What tokens of service accounts are signed with.
        let accounts = Tls::generate()?;
        write(at, "accounts.pem", accounts.certificate_pem())?;
        write(at, "accounts.key", accounts.key_pem())?;
        write(at, "tokens.csv", &format!("{ADMINISTRATOR},administrator,1,system:masters\n"))?;
        if let Some(url) = webhook {
            let kubeconfig = json!({
                "apiVersion": "v1", "kind": "Config", "current-context": "x",
                "clusters": [{"name": "x", "cluster": {"server": url}}],
                "users": [{"name": "x", "user": {}}],
                "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
            });
            write(at, "webhook.json", &kubeconfig.to_string())?;
        }
        let [address, store, peers] = [6443, 2379, 2380].map(|port| SocketAddr::from((ip, port)));
        let etcd = start_etcd(at, store, peers)?;
        let server = start_server(at, address, store)?;
        let mut started = Self { server, etcd, address, store, directory };
        started.wait_ready().await?;
        Ok(started)
    }

    /// Ends the API server, as a control plane does that is renewed. etcd keeps what is stored.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.server.child.id())?);
        kill(pid, Signal::SIGTERM)?;
        let late = Instant::now() + END_PATIENCE;
        while self.server.child.try_wait()?.is_none() && Instant::now() < late {
            tokio::time::sleep(POLL).await;
        }
        self.server.end();
        Ok(())
    }

    /// Starts it anew at the same address.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        self.server = start_server(self.directory.path(), self.address, self.store)?;
        self.wait_ready().await
    }

    /// Such as `https://127.7.33.1:6443`.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The file with the authority of its certificate.
    pub fn ca(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// Writes objects, as `kubectl apply` does by default: with the checks of the client for the server's schema.
    pub fn apply(&self, objects: &[Value]) -> anyhow::Result<String> {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
        self.kubectl(&["apply", "--filename", "-"], &list.to_string())
    }

    /// Writes into the status of an object, as kubelets and controllers do.
    pub fn patch_status(&self, namespace: &str, what: &str, patch: &Value) -> anyhow::Result<()> {
        let patch = json!({"status": patch}).to_string();
        let arguments = ["--namespace", namespace, "--subresource", "status", "--type", "merge", "--patch", &patch];
        self.kubectl(&[&["patch", what], arguments.as_slice()].concat(), "").map(drop)
    }

    /// A token of a service account, as the kubelet gets one for a pod (TokenRequest); without an audience the server's own.
    pub fn token(&self, namespace: &str, account: &str, audience: Option<&str>) -> anyhow::Result<String> {
        let mut arguments = vec!["create", "token", account, "--namespace", namespace];
        arguments.extend(audience.iter().flat_map(|audience| ["--audience", *audience]));
        Ok(self.kubectl(&arguments, "")?.trim().to_owned())
    }

    /// kubectl as the cluster's administrator.
    pub fn kubectl(&self, arguments: &[&str], input: &str) -> anyhow::Result<String> {
        let mut command = Command::new(venv_program("kubectl")?);
        // What the user has of clusters is none of its business.
        command.env_clear().env("HOME", self.directory.path()).env("KUBECONFIG", "/dev/null");
        command.args(["--request-timeout", "20s", "--server", &self.url(), "--token", ADMINISTRATOR]);
        command.arg("--certificate-authority").arg(self.ca());
        output(command.args(arguments), input)
    }

    async fn wait_ready(&mut self) -> anyhow::Result<()> {
        let late = Instant::now() + START_DEADLINE;
        loop {
            let not_yet = match self.kubectl(&["get", "--raw", "/readyz"], "") {
                Ok(said) if said == "ok" => None,
                Ok(said) => Some(said),
                Err(error) => Some(format!("{error:#}")),
            };
            for process in [&mut self.etcd, &mut self.server] {
                process.is_alive()?;
            }
            let Some(not_yet) = not_yet else { return Ok(()) };
            if Instant::now() > late {
                bail!("{not_yet}; kube-apiserver is not ready after {START_DEADLINE:?}: {}", self.server.said());
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// Where `tests/run` puts kube-apiserver.
pub fn program() -> Option<PathBuf> {
    crate::parts::place("SAFEGUARD_TEST_KUBERNETES", "kubernetes").map(|dir| dir.join("kube-apiserver"))
}

fn start_etcd(at: &Path, store: SocketAddr, peers: SocketAddr) -> anyhow::Result<Process> {
    let mut command = ends_with_us("etcd");
    let (store, peers) = (format!("http://{store}"), format!("http://{peers}"));
    command.arg("--data-dir").arg(at.join("etcd"));
    command.args(["--listen-client-urls", &store, "--advertise-client-urls", &store, "--listen-peer-urls", &peers]);
    // Nothing here has to survive a crash of the machine.
    Process::start(command.arg("--unsafe-no-fsync"), at.join("etcd.log"))
}

fn start_server(at: &Path, address: SocketAddr, store: SocketAddr) -> anyhow::Result<Process> {
    let mut command = ends_with_us(program().context("HOME is not set")?);
    let file = |name: &str| at.join(name).display().to_string();
    let mut settings = vec![
        ("etcd-servers", format!("http://{store}")),
        ("bind-address", address.ip().to_string()),
        ("secure-port", address.port().to_string()),
        ("tls-cert-file", file("server.pem")),
        ("tls-private-key-file", file("server.key")),
        ("token-auth-file", file("tokens.csv")),
        ("authorization-mode", "Node,RBAC".to_owned()),
        ("service-account-issuer", "https://kubernetes.default.svc".to_owned()),
        ("service-account-key-file", file("accounts.pem")),
        ("service-account-signing-key-file", file("accounts.key")),
        ("service-cluster-ip-range", "10.96.0.0/24".to_owned()),
        // Nobody is told where it is, and no controller makes accounts.
        ("endpoint-reconciler-type", "none".to_owned()),
        ("advertise-address", "192.0.2.1".to_owned()),
        ("disable-admission-plugins", "ServiceAccount".to_owned()),
    ];
    if at.join("webhook.json").exists() {
        settings.push(("authentication-token-webhook-config-file", file("webhook.json")));
        settings.push(("authentication-token-webhook-version", "v1".to_owned()));
        settings.push(("authentication-token-webhook-cache-ttl", "0s".to_owned()));
    }
    command.args(settings.into_iter().map(|(name, value)| format!("--{name}={value}")));
    Process::start(&mut command, at.join("server.log"))
}

/// A loopback address that nobody else has: while the server is away, nobody takes its port.
fn own_address() -> Ipv4Addr {
    static STARTED: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, high | 0x80, low, STARTED.fetch_add(1, Ordering::Relaxed))
}

/// A program that ends when the thread that starts it does, however that ends.
fn ends_with_us(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// Everything here holds keys or tokens.
fn write(dir: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(dir.join(name))?;
    Ok(file.write_all(text.as_bytes())?)
}

/// What a program wrote when it was given this to read; an error, with what it complained of, if it did not succeed.
fn output(command: &mut Command, input: &str) -> anyhow::Result<String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = command.spawn().with_context(|| format!("start {command:?}"))?;
    // One that ends without reading it says why.
    drop(running.stdin.take().context("it has an input")?.write_all(input.as_bytes()));
    let output = running.wait_with_output()?;
    ensure!(output.status.success(), "{:?}: {}", command.get_program(), String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// A process that ends when this is dropped.
#[derive(Debug)]
struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    fn start(command: &mut Command, log: PathBuf) -> anyhow::Result<Self> {
        let to = File::options().append(true).create(true).open(&log)?;
        let command = command.stdin(Stdio::null()).stdout(to.try_clone()?).stderr(to);
        let child = command.spawn().with_context(|| format!("start {command:?} (tests/run installs it)"))?;
        Ok(Self { child, log })
    }

    fn is_alive(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("it ended with {status}: {}", self.said()),
            None => Ok(()),
        }
    }

    /// The end of what it wrote.
    fn said(&self) -> String {
        let mut said = Vec::new();
        drop(File::open(&self.log).and_then(|mut file| file.read_to_end(&mut said)));
        String::from_utf8_lossy(&said[said.len().saturating_sub(4_000)..]).into_owned()
    }

    fn end(&mut self) {
        // Both fail only when the process has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}
