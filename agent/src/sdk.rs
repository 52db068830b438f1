//! The configuration that all clients of AWS start from.

use std::path::PathBuf;

use safeguard_aws::{HttpOptions, SdkConfig, SdkError, SdkOptions};

use crate::config::{Environment, Resolved, Settings};

/// Region, TLS, proxies and credentials, as the settings and the environment have them. Nothing is fetched yet.
pub(crate) async fn sdk_config(
    settings: &Settings,
    resolved: &Resolved,
    environment: &Environment,
) -> Result<SdkConfig, SdkError> {
    let aws = &settings.aws;
    let options = SdkOptions {
        app: "safeguard-agent",
        region: resolved.names.region.clone(),
        imds_endpoint: resolved.found.or(aws.imds_endpoint.as_ref(), "aws.imds_endpoint"),
        http: HttpOptions {
            ca_bundle: aws.ca_bundle.clone().or_else(|| resolved.found.get("aws.ca_bundle").map(PathBuf::from)),
            proxies: environment.proxies(),
        },
        credentials: environment.credentials().cloned(),
    };
    safeguard_aws::sdk_config(&options).await
}
