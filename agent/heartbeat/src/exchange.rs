//! One request to the safeguard and its reply, with deadlines and bounds. Redirects are never followed.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::{CipherSuite, ClientConfig};
use safeguard_protocol::{Acknowledgement, Challenge, Digest, Enrolled, Envelope, PublicKey, limits};
use tokio::time::timeout;

use crate::reply::{self, Failure, InReply, Sent};
use crate::settings::Settings;
use crate::trust::{TrustError, roots};

/// For connection, request and reply.
const DEADLINE: Duration = Duration::from_secs(10);
/// For a connection.
const CONNECT: Duration = Duration::from_secs(5);
const USER_AGENT: &str = concat!("safeguard-agent/", env!("CARGO_PKG_VERSION"));

type Connector = HttpsConnector<HttpConnector>;

/// The way to the safeguard.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// Knows the TLS session of the last connection.
    connector: Connector,
    /// Holds the connection, while there is one.
    client: Option<legacy::Client<Connector, Full<Bytes>>>,
    base: String,
    keys: Vec<PublicKey>,
}

impl Exchange {
    /// Reads the authorities. `base` is what [`crate::base_url`] gave.
    pub(crate) fn new(settings: &Settings, base: String) -> Result<Self, TrustError> {
        let mut provider = rustls::crypto::aws_lc_rs::default_provider();
        // Processors have instructions for SHA-256 and none for SHA-384, whose key schedule would be a good part of what a beat costs.
        provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
        let tls = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| TrustError::Tls(error.to_string()))?
            .with_root_certificates(roots(settings.ca_file.as_deref())?)
            .with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT));
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(tcp);
        Ok(Self { connector, client: None, base, keys: settings.server_keys.clone() })
    }

    /// Ends the connection. One that is kept is memory at the safeguard, which has ten thousand nodes, and is found dead after a minute.
    pub(crate) fn hang_up(&mut self) {
        self.client = None;
    }

    pub(crate) async fn challenge(&mut self) -> Result<Challenge, Failure> {
        self.signed(Method::GET, "/v1/challenge", Bytes::new(), &Sent::nothing()).await
    }

    pub(crate) async fn enrol(&mut self, envelope: &Envelope, payload: Digest) -> Result<Enrolled, Failure> {
        let body = envelope.to_bytes();
        let sent = Sent::new(payload, &body);
        self.signed(Method::POST, "/v1/enroll", body.into(), &sent).await
    }

    pub(crate) async fn beat(&mut self, envelope: Vec<u8>, payload: Digest) -> Result<Acknowledgement, Failure> {
        let sent = Sent::new(payload, &envelope);
        self.signed(Method::POST, "/v1/beat", envelope.into(), &sent).await
    }

    /// Sends a report that was asked for, compressed.
    pub(crate) async fn report(&mut self, digest: Digest, report: &[u8]) -> Result<(), Failure> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        let packed = gzip.write_all(report).and_then(|()| gzip.finish());
        let packed = packed.map_err(|error| Failure::NoReply(format!("the report cannot be compressed: {error}")))?;
        let sent = Sent::new(digest, &packed);
        let (status, body) = self.ask(Method::PUT, &format!("/v1/reports/{digest}"), packed.into(), true).await?;
        reply::read_empty(status, &body, &sent, &self.keys)
    }

    async fn signed<T: InReply>(&mut self, method: Method, path: &str, body: Bytes, sent: &Sent) -> Result<T, Failure> {
        let (status, body) = self.ask(method, path, body, false).await?;
        reply::read(status, &body, sent, &self.keys)
    }

    async fn ask(
        &mut self,
        method: Method,
        path: &str,
        body: Bytes,
        gzip: bool,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(header::USER_AGENT, USER_AGENT)
            .header(header::CONTENT_TYPE, "application/json");
        if gzip {
            request = request.header(header::CONTENT_ENCODING, "gzip");
        }
        let request = request.body(Full::new(body)).map_err(|error| Failure::NoReply(error.to_string()))?;
        let client = self.client.get_or_insert_with(|| {
            let mut builder = legacy::Client::builder(TokioExecutor::new());
            builder.pool_max_idle_per_host(1).pool_idle_timeout(None).build(self.connector.clone())
        });
        let ask = async {
            let reply = client.request(request).await.map_err(|error| Failure::NoReply(causes(&error)))?;
            let (head, body) = reply.into_parts();
            match Limited::new(body, limits::REPLY_BYTES).collect().await {
                Ok(body) => Ok((head.status, body.to_bytes())),
                Err(error) if error.is::<LengthLimitError>() => {
                    let message = format!(
                        "the reply (HTTP {}) is longer than {} bytes",
                        head.status.as_u16(),
                        limits::REPLY_BYTES
                    );
                    Err(Failure::NoReply(message))
                }
                Err(error) => Err(Failure::NoReply(causes(&*error))),
            }
        };
        let late = || Err(Failure::NoReply(format!("no reply within {} s", DEADLINE.as_secs())));
        timeout(DEADLINE, ask).await.unwrap_or_else(|_| late())
    }
}

/// An error with what caused it: the outermost says little.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
