//! One question to the API server of a cluster.

use std::path::PathBuf;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request};
use http_body_util::Full;
use safeguard_daemon::settings::read_regular;

use crate::https::{Answer, Https, base};
use crate::verify::{Cluster, SettingsError};

/// The longest token that is read or sent on.
pub(crate) const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// An API server, and where our token for it is.
#[derive(Debug)]
pub(crate) struct ApiServer {
    https: Https,
    url: String,
    token_file: PathBuf,
}

impl ApiServer {
    /// Reads the authority that the settings name.
    pub(crate) fn new(cluster: &Cluster) -> Result<Self, SettingsError> {
        Ok(Self {
            https: Https::new(cluster.ca.as_deref())?,
            url: base(&format!("clusters.{}.server", cluster.name), &cluster.server)?,
            token_file: cluster.token_file.clone(),
        })
    }

    /// The answer, whatever its status, within 10 seconds and `most` bytes. The token is read anew: it is renewed where it lies. An
    /// error holds nothing of it.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: String, most: usize) -> Result<Answer, String> {
        let own = read_regular(&self.token_file, MAX_TOKEN_BYTES as u64)
            .map_err(|error| format!("{}: {error}", self.token_file.display()))?;
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", own.trim()))
            .map_err(|_| format!("{} holds no token", self.token_file.display()))?;
        bearer.set_sensitive(true);
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header(AUTHORIZATION, bearer)
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|_| "the request cannot be made".to_owned())?;
        self.https.ask(request, most).await.map_err(|error| error.to_string())
    }
}

/// The instance that a node is, by its `spec.providerID`, which the cloud's controller writes:
/// `aws:///eu-central-1a/i-0123456789abcdef0` (cloud-provider-aws).
pub(crate) fn instance_of(provider_id: &str) -> Option<&str> {
    provider_id.strip_prefix("aws:///").and_then(|rest| rest.rsplit_once('/')).map(|(_, instance)| instance)
}
