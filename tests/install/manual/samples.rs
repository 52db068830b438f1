//! What stands in blocks of JSON, YAML and TOML is that: it parses, and settings are taken by the program that they are for.

use std::process::Command;

use safeguard_tests::built::program;
use safeguard_tests::moto::venv_program;
use serde::Deserialize as _;

use super::cli::PROGRAMS;
use super::pages::Block;

/// What is wrong with a block.
pub(super) fn wrong(block: &Block) -> Option<String> {
    let said = match block.language.as_str() {
        "json" => serde_json::from_str::<serde_json::Value>(&block.text).err().map(|error| error.to_string()),
        "yaml" => serde_yaml_ng::Deserializer::from_str(&block.text)
            .find_map(|document| serde_yaml_ng::Value::deserialize(document).err())
            .map(|error| error.to_string()),
        "toml" => settings(block).err(),
        _ => None,
    };
    said.map(|said| format!("{}: {said}", block.at))
}

/// Asks the program that stands behind `toml` whether it would start with this.
fn settings(block: &Block) -> Result<(), String> {
    if !PROGRAMS.contains(&block.rest.as_str()) {
        return Err(format!("`{}`: whose settings are these? Behind `toml` stands one of {PROGRAMS:?}", block.rest));
    }
    let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
    let file = dir.path().join("settings.toml");
    std::fs::write(&file, &block.text).map_err(|error| error.to_string())?;
    let output = Command::new(program(&block.rest)).args(["config", "check", "--config"]).arg(&file).output();
    let output = output.map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// Whether a block is an object of Kubernetes, or several.
pub(super) fn is_manifest(block: &Block) -> bool {
    block.language == "yaml" && block.text.starts_with("apiVersion: ")
}

/// What Kubernetes has against a manifest, by the schemas of its API.
pub(super) fn unfit_for_kubernetes(block: &Block) -> Option<String> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("manifest.yaml");
    std::fs::write(&file, &block.text).unwrap();
    let mut validate = Command::new(venv_program("kubernetes-validate").unwrap());
    let output = validate.args(["--strict", "--kubernetes-version", "1.34.0"]).arg(&file).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (!output.status.success()).then(|| format!("{}: {}", block.at, String::from_utf8_lossy(&said)))
}

#[test]
fn a_sample_that_nobody_could_use_is_found() {
    let block = |language: &str, rest: &str, text: &str| Block {
        at: "a.md:1".to_owned(),
        language: language.to_owned(),
        rest: rest.to_owned(),
        text: text.to_owned(),
    };
    for (language, rest, text) in [
        ("json", "", "{\"a\": [1]}"),
        ("yaml", "", "a: 1\n---\nb: {c: [d]}\n"),
        ("toml", "safeguard-agent", "[logs]\ngzip_level = 9\n"),
        ("toml", "safeguard-proxy", "[roles]\nnamespace_policy = \"report\"\n"),
        ("toml", "safeguard", "[nodes]\ninterval = \"30s\"\n"),
        ("text", "", "{"),
    ] {
        assert_eq!(wrong(&block(language, rest, text)), None);
    }
    for (language, rest, text, why) in [
        ("json", "", "{\"a\": 1,}", "a.md:1"),
        ("yaml", "", "a: 1\n---\n{b", "a.md:1"),
        ("toml", "", "[logs]\n", "whose settings"),
        ("toml", "safeguard-agent", "[logs]\ngzip_levle = 9\n", "did you mean `logs.gzip_level`"),
        ("toml", "safeguard-agent", "[logs]\ngzip_level = 12\n", "0 (off) to 9"),
        ("toml", "safeguard", "[server]\nlisten = \"0.0.0.0:8420\"\n", "server.certificate"),
    ] {
        let said = wrong(&block(language, rest, text)).unwrap_or_default();
        assert!(said.contains(why), "{text}: {said}");
    }
}
