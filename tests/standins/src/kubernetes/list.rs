//! Lists, whole or in pages.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    call::Call,
    form::Form,
    resource::{Resource, Selector},
    status::Failure,
    store::{Key, Store},
};

/// What a list asks for besides its selector.
struct Paging {
    limit: usize,
    from: Option<Token>,
}

/// What a `continue` parameter says: the version of the first page, and the last object before this page.
#[derive(serde::Serialize, serde::Deserialize)]
struct Token {
    rv: u64,
    namespace: String,
    name: String,
}

pub(super) fn list(
    store: &Store,
    call: &Call,
    resource: Resource,
    selector: &Selector,
    form: Form,
) -> Result<Value, Failure> {
    let paging = Paging::read(call)?;
    check_version(store, call, paging.from.is_some())?;
    let version = match &paging.from {
        Some(token) if token.rv < store.compacted() => return Err(Failure::continue_expired()),
        Some(token) => token.rv,
        None => store.version(),
    };
    let after = |key: &Key| match &paging.from {
        None => true,
        Some(token) => (&key.1, &key.2) > (&token.namespace, &token.name),
    };
    let mut found: Vec<(Key, Arc<Value>)> = store.at(version, resource, selector);
    found.retain(|(key, _)| after(key));
    // The watch cache answers "any version" and pays no heed to the limit (Kubernetes API Concepts, "Resource versions").
    let limit = if call.parameter("resourceVersion") == Some("0") { 0 } else { paging.limit };
    let remaining = if limit > 0 { found.len().saturating_sub(limit) } else { 0 };
    found.truncate(found.len() - remaining);

    let mut metadata = json!({ "resourceVersion": version.to_string() });
    if let Some(((_, namespace, name), _)) = found.last()
        && remaining > 0
    {
        let token = Token { rv: version, namespace: namespace.clone(), name: name.clone() };
        let token = serde_json::to_vec(&token).unwrap_or_default();
        metadata["continue"] = json!(base64_simd::URL_SAFE_NO_PAD.encode_to_string(token));
        if selector.selects_all() {
            metadata["remainingItemCount"] = json!(remaining);
        }
    }
    let items: Vec<Value> = found.iter().map(|(_, object)| form.item(object)).collect();
    let (kind, version) = form.list_kind(resource);
    Ok(json!({ "kind": kind, "apiVersion": version, "metadata": metadata, "items": items }))
}

impl Paging {
    fn read(call: &Call) -> Result<Paging, Failure> {
        let limit = call.parameter("limit").filter(|limit| !limit.is_empty()).map(str::parse).transpose();
        let limit = limit.map_err(|_| Failure::bad_request("limit is not a number"))?.unwrap_or(0);
        let from = call.parameter("continue").filter(|token| !token.is_empty());
        let from = from.map(|token| {
            let bytes = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(token).ok()?;
            serde_json::from_slice(&bytes).ok()
        });
        match from {
            Some(None) => Err(Failure::bad_request("continue key is not valid")),
            from => Ok(Paging { limit, from: from.flatten() }),
        }
    }
}

/// `resourceVersion` and `resourceVersionMatch` of a list (Kubernetes API Concepts, "Resource versions").
fn check_version(store: &Store, call: &Call, continued: bool) -> Result<(), Failure> {
    let asked = call.parameter("resourceVersion").filter(|version| !version.is_empty());
    let matching = call.parameter("resourceVersionMatch").filter(|matching| !matching.is_empty());
    if continued && asked.is_some_and(|version| version != "0") {
        return Err(Failure::bad_request("specifying resource version is not allowed when using continue"));
    }
    if matching.is_some() && asked.is_none() {
        let message = "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is \
                       provided";
        return Err(Failure::new(422, "Invalid", message));
    }
    let Some(asked) = asked else { return Ok(()) };
    let asked: u64 = asked.parse().map_err(|_| Failure::bad_request("Invalid value: resourceVersion"))?;
    match matching {
        _ if asked > store.version() => Err(Failure::too_large(asked, store.version())),
        // Only what is there now can be shown exactly.
        Some("Exact") if asked != store.version() => Err(Failure::too_old(asked, store.version())),
        None | Some("Exact" | "NotOlderThan") => Ok(()),
        Some(_) => Err(Failure::bad_request("resourceVersionMatch: Unsupported value")),
    }
}
