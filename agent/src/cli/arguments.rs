//! The grammar of the command line, with help that teaches.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use safeguard_agent::config::{ProgramSettings, Settings};

use super::{config, run, status};

const DEFAULT_PATH: &str = Settings::DEFAULT_PATH;

const EXAMPLES: &str = "\
Examples:
  safeguard-agent config example > /etc/safeguard/agent.toml   start from the commented settings
  safeguard-agent config check                                 can the settings be used?
  safeguard-agent config show                                  what is in force, and where it came from
  safeguard-agent run                                          ship (under systemd or Kubernetes)
  safeguard-agent logs status --watch                          what is delivered, what is behind, and why

Exit codes:
  0   done
  1   it did not work; the reason is on stderr
  64  the command line or the settings are wrong
  75  another agent runs on this node";

/// Ships the container logs of a Kubernetes node to Amazon CloudWatch Logs.
#[derive(Debug, Parser)]
#[command(name = "safeguard-agent", version, about, after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Ship logs until SIGTERM. SIGHUP reads the settings again.
    #[command(after_help = "\
Signals:
  SIGTERM, SIGINT   read and deliver what is there, within agent.shutdown_grace, then end; a second one ends at once
  SIGHUP            read the settings again; a file that cannot be used changes nothing

Example:
  safeguard-agent run --config ./agent.toml")]
    Run(ConfigArgs),
    /// The settings: an example, a check, and what is in force.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Container logs.
    #[command(subcommand)]
    Logs(LogsCommand),
}

#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    /// Settings file. Without this option it may be missing: every setting has a default.
    #[arg(long, value_name = "FILE", help = format!("Settings file [default: {DEFAULT_PATH}, if it exists]"))]
    pub(super) config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print every setting with its default and its meaning.
    Example,
    /// Say whether the settings can be used: exit code 0, or 64 with all reasons.
    Check(ConfigArgs),
    /// Print every effective value and where it came from. May ask the instance metadata service.
    Show {
        #[command(flatten)]
        config: ConfigArgs,
        /// How to print it.
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
}

#[derive(Debug, Subcommand)]
enum LogsCommand {
    /// Ask the running agent what became of every container's lines.
    #[command(after_help = "\
Columns:
  READ       lines taken from log files
  DELIVERED  lines that CloudWatch Logs accepted
  LOST       lines that will never be delivered, each with a counted reason
  BEHIND     bytes that were written and are not delivered yet
  OLDEST     age of the oldest line that is not delivered

Examples:
  safeguard-agent logs status --watch
  safeguard-agent logs status --format json | jq '.logs[] | select(.behind_bytes > 1000000)'")]
    Status {
        /// Print it again every second until Ctrl-C.
        #[arg(long)]
        watch: bool,
        /// How to print it.
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
        /// Admin socket of the agent.
        #[arg(long, value_name = "PATH", default_value = "/run/safeguard/agent.sock")]
        socket: PathBuf,
    },
}

/// How something is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

impl Cli {
    /// Does what was asked for; gives the exit code.
    pub(crate) fn run(self) -> u8 {
        match self.command {
            Command::Run(args) => run::run(args.config),
            Command::Config(ConfigCommand::Example) => config::example(),
            Command::Config(ConfigCommand::Check(args)) => config::check(args.config),
            Command::Config(ConfigCommand::Show { config, format }) => config::show(config.config, format),
            Command::Logs(LogsCommand::Status { watch, format, socket }) => status::status(&socket, format, watch),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_grammar_is_sound() {
        Cli::command().debug_assert();
    }
}
