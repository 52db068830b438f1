//! How a node becomes known: what it claims, and what others vouch for.

use serde::{Deserialize, Serialize};

use crate::{Digest, Program, PublicKey, limits};

/// A node that wants to be known by a key, signed with that key.
///
/// Sent when there is no key yet, after every boot, when the instance changed, and when the safeguard says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrolment {
    /// [`crate::VERSION`].
    pub version: u32,
    /// Whose node it is, as the operator set it.
    pub tenant: String,
    /// The nonce of a [`crate::Challenge`], as it was given.
    pub nonce: String,
    /// The key.
    pub public_key: PublicKey,
    /// The cluster's name.
    pub cluster: String,
    /// The node group's name, where the node has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_group: Option<String>,
    /// The node's name in its cluster.
    pub node_name: String,
    /// `/proc/sys/kernel/random/boot_id`: 36 characters.
    pub boot_id: String,
    /// The program that speaks.
    pub program: Program,
    /// The node's clock, in milliseconds since 1970.
    pub sent_at_ms: i64,
    /// The highest sequence number that this key may have signed before; 0 for a new key.
    pub last_sequence: u64,
    /// What others vouch for.
    pub proofs: Proofs,
}

impl Enrolment {
    /// What it says against a bound of [`limits`], if anything. The length of the proofs is bounded by that of the envelope.
    ///
    /// # Errors
    /// The first field that is out of bounds.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.version != crate::VERSION {
            return Err("version is not 1");
        }
        let named = [&self.tenant, &self.cluster, &self.node_name, &self.program.version];
        let fits = |name: &String| !name.is_empty() && name.len() <= limits::NAME_BYTES;
        if !named.into_iter().chain(&self.node_group).all(fits) {
            return Err("a name is empty or longer than 253 bytes");
        }
        if self.boot_id.is_empty() || self.boot_id.len() > limits::BOOT_ID_BYTES {
            return Err("boot_id is empty or longer than 64 bytes");
        }
        if self.nonce.is_empty() || self.nonce.len() > limits::NONCE_CHARACTERS {
            return Err("nonce is empty or longer than 64 characters");
        }
        Ok(())
    }
}

/// What others vouch for. Which of them have to be there is the safeguard's policy.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proofs {
    /// The instance identity document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<IdentityProof>,
    /// A signed request to STS that binds the key to the role session of the instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sts: Option<StsProof>,
    /// A projected service-account token of audience `safeguard`. It is a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_token: Option<String>,
}

impl std::fmt::Debug for Proofs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let token = self.service_account_token.as_ref().map(|_| "[secret]");
        let Self { identity, sts, .. } = self;
        let mut debug = f.debug_struct("Proofs");
        debug.field("identity", identity).field("sts", sts).field("service_account_token", &token).finish()
    }
}

/// What the metadata service says of the instance, signed by AWS. Whoever reaches that service has it: alone it proves that
/// somebody has been on the instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityProof {
    /// `dynamic/instance-identity/document`, to the byte.
    pub document: String,
    /// `dynamic/instance-identity/rsa2048`: PKCS#7 in base64, without header and footer.
    pub rsa2048: String,
}

/// A request `sts:GetCallerIdentity`, signed with the node's role (SigV4) and not sent: the safeguard sends it. Valid for 15
/// minutes for whoever has it, and good for nothing but to learn who signed it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StsProof {
    /// Where it goes: `https://HOST/`.
    pub url: String,
    /// The headers, names in lower case: `content-type`, `host`, `x-amz-date`, `x-amz-security-token`, `x-safeguard-bind`
    /// and `authorization`. All but the last are signed.
    pub headers: Vec<(String, String)>,
    /// The body: `Action=GetCallerIdentity&Version=2011-06-15`.
    pub body: String,
}

impl std::fmt::Debug for StsProof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("StsProof").field("url", &self.url).field("headers", &names).finish_non_exhaustive()
    }
}

/// The value of the signed header `x-safeguard-bind`: the SHA-256 of the tenant's length in bytes as a big-endian `u32`, the
/// tenant, the nonce as it was given, and the 32 bytes of the key; written as 64 hexadecimal digits.
///
/// The length makes sure that no other tenant and nonce have the same bytes.
#[must_use]
pub fn binding(tenant: &str, nonce: &str, key: &PublicKey) -> String {
    let len = u32::try_from(tenant.len()).unwrap_or(u32::MAX);
    let mut bytes = len.to_be_bytes().to_vec();
    bytes.extend_from_slice(tenant.as_bytes());
    bytes.extend_from_slice(nonce.as_bytes());
    bytes.extend_from_slice(key.as_bytes());
    crate::digest::hex(Digest::of(&bytes).as_bytes()).as_str().to_owned()
}

/// What vouches for a node, from weak to strong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Assurance {
    /// Nothing but the node's own word.
    #[serde(rename = "none")]
    None,
    /// AWS signed that there is such an instance, and somebody who was on it sent the document.
    #[serde(rename = "iid")]
    Identity,
    /// AWS also says that the role session of this instance chose this key.
    #[serde(rename = "iid+sts")]
    IdentitySts,
    /// The cluster also says that a pod of the agent on this node spoke.
    #[serde(rename = "iid+sts+psat")]
    IdentityStsToken,
}

impl Assurance {
    /// As it is written in messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Identity => "iid",
            Self::IdentitySts => "iid+sts",
            Self::IdentityStsToken => "iid+sts+psat",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SigningKey;

    #[test]
    fn a_binding_is_of_one_tenant_one_nonce_and_one_key() {
        let key = |n| SigningKey::from_seed(&[n; 32]).unwrap().public();
        let right = binding("acme", "nonce", &key(1));
        assert_eq!(right.len(), 64);
        for (tenant, nonce, n) in
            [("acm", "enonce", 1), ("acmen", "once", 1), ("acme", "nonce", 2), ("", "acmenonce", 1)]
        {
            assert_ne!(binding(tenant, nonce, &key(n)), right);
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let header = |n: &str, v: &str| (n.to_owned(), v.to_owned());
        let proofs = Proofs {
            identity: None,
            sts: Some(StsProof {
                url: "https://sts.eu-central-1.amazonaws.com/".to_owned(),
                headers: vec![header("x-amz-security-token", "hidden-1")],
                body: "hidden-2".to_owned(),
            }),
            service_account_token: Some("hidden-3".to_owned()),
        };
        let printed = format!("{proofs:?}");
        assert!(!printed.contains("hidden") && printed.contains("x-amz-security-token"), "{printed}");
    }
}
