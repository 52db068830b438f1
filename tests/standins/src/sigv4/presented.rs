//! A signature as a request presents it.

use std::borrow::Cow;

use hyper::{HeaderMap, Uri, header};

use super::{ALGORITHM, Flaw, invalid, mismatch};

/// The query parameter that holds the signature; the one that the signature cannot cover.
pub(super) const SIGNATURE: &str = "X-Amz-Signature";

pub(super) struct Presented {
    pub(super) access_key_id: String,
    /// `YYYYMMDD`, of the scope.
    pub(super) scope_date: String,
    pub(super) region: String,
    pub(super) service: String,
    /// `YYYYMMDDTHHMMSSZ`.
    pub(super) date: String,
    pub(super) token: Option<String>,
    /// Lower case, parted by `;`.
    pub(super) signed_headers: String,
    pub(super) signature: String,
}

impl Presented {
    pub(super) fn covers(&self, header: &str) -> bool {
        self.signed_headers.split(';').any(|signed| signed == header)
    }

    pub(super) fn in_header(headers: &HeaderMap) -> Result<Presented, Flaw> {
        let value = text(headers, header::AUTHORIZATION.as_str())?.ok_or(Flaw::Unsigned)?;
        let incomplete = |what: &str| Flaw::Incomplete(format!("Authorization header requires {what}."));
        let parameters = value.strip_prefix(ALGORITHM).ok_or_else(|| incomplete("the algorithm AWS4-HMAC-SHA256"))?;
        let parameter = |name: &str| {
            let found = parameters.split(',').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
            found.ok_or_else(|| incomplete(&format!("'{name}' parameter")))
        };
        let credential = parameter("Credential")?;
        let scope = Scope::read(credential, || incomplete("a full credential scope in 'Credential'"))?;
        let signed_headers = parameter("SignedHeaders")?.to_owned();
        let signature = parameter("Signature")?.to_owned();
        let date = text(headers, "x-amz-date")?.ok_or_else(|| incomplete("existence of 'X-Amz-Date'"))?.to_owned();
        let token = text(headers, "x-amz-security-token")?.map(str::to_owned);
        Ok(scope.presented(date, token, signed_headers, signature))
    }

    pub(super) fn in_query(uri: &Uri) -> Result<Presented, Flaw> {
        let query = uri.query().unwrap_or_default();
        let optional = |name: &str| {
            let mut all = form_urlencoded::parse(query.as_bytes()).filter(|(found, _)| found == name);
            let first = all.next().map(|(_, value)| value);
            // Twice the same, and it would be a matter of taste which one counts.
            if all.next().is_some() { Err(mismatch()) } else { Ok(first) }
        };
        let incomplete = |what: &str| Flaw::Incomplete(format!("AWS query-string parameters must include '{what}'."));
        let parameter = |name: &str| -> Result<Cow<'_, str>, Flaw> { optional(name)?.ok_or_else(|| incomplete(name)) };
        if optional("X-Amz-Algorithm")?.ok_or(Flaw::Unsigned)? != ALGORITHM {
            return Err(incomplete("X-Amz-Algorithm"));
        }
        let scope = Scope::read(&parameter("X-Amz-Credential")?, || incomplete("X-Amz-Credential"))?;
        let (date, token) = (parameter("X-Amz-Date")?.into_owned(), optional("X-Amz-Security-Token")?);
        let signed_headers = parameter("X-Amz-SignedHeaders")?.into_owned();
        let signature = parameter(SIGNATURE)?.into_owned();
        Ok(scope.presented(date, token.map(Cow::into_owned), signed_headers, signature))
    }
}

/// `KEY/YYYYMMDD/REGION/SERVICE/aws4_request`.
struct Scope {
    access_key_id: String,
    date: String,
    region: String,
    service: String,
}

impl Scope {
    fn read(credential: &str, incomplete: impl Fn() -> Flaw) -> Result<Scope, Flaw> {
        let mut parts = credential.split('/');
        let mut next = || parts.next().map(str::to_owned).ok_or_else(&incomplete);
        let scope = Scope { access_key_id: next()?, date: next()?, region: next()?, service: next()? };
        if next()? != "aws4_request" {
            return Err(invalid("Credential should be scoped with a valid terminator: 'aws4_request'."));
        }
        Ok(scope)
    }

    fn presented(self, date: String, token: Option<String>, signed_headers: String, signature: String) -> Presented {
        let Scope { access_key_id, date: scope_date, region, service } = self;
        Presented { access_key_id, scope_date, region, service, date, token, signed_headers, signature }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Flaw> {
    headers.get(name).map(|value| value.to_str().map_err(|_| mismatch())).transpose()
}
