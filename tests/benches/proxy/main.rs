//! What the metadata proxy costs and how fast it is, as tables: the real program behind the real redirect, asked by `wrk` from a pod's
//! network namespace, with strict stand-ins for the metadata service, STS and Kubernetes. Beside each figure stands the target; beside
//! the rates stands what a trivial server costs at the same place, in the same run.
//!
//! `cargo bench --workspace --bench proxy -- requests|memory|stampede|start|replace`
#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a benchmark starts programs and prints tables")]

mod cost;
mod floor;
mod half_open;
mod memory;
mod node;
mod replace;
mod requests;
mod spread;
mod stampede;
mod start;
mod sustained;
mod wrk;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::ensure;
use clap::{Parser, Subcommand};
use safeguard_daemon::open_files;
use safeguard_tests::fabric::Fabric;

#[derive(Parser)]
#[command(about = "What the metadata proxy costs")]
struct Arguments {
    #[command(subcommand)]
    what: What,
    /// `cargo bench` adds this.
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum What {
    /// CPU time, rate and latency by kind of request; then a forwarded path for a minute.
    Requests {
        /// How long each kind is asked for.
        #[arg(long, default_value_t = 10)]
        seconds: u64,
        /// How long the forwarded path is asked for after that; 0 leaves it out.
        #[arg(long, default_value_t = 60)]
        sustained: u64,
        /// Another build of the proxy, measured beside this one.
        #[arg(long)]
        also: Option<PathBuf>,
        /// Only kinds with this in their name.
        #[arg(long)]
        only: Option<String>,
    },
    /// Private and resident memory: idle, after load, in a large cluster, and with half-open requests.
    Memory {
        /// How long the load lasts, for each kind.
        #[arg(long, default_value_t = 10)]
        seconds: u64,
        /// Pods in the large cluster.
        #[arg(long, default_value_t = 5_000)]
        cluster: usize,
        /// Half-open requests.
        #[arg(long, default_value_t = 5_000)]
        half_open: usize,
        /// Another build of the proxy in the place of the one beside this program.
        #[arg(long)]
        program: Option<PathBuf>,
    },
    /// Many requests at once for a session that is not there: how many calls to STS, and how long until all are answered.
    Stampede {
        /// Times, each with another role.
        #[arg(long, default_value_t = 10)]
        rounds: u8,
        /// Requests at once.
        #[arg(long, default_value_t = 64)]
        requests: usize,
    },
    /// From the start of the process to the first credentials.
    Start {
        /// Times.
        #[arg(long, default_value_t = 20)]
        runs: usize,
        /// Another build of the proxy in the place of the one beside this program.
        #[arg(long)]
        program: Option<PathBuf>,
    },
    /// `serve --replace` while pods ask without pause: for how long are they refused, and how many of them.
    Replace {
        /// Times.
        #[arg(long, default_value_t = 10)]
        runs: usize,
    },
    /// The trivial server, in a process of its own.
    #[command(hide = true)]
    Floor { address: SocketAddr },
}

impl What {
    /// What it needs and is not here, as Debian's packages.
    fn missing(&self) -> Vec<&'static str> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let lacks = |program: &str| {
            let dirs = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
            !dirs.into_iter().any(|dir| dir.join(program).exists())
        };
        let mut missing = Fabric::missing();
        if lacks("nft") {
            missing.push("nftables");
        }
        if matches!(self, Self::Requests { .. } | Self::Memory { .. }) && lacks("wrk") {
            missing.push("wrk");
        }
        missing
    }
}

fn main() -> anyhow::Result<()> {
    let Arguments { what, .. } = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    if let What::Floor { address } = what {
        return runtime.block_on(floor::serve(address));
    }
    let missing = what.missing();
    ensure!(missing.is_empty(), "this benchmark needs {} (Debian's names)", missing.join(", "));
    open_files::raise_limit();
    runtime.block_on(async {
        match what {
            What::Requests { seconds, sustained, also, only } => {
                requests::run(seconds, also, only.as_deref()).await?;
                sustained::run(sustained).await
            }
            What::Memory { seconds, cluster, half_open, program } => {
                memory::run(seconds, cluster, half_open, program).await
            }
            What::Stampede { rounds, requests } => stampede::run(rounds, requests).await,
            What::Start { runs, program } => start::run(runs, program).await,
            What::Replace { runs } => replace::run(runs).await,
            What::Floor { .. } => Ok(()),
        }
    })
}
