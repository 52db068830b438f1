//! The token that an EKS cluster knows an AWS identity by: a presigned request to STS, which the API server sends on to ask
//! who made it. It is made here, without asking anybody and without running a program.
//!
//! The form is that of `aws eks get-token` and aws-iam-authenticator (kubernetes-sigs/aws-iam-authenticator,
//! `pkg/token/token.go`).

use std::fmt;
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
use aws_sigv4::sign::v4;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::time::timeout;

use crate::sts_host::sts_host;

/// What every such token begins with (token.go, `v1Prefix`).
const PREFIX: &str = "k8s-aws-v1.";
/// The signed header that ties a token to one cluster (token.go, `clusterIDHeader`).
const CLUSTER_HEADER: &str = "x-k8s-aws-id";
/// `X-Amz-Expires`. STS ignores it; authenticators up to 0.3.0 want 0 to 60 (token.go, `requestPresignParam`).
const PRESIGN: Duration = Duration::from_secs(60);
/// "presigned STS urls are valid for 15 minutes after timestamp in x-amz-date" (token.go, `presignedURLExpiration`).
const LIFETIME: Duration = Duration::from_secs(15 * 60);
/// A longer one is refused (token.go, `maxTokenLenBytes`).
const MAX_BYTES: usize = 4 * 1024;
/// For credentials to come. From IMDS they take milliseconds.
const DEADLINE: Duration = Duration::from_secs(10);

/// A token for the API server of one EKS cluster. It shows itself only to who asks for it by [`EksToken::expose`].
#[derive(Clone)]
pub struct EksToken {
    token: String,
    /// When to make the next one: two thirds of the way to [`EksToken::expires_at`].
    pub renew_at: SystemTime,
    /// From when on it is refused: after 15 minutes, or with the credentials that signed it.
    pub expires_at: SystemTime,
}

impl EksToken {
    /// The token itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.token
    }
}

impl fmt::Debug for EksToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EksToken")
            .field("renew_at", &self.renew_at)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum EksTokenError {
    /// Not the name of a cluster.
    #[error("{cluster:?} is not the name of an EKS cluster: up to 100 letters, digits, dashes and underscores")]
    Cluster {
        /// What was given.
        cluster: String,
    },
    /// Not a region.
    #[error("{region:?} is not an AWS region; set one, such as eu-central-1")]
    Region {
        /// What the configuration says.
        region: String,
    },
    /// Nobody gives credentials.
    #[error("there are no AWS credentials to sign a token with: {0}")]
    Credentials(#[from] CredentialsError),
    /// They took too long.
    #[error("AWS credentials to sign a token with did not come within {} s", DEADLINE.as_secs())]
    Late,
    /// The signature cannot be made. The reason holds no secrets.
    #[error("the token cannot be signed: {0}")]
    Signing(String),
    /// Longer than the API server takes.
    #[error("the token would have {0} bytes, and EKS takes {MAX_BYTES} at most")]
    TooLong(usize),
}

/// A token for `cluster`, signed at `now` with the credentials of `config`, by way of STS in its region.
///
/// # Errors
/// [`EksTokenError`] if the names are none, or if there are no credentials.
pub async fn eks_token(config: &SdkConfig, cluster: &str, now: SystemTime) -> Result<EksToken, EksTokenError> {
    let provider = config.credentials_provider().ok_or_else(|| CredentialsError::not_loaded("none are configured"))?;
    let credentials = timeout(DEADLINE, provider.provide_credentials()).await.map_err(|_| EksTokenError::Late)??;
    let region = config.region().map(AsRef::as_ref).unwrap_or_default();
    mint(&credentials, region, cluster, now)
}

fn mint(credentials: &Credentials, region: &str, cluster: &str, now: SystemTime) -> Result<EksToken, EksTokenError> {
    // EKS API, CreateCluster: `^[0-9A-Za-z][A-Za-z0-9\-_]*`, 1 to 100 characters.
    let letter = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if !(1..=100).contains(&cluster.len()) || !cluster.bytes().all(letter) {
        return Err(EksTokenError::Cluster { cluster: cluster.to_owned() });
    }
    let host = sts_host(region).ok_or_else(|| EksTokenError::Region { region: region.to_owned() })?;
    let url = presigned(credentials, region, &host, cluster, now)
        .map_err(|error| EksTokenError::Signing(error.to_string()))?;
    let token = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(url));
    if token.len() > MAX_BYTES {
        return Err(EksTokenError::TooLong(token.len()));
    }
    let expires_at = credentials.expiry().map_or(now + LIFETIME, |expiry| expiry.min(now + LIFETIME));
    let left = expires_at.duration_since(now).unwrap_or_default();
    Ok(EksToken { token, renew_at: now + left * 2 / 3, expires_at })
}

type SigningFailed = Box<dyn std::error::Error + Send + Sync>;

fn presigned(
    credentials: &Credentials,
    region: &str,
    host: &str,
    cluster: &str,
    now: SystemTime,
) -> Result<String, SigningFailed> {
    let url = format!("https://{host}/?Action=GetCallerIdentity&Version=2011-06-15");
    let mut settings = SigningSettings::default();
    settings.expires_in = Some(PRESIGN);
    settings.signature_location = SignatureLocation::QueryParams;
    let identity = credentials.clone().into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("sts")
        .time(now)
        .settings(settings)
        .build()?;
    let headers = [("host", host), (CLUSTER_HEADER, cluster)];
    let request = SignableRequest::new("GET", &url, headers.into_iter(), SignableBody::Bytes(&[]))?;
    let (instructions, _) = sign(request, &params.into())?.into_parts();
    let mut signed = http::Request::get(url).body(())?;
    instructions.apply_to_request_http1x(&mut signed);
    Ok(signed.uri().to_string())
}

#[cfg(test)]
mod tests;
