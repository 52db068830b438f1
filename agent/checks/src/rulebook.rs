//! Which policies a run asks, and which failures are excepted: ours, and the operator's from files.

use std::path::{Path, PathBuf};

use safeguard_host::{HostError, HostRoot};

use crate::exceptions::{Exceptions, NodeScope};
use crate::mistake::Mistake;
use crate::policy::{self, Policy};
use crate::report::Report;
use crate::yaml::nearest;

/// Most bytes of an exceptions file.
const MAX_EXCEPTIONS: u64 = 1 << 20;

/// Where policies and exceptions come from, and which of them are wanted.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Ids of the policies that are asked; empty asks all.
    pub policies: Vec<String>,
    /// A directory with the operator's own policies, in the view of this process. It may be missing.
    pub directory: Option<PathBuf>,
    /// The operator's exceptions, in the view of this process.
    pub exceptions: Option<PathBuf>,
    /// Whether it is a problem if the directory is missing: somebody named it.
    pub directory_required: bool,
    /// Whether it is a problem if the exceptions are missing: somebody named them.
    pub exceptions_required: bool,
    /// Whether the exceptions for EKS nodes that are part of the program hold.
    pub eks_exceptions: bool,
    /// Controls above this level are not asked.
    pub level: u8,
    /// Ids of the only controls that are asked, as `CONTROL` or `POLICY/CONTROL`; empty asks all.
    pub only: Vec<String>,
    /// What the node is for the scope of exceptions.
    pub node: NodeScope,
}

/// What a run asks.
#[derive(Debug, Clone, Default)]
pub struct Rulebook {
    /// The policies, with the controls that are wanted.
    pub policies: Vec<Policy>,
    /// What could not be used and why, in sentences that name the file: the rest holds.
    pub problems: Vec<String>,
    exceptions: Vec<Exceptions>,
    node: NodeScope,
}

impl Default for Sources {
    fn default() -> Self {
        Self {
            policies: Vec::new(),
            directory: None,
            exceptions: None,
            directory_required: false,
            exceptions_required: false,
            eks_exceptions: true,
            level: 2,
            only: Vec::new(),
            node: NodeScope::default(),
        }
    }
}

impl Sources {
    /// Reads what there is now.
    #[must_use]
    pub fn load(&self) -> Rulebook {
        let mut problems = Vec::new();
        let own = HostRoot::open("/").map_err(|error| problems.push(error.to_string())).ok();
        let mut all = policy::embedded();
        if let (Some(own), Some(directory)) = (&own, &self.directory) {
            match self.operators(own, directory, &all) {
                Ok(more) => all.extend(more),
                Err(mistakes) => problems.extend(mistakes.iter().map(Mistake::to_string)),
            }
        }
        let mut exceptions = Vec::new();
        if let (Some(own), Some(file)) = (&own, &self.exceptions) {
            match self.operators_exceptions(own, file, &all) {
                Ok(more) => exceptions.extend(more),
                Err(more) => problems.extend(more),
            }
        }
        if self.eks_exceptions {
            exceptions.push(Exceptions::eks());
        }
        problems.extend(self.unknown_names(&all));
        let policies = all.into_iter().filter_map(|policy| self.wanted(policy)).collect();
        Rulebook { policies, problems, exceptions, node: self.node.clone() }
    }

    fn operators(&self, own: &HostRoot, directory: &Path, ours: &[Policy]) -> Result<Vec<Policy>, Vec<Mistake>> {
        match own.attributes(directory) {
            Err(error) if error.is_not_found() && !self.directory_required => Ok(Vec::new()),
            _ => policy::directory(own, directory, ours.iter().map(|p| p.policy.as_str())),
        }
    }

    fn operators_exceptions(
        &self,
        own: &HostRoot,
        file: &Path,
        all: &[Policy],
    ) -> Result<Option<Exceptions>, Vec<String>> {
        let bytes = match own.read(file, MAX_EXCEPTIONS) {
            Ok(bytes) => bytes,
            Err(HostError::NotFound { .. }) if !self.exceptions_required => return Ok(None),
            Err(error) => return Err(vec![error.to_string()]),
        };
        let name = file.display().to_string();
        let text = String::from_utf8(bytes).map_err(|_| vec![format!("{name}: is not UTF-8 text")])?;
        let exceptions = Exceptions::load(&text, &name, all);
        exceptions.map(Some).map_err(|mistakes| mistakes.iter().map(Mistake::to_string).collect())
    }

    fn unknown_names(&self, all: &[Policy]) -> Vec<String> {
        let known = |name: &&String| !all.iter().any(|policy| policy.policy == **name);
        let policies = self.policies.iter().filter(known).map(|name| {
            let hint = nearest(name, all.iter().map(|p| p.policy.as_str()));
            format!("there is no policy `{name}`{}", did_you_mean(hint))
        });
        let ids: Vec<String> = all
            .iter()
            .flat_map(|p| p.controls.iter().flat_map(|c| [c.id.clone(), format!("{}/{}", p.policy, c.id)]))
            .collect();
        let controls = self.only.iter().filter(|name| !ids.contains(name)).map(|name| {
            let hint = nearest(name, ids.iter().map(String::as_str));
            format!("there is no control `{name}`{}", did_you_mean(hint))
        });
        policies.chain(controls).collect()
    }

    fn wanted(&self, mut policy: Policy) -> Option<Policy> {
        if !self.policies.is_empty() && !self.policies.contains(&policy.policy) {
            return None;
        }
        let named = |id: &String| {
            let full = format!("{}/{id}", policy.policy);
            self.only.is_empty() || self.only.contains(id) || self.only.contains(&full)
        };
        policy.controls.retain(|control| control.level <= self.level && named(&control.id));
        (!policy.controls.is_empty()).then_some(policy)
    }
}

fn did_you_mean(hint: Option<&str>) -> String {
    hint.map_or_else(String::new, |hint| format!("; did you mean `{hint}`?"))
}

impl Rulebook {
    /// Lets the exceptions hold, the operator's before ours. `now_ms` is in milliseconds since the epoch.
    pub fn except(&self, report: &mut Report, now_ms: i64) {
        for exceptions in &self.exceptions {
            exceptions.apply(report, &self.node, now_ms);
        }
    }
}

#[cfg(test)]
mod tests;
