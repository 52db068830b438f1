//! The host that is attacked, and which control looks at what of it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use safeguard_checks::policy::embedded;
use safeguard_checks::{Control, Facts, Finding, Host, Inputs, Phase, Policy, Status, evaluate};
use safeguard_host::HostRoot;
use serde_json::Value;

use crate::checks::debian::Debian;

/// More than any evaluation may take on a busy machine. A quiet one needs a twentieth of a second.
const DEADLINE: Duration = Duration::from_secs(10);

/// A node on which everything passes, and what each control looks at there.
pub(crate) struct Prey {
    pub(crate) debian: Debian,
    controls: Vec<Looks>,
}

/// One control, and what it looks at.
#[derive(Debug, Clone)]
pub(crate) struct Looks {
    /// `POLICY/CONTROL`.
    pub(crate) name: String,
    /// Files and directories of the host, whether they exist or not.
    at: BTreeSet<PathBuf>,
    /// Whether it decides by what is in files; otherwise by their owners and modes alone.
    pub(crate) reads: bool,
    /// Its policy with nothing else in it.
    policy: Policy,
}

impl Prey {
    pub(crate) fn new() -> Self {
        let debian = Debian::hardened();
        let mut controls = Vec::new();
        for policy in embedded() {
            controls.extend(policy.controls.iter().map(|control| Looks::of(&debian.root(), &policy, control)));
        }
        let prey = Self { debian, controls };
        assert!(prey.passing(&prey.controls).len() > 100, "a node on which little passes has little to lose");
        prey
    }

    /// The regular files that any control looks at.
    pub(crate) fn files(&self) -> BTreeSet<PathBuf> {
        self.looked_at(|kind| kind.is_file())
    }

    /// The directories that any control looks at.
    pub(crate) fn directories(&self) -> BTreeSet<PathBuf> {
        self.looked_at(|kind| kind.is_dir())
    }

    fn looked_at(&self, is: impl Fn(fs::FileType) -> bool) -> BTreeSet<PathBuf> {
        let there = |path: &Path| fs::symlink_metadata(self.at(path)).is_ok_and(|m| is(m.file_type()));
        self.controls.iter().flat_map(|looks| &looks.at).filter(|path| there(path)).cloned().collect()
    }

    /// Where a path of the host is.
    pub(crate) fn at(&self, path: &Path) -> PathBuf {
        self.debian.at(path.to_str().unwrap())
    }

    /// Every control.
    pub(crate) fn controls(&self) -> &[Looks] {
        &self.controls
    }

    /// The control with this id of our own policy.
    pub(crate) fn called(&self, id: &str) -> Vec<Looks> {
        let name = format!("eks-node-hardening/{id}");
        self.controls.iter().filter(|looks| looks.name == name).cloned().collect()
    }

    /// The controls that look at a path.
    pub(crate) fn who_looks_at(&self, path: &Path) -> Vec<Looks> {
        self.controls.iter().filter(|looks| looks.at.contains(path)).cloned().collect()
    }

    /// What becomes of these controls now, in their order.
    pub(crate) fn findings(&self, controls: &[Looks]) -> Vec<Finding> {
        judge(&self.debian.root(), controls)
    }

    /// Those of these controls that pass now, by their names.
    pub(crate) fn passing(&self, controls: &[Looks]) -> BTreeSet<String> {
        let passing = controls.iter().zip(self.findings(controls)).filter(|(_, now)| now.status == Status::Pass);
        passing.map(|(looks, _)| looks.name.clone()).collect()
    }
}

impl Looks {
    fn of(root: &Path, policy: &Policy, control: &Control) -> Self {
        let one = Policy { sections: Vec::new(), controls: vec![control.clone()], ..policy.clone() };
        let host = Host::new(HostRoot::open(root).unwrap(), Phase::Build);
        drop(evaluate(&Facts::new(&host, &Inputs::default()), std::slice::from_ref(&one)));
        let reads = control.check.as_ref().is_some_and(|check| reads(&serde_json::to_value(check).unwrap()));
        Self { name: format!("{}/{}", policy.policy, control.id), at: host.take_touched(), reads, policy: one }
    }
}

/// Whether a predicate, as JSON, asks for more than attributes of files.
fn reads(predicate: &Value) -> bool {
    let (kind, inner) = predicate.as_object().and_then(|map| map.iter().next()).unwrap();
    match kind.as_str() {
        "all" | "any" => inner.as_array().unwrap().iter().any(reads),
        "not" => reads(inner),
        kind => kind != "file",
    }
}

/// What becomes of these controls, in one run, in a thread that may neither panic nor take too long.
fn judge(root: &Path, controls: &[Looks]) -> Vec<Finding> {
    let (sender, receiver) = mpsc::channel();
    let (root, policies) = (root.to_owned(), controls.iter().map(|looks| looks.policy.clone()).collect::<Vec<_>>());
    std::thread::spawn(move || {
        let (host, inputs) = (Host::new(HostRoot::open(root).unwrap(), Phase::Build), Inputs::default());
        let report = evaluate(&Facts::new(&host, &inputs), &policies);
        // Nobody listens any more only if it took too long.
        drop(sender.send(report.policies.iter().map(|policy| policy.findings[0].clone()).collect()));
    });
    receiver.recv_timeout(DEADLINE).unwrap_or_else(|error| panic!("the evaluation of {}: {error}", controls[0].name))
}
