//! The SDK's client, and one that sends whatever a test writes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};

use aws_sdk_cloudwatchlogs::{
    Client,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig, timeout::TimeoutConfig},
};
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use safeguard_standins::{CloudWatch, Credential, Options};
use serde_json::{Value, json};

/// 2026-01-02T03:04:05Z.
pub(crate) const NOW: i64 = 1_767_323_045_000;

/// A clock that a test moves.
#[derive(Clone)]
pub(crate) struct Clock(Arc<AtomicI64>);

impl Clock {
    pub(crate) fn new() -> Clock {
        Clock(Arc::new(AtomicI64::new(NOW)))
    }

    pub(crate) fn set(&self, ms: i64) {
        self.0.store(ms, Ordering::Relaxed);
    }

    pub(crate) fn options(&self) -> Options {
        let clock = Arc::clone(&self.0);
        Options { now: Arc::new(move || clock.load(Ordering::Relaxed)), ..Options::default() }
    }
}

/// A stand-in with a standing clock, no signatures, and the stream `g`/`s`.
pub(crate) async fn unsigned() -> (CloudWatch, Clock) {
    unsigned_with(|_| {}).await
}

pub(crate) async fn unsigned_with(change: impl FnOnce(&mut Options)) -> (CloudWatch, Clock) {
    let clock = Clock::new();
    let mut options = Options { verify_signatures: false, ..clock.options() };
    change(&mut options);
    let cloud = CloudWatch::start(options).await.unwrap();
    cloud.create_stream("g", "s");
    (cloud, clock)
}

pub(crate) fn sdk(cloud: &CloudWatch) -> Client {
    sdk_with(cloud, &cloud.credential())
}

pub(crate) fn sdk_with(cloud: &CloudWatch, credential: &Credential) -> Client {
    let http = match cloud.ca_pem() {
        None => Builder::new().build_http(),
        Some(pem) => {
            let trust = TrustStore::empty().with_pem_certificate(pem.into_bytes());
            let tls = TlsContext::builder().with_trust_store(trust).build().unwrap();
            Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).tls_context(tls).build_https()
        }
    };
    let config = aws_sdk_cloudwatchlogs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(cloud.region().to_owned()))
        .credentials_provider(credentials(credential))
        .endpoint_url(cloud.url())
        .http_client(http)
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::builder().operation_timeout(Duration::from_secs(10)).build())
        .build();
    Client::from_conf(config)
}

pub(crate) fn credentials(credential: &Credential) -> Credentials {
    Credentials::new(
        &credential.access_key_id,
        &credential.secret_access_key,
        credential.session_token.clone(),
        None,
        "test",
    )
}

pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {:?}", String::from_utf8_lossy(&self.body)))
    }

    /// The `__type` of an error, or "" of a success.
    pub(crate) fn kind(&self) -> String {
        if self.status == 200 { String::new() } else { self.json()["__type"].as_str().unwrap().to_owned() }
    }

    pub(crate) fn message(&self) -> String {
        self.json()["message"].as_str().unwrap().to_owned()
    }
}

/// How a raw request is signed.
#[derive(Clone)]
pub(crate) struct Signing {
    pub(crate) credential: Credential,
    pub(crate) region: String,
    pub(crate) service: String,
    pub(crate) at_ms: i64,
}

impl Signing {
    pub(crate) fn new(credential: &Credential) -> Signing {
        Signing {
            credential: credential.clone(),
            region: "us-east-1".to_owned(),
            service: "logs".to_owned(),
            at_ms: NOW,
        }
    }

    pub(crate) fn apply(&self, request: &mut http::Request<Vec<u8>>) {
        let identity = credentials(&self.credential).into();
        let at = UNIX_EPOCH + Duration::from_millis(u64::try_from(self.at_ms).unwrap());
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(&self.service)
            .time(at)
            .settings(SigningSettings::default())
            .build()
            .unwrap()
            .into();
        let uri = format!("http://{}/", request.headers()["host"].to_str().unwrap());
        let headers: Vec<(String, String)> = request
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        let signable = SignableRequest::new(
            "POST",
            uri,
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str())),
            SignableBody::Bytes(request.body()),
        );
        let (instructions, _) = sign(signable.unwrap(), &params).unwrap().into_parts();
        instructions.apply_to_request_http1x(request);
    }
}

pub(crate) fn request(cloud: &CloudWatch, op: &str, body: impl Into<Vec<u8>>) -> http::Request<Vec<u8>> {
    http::Request::post("/")
        .header("host", cloud.addr().to_string())
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", format!("Logs_20140328.{op}"))
        .body(body.into())
        .unwrap()
}

/// Sends a request on a connection of its own; an error when the connection ends without a whole reply.
pub(crate) async fn send(cloud: &CloudWatch, request: http::Request<Vec<u8>>) -> Result<Reply, hyper::Error> {
    let stream = tokio::net::TcpStream::connect(cloud.addr()).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let reply = sender.send_request(request.map(|body| Full::new(bytes::Bytes::from(body)))).await?;
    let (head, body) = reply.into_parts();
    let body = body.collect().await?.to_bytes().to_vec();
    connection.abort();
    assert!(head.headers.contains_key("date"));
    Ok(Reply { status: head.status.as_u16(), headers: head.headers, body })
}

/// An unsigned call with a JSON body.
pub(crate) async fn call(cloud: &CloudWatch, op: &str, body: Value) -> Reply {
    send(cloud, request(cloud, op, body.to_string())).await.unwrap()
}

/// A PutLogEvents to `g`/`s`.
pub(crate) async fn put(cloud: &CloudWatch, events: &[(i64, &str)]) -> Reply {
    call(cloud, "PutLogEvents", batch(events)).await
}

pub(crate) fn batch(events: &[(i64, &str)]) -> Value {
    let events: Vec<Value> =
        events.iter().map(|(timestamp, message)| json!({ "timestamp": timestamp, "message": message })).collect();
    json!({ "logGroupName": "g", "logStreamName": "s", "logEvents": events })
}
