//! The grammar of the command line, with help that teaches.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use safeguard_agent::config::{ProgramSettings, Settings};
use safeguard_daemon::manual::manual;

use super::{check, config, heartbeat, overview, policy, run, status};

const DEFAULT_PATH: &str = Settings::DEFAULT_PATH;

const EXAMPLES: &str = "\
Examples:
  safeguard-agent config example > /etc/safeguard/agent.toml   start from the commented settings
  safeguard-agent config check                                 can the settings be used?
  safeguard-agent config show                                  what is in force, and where it came from
  safeguard-agent run                                          ship (under systemd or Kubernetes)
  safeguard-agent status                                       how everything stands, on one screen
  safeguard-agent logs status --watch                          what is delivered, what is behind, and why
  safeguard-agent check                                        how this host stands against CIS and our own policy
  safeguard-agent check explain KUB-01                         one control in full: seen, wanted, why, how to mend it

Exit codes:
  0   done
  1   it did not work; the reason is on stderr
  64  the command line or the settings are wrong
  75  another agent runs on this node
`check` has its own: 0 clean, 1 findings, 2 could not run, 64 the command line is wrong";

/// Ships the logs of a Kubernetes node to Amazon CloudWatch Logs, says how the node stands against CIS, and tells the safeguard.
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
    /// Ask the running agent how everything stands: who the node is, how the safeguard sees it, checks, logs, proxy.
    #[command(after_help = "\
Lines:
  identity   what vouches for the node (iid: AWS for the instance; sts: AWS for its key; psat: the cluster for the pod)
  beat       the last heartbeat that the safeguard took for live
  state      how the safeguard sees the node, since when and why
  trouble    why beats do not arrive, with the code of docs/protocol.md, and what to do

Examples:
  sudo safeguard-agent status
  sudo safeguard-agent status --format json | jq .heartbeat.posture")]
    Status {
        /// How to print it.
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
        #[command(flatten)]
        admin: AdminSocket,
    },
    /// The heartbeat.
    #[command(subcommand)]
    Heartbeat(HeartbeatCommand),
    /// Container logs.
    #[command(subcommand)]
    Logs(LogsCommand),
    /// Look at this host, or at an image, with the eyes of policies. Reads files; runs nothing.
    #[command(args_conflicts_with_subcommands = true, after_help = CHECK)]
    Check(Box<CheckCommand>),
    /// The policies that there are.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Write the manual pages and the completions of shells below a directory, as packages do.
    Manual {
        /// The directory; it is made if it is not there.
        dir: PathBuf,
    },
}

const CHECK: &str = "\
Statuses:
  fail            looked at, and it does not hold
  unknown         could not be observed, with the reason; never a pass
  excepted        does not hold, and somebody answers for that until a date
  manual          a person has to decide
  pass            looked at, and it holds
  not applicable  there is nothing here that it speaks of

Exit codes:
  0   clean (as --fail-on says)
  1   findings
  2   could not run: the root, a policy or an exceptions file cannot be used
  64  the command line is wrong

Examples:
  sudo safeguard-agent check                                    this host, all policies
  safeguard-agent check cis-eks-1.8.0 --level 1 --format json   one policy, for programs
  safeguard-agent check --root /mnt/image --phase build         a dead image, before it becomes an AMI
  safeguard-agent check --format html > report.html             one page to print
  safeguard-agent check diff before.json after.json             what changed";

#[derive(Debug, Args)]
struct CheckCommand {
    #[command(subcommand)]
    command: Option<CheckSubcommand>,
    #[command(flatten)]
    args: CheckArgs,
}

#[derive(Debug, Subcommand)]
enum CheckSubcommand {
    /// One control on this host in full: what, why, how it was decided, the evidence, the remedy.
    Explain {
        /// The control: `3.2.1`, or `cis-eks-1.8.0/3.2.1` where several policies have it.
        #[arg(value_name = "CONTROL")]
        id: String,
        #[command(flatten)]
        args: Box<CheckArgs>,
    },
    /// What changed between two reports of `check --format json`: exit code 0 if nothing did, 1 otherwise.
    Diff {
        /// The older report.
        #[arg(value_name = "OLD.json")]
        old: PathBuf,
        /// The newer one.
        #[arg(value_name = "NEW.json")]
        new: PathBuf,
        /// How to print it.
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
}

/// What a run of the checks looks at, and how.
#[derive(Debug, Clone, Args)]
pub(super) struct CheckArgs {
    /// Policies to ask; all of them if none is named. `policy list` has their names.
    #[arg(value_name = "POLICY")]
    pub(super) policies: Vec<String>,
    /// Controls up to this level: 1, or 1 and 2.
    #[arg(long, value_name = "LEVEL", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=2))]
    pub(super) level: u8,
    /// The root of the host's files: / on the host, /host in a container, /proc/1/root in a unit with a view of its own.
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub(super) root: PathBuf,
    /// What the host is doing [default: run if it has a PID 1 in its /proc, else build].
    #[arg(long, value_enum)]
    pub(super) phase: Option<PhaseArg>,
    /// Exceptions of your own [default: /etc/safeguard/exceptions.yaml, if it exists].
    #[arg(long, value_name = "FILE")]
    pub(super) exceptions: Option<PathBuf>,
    /// Leave out the reviewed exceptions for EKS nodes that are part of the program.
    #[arg(long)]
    pub(super) no_eks_exceptions: bool,
    /// Policies of your own [default: /etc/safeguard/policies.d, if it exists].
    #[arg(long, value_name = "DIR")]
    pub(super) policy_dir: Option<PathBuf>,
    /// Only this control; may be repeated.
    #[arg(long, value_name = "CONTROL")]
    pub(super) only: Vec<String>,
    /// What makes the exit code 1.
    #[arg(long, value_enum, default_value_t = FailOn::Fail)]
    pub(super) fail_on: FailOn,
    /// What findings are called after [default: the host's own name].
    #[arg(long, value_name = "NAME")]
    pub(super) node: Option<String>,
    /// The node group, for the scope of exceptions.
    #[arg(long, value_name = "NAME")]
    pub(super) node_group: Option<String>,
    /// A label of the node, for the scope of exceptions; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = label)]
    pub(super) label: Vec<(String, String)>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = CheckFormat::Table)]
    pub(super) format: CheckFormat,
}

fn label(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
    pair.filter(|(key, _)| !key.is_empty()).ok_or_else(|| "a label is written KEY=VALUE".to_owned())
}

/// How a report is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum CheckFormat {
    /// For people.
    Table,
    /// For programs; what `check diff` compares.
    Json,
    /// For pipelines that build images.
    Junit,
    /// One page to read and to print.
    Html,
}

/// What makes the exit code 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum FailOn {
    /// A control that fails.
    Fail,
    /// A control that fails, or that could not be observed.
    Unknown,
    /// Nothing.
    None,
}

/// What the host is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum PhaseArg {
    /// An image that does not run.
    Build,
    /// It has booted, and may not have joined its cluster.
    Boot,
    /// It is at work.
    Run,
}

impl From<PhaseArg> for safeguard_checks::Phase {
    fn from(phase: PhaseArg) -> Self {
        match phase {
            PhaseArg::Build => Self::Build,
            PhaseArg::Boot => Self::Boot,
            PhaseArg::Run => Self::Run,
        }
    }
}

#[derive(Debug, Subcommand)]
enum PolicyCommand {
    /// Name every policy: ours, and your own.
    List {
        #[command(flatten)]
        own: OwnPolicies,
        /// How to print it.
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Print every control of a policy: what is looked at, why, and how to mend it.
    Show {
        /// Its name, as `policy list` has it.
        policy: String,
        #[command(flatten)]
        own: OwnPolicies,
        /// How to print it.
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Say whether policy files and exceptions files can be used: exit code 0, or 1 with file, line and field of each mistake.
    Lint {
        /// The files.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        #[command(flatten)]
        own: OwnPolicies,
    },
    /// Print the JSON Schema of policy files, for editors.
    Schema,
}

#[derive(Debug, Args)]
struct OwnPolicies {
    /// Policies of your own [default: /etc/safeguard/policies.d, if it exists].
    #[arg(long, value_name = "DIR")]
    policy_dir: Option<PathBuf>,
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
        #[command(flatten)]
        admin: AdminSocket,
    },
}

#[derive(Debug, Subcommand)]
enum HeartbeatCommand {
    /// Print what would be signed and sent now, to the letter (docs/protocol.md, "Beats"). Asks the running agent; sends nothing.
    Show(AdminSocket),
}

#[derive(Debug, Args)]
struct AdminSocket {
    /// Admin socket of the agent.
    #[arg(long, value_name = "PATH", default_value = "/run/safeguard/agent.sock")]
    socket: PathBuf,
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
            Command::Manual { dir } => manual(Self::command(), &dir),
            Command::Config(ConfigCommand::Example) => config::example(),
            Command::Config(ConfigCommand::Check(args)) => config::check(args.config),
            Command::Config(ConfigCommand::Show { config, format }) => config::show(config.config, format),
            Command::Status { format, admin } => overview::status(&admin.socket, format),
            Command::Heartbeat(HeartbeatCommand::Show(admin)) => heartbeat::show(&admin.socket),
            Command::Logs(LogsCommand::Status { watch, format, admin }) => status::status(&admin.socket, format, watch),
            Command::Check(check) => match check.command {
                None => check::check(&check.args),
                Some(CheckSubcommand::Explain { id, args }) => check::explain(&id, &args),
                Some(CheckSubcommand::Diff { old, new, format }) => check::diff(&old, &new, format),
            },
            Command::Policy(command) => match command {
                PolicyCommand::List { own, format } => policy::list(own.policy_dir, format),
                PolicyCommand::Show { policy, own, format } => policy::show(&policy, own.policy_dir, format),
                PolicyCommand::Lint { files, own } => policy::lint(&files, own.policy_dir),
                PolicyCommand::Schema => policy::schema(),
            },
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
