//! `policy list|show|lint|schema`: what is asked, and whether the operator's own files can be used.

use std::path::{Path, PathBuf};

use safeguard_checks::{Exceptions, Mistake, Policy, Sources, policy};
use safeguard_daemon::settings::read_regular;
use safeguard_daemon::terminal::{BOLD, Style, complain, exit, print, printable};

use super::arguments::Format;
use super::check::absolute;

/// Most bytes of a policy or exceptions file.
const MAX_FILE: u64 = 1 << 20;

pub(super) fn list(directory: Option<PathBuf>, format: Format) -> u8 {
    let policies = match all(directory) {
        Ok(policies) => policies,
        Err(problem) => return complain(exit::FAILED, &problem),
    };
    if format == Format::Json {
        let rows = policies.iter().map(|p| {
            serde_json::json!({ "policy": p.policy, "version": p.version, "controls": p.controls.len(), "title": p.title, "digest": p.digest() })
        });
        return print(&format!("{:#}\n", serde_json::Value::from_iter(rows)));
    }
    let width = policies.iter().map(|p| p.policy.chars().count()).max().unwrap_or(0).max(6);
    let heading = format!("{:<width$}  {:<8}  {:>8}  TITLE", "POLICY", "VERSION", "CONTROLS");
    let mut text = Style::of_stdout().paint(BOLD, &heading) + "\n";
    for p in &policies {
        let (name, version, title) = (printable(&p.policy), printable(&p.version), printable(&p.title));
        text.push_str(&format!("{name:<width$}  {version:<8}  {:>8}  {title}\n", p.controls.len()));
    }
    print(&text)
}

pub(super) fn show(name: &str, directory: Option<PathBuf>, format: Format) -> u8 {
    let policies = match all(directory) {
        Ok(policies) => policies,
        Err(problem) => return complain(exit::FAILED, &problem),
    };
    let Some(policy) = policies.iter().find(|p| p.policy == name) else {
        let known: Vec<&str> = policies.iter().map(|p| p.policy.as_str()).collect();
        return complain(exit::USAGE, &format!("there is no policy `{name}`; there are {}", known.join(", ")));
    };
    print(&match format {
        Format::Table => policy::document(std::slice::from_ref(policy)),
        Format::Json => match serde_json::to_string_pretty(policy) {
            Ok(json) => json + "\n",
            Err(error) => return complain(exit::FAILED, &format!("the policy cannot be written: {error}")),
        },
    })
}

/// Policies, and exceptions files, which begin with `exceptions:`.
pub(super) fn lint(files: &[PathBuf], directory: Option<PathBuf>) -> u8 {
    let known = match all(directory) {
        Ok(policies) => policies,
        Err(problem) => return complain(exit::FAILED, &problem),
    };
    let mut code = exit::OK;
    for file in files {
        let said = match one(file, &known) {
            Ok(what) => print(&format!("{}: {what}\n", file.display())),
            Err(problems) => complain(exit::FAILED, &problems.join("\n")),
        };
        code = code.max(said);
    }
    code
}

pub(super) fn schema() -> u8 {
    print(&format!("{:#}\n", policy::schema()))
}

fn one(path: &Path, known: &[Policy]) -> Result<String, Vec<String>> {
    let file = path.display().to_string();
    let text = read_regular(path, MAX_FILE).map_err(|error| vec![format!("{file}: {error}")])?;
    let words = |mistakes: Vec<Mistake>| mistakes.iter().map(Mistake::to_string).collect::<Vec<_>>();
    if text.lines().any(|line| line.starts_with("exceptions:")) {
        let exceptions = Exceptions::load(&text, &file, known).map_err(words)?;
        return Ok(format!("can be used: {} exceptions", exceptions.exceptions.len()));
    }
    let policy = policy::load(&text, &file).map_err(words)?;
    Ok(format!("can be used: policy {} with {} controls", policy.policy, policy.controls.len()))
}

/// Ours and the operator's, every control.
fn all(directory: Option<PathBuf>) -> Result<Vec<Policy>, String> {
    let directory_required = directory.is_some();
    let directory = directory.as_deref().map(absolute).or_else(|| Some(safeguard_agent::config::POLICY_DIR.into()));
    let rulebook = Sources { directory, directory_required, ..Sources::default() }.load();
    if rulebook.problems.is_empty() { Ok(rulebook.policies) } else { Err(rulebook.problems.join("\n")) }
}
