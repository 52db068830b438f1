use serde_json::{Value, json};

use super::*;

fn scope(keys: &[&str]) -> Scope {
    Scope { node: Some("this".to_owned()), keys: Keys::new(keys.iter().copied()) }
}

fn pod_json() -> Value {
    json!({
        "metadata": {
            "uid": "u-1", "namespace": "team", "name": "web-0", "resourceVersion": "42",
            "annotations": { "role": "reader", "other": "not wanted" },
            "managedFields": [{ "deep": [[[[]]]] }],
        },
        "spec": { "nodeName": "this", "serviceAccountName": "robot", "containers": [{ "name": "a" }] },
        "status": { "phase": "Running", "podIP": "10.0.0.1", "podIPs": [{ "ip": "10.0.0.1" }, { "ip": "fd00::1" }] },
    })
}

fn read(value: &Value) -> Result<Found<Pod>, Unfit> {
    Pod::read(value.to_string().as_bytes(), &scope(&["role"]), &mut Pool::default())
}

/// The pod with another value at a JSON pointer.
fn with(pointer: &str, value: Value) -> Value {
    let mut pod = pod_json();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    pod.pointer_mut(parent).unwrap()[key] = value;
    pod
}

#[test]
fn what_is_wanted_of_a_pod_is_kept_and_nothing_else() {
    let found = read(&pod_json()).unwrap();
    let expected = Pod {
        uid: "u-1".into(),
        namespace: "team".into(),
        name: "web-0".into(),
        service_account: "robot".into(),
        host_network: false,
        phase: Phase::Running,
        deleting: false,
        addresses: vec!["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()],
        annotations: Annotations::from([("role".into(), "reader".into())]),
    };
    assert_eq!((found.object, found.version), (expected, Version::new("42")));
}

#[test]
fn what_is_not_given_has_its_default() {
    let bare = json!({
        "metadata": { "uid": "u", "namespace": "n", "name": "p", "annotations": null },
        "spec": { "nodeName": "this" }, "status": null,
    });
    let pod = read(&bare).unwrap().object;
    assert_eq!(
        (&*pod.service_account, pod.phase, pod.addresses.len(), pod.deleting),
        ("default", Phase::Pending, 0, false)
    );
    let pod = read(&with("/status/podIPs", json!([]))).unwrap().object;
    assert_eq!(pod.addresses.len(), 1, "an old server knows podIP alone");
    let pod = read(&with("/metadata/deletionTimestamp", json!("2026-01-01T00:00:00Z"))).unwrap().object;
    assert!(pod.deleting);
    let pod = read(&with("/spec/hostNetwork", json!(true))).unwrap().object;
    assert!(pod.host_network);
    // Of a Kubernetes that is yet to come.
    assert_eq!(read(&with("/status/phase", json!("Paused"))).unwrap().object.phase, Phase::Unknown);
}

#[test]
fn pods_of_other_nodes_are_told_apart() {
    for node in [json!("that"), json!(""), json!(null)] {
        assert_eq!(read(&with("/spec/nodeName", node)).unwrap_err(), Unfit::Elsewhere { uid: "u-1".into() });
    }
}

#[test]
fn what_is_not_as_it_should_be_is_refused_and_named() {
    for (pointer, value) in [
        ("/metadata/name", json!("../../etc")),
        ("/metadata/name", json!("line\nbreak")),
        ("/metadata/namespace", json!("a".repeat(MAX_NAME_BYTES + 1))),
        ("/metadata/annotations", json!({ "role": 5 })),
        ("/metadata/annotations", json!("role")),
        ("/spec/serviceAccountName", json!("a/b")),
        ("/spec", json!("this")),
        ("/status/podIPs", json!([{ "ip": "10.0.0.300" }])),
        (
            "/status/podIPs",
            json!((0..=MAX_ADDRESSES).map(|i| json!({ "ip": format!("10.0.0.{i}") })).collect::<Vec<_>>()),
        ),
        ("/status/podIPs", json!([{}])),
    ] {
        let unfit = read(&with(pointer, value.clone())).map(|found| found.object).unwrap_err();
        assert!(matches!(&unfit, Unfit::Unreadable { uid, .. } if &**uid == "u-1"), "{pointer} {value}: {unfit}");
    }
    for (pointer, value) in [("/metadata/uid", json!("")), ("/metadata/uid", json!(["u"])), ("/metadata", json!(null))]
    {
        assert_eq!(read(&with(pointer, value)).unwrap_err(), Unfit::Nameless, "{pointer}");
    }
    // Who says one thing twice means neither.
    let twice = pod_json().to_string().replacen("\"uid\"", "\"uid\":\"u-2\",\"uid\"", 1);
    assert_eq!(Pod::read(twice.as_bytes(), &scope(&[]), &mut Pool::default()).unwrap_err(), Unfit::Nameless);
}

#[test]
fn json_that_is_a_hundred_thousand_levels_deep_does_not_overflow_the_stack() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let text = pod_json().to_string().replacen("\"containers\":[", &format!("\"containers\":[{deep},"), 1);
    drop(Pod::read(text.as_bytes(), &scope(&[]), &mut Pool::default()));
}

#[test]
fn an_annotation_that_is_too_long_is_neither_absent_nor_obeyed() {
    for (length, expected) in [(MAX_ANNOTATION_BYTES, 0), (MAX_ANNOTATION_BYTES + 1, 1)] {
        let found =
            read(&with("/metadata/annotations", json!({ "role": "r".repeat(length), "x": "x".repeat(99_999) })));
        let found = found.unwrap();
        assert_eq!(found.too_long, expected);
        let kept = &*found.object.annotations["role"];
        assert_eq!(kept == TOO_LONG, expected == 1);
        assert_eq!(found.object.annotations.len(), 1);
    }
    assert!(TOO_LONG.starts_with('\0'));
}

#[test]
fn a_key_with_a_star_means_all_that_begin_so_within_a_bound() {
    let annotations =
        json!({ "a.io/x-one": "1", "a.io/x": "2", "a.io/y": "3", "a.io/x-\n": "4", "whole": "5", "wholesale": "6" });
    let json = with("/metadata/annotations", annotations).to_string();
    let found = Pod::read(json.as_bytes(), &scope(&["a.io/x*", "whole"]), &mut Pool::default()).unwrap();
    let kept: Vec<&str> = found.object.annotations.keys().map(|key| &**key).collect();
    assert_eq!(kept, ["a.io/x", "a.io/x-one", "whole"]);

    let many: serde_json::Map<String, Value> = (0..10_000).map(|i| (format!("a.io/x{i:05}"), json!("v"))).collect();
    let json = with("/metadata/annotations", Value::Object(many)).to_string();
    let found = Pod::read(json.as_bytes(), &scope(&["a.io/x*"]), &mut Pool::default()).unwrap();
    assert_eq!(found.object.annotations.len(), MAX_PREFIXED);
    assert_eq!(&*found.object.annotations["a.io/x00063"], "v", "the first ones");
}

#[test]
fn namespaces_have_a_name_and_annotations() {
    let json = json!({ "metadata": { "uid": "u", "name": "team", "annotations": { "allowed": "[\"a\"]", "b": "c" } } });
    let found = Namespace::read(json.to_string().as_bytes(), &scope(&["allowed"]), &mut Pool::default()).unwrap();
    let annotations = Annotations::from([("allowed".into(), "[\"a\"]".into())]);
    assert_eq!(found.object, Namespace { name: "team".into(), annotations });
}

#[test]
fn a_nodes_name_cannot_widen_the_selection() {
    let mut query = form_urlencoded::Serializer::new(String::new());
    Scope { node: Some("a,metadata.name=b\\".to_owned()), keys: Keys::default() }.select(&mut query);
    assert_eq!(query.finish(), "fieldSelector=spec.nodeName%3Da%5C%2Cmetadata.name%5C%3Db%5C%5C");
}
