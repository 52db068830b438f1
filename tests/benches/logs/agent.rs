//! The real binary as a child process, and what it costs.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use safeguard_daemon::admin::get_unix;
use safeguard_standins::CloudWatch;
use serde_json::Value;

pub(crate) struct Agent {
    child: Child,
    socket: PathBuf,
}

/// CPU time and peak memory of a process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) cpu: Duration,
    pub(crate) peak_rss_kib: u64,
    pub(crate) rss_kib: u64,
}

/// A program of this workspace, built in the same profile.
pub(crate) fn program(name: &str) -> anyhow::Result<PathBuf> {
    let here = std::env::current_exe()?;
    let path = here.parent().and_then(Path::parent).context("no target directory")?.join(name);
    ensure!(path.exists(), "{} is missing: build it with `cargo build --release`", path.display());
    Ok(path)
}

impl Agent {
    /// Starts the agent for a host root. `logs` are lines of its `[logs]` table.
    pub(crate) fn start(service: &CloudWatch, root: &Path, logs: &str) -> anyhow::Result<Self> {
        let dir = root.join("agent");
        std::fs::create_dir_all(&dir)?;
        let ca = match service.ca_pem() {
            Some(pem) => {
                std::fs::write(dir.join("ca.pem"), pem)?;
                format!("ca_bundle = \"{}\"", dir.join("ca.pem").display())
            }
            None => String::new(),
        };
        let settings = format!(
            "[node]\nname = \"bench\"\ncluster = \"bench\"\nhost_root = \"{root}\"\n\
             [aws]\nregion = \"us-east-1\"\nendpoint_url = \"{url}\"\n{ca}\n\
             [agent]\nstate_dir = \"{dir}/state\"\nrun_dir = \"{dir}/run\"\nmetrics = \"off\"\n[logs]\n{logs}\n",
            root = root.display(),
            url = service.url(),
            dir = dir.display(),
        );
        std::fs::write(dir.join("agent.toml"), settings)?;
        let credential = service.credential();
        let child = Command::new(program("safeguard-agent")?)
            .arg("run")
            .arg("--config")
            .arg(dir.join("agent.toml"))
            .env_clear()
            .env("AWS_ACCESS_KEY_ID", &credential.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", &credential.secret_access_key)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(dir.join("agent.log"))?)
            .spawn()?;
        Ok(Self { child, socket: dir.join("run/agent.sock") })
    }

    pub(crate) async fn status(&self) -> Option<Value> {
        let (code, body) = get_unix(&self.socket, "/v1/logs", Duration::from_secs(5)).await.ok()?;
        (code == 200).then(|| serde_json::from_slice(&body).ok())?
    }

    /// Waits until this many events were delivered.
    pub(crate) async fn delivered(&mut self, events: u64) -> anyhow::Result<Value> {
        for _ in 0..6000 {
            if let Some(status) = self.status().await
                && status["total"]["delivered"]["events"].as_u64() >= Some(events)
            {
                return Ok(status);
            }
            ensure!(self.child.try_wait()?.is_none(), "the agent ended: see agent.log");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::bail!("not delivered in 5 minutes: {:?}", self.status().await)
    }

    pub(crate) fn cost(&self) -> anyhow::Result<Cost> {
        cost(self.child.id())
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, and waits.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id())?);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM)?;
        ensure!(self.child.wait()?.success(), "the agent did not end well");
        Ok(())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What `/proc` says of a process: `utime + stime` in ticks of 10 ms, and memory.
pub(crate) fn cost(pid: u32) -> anyhow::Result<Cost> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let tick = |i: usize| fields.get(i).and_then(|f| f.parse::<u64>().ok()).unwrap_or(0);
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = |name: &str| {
        let line = status.lines().find_map(|l| l.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Ok(Cost {
        cpu: Duration::from_millis((tick(11) + tick(12)) * 10),
        peak_rss_kib: kib("VmHWM:").unwrap_or(0),
        rss_kib: kib("VmRSS:").unwrap_or(0),
    })
}
