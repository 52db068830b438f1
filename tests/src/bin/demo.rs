//! `cargo run --release --bin demo [-- --seconds N] [--calm]`: the agent and the proxy at work on a sample node, with proof at
//! the end that nothing was lost and that each pod got its own credentials. Needs nothing but Rust and the loopback interface.

use std::process::ExitCode;

use clap::Parser;
use safeguard_tests::demo::{self, Options};

/// Runs the Safeguard node agent and the metadata proxy on a sample node, against stand-ins of AWS and Kubernetes, and shows
/// what becomes of every line and what each pod gets. Ends with 0 only when nothing was lost, the agent's account balances,
/// and each pod got exactly what it should.
#[derive(Debug, Parser)]
#[command(name = "demo")]
struct Arguments {
    /// Seconds of writing and asking; without it, until Ctrl-C.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: Option<u64>,
    /// Leave out the injected throttling and outages.
    #[arg(long)]
    calm: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let Arguments { seconds, calm } = Arguments::parse();
    let good = demo::run(Options { seconds, calm }).await?;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
