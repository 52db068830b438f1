//! `cargo run --release --bin demo [-- --seconds N] [--calm]`: the agent at work on a sample node, with proof at the end
//! that nothing was lost. Needs nothing but Rust and the loopback interface.

use std::process::ExitCode;

use clap::Parser;
use safeguard_tests::demo::{self, Options};

/// Runs the Safeguard node agent against a sample node and a stand-in of CloudWatch Logs, and shows what becomes of
/// every line. Ends with 0 only when nothing was lost and the agent's account balances.
#[derive(Debug, Parser)]
#[command(name = "demo")]
struct Arguments {
    /// Seconds of writing; without it, until Ctrl-C.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: Option<u64>,
    /// Leave out the injected throttling and outage.
    #[arg(long)]
    calm: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let Arguments { seconds, calm } = Arguments::parse();
    let good = demo::run(Options { seconds, calm }).await?;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
