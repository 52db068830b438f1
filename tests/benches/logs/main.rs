//! What shipping logs costs, as a table. Ratios are against a floor that is measured in the same run:
//! the same messages, raw, in ready batches, through the plain SDK client, without gzip.
//!
//! `cargo bench -p safeguard-tests --bench logs -- backlog|sources|idle|live|latency`
#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a benchmark prepares files and prints a table")]

mod agent;
mod backlog;
mod floor;
mod idle;
mod live;
mod sources;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "What shipping logs costs")]
struct Arguments {
    #[command(subcommand)]
    what: What,
    /// `cargo bench` adds this.
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum What {
    /// A backlog, delivered as fast as it goes: CPU time a line and peak memory.
    Backlog {
        /// Log files.
        #[arg(long, default_value_t = 30)]
        files: usize,
        /// Lines in each.
        #[arg(long, default_value_t = 40_000)]
        lines: u64,
    },
    /// Containers that write nothing: memory and CPU.
    Idle {
        /// Containers.
        #[arg(long, default_value_t = 250)]
        containers: usize,
        /// How long to look.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// What an event costs as a container's line, as a line of a plain file, and as an entry of the journal.
    Sources {
        /// Events of each kind.
        #[arg(long, default_value_t = 300_000)]
        events: u64,
    },
    /// Live writers with rotation, and the agent killed again and again: lost and doubled lines.
    Live {
        /// Lines a second, of all containers.
        #[arg(long, default_value_t = 20_000)]
        rate: u64,
        /// How long they write.
        #[arg(long, default_value_t = 30)]
        seconds: u64,
        /// How often the agent is killed with SIGKILL.
        #[arg(long, default_value_t = 5)]
        kills: u32,
    },
    /// From a line written to its batch accepted.
    Latency {
        /// Lines a second, of all containers.
        #[arg(long, default_value_t = 200)]
        rate: u64,
        /// How long they write.
        #[arg(long, default_value_t = 30)]
        seconds: u64,
    },
    /// The floor, in a process of its own.
    #[command(hide = true)]
    Floor {
        url: String,
        files: usize,
        lines: u64,
        #[arg(long)]
        ca: Option<std::path::PathBuf>,
    },
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        match arguments.what {
            What::Backlog { files, lines } => backlog::run(files, lines).await,
            What::Idle { containers, seconds } => idle::run(containers, seconds).await,
            What::Sources { events } => sources::run(events).await,
            What::Live { rate, seconds, kills } => live::run(rate, seconds, kills).await,
            What::Latency { rate, seconds } => live::latency(rate, seconds).await,
            What::Floor { url, files, lines, ca } => floor::run(&url, files, lines, ca).await,
        }
    })
}
