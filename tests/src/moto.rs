//! moto's server: somebody else's idea of CloudWatch Logs and STS, and boto3 as a reader that shares no code with the agent.
//!
//! moto checks less than the service: not signatures, sizes, counts or spans. What it does check (missing groups and
//! streams, chronological order, events too old or too new) it answers as the service does, except that its
//! `tooOldLogEventEndIndex` is the index of the last refused event, not of the first accepted one.
#![expect(
    clippy::disallowed_methods,
    reason = "the harness owns its directories and starts the server under test; only the agent is held to those seams"
)]

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;

use crate::fabric::{Fabric, Place};

/// Where the Python environment with `moto[server]` and `boto3` is, when `$SAFEGUARD_TEST_VENV` does not say.
const DEFAULT_VENV: &str = ".cache/safeguard/venv";

/// How long the server may take to come up. It takes about half a second, most of it importing.
const START_DEADLINE: Duration = Duration::from_secs(60);

/// How often it is asked meanwhile.
const POLL: Duration = Duration::from_millis(50);

/// How long one question to the server may take.
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);

/// How long reading a whole group may take. boto3 reads about 80,000 short events a second from moto.
const READ_DEADLINE: Duration = Duration::from_secs(120);

/// The script that reads a group with boto3.
const READER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/read_logs.py");

/// The region that [`read_logs`] signs for.
pub const REGION: &str = "eu-west-1";

/// One event as boto3 returned it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct ReadEvent {
    /// The log stream's name.
    pub stream: String,
    /// Milliseconds since 1970 UTC.
    pub timestamp: i64,
    /// The message.
    pub message: String,
}

/// Which of the API's two ways of reading is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `DescribeLogStreams`, then `GetLogEvents` of each: stream by stream.
    Get,
    /// `FilterLogEvents`: all streams at once.
    Filter,
}

/// A running moto server, on a loopback port of its own unless said otherwise, which forgets everything when it is dropped.
#[derive(Debug)]
pub struct Moto {
    process: Child,
    address: SocketAddr,
    // Holds the server's output; deleted after the server has ended.
    directory: tempfile::TempDir,
}

impl Moto {
    /// Starts `moto_server` of the Python environment.
    ///
    /// Fails when the environment is missing or the server does not answer within a minute; the error then has its
    /// output.
    pub async fn start() -> anyhow::Result<Self> {
        // Free now; another process could take it before the server does, which then ends and is reported.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        Self::run(Command::new(venv_program("moto_server")?), address, || answers(address)).await
    }

    /// The same in a network namespace, at this address.
    pub async fn start_in(fabric: &Fabric, place: Place, address: SocketAddr) -> anyhow::Result<Self> {
        let program = venv_program("moto_server")?;
        let command = fabric.command_in(place, program.to_str().context("the environment's path is not UTF-8")?);
        Self::run(command, address, || fabric.within(place, || answers(address))).await
    }

    async fn run(mut command: Command, address: SocketAddr, answers: impl Fn() -> bool) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let output = directory.path().join("moto.log");
        let log = File::create(&output)?;
        let process = command
            .args(["-H", &address.ip().to_string(), "-p", &address.port().to_string()])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("start {command:?} (make the environment with tests/run)"))?;
        let mut moto = Self { process, address, directory };
        moto.wait_ready(answers).await.with_context(|| {
            let said = std::fs::read(&output).unwrap_or_default();
            format!("moto_server said:\n{}", String::from_utf8_lossy(&said))
        })?;
        Ok(moto)
    }

    /// The URL to send requests to, such as `http://127.0.0.1:40123`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The server's process identifier.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Everything that the server has written, one line for each request: for the message of a failed test.
    pub fn output(&self) -> String {
        let output = std::fs::read(self.directory.path().join("moto.log")).unwrap_or_default();
        String::from_utf8_lossy(&output).into_owned()
    }

    /// Every event of a group, stream by stream. See [`read_logs`].
    pub async fn read_with_boto3(&self, group: &str) -> anyhow::Result<Vec<ReadEvent>> {
        read_logs(&self.endpoint(), "test", "test", group, Method::Get).await
    }

    async fn wait_ready(&mut self, answers: impl Fn() -> bool) -> anyhow::Result<()> {
        let wait = async {
            loop {
                if let Some(status) = self.process.try_wait()? {
                    bail!("moto_server ended with {status}");
                }
                if tokio::task::block_in_place(&answers) {
                    return Ok(());
                }
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::time::timeout(START_DEADLINE, wait)
            .await
            .unwrap_or_else(|_| bail!("moto_server does not answer after {START_DEADLINE:?}"))
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        // Both fail only when the process has ended already.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Reads every event of `group` with boto3 from any endpoint that speaks the CloudWatch Logs API, signing for
/// [`REGION`] with the given keys.
///
/// With [`Method::Get`] the endpoint must know `DescribeLogStreams` and `GetLogEvents`, with [`Method::Filter`] only
/// `FilterLogEvents`. Fails with what Python wrote when the endpoint answers an error, and after two minutes.
pub async fn read_logs(
    endpoint: &str,
    access_key_id: &str,
    secret_access_key: &str,
    group: &str,
    method: Method,
) -> anyhow::Result<Vec<ReadEvent>> {
    let method = match method {
        Method::Get => "get",
        Method::Filter => "filter",
    };
    let arguments = ["--endpoint-url", endpoint, "--region", REGION, "--method", method, group];
    let output = run_python(Path::new(READER), &arguments, access_key_id, secret_access_key).await?;
    ensure!(output.status.success(), "{READER} failed:\n{}", String::from_utf8_lossy(&output.stderr));
    let lines = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).with_context(|| format!("{READER} printed no event"))).collect()
}

async fn run_python(
    script: &Path,
    arguments: &[&str],
    access_key_id: &str,
    secret_access_key: &str,
) -> anyhow::Result<Output> {
    let python = venv_program("python")?;
    let run = tokio::process::Command::new(&python)
        .arg(script)
        .args(arguments)
        // Nothing of the caller's AWS setup may leak in: no profile, no proxy, no instance metadata.
        .env_clear()
        .env("AWS_ACCESS_KEY_ID", access_key_id)
        .env("AWS_SECRET_ACCESS_KEY", secret_access_key)
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    match tokio::time::timeout(READ_DEADLINE, run).await {
        Ok(output) => {
            output.with_context(|| format!("start {} (make the environment with tests/run)", python.display()))
        }
        Err(_) => bail!("{} is not done after {READ_DEADLINE:?}", script.display()),
    }
}

/// Whether an HTTP server answers there: it only must say something.
fn answers(address: SocketAddr) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect_timeout(&address, ANSWER_DEADLINE)?;
        stream.set_read_timeout(Some(ANSWER_DEADLINE))?;
        stream.write_all(b"GET /moto-api/ HTTP/1.0\r\n\r\n")?;
        let mut start = [0; 5];
        stream.read_exact(&mut start)?;
        std::io::Result::Ok(start == *b"HTTP/")
    };
    ask().unwrap_or(false)
}

/// A program of the Python environment that `tests/run` makes.
///
/// Fails when it cannot be told where that is.
pub fn venv_program(name: &str) -> anyhow::Result<PathBuf> {
    let set = |variable| std::env::var_os(variable).filter(|value: &std::ffi::OsString| value != OsStr::new(""));
    let venv = match (set("SAFEGUARD_TEST_VENV"), set("HOME")) {
        (Some(venv), _) => PathBuf::from(venv),
        (None, Some(home)) => Path::new(&home).join(DEFAULT_VENV),
        (None, None) => bail!("neither SAFEGUARD_TEST_VENV nor HOME is set"),
    };
    Ok(venv.join("bin").join(name))
}
