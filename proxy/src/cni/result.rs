//! Pure: one file of the CNI's result cache.

use std::net::IpAddr;
use std::sync::Arc;

use serde::Deserialize;

/// What a file says of one network interface of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CniResult {
    /// Name of the file.
    pub(crate) file: Arc<str>,
    /// `K8S_POD_UID`
    pub(crate) uid: Arc<str>,
    /// `K8S_POD_NAMESPACE`
    pub(crate) namespace: Arc<str>,
    /// `K8S_POD_NAME`
    pub(crate) name: Arc<str>,
    /// Without those of the loopback interface.
    pub(crate) addresses: Vec<IpAddr>,
}

/// libcni, `cachedInfo`: what is used of it.
#[derive(Deserialize)]
struct File {
    kind: String,
    #[serde(rename = "cniArgs", default)]
    arguments: Vec<(String, String)>,
    #[serde(default)]
    result: CachedResult,
}

/// CNI specification, "Success": versions 0.3.0 and later have `ips`, those before `ip4` and `ip6`.
#[derive(Deserialize, Default)]
#[serde(default)]
struct CachedResult {
    ips: Vec<Address>,
    ip4: Option<OldAddress>,
    ip6: Option<OldAddress>,
}

#[derive(Deserialize)]
struct Address {
    address: String,
}

#[derive(Deserialize)]
struct OldAddress {
    ip: String,
}

impl CniResult {
    /// # Errors
    /// Why it is not the result of an interface of a pod. A file that is being written is no JSON yet.
    pub(crate) fn parse(name: &str, bytes: &[u8]) -> Result<Self, String> {
        let file: File = serde_json::from_slice(bytes).map_err(|error| format!("it is not complete JSON: {error}"))?;
        if file.kind != "cniCacheV1" {
            return Err("it is of a kind that is not known".to_owned());
        }
        let argument = |wanted: &str| {
            let found = file.arguments.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
            found.filter(|value| !value.is_empty()).ok_or_else(|| format!("it has no {wanted}"))
        };
        let (uid, namespace) = (argument("K8S_POD_UID")?, argument("K8S_POD_NAMESPACE")?);
        let pod = argument("K8S_POD_NAME")?;
        let result = &file.result;
        let old = result.ip4.iter().chain(&result.ip6).map(|address| address.ip.as_str());
        let mut addresses = Vec::new();
        for text in result.ips.iter().map(|address| address.address.as_str()).chain(old) {
            let address = text.split('/').next().unwrap_or_default();
            let address: IpAddr = address.parse().map_err(|_| "it has an address that is none".to_owned())?;
            if !address.is_loopback() {
                addresses.push(address.to_canonical());
            }
        }
        Ok(Self { file: name.into(), uid: uid.into(), namespace: namespace.into(), name: pod.into(), addresses })
    }
}
