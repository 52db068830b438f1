//! The real program as a child process, for tests that kill it or take from it what it needs.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use safeguard_agent::Status;
use safeguard_daemon::admin::get_unix;
use safeguard_standins::{CloudWatch, Credential};
use safeguard_tests::built::program;
use tokio::time::Instant;

use crate::rig::PATIENCE;

/// Where the program lives: its settings, state and socket, and what it has said. It survives the program.
pub(crate) struct Home {
    dir: PathBuf,
    credential: Credential,
}

impl Home {
    /// `logs` are lines of the `[logs]` table of the settings.
    pub(crate) fn new(service: &CloudWatch, root: &Path, logs: &str) -> Self {
        let dir = root.join("agent");
        std::fs::create_dir_all(&dir).unwrap();
        let settings = format!(
            "[node]\nname = \"node-1\"\ncluster = \"prod\"\nhost_root = \"{root}\"\n\
             [aws]\nregion = \"{region}\"\nendpoint_url = \"{url}\"\n\
             [agent]\nstate_dir = \"{dir}/state\"\nrun_dir = \"{dir}/run\"\nmetrics = \"off\"\n[logs]\n{logs}\n",
            root = root.display(),
            region = service.region(),
            url = service.url(),
            dir = dir.display(),
        );
        std::fs::write(dir.join("agent.toml"), settings).unwrap();
        Self { dir, credential: service.credential() }
    }

    pub(crate) fn start(&self) -> Program {
        self.start_in(&[])
    }

    /// Starts the program by way of another one, which has to end in `exec` of its last arguments.
    pub(crate) fn start_in(&self, wrapper: &[&str]) -> Program {
        let agent = agent();
        let settings = self.dir.join("agent.toml");
        let arguments = [agent.to_str().unwrap(), "run", "--config", settings.to_str().unwrap()];
        let line = [wrapper, &arguments].concat();
        let said = File::options().append(true).create(true).open(self.dir.join("said")).unwrap();
        let child = Command::new(line[0])
            .args(&line[1..])
            .env_clear()
            .env("AWS_ACCESS_KEY_ID", &self.credential.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", &self.credential.secret_access_key)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said)
            .spawn()
            .unwrap();
        Program { child, socket: self.dir.join("run/agent.sock") }
    }

    /// Everything that it has said, in all its lives.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(self.dir.join("said")).unwrap_or_default()
    }
}

/// The program while it runs; killed when dropped.
pub(crate) struct Program {
    child: Child,
    socket: PathBuf,
}

impl Program {
    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and how it ended.
    pub(crate) async fn terminate(mut self) -> ExitStatus {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGTERM).unwrap();
        let late = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < late, "it did not end {PATIENCE:?} after SIGTERM");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// What `logs status` would show; `None` while it does not answer.
    pub(crate) async fn status(&self) -> Option<Status> {
        let (code, body) = get_unix(&self.socket, "/v1/logs", Duration::from_secs(5)).await.ok()?;
        (code == 200).then(|| serde_json::from_slice(&body).unwrap())
    }

    /// Waits until it answers.
    pub(crate) async fn ready(&mut self, home: &Home) -> Status {
        let late = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.status().await {
                return status;
            }
            assert!(self.runs() && Instant::now() < late, "it does not answer: {}", home.said());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A file of its directory in `/proc`.
    pub(crate) fn proc(&self, name: &str) -> String {
        std::fs::read_to_string(self.proc_path(name)).unwrap()
    }

    /// How many files it holds open.
    pub(crate) fn open_files(&self) -> usize {
        std::fs::read_dir(self.proc_path("fd")).unwrap().count()
    }

    /// Most memory that was ever resident, in KiB.
    pub(crate) fn peak_rss_kib(&self) -> u64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    fn proc_path(&self, name: &str) -> PathBuf {
        Path::new("/proc").join(self.child.id().to_string()).join(name)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The agent, built beside this test.
pub(crate) fn agent() -> PathBuf {
    program("safeguard-agent")
}
