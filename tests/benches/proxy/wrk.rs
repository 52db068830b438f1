//! `wrk` in a pod, and what it says.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use safeguard_tests::fabric::{METADATA_V4, Place};
use safeguard_tests::proxied::Proxied;

/// Ends with one line of numbers, since what wrk prints for people is rounded.
const DONE: &str = r#"
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("figures %d %d %d %d %d %d\n", summary.requests, summary.duration, latency:percentile(50),
    latency:percentile(99), e.status, e.connect + e.read + e.write + e.timeout))
end
"#;

/// What is asked, and how.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) path: String,
    /// A PUT for a token, and else a GET.
    pub(crate) token: bool,
    /// Each request on a connection of its own.
    pub(crate) close: bool,
    pub(crate) connections: usize,
    pub(crate) seconds: u64,
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) requests: u64,
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// Requests that were not answered: the connection broke.
    pub(crate) broken: u64,
}

impl Load {
    /// The command for the pod of this number. `dir` is for wrk's script.
    pub(crate) fn command(&self, node: &Proxied, number: u8, dir: &Path) -> anyhow::Result<Command> {
        let mut script = String::new();
        if self.token {
            script
                .push_str("wrk.method = \"PUT\"\nwrk.headers[\"X-aws-ec2-metadata-token-ttl-seconds\"] = \"21600\"\n");
        }
        script.push_str(DONE);
        let file: PathBuf = dir.join(if self.token { "token.lua" } else { "get.lua" });
        std::fs::write(&file, script)?;
        let mut command = node.fabric.command_in(Place::Pod(number), "wrk");
        let connections = self.connections.to_string();
        command.args(["-t1", "-c", &connections, "-d", &self.seconds.to_string(), "-s"]).arg(file);
        if self.close {
            command.args(["-H", "Connection: close"]);
        }
        command.arg(format!("http://{METADATA_V4}{}", self.path)).stdin(Stdio::null());
        Ok(command)
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, node: &Proxied, number: u8, dir: &Path) -> anyhow::Result<Figures> {
        let output = self.command(node, number, dir)?.output()?;
        Figures::read(&String::from_utf8_lossy(&output.stdout))
            .with_context(|| format!("wrk: {}", String::from_utf8_lossy(&output.stderr)))
    }
}

impl Figures {
    /// Reads the line of the script. An answer that is not 2xx or 3xx is an error: then something else was measured.
    pub(crate) fn read(said: &str) -> anyhow::Result<Self> {
        let line = said.lines().find_map(|line| line.strip_prefix("figures ")).with_context(|| said.to_owned())?;
        let numbers = line.split(' ').map(str::parse).collect::<Result<Vec<u64>, _>>()?;
        let [requests, us, p50, p99, refused, broken] = numbers[..] else { anyhow::bail!("{line}") };
        ensure!(refused == 0, "{refused} of {requests} requests were refused");
        ensure!(requests > 0 && us > 0, "nothing was answered: {said}");
        Ok(Self {
            requests,
            per_second: requests as f64 / (us as f64 / 1e6),
            p50_ms: p50 as f64 / 1e3,
            p99_ms: p99 as f64 / 1e3,
            broken,
        })
    }
}
