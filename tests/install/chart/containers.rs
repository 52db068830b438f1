//! What each container may do: as little as its job lets it.

use std::collections::BTreeSet;

use safeguard_tests::helm::objects;
use safeguard_tests::parts::{Part, here};
use serde_json::{Value, json};

use super::cases;

/// The capabilities that each container adds to none.
const CAPABILITIES: [(&str, &[&str]); 5] = [
    ("agent", &["DAC_READ_SEARCH", "SYS_PTRACE"]),
    ("proxy", &[]),
    ("redirect-up", &["NET_ADMIN"]),
    ("redirect-check", &["NET_ADMIN", "SYS_ADMIN"]),
    ("safeguard", &[]),
];

/// Where each container may write.
const WRITES: [(&str, &[&str]); 5] = [
    ("agent", &["/run/safeguard", "/var/lib/safeguard"]),
    ("proxy", &["/run/safeguard"]),
    ("redirect-up", &["/run/safeguard"]),
    ("redirect-check", &["/run/safeguard"]),
    ("safeguard", &["/tmp", "/var/lib/safeguard-server"]),
];

/// The pod of a case, and its containers by name.
fn pod(chart: &str, case: &str) -> (Value, Vec<(String, Value)>) {
    let objects = objects(chart, case);
    let of_pods = |object: &&Value| object["spec"]["template"].is_object();
    let spec = objects.iter().find(of_pods).unwrap()["spec"]["template"]["spec"].clone();
    let list = |key: &str| spec[key].as_array().cloned().unwrap_or_default();
    let all = [list("initContainers"), list("containers")].concat();
    let named = all.into_iter().map(|container| (container["name"].as_str().unwrap().to_owned(), container)).collect();
    (spec, named)
}

fn of<T: Copy>(table: &[(&str, T)], name: &str) -> T {
    table.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("{name} is in the table")).1
}

#[test]
fn no_container_may_do_more_than_it_has_to() {
    if !here("chart::containers::no_container_may_do_more_than_it_has_to", Part::Helm) {
        return;
    }
    let mut seen = BTreeSet::new();
    for (chart, case) in cases() {
        let (pod, containers) = pod(chart, case);
        for (name, container) in containers {
            let at = format!("{chart} {case} {name}");
            let security = &container["securityContext"];
            assert_eq!(security["readOnlyRootFilesystem"], true, "{at}");
            assert_eq!(security["allowPrivilegeEscalation"], false, "{at}");
            assert_eq!(security["privileged"], false, "{at}");
            assert_eq!(security["capabilities"]["drop"], json!(["ALL"]), "{at}");
            let added = &security["capabilities"]["add"];
            let added = if added.is_null() { json!([]) } else { added.clone() };
            assert_eq!(added, json!(of(&CAPABILITIES, &name)), "{at}");
            // The container's own, or else that of its pod.
            let either = |key: &str| [&security[key], &pod["securityContext"][key]].into_iter().find(|v| !v.is_null());
            assert_eq!(either("seccompProfile").unwrap()["type"], "RuntimeDefault", "{at}");
            if name == "safeguard" {
                assert_eq!(
                    (either("runAsNonRoot"), either("runAsUser")),
                    (Some(&json!(true)), Some(&json!(65532))),
                    "{at}"
                );
            }
            for amount in ["/requests/cpu", "/requests/memory", "/limits/memory"] {
                assert!(container["resources"].pointer(amount).is_some(), "{at}: {amount}");
            }
            assert!(
                container["image"].as_str().unwrap().starts_with("registry.example.com/safeguard/safeguard"),
                "{at}"
            );
            seen.insert(name);
        }
        assert_eq!(pod["automountServiceAccountToken"], false, "{chart} {case}");
        for shared in ["hostIPC", "shareProcessNamespace"] {
            assert!(pod[shared].is_null(), "{chart} {case}: {shared}");
        }
    }
    assert_eq!(seen, CAPABILITIES.map(|(name, _)| name.to_owned()).into(), "each container was looked at");
}

#[test]
fn containers_write_to_what_is_theirs() {
    if !here("chart::containers::containers_write_to_what_is_theirs", Part::Helm) {
        return;
    }
    for (chart, case) in cases() {
        let (pod, containers) = pod(chart, case);
        let volumes: Vec<&str> =
            pod["volumes"].as_array().unwrap().iter().map(|v| v["name"].as_str().unwrap()).collect();
        let mut mounted = BTreeSet::new();
        for (name, container) in containers {
            let mounts = container["volumeMounts"].as_array().unwrap();
            let writes: BTreeSet<&str> = mounts
                .iter()
                .filter(|mount| mount["readOnly"] != true)
                .map(|mount| mount["mountPath"].as_str().unwrap())
                .collect();
            assert_eq!(writes, of(&WRITES, &name).iter().copied().collect(), "{chart} {case} {name}");
            // A mount below one that cannot be written has nowhere to be: the runtime could not make its directory.
            let paths: Vec<&str> = mounts.iter().map(|mount| mount["mountPath"].as_str().unwrap()).collect();
            for path in &paths {
                let above = paths.iter().find(|above| path.starts_with(&format!("{above}/")));
                assert_eq!(above, None, "{chart} {case} {name}: {path}");
            }
            mounted.extend(mounts.iter().map(|mount| mount["name"].as_str().unwrap().to_owned()));
        }
        // Every volume is somebody's; the claim of a StatefulSet is in a template of its own.
        assert!(volumes.iter().all(|volume| mounted.contains(*volume)), "{chart} {case}: {volumes:?}, {mounted:?}");
    }
}

/// What the proxy has of the host: pods can reach it.
#[test]
fn the_proxy_sees_nothing_of_the_host_but_what_it_needs() {
    if !here("chart::containers::the_proxy_sees_nothing_of_the_host_but_what_it_needs", Part::Helm) {
        return;
    }
    for case in ["default", "everything", "proxy-alone"] {
        let (pod, containers) = pod("safeguard-agent", case);
        let proxy = &containers.iter().find(|(name, _)| name == "proxy").unwrap().1;
        let of_host: BTreeSet<&str> = pod["volumes"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|volume| {
                proxy["volumeMounts"].as_array().unwrap().iter().any(|mount| mount["name"] == volume["name"])
            })
            .filter_map(|volume| volume["hostPath"]["path"].as_str())
            .collect();
        assert_eq!(of_host, ["/run/safeguard", "/var/lib/cni/results"].into(), "{case}");
    }
    assert_eq!(pod("safeguard-agent", "proxy-alone").0["hostPID"], false, "alone it has processes of its own");
    assert_eq!(pod("safeguard-agent", "default").0["hostPID"], true);
}

/// A token of the service account is where something asks the API server, and nowhere else.
#[test]
fn only_who_asks_the_api_server_has_a_token() {
    if !here("chart::containers::only_who_asks_the_api_server_has_a_token", Part::Helm) {
        return;
    }
    let holders = |chart: &str, case: &str| {
        let has = |container: &Value| {
            container["volumeMounts"].as_array().unwrap().iter().any(|mount| mount["name"] == "api-access")
        };
        let (_, containers) = pod(chart, case);
        containers.into_iter().filter(|(_, container)| has(container)).map(|(name, _)| name).collect::<Vec<_>>()
    };
    assert_eq!(holders("safeguard-agent", "default"), ["agent", "proxy"]);
    assert_eq!(holders("safeguard-agent", "logs-alone"), [""; 0]);
    assert_eq!(holders("safeguard-agent", "proxy-alone"), ["proxy"]);
    assert_eq!(holders("safeguard", "default"), [""; 0]);
    assert_eq!(holders("safeguard", "everything"), ["safeguard"]);
}

/// The kubelet asks from the node's network; an address for all is none that can be asked.
#[test]
fn probes_find_what_they_ask() {
    if !here("chart::containers::probes_find_what_they_ask", Part::Helm) {
        return;
    }
    let probe = |case: &str, name: &str, kind: &str| {
        let (_, containers) = pod("safeguard-agent", case);
        let container = containers.into_iter().find(|(found, _)| found == name).unwrap().1;
        let get = &container[kind]["httpGet"];
        (get["host"].as_str().unwrap().to_owned(), get["port"].clone(), get["path"].clone(), container["ports"].clone())
    };
    let default = safeguard_agent::Settings::default().agent.metrics;
    let (host, port, path, ports) = probe("default", "agent", "livenessProbe");
    assert_eq!((format!("{host}:{port}"), path, ports), (default, json!("/healthz"), Value::Null));
    let (host, port, _, ports) = probe("everything", "agent", "livenessProbe");
    assert_eq!((host.as_str(), port), ("127.0.0.1", json!(19464)));
    assert_eq!(ports[0]["hostPort"], 19464, "others may connect, so the scheduler knows of it");
    let (host, port, path, _) = probe("everything", "proxy", "readinessProbe");
    assert_eq!((host.as_str(), port, path), ("10.0.0.1", json!(19465), json!("/readyz")));
}
