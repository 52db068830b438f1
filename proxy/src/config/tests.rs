use super::*;
use safeguard_daemon::settings::{document, rows};
use serde_json::Value;
use std::path::Path;

/// The example with the settings that it shows as comments put in force.
fn uncommented() -> String {
    // Entries of a list stand below each other.
    let setting =
        |rest: &&str| rest.starts_with(|c: char| c.is_ascii_lowercase()) || rest.starts_with("  \"") || *rest == "]";
    let lines = EXAMPLE.lines().map(|line| line.strip_prefix('#').filter(setting).unwrap_or(line));
    lines.collect::<Vec<_>>().join("\n")
}

fn problems(text: &str) -> String {
    match Settings::parse(text, "proxy.toml") {
        Ok(loaded) => loaded.value.check().unwrap_err().to_string(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_example_as_it_is_changes_nothing() {
    assert_eq!(Settings::parse(EXAMPLE, "example").unwrap().value, Settings::default());
    Settings::default().check().unwrap();
}

#[test]
fn the_example_names_every_key_with_its_default() {
    let loaded = Settings::parse(&uncommented(), "example").unwrap();
    let known = Settings::keys();
    let mut sorted: Vec<&String> = known.iter().collect();
    sorted.sort();
    assert_eq!(loaded.present.iter().collect::<Vec<_>>(), sorted);

    // Keys without a default carry an example; everything else is the default.
    let (shown, defaults) = (serde_json::to_value(&loaded.value).unwrap(), Settings::default());
    let defaults = serde_json::to_value(&defaults).unwrap();
    for key in known {
        let at = format!("/{}", key.replace('.', "/"));
        let (shown, default) = (shown.pointer(&at).unwrap(), defaults.pointer(&at).unwrap());
        if default.is_null() {
            assert!(!shown.is_null(), "{key}");
        } else {
            assert_eq!(shown, default, "{key}");
        }
    }
    // The ways to Kubernetes exclude each other, except with the mode that chooses between them.
    let mut settings = loaded.value;
    settings.check().unwrap();
    settings.kubernetes.mode = AccessMode::InCluster;
    assert!(settings.check().unwrap_err().to_string().contains("`kubernetes.url`"));
}

#[test]
fn every_problem_names_its_key_its_value_and_what_is_allowed() {
    for (text, parts) in [
        ("[node]\nname = \"a b\"", ["`node.name`", "a b", "Kubernetes node"]),
        ("[aws]\nregion = \"EU\"", ["`aws.region`", "EU", "eu-central-1"]),
        ("[aws]\nsts_endpoint_url = \"sts\"", ["`aws.sts_endpoint_url`", "\"sts\"", "https://sts."]),
        ("[aws]\nca_bundle = \"ca.pem\"", ["`aws.ca_bundle`", "ca.pem", "absolute"]),
        ("[kubernetes]\nmode = \"url\"", ["`kubernetes.mode`", "\"url\"", "`kubernetes.url`"]),
        (
            "[kubernetes]\nmode = \"in-cluster\"\nkubeconfig = \"/k\"",
            ["`kubernetes.kubeconfig`", "/k", "\"kubeconfig\""],
        ),
        ("[kubernetes]\nstale_after = \"2h\"", ["`kubernetes.stale_after`", "\"2h\"", "1s to 1h"]),
        ("[proxy]\nlisten = [\"0.0.0.0:8181\"]", ["`proxy.listen[0]`", "0.0.0.0:8181", "only this node has"]),
        ("[proxy]\nmetrics = \"9465\"", ["`proxy.metrics`", "9465", "127.0.0.1:9465"]),
        ("[identity]\nunknown_pod_wait = \"1m\"", ["`identity.unknown_pod_wait`", "\"1m\"", "0ms to 5s"]),
        ("[roles]\nbase_arn = \"prod\"", ["`roles.base_arn`", "prod", "arn:aws:iam::123456789012:role/"]),
        ("[roles]\ndefault_role = \"a b\"", ["`roles.default_role`", "a b", "name of an IAM role"]),
        ("[roles]\nsession_name = \"{pods}\"", ["`roles.session_name`", "{pods}", "{pod}"]),
        ("[roles]\nsession_duration = \"2h\"", ["`roles.session_duration`", "\"2h\"", "15m to 1h"]),
        ("[annotations]\nrole = \"a/b/c\"", ["`annotations.role`", "a/b/c", "example.com/role"]),
        ("[annotations]\nimdsv2 = \"iam.amazonaws.com/permitted\"", ["`annotations.imdsv2`", "permitted", "same name"]),
        ("[imds]\nforwarded = [\"iam/info\"]", ["`imds.forwarded[0]`", "iam/info", "never forwarded"]),
        ("[limits]\nconnections = 10", ["`limits.connections_per_pod`", "64", "1 to 10"]),
        ("[limits]\nrequests_per_second = 0", ["`limits.requests_per_second`", "0", "100000"]),
        ("[redirect]\nport = 0", ["`redirect.port`", "0", "8181"]),
        ("[redirect]\naddress_v4 = \"127.0.0.1\"", ["`redirect.address_v4`", "127.0.0.1", "169.254.168.252"]),
        ("[redirect]\naddress_v6 = \"fe80::1\"", ["`redirect.address_v6`", "fe80::1", "fd0c:c696:c750::252"]),
        ("[redirect]\nnft = \"nft\"", ["`redirect.nft`", "\"nft\"", "absolute"]),
        ("[redirect]\nstate_file = \"x.json\"", ["`redirect.state_file`", "x.json", "absolute"]),
        ("[log]\nfilter = \"aws_sigv4=trace\"", ["`log.filter`", "aws_sigv4=trace", "credentials"]),
    ] {
        let message = problems(text);
        assert!(parts.iter().all(|part| message.contains(part)), "{text}: {message}");
    }
}

#[test]
fn a_wrong_type_or_key_is_refused_with_its_line() {
    for (text, parts) in [
        ("[roles]\nnamespace_policy = \"warn\"", ["proxy.toml:2", "`roles.namespace_policy`", "report"]),
        ("[roles]\nbase-arn = \"x\"", ["proxy.toml:2", "roles.base-arn", "did you mean `roles.base_arn`?"]),
        ("[redirect]\naddress_v4 = \"::1\"", ["proxy.toml:2", "`redirect.address_v4`", "IPv4"]),
        ("[kubernetes]\nmode = \"incluster\"", ["proxy.toml:2", "`kubernetes.mode`", "in-cluster"]),
    ] {
        let message = problems(text);
        assert!(parts.iter().all(|part| message.contains(part)), "{text}: {message}");
    }
}

#[test]
fn all_problems_are_told_at_once() {
    let message = problems("[roles]\nsession_duration = \"2h\"\nsession_name = \"\"\n[proxy]\nmetrics = \"x\"");
    assert_eq!(message.lines().count(), 3, "{message}");
}

#[test]
fn pods_are_answered_where_the_redirect_brings_them_unless_it_is_said_otherwise() {
    let mut settings = Settings::default();
    let listen = |settings: &Settings| settings.listen().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(listen(&settings), ["169.254.168.252:8181", "[fd0c:c696:c750::252]:8181"]);
    settings.redirect.ipv6 = Ipv6::Off;
    settings.redirect.port = 8282;
    assert_eq!(listen(&settings), ["169.254.168.252:8282"]);
    settings.proxy.listen = vec!["127.0.0.2:0".parse().unwrap()];
    assert_eq!(listen(&settings), ["127.0.0.2:0"]);
    settings.check().unwrap();
}

#[test]
fn the_defaults_of_the_file_are_those_of_the_proxy() {
    let settings =
        Settings::parse("[roles]\nbase_arn = \"arn:aws:iam::123456789012:role/\"", "proxy.toml").unwrap().value;
    let checked = settings.checked().unwrap();
    let resolved = resolved();
    assert_eq!(checked.redirect.state_file(), crate::redirect::Redirect::default().state_file());
    let of_proxy = checked.settings(&settings, &resolved).unwrap();
    let redirect = crate::redirect::Redirect::default();
    let v6 = redirect.v6().map(|v6| (v6, redirect.port()).into());
    let listen: Vec<std::net::SocketAddr> =
        std::iter::once((redirect.v4(), redirect.port()).into()).chain(v6).collect();
    assert_eq!(of_proxy.listen, listen, "the proxy is where the redirect leads to");
    assert_eq!(of_proxy.annotations, crate::settings::AnnotationNames::default());
    assert_eq!(of_proxy.limits, crate::settings::Limits::default());
    assert_eq!(of_proxy.session_name, crate::SessionTemplate::default());
    assert_eq!(of_proxy.namespace_policy, crate::settings::NamespacePolicy::Enforce);
    assert_eq!((of_proxy.base.as_str(), of_proxy.default_role), ("arn:aws:iam::123456789012:role/", None));
    assert_eq!(of_proxy.unknown_pod_wait.as_millis(), 400);
    assert_eq!(of_proxy.session_duration, crate::limits::CHAINED_SESSION);
}

#[test]
fn without_a_base_there_are_no_settings_of_the_proxy() {
    let settings = Settings::default();
    assert!(settings.checked().unwrap().settings(&settings, &resolved()).is_none());
}

#[test]
fn show_tells_where_each_value_came_from() {
    let path = Path::new("/etc/safeguard/proxy.toml");
    let loaded = Settings::parse("[roles]\nnamespace_policy = \"report\"", "proxy.toml").unwrap();
    let mut found = Found::default();
    found.insert("aws.region", "eu-central-1".to_owned(), safeguard_daemon::settings::Source::Imds);
    let rows = rows(&loaded, path, &found);
    let row =
        |key: &str| rows.iter().find(|row| row.key == key).map(|r| (r.value.as_str(), r.source.as_str())).unwrap();
    assert_eq!(row("roles.namespace_policy"), ("\"report\"", "file /etc/safeguard/proxy.toml"));
    assert_eq!(row("proxy.listen"), ("[]", "default"));
    assert_eq!(row("aws.region"), ("\"eu-central-1\"", "imds"));
    assert_eq!(rows.len(), Settings::keys().len());
    assert_eq!(document(&rows)["node.name"]["value"], Value::Null);
}

fn resolved() -> Resolved {
    Resolved {
        node: "node-7".to_owned(),
        region: "eu-central-1".to_owned(),
        base: None,
        cluster: None,
        kubernetes: Access::InCluster,
        sts_endpoint_url: None,
        imds_endpoint: None,
        ca_bundle: None,
        found: Found::default(),
    }
}
