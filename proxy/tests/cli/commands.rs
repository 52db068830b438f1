//! Commands that need no running proxy.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

use crate::{output, program, texts};

fn file(text: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("proxy.toml");
    fs::write(&file, text).unwrap();
    (dir, file)
}

#[test]
fn the_version_is_told() {
    let (code, out, _) = output(&["--version"]);
    assert_eq!((code, out.as_str()), (0, concat!("safeguard-proxy ", env!("CARGO_PKG_VERSION"), "\n")));
}

#[test]
fn help_teaches_commands_and_exit_codes() {
    let (code, out, _) = output(&["--help"]);
    assert_eq!(code, 0);
    for part in ["safeguard-proxy config check", "safeguard-proxy explain shop/cart-1", "64"] {
        assert!(out.contains(part), "{part} is not in {out}");
    }
    let (_, out, _) = output(&["redirect", "check", "--help"]);
    assert!(out.contains("--repair") && out.contains("2   it could not be told"), "{out}");
    let (_, out, _) = output(&["explain", "--help"]);
    assert!(
        out.contains("POD|IP") && out.contains("jq .decision") && out.contains("/run/safeguard/proxy.sock"),
        "{out}"
    );
}

#[test]
fn a_wrong_command_line_ends_with_64() {
    for args in [
        &["explian"][..],
        &["explain"],
        &["explain", "cart-1"],
        &["explain", "shop/cart-1", "--format", "xml"],
        &["config", "show", "--konfig", "x"],
        &["redirect"],
        &["redirect", "up", "--repair"],
        &["redirect", "up", "--config", "/does/not/exist.toml"],
        &[],
    ] {
        let (code, out, err) = output(args);
        assert_eq!((code, out.is_empty(), err.is_empty()), (64, true, false), "{args:?}");
    }
}

#[test]
fn check_tells_everything_that_is_wrong_and_where() {
    let check = |text: &str| {
        let (_dir, file) = file(text);
        let (code, out, err) = output(&["config", "check", "--config", file.to_str().unwrap()]);
        (code, out, err, file.display().to_string())
    };
    let (code, out, _, file) = check("");
    assert_eq!((code, out), (0, format!("{file}: can be used\n")));

    let (code, _, err, file) = check("[roles]\nsession_duration = \"2h\"\nbase_arn = \"prod\"");
    assert_eq!((code, err.lines().filter(|line| line.starts_with(&file)).count()), (64, 2), "{err}");
    assert!(err.contains("`roles.session_duration` = \"2h\": allowed are 15m to 1h"), "{err}");

    let (code, _, err, file) = check("[roles]\nnamespace_polcy = \"off\"");
    let said = format!("{file}:2: unknown key `roles.namespace_polcy`; did you mean `roles.namespace_policy`?");
    assert!(code == 64 && err.contains(&said), "{code} {err}");

    let (code, _, err) = output(&["config", "check", "--config", "/does/not/exist.toml"]);
    assert!(code == 64 && err.contains("/does/not/exist.toml"), "{code} {err}");
}

#[test]
fn the_example_can_be_used_as_it_is_printed() {
    let (code, example, _) = output(&["config", "example"]);
    assert_eq!(code, 0);
    let (_dir, file) = file(&example);
    let (code, _, err) = output(&["config", "check", "--config", file.to_str().unwrap()]);
    assert_eq!((code, err.as_str()), (0, ""));
}

#[test]
fn show_tells_every_value_and_its_source() {
    let (_dir, file) = file("[aws]\nregion = \"eu-central-1\"");
    let mut command = program(&["config", "show", "--config", file.to_str().unwrap()]);
    let (code, table, err) = texts(command.env("NODE_NAME", "node-7").output().unwrap());
    assert_eq!((code, err.as_str()), (0, ""));
    let row = |key: &str| table.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
    assert!(row("node.name").contains("env NODE_NAME"), "{table}");
    assert!(row("aws.region").contains(&format!("file {}", file.display())), "{table}");
    assert!(
        row("identity.unknown_pod_wait").contains("\"400ms\"") && row("identity.unknown_pod_wait").contains("default")
    );
    assert!(row("roles.base_arn").contains("NOT FOUND"), "{table}");

    let (code, json, _) = output(&["config", "show", "--format", "json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(code, 0);
    assert_eq!(json["limits.connections"]["value"], 1_024);
    assert!(json["aws.region"]["source"].as_str().unwrap().starts_with("NOT FOUND"), "{json:#}");
}
