//! Verifies AWS Signature Version 4 as the service does.
//!
//! Source: AWS General Reference / IAM User Guide, "Create a signed AWS API request". Presigned URLs are not
//! part of this protocol and are not accepted.

use std::fmt::Write as _;

use aws_lc_rs::{constant_time, digest, hmac};
use hyper::{HeaderMap, Method, Uri, header};

use crate::cloudwatch::{
    credentials::{Keys, Secret},
    dates,
    error::ApiError,
    limits,
};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const SERVICE: &str = "logs";

/// The parts of a request that a signature covers, and what it is checked against.
pub(crate) struct Signed<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    /// SHA-256 of the body as it came over the wire.
    pub(crate) body: digest::Digest,
    pub(crate) region: &'a str,
    pub(crate) now_ms: i64,
}

struct Authorization<'a> {
    access_key_id: &'a str,
    date: &'a str,
    region: &'a str,
    service: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

impl Signed<'_> {
    pub(crate) fn verify(&self, keys: &Keys) -> Result<(), ApiError> {
        let authorization = self.authorization()?;
        let date = self.date()?;
        let secret = keys.find(authorization.access_key_id, self.header("x-amz-security-token")?, self.now_ms)?;
        self.check_scope(&authorization, date)?;
        self.check_skew(date)?;
        self.check_signed_headers(&authorization)?;
        let payload = hex(self.body.as_ref());
        if let Some(claimed) = self.header("x-amz-content-sha256")?
            && claimed != payload
        {
            return Err(mismatch());
        }
        let request = self.canonical_request(&authorization, &payload)?;
        let scope = format!("{}/{}/{SERVICE}/aws4_request", authorization.date, authorization.region);
        let hashed = hex(digest::digest(&digest::SHA256, request.as_bytes()).as_ref());
        let string_to_sign = format!("{ALGORITHM}\n{date}\n{scope}\n{hashed}");
        let key = signing_key(&secret, authorization.date, authorization.region);
        let expected = hex(hmac::sign(&key, string_to_sign.as_bytes()).as_ref());
        constant_time::verify_slices_are_equal(expected.as_bytes(), authorization.signature.as_bytes())
            .map_err(|_| mismatch())
    }

    fn header(&self, name: &str) -> Result<Option<&str>, ApiError> {
        self.headers.get(name).map(|value| value.to_str().map_err(|_| mismatch())).transpose()
    }

    fn authorization(&self) -> Result<Authorization<'_>, ApiError> {
        let value = self
            .header(header::AUTHORIZATION.as_str())?
            .ok_or_else(|| ApiError::new("MissingAuthenticationTokenException", "Missing Authentication Token"))?;
        let incomplete = |what: &str| {
            ApiError::new("IncompleteSignatureException", format!("Authorization header requires {what}."))
        };
        let parameters = value.strip_prefix(ALGORITHM).ok_or_else(|| incomplete("the algorithm AWS4-HMAC-SHA256"))?;
        let parameter = |name: &str| {
            let found = parameters.split(',').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
            found.ok_or_else(|| incomplete(&format!("'{name}' parameter")))
        };
        let mut scope = parameter("Credential")?.split('/');
        let mut next = || scope.next().ok_or_else(|| incomplete("a full credential scope in 'Credential'"));
        let (access_key_id, date, region, service, end) = (next()?, next()?, next()?, next()?, next()?);
        if end != "aws4_request" {
            return Err(invalid("Credential should be scoped with a valid terminator: 'aws4_request'."));
        }
        let signed_headers = parameter("SignedHeaders")?;
        let signature = parameter("Signature")?;
        Ok(Authorization { access_key_id, date, region, service, signed_headers, signature })
    }

    fn date(&self) -> Result<&str, ApiError> {
        self.header("x-amz-date")?.ok_or_else(|| {
            ApiError::new("IncompleteSignatureException", "Authorization header requires existence of 'X-Amz-Date'.")
        })
    }

    fn check_scope(&self, authorization: &Authorization<'_>, date: &str) -> Result<(), ApiError> {
        if authorization.service != SERVICE {
            return Err(invalid("Credential should be scoped to correct service: 'logs'."));
        }
        if authorization.region != self.region {
            return Err(invalid(format!(
                "Credential should be scoped to a valid region, not '{}'.",
                authorization.region
            )));
        }
        if !date.starts_with(authorization.date) || authorization.date.len() != 8 {
            return Err(invalid("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date."));
        }
        Ok(())
    }

    fn check_skew(&self, date: &str) -> Result<(), ApiError> {
        let signed = dates::parse_amz(date).ok_or_else(|| invalid("Date must be in ISO-8601 'basic format'."))?;
        let now = self.now_ms.div_euclid(1_000);
        let (here, earliest) = (dates::amz(now), dates::amz(now - limits::MAX_SKEW_SECONDS));
        if signed < now - limits::MAX_SKEW_SECONDS {
            return Err(invalid(format!("Signature expired: {date} is now earlier than {earliest} ({here} - 5 min.)")));
        }
        let latest = dates::amz(now + limits::MAX_SKEW_SECONDS);
        if signed > now + limits::MAX_SKEW_SECONDS {
            return Err(invalid(format!(
                "Signature not yet current: {date} is still later than {latest} ({here} + 5 min.)"
            )));
        }
        Ok(())
    }

    // `host` and every `x-amz-*` header have to be covered, or they could be changed on the way.
    fn check_signed_headers(&self, authorization: &Authorization<'_>) -> Result<(), ApiError> {
        let signed = |name: &str| authorization.signed_headers.split(';').any(|signed| signed == name);
        let needed = self.headers.keys().map(header::HeaderName::as_str);
        match needed.chain(["host"]).find(|name| (*name == "host" || name.starts_with("x-amz-")) && !signed(name)) {
            Some(name) => Err(invalid(format!("'{name}' must be a 'SignedHeader' in the AWS Authorization."))),
            None => Ok(()),
        }
    }

    fn canonical_request(&self, authorization: &Authorization<'_>, payload: &str) -> Result<String, ApiError> {
        let mut parameters: Vec<&str> = self.uri.query().unwrap_or_default().split('&').collect();
        parameters.sort_unstable();
        let mut canonical = format!("{}\n{}\n{}\n", self.method, self.uri.path(), parameters.join("&"));
        for name in authorization.signed_headers.split(';') {
            canonical.push_str(name);
            let mut separator = ':';
            for value in self.headers.get_all(name) {
                canonical.push(separator);
                separator = ',';
                push_trimmed(&mut canonical, value.to_str().map_err(|_| mismatch())?);
            }
            if separator == ':' {
                return Err(mismatch());
            }
            canonical.push('\n');
        }
        canonical.push('\n');
        canonical.push_str(authorization.signed_headers);
        canonical.push('\n');
        canonical.push_str(payload);
        Ok(canonical)
    }
}

fn push_trimmed(canonical: &mut String, value: &str) {
    for (index, word) in value.split(' ').filter(|word| !word.is_empty()).enumerate() {
        if index > 0 {
            canonical.push(' ');
        }
        canonical.push_str(word);
    }
}

fn signing_key(secret: &Secret, date: &str, region: &str) -> hmac::Key {
    let step = |key: &[u8], text: &str| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes());
    let date = step(format!("AWS4{}", secret.0).as_bytes(), date);
    let region = step(date.as_ref(), region);
    let service = step(region.as_ref(), SERVICE);
    hmac::Key::new(hmac::HMAC_SHA256, step(service.as_ref(), "aws4_request").as_ref())
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> ApiError {
    ApiError::new("InvalidSignatureException", message)
}

fn mismatch() -> ApiError {
    invalid(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access \
         Key and signing method. Consult the service documentation for details.",
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let written = write!(text, "{byte:02x}");
        debug_assert!(written.is_ok(), "writing to a String does not fail");
        text
    })
}
