//! Whole objects, or their metadata alone, as the client accepts them.

use serde_json::{Value, json};

use super::resource::Resource;

const META: &str = "meta.k8s.io/v1";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Whole,
    Metadata,
}

impl Form {
    /// Reads `Accept`; none when the client wants something else than JSON.
    pub(super) fn accepted(accept: &str) -> Option<Form> {
        if accept.trim().is_empty() {
            return Some(Form::Whole);
        }
        accept.split(',').find_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next()?;
            let parts: Vec<&str> = parts.collect();
            let asked = parts.iter().find_map(|part| part.strip_prefix("as="));
            match (kind, asked) {
                ("application/json", Some("PartialObjectMetadata" | "PartialObjectMetadataList")) => {
                    parts.contains(&"g=meta.k8s.io").then_some(Form::Metadata)
                }
                ("application/json" | "application/*" | "*/*", None) => Some(Form::Whole),
                _ => None,
            }
        })
    }

    pub(super) fn list_kind(self, resource: Resource) -> (String, &'static str) {
        match self {
            Form::Whole => (format!("{}List", resource.kind()), "v1"),
            Form::Metadata => ("PartialObjectMetadataList".to_owned(), META),
        }
    }

    /// An object on its own.
    pub(super) fn object(self, object: &Value) -> Value {
        match self {
            Form::Whole => object.clone(),
            Form::Metadata => {
                json!({ "kind": "PartialObjectMetadata", "apiVersion": META, "metadata": object["metadata"] })
            }
        }
    }

    /// An object in a list, where kind and version are left out.
    pub(super) fn item(self, object: &Value) -> Value {
        let mut item = self.object(object);
        if let Some(members) = item.as_object_mut() {
            members.remove("kind");
            members.remove("apiVersion");
        }
        item
    }

    /// The object of a bookmark.
    pub(super) fn bookmark(self, resource: Resource, version: u64, initial_events_end: bool) -> Value {
        let mut metadata = json!({ "resourceVersion": version.to_string(), "creationTimestamp": null });
        if initial_events_end {
            metadata["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
        }
        let mut object = json!({ "kind": resource.kind(), "apiVersion": "v1", "metadata": metadata });
        if resource == Resource::Pods {
            object["spec"] = json!({ "containers": null });
        }
        self.object(&object)
    }
}
