//! A host for tests: a directory with the files that a test writes. `/proc` and `/sys` are files like any other here.

#![expect(clippy::disallowed_methods, reason = "a test writes the host that it looks at")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use safeguard_host::HostRoot;
use tempfile::TempDir;

use crate::evaluate::Inputs;
use crate::facts::Facts;
use crate::host::{Host, Phase};
use crate::rules::Predicate;
use crate::verdict::{Truth, Verdict};

/// The host that a test writes.
pub(crate) struct Fixture {
    root: TempDir,
    /// What is known besides files.
    pub(crate) inputs: Inputs,
    /// The phase it says it is in.
    pub(crate) phase: Phase,
}

impl Fixture {
    /// An empty host at work.
    pub(crate) fn new() -> Self {
        Self { root: TempDir::new().unwrap(), inputs: Inputs::default(), phase: Phase::Run }
    }

    /// The same, dead.
    pub(crate) fn dead() -> Self {
        Self { phase: Phase::Build, ..Self::new() }
    }

    /// Where a path of the host is.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.root.path().join(path.trim_start_matches('/'))
    }

    /// Writes a file with mode 0644, with the directories that lead to it.
    pub(crate) fn file(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let at = self.at(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(&at, content).unwrap();
        self.mode(path, 0o644)
    }

    /// Makes a directory with mode 0755.
    pub(crate) fn dir(&self, path: &str) -> &Self {
        fs::create_dir_all(self.at(path)).unwrap();
        self.mode(path, 0o755)
    }

    /// Makes a symbolic link.
    pub(crate) fn link(&self, path: &str, target: &str) -> &Self {
        let at = self.at(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        symlink(target, at).unwrap();
        self
    }

    /// Changes the mode.
    pub(crate) fn mode(&self, path: &str, mode: u32) -> &Self {
        fs::set_permissions(self.at(path), fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    /// Changes owner and group; the test has to be root.
    pub(crate) fn owner(&self, path: &str, uid: u32, gid: u32) -> &Self {
        std::os::unix::fs::chown(self.at(path), Some(uid), Some(gid)).unwrap();
        self
    }

    /// Deletes a file.
    pub(crate) fn without(&self, path: &str) -> &Self {
        fs::remove_file(self.at(path)).unwrap();
        self
    }

    /// The host that is looked at.
    pub(crate) fn host(&self) -> Host {
        Host::new(HostRoot::open(self.root.path()).unwrap(), self.phase)
    }

    /// What is seen with facts of this host.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&Facts<'_>) -> T) -> T {
        let host = self.host();
        look(&Facts::new(&host, &self.inputs))
    }

    /// What a predicate, written as in a policy file, says of this host.
    pub(crate) fn judge(&self, predicate: &str) -> Verdict {
        let yaml = serde_yaml_ng::Deserializer::from_str(predicate);
        let predicate: Predicate = serde_yaml_ng::with::singleton_map_recursive::deserialize(yaml).unwrap();
        self.with(|facts| predicate.judge(facts))
    }

    /// Panics unless the predicate holds, and says so with evidence.
    #[track_caller]
    pub(crate) fn holds(&self, predicate: &str) -> Verdict {
        let verdict = self.judge(predicate);
        assert_eq!(verdict.truth, Truth::Holds, "{predicate}: {verdict:#?}");
        assert!(!verdict.evidence.is_empty(), "{predicate}: no evidence");
        verdict
    }

    /// Panics unless the predicate fails, and says so with evidence.
    #[track_caller]
    pub(crate) fn fails(&self, predicate: &str) -> Verdict {
        let verdict = self.judge(predicate);
        assert_eq!(verdict.truth, Truth::Fails, "{predicate}: {verdict:#?}");
        assert!(!verdict.evidence.is_empty(), "{predicate}: no evidence");
        verdict
    }

    /// Panics unless it could not be observed; gives the sentence that says why.
    #[track_caller]
    pub(crate) fn unknown(&self, predicate: &str) -> String {
        match self.judge(predicate).truth {
            Truth::Unknown(why) => why.message,
            other => panic!("{predicate}: {other:?}"),
        }
    }

    /// Panics unless it is not applicable; gives the sentence that says why.
    #[track_caller]
    pub(crate) fn not_applicable(&self, predicate: &str) -> String {
        match self.judge(predicate).truth {
            Truth::NotApplicable(why) => why,
            other => panic!("{predicate}: {other:?}"),
        }
    }
}
