//! What an API server answers who asks for a list of nodes. Nothing of it is repeated in an error: it may hold what it was sent.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};

use super::{Readiness, instance_of};

/// Nodes of one list at most.
pub(super) const MAX_NODES: usize = 50_000;
/// Conditions of one node. A kubelet writes four, and a node-problem-detector some ten.
const MAX_CONDITIONS: usize = 256;
/// The longest `continue` that is sent back. The API server's own have some 200 bytes.
const MAX_CONTINUE_BYTES: usize = 4_096;
/// The longest id of an instance: `i-` and 17 digits have been enough since 2016.
const MAX_ID_BYTES: usize = 32;

/// A part of a list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// Nodes that are instances of AWS, by the ids of these.
    pub(super) nodes: Vec<(String, Readiness)>,
    /// What to ask for the next part with.
    pub(super) next: Option<String>,
}

/// Reads a part.
pub(super) fn read(body: &[u8]) -> Result<Page, String> {
    let list: List = serde_json::from_slice(body).map_err(|_| "its answer is no list of nodes")?;
    if list.kind != "NodeList" {
        return Err("its answer is no list of nodes".to_owned());
    }
    let next = Some(list.metadata.next).filter(|next| !next.is_empty());
    if next.as_ref().is_some_and(|next| next.len() > MAX_CONTINUE_BYTES) {
        return Err("the place to go on at is too long".to_owned());
    }
    Ok(Page { nodes: list.items.0.into_iter().filter_map(instance).collect(), next })
}

fn instance(node: Node) -> Option<(String, Readiness)> {
    let id = instance_of(&node.spec.provider_id)?;
    // What is no id of an instance, such as a node of Fargate, is nobody of ours.
    if !id.starts_with("i-") || id.len() > MAX_ID_BYTES {
        return None;
    }
    let ready = node.status.conditions.0.into_iter().find(|condition| condition.kind == "Ready");
    Some((id.to_owned(), readiness(ready.as_ref().map(|condition| condition.status.as_str()))))
}

/// One whose kubelet has never said anything has no condition, and later one that is `Unknown`.
fn readiness(status: Option<&str>) -> Readiness {
    match status {
        Some("True") => Readiness::Ready,
        Some("False") => Readiness::NotReady,
        _ => Readiness::Unknown,
    }
}

#[derive(Deserialize)]
struct List {
    kind: String,
    #[serde(default)]
    metadata: Metadata,
    items: Most<Node, MAX_NODES>,
}

#[derive(Deserialize, Default)]
struct Metadata {
    #[serde(default, rename = "continue")]
    next: String,
}

#[derive(Deserialize)]
struct Node {
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize, Default)]
struct Spec {
    #[serde(default, rename = "providerID")]
    provider_id: String,
}

#[derive(Deserialize, Default)]
struct Status {
    #[serde(default)]
    conditions: Most<Condition, MAX_CONDITIONS>,
}

#[derive(Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

/// A list with a bound: a longer one is an error before it takes memory. `null` is one without items, as Go writes it.
struct Most<T, const N: usize>(Vec<T>);

impl<T, const N: usize> Default for Most<T, N> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>, const N: usize> Deserialize<'de> for Most<T, N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Items(PhantomData))
    }
}

struct Items<T, const N: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const N: usize> Visitor<'de> for Items<T, N> {
    type Value = Most<T, N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of {N} at most")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Most::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut all = Vec::new();
        while let Some(item) = items.next_element()? {
            if all.len() == N {
                return Err(A::Error::invalid_length(N + 1, &self));
            }
            all.push(item);
        }
        Ok(Most(all))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn node(provider_id: &str, conditions: Value) -> Value {
        json!({ "spec": { "providerID": provider_id }, "status": { "conditions": conditions } })
    }

    fn ready(status: &str) -> Value {
        json!([{ "type": "DiskPressure", "status": "True" }, { "type": "Ready", "status": status }])
    }

    fn of(list: &Value) -> Result<Page, String> {
        read(list.to_string().as_bytes())
    }

    #[test]
    fn a_node_is_an_instance_and_what_its_kubelet_says_of_it() {
        let items = [
            node("aws:///eu-central-1a/i-1", ready("True")),
            node("aws:///eu-central-1a/i-2", ready("False")),
            node("aws:///eu-central-1a/i-3", ready("Unknown")),
            node("aws:///eu-central-1a/i-4", json!([])),
            json!({ "spec": { "providerID": "aws:///eu-central-1a/i-5" } }),
            node("aws:///eu-central-1a/0123/fargate-ip-10-0-0-1", ready("True")),
            node("gce://project/zone/i-6", ready("True")),
            node("", ready("True")),
            json!({}),
            node(&format!("aws:///eu-central-1a/i-{}", "7".repeat(40)), ready("True")),
        ];
        let page = of(&json!({ "kind": "NodeList", "metadata": { "continue": "x" }, "items": items })).unwrap();
        let wanted = [
            ("i-1", Readiness::Ready),
            ("i-2", Readiness::NotReady),
            ("i-3", Readiness::Unknown),
            ("i-4", Readiness::Unknown),
            ("i-5", Readiness::Unknown),
        ];
        assert_eq!(page.nodes, wanted.map(|(id, readiness)| (id.to_owned(), readiness)));
        assert_eq!(page.next.as_deref(), Some("x"));
    }

    #[test]
    fn only_a_list_of_nodes_is_one() {
        for empty in [json!([]), Value::Null] {
            let page = of(&json!({ "kind": "NodeList", "metadata": {}, "items": empty })).unwrap();
            assert_eq!(page, Page { nodes: Vec::new(), next: None });
        }
        for other in [
            json!({}),
            json!([]),
            json!({ "kind": "NodeList" }),
            json!({ "kind": "PodList", "items": [] }),
            json!({ "kind": "Status", "status": "Failure", "code": 403 }),
            json!({ "kind": "NodeList", "items": {} }),
            json!({ "kind": "NodeList", "items": [1] }),
            json!({ "kind": "NodeList", "items": [{ "spec": { "providerID": 1 } }] }),
            json!({ "kind": "NodeList", "items": [], "metadata": { "continue": "x".repeat(5_000) } }),
        ] {
            of(&other).unwrap_err();
        }
        read(b"<html>").unwrap_err();
        read(b"{\"kind\":\"NodeList\",\"items\":[").unwrap_err();
    }

    #[test]
    fn lists_without_end_take_no_memory() {
        let items = |n: usize| format!("{{\"kind\":\"NodeList\",\"items\":[{}{{}}]}}", "{},".repeat(n - 1));
        read(items(MAX_NODES).as_bytes()).unwrap();
        read(items(MAX_NODES + 1).as_bytes()).unwrap_err();
        let condition = json!({ "type": "x", "status": "True" });
        let with = |n: usize| of(&json!({ "kind": "NodeList", "items": [node("", json!(vec![&condition; n]))] }));
        with(MAX_CONDITIONS).unwrap();
        with(MAX_CONDITIONS + 1).unwrap_err();
    }
}
