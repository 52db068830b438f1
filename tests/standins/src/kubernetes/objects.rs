//! Objects as a test writes them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// A pod. Turns into its object with [`Into`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodSpec {
    /// `metadata.namespace`
    pub namespace: String,
    /// `metadata.name`
    pub name: String,
    /// `metadata.uid`; when empty, one is made for it.
    pub uid: String,
    /// `spec.nodeName`; empty before it is scheduled.
    pub node: String,
    /// `status.podIPs`; the first is `status.podIP`.
    pub ips: Vec<String>,
    /// `status.hostIP`
    pub host_ip: String,
    /// `status.phase`
    pub phase: String,
    /// `spec.hostNetwork`
    pub host_network: bool,
    /// `spec.serviceAccountName`
    pub service_account: String,
    /// `metadata.annotations`
    pub annotations: BTreeMap<String, String>,
    /// `metadata.labels`
    pub labels: BTreeMap<String, String>,
    /// `metadata.deletionTimestamp`, such as `2026-01-02T03:04:05Z`: it is being deleted.
    pub deletion: Option<String>,
    /// `status.startTime`, such as `2026-01-02T03:04:05Z`.
    pub start_time: Option<String>,
}

impl PodSpec {
    /// A running pod of the service account `default`, on no node yet and without an address.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> PodSpec {
        PodSpec {
            namespace: namespace.into(),
            name: name.into(),
            uid: String::new(),
            node: String::new(),
            ips: Vec::new(),
            host_ip: "10.0.1.23".to_owned(),
            phase: "Running".to_owned(),
            host_network: false,
            service_account: "default".to_owned(),
            annotations: BTreeMap::new(),
            labels: BTreeMap::new(),
            deletion: None,
            start_time: None,
        }
    }

    /// With this uid.
    #[must_use]
    pub fn uid(self, uid: impl Into<String>) -> PodSpec {
        PodSpec { uid: uid.into(), ..self }
    }

    /// On this node.
    #[must_use]
    pub fn node(self, node: impl Into<String>) -> PodSpec {
        PodSpec { node: node.into(), ..self }
    }

    /// With one more address.
    #[must_use]
    pub fn ip(mut self, ip: impl Into<String>) -> PodSpec {
        self.ips.push(ip.into());
        self
    }

    /// In this phase.
    #[must_use]
    pub fn phase(self, phase: impl Into<String>) -> PodSpec {
        PodSpec { phase: phase.into(), ..self }
    }

    /// In the network of its node.
    #[must_use]
    pub fn host_network(self) -> PodSpec {
        PodSpec { host_network: true, ..self }
    }

    /// Of this service account.
    #[must_use]
    pub fn service_account(self, name: impl Into<String>) -> PodSpec {
        PodSpec { service_account: name.into(), ..self }
    }

    /// With one more annotation.
    #[must_use]
    pub fn annotation(mut self, key: impl Into<String>, value: impl Into<String>) -> PodSpec {
        self.annotations.insert(key.into(), value.into());
        self
    }

    /// Being deleted since a time such as `2026-01-02T03:04:05Z`.
    #[must_use]
    pub fn deleting(self, since: impl Into<String>) -> PodSpec {
        PodSpec { deletion: Some(since.into()), ..self }
    }
}

impl From<PodSpec> for Value {
    fn from(pod: PodSpec) -> Value {
        let mut object = json!({
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata": { "name": pod.name, "namespace": pod.namespace },
            "spec": {
                "containers": [{ "name": "main", "image": "registry.example/main:1", "resources": {} }],
                "restartPolicy": "Always",
                "serviceAccountName": pod.service_account,
                "schedulerName": "default-scheduler",
            },
            "status": { "phase": pod.phase },
        });
        for (member, map) in [("annotations", &pod.annotations), ("labels", &pod.labels)] {
            if !map.is_empty() {
                object["metadata"][member] = json!(map);
            }
        }
        if !pod.uid.is_empty() {
            object["metadata"]["uid"] = json!(pod.uid);
        }
        if let Some(since) = &pod.deletion {
            object["metadata"]["deletionTimestamp"] = json!(since);
            object["metadata"]["deletionGracePeriodSeconds"] = json!(30);
        }
        if !pod.node.is_empty() {
            object["spec"]["nodeName"] = json!(pod.node);
            object["status"]["hostIP"] = json!(pod.host_ip);
        }
        if pod.host_network {
            object["spec"]["hostNetwork"] = json!(true);
        }
        if let Some(first) = pod.ips.first() {
            object["status"]["podIP"] = json!(first);
            object["status"]["podIPs"] = pod.ips.iter().map(|ip| json!({ "ip": ip })).collect();
        }
        if let Some(time) = &pod.start_time {
            object["status"]["startTime"] = json!(time);
        }
        object
    }
}

/// A namespace with annotations.
#[must_use]
pub fn namespace(name: &str, annotations: &[(&str, &str)]) -> Value {
    let annotations: BTreeMap<&str, &str> = annotations.iter().copied().collect();
    json!({
        "kind": "Namespace",
        "apiVersion": "v1",
        "metadata": {
            "name": name,
            "labels": { "kubernetes.io/metadata.name": name },
            "annotations": annotations,
        },
        "spec": { "finalizers": ["kubernetes"] },
        "status": { "phase": "Active" },
    })
}

/// A node with an internal address.
#[must_use]
pub fn node(name: &str, address: &str) -> Value {
    json!({
        "kind": "Node",
        "apiVersion": "v1",
        "metadata": { "name": name, "labels": { "kubernetes.io/hostname": name } },
        "spec": { "providerID": format!("aws:///us-east-1a/{name}") },
        "status": {
            "addresses": [
                { "type": "InternalIP", "address": address },
                { "type": "Hostname", "address": name },
            ],
            "conditions": [{ "type": "Ready", "status": "True" }],
        },
    })
}
