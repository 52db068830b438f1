//! What is kept on disk: the last report, so that drift shows across restarts, and the counts of thirty days.

#![expect(clippy::disallowed_methods, reason = "the one place of this room that writes: its own state directory")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::report::{Counts, Report};

/// Days that are kept, today included.
const DAYS: usize = 30;

/// Most bytes of a state file that is read: what is larger was not written here.
const MAX_STATE: u64 = 16 << 20;

const MS_PER_DAY: i64 = 86_400_000;

/// The last counts of a day (UTC).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Day {
    /// Days since 1970-01-01.
    pub day: i64,
    /// Counts of each policy, by its id, as of the last evaluation of that day.
    pub policies: BTreeMap<String, Counts>,
}

/// The state file: version 1.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    version: u32,
    report: Option<Report>,
    days: Vec<Day>,
}

/// The state directory.
#[derive(Debug)]
pub(super) struct History {
    path: PathBuf,
    state: State,
    /// A file of a later version stays as it is.
    keeps: bool,
    problem: Option<String>,
}

impl History {
    /// Opens the directory, making it if it is not there (0700), and reads what is kept. What cannot be read is said once and
    /// begun anew: it is a memory of results, not evidence.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let path = dir.join("results.json");
        let (state, problem, keeps) = match read(&path) {
            Ok(Some(state)) if state.version > 1 => {
                let problem = format!(
                    "{}: written by a later version; it is left alone, and results are not kept",
                    path.display()
                );
                (None, Some(problem), false)
            }
            Ok(state) => (state, None, true),
            Err(error) => (None, Some(format!("{}: {error}; begun anew", path.display())), true),
        };
        let state = state.unwrap_or(State { version: 1, report: None, days: Vec::new() });
        Ok(Self { path, state, keeps, problem })
    }

    /// The report before.
    pub(super) fn last(&self) -> Option<&Report> {
        self.state.report.as_ref()
    }

    /// Counts of days, oldest first.
    pub(super) fn days(&self) -> &[Day] {
        &self.state.days
    }

    /// Keeps a report. The file is written only when the report says something else than before, or another day has begun.
    ///
    /// # Errors
    /// A sentence, when the directory cannot be written or could not be read; the report is kept in memory all the same.
    pub(super) fn keep(&mut self, report: &Report, now_ms: i64) -> Result<(), String> {
        let days_before = self.state.days.clone();
        self.count(report, now_ms);
        let same = self.state.report.as_ref().is_some_and(|last| last.policies == report.policies);
        self.state.report = Some(report.clone());
        if let Some(problem) = &self.problem {
            let problem = problem.clone();
            if self.keeps {
                self.problem = None;
            }
            return self.write().and(Err(problem));
        }
        if same && days_before == self.state.days {
            return Ok(());
        }
        self.write()
    }

    fn count(&mut self, report: &Report, now_ms: i64) {
        let day = now_ms.div_euclid(MS_PER_DAY);
        let policies = report.policies.iter().map(|p| (p.policy.clone(), p.counts)).collect();
        // A clock that was set back must not make two entries of one day, nor days out of order.
        self.state.days.retain(|d| d.day < day);
        self.state.days.push(Day { day, policies });
        let surplus = self.state.days.len().saturating_sub(DAYS);
        self.state.days.drain(..surplus);
    }

    fn write(&self) -> Result<(), String> {
        if !self.keeps {
            return Ok(());
        }
        let new = self.path.with_extension("json.new");
        let write = || {
            let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.write_all(&serde_json::to_vec(&self.state)?)?;
            file.sync_all()?;
            fs::rename(&new, &self.path)
        };
        write().map_err(|error| {
            format!("{}: cannot be written ({error}); results are not kept over a restart", self.path.display())
        })
    }
}

fn read(path: &Path) -> io::Result<Option<State>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if file.metadata()?.len() > MAX_STATE {
        return Err(io::Error::other("is larger than the agent would have written"));
    }
    Ok(Some(serde_json::from_reader(io::BufReader::new(file))?))
}

#[cfg(test)]
mod tests;
