//! The settings that the charts render: TOML that says what the values say, and that the programs take.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use safeguard_logs::{ContainerNames, Selector};
use safeguard_tests::built::program;
use safeguard_tests::helm::{data, objects, only, parse, template, values};
use safeguard_tests::moto::venv_program;
use safeguard_tests::parts::{Part, here};
use serde_json::{Value, json};

use super::cases;

/// The programs, where their settings are in a case, and where a chart's values have them.
const PROGRAMS: [(&str, &str, &str, &str); 3] = [
    ("safeguard-agent", "safeguard-agent", "agent.toml", "/agent/settings"),
    ("safeguard-agent", "safeguard-proxy", "proxy.toml", "/proxy/settings"),
    ("safeguard", "safeguard", "safeguard.toml", "/settings"),
];

/// A ConfigMap's files as the kubelet lays them out: through two links, so that all change at once.
fn laid_out(dir: &Path, files: &[(&str, &str)]) {
    let version = dir.join("..2026_11_27_12_00_00.1");
    for (path, text) in files {
        let file = version.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
        let first = path.split('/').next().unwrap();
        if !dir.join(first).is_symlink() {
            symlink(format!("..data/{first}"), dir.join(first)).unwrap();
        }
    }
    symlink(version.file_name().unwrap(), dir.join("..data")).unwrap();
}

fn run(name: &str, arguments: &[&str], dir: &Path) -> Output {
    Command::new(program(name)).args(arguments).current_dir(dir).env_clear().output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn the_programs_take_what_is_rendered() {
    if !here("chart::settings::the_programs_take_what_is_rendered", Part::Helm) {
        return;
    }
    let mut checked = 0;
    for (chart, case) in cases() {
        let objects = objects(chart, case);
        for (of, name, key, _) in PROGRAMS {
            let Some(text) = data(&objects, key).filter(|_| of == chart) else { continue };
            let dir = tempfile::tempdir().unwrap();
            laid_out(dir.path(), &[(key, text)]);
            let file = dir.path().join(key);
            let output = run(name, &["config", "check", "--config", file.to_str().unwrap()], dir.path());
            assert!(output.status.success(), "{chart} {case} {key}: {}\n{text}", said(&output));
            checked += 1;
        }
    }
    assert_eq!(checked, 11, "each file was checked");
}

/// The schema knows keys and kinds; what a value may be, the program knows.
#[test]
fn what_the_program_refuses_is_seen_by_the_check() {
    if !here("chart::settings::what_the_program_refuses_is_seen_by_the_check", Part::Helm) {
        return;
    }
    let set = ["--set", "agent.settings.logs.groups.retention_days=366"];
    let text = template("safeguard-agent", &values("safeguard-agent", "default"), &set).unwrap();
    let dir = tempfile::tempdir().unwrap();
    laid_out(dir.path(), &[("agent.toml", data(&parse(&text), "agent.toml").unwrap())]);
    let output = run("safeguard-agent", &["config", "check", "--config", "agent.toml"], dir.path());
    assert_eq!(output.status.code(), Some(64));
    assert!(said(&output).contains("retention_days"), "{}", said(&output));
}

/// Every value that somebody wrote arrives as he wrote it, and what the chart knows better besides.
#[test]
fn toml_says_what_the_values_say() {
    if !here("chart::settings::toml_says_what_the_values_say", Part::Helm) {
        return;
    }
    for (chart, case) in cases() {
        let objects = objects(chart, case);
        let text = std::fs::read_to_string(values(chart, case)).unwrap();
        let written: Value = serde_yaml_ng::from_str(&text).unwrap();
        for (of, _, key, at) in PROGRAMS {
            let Some(text) = data(&objects, key).filter(|_| of == chart) else { continue };
            let rendered = read_toml(text);
            contains(&rendered, written.pointer(at).unwrap_or(&json!({})), &format!("{chart} {case} {key}"));
        }
    }
    let objects = objects("safeguard-agent", "everything");
    let agent = read_toml(data(&objects, "agent.toml").unwrap());
    let mounts = only(&objects, "DaemonSet")["spec"]["template"]["spec"]["containers"][0]["volumeMounts"].clone();
    let mounted = |path: &str| mounts.as_array().unwrap().iter().any(|mount| mount["mountPath"] == path);
    assert!(mounted(agent["node"]["host_root"].as_str().unwrap()));
    let token = Path::new(agent["heartbeat"]["service_account_token_file"].as_str().unwrap()).parent().unwrap();
    assert!(mounted(token.to_str().unwrap()));
    assert_eq!(agent["agent"]["metrics"], "[::]:19464");
}

/// What the agent says would feed back into itself; what the proxy in the same pod says is an audit trail, and is shipped.
#[test]
fn of_its_own_pod_the_agent_leaves_out_itself_alone() {
    if !here("chart::settings::of_its_own_pod_the_agent_leaves_out_itself_alone", Part::Helm) {
        return;
    }
    let excluded = |case: &str, arguments: &[&str]| {
        let objects = parse(&template("safeguard-agent", &values("safeguard-agent", case), arguments).unwrap());
        let pod = &only(&objects, "DaemonSet")["spec"]["template"]["spec"];
        // It would take the whole pod for its own.
        assert!(!pod.to_string().contains("POD_NAME"));
        let selectors = read_toml(data(&objects, "agent.toml").unwrap())["logs"]["exclude"].clone();
        let selectors: Vec<String> = serde_json::from_value(selectors).unwrap_or_default();
        let of = |container: &str| {
            let names = ContainerNames { namespace: "safeguard", pod: "safeguard-safeguard-agent-x7k2p", container };
            selectors.iter().any(|selector| Selector::new(selector).unwrap().matches(&names))
        };
        ["agent", "proxy", "redirect-check"].map(of)
    };
    assert_eq!(excluded("default", &[]), [true, false, false]);
    assert_eq!(excluded("everything", &[]), [true, false, false]);
    assert_eq!(excluded("default", &["--set", "agent.settings.logs.include_self=true"]), [false, false, false]);
}

/// As a reader sees it that shares no code with the programs.
fn read_toml(text: &str) -> Value {
    let script = "import json, sys, tomllib; json.dump(tomllib.loads(sys.argv[1]), sys.stdout)";
    let output = Command::new(venv_program("python").unwrap()).args(["-c", script, text]).output().unwrap();
    assert!(output.status.success(), "{}\n{text}", said(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Whether what was written is in what was rendered, kinds of numbers included.
fn contains(rendered: &Value, written: &Value, at: &str) {
    match (rendered, written) {
        (Value::Object(rendered), Value::Object(written)) => {
            for (key, value) in written {
                contains(rendered.get(key).unwrap_or(&Value::Null), value, &format!("{at} {key}"));
            }
        }
        // The chart adds its own cluster at the end.
        (Value::Array(rendered), Value::Array(written)) if written.len() <= rendered.len() => {
            for (index, value) in written.iter().enumerate() {
                contains(&rendered[index], value, &format!("{at} {index}"));
            }
        }
        (rendered, written) => assert_eq!(rendered, written, "{at}"),
    }
}

/// Policies and exceptions are where the agent looks for them, whatever links lead there.
#[test]
fn policies_and_exceptions_of_ones_own_are_found() {
    if !here("chart::settings::policies_and_exceptions_of_ones_own_are_found", Part::Helm) {
        return;
    }
    let objects = objects("safeguard-agent", "everything");
    let pod = &only(&objects, "DaemonSet")["spec"]["template"]["spec"];
    let volume = pod["volumes"].as_array().unwrap().iter().find(|volume| volume["name"] == "agent-settings").unwrap();
    let items = volume["configMap"]["items"].as_array().unwrap();
    let files: Vec<(&str, &str)> = items
        .iter()
        .map(|item| (item["path"].as_str().unwrap(), data(&objects, item["key"].as_str().unwrap()).unwrap()))
        .collect();
    let dir = tempfile::tempdir().unwrap();
    laid_out(dir.path(), &files);
    // The program's defaults, below the directory that the chart mounts.
    let checks = safeguard_agent::Settings::default().checks;
    let below =
        |path: &Path| dir.path().join(path.strip_prefix("/etc/safeguard").unwrap()).to_str().unwrap().to_owned();
    let (policies, exceptions) = (below(&checks.policy_dir), below(&checks.exceptions));
    let arguments = ["check", "mine", "--policy-dir", &policies, "--exceptions", &exceptions];
    let output = run("safeguard-agent", &arguments, dir.path());
    assert!(said(&output).contains("A-1"), "{}", said(&output));
}
