//! Our charts, Helm at work on them, and what it renders.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "what tests call, which stop at what surprises them; only the agent is held to those seams"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::moto::venv_program;

/// The version of Kubernetes that is rendered for.
pub const KUBERNETES: &str = "1.35.0";

/// A chart's directory.
pub fn chart(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/chart").join(name)
}

/// The values of a case.
pub fn values(chart: &str, case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("install/chart/values/{chart}/{case}.yaml"))
}

/// Helm with a home of its own: what the user has of plugins and clusters is none of its business.
pub fn helm(arguments: &[&str]) -> Output {
    let home = tempfile::tempdir().unwrap();
    let mut helm = Command::new(venv_program("helm").unwrap());
    helm.args(arguments).env_clear().env("HOME", home.path()).env("KUBECONFIG", "/dev/null");
    helm.output().unwrap()
}

/// What it renders of a chart for a file of values and further arguments, or what it says against it.
pub fn template(name: &str, file: &Path, arguments: &[&str]) -> Result<String, String> {
    let (dir, file) = (chart(name), file.to_str().unwrap());
    let mut all = vec!["template", "safeguard", dir.to_str().unwrap(), "--namespace", "safeguard"];
    all.extend(["--kube-version", KUBERNETES, "--values", file]);
    all.extend(arguments);
    let output = helm(&all);
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout).unwrap());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The objects of a case.
pub fn objects(name: &str, case: &str) -> Vec<Value> {
    parse(&template(name, &values(name, case), &[]).unwrap())
}

/// The objects of a text.
pub fn parse(text: &str) -> Vec<Value> {
    use serde::Deserialize as _;
    let documents = serde_yaml_ng::Deserializer::from_str(text);
    documents.map(|document| Value::deserialize(document).unwrap()).filter(|object| !object.is_null()).collect()
}

/// The only object of a kind.
pub fn only<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let found: Vec<_> = objects.iter().filter(|object| object["kind"] == kind).collect();
    assert_eq!(found.len(), 1, "there is one {kind}");
    found[0]
}

/// The text of a key in some ConfigMap.
pub fn data<'a>(objects: &'a [Value], key: &str) -> Option<&'a str> {
    objects.iter().filter(|object| object["kind"] == "ConfigMap").find_map(|object| object["data"][key].as_str())
}
