//! AssumeRole, by the AWS SDK.

use std::time::Duration;

use aws_sdk_sts::Client;
use aws_sdk_sts::config::retry::RetryConfig;
use aws_sdk_sts::config::timeout::TimeoutConfig;
use aws_sdk_sts::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_sts::types::Tag;
use safeguard_aws::SdkConfig;
use safeguard_daemon::clock;
use secrecy::SecretString;

use crate::assume::{Assume, AssumeError, AssumeErrorKind, Assumed, Credentials};
use crate::authorise::SessionKey;

/// For one try. STS answers in some 50 to 300 ms; a try that takes longer than this has met a dead connection.
const TRY_DEADLINE: Duration = Duration::from_secs(3);

/// Tries of one call, for what is over at once: a connection that was closed, a 500. Everything longer is the pauses' business.
const TRIES: u32 = 2;

/// STS, through its SDK.
#[derive(Debug)]
pub(crate) struct Sts {
    client: Client,
}

impl Sts {
    /// `endpoint` stands in the place of the region's. The SDK knows regions, partitions, FIPS and dual-stack.
    pub(crate) fn new(sdk: &SdkConfig, endpoint: Option<&str>) -> Self {
        let mut config = aws_sdk_sts::config::Builder::from(sdk)
            .retry_config(RetryConfig::standard().with_max_attempts(TRIES))
            .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(TRY_DEADLINE).build());
        if let Some(endpoint) = endpoint {
            config = config.endpoint_url(endpoint);
        }
        Self { client: Client::from_conf(config.build()) }
    }

    async fn call(&self, key: &SessionKey) -> Result<Credentials, AssumeError> {
        let tags = key.tags.iter().map(|(name, value)| Tag::builder().key(name).value(value).build());
        let tags = tags.collect::<Result<Vec<_>, _>>().map_err(|error| broken(&error.to_string()))?;
        let call = self
            .client
            .assume_role()
            .role_arn(key.role.as_str())
            .role_session_name(&key.session_name)
            .set_external_id(key.external_id.clone())
            .duration_seconds(i32::try_from(key.duration).unwrap_or(3_600))
            .set_tags((!tags.is_empty()).then_some(tags));
        let output = call.send().await.map_err(|error| refused(&error))?;
        let credentials = output.credentials().ok_or_else(|| broken("the reply has no credentials"))?;
        let expires_ms = credentials.expiration().to_millis().map_err(|error| broken(&error.to_string()))?;
        let (id, secret) = (credentials.access_key_id(), credentials.secret_access_key());
        let token = credentials.session_token();
        whole(id, secret, token, expires_ms, clock::now_ms())?;
        Ok(Credentials {
            access_key_id: id.to_owned(),
            secret_access_key: SecretString::from(secret),
            token: SecretString::from(token),
            expires_ms,
        })
    }
}

/// The SDK takes a reply that breaks off for a whole one: its last members are then cut, empty, or of 1970.
fn whole(id: &str, secret: &str, token: &str, expires_ms: i64, now_ms: i64) -> Result<(), AssumeError> {
    // STS API reference, Credentials: an access key id has 16 to 128 characters of `\w`.
    let is_id = (16..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let is_text = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    if !is_id || !is_text(secret) || !is_text(token) {
        return Err(broken("the reply has no whole credentials"));
    }
    if expires_ms <= now_ms {
        return Err(broken("the reply broke off, or its credentials have expired: is this node's clock right?"));
    }
    Ok(())
}

impl Assume for Sts {
    fn assume<'a>(&'a self, key: &'a SessionKey) -> Assumed<'a> {
        Box::pin(self.call(key))
    }
}

fn broken(message: &str) -> AssumeError {
    let kind = AssumeErrorKind::Unavailable;
    AssumeError { kind, code: "BadReply".to_owned(), message: message.to_owned() }
}

/// STS API reference, "Common errors" and AssumeRole, "Errors": what another try may change, and what it will not.
fn refused<E: ProvideErrorMetadata + std::error::Error + 'static>(error: &SdkError<E>) -> AssumeError {
    let code = error.code().unwrap_or(match error {
        SdkError::TimeoutError(_) => "Timeout",
        SdkError::DispatchFailure(_) => "NotReached",
        SdkError::ConstructionFailure(_) => "NoCredentials",
        _ => "BadReply",
    });
    let kind = match code {
        "AccessDenied"
        | "ValidationError"
        | "MalformedPolicyDocument"
        | "PackedPolicyTooLarge"
        | "RegionDisabledException" => AssumeErrorKind::Denied,
        _ => AssumeErrorKind::Unavailable,
    };
    let message = match error.message() {
        Some(message) => message.to_owned(),
        None => DisplayErrorContext(error).to_string(),
    };
    AssumeError { kind, code: code.to_owned(), message }
}

#[cfg(test)]
mod tests;
