//! Presigned GetCallerIdentity URLs as tokens for EKS, checked as kubernetes-sigs/aws-iam-authenticator does
//! (`pkg/token`), except that STS is not asked: the signature is verified here.

use std::collections::BTreeSet;

use aws_lc_rs::digest;
use hyper::{HeaderMap, Method, Uri, header::HeaderValue};

use super::limits;
use crate::{Account, Principal, sigv4::Signed};

/// Comes before the URL in a token, which is in base64url without padding.
const PREFIX: &str = "k8s-aws-v1.";

/// The parameters a token's URL may have, in lower case.
const PARAMETERS: [&str; 9] = [
    "action",
    "version",
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-security-token",
    "x-amz-signature",
    "x-amz-signedheaders",
];

/// What tokens are checked against.
#[derive(Clone, Copy, Debug)]
pub struct TokenCheck<'a> {
    /// Knows the keys.
    pub account: &'a Account,
    /// The region of the STS endpoint.
    pub region: &'a str,
    /// The name of the cluster, which the token has to be for.
    pub cluster: &'a str,
    /// Endpoints that tokens may name besides `https://sts.REGION.amazonaws.com` and `https://sts.amazonaws.com`, such
    /// as `http://127.0.0.1:1234`.
    pub endpoints: &'a [String],
    /// The time, in milliseconds since the epoch.
    pub now_ms: i64,
}

impl TokenCheck<'_> {
    /// Whose token this is.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn verify(&self, token: &str) -> Result<Principal, String> {
        let encoded = token.strip_prefix(PREFIX).ok_or("token is missing expected \"k8s-aws-v1.\" prefix")?;
        let url = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(encoded).map_err(|error| error.to_string())?;
        self.verify_url(std::str::from_utf8(&url).map_err(|error| error.to_string())?)
    }

    /// Who signed this URL.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn verify_url(&self, url: &str) -> Result<Principal, String> {
        let uri: Uri = url.parse().map_err(|error| format!("not a URL: {error}"))?;
        let host = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
        let endpoint = format!("{}://{host}", uri.scheme_str().unwrap_or_default());
        let regional = format!("https://sts.{}.amazonaws.com", self.region);
        let known = endpoint == regional || endpoint == "https://sts.amazonaws.com";
        if !known && !self.endpoints.contains(&endpoint) {
            return Err(format!("unexpected endpoint {endpoint:?} in pre-signed URL"));
        }
        if uri.path() != "/" {
            return Err("unexpected path in pre-signed URL".to_owned());
        }
        self.check_parameters(uri.query().unwrap_or_default())?;

        let mut headers = HeaderMap::new();
        for (name, value) in [("host", host), ("x-k8s-aws-id", self.cluster)] {
            headers.insert(name, HeaderValue::from_str(value).map_err(|error| error.to_string())?);
        }
        let signed = Signed {
            method: &Method::GET,
            uri: &uri,
            headers: &headers,
            body: digest::digest(&digest::SHA256, b""),
            service: "sts",
            region: self.region,
            max_skew_seconds: i64::from(limits::MAX_EXPIRES_SECONDS),
            now_ms: self.now_ms,
            account: self.account,
        };
        signed.verify_presigned().map_err(|flaw| format!("{flaw:?}"))
    }

    fn check_parameters(&self, query: &str) -> Result<(), String> {
        let mut seen = BTreeSet::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let name = name.to_lowercase();
            if !PARAMETERS.contains(&name.as_str()) {
                return Err(format!("non-whitelisted query parameter {name:?}"));
            }
            let right = match name.as_str() {
                "action" => value == "GetCallerIdentity",
                "version" => value == "2011-06-15",
                "x-amz-expires" => value.parse().is_ok_and(|seconds: u32| seconds <= limits::MAX_EXPIRES_SECONDS),
                // Without it a token for one cluster would do for another.
                "x-amz-signedheaders" => value.split(';').any(|header| header == "x-k8s-aws-id"),
                _ => true,
            };
            if !right {
                return Err(format!("invalid {name} parameter in pre-signed URL: {value}"));
            }
            if !seen.insert(name) {
                return Err("query parameter with multiple values not supported".to_owned());
            }
        }
        match ["action", "x-amz-expires", "x-amz-signedheaders"].iter().find(|name| !seen.contains(**name)) {
            Some(missing) => Err(format!("missing {missing} parameter in pre-signed URL")),
            None => Ok(()),
        }
    }
}
