//! The schemas: what cannot be meant is refused by its name before anything is installed. That holds for settings, too: their part
//! of a schema is made of the program's own example.

use std::collections::BTreeSet;
use std::process::Command;

use safeguard_tests::built::program;
use safeguard_tests::helm::{chart, template, values};
use safeguard_tests::parts::{Part, here};
use serde_json::{Map, Value, json};

use super::{CASES, is_as_made};

/// A program's settings in a schema.
struct Of {
    chart: &'static str,
    program: &'static str,
    definition: &'static str,
    /// Keys and tables that the chart sets itself: a value could only contradict it.
    held: &'static [&'static str],
}

const SETTINGS: [Of; 3] = [
    Of {
        chart: "safeguard-agent",
        program: "safeguard-agent",
        definition: "agentSettings",
        held: &[
            "node.name",
            "node.host_root",
            "kubernetes",
            "heartbeat.service_account_token_file",
            "heartbeat.proxy_socket",
            "checks.policy_dir",
            "checks.exceptions",
            "agent.state_dir",
            "agent.run_dir",
            "agent.metrics",
        ],
    },
    Of {
        chart: "safeguard-agent",
        program: "safeguard-proxy",
        definition: "proxySettings",
        held: &[
            "node.name",
            "kubernetes.mode",
            "kubernetes.kubeconfig",
            "kubernetes.url",
            "kubernetes.ca_file",
            "kubernetes.token_file",
            "proxy.socket",
            "proxy.lock",
            "proxy.metrics",
            "identity.cni_results",
            "redirect.nft",
            "redirect.state_file",
        ],
    },
    Of {
        chart: "safeguard",
        program: "safeguard",
        definition: "settings",
        held: &["server", "page", "webhook.secret_file"],
    },
];

/// What a program's example of settings says there is, as a JSON Schema.
fn definition(of: &Of) -> Value {
    let output = Command::new(program(of.program)).args(["config", "example"]).output().unwrap();
    let example = String::from_utf8(output.stdout).unwrap();
    let mut root = table();
    let mut held = BTreeSet::new();
    let mut at: Vec<String> = Vec::new();
    let mut list = false;
    let mut comment = String::new();
    for line in example.lines() {
        let said = line.strip_prefix('#').unwrap_or(line);
        let said = said.strip_prefix(' ').unwrap_or(said);
        let header = said.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if let Some(name) = header.filter(|name| !name.contains(['"', ' '])) {
            let name =
                name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).inspect(|_| list = true).unwrap_or_else(
                    || {
                        list = false;
                        name
                    },
                );
            at = name.split('.').map(str::to_owned).collect();
            if !is_held(of, name, &mut held) {
                describe(place(&mut root, &at, list), &comment);
            }
            comment.clear();
        } else if let Some((key, kind)) = setting(said) {
            let whole = at.iter().map(String::as_str).chain([key]).collect::<Vec<_>>().join(".");
            if !is_held(of, &whole, &mut held) {
                let table = place(&mut root, &at, list);
                let mut kind = kind;
                describe(&mut kind, &comment);
                table["properties"][key] = kind;
            }
            comment.clear();
        } else if line.is_empty() {
            comment.clear();
        } else if line.starts_with("# ") {
            comment = format!("{comment} {said}").trim().to_owned();
        }
    }
    let meant: BTreeSet<String> = of.held.iter().map(|key| (*key).to_owned()).collect();
    assert_eq!(held, meant, "{}: what the chart sets itself is a setting", of.program);
    root
}

fn table() -> Value {
    json!({"type": "object", "additionalProperties": false, "properties": {}})
}

/// The schema of a table, made where it is not there yet.
fn place<'a>(root: &'a mut Value, path: &[String], list: bool) -> &'a mut Value {
    let mut found = root;
    for (depth, name) in path.iter().enumerate() {
        let properties = found["properties"].as_object_mut().unwrap();
        let entry = properties.entry(name.clone()).or_insert_with(|| {
            if list && depth + 1 == path.len() { json!({"type": "array", "items": table()}) } else { table() }
        });
        found = if entry["type"] == "array" { &mut entry["items"] } else { entry };
    }
    found
}

fn describe(schema: &mut Value, comment: &str) {
    if !comment.is_empty() {
        schema["description"] = json!(comment);
    }
}

/// Whether the chart sets a key itself, or the table that it is in.
fn is_held(of: &Of, key: &str, held: &mut BTreeSet<String>) -> bool {
    let Some(by) = of.held.iter().find(|by| key == **by || key.starts_with(&format!("{by}."))) else { return false };
    held.insert((*by).to_owned());
    true
}

/// `key = VALUE`: the key, and what kind of value it takes.
fn setting(line: &str) -> Option<(&str, Value)> {
    let (key, value) = line.split_once(" = ")?;
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_') {
        return None;
    }
    let size =
        |text: &str| ["kB", "MB", "GB", "KiB", "MiB", "GiB"].iter().any(|unit| text.ends_with(&format!("{unit}\"")));
    Some((
        key,
        match value.bytes().next()? {
            b'"' if size(value) => json!({"type": ["string", "integer"]}),
            b'"' | b'\'' => json!({"type": "string"}),
            b'[' => json!({"type": "array", "items": {"type": "string"}}),
            b'{' => json!({"type": "object", "additionalProperties": {"type": "string"}}),
            b't' | b'f' => json!({"type": "boolean"}),
            b'0'..=b'9' => json!({"type": "integer"}),
            _ => return None,
        },
    ))
}

#[test]
fn settings_in_the_schemas_are_those_of_the_programs() {
    if !here("chart::schema::settings_in_the_schemas_are_those_of_the_programs", Part::Helm) {
        return;
    }
    for (name, _) in CASES {
        let file = chart(name).join("values.schema.json");
        let mut schema: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        let definitions: Map<String, Value> = SETTINGS
            .iter()
            .filter(|of| of.chart == name)
            .map(|of| (of.definition.to_owned(), definition(of)))
            .collect();
        for definition in definitions.values() {
            assert!(definition["properties"].as_object().unwrap().len() > 5, "the example was read");
        }
        schema["definitions"] = definitions.into();
        is_as_made(&file, &format!("{schema:#}\n"));
    }
}

/// A typo, a value of another kind, and what would contradict the chart.
#[test]
fn what_cannot_be_meant_is_refused_by_its_name() {
    if !here("chart::schema::what_cannot_be_meant_is_refused_by_its_name", Part::Helm) {
        return;
    }
    let refused = |name: &str, set: &str, said: &[&str]| {
        let refusal = template(name, &values(name, "default"), &["--set", set]).expect_err(set);
        for part in said {
            assert!(refusal.contains(part), "{set}: {part} is not in {refusal}");
        }
    };
    for (set, said) in [
        ("agnet.enabled=false", ["at ''", "'agnet'"]),
        ("agent.enabeld=false", ["at '/agent'", "'enabeld'"]),
        ("image.tags=1", ["at '/image'", "'tags'"]),
        ("image.digests.agent=sha256:12", ["at '/image/digests/agent'", "pattern"]),
        ("agent.settings.logs.fromat=raw", ["at '/agent/settings/logs'", "'fromat'"]),
        ("agent.settings.logs.groups.retention_days=long", ["retention_days", "integer"]),
        ("agent.settings.node.host_root=/", ["at '/agent/settings/node'", "'host_root'"]),
        ("agent.settings.kubernetes.mode=url", ["at '/agent/settings'", "'kubernetes'"]),
        ("proxy.settings.roles.policy=off", ["at '/proxy/settings/roles'", "'policy'"]),
        ("proxy.redirect.every=10m", ["at '/proxy/redirect/every'", "pattern"]),
        ("agent.resources.limit.cpu=1", ["at '/agent/resources'", "'limit'"]),
    ] {
        refused("safeguard-agent", set, &said);
    }
    for (set, said) in [
        ("setings.nodes.interval=1m", ["at ''", "'setings'"]),
        ("settings.server.listen=0.0.0.0:1", ["at '/settings'", "'server'"]),
        ("settings.verify.tenants[0].acounts={1}", ["at '/settings/verify/tenants/0'", "'acounts'"]),
        // YAML takes an account for a number, and a leading zero would be gone.
        ("settings.verify.tenants[0].accounts={111122223333}", ["accounts/0", "string"]),
        ("service.type=NodePort", ["at '/service/type'", "ClusterIP"]),
    ] {
        refused("safeguard", set, &said);
    }
}

/// What has no value that is right for everybody is asked for.
#[test]
fn what_has_to_be_said_is_asked_for() {
    if !here("chart::schema::what_has_to_be_said_is_asked_for", Part::Helm) {
        return;
    }
    for (name, set, said) in [
        ("safeguard-agent", "image.registry=", "image.registry has to be set"),
        ("safeguard", "image.registry=", "image.registry has to be set"),
        ("safeguard", "tls.secret=", "tls.secret has to be set"),
        ("safeguard", "ingress.enabled=true", "ingress.host has to be set"),
        (
            "safeguard",
            "thisCluster.name=prod,settings.verify.tenants[0].name=a,settings.verify.tenants[1].name=b",
            "thisCluster.tenant: name whose cluster this is",
        ),
    ] {
        let refusal = template(name, &values(name, "default"), &["--set", set]).expect_err(set);
        assert!(refusal.contains(said), "{set}: {refusal}");
    }
    let nothing =
        template("safeguard-agent", &values("safeguard-agent", "proxy-alone"), &["--set", "proxy.enabled=false"]);
    assert!(nothing.expect_err("nothing to run").contains("there is nothing to run"));
}
