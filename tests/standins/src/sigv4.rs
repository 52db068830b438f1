//! Verifies AWS Signature Version 4 as the services do, in the `Authorization` header or in the query of a presigned
//! URL.
//!
//! Source: AWS General Reference / IAM User Guide, "Create a signed AWS API request".

use std::fmt::Write as _;

use aws_lc_rs::{constant_time, digest, hmac};
use hyper::{HeaderMap, Method, Uri, header};

use crate::{
    Account, Principal,
    account::{Found, NoKey},
    dates,
};

mod presented;

use presented::Presented;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The parts of a request that a signature covers, and what it is checked against.
pub(crate) struct Signed<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    /// SHA-256 of the body as it came over the wire.
    pub(crate) body: digest::Digest,
    pub(crate) service: &'a str,
    pub(crate) region: &'a str,
    /// How far the signature's date may be from `now_ms`, both ways.
    pub(crate) max_skew_seconds: i64,
    pub(crate) now_ms: i64,
    pub(crate) account: &'a Account,
}

/// Why a signature does not count. Each service has its own names for these.
#[derive(Debug)]
pub(crate) enum Flaw {
    /// There is none.
    Unsigned,
    /// A part of it is missing.
    Incomplete(String),
    /// Its key, or the session token, is not known.
    UnknownKey,
    /// Its key is past its end.
    ExpiredKey,
    /// It does not fit the request, the service, the region or the time.
    Invalid(String),
}

impl Signed<'_> {
    /// Who signed, by the `Authorization` header.
    pub(crate) fn verify(&self) -> Result<Principal, Flaw> {
        self.check(&Presented::in_header(self.headers)?, false)
    }

    /// Who signed, by the query of a presigned URL.
    pub(crate) fn verify_presigned(&self) -> Result<Principal, Flaw> {
        self.check(&Presented::in_query(self.uri)?, true)
    }

    fn check(&self, presented: &Presented, presigned: bool) -> Result<Principal, Flaw> {
        let found = self.account.find(&presented.access_key_id, presented.token.as_deref(), self.now_ms);
        let Found { secret, principal } = found.map_err(|why| match why {
            NoKey::Unknown => Flaw::UnknownKey,
            NoKey::Expired => Flaw::ExpiredKey,
        })?;
        self.check_scope(presented)?;
        self.check_skew(&presented.date)?;
        self.check_signed_headers(presented)?;
        let payload = hex(self.body.as_ref());
        if let Some(claimed) = self.headers.get("x-amz-content-sha256")
            && claimed.as_bytes() != payload.as_bytes()
        {
            return Err(mismatch());
        }
        let request = self.canonical_request(presented, presigned, &payload)?;
        let Presented { scope_date, region, date, .. } = presented;
        let scope = format!("{scope_date}/{region}/{}/aws4_request", self.service);
        let hashed = hex(digest::digest(&digest::SHA256, request.as_bytes()).as_ref());
        let string_to_sign = format!("{ALGORITHM}\n{date}\n{scope}\n{hashed}");
        let key = signing_key(&secret, scope_date, region, self.service);
        let expected = hex(hmac::sign(&key, string_to_sign.as_bytes()).as_ref());
        constant_time::verify_slices_are_equal(expected.as_bytes(), presented.signature.as_bytes())
            .map_err(|_| mismatch())?;
        Ok(principal)
    }

    fn check_scope(&self, presented: &Presented) -> Result<(), Flaw> {
        if presented.service != self.service {
            return Err(invalid(format!("Credential should be scoped to correct service: '{}'.", self.service)));
        }
        if presented.region != self.region {
            let region = &presented.region;
            return Err(invalid(format!("Credential should be scoped to a valid region, not '{region}'.")));
        }
        if !presented.date.starts_with(&presented.scope_date) || presented.scope_date.len() != 8 {
            return Err(invalid("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date."));
        }
        Ok(())
    }

    fn check_skew(&self, date: &str) -> Result<(), Flaw> {
        let signed = dates::parse_amz(date).ok_or_else(|| invalid("Date must be in ISO-8601 'basic format'."))?;
        let now = self.now_ms.div_euclid(1_000);
        let skew = self.max_skew_seconds;
        let (here, minutes) = (dates::amz(now), skew / 60);
        if signed < now - skew {
            let earliest = dates::amz(now - skew);
            return Err(invalid(format!(
                "Signature expired: {date} is now earlier than {earliest} ({here} - {minutes} min.)"
            )));
        }
        if signed > now + skew {
            let latest = dates::amz(now + skew);
            return Err(invalid(format!(
                "Signature not yet current: {date} is still later than {latest} ({here} + {minutes} min.)"
            )));
        }
        Ok(())
    }

    // `host` and every `x-amz-*` header have to be covered, or they could be changed on the way.
    fn check_signed_headers(&self, presented: &Presented) -> Result<(), Flaw> {
        let needed = self.headers.keys().map(header::HeaderName::as_str);
        let mut needed = needed.chain(["host"]).filter(|name| *name == "host" || name.starts_with("x-amz-"));
        match needed.find(|name| !presented.covers(name)) {
            Some(name) => Err(invalid(format!("'{name}' must be a 'SignedHeader' in the AWS Authorization."))),
            None => Ok(()),
        }
    }

    fn canonical_request(&self, presented: &Presented, presigned: bool, payload: &str) -> Result<String, Flaw> {
        let query = self.uri.query().unwrap_or_default();
        let parameters = query.split('&').filter(|parameter| !parameter.is_empty());
        let parameters = parameters.map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")));
        let mut parameters: Vec<_> =
            parameters.filter(|(name, _)| !(presigned && *name == presented::SIGNATURE)).collect();
        parameters.sort_unstable();
        let parameters: Vec<String> = parameters.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut canonical = format!("{}\n{}\n{}\n", self.method, self.uri.path(), parameters.join("&"));
        for name in presented.signed_headers.split(';') {
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
        canonical.push_str(&presented.signed_headers);
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

fn signing_key(secret: &str, date: &str, region: &str, service: &str) -> hmac::Key {
    let step = |key: &[u8], text: &str| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes());
    let date = step(format!("AWS4{secret}").as_bytes(), date);
    let region = step(date.as_ref(), region);
    let service = step(region.as_ref(), service);
    hmac::Key::new(hmac::HMAC_SHA256, step(service.as_ref(), "aws4_request").as_ref())
}

fn invalid(message: impl Into<String>) -> Flaw {
    Flaw::Invalid(message.into())
}

fn mismatch() -> Flaw {
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
