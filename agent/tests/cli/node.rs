//! A node in a temporary directory, CloudWatch Logs on loopback, and the real program.

#![expect(clippy::disallowed_methods, reason = "a test builds a host and runs the program from outside")]

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use safeguard_standins::{CloudWatch, Credential, Options};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

pub(crate) const GROUP: &str = "/aws/containerinsights/prod/application";
pub(crate) const STREAM: &str = "node-7";
/// The directory of the container that writes by default.
pub(crate) const CONTAINER: &str = "shop_cart-1_0a1b2c3d/web";
/// `agent.shutdown_grace` of the node.
pub(crate) const GRACE: Duration = Duration::from_secs(8);
/// For anything that a healthy program does at once; the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Node {
    dir: TempDir,
    pub(crate) cloud: CloudWatch,
    credential: Credential,
}

impl Node {
    pub(crate) async fn new() -> Self {
        Self::with(CloudWatch::start(Options::default()).await.unwrap())
    }

    pub(crate) fn with(cloud: CloudWatch) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let credential = cloud.issue(None);
        let node = Self { dir, cloud, credential };
        fs::create_dir_all(node.path("host/var/log/pods").join(CONTAINER)).unwrap();
        node.settings("");
        node
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Lines of a container, as containerd writes them.
    pub(crate) fn write(&self, lines: impl IntoIterator<Item = String>) {
        self.write_in(CONTAINER, lines);
    }

    /// The same of another, by its directory: `NAMESPACE_POD_UID/CONTAINER`.
    pub(crate) fn write_in(&self, container: &str, lines: impl IntoIterator<Item = String>) {
        let dir = self.path("host/var/log/pods").join(container);
        fs::create_dir_all(&dir).unwrap();
        let now = rfc3339(SystemTime::now().duration_since(UNIX_EPOCH).unwrap());
        let text: String = lines.into_iter().map(|line| format!("{now} stdout F {line}\n")).collect();
        let mut file = OpenOptions::new().create(true).append(true).open(dir.join("0.log")).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// Writes the settings file; `more` comes last.
    pub(crate) fn settings(&self, more: &str) {
        let root = self.dir.path().display();
        let (url, grace) = (self.cloud.url(), GRACE.as_secs());
        let text = format!(
            "agent = {{ state_dir = \"{root}/state\", run_dir = \"{root}/run\", metrics = \"127.0.0.1:0\", \
             shutdown_grace = \"{grace}s\" }}\n\
             node = {{ cluster = \"prod\", name = \"{STREAM}\", host_root = \"{root}/host\" }}\n\
             aws = {{ region = \"us-east-1\", endpoint_url = \"{url}\" }}\n{more}\n"
        );
        fs::write(self.path("agent.toml"), text).unwrap();
    }

    pub(crate) fn garbage(&self) {
        fs::write(self.path("agent.toml"), "[logs]\nflush_intervall = \"5s\"\n").unwrap();
    }

    /// The program with nothing in its environment but credentials.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = program(args);
        command
            .env("AWS_ACCESS_KEY_ID", &self.credential.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", &self.credential.secret_access_key)
            .env("AWS_SESSION_TOKEN", self.credential.session_token.as_deref().unwrap());
        command
    }

    pub(crate) fn secrets(&self) -> [&str; 2] {
        [&self.credential.secret_access_key, self.credential.session_token.as_deref().unwrap()]
    }

    pub(crate) fn run_command(&self) -> Command {
        self.command(&["run", "--config", self.path("agent.toml").to_str().unwrap()])
    }

    /// Starts it and waits until it is ready.
    pub(crate) async fn start(&self) -> Running {
        let mut running = Running::spawn(self.run_command());
        running.says("Ready.").await;
        running
    }

    pub(crate) fn logs_status(&self, format: &str) -> Output {
        let socket = self.path("run/agent.sock");
        let mut command = self.command(&["logs", "status", "--format", format, "--socket", socket.to_str().unwrap()]);
        command.output().unwrap()
    }

    /// What arrived, as the lines of the container.
    pub(crate) fn arrived(&self) -> Vec<String> {
        let event = |message: &str| serde_json::from_str::<Value>(message).unwrap()["log"].as_str().unwrap().to_owned();
        self.cloud.events(GROUP, STREAM).iter().map(|stored| event(&stored.message)).collect()
    }

    pub(crate) async fn arrives(&self, lines: usize) {
        let late = Instant::now() + PATIENCE;
        while self.arrived().len() < lines {
            assert!(Instant::now() < late, "only {} of {lines} lines arrived", self.arrived().len());
            sleep(Duration::from_millis(20)).await;
        }
    }
}

pub(crate) fn program(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_safeguard-agent"));
    command.args(args).env_clear().env("AWS_EC2_METADATA_DISABLED", "true").stdin(Stdio::null());
    command
}

pub(crate) fn file_mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// The program while it runs; killed when it is dropped.
pub(crate) struct Running {
    child: Child,
    said: Arc<Mutex<Vec<String>>>,
    listener: Option<std::thread::JoinHandle<()>>,
}

impl Running {
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let said = Arc::<Mutex<Vec<String>>>::default();
        let heard = said.clone();
        let listener = std::thread::spawn(move || {
            for line in stderr.lines() {
                heard.lock().unwrap().push(line.unwrap());
            }
        });
        Self { child, said, listener: Some(listener) }
    }

    /// Everything it wrote so far.
    pub(crate) fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }

    /// Waits for a line that has `part` in it, and gives it as JSON.
    pub(crate) async fn says(&mut self, part: &str) -> Value {
        let late = Instant::now() + PATIENCE;
        loop {
            if let Some(line) = self.said().iter().find(|line| line.contains(part)) {
                return serde_json::from_str(line).unwrap();
            }
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < late, "{part:?} was not said ({ended:?}): {:#?}", self.said());
            sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// Waits for its end within `patience`.
    pub(crate) async fn ends(&mut self, patience: Duration) -> ExitStatus {
        let late = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                self.listener.take().map(|listener| listener.join().unwrap()).unwrap();
                return status;
            }
            assert!(Instant::now() < late, "it did not end: {:#?}", self.said());
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// A field of `/proc/PID/status`.
    pub(crate) fn proc_status(&self, field: &str) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.unwrap().trim().to_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// An HTTP GET: status line and body.
pub(crate) fn http_get(address: SocketAddr, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

/// Days to a date: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
fn rfc3339(since_1970: Duration) -> String {
    let (seconds, nanos) = (since_1970.as_secs(), since_1970.subsec_nanos());
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (time / 3600, time % 3600 / 60, time % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanos:09}Z")
}
