//! The configuration that every SDK client on this node starts from.

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::imds;
use aws_config::provider_config::ProviderConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;

use crate::IdentityError;
use crate::http::{HttpError, HttpOptions, http_client};

/// What the operator decides about the SDK.
#[derive(Debug, Clone, Default)]
pub struct SdkOptions {
    /// How the program calls itself to AWS, in `User-Agent` and so in CloudTrail: letters, digits and dashes.
    pub app: &'static str,
    /// AWS region, such as `eu-central-1`.
    pub region: String,
    /// Another URL for the metadata service, which may give credentials.
    pub imds_endpoint: Option<String>,
    /// TLS and proxies.
    pub http: HttpOptions,
    /// Credentials in the place of the default chain: for tests, and for programs that run an agent inside themselves.
    pub credentials: Option<Credentials>,
}

/// The configuration for SDK clients: region, HTTP client, and the default chain of credentials (environment, profile
/// files, web identity, container credentials, IMDS). What the SDK reads from the environment by itself
/// (`AWS_USE_FIPS_ENDPOINT`, `AWS_USE_DUALSTACK_ENDPOINT`, `AWS_PROFILE`, ...) stays in force. Nothing is fetched yet.
///
/// # Errors
/// [`SdkError`] if the CA bundle, a proxy or the metadata service's URL cannot be used.
pub async fn sdk_config(options: &SdkOptions) -> Result<SdkConfig, SdkError> {
    let http = http_client(&options.http)?;
    let region = Region::new(options.region.clone());
    let provider = ProviderConfig::without_region()
        .with_behavior_version(Some(BehaviorVersion::latest()))
        .with_region(Some(region.clone()))
        .with_http_client(http.clone());
    let credentials = match &options.credentials {
        Some(credentials) => SharedCredentialsProvider::new(credentials.clone()),
        None => {
            let imds = imds_client(options.imds_endpoint.as_deref(), &provider)?;
            let chain = DefaultCredentialsChain::builder().configure(provider).imds_client(imds);
            SharedCredentialsProvider::new(chain.region(region.clone()).build().await)
        }
    };
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .region(region)
        .http_client(http)
        .credentials_provider(credentials);
    if let Ok(name) = AppName::new(options.app) {
        loader = loader.app_name(name);
    }
    Ok(loader.load().await)
}

/// A role that is taken with other credentials.
#[derive(Debug, Clone, Copy)]
pub struct AssumedRole<'a> {
    /// Its ARN.
    pub arn: &'a str,
    /// How the session is called, in CloudTrail too.
    pub session: &'static str,
    /// What its trust policy asks for (`sts:ExternalId`).
    pub external_id: Option<&'a str>,
    /// Another URL for STS.
    pub endpoint: Option<&'a str>,
}

/// Credentials of a role, taken with those of `base` in its region. Each question is a call of STS: nothing is kept.
pub async fn assume_role(base: &SdkConfig, role: AssumedRole<'_>) -> SharedCredentialsProvider {
    let mut base = base.to_builder();
    if let Some(endpoint) = role.endpoint {
        base = base.endpoint_url(endpoint);
    }
    let mut provider = AssumeRoleProvider::builder(role.arn).session_name(role.session).configure(&base.build());
    if let Some(external_id) = role.external_id {
        provider = provider.external_id(external_id);
    }
    SharedCredentialsProvider::new(provider.build().await)
}

pub(crate) fn imds_client(endpoint: Option<&str>, provider: &ProviderConfig) -> Result<imds::Client, IdentityError> {
    let mut client = imds::Client::builder().configure(provider);
    if let Some(endpoint) = endpoint {
        client = client
            .endpoint(endpoint)
            .map_err(|error| IdentityError::Endpoint { endpoint: endpoint.to_owned(), reason: error.to_string() })?;
    }
    Ok(client.build())
}

/// Why an SDK cannot be configured.
#[derive(Debug, thiserror::Error)]
pub enum SdkError {
    /// TLS or a proxy.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The metadata service's URL.
    #[error(transparent)]
    Imds(#[from] IdentityError),
}
