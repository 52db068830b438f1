//! A copy of a real Debian's disk, and the steps of `hardening.yaml` that make it a node and a hard one.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use safeguard_checks::Report;
use safeguard_tests::machine;
use serde::Deserialize;
use tempfile::TempDir;

use crate::program::agent;

/// The whole of `hardening.yaml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hardening {
    /// What makes the Debian a node.
    pub(crate) node: Files,
    /// What makes the node a hard one.
    pub(crate) steps: Vec<Step>,
}

/// What lies where, by path.
pub(crate) type Files = BTreeMap<String, Entry>;

/// One step, of one family of controls.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    /// What it is about.
    pub(crate) step: String,
    /// What it changes.
    pub(crate) files: Files,
    /// By policy: controls that failed before and pass now.
    pub(crate) mends: BTreeMap<String, Vec<String>>,
}

/// What is at a path.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Entry {
    /// A file with mode 0644.
    Text(String),
    /// Anything else.
    Other(Other),
}

/// What is at a path; without content, what was there with another mode.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Other {
    text: Option<String>,
    /// A file of the certificates that the controls of the room are tested with.
    certificate: Option<String>,
    directory: bool,
    link: Option<String>,
    gone: bool,
    mode: Option<String>,
}

impl Hardening {
    pub(crate) fn read() -> Self {
        serde_yaml_ng::from_str(include_str!("hardening.yaml")).unwrap()
    }
}

/// The copy. It goes with the test.
pub(crate) struct Debian {
    dir: TempDir,
}

impl Debian {
    /// As debootstrap left it.
    pub(crate) fn untouched() -> Self {
        let debian = Self { dir: tempfile::tempdir().unwrap() };
        // Nothing may be shared with the disk that other tests boot from.
        let mut copy = Command::new("cp");
        copy.args(["--archive", "--reflink=auto"]).arg(machine::debian().unwrap()).arg(debian.root());
        assert!(copy.status().unwrap().success());
        debian
    }

    /// After all steps.
    pub(crate) fn hardened() -> Self {
        let (debian, hardening) = (Self::untouched(), Hardening::read());
        debian.put(&hardening.node);
        hardening.steps.iter().for_each(|step| debian.put(&step.files));
        debian
    }

    /// Its `/`.
    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    /// A place beside it.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Where a path of it is.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.root().join(path.trim_start_matches('/'))
    }

    pub(crate) fn put(&self, files: &Files) {
        files.iter().for_each(|(path, entry)| put(&self.at(path), entry));
    }
}

pub(crate) fn put(at: &Path, entry: &Entry) {
    let plain = Other::default();
    let (text, other) = match entry {
        Entry::Text(text) => (Some(text), &plain),
        Entry::Other(other) => (other.text.as_ref(), other),
    };
    if other.gone {
        return fs::remove_file(at).unwrap();
    }
    fs::create_dir_all(at.parent().unwrap()).unwrap();
    if let Some(target) = &other.link {
        return symlink(target, at).unwrap();
    }
    let content = match (&other.certificate, text) {
        (Some(name), _) => Some(fs::read(certificates().join(name)).unwrap()),
        (None, text) => text.map(|text| text.clone().into_bytes()),
    };
    let new = if let Some(content) = content {
        fs::write(at, content).unwrap();
        Some("0644")
    } else if other.directory {
        fs::create_dir_all(at).unwrap();
        Some("0755")
    } else {
        None
    };
    if let Some(mode) = other.mode.as_deref().or(new) {
        fs::set_permissions(at, Permissions::from_mode(u32::from_str_radix(mode, 8).unwrap())).unwrap();
    }
}

fn certificates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../agent/checks/tests/fixtures/certificates")
}

/// What the program says of a host; `more` are further arguments. It ends with 0 or 1: anything else is a failure of the program.
pub(crate) fn check(root: &Path, more: &[&str]) -> Report {
    let output = check_as(root, more);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}: {said}", output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}

fn check_as(root: &Path, more: &[&str]) -> Output {
    let mut program = Command::new(agent());
    program.env_clear().args(["check", "--format", "json", "--node", "node-1", "--no-eks-exceptions"]);
    program.arg("--root").arg(root).args(more).output().unwrap()
}
