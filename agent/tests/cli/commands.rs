//! Commands that end by themselves.

use std::process::Output;

use serde_json::Value;

use crate::node::{Node, program};

fn output(args: &[&str]) -> (i32, String, String) {
    texts(program(args).output().unwrap())
}

fn texts(output: Output) -> (i32, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_version_is_told() {
    let (code, out, _) = output(&["--version"]);
    assert_eq!((code, out.as_str()), (0, concat!("safeguard-agent ", env!("CARGO_PKG_VERSION"), "\n")));
}

#[test]
fn help_teaches_commands_and_exit_codes() {
    let (code, out, _) = output(&["--help"]);
    assert_eq!(code, 0);
    for part in ["safeguard-agent config check", "logs status --watch", "64", "75"] {
        assert!(out.contains(part), "{part} is not in {out}");
    }
    let (_, out, _) = output(&["run", "--help"]);
    assert!(out.contains("SIGHUP") && out.contains("agent.shutdown_grace"), "{out}");
}

#[test]
fn a_wrong_command_line_ends_with_64() {
    for args in [&["rum"][..], &["run", "--konfig", "x"], &["logs", "status", "--format", "xml"], &[]] {
        let (code, out, err) = output(args);
        assert_eq!((code, out.is_empty(), err.is_empty()), (64, true, false), "{args:?}");
    }
}

#[tokio::test]
async fn check_tells_everything_that_is_wrong_and_where() {
    let node = Node::new().await;
    let file = node.path("agent.toml");
    let file = file.to_str().unwrap();
    let check = || output(&["config", "check", "--config", file]);
    let (code, out, _) = check();
    assert_eq!((code, out), (0, format!("{file}: can be used\n")));

    node.settings("[logs]\ngzip_level = 12\nflush_interval = \"1ms\"");
    let (code, _, err) = check();
    assert_eq!(code, 64);
    assert_eq!(err.lines().filter(|line| line.starts_with(file)).count(), 2, "{err}");
    assert!(err.contains("`logs.gzip_level` = 12: allowed are 0 (off) to 9"), "{err}");

    node.garbage();
    let (code, _, err) = check();
    assert_eq!(code, 64);
    assert!(err.contains(&format!("{file}:2: unknown key `logs.flush_intervall`; did you mean")), "{err}");

    let (code, _, err) = output(&["config", "check", "--config", "/does/not/exist.toml"]);
    assert!(code == 64 && err.contains("/does/not/exist.toml"), "{code} {err}");
}

#[tokio::test]
async fn a_run_with_settings_that_cannot_be_used_ends_with_64() {
    let node = Node::new().await;
    node.garbage();
    let (code, _, err) = texts(node.run_command().output().unwrap());
    assert!(code == 64 && err.contains("logs.flush_intervall"), "{code} {err}");
}

#[test]
fn the_example_can_be_used_as_it_is_printed() {
    let (code, example, _) = output(&["config", "example"]);
    assert_eq!(code, 0);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("agent.toml");
    #[expect(clippy::disallowed_methods, reason = "the test is the operator")]
    std::fs::write(&file, example).unwrap();
    let (code, _, err) = output(&["config", "check", "--config", file.to_str().unwrap()]);
    assert_eq!((code, err.as_str()), (0, ""));
}

#[tokio::test]
async fn show_tells_every_value_and_its_source() {
    let node = Node::new().await;
    let file = node.path("agent.toml");
    let mut command = node.command(&["config", "show", "--config", file.to_str().unwrap()]);
    let (code, table, err) = texts(command.env("AWS_CA_BUNDLE", "/ca.pem").output().unwrap());
    assert_eq!((code, err.as_str()), (0, ""));
    let row = |key: &str| table.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
    assert!(row("aws.ca_bundle").contains("env AWS_CA_BUNDLE"), "{table}");
    assert!(row("aws.region").contains(&format!("file {}", file.display())), "{table}");
    assert!(row("logs.flush_interval").contains("default"), "{table}");

    let (code, json, _) = output(&["config", "show", "--format", "json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(code, 0);
    assert_eq!(json["logs.max_puts_per_second"]["value"], 5);
    assert!(json["aws.region"]["source"].as_str().unwrap().starts_with("NOT FOUND"), "{json:#}");
    for secret in node.secrets() {
        assert!(!table.contains(secret));
    }
}

#[test]
fn status_without_an_agent_says_what_to_do() {
    let (code, _, err) = output(&["logs", "status", "--socket", "/does/not/exist/agent.sock"]);
    assert!(code == 1 && err.contains("systemctl status safeguard-agent"), "{code} {err}");
}

#[test]
fn a_node_that_is_not_known_names_the_keys_to_set() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().display();
    let file = dir.path().join("agent.toml");
    let text = format!(
        "agent = {{ state_dir = \"{root}/s\", run_dir = \"{root}/r\" }}\nnode = {{ host_root = \"{root}\" }}\n"
    );
    #[expect(clippy::disallowed_methods, reason = "the test is the operator")]
    std::fs::write(&file, text).unwrap();
    let (code, _, err) = output(&["run", "--config", file.to_str().unwrap()]);
    assert_eq!(code, 1);
    for part in ["aws.region", "AWS_REGION", "Set `node.cluster`", "NODE_NAME"] {
        assert!(err.contains(part), "{part} is not in {err}");
    }
}
