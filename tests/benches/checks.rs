//! What looking at a host costs: once, as a program that starts cold, and in the agent that goes on running.
//!
//! `cargo build --release --workspace --bins && cargo bench --workspace --bench checks`: Cargo does not build the program for a
//! benchmark, and an old one would be measured.
#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a benchmark starts programs and prints a table")]

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Parser;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use safeguard_daemon::admin::get_unix;
use safeguard_standins::{CloudWatch, Options};
use safeguard_tests::machine;
use serde_json::Value;

/// How often a program is run, and a file changed.
const TIMES: u32 = 20;

/// Threads of the room in the agent: its own, and the one of inotify.
const THREADS: [&str; 2] = ["checks", "notify"];

#[derive(Parser)]
#[command(about = "What looking at a host costs")]
struct Arguments {
    /// How long the agent is watched while nothing happens.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// `cargo bench` adds this.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let debian = machine::debian().map_err(anyhow::Error::msg)?;
    println!(
        "all policies, {TIMES} runs        | wall ms: median, most | CPU ms: median, most | peak RSS MiB: median, most"
    );
    for (name, root) in [("this host", Path::new("/")), ("the Debian root", &debian)] {
        if root.exists() {
            once(name, root)?;
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(running(&debian, arguments.seconds))
}

/// The whole program, from its start to its end.
fn once(name: &str, root: &Path) -> anyhow::Result<()> {
    let (mut wall, mut cpu, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TIMES {
        let (before, began) = (children_ms()?, Instant::now());
        let status = check(root)?.stdout(Stdio::null()).status()?;
        wall.push(began.elapsed().as_secs_f64() * 1_000.0);
        cpu.push(children_ms()? - before);
        ensure!(matches!(status.code(), Some(0 | 1)), "check ended with {status}");
        memory.push(peak_mib(check(root)?.stdout(Stdio::piped()).spawn()?)?);
    }
    let [wall, cpu, memory] = [wall, cpu, memory].map(|mut values| {
        values.sort_by(f64::total_cmp);
        let at = |i: usize| values.get(i).copied().unwrap_or(f64::NAN);
        format!("{:.1}, {:.1}", at(values.len() / 2), at(values.len() - 1))
    });
    println!("{name:<31} | {wall:>21} | {cpu:>20} | {memory:>26}");
    Ok(())
}

fn check(root: &Path) -> anyhow::Result<Command> {
    let mut command = Command::new(program("safeguard-agent")?);
    command.env_clear().args(["check", "--format", "json", "--root"]).arg(root);
    Ok(command)
}

/// CPU time of all programs that have ended, in milliseconds.
fn children_ms() -> anyhow::Result<f64> {
    let used = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    Ok((used.user_time() + used.system_time()).num_microseconds() as f64 / 1_000.0)
}

/// Most memory that was resident when nothing is left but to write the report, which is larger than a pipe: nobody reads it until
/// the program has stopped for that.
fn peak_mib(mut child: Child) -> anyhow::Result<f64> {
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut peak = None;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(10) {
        let text = std::fs::read_to_string(&status)?;
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let writes = std::fs::read_to_string(format!("/proc/{}/wchan", child.id())).unwrap_or_default();
        let kib = field("VmHWM:").and_then(|kib| kib.split_whitespace().next()?.parse::<u32>().ok());
        if writes.contains("pipe") {
            peak = kib;
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    std::io::copy(&mut child.stdout.take().context("a pipe")?.take(u64::MAX), &mut std::io::sink())?;
    child.wait()?;
    peak.map(|kib| f64::from(kib) / 1024.0).context("the program did not come to write its report")
}

/// A program of this workspace, built in the same profile.
fn program(name: &str) -> anyhow::Result<PathBuf> {
    let here = std::env::current_exe()?;
    let path = here.parent().and_then(Path::parent).context("no target directory")?.join(name);
    ensure!(path.exists(), "{} is missing: `cargo build --release --workspace --bins` makes it", path.display());
    Ok(path)
}

/// The room in the agent: after a change of one file, and when nothing happens.
async fn running(debian: &Path, seconds: u64) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let root = dir.path().join("root");
    ensure!(Command::new("cp").arg("-a").args([debian, &root]).status()?.success(), "the disk cannot be copied");
    let service = CloudWatch::start(Options { discard: true, ..Options::default() }).await?;
    let agent = Agent::start(&service, dir.path(), &root)?;
    let mut latest = agent.evaluated_after(0).await?;

    let mut costs = Vec::new();
    let mut on_the_way = Vec::new();
    for n in 0..TIMES {
        let before = agent.cpu()?;
        std::fs::write(root.join("etc/sysctl.d/60-bench.conf"), format!("kernel.panic = {n}\n"))?;
        let changed = Instant::now();
        latest = agent.evaluated_after(latest).await?;
        on_the_way.push(changed.elapsed().as_secs_f64());
        costs.push((agent.cpu()? - before).as_secs_f64() * 1_000.0);
    }
    costs.sort_by(f64::total_cmp);
    on_the_way.sort_by(f64::total_cmp);
    let most = |values: &[f64]| values.last().copied().unwrap_or(f64::NAN);
    println!(
        "one file changed, {TIMES} times: CPU ms median {:.2}, most {:.2}; known after at most {:.1} s",
        costs.get(costs.len() / 2).copied().unwrap_or(f64::NAN),
        most(&costs),
        most(&on_the_way)
    );
    tokio::time::sleep(Duration::from_secs(5)).await;
    let before = agent.cpu()?;
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let used = agent.cpu()? - before;
    println!("idle over {seconds} s: {:.4} % of a core", used.as_secs_f64() / seconds as f64 * 100.0);
    Ok(())
}

/// The agent; killed when dropped.
struct Agent {
    child: Child,
    socket: PathBuf,
}

impl Agent {
    fn start(service: &CloudWatch, dir: &Path, root: &Path) -> anyhow::Result<Self> {
        let settings = format!(
            "[node]\nname = \"bench\"\ncluster = \"bench\"\nhost_root = \"{root}\"\n\
             [aws]\nregion = \"us-east-1\"\nendpoint_url = \"{url}\"\n\
             [agent]\nstate_dir = \"{dir}/state\"\nrun_dir = \"{dir}/run\"\nmetrics = \"off\"\n",
            root = root.display(),
            url = service.url(),
            dir = dir.display(),
        );
        std::fs::write(dir.join("agent.toml"), settings)?;
        let credential = service.credential();
        let child = Command::new(program("safeguard-agent")?)
            .args(["run", "--config"])
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

    /// Waits for an evaluation that ended after this moment; gives the moment of its end. Milliseconds since the epoch.
    async fn evaluated_after(&self, moment: i64) -> anyhow::Result<i64> {
        for _ in 0..600 {
            if let Ok((200, body)) = get_unix(&self.socket, "/v1/checks", Duration::from_secs(5)).await
                && let Some(at) = serde_json::from_slice::<Value>(&body)?["finished_ms"].as_i64()
                && at > moment
            {
                return Ok(at);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::bail!("no evaluation in half a minute")
    }

    /// CPU time of the room's threads.
    fn cpu(&self) -> anyhow::Result<Duration> {
        let mut nanoseconds = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let task = task?.path();
            let name = std::fs::read_to_string(task.join("comm"))?;
            if THREADS.iter().any(|thread| name.starts_with(thread)) {
                // The first number is the time on a processor (proc(5), schedstat).
                let spent = std::fs::read_to_string(task.join("schedstat"))?;
                nanoseconds += spent.split(' ').next().context("schedstat")?.parse::<u64>()?;
            }
        }
        Ok(Duration::from_nanos(nanoseconds))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
