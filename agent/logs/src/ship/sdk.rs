//! The calls, made by the AWS SDK. It resolves endpoints and credentials, signs, and speaks TLS.
//!
//! The body of `PutLogEvents` is ours: it was written straight from the read buffer, and an interceptor puts it in the
//! place of the (empty) one that the SDK would serialise. The SDK's own retries are off: each try has to pass the limiter,
//! and a request that may have been stored must not be repeated behind our back.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::config::interceptors::{
    AfterDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextMut,
};
use aws_sdk_cloudwatchlogs::config::retry::RetryConfig;
use aws_sdk_cloudwatchlogs::config::timeout::TimeoutConfig;
use aws_sdk_cloudwatchlogs::config::{Config, ConfigBag, IdentityCache, Intercept, RuntimeComponents};
use aws_sdk_cloudwatchlogs::error::{BoxError, ProvideErrorMetadata, SdkError};
use aws_sdk_cloudwatchlogs::types::{LogGroupClass, RejectedLogEventsInfo};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;

use super::api::{Failure, FailureKind, LogsApi, Rejected};
use crate::settings::{GroupClass, NewGroups};

/// How long a call may take in all, connecting included.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// For a TCP connection and its TLS handshake.
    pub connect: Duration,
    /// From the last byte sent to the first one received.
    pub read: Duration,
    /// For the whole call.
    pub total: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), read: Duration::from_secs(20), total: Duration::from_secs(60) }
    }
}

/// CloudWatch Logs through the AWS SDK.
#[derive(Debug)]
pub struct SdkLogs {
    client: RwLock<Client>,
    total: Duration,
}

impl SdkLogs {
    /// A client for the SDK configuration that the program made: region, credentials, endpoint, HTTP client.
    #[must_use]
    pub fn new(config: &Config, deadlines: Deadlines) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(deadlines.connect)
            .read_timeout(deadlines.read)
            .operation_attempt_timeout(deadlines.total)
            .operation_timeout(deadlines.total);
        let config = config.to_builder().retry_config(RetryConfig::disabled()).timeout_config(timeouts.build()).build();
        Self { client: RwLock::new(Client::from_conf(config)), total: deadlines.total }
    }

    fn client(&self) -> Client {
        self.client.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The SDK ends every call by itself; this holds even if it does not.
    async fn within<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let late = self.total + Duration::from_secs(5);
        tokio::time::timeout(late, call).await.unwrap_or_else(|_| {
            let message = format!("no reply within {} s", late.as_secs());
            Err(Failure { kind: FailureKind::Transient, operation, message })
        })
    }
}

impl LogsApi for SdkLogs {
    async fn put(&self, body: Bytes, gzip: bool) -> Result<Rejected, Failure> {
        const OPERATION: &str = super::attempt::PUT;
        let asked = Arc::<OnceLock<String>>::default();
        let ready = ReadyBody { body, gzip, asked: asked.clone() };
        let call = self.client().put_log_events().customize().interceptor(ready);
        let send = async { call.send().await.map_err(|e| failure(OPERATION, &e)) };
        let output = self.within(OPERATION, send).await.map_err(|mut failure| {
            if let (FailureKind::Transient, Some(url)) = (failure.kind, asked.get()) {
                failure.message = format!("{url}: {}", failure.message);
            }
            failure
        })?;
        Ok(output.rejected_log_events_info().map(rejected).unwrap_or_default())
    }

    async fn create_stream(&self, group: &str, stream: &str) -> Result<(), Failure> {
        const OPERATION: &str = "CreateLogStream";
        let call = self.client().create_log_stream().log_group_name(group).log_stream_name(stream);
        self.within(OPERATION, async { call.send().await.map_err(|e| failure(OPERATION, &e)) }).await.map(drop)
    }

    async fn create_group(&self, group: &str, new: &NewGroups) -> Result<(), Failure> {
        const OPERATION: &str = "CreateLogGroup";
        let mut call = self.client().create_log_group().log_group_name(group).set_kms_key_id(new.kms_key.clone());
        // The default class is left out: some partitions do not know the member.
        if new.class == GroupClass::InfrequentAccess {
            call = call.log_group_class(LogGroupClass::InfrequentAccess);
        }
        for (key, value) in &new.tags {
            call = call.tags(key, value);
        }
        self.within(OPERATION, async { call.send().await.map_err(|e| failure(OPERATION, &e)) }).await.map(drop)
    }

    async fn set_retention(&self, group: &str, days: u32) -> Result<(), Failure> {
        const OPERATION: &str = "PutRetentionPolicy";
        let days = i32::try_from(days).unwrap_or(i32::MAX);
        let call = self.client().put_retention_policy().log_group_name(group).retention_in_days(days);
        self.within(OPERATION, async { call.send().await.map_err(|e| failure(OPERATION, &e)) }).await.map(drop)
    }

    fn credentials_refused(&self) {
        // A new identity cache asks the provider again, whatever expiry it gave for the refused ones.
        let fresh = self.client().config().to_builder().identity_cache(IdentityCache::lazy().build()).build();
        *self.client.write().unwrap_or_else(PoisonError::into_inner) = Client::from_conf(fresh);
    }
}

fn rejected(info: &RejectedLogEventsInfo) -> Rejected {
    let index = |i: Option<i32>| i.and_then(|i| usize::try_from(i).ok());
    Rejected {
        too_old_end: index(info.too_old_log_event_end_index()),
        expired_end: index(info.expired_log_event_end_index()),
        too_new_start: index(info.too_new_log_event_start_index()),
    }
}

/// Puts a body that is ready in the place of the SDK's, before the request is signed, and holds the reply to what the
/// service always sends.
#[derive(Debug)]
struct ReadyBody {
    body: Bytes,
    gzip: bool,
    /// Where the request goes, for messages.
    asked: Arc<OnceLock<String>>,
}

impl Intercept for ReadyBody {
    fn name(&self) -> &'static str {
        "ReadyBody"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        self.asked.get_or_init(|| request.uri().trim_end_matches('/').to_owned());
        request.headers_mut().insert("content-length", self.body.len().to_string());
        if self.gzip {
            request.headers_mut().insert("content-encoding", "gzip");
        }
        *request.body_mut() = SdkBody::from(self.body.clone());
        Ok(())
    }

    /// The SDK takes an empty reply for a success. Under load there were such replies to batches that were not stored
    /// (aws/aws-for-fluent-bit#161), so only a JSON object is a receipt.
    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response();
        if !response.status().is_success() {
            return Ok(());
        }
        let body = response.body().bytes().unwrap_or_default();
        match serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(body) {
            Ok(_) => Ok(()),
            Err(_) => Err(format!(
                "status {} with a body of {} bytes that is no JSON object: not taken for a receipt",
                response.status().as_u16(),
                body.len()
            )
            .into()),
        }
    }
}

fn failure<E>(operation: &'static str, error: &SdkError<E, HttpResponse>) -> Failure
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let status = error.raw_response().map(|r| r.status().as_u16());
    let code = error.as_service_error().and_then(|e| e.code()).unwrap_or_default();
    let kind = kind_of(code, status);
    let said = error.as_service_error().and_then(|e| e.message()).unwrap_or_default();
    let message = match (code, kind) {
        ("", _) => chain(error),
        // What the service says of a signature quotes the request, session token included.
        (code, FailureKind::Credentials) => {
            format!(
                "{code}: the credentials are refused; they are fetched again. If it stays, check the clock and the role"
            )
        }
        (code, FailureKind::Denied) => {
            format!("{code}: {said}; allow logs:{operation} on this log group for the node's role")
        }
        (code, _) => format!("{code}: {said}"),
    };
    Failure { kind, operation, message: shortened(message) }
}

/// What an error code asks for. Codes: CloudWatch Logs API Reference, "Common Errors" and each operation's errors; AWS
/// spells some of them with and without `Exception`.
fn kind_of(code: &str, status: Option<u16>) -> FailureKind {
    match code.strip_suffix("Exception").unwrap_or(code) {
        "ResourceNotFound" => FailureKind::NotFound,
        "ResourceAlreadyExists" => FailureKind::AlreadyExists,
        "Throttling" | "TooManyRequests" | "RequestLimitExceeded" | "LimitExceeded" | "SlowDown" => {
            FailureKind::Throttled
        }
        "AccessDenied" | "NotAuthorized" | "OptInRequired" => FailureKind::Denied,
        "UnrecognizedClient"
        | "ExpiredToken"
        | "InvalidSignature"
        | "InvalidClientTokenId"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "SignatureDoesNotMatch"
        | "RequestExpired" => FailureKind::Credentials,
        "InvalidParameter" | "Serialization" | "Validation" | "InvalidParameterValue" => FailureKind::Invalid,
        _ => match status {
            Some(429) => FailureKind::Throttled,
            Some(401 | 403) => FailureKind::Denied,
            Some(413) => FailureKind::Invalid,
            _ => FailureKind::Transient,
        },
    }
}

/// What an error says, and what its causes say.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

/// A message for people; a proxy's whole error page is not one.
fn shortened(message: String) -> String {
    const MOST: usize = 500;
    if message.chars().count() <= MOST {
        return message;
    }
    message.chars().take(MOST).chain("…".chars()).collect()
}

/// Lets the assembler share one client between its users.
impl<A: LogsApi> LogsApi for Arc<A> {
    async fn put(&self, body: Bytes, gzip: bool) -> Result<Rejected, Failure> {
        (**self).put(body, gzip).await
    }
    async fn create_stream(&self, group: &str, stream: &str) -> Result<(), Failure> {
        (**self).create_stream(group, stream).await
    }
    async fn create_group(&self, group: &str, new: &NewGroups) -> Result<(), Failure> {
        (**self).create_group(group, new).await
    }
    async fn set_retention(&self, group: &str, days: u32) -> Result<(), Failure> {
        (**self).set_retention(group, days).await
    }
    fn credentials_refused(&self) {
        (**self).credentials_refused();
    }
}
