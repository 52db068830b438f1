//! Policies from files: ours, which are part of the program, and the operator's own.

use std::collections::BTreeSet;
use std::path::Path;

use safeguard_host::HostRoot;

use super::{Policy, lint};
use crate::mistake::Mistake;
use crate::yaml;

/// Most files of a directory that are read.
const MAX_FILES: usize = 100;

/// Reads a policy. `file` is what messages call it.
///
/// # Errors
/// The first [`Mistake`] against the grammar; an unknown predicate or field comes with the nearest known one.
pub fn parse(text: &str, file: &str) -> Result<Policy, Mistake> {
    yaml::read(text, file)
}

/// Reads a policy and looks at what it says: [`parse`] and [`lint`](super::lint()).
///
/// # Errors
/// Every [`Mistake`], in the order of the file.
pub fn load(text: &str, file: &str) -> Result<Policy, Vec<Mistake>> {
    let policy = parse(text, file).map_err(|mistake| vec![mistake])?;
    let flaws = lint(&policy);
    if flaws.is_empty() { Ok(policy) } else { Err(yaml::placed(flaws, text, file)) }
}

/// Reads the files of a directory whose names end with `.yaml` or `.yml`, by name. `known` are ids that are taken: two
/// policies with one id could not be told apart in a report.
///
/// # Errors
/// Every [`Mistake`] of every file; also if the directory cannot be read or has more than 100 such files.
pub fn directory<'k>(
    root: &HostRoot,
    directory: &Path,
    known: impl IntoIterator<Item = &'k str>,
) -> Result<Vec<Policy>, Vec<Mistake>> {
    let mut taken: BTreeSet<String> = known.into_iter().map(str::to_owned).collect();
    let (mut policies, mut mistakes) = (Vec::new(), Vec::new());
    for name in files(root, directory).map_err(|mistake| vec![mistake])? {
        match one(root, &directory.join(name)) {
            Ok((_, policy)) if taken.insert(policy.policy.clone()) => policies.push(policy),
            Ok((file, policy)) => {
                mistakes.push(Mistake::whole(&file, format!("there is another policy `{}`", policy.policy)));
            }
            Err(more) => mistakes.extend(more),
        }
    }
    if mistakes.is_empty() { Ok(policies) } else { Err(mistakes) }
}

fn files(root: &HostRoot, directory: &Path) -> Result<Vec<std::ffi::OsString>, Mistake> {
    let shown = directory.display().to_string();
    let entries = root.dir(directory).and_then(|dir| dir.entries());
    let entries = entries.map_err(|error| Mistake::whole(&shown, error.to_string()))?;
    let is_policy = |name: &Path| name.extension().is_some_and(|e| e == "yaml" || e == "yml");
    let mut names: Vec<_> = entries.into_iter().map(|entry| entry.name).filter(|n| is_policy(Path::new(n))).collect();
    if names.len() > MAX_FILES {
        return Err(Mistake::whole(&shown, format!("has {} policies, and {MAX_FILES} are the most", names.len())));
    }
    names.sort_unstable();
    Ok(names)
}

fn one(root: &HostRoot, path: &Path) -> Result<(String, Policy), Vec<Mistake>> {
    let file = path.display().to_string();
    let whole = |problem: String| vec![Mistake::whole(&file, problem)];
    let bytes = root.read(path, yaml::MAX_BYTES).map_err(|error| whole(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| whole("is not UTF-8 text".to_owned()))?;
    let policy = load(&text, &file)?;
    Ok((file, policy))
}

/// The policies that are part of the program, in the order in which they are shown.
///
/// # Panics
/// Never: tests read what the build put in.
#[must_use]
pub fn embedded() -> Vec<Policy> {
    const OURS: [&str; 3] = [
        include_str!(concat!(env!("OUT_DIR"), "/cis-eks-1.8.0.json")),
        include_str!(concat!(env!("OUT_DIR"), "/cis-kubernetes-1.12-worker.json")),
        include_str!(concat!(env!("OUT_DIR"), "/eks-node-hardening.json")),
    ];
    OURS.iter().map(|json| serde_json::from_str(json).expect("a test reads every one")).collect()
}

#[cfg(test)]
mod tests;
