//! One request to the safeguard and its reply, with deadlines and bounds. Redirects are never followed.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::{CipherSuite, ClientConfig};
use safeguard_protocol::{Acknowledgement, Challenge, Digest, Enrolled, Envelope, PublicKey, limits};
use tokio::time::{Instant, timeout};

use crate::reply::{self, Failure, InReply, Sent};
use crate::settings::Settings;
use crate::trust::{TrustError, roots};

/// For connection, request and reply.
const DEADLINE: Duration = Duration::from_secs(10);
/// The same over a connection that has rested.
const RESTED: Duration = Duration::from_secs(5);
/// Where connections die without a word while they rest, none rests for so long.
const RESTLESS: Duration = Duration::from_secs(3_600);
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
    /// How long the safeguard holds it while nothing is said.
    held: Duration,
    /// Nothing was said over it for a while: it may have ended, and nobody told.
    rested: bool,
    /// None rests before this.
    restless_until: Option<Instant>,
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
        Ok(Self {
            connector,
            client: None,
            held: Duration::ZERO,
            restless_until: None,
            rested: false,
            base,
            keys: settings.server_keys.clone(),
        })
    }

    /// Nothing is to be said for this long. Unless the safeguard holds the connection until then it ends: one that is kept is memory
    /// at the safeguard, which may have ten thousand nodes.
    pub(crate) fn rest(&mut self, silence: Duration) {
        match self.client {
            Some(_) if silence < self.held && self.restless_until.is_none_or(|until| Instant::now() > until) => {
                self.rested = true;
            }
            _ => self.hang_up(),
        }
    }

    /// Ends the connection.
    pub(crate) fn hang_up(&mut self) {
        (self.client, self.held, self.rested) = (None, Duration::ZERO, false);
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

    /// Asks. Over a connection that has rested it is asked once more if nobody answers. What is asked first after a rest is a beat or a
    /// challenge, which may be asked twice; an enrolment, which may not, follows a challenge.
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
        if std::mem::take(&mut self.rested) {
            let begin = Instant::now();
            match self.once(request.clone(), RESTED).await {
                Err(error) if begin.elapsed() >= RESTED => {
                    tracing::info!(
                        why = error,
                        "A connection that the safeguard held died without a word. For an hour there is one for each beat."
                    );
                    self.restless_until = Some(Instant::now() + RESTLESS);
                }
                Err(error) => tracing::debug!(why = error, "The connection that was held is dead: there is a new one."),
                reply => return reply.map_err(Failure::NoReply),
            }
            self.hang_up();
        }
        self.once(request, DEADLINE).await.map_err(Failure::NoReply)
    }

    async fn once(&mut self, request: Request<Full<Bytes>>, within: Duration) -> Result<(StatusCode, Bytes), String> {
        self.held = Duration::ZERO;
        let client = self.client.get_or_insert_with(|| {
            let mut builder = legacy::Client::builder(TokioExecutor::new());
            builder.pool_max_idle_per_host(1).pool_idle_timeout(None).build(self.connector.clone())
        });
        let ask = async {
            let reply = client.request(request).await.map_err(|error| causes(&error))?;
            let (head, body) = reply.into_parts();
            match Limited::new(body, limits::REPLY_BYTES).collect().await {
                Ok(body) => Ok((head, body.to_bytes())),
                Err(error) if error.is::<LengthLimitError>() => {
                    let (status, most) = (head.status.as_u16(), limits::REPLY_BYTES);
                    Err(format!("the reply (HTTP {status}) is longer than {most} bytes"))
                }
                Err(error) => Err(causes(&*error)),
            }
        };
        let late = || Err(format!("no reply within {} s", within.as_secs()));
        let (head, body) = timeout(within, ask).await.unwrap_or_else(|_| late())?;
        self.held = held(&head.headers);
        Ok((head.status, body))
    }
}

/// How long the safeguard holds the connection (docs/protocol.md, "Requests"): `Keep-Alive: timeout=SECONDS`.
fn held(headers: &HeaderMap) -> Duration {
    let is_close = |option: &[u8]| option.trim_ascii().eq_ignore_ascii_case(b"close");
    let closes = |value: &HeaderValue| value.as_bytes().split(|byte| *byte == b',').any(is_close);
    if headers.get_all(header::CONNECTION).iter().any(closes) {
        return Duration::ZERO;
    }
    let value = headers.get("keep-alive").and_then(|value| value.to_str().ok());
    let seconds = value.and_then(|value| value.split(',').find_map(|part| part.trim().strip_prefix("timeout=")));
    seconds.and_then(|seconds| seconds.parse().ok()).map_or(Duration::ZERO, Duration::from_secs)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_held_for_as_long_as_the_safeguard_says() {
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("keep-alive", value.parse().unwrap());
            held(&headers).as_secs()
        };
        assert_eq!(held(&HeaderMap::new()), Duration::ZERO);
        assert_eq!((of("timeout=150"), of("max=3, timeout=5")), (150, 5));
        let mut closes = HeaderMap::new();
        closes.insert("keep-alive", "timeout=150".parse().unwrap());
        for said in ["close", "Close", "keep-alive, close"] {
            closes.insert("connection", said.parse().unwrap());
            assert_eq!(held(&closes), Duration::ZERO, "{said}");
        }
        assert_eq!((of("timeout=-1"), of("timeout"), of("timeout=99999999999999999999")), (0, 0, 0));
    }
}
