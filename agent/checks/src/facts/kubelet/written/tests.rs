use proptest::prelude::*;

use super::*;
use crate::facts::kubelet::document::parse;

const HEAD: &str = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n";

/// What these say, laid one over the other.
fn written(documents: &[&str]) -> Result<Written, String> {
    let mut written = Written::default();
    for (number, text) in documents.iter().enumerate() {
        written.lay(Path::new(&format!("/etc/k/{number}.conf")), &parse(&format!("{HEAD}{text}")).unwrap())?;
    }
    Ok(written)
}

fn said(documents: &[&str], path: &str) -> Option<(Value, String)> {
    let written = written(documents).unwrap();
    written.get(path).map(|(value, file)| (value.clone(), file.display().to_string()))
}

fn problem(documents: &[&str]) -> String {
    written(documents).unwrap_err()
}

#[test]
fn drop_ins_merge_maps_and_replace_lists() {
    let base = "authentication: {anonymous: {enabled: false}, webhook: {enabled: true}}\ntlsCipherSuites: [A, B]\n";
    let over = "authentication: {anonymous: {enabled: true}}\ntlsCipherSuites: [C]\n";
    let enabled = said(&[base, over], "authentication.anonymous.enabled");
    assert_eq!(enabled, Some((Value::bool(true), "/etc/k/1.conf".to_owned())));
    let webhook = said(&[base, over], "authentication.webhook.enabled");
    assert_eq!(webhook, Some((Value::bool(true), "/etc/k/0.conf".to_owned())));
    assert_eq!(said(&[base, over], "tlsCipherSuites").unwrap().0, Value::List(vec!["C".to_owned()]));
}

#[test]
fn null_and_the_empty_text_take_back() {
    let base = "evictionHard: {memory.available: 1Gi}\nauthorization: {mode: AlwaysAllow}\nreadOnlyPort: 10255\n";
    for over in ["evictionHard: null\n", "evictionHard: {memory.available: null}\n"] {
        assert_eq!(said(&[base, over], "evictionHard.memory.available"), None, "{over}");
    }
    assert_eq!(said(&[base, "authorization: {mode: ''}\n"], "authorization.mode"), None);
    assert_eq!(said(&[base, "authorization: null\n"], "authorization.mode"), None);
    assert_eq!(said(&[base, "readOnlyPort: null\n"], "readOnlyPort"), None);
    // An empty resolv.conf is a value: no name servers at all.
    assert_eq!(said(&["resolvConf: ''\n"], "resolvConf").unwrap().0, Value::text(""));
}

#[test]
fn values_keep_their_types() {
    for (text, wrong) in [
        ("readOnlyPort: '0'\n", "readOnlyPort: is no whole number"),
        ("readOnlyPort: 4294967296\n", "readOnlyPort: is no whole number"),
        ("readOnlyPort: {a: 1}\n", "readOnlyPort: is no whole number"),
        ("authentication: false\n", "authentication: is no map"),
        ("authentication: {anonymous: {enabled: 'false '}}\n", "authentication.anonymous.enabled: is no boolean"),
        ("streamingConnectionIdleTimeout: 5\n", "streamingConnectionIdleTimeout: is no duration"),
        ("streamingConnectionIdleTimeout: 5x\n", "streamingConnectionIdleTimeout: is no duration"),
        ("featureGates: [A]\n", "featureGates: is no map"),
        ("featureGates: {A: 1}\n", "featureGates.A: is no boolean"),
        ("kubeReserved: {cpu: 1}\n", "kubeReserved.cpu: is no text"),
        ("tlsCipherSuites: A\n", "tlsCipherSuites: is no list"),
        ("clusterDNS: [{}]\n", "clusterDNS: is a list"),
    ] {
        assert!(problem(&[text]).starts_with(wrong), "{text}: {}", problem(&[text]));
    }
    // Booleans of YAML 1.1, which the kubelet's parser knows.
    assert_eq!(
        said(&["authentication: {anonymous: {enabled: yes}}\n"], "authentication.anonymous.enabled").unwrap().0,
        Value::bool(true)
    );
    assert_eq!(
        said(&["streamingConnectionIdleTimeout: 0s\n"], "streamingConnectionIdleTimeout").unwrap().0,
        Value::int(0)
    );
}

/// kube-bench#852: GKE's kubeconfig was read as a configuration of the kubelet.
#[test]
fn another_kind_of_document_is_refused() {
    for text in ["apiVersion: v1\nkind: Config\n", "readOnlyPort: 0\n", "kind: KubeletConfiguration\n", "[]", "x", ""] {
        let refused = Written::default().lay(Path::new("/f"), &parse(text).unwrap()).unwrap_err();
        assert!(refused.starts_with("is no KubeletConfiguration"), "{text}: {refused}");
    }
}

/// A quoted `"yes"` is a string to the kubelet, which does not start with it.
#[test]
fn a_string_of_json_is_no_boolean() {
    let json = |enabled: &str| {
        let head = r#""apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration""#;
        let text = format!(
            r#"{{{head}, "authentication": {{"anonymous": {{"enabled": {enabled}}}}}, "clusterDomain": "on"}}"#
        );
        let mut written = Written::default();
        written.lay(Path::new("/etc/k/config.json"), &parse(&text).unwrap()).map(|()| written)
    };
    for text in ["\"yes\"", "\"no\"", "\"true\"", "1"] {
        assert_eq!(json(text).unwrap_err(), "authentication.anonymous.enabled: is no boolean", "{text}");
    }
    assert_eq!(json("false").unwrap().get("clusterDomain").unwrap().0, &Value::text("on"));
}

/// The same of YAML, where a bare `yes` is a boolean.
#[test]
fn a_string_of_yaml_is_no_boolean() {
    let yaml = |enabled: &str| {
        format!("clusterDomain: \"on\" # \u{e4}\nauthentication: {{anonymous: {{enabled: {enabled}}}}}\n")
    };
    for text in
        ["\"yes\"", "'yes'", "\"no\"", "'on'", "\"true\"", "'false'", "\"\\x79es\"", "!!str yes", "&a 'yes'", "1"]
    {
        let yaml = yaml(text);
        assert_eq!(problem(&[&yaml]), "authentication.anonymous.enabled: is no boolean", "{text}");
    }
    for (text, enabled) in [("yes", true), ("On", true), ("true", true), ("off", false), ("&a no", false)] {
        let said = said(&[&yaml(text)], "authentication.anonymous.enabled");
        assert_eq!(said.unwrap().0, Value::bool(enabled), "{text}");
    }
    // Through an alias, and as a block.
    let block = "authentication:\n  anonymous:\n    enabled: |-\n      yes\n";
    assert_eq!(problem(&[block]), "authentication.anonymous.enabled: is no boolean");
    for (text, is) in [("yes", true), ("'yes'", false)] {
        let alias = format!("clusterDomain: &a {text}\nauthentication: {{anonymous: {{enabled: *a}}}}\n");
        assert_eq!(written(&[&alias]).is_ok(), is, "{text}");
    }
}

#[test]
fn unknown_names_are_ignored_and_near_ones_only_in_the_file() {
    // The name that kube-bench's remedy gives `rotateCertificates`.
    assert_eq!(said(&["RotateCertificate: true\nsomethingNew: {a: 1}\n"], "rotateCertificates"), None);
    assert_eq!(said(&["ReadOnlyPort: 10255\n"], "readOnlyPort"), None);
    for over in
        ["readonlyPort: 10255\n", "Authentication: {anonymous: {enabled: true}}\n", "authentication: {Anonymous: {}}\n"]
    {
        assert!(problem(&["", over]).contains("another case"), "{over}");
    }
}

#[test]
fn relative_paths_are_those_of_the_file() {
    let base = "authentication: {x509: {clientCAFile: pki/ca.crt}}\nstaticPodPath: /abs\n";
    assert_eq!(said(&[base], "authentication.x509.clientCAFile").unwrap().0, Value::text("/etc/k/pki/ca.crt"));
    assert_eq!(said(&[base], "staticPodPath").unwrap().0, Value::text("/abs"));
    assert_eq!(said(&["", "tlsCertFile: x.crt\n"], "tlsCertFile").unwrap().0, Value::text("x.crt"));
}

#[test]
fn secrets_are_not_kept() {
    let text = "staticPodURLHeader: {Authorization: [hunter2]}\nstaticPodURL: https://a:hunter2@b\n";
    let written = written(&[text]).unwrap();
    assert!(!format!("{written:?}").contains("hunter2"), "{written:?}");
}

proptest! {
    #[test]
    fn never_panics(text in "[a-zA-Z0-9: {}\\[\\],\n.'-]{0,80}") {
        if let Ok(document) = parse(&format!("{HEAD}{text}")) {
            Written::default().lay(Path::new("/f"), &document).ok();
        }
    }
}
