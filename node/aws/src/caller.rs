//! A request to STS that says who signed it, made here and not sent: whoever is to know sends it on.
//!
//! It is `GetCallerIdentity` by POST, signed in headers (SigV4). One header of the caller's is signed too: it ties the request to
//! what it is for, so that nobody can use it for anything else.

use std::fmt;
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use tokio::time::timeout;

use crate::sts_host::sts_host;

/// What is asked (STS API reference, "GetCallerIdentity").
const BODY: &str = "Action=GetCallerIdentity&Version=2011-06-15";
/// Of a body of the query protocol.
const CONTENT_TYPE: &str = "application/x-www-form-urlencoded";
/// For credentials to come. From IMDS they take milliseconds.
const DEADLINE: Duration = Duration::from_secs(10);

/// A request that says who signed it. For 15 minutes, whoever has it can ask STS who that is, and nothing else. It holds the
/// session token of the credentials, but not their secret.
#[derive(Clone, PartialEq, Eq)]
pub struct CallerProof {
    /// `https://HOST/`, of STS in the region.
    pub url: String,
    /// Names in lower case, sorted. All but `authorization` are signed.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl fmt::Debug for CallerProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("CallerProof").field("url", &self.url).field("headers", &names).finish_non_exhaustive()
    }
}

/// Why there is no such request.
#[derive(Debug, thiserror::Error)]
pub enum CallerProofError {
    /// Not a region.
    #[error("{region:?} is not an AWS region; set one, such as eu-central-1")]
    Region {
        /// What was given.
        region: String,
    },
    /// Nobody gives credentials.
    #[error("there are no AWS credentials to sign a request to STS with: {0}")]
    Credentials(#[from] CredentialsError),
    /// They took too long.
    #[error("AWS credentials to sign a request to STS with did not come within {} s", DEADLINE.as_secs())]
    Late,
    /// The signature cannot be made. The reason holds no secrets.
    #[error("the request to STS cannot be signed: {0}")]
    Signing(String),
}

/// The request, signed at `now` with the credentials of `config`, for STS in `region`. `header` is signed too: its name in
/// lower case, and its value in plain ASCII.
///
/// # Errors
/// [`CallerProofError`], if the region is none, or if there are no credentials.
pub async fn caller_proof(
    config: &SdkConfig,
    region: &str,
    header: (&str, &str),
    now: SystemTime,
) -> Result<CallerProof, CallerProofError> {
    let host = sts_host(region).ok_or_else(|| CallerProofError::Region { region: region.to_owned() })?;
    let provider = config.credentials_provider().ok_or_else(|| CredentialsError::not_loaded("none are configured"))?;
    let credentials = timeout(DEADLINE, provider.provide_credentials()).await.map_err(|_| CallerProofError::Late)??;
    let url = format!("https://{host}/");
    let given = [("content-type", CONTENT_TYPE), ("host", &host), header];
    let identity = credentials.into();
    let signing = |error: &dyn fmt::Display| CallerProofError::Signing(error.to_string());
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("sts")
        .time(now)
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| signing(&error))?;
    let request = SignableRequest::new("POST", &url, given.into_iter(), SignableBody::Bytes(BODY.as_bytes()))
        .map_err(|error| signing(&error))?;
    let (instructions, _) = sign(request, &params.into()).map_err(|error| signing(&error))?.into_parts();
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let mut headers: Vec<(String, String)> = given.into_iter().chain(instructions.headers()).map(owned).collect();
    headers.sort();
    Ok(CallerProof { url, headers, body: BODY.to_owned() })
}

#[cfg(test)]
mod tests;
