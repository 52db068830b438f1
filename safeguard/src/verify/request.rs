//! The request to STS that a node has signed: whether it may be sent on.
//!
//! What is sent on is decided here and nowhere else: the host from a list, the path and the body fixed, six headers, no more.
//! That is what kept CVE-2020-16250 (a caller chose who answers) and CVE-2022-2385 (a name came twice) out of others'
//! verifiers, or should have.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue};
use safeguard_protocol::{Code, StsProof};

use super::region::Region;
use super::{Denied, dates};

/// What is asked (STS API reference, "GetCallerIdentity").
const BODY: &str = "Action=GetCallerIdentity&Version=2011-06-15";
/// As SDKs and signers write it.
const CONTENT_TYPES: [&str; 2] =
    ["application/x-www-form-urlencoded", "application/x-www-form-urlencoded; charset=utf-8"];
/// Signed headers that have to be there, sorted as they are in the signature.
const SIGNED: [&str; 4] = ["content-type", "host", "x-amz-date", BINDING];
/// The one that is there for temporary credentials; it sorts before [`BINDING`].
const SESSION_TOKEN: &str = "x-amz-security-token";
const BINDING: &str = "x-safeguard-bind";
const AUTHORIZATION: &str = "authorization";
/// The longest value. Session tokens have one or two KiB; AWS names no bound.
const MAX_VALUE_BYTES: usize = 8 * 1024;
/// STS takes a signature for 15 minutes (STS API reference, "Signature Version 4").
const MAX_AGE_MS: i64 = 15 * 60 * 1000;
/// How far a node's clock may be ahead.
const MAX_AHEAD_MS: i64 = 5 * 60 * 1000;

const REFUSED: &str = "the signed request to STS is not one that the safeguard sends on";
const OTHER: &str = "the signed request to STS was made for another tenant, nonce or key";
const CLOCK: &str = "the signed request to STS is too old or of the future; look at the node's clock";

/// A request that may be sent to STS.
#[derive(Debug)]
pub(crate) struct CallerRequest {
    pub(crate) host: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: &'static str,
}

impl CallerRequest {
    /// The request, if a node of this region signed it, for this binding, lately.
    pub(crate) fn check(
        proof: &StsProof,
        region: &Region,
        binding: &str,
        allow_global: bool,
        now_ms: i64,
    ) -> Result<Self, Denied> {
        let refused = |detail: &str| Denied::new(Code::ProofSts, REFUSED, detail);
        let host = proof.url.strip_prefix("https://").and_then(|rest| rest.strip_suffix('/'));
        let host = host.ok_or_else(|| refused("the URL is not https://HOST/"))?;
        let signing_region = region.signing_region(host, allow_global);
        let signing_region =
            signing_region.ok_or_else(|| refused("the URL's host is not STS in the document's region"))?;
        if proof.body != BODY {
            return Err(refused("the body is not GetCallerIdentity"));
        }
        let headers = Headers::read(&proof.headers).map_err(refused)?;
        let date = headers.check(host, signing_region).map_err(refused)?;
        if headers.get(BINDING) != Some(binding) {
            return Err(Denied::new(Code::ProofSts, OTHER, "x-safeguard-bind is not of this tenant, nonce and key"));
        }
        if date.saturating_add(MAX_AGE_MS) < now_ms || date > now_ms.saturating_add(MAX_AHEAD_MS) {
            let detail = format!("signed at {date} ms, and it is {now_ms} ms");
            return Err(Denied::new(Code::ProofSts, CLOCK, detail));
        }
        let to_send = headers.to_send().ok_or_else(|| refused("a header cannot be sent"))?;
        Ok(Self { host: host.to_owned(), headers: to_send, body: BODY })
    }
}

/// Headers that are all known, each there once.
struct Headers<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Headers<'a> {
    fn read(headers: &'a [(String, String)]) -> Result<Self, &'static str> {
        let mut read = BTreeMap::new();
        for (name, value) in headers {
            let known = SIGNED.contains(&name.as_str()) || name == SESSION_TOKEN || name == AUTHORIZATION;
            if !known {
                return Err("there is a header that is not one of the six");
            }
            // What is not trimmed, or has blanks in a row, is signed as if it were.
            let plain =
                value.bytes().all(|b| (0x20..0x7f).contains(&b)) && value.trim() == value && !value.contains("  ");
            if !plain || value.is_empty() || value.len() > MAX_VALUE_BYTES {
                return Err("a header has a value that is not plain");
            }
            if read.insert(name.as_str(), value.as_str()).is_some() {
                return Err("a header comes twice");
            }
        }
        Ok(Self(read))
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).copied()
    }

    /// When they were signed, in milliseconds since 1970, if the signature covers all of them and is for STS there.
    fn check(&self, host: &str, signing_region: &str) -> Result<i64, &'static str> {
        if self.get("host") != Some(host) {
            return Err("the header host is not the URL's");
        }
        if !self.get("content-type").is_some_and(|kind| CONTENT_TYPES.contains(&kind)) {
            return Err("the content type is not that of a form");
        }
        let date = self.get("x-amz-date").ok_or("there is no date")?;
        let authorization = self.get(AUTHORIZATION).ok_or("there is no signature")?;
        let signature = Authorization::read(authorization).ok_or("the signature is not in the form of version 4")?;
        if signature.date != date.get(..8).unwrap_or_default() || signature.region != signing_region {
            return Err("the signature is for another day or region");
        }
        let all: Vec<&str> = self.0.keys().copied().filter(|name| *name != AUTHORIZATION).collect();
        if signature.signed_headers.split(';').ne(all) {
            return Err("the signature does not cover all headers");
        }
        if let Some(missing) = SIGNED.iter().find(|name| self.get(name).is_none()) {
            return Err(if *missing == BINDING { "x-safeguard-bind is missing" } else { "a header is missing" });
        }
        dates::amz_ms(date).ok_or("the date is none")
    }

    fn to_send(&self) -> Option<HeaderMap> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.0 {
            let mut value = HeaderValue::from_str(value).ok()?;
            value.set_sensitive(*name == SESSION_TOKEN || *name == AUTHORIZATION);
            headers.insert(HeaderName::from_bytes(name.as_bytes()).ok()?, value);
        }
        Some(headers)
    }
}

/// The header that holds the signature (IAM User Guide, "Elements of an AWS API request signature").
struct Authorization<'a> {
    date: &'a str,
    region: &'a str,
    signed_headers: &'a str,
}

impl<'a> Authorization<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let rest = text.strip_prefix("AWS4-HMAC-SHA256 Credential=")?;
        let (credential, rest) = rest.split_once(", SignedHeaders=")?;
        let (signed_headers, signature) = rest.split_once(", Signature=")?;
        let scope: Vec<&str> = credential.splitn(6, '/').collect();
        let [key, date, region, "sts", "aws4_request"] = scope.as_slice() else { return None };
        // IAM API, AccessKey: 16 to 128 word characters.
        let key = (16..=128).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        let signature = signature.len() == 64 && signature.bytes().all(hex);
        (key && signature).then_some(Self { date, region, signed_headers })
    }
}

#[cfg(test)]
mod tests;
