//! The resources that are there, and the paths that lead to them.

use serde_json::Value;

/// A resource of the API group "" or, where it says so, of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// `pods`
    Pods,
    /// `namespaces`
    Namespaces,
    /// `nodes`
    Nodes,
    /// `leases` of `coordination.k8s.io`
    Leases,
}

impl Resource {
    /// The name in paths and in RBAC.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Resource::Pods => "pods",
            Resource::Namespaces => "namespaces",
            Resource::Nodes => "nodes",
            Resource::Leases => "leases",
        }
    }

    pub(super) fn kind(self) -> &'static str {
        match self {
            Resource::Pods => "Pod",
            Resource::Namespaces => "Namespace",
            Resource::Nodes => "Node",
            Resource::Leases => "Lease",
        }
    }
}

/// What a client does, in the words of RBAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// One object.
    Get,
    /// All objects of a kind.
    List,
    /// Changes.
    Watch,
    /// Anything that is not there.
    Other,
}

impl Verb {
    /// The name in RBAC.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Verb::Get => "get",
            Verb::List => "list",
            Verb::Watch => "watch",
            Verb::Other => "other",
        }
    }
}

/// What a path names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) resource: Option<Resource>,
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
}

pub(super) fn target(path: &str) -> Target {
    let parts: Vec<&str> = path.split('/').collect();
    let of = |resource, namespace: Option<&str>, name: Option<&str>| Target {
        resource: Some(resource),
        namespace: namespace.map(str::to_owned),
        name: name.map(str::to_owned),
    };
    match parts.as_slice() {
        ["", "api", "v1", "pods"] => of(Resource::Pods, None, None),
        ["", "api", "v1", "namespaces"] => of(Resource::Namespaces, None, None),
        ["", "api", "v1", "nodes"] => of(Resource::Nodes, None, None),
        ["", "api", "v1", "namespaces", name] if !name.is_empty() => of(Resource::Namespaces, None, Some(name)),
        ["", "api", "v1", "nodes", name] if !name.is_empty() => of(Resource::Nodes, None, Some(name)),
        ["", "api", "v1", "namespaces", namespace, "pods"] => of(Resource::Pods, Some(namespace), None),
        ["", "api", "v1", "namespaces", namespace, "pods", name] if !name.is_empty() => {
            of(Resource::Pods, Some(namespace), Some(name))
        }
        ["", "apis", "coordination.k8s.io", "v1", "namespaces", namespace, "leases"] => {
            of(Resource::Leases, Some(namespace), None)
        }
        ["", "apis", "coordination.k8s.io", "v1", "namespaces", namespace, "leases", name] if !name.is_empty() => {
            of(Resource::Leases, Some(namespace), Some(name))
        }
        _ => Target::default(),
    }
}

/// One requirement of a field selector.
struct Requirement {
    field: &'static str,
    value: String,
    equal: bool,
}

/// Which objects a list or a watch is about.
#[derive(Default)]
pub(super) struct Selector {
    namespace: Option<String>,
    requirements: Vec<Requirement>,
}

/// The fields that the API server can select by, of those that are here (Kubernetes, `pkg/apis/core/v1/conversion.go`).
fn fields(resource: Resource) -> &'static [&'static str] {
    match resource {
        Resource::Pods => &[
            "metadata.name",
            "metadata.namespace",
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
        ],
        Resource::Namespaces => &["metadata.name", "status.phase"],
        Resource::Nodes => &["metadata.name", "spec.unschedulable"],
        Resource::Leases => &["metadata.name", "metadata.namespace"],
    }
}

impl Selector {
    /// Reads `FIELD=VALUE,FIELD!=VALUE,...`.
    pub(super) fn parse(resource: Resource, namespace: Option<&str>, text: &str) -> Result<Selector, String> {
        let mut requirements = Vec::new();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (field, value, equal) = if let Some((field, value)) = part.split_once("!=") {
                (field, value, false)
            } else if let Some((field, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
                (field, value, true)
            } else {
                return Err(format!("invalid selector: '{text}'; can't understand '{part}'"));
            };
            let known = fields(resource).iter().find(|known| **known == field);
            let field = known.ok_or_else(|| format!("field label not supported: {field}"))?;
            requirements.push(Requirement { field, value: value.to_owned(), equal });
        }
        Ok(Selector { namespace: namespace.map(str::to_owned), requirements })
    }

    /// The value that a field has to have, if there is one.
    pub(super) fn demands(&self, field: &str) -> Option<&str> {
        let found = self.requirements.iter().find(|requirement| requirement.equal && requirement.field == field);
        found.map(|requirement| requirement.value.as_str())
    }

    pub(super) fn selects_all(&self) -> bool {
        self.requirements.is_empty()
    }

    pub(super) fn matches(&self, object: &Value) -> bool {
        let text = |field: &str| {
            let value = field.split('.').try_fold(object, |value, part| value.get(part));
            match value {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Bool(value)) => value.to_string(),
                _ if field == "spec.hostNetwork" || field == "spec.unschedulable" => "false".to_owned(),
                _ => String::new(),
            }
        };
        self.namespace.as_ref().is_none_or(|namespace| text("metadata.namespace") == *namespace)
            && self.requirements.iter().all(|wanted| (text(wanted.field) == wanted.value) == wanted.equal)
    }
}
