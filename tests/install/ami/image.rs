//! The disk of an image that is being made: a Debian with what the EKS image brings, which the steps of `ami/` work on.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use safeguard_checks::{Finding, Report};
use safeguard_tests::built::program;
use safeguard_tests::machine;
use serde::Deserialize;
use tempfile::TempDir;

use crate::packaged::{package, said};

/// What makes a Debian a node is the same as for the tests of the host checks.
const HARDENING: &str = include_str!("../../it/checks/hardening.yaml");

/// Written by nodeadm when the node boots, or by us: no image has it before the steps.
const LATER: [&str; 6] = [
    "/etc/kubernetes/",
    "/etc/eks/kubelet/",
    "/var/lib/kubelet/kubeconfig",
    "/etc/safeguard",
    "/etc/systemd/system/safeguard-",
    "/usr/local/bin/safeguard-",
];

#[derive(Deserialize)]
struct Hardening {
    node: BTreeMap<String, Entry>,
}

/// What lies at a path: a file with mode 0644, or what is said.
#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Text(String),
    Other {
        #[serde(default)]
        text: String,
        #[serde(default)]
        directory: bool,
        mode: Option<String>,
    },
}

/// The AMI's directory of this repository.
pub(super) fn ami() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../ami").canonicalize().unwrap()
}

/// Makes the Debian at `root` what it would be as an EKS image: a kernel's files, kubelet, containerd, sshd, auditd, chrony as far as
/// checks look at them, careless settings among them.
pub(super) fn furnish(root: &Path) {
    let hardening: Hardening = serde_yaml_ng::from_str(HARDENING).unwrap();
    for (path, entry) in hardening.node.iter().filter(|(path, _)| !LATER.iter().any(|later| path.starts_with(later))) {
        let at = root.join(path.trim_start_matches('/'));
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        let (text, directory, mode) = match entry {
            Entry::Text(text) => (text.as_str(), false, "0644"),
            Entry::Other { text, directory, mode } => {
                (text.as_str(), *directory, mode.as_deref().unwrap_or(if *directory { "0755" } else { "0644" }))
            }
        };
        if directory {
            fs::create_dir_all(&at).unwrap();
        } else {
            fs::write(&at, text).unwrap();
        }
        fs::set_permissions(&at, Permissions::from_mode(u32::from_str_radix(mode, 8).unwrap())).unwrap();
    }
    for path in ["etc/audit/rules.d/audit.rules", "etc/audit/audit.rules"] {
        let rules = fs::read_to_string(root.join(path)).unwrap();
        fs::write(root.join(path), rules + NO_AUDIT).unwrap();
    }
}

/// Fedora and what comes from it ship this rule: with it no other rule ever matches.
const NO_AUDIT: &str = "-a task,never\n";

/// Our packages; `inside` runs a line within the root.
pub(super) fn install(root: &Path, inside: impl Fn(&str)) {
    for name in ["safeguard-agent", "safeguard-proxy"] {
        let file = root.join("srv/package.deb");
        fs::copy(package(name, "deb", 1), &file).unwrap();
        inside("dpkg --install /srv/package.deb");
        fs::remove_file(file).unwrap();
    }
}

/// The copy. It goes with the test.
pub(super) struct Image {
    dir: TempDir,
}

impl Image {
    /// With our programs, before the first step.
    pub(super) fn new() -> Self {
        let image = Self { dir: tempfile::tempdir().unwrap() };
        let mut copy = Command::new("cp");
        copy.args(["--archive", "--reflink=auto"]).arg(machine::debian().unwrap()).arg(image.root());
        assert!(copy.status().unwrap().success());
        furnish(&image.root());
        install(&image.root(), |line| {
            said(Command::new("chroot").arg(image.root()).args(["sh", "-ec", line]));
        });
        image
    }

    /// After all steps.
    pub(super) fn hardened() -> Self {
        let image = Self::new();
        image.works("provision/run");
        image
    }

    /// Its `/`.
    pub(super) fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    /// Where a path of it is.
    pub(super) fn at(&self, path: &str) -> PathBuf {
        self.root().join(path.trim_start_matches('/'))
    }

    /// Where its reports go.
    pub(super) fn reports(&self) -> PathBuf {
        self.dir.path().join("reports")
    }

    /// Runs a script of `ami/` on it.
    pub(super) fn run(&self, script: &str) -> Output {
        let mut program = Command::new(ami().join(script));
        program.env("ROOT", self.root()).env("REPORTS", self.reports());
        program.env_remove("PACKAGES").env_remove("SETTINGS").output().unwrap()
    }

    /// The same for one that has to work; what it said.
    pub(super) fn works(&self, script: &str) -> String {
        let output = self.run(script);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{script}: {said}{}", String::from_utf8_lossy(&output.stderr));
        said
    }

    /// What the checks say of it.
    pub(super) fn check(&self) -> Report {
        let mut check = Command::new(program("safeguard-agent"));
        check.env_clear().args([
            "check",
            "--phase",
            "build",
            "--format",
            "json",
            "--node",
            "image",
            "--fail-on",
            "none",
        ]);
        let output = check.arg("--root").arg(self.root()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// Findings by the id of their control. Ids of two policies never meet: 3.* is EKS's, 4.* the worker's.
pub(super) fn by_control(report: &Report) -> BTreeMap<String, Finding> {
    let findings: Vec<_> = report.findings().map(|(_, finding)| (finding.control.clone(), finding.clone())).collect();
    let count = findings.len();
    let by_control = BTreeMap::from_iter(findings);
    assert_eq!(by_control.len(), count, "two policies have a control of one id");
    by_control
}
