//! The command line: what can be asked for, and what comes back.

mod serve;
mod token;

use std::path::PathBuf;

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use safeguard::config::{EXAMPLE, Settings};
use safeguard_daemon::manual::manual;
use safeguard_daemon::settings::{ProgramSettings, SettingsFile};
use safeguard_daemon::terminal::{complain, exit, print};

const EXAMPLES: &str = "\
Examples:
  safeguard config example > /etc/safeguard/safeguard.toml   start from the commented settings
  safeguard config check                                  can the settings be used?
  safeguard key show                                      what goes into `server_keys` of the agents
  safeguard token add anna --scope read                   let somebody read; prints the token once
  safeguard serve                                         take beats (under systemd or Kubernetes)

Exit codes:
  0   done
  1   it did not work; the reason is on stderr
  64  the command line or the settings are wrong
  75  another safeguard runs on this state directory";

/// Takes the heartbeats of nodes, and tells which of them are compliant, which are not, and which are silent.
#[derive(Debug, Parser)]
#[command(name = "safeguard", version, about, after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct ConfigArgs {
    /// Settings file.
    #[arg(long, value_name = "FILE", help = format!("Settings file [default: {}, if it is there]", Settings::DEFAULT_PATH))]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take beats until SIGTERM.
    #[command(after_help = "\
Signals:
  SIGTERM, SIGINT   let nobody in any more, store and answer what is under way, then end

Example:
  safeguard serve --config ./safeguard.toml")]
    Serve(ConfigArgs),
    /// The key that replies are signed with.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Bearer tokens of people and programs.
    #[command(subcommand)]
    Token(TokenCommand),
    /// The settings: an example, and a check.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Write the manual pages and the completions of shells below a directory, as packages do.
    Manual {
        /// The directory; it is made if it is not there.
        dir: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Print the public key, for `server_keys` in the settings of the agents. Makes the key if there is none.
    Show(ConfigArgs),
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Make a token and print it. It is shown this once; only its digest is stored.
    Add {
        /// Whose it is.
        name: String,
        /// What it is good for.
        #[arg(long, value_enum, default_value_t = Scope::Read)]
        scope: Scope,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// List the tokens, without what they are.
    List {
        /// How to print it.
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Revoke a token. It is refused from then on.
    Revoke {
        /// Whose it is.
        name: String,
        #[command(flatten)]
        config: ConfigArgs,
    },
}

/// What a token is good for.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Scope {
    /// To read everything.
    Read,
    /// To read, to change exclusions, and to end suspicions.
    Operate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print commented settings with every default.
    Example,
    /// Say whether a file can be used, and everything that is wrong with it.
    Check(ConfigArgs),
}

impl Cli {
    pub(crate) fn run(self) -> u8 {
        let loaded = |args: ConfigArgs| {
            let file = SettingsFile::<Settings>::new(args.config);
            file.load().map(|loaded| (loaded.value, file)).map_err(|error| complain(exit::USAGE, &error.to_string()))
        };
        let done = match self.command {
            Command::Serve(args) => loaded(args).map(|(settings, _)| serve::serve(&settings)),
            Command::Key(KeyCommand::Show(args)) => loaded(args).map(|(settings, _)| serve::show_key(&settings)),
            Command::Token(TokenCommand::Add { name, scope, config }) => {
                loaded(config).map(|(settings, _)| token::add(&settings, &name, scope))
            }
            Command::Token(TokenCommand::List { format, config }) => {
                loaded(config).map(|(settings, _)| token::list(&settings, format))
            }
            Command::Token(TokenCommand::Revoke { name, config }) => {
                loaded(config).map(|(settings, _)| token::revoke(&settings, &name))
            }
            Command::Manual { dir } => Ok(manual(Self::command(), &dir)),
            Command::Config(ConfigCommand::Example) => Ok(print(EXAMPLE)),
            Command::Config(ConfigCommand::Check(args)) => {
                loaded(args).map(|(_, file)| print(&format!("{}: can be used\n", file.path().display())))
            }
        };
        done.unwrap_or_else(|code| code)
    }
}
