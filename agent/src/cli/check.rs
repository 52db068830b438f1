//! `check`: how this host stands against policies, once.

mod diff;
mod explain;
mod render;

use std::path::{Path, PathBuf};

use safeguard_agent::config;
use safeguard_checks::{Facts, Host, Inputs, NodeScope, Phase, Report, Rulebook, Sources, evaluate};
use safeguard_daemon::terminal::{Style, complain, exit, print};
use safeguard_daemon::{clock, seccomp};
use safeguard_host::HostRoot;

pub(super) use diff::diff;
pub(super) use explain::explain;

use super::arguments::{CheckArgs, CheckFormat, FailOn};

/// Exit code: something was found.
const FINDINGS: u8 = 1;

/// Exit code: it could not be looked at, or not with what was asked for.
const COULD_NOT_RUN: u8 = 2;

/// What a run rests on, and what came of it.
struct Run {
    rulebook: Rulebook,
    report: Report,
}

pub(super) fn check(args: &CheckArgs) -> u8 {
    let run = match run(args) {
        Ok(run) => run,
        Err(problems) => return complain(COULD_NOT_RUN, &problems.join("\n")),
    };
    let printed = print(&match args.format {
        CheckFormat::Table => render::table(&run.report, &run.rulebook.policies, Style::of_stdout()),
        CheckFormat::Json => match serde_json::to_string_pretty(&run.report) {
            Ok(json) => json + "\n",
            Err(error) => return complain(COULD_NOT_RUN, &format!("the report cannot be written: {error}")),
        },
        CheckFormat::Junit => run.report.junit(),
        CheckFormat::Html => run.report.page(&run.rulebook.policies, &render::utc(run.report.started_ms)),
    });
    match printed {
        exit::OK => found(&run.report, args.fail_on),
        _ => COULD_NOT_RUN,
    }
}

/// The exit code that says what was found.
fn found(report: &Report, fail_on: FailOn) -> u8 {
    let any = |count: fn(&safeguard_checks::Counts) -> u32| report.policies.iter().any(|p| count(&p.counts) > 0);
    let bad = match fail_on {
        FailOn::None => false,
        FailOn::Fail => any(|c| c.fail),
        FailOn::Unknown => any(|c| c.fail) || any(|c| c.unknown),
    };
    if bad { FINDINGS } else { exit::OK }
}

fn run(args: &CheckArgs) -> Result<Run, Vec<String>> {
    // Before the first byte of the host is parsed.
    seccomp::confine().map_err(|error| vec![error.to_string()])?;
    let rulebook = sources(args).load();
    if !rulebook.problems.is_empty() {
        return Err(rulebook.problems);
    }
    if rulebook.policies.is_empty() {
        return Err(vec![format!("no control is left to check at level {}", args.level)]);
    }
    let root = HostRoot::open(&args.root).map_err(|error| vec![error.to_string()])?;
    let phase = args.phase.map_or_else(|| phase(&root), Phase::from);
    let host = Host::new(root, phase);
    let node = args.node.clone().or_else(|| host.name()).unwrap_or_else(|| "unnamed".to_owned());
    let inputs = Inputs { node, now_ms: clock::now_ms(), ..Inputs::default() };
    let mut report = evaluate(&Facts::new(&host, &inputs), &rulebook.policies);
    rulebook.except(&mut report, inputs.now_ms);
    Ok(Run { rulebook, report })
}

fn sources(args: &CheckArgs) -> Sources {
    let default = |path: &str| Some(PathBuf::from(path));
    Sources {
        policies: args.policies.clone(),
        directory: args.policy_dir.as_deref().map(absolute).or_else(|| default(config::POLICY_DIR)),
        exceptions: args.exceptions.as_deref().map(absolute).or_else(|| default(config::EXCEPTIONS)),
        directory_required: args.policy_dir.is_some(),
        exceptions_required: args.exceptions.is_some(),
        eks_exceptions: !args.no_eks_exceptions,
        level: args.level,
        only: args.only.clone(),
        node: NodeScope { node_group: args.node_group.clone(), labels: args.label.iter().cloned().collect() },
    }
}

/// The path as seen from the root, as all that is read is.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// What this process runs on runs, whatever its `/proc` shows. Another root runs if it has a PID 1; otherwise it is an image.
fn phase(root: &HostRoot) -> Phase {
    if root.path() == Path::new("/") {
        return Phase::Run;
    }
    match root.attributes(Path::new("/proc/1")) {
        Ok(_) => Phase::Run,
        Err(_) => Phase::Build,
    }
}
