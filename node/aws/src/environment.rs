//! The environment as a value: libraries here read no variables of the process behind their caller's back.

use std::collections::BTreeMap;

use crate::http::Proxies;
use crate::{Credentials, Identity, IdentityError, IdentityTexts, Wanted, identity, identity_proof};

/// The variables that mean something to programs of ours. Those that the AWS SDK reads by itself (credentials, profiles, FIPS
/// and dual-stack endpoints) are not among them.
const NAMES: [&str; 21] = [
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS",
    "AWS_ENDPOINT_URL_STS",
    "AWS_ENDPOINT_URL",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_CA_BUNDLE",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_EC2_METADATA_DISABLED",
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "NO_PROXY",
    "no_proxy",
    "NODE_NAME",
    "POD_NAMESPACE",
    "POD_NAME",
    "KUBERNETES_SERVICE_HOST",
    "KUBERNETES_SERVICE_PORT",
    "CREDENTIALS_DIRECTORY",
];

/// What the process was started with, as far as programs of ours look at it.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    credentials: Option<Credentials>,
}

impl std::fmt::Debug for Environment {
    /// Names only: a proxy's URL may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&String> = self.variables.keys().collect();
        f.debug_struct("Environment").field("names", &names).finish_non_exhaustive()
    }
}

impl Environment {
    /// The environment of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let get = |name: &str| Some((name.to_owned(), std::env::var(name).ok()?));
        Self { variables: NAMES.into_iter().filter_map(get).collect(), credentials: None }
    }

    /// Nothing is set.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Sets a variable in this value; the process's own environment is not touched.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Uses these AWS credentials in the place of the default chain: for a program of ours inside another.
    #[must_use]
    pub fn with_credentials(mut self, access_key_id: &str, secret: &str, session_token: Option<&str>) -> Self {
        let token = session_token.map(str::to_owned);
        self.credentials = Some(Credentials::new(access_key_id, secret, token, None, "given"));
        self
    }

    /// The value of a variable; `None` when it is unset or empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The first of these variables that has a value, and that value.
    #[must_use]
    pub fn first(&self, names: &[&'static str]) -> Option<(&'static str, &str)> {
        names.iter().find_map(|name| Some((*name, self.get(name)?)))
    }

    /// Whether a variable says `true`, in any case.
    #[must_use]
    pub fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, in capitals or in small letters.
    #[must_use]
    pub fn proxies(&self) -> Proxies {
        let any = |names: &[&'static str]| self.first(names).map(|(_, value)| value.to_owned());
        Proxies {
            https: any(&["HTTPS_PROXY", "https_proxy"]),
            http: any(&["HTTP_PROXY", "http_proxy"]),
            none: any(&["NO_PROXY", "no_proxy"]),
        }
    }

    /// Those of [`with_credentials`](Self::with_credentials).
    #[must_use]
    pub fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    /// Asks the metadata service at `endpoint` who this instance is, unless `AWS_EC2_METADATA_DISABLED` forbids it.
    ///
    /// # Errors
    /// Those of [`identity()`], and [`IdentityError::Off`].
    pub async fn identity(&self, endpoint: Option<&str>, wanted: Wanted<'_>) -> Result<Identity, IdentityError> {
        if self.is_true("AWS_EC2_METADATA_DISABLED") {
            return Err(IdentityError::Off);
        }
        identity(endpoint, wanted).await
    }

    /// Asks the metadata service at `endpoint` for the instance identity document and its signature, unless
    /// `AWS_EC2_METADATA_DISABLED` forbids it.
    ///
    /// # Errors
    /// Those of [`identity_proof()`], and [`IdentityError::Off`].
    pub async fn identity_proof(&self, endpoint: Option<&str>) -> Result<IdentityTexts, IdentityError> {
        if self.is_true("AWS_EC2_METADATA_DISABLED") {
            return Err(IdentityError::Off);
        }
        identity_proof(endpoint).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_variable_and_no_credential_is_shown_by_debug() {
        let environment = Environment::empty().with("HTTPS_PROXY", "http://user:hunter2@proxy:3128").with_credentials(
            "AKIDEXAMPLE",
            "topsecret",
            Some("tokentoken"),
        );
        let shown = format!("{environment:?} {:?}", environment.proxies());
        for secret in ["hunter2", "topsecret", "tokentoken"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}
