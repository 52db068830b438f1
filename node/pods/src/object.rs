//! Reads an object of the Kubernetes API: what is kept of it, and nothing else.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use serde::Deserialize;

use crate::index::{Pool, Version};
use crate::limits::{
    MAX_ADDRESSES, MAX_ANNOTATION_BYTES, MAX_KEY_BYTES, MAX_NAME_BYTES, MAX_NAMESPACES, MAX_PODS, MAX_PREFIXED,
};
use crate::{Annotations, Namespace, Phase, Pod};

/// Stands in the place of an annotation's value that is longer than [`MAX_ANNOTATION_BYTES`]. It begins with NUL, so that
/// it is in nobody's grammar: an annotation that was not read is neither absent nor obeyed.
pub const TOO_LONG: &str = "\0too long";

/// What is wanted of the cluster. The key of an annotation that ends in `*` means all that begin so, of which an object keeps
/// [`MAX_PREFIXED`] at most: the first in the order of their keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Name of this node. Pods of others never enter.
    pub node: String,
    /// Annotations of pods that are kept.
    pub pod_annotations: BTreeSet<String>,
    /// Annotations of namespaces that are kept. If there are none, namespaces are not watched at all.
    pub namespace_annotations: BTreeSet<String>,
}

/// What the reading of one kind of object needs to know.
#[derive(Debug)]
pub(crate) struct Scope {
    /// The node, where the kind has one.
    pub(crate) node: Option<String>,
    /// Annotations that are kept.
    pub(crate) keys: Keys,
}

/// Keys of annotations, and how keys begin.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    whole: BTreeSet<Arc<str>>,
    beginnings: Vec<String>,
}

impl Keys {
    pub(crate) fn new<'a>(wanted: impl IntoIterator<Item = &'a str>) -> Self {
        let mut keys = Self::default();
        for key in wanted {
            match key.strip_suffix('*') {
                Some(beginning) => keys.beginnings.push(beginning.to_owned()),
                None => drop(keys.whole.insert(key.into())),
            }
        }
        keys
    }

    /// Whether nothing is wanted.
    pub(crate) fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.beginnings.is_empty()
    }

    fn begins(&self, key: &str) -> bool {
        let graphic = key.len() <= MAX_KEY_BYTES && key.bytes().all(|b| b.is_ascii_graphic());
        graphic && self.beginnings.iter().any(|beginning| key.starts_with(beginning))
    }
}

impl Scope {
    /// Says in a query which objects are wanted.
    pub(crate) fn select(&self, query: &mut form_urlencoded::Serializer<'_, String>) {
        if let Some(node) = &self.node {
            // What has a meaning in a field selector (k8s.io/apimachinery, `fields.EscapeValue`).
            let node = node.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=");
            query.append_pair("fieldSelector", &format!("spec.nodeName={node}"));
        }
    }
}

/// An object and what orders it among its versions.
#[derive(Debug, Clone)]
pub(crate) struct Found<T> {
    pub(crate) uid: Arc<str>,
    pub(crate) version: Version,
    pub(crate) object: T,
    /// Annotations that were too long to keep.
    pub(crate) too_long: u64,
}

/// Why an object does not enter.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    /// Not what the API says it should be. Of whom it speaks is known.
    #[error("{what} of {uid} cannot be read")]
    Unreadable { uid: Arc<str>, what: &'static str },
    /// Not even that.
    #[error("it cannot be read")]
    Nameless,
    /// A pod of another node.
    #[error("{uid} is of another node")]
    Elsewhere { uid: Arc<str> },
}

/// A kind of object.
pub(crate) trait Kind: Sized + Send + Sync + PartialEq + 'static {
    /// In the path of a request, and in messages.
    const RESOURCE: &'static str;
    /// How many are kept.
    const MOST: usize;

    /// Namespace, or nothing, and name.
    fn names(&self) -> (&str, &Arc<str>);
    fn namespace(&self) -> Option<&Arc<str>>;
    fn addresses(&self) -> &[IpAddr];
    fn read(json: &[u8], scope: &Scope, pool: &mut Pool) -> Result<Found<Self>, Unfit>;
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta<'a> {
    #[serde(borrow)]
    uid: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    namespace: Cow<'a, str>,
    #[serde(borrow, default)]
    resource_version: Cow<'a, str>,
    #[serde(borrow)]
    deletion_timestamp: Option<Cow<'a, str>>,
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct PodJson<'a> {
    #[serde(borrow)]
    metadata: Meta<'a>,
    #[serde(borrow, default)]
    spec: Option<Spec<'a>>,
    #[serde(borrow, default)]
    status: Option<Status<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Spec<'a> {
    #[serde(borrow, default)]
    node_name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    service_account_name: Option<Cow<'a, str>>,
    #[serde(default)]
    host_network: Option<bool>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Status<'a> {
    #[serde(borrow, default)]
    phase: Option<Cow<'a, str>>,
    #[serde(rename = "podIP", borrow, default)]
    pod_ip: Option<Cow<'a, str>>,
    #[serde(rename = "podIPs", borrow, default)]
    pod_ips: Option<Vec<PodIp<'a>>>,
}

#[derive(Deserialize)]
struct PodIp<'a> {
    #[serde(borrow, default)]
    ip: Cow<'a, str>,
}

#[derive(Deserialize)]
struct NamespaceJson<'a> {
    #[serde(borrow)]
    metadata: Meta<'a>,
}

/// What every object has, and the bookmark too.
#[derive(Deserialize)]
pub(crate) struct Head {
    metadata: HeadMeta,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HeadMeta {
    #[serde(default)]
    uid: String,
    #[serde(default)]
    resource_version: String,
}

impl Head {
    pub(crate) fn read(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// Of whom an object speaks, whatever else it is.
    pub(crate) fn uid(&self) -> Option<&str> {
        is_name(&self.metadata.uid).then_some(self.metadata.uid.as_str())
    }

    /// From where to watch after it.
    pub(crate) fn version(&self) -> Option<&str> {
        let version = self.metadata.resource_version.as_str();
        (!version.is_empty() && version.len() <= MAX_NAME_BYTES).then_some(version)
    }
}

/// Names go into logs, paths and session names: printable, without separators, and not longer than they can be.
fn is_name(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b':');
    !text.is_empty() && text.len() <= MAX_NAME_BYTES && text.bytes().all(fits)
}

fn unreadable(json: &[u8], what: &'static str) -> Unfit {
    let head = Head::read(json);
    let uid = head.as_ref().and_then(Head::uid);
    uid.map_or(Unfit::Nameless, |uid| Unfit::Unreadable { uid: uid.into(), what })
}

/// The annotations that are wanted, and how many of them are too long.
fn keep(all: Option<BTreeMap<String, String>>, scope: &Scope, pool: &mut Pool) -> (Annotations, u64) {
    let mut too_long = 0;
    let mut prefixed = 0;
    let mut kept = Annotations::new();
    for (key, value) in all.unwrap_or_default() {
        let key = match scope.keys.whole.get(key.as_str()) {
            Some(key) => key.clone(),
            None if prefixed < MAX_PREFIXED && scope.keys.begins(&key) => {
                prefixed += 1;
                pool.get(&key)
            }
            None => continue,
        };
        let fits = value.len() <= MAX_ANNOTATION_BYTES;
        too_long += u64::from(!fits);
        kept.insert(key, pool.get(if fits { &value } else { TOO_LONG }));
    }
    (kept, too_long)
}

impl Kind for Pod {
    const RESOURCE: &'static str = "pods";
    const MOST: usize = MAX_PODS;

    fn names(&self) -> (&str, &Arc<str>) {
        (&self.namespace, &self.name)
    }

    fn namespace(&self) -> Option<&Arc<str>> {
        Some(&self.namespace)
    }

    fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    fn read(json: &[u8], scope: &Scope, pool: &mut Pool) -> Result<Found<Self>, Unfit> {
        let pod: PodJson<'_> = serde_json::from_slice(json).map_err(|_| unreadable(json, "the object"))?;
        let (meta, spec, status) = (pod.metadata, pod.spec.unwrap_or_default(), pod.status.unwrap_or_default());
        let account = spec.service_account_name.filter(|name| !name.is_empty()).unwrap_or(Cow::Borrowed("default"));
        if ![&meta.uid, &meta.name, &meta.namespace, &account].iter().all(|text| is_name(text)) {
            return Err(unreadable(json, "a name"));
        }
        let uid: Arc<str> = meta.uid.into();
        if spec.node_name.as_deref() != scope.node.as_deref() {
            return Err(Unfit::Elsewhere { uid });
        }
        let Some(addresses) = addresses(&status) else {
            return Err(Unfit::Unreadable { uid, what: "an address" });
        };
        let (annotations, too_long) = keep(meta.annotations, scope, pool);
        let object = Pod {
            uid: uid.clone(),
            namespace: pool.get(&meta.namespace),
            name: meta.name.into(),
            service_account: pool.get(&account),
            host_network: spec.host_network.unwrap_or_default(),
            phase: phase(status.phase.as_deref()),
            deleting: meta.deletion_timestamp.is_some(),
            addresses,
            annotations,
        };
        Ok(Found { uid, version: Version::new(&meta.resource_version), object, too_long })
    }
}

/// `podIPs`, or `podIP` where an old server knows only that. `None` if one of them is no address.
fn addresses(status: &Status<'_>) -> Option<Vec<IpAddr>> {
    let parse = |text: &str| text.parse::<IpAddr>().map(|address| address.to_canonical()).ok();
    let mut addresses: Vec<IpAddr> = Vec::new();
    match (&status.pod_ips, &status.pod_ip) {
        (Some(all), _) if !all.is_empty() => {
            for entry in all {
                let address = parse(&entry.ip)?;
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
                if addresses.len() > MAX_ADDRESSES {
                    return None;
                }
            }
        }
        (_, Some(one)) if !one.is_empty() => addresses.push(parse(one)?),
        _ => {}
    }
    addresses.shrink_to_fit();
    Some(addresses)
}

/// A phase that is not known to us is `Unknown`, which is not finished.
fn phase(text: Option<&str>) -> Phase {
    match text {
        None | Some("" | "Pending") => Phase::Pending,
        Some("Running") => Phase::Running,
        Some("Succeeded") => Phase::Succeeded,
        Some("Failed") => Phase::Failed,
        Some(_) => Phase::Unknown,
    }
}

impl Kind for Namespace {
    const RESOURCE: &'static str = "namespaces";
    const MOST: usize = MAX_NAMESPACES;

    fn names(&self) -> (&str, &Arc<str>) {
        ("", &self.name)
    }

    fn namespace(&self) -> Option<&Arc<str>> {
        None
    }

    fn addresses(&self) -> &[IpAddr] {
        &[]
    }

    fn read(json: &[u8], scope: &Scope, pool: &mut Pool) -> Result<Found<Self>, Unfit> {
        let meta =
            serde_json::from_slice::<NamespaceJson<'_>>(json).map_err(|_| unreadable(json, "the object"))?.metadata;
        if ![&meta.uid, &meta.name].iter().all(|text| is_name(text)) {
            return Err(unreadable(json, "a name"));
        }
        let (annotations, too_long) = keep(meta.annotations, scope, pool);
        let object = Namespace { name: pool.get(&meta.name), annotations };
        Ok(Found { uid: meta.uid.into(), version: Version::new(&meta.resource_version), object, too_long })
    }
}

#[cfg(test)]
mod tests;
