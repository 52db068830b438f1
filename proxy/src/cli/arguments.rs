//! The grammar of the command line, with help that teaches.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use safeguard_daemon::manual::manual;
use safeguard_proxy::config::{ProgramSettings, Settings};

use super::explain::Whom;
use super::{config, explain, keep, redirect, serve};

const DEFAULT_PATH: &str = Settings::DEFAULT_PATH;

const EXAMPLES: &str = "\
Examples:
  safeguard-proxy config example > proxy.toml   start from the commented settings
  safeguard-proxy config check                  can /etc/safeguard/proxy.toml be used?
  safeguard-proxy config show                   what is in force, and where it came from
  safeguard-proxy redirect up                   bring requests of pods here (as root, before pods)
  safeguard-proxy redirect check                do all layers of it hold?
  safeguard-proxy serve                         answer pods (under systemd or Kubernetes)
  safeguard-proxy explain shop/cart-1           why does this pod get what it gets?

Exit codes:
  0   done
  1   it did not work; the reason is on stderr
  2   redirect check: it could not be observed
  64  the command line or the settings are wrong
  75  another proxy, or another run of redirect, is at work on this node";

/// Gives each pod of a Kubernetes node the AWS credentials of its own role, never those of the node.
#[derive(Debug, Parser)]
#[command(name = "safeguard-proxy", version, about, after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer pods until SIGTERM.
    #[command(after_help = "\
It answers at the addresses that `redirect up` leads to, and changes nothing of the firewall. When
it ends, the redirect stays: pods are refused until a proxy runs again.

Signals:
  SIGTERM, SIGINT   let nobody in any more, answer what is under way within proxy.shutdown_grace,
                    then end; a second one ends at once
  SIGHUP            read the settings again and say what differs; a restart takes it over

Examples:
  safeguard-proxy serve --config ./proxy.toml
  safeguard-proxy serve --replace          take over from the proxy that runs, without a gap")]
    Serve {
        #[command(flatten)]
        config: ConfigArgs,
        /// Take over from a proxy that runs already, once this one can answer.
        #[arg(long)]
        replace: bool,
    },
    /// Bring the requests of pods to the proxy, or stop doing so.
    #[command(subcommand)]
    Redirect(RedirectCommand),
    /// Ask the running proxy why a pod gets what it gets.
    #[command(after_help = "\
It tells how the pod was found, which annotation names its role, which rule of its namespace
allows that, how its session with STS stands, what STS said last, and what to do. It changes
nothing and asks STS for nothing.

Examples:
  safeguard-proxy explain shop/cart-1
  safeguard-proxy explain 10.0.12.34
  safeguard-proxy explain shop/cart-1 --format json | jq .decision

Exit codes:
  0   the pod gets credentials
  1   it does not, or the proxy cannot be asked (then the reason is on stderr)
  64  the command line is wrong")]
    Explain {
        /// The pod as NAMESPACE/NAME, or one of its addresses.
        #[arg(value_name = "POD|IP")]
        whom: Whom,
        /// How to print it.
        #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
        format: TextOrJson,
        /// Admin socket of the proxy.
        #[arg(long, value_name = "PATH", default_value = "/run/safeguard/proxy.sock")]
        socket: PathBuf,
    },
    /// The settings: an example, a check, and what is in force.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Write the manual pages and the completions of shells below a directory, as packages do.
    Manual {
        /// The directory; it is made if it is not there.
        dir: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    /// Settings file. Without this option it may be missing: every setting has a default.
    #[arg(long, value_name = "FILE", help = format!("Settings file [default: {DEFAULT_PATH}, if it exists]"))]
    pub(super) config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum RedirectCommand {
    /// Bring all layers up: address, nftables, routing. Again changes nothing.
    #[command(after_help = "\
It needs CAP_NET_ADMIN in the node's network namespace, and the program nft. The redirect outlives
the proxy: without one, pods see \"connection refused\", never the node's credentials. Run it before
the kubelet starts pods; connections from before are cut off.

Example:
  safeguard-proxy redirect up && safeguard-proxy redirect check")]
    Up(ConfigArgs),
    /// Take all layers away: pods then reach the node's metadata service, and its credentials.
    #[command(after_help = "\
Only for uninstalling. An upgrade needs no `down`: `up` changes what differs.")]
    Down(ConfigArgs),
    /// Look at each layer, and prove by a connection from a namespace like a pod's that they hold.
    #[command(after_help = "\
It writes what it saw to redirect.state_file, which the proxy and the agent read, and needs
CAP_SYS_ADMIN beside CAP_NET_ADMIN for its throw-away network namespace. Run it from a timer, each
minute, with --repair; in a container, where there is no timer, with --every 1m. It then prints what
differs from the time before, as one line each with --format json.

Examples:
  safeguard-proxy redirect check
  safeguard-proxy redirect check --repair --format json | jq .problems
  safeguard-proxy redirect check --repair --every 1m

Exit codes:
  0   all layers hold; with --every, it was told to end
  1   a layer does not hold: pods may reach the node's credentials, or no credentials at all
  2   it could not be told whether they hold
  64  the command line or the settings are wrong")]
    Check {
        #[command(flatten)]
        config: ConfigArgs,
        /// Mend what is not as it should be.
        #[arg(long)]
        repair: bool,
        /// Do it again after each DURATION, 1s to 2m, until SIGTERM.
        #[arg(long, value_name = "DURATION", value_parser = keep::every)]
        every: Option<Duration>,
        /// How to print it.
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
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

/// How a table is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// How a text is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum TextOrJson {
    /// For people.
    Text,
    /// For programs.
    Json,
}

impl Cli {
    /// Does what was asked for; gives the exit code.
    pub(crate) fn run(self) -> u8 {
        match self.command {
            Command::Explain { whom, format, socket } => explain::explain(&whom, format, &socket),
            Command::Serve { config, replace } => serve::serve(config.config, replace),
            Command::Redirect(RedirectCommand::Up(args)) => redirect::up(args.config),
            Command::Redirect(RedirectCommand::Down(args)) => redirect::down(args.config),
            Command::Redirect(RedirectCommand::Check { config, repair, every: None, format }) => {
                redirect::check(config.config, repair, format)
            }
            Command::Manual { dir } => manual(Self::command(), &dir),
            Command::Redirect(RedirectCommand::Check { config, repair, every: Some(every), format }) => {
                keep::check(config.config, repair, every, format)
            }
            Command::Config(ConfigCommand::Example) => config::example(),
            Command::Config(ConfigCommand::Check(args)) => config::check(args.config),
            Command::Config(ConfigCommand::Show { config, format }) => config::show(config.config, format),
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
