//! A host that is written as data: what each file is, and what a case changes.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use safeguard_checks::{ClockState, Control, Facts, Finding, Host, Inputs, Phase, Policy, Report, evaluate};
use safeguard_host::HostRoot;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tempfile::TempDir;

/// What a test knows of a host, by path.
pub(crate) type Files = BTreeMap<String, Entry>;

/// The whole of `node.yaml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Node {
    pub(crate) inputs: Given,
    pub(crate) files: Files,
}

/// What a case changes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Change {
    pub(crate) inputs: Given,
    pub(crate) files: Files,
}

/// What is known besides files; a text in the place of a number or map is the reason why it is not.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Given {
    node: Option<String>,
    now_ms: Option<i64>,
    tokenless_imds: Option<Or<u16>>,
    clock: Option<Or<Clock>>,
    configz: Option<Or<BTreeMap<String, serde_json::Value>>>,
}

/// A value, or the reason why there is none.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Or<T> {
    Value(T),
    Reason(String),
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct Clock {
    synchronized: bool,
    max_error_us: i64,
}

/// What is at a path.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum Entry {
    /// A file of root with mode 0644.
    Text(String),
    /// Anything else.
    Other(Other),
}

/// What is at a path, or how it differs from what was there.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Other {
    text: Option<String>,
    /// A file of `fixtures/certificates`.
    certificate: Option<String>,
    directory: bool,
    socket: bool,
    link: Option<String>,
    /// It is not there.
    gone: bool,
    /// In the text that was there, the first text instead of the second.
    replace: Option<(String, String)>,
    /// Behind the text that was there.
    append: Option<String>,
    mode: Option<String>,
    owner: Option<u32>,
    group: Option<u32>,
}

/// Reads a file of `fixtures`.
pub(crate) fn fixture<T: DeserializeOwned>(name: &str) -> T {
    let path = fixtures().join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let refused = |error| -> ! { panic!("{}: {error}", path.display()) };
    let mut value: serde_yaml_ng::Value = serde_yaml_ng::from_str(&text).unwrap_or_else(|error| refused(error));
    value.apply_merge().unwrap_or_else(|error| refused(error));
    serde_yaml_ng::from_value(value).unwrap_or_else(|error| refused(error))
}

pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// The hardened node of `node.yaml` in a directory.
#[derive(Debug)]
pub(crate) struct Hardened {
    root: TempDir,
    base: Node,
}

impl Hardened {
    pub(crate) fn new() -> Self {
        let host = Self { root: TempDir::new().unwrap(), base: fixture("node.yaml") };
        host.base.files.keys().for_each(|path| host.restore(path));
        host
    }

    /// Whether files can be given to others than who runs the test; says so if not.
    pub(crate) fn is_root(&self, test: &str) -> bool {
        if fs::metadata(self.root.path()).unwrap().uid() == 0 {
            return true;
        }
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{test} cannot run: it needs root");
        // Not `eprintln!`, which the test runner keeps to itself.
        std::io::Write::write_all(&mut std::io::stderr(), format!("not run: {test}: it needs root\n").as_bytes())
            .unwrap();
        false
    }

    /// What becomes of a control on the node with this change, which is taken back.
    pub(crate) fn with(&self, change: &Change, phase: Phase, policy: &Policy, control: &Control) -> Finding {
        let one = Policy { sections: Vec::new(), controls: vec![control.clone()], ..policy.clone() };
        self.report(change, phase, &[one]).policies.remove(0).findings.remove(0)
    }

    /// What becomes of policies on the node with this change, which is taken back.
    pub(crate) fn report(&self, change: &Change, phase: Phase, policies: &[Policy]) -> Report {
        change.files.iter().for_each(|(path, entry)| self.change(path, entry));
        let host = Host::new(HostRoot::open(self.root.path()).unwrap(), phase);
        let inputs = change.inputs.over(&self.base.inputs);
        let report = evaluate(&Facts::new(&host, &inputs), policies);
        // Backwards, so that what lies in a directory goes before it.
        change.files.keys().rev().for_each(|path| self.remove(path));
        change.files.keys().for_each(|path| self.restore(path));
        report
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.path().join(path.trim_start_matches('/'))
    }

    /// Makes a path what it is on the hardened node.
    fn restore(&self, path: &str) {
        match self.base.files.get(path) {
            Some(entry) => self.put(path, &entry.clone().whole()),
            None => self.remove(path),
        }
    }

    fn change(&self, path: &str, entry: &Entry) {
        let before = self.base.files.get(path).cloned().map(Entry::whole);
        self.put(path, &entry.clone().whole().over(path, before));
    }

    fn put(&self, path: &str, it: &Other) {
        let at = self.at(path);
        let kept = it.directory && at.is_dir() && !at.is_symlink();
        if !kept {
            self.remove(path);
        }
        if it.gone {
            return;
        }
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        if let Some(target) = &it.link {
            return symlink(target, &at).unwrap();
        }
        let mode = it.mode.as_deref().unwrap_or(if it.directory { "0755" } else { "0644" });
        if it.directory {
            fs::create_dir_all(&at).unwrap();
        } else if it.socket {
            drop(UnixListener::bind(&at).unwrap());
        } else if let Some(name) = &it.certificate {
            fs::copy(fixtures().join("certificates").join(name), &at).unwrap();
        } else {
            fs::write(&at, it.text.as_deref().unwrap_or_default()).unwrap();
        }
        if it.owner.is_some() || it.group.is_some() {
            chown(&at, it.owner, it.group).unwrap();
        }
        let mode = u32::from_str_radix(mode, 8).unwrap_or_else(|_| panic!("{path}: mode {mode}"));
        fs::set_permissions(&at, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn remove(&self, path: &str) {
        let at = self.at(path);
        match at.symlink_metadata() {
            Ok(found) if found.is_dir() => fs::remove_dir_all(&at).unwrap(),
            Ok(_) => fs::remove_file(&at).unwrap(),
            Err(_) => {}
        }
    }
}

impl Entry {
    fn whole(self) -> Other {
        match self {
            Self::Text(text) => Other { text: Some(text), ..Other::default() },
            Self::Other(other) => other,
        }
    }
}

impl Other {
    /// This, where it says something, over what was there.
    fn over(self, path: &str, before: Option<Self>) -> Self {
        let edits = self.replace.is_some() || self.append.is_some();
        let is_whole = self.text.is_some() || self.certificate.is_some() || self.link.is_some();
        if (is_whole || self.directory || self.socket || self.gone) && !edits {
            return Self { mode: self.mode.or_else(|| before.and_then(|b| b.mode)), ..self };
        }
        let before = before.unwrap_or_else(|| panic!("{path}: is changed and was not there"));
        let mut text = before.text.clone();
        if let Some((from, to)) = &self.replace {
            let old = text.unwrap_or_else(|| panic!("{path}: has no text"));
            assert!(old.contains(from.as_str()), "{path}: does not have `{from}`");
            text = Some(old.replace(from.as_str(), to));
        }
        if let Some(more) = &self.append {
            text = Some(text.unwrap_or_default() + more);
        }
        let mode = self.mode.or(before.mode);
        Self { text, mode, owner: self.owner.or(before.owner), group: self.group.or(before.group), ..before }
    }
}

impl Given {
    fn over(&self, base: &Self) -> Inputs {
        let one = |here: &Option<Or<u16>>| here.clone().map(Or::result);
        let configz = self.configz.clone().or_else(|| base.configz.clone());
        let clock = self.clock.clone().or_else(|| base.clock.clone());
        Inputs {
            node: self.node.clone().or_else(|| base.node.clone()).unwrap_or_default(),
            now_ms: self.now_ms.or(base.now_ms).unwrap_or_default(),
            tokenless_imds: one(&self.tokenless_imds).or_else(|| one(&base.tokenless_imds)),
            configz: configz.map(|it| it.result().map(|body| body.into_iter().collect())),
            clock: clock.map(|it| {
                let state = |it: Clock| ClockState { synchronized: it.synchronized, max_error_us: it.max_error_us };
                it.result().map(state)
            }),
            ..Inputs::default()
        }
    }
}

impl<T> Or<T> {
    fn result(self) -> Result<T, String> {
        match self {
            Self::Value(value) => Ok(value),
            Self::Reason(why) => Err(why),
        }
    }
}
