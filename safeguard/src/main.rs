//! The safeguard as a program: arguments in, an exit code out.

use std::process::ExitCode;

use clap::Parser;
use safeguard_daemon::terminal::exit;

mod cli;

use cli::Cli;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come here, too. When nobody reads them any more, nobody misses them.
            drop(error.print());
            return ExitCode::from(if error.use_stderr() { exit::USAGE } else { exit::OK });
        }
    };
    ExitCode::from(cli.run())
}
