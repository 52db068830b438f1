//! What anybody may see is fetched from the node's metadata service, with a token of the node's and over connections that are kept.
//!
//! Nothing of the pod's request goes along but the path, and that was put together by [`crate::path`]: no header, no body. Nothing of
//! the reply comes back but its status, its type and its body.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use crate::limits::TOKEN_TTL;

/// For everything: SDKs wait a second.
const DEADLINE: Duration = Duration::from_millis(900);

/// Bytes of a reply. The longest that is harmless, a list of a network interface's addresses, has some kilobytes.
const MOST_BYTES: usize = 64 * 1024;

/// A connection that nobody uses is closed; the real service closes sooner or later.
const IDLE: Duration = Duration::from_secs(20);

/// Connections that are kept, and requests at a time: beyond that connections would be opened and closed for each request, which costs
/// six times as much.
const KEPT: usize = 16;

/// A new token is fetched this long before the old one ends.
const EARLY: Duration = Duration::from_secs(300);

const TOKEN: &str = "x-aws-ec2-metadata-token";
const TOKEN_SECONDS: &str = "x-aws-ec2-metadata-token-ttl-seconds";

/// A reply of the node's metadata service.
#[derive(Debug, Clone)]
pub(crate) struct Forwarded {
    pub(crate) status: StatusCode,
    pub(crate) content_type: Option<HeaderValue>,
    pub(crate) body: Bytes,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ForwardError {
    #[error("the node's metadata service did not answer within {} ms", DEADLINE.as_millis())]
    Deadline,
    #[error("the node's metadata service cannot be reached: {0}")]
    Unreachable(String),
    #[error("the node's metadata service gave no token (status {0}): it may be switched off")]
    NoToken(u16),
    #[error("the node's metadata service sent more than {MOST_BYTES} bytes, or broke off: {0}")]
    Body(String),
}

/// The node's metadata service.
pub(crate) struct Forward {
    client: Client<HttpConnector, Empty<Bytes>>,
    endpoint: String,
    token: Mutex<Option<(HeaderValue, Instant)>>,
    slots: Semaphore,
}

impl std::fmt::Debug for Forward {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Forward").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Forward {
    /// `endpoint` is a URL without a path. Proxies of the environment have no say here (aws/eks-pod-identity-agent#26).
    pub(crate) fn new(endpoint: &str) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(DEADLINE));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(KEPT)
            .build(connector);
        Self {
            client,
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            token: Mutex::default(),
            slots: Semaphore::new(KEPT),
        }
    }

    /// Fetches a path that [`crate::path::route`] put together.
    ///
    /// # Errors
    /// [`ForwardError`]
    pub(crate) async fn get(&self, path: &str) -> Result<Forwarded, ForwardError> {
        let ask = async {
            // Closed never: nobody closes it.
            let _slot = self.slots.acquire().await.ok();
            self.ask(path).await
        };
        timeout(DEADLINE, ask).await.unwrap_or(Err(ForwardError::Deadline))
    }

    async fn ask(&self, path: &str) -> Result<Forwarded, ForwardError> {
        let mut reply = self.send(Method::GET, path, (TOKEN, self.token().await?)).await?;
        if reply.status == StatusCode::UNAUTHORIZED {
            // The service was restarted, or the clock was set.
            *self.token.lock().unwrap_or_else(PoisonError::into_inner) = None;
            reply = self.send(Method::GET, path, (TOKEN, self.token().await?)).await?;
        }
        Ok(reply)
    }

    async fn token(&self) -> Result<HeaderValue, ForwardError> {
        let now = Instant::now();
        if let Some((token, _)) =
            self.token.lock().unwrap_or_else(PoisonError::into_inner).as_ref().filter(|(_, until)| now < *until)
        {
            return Ok(token.clone());
        }
        let seconds = *TOKEN_TTL.end();
        let reply = self.send(Method::PUT, "/latest/api/token", (TOKEN_SECONDS, HeaderValue::from(seconds))).await?;
        let mut token = match HeaderValue::from_bytes(&reply.body) {
            Ok(token) if reply.status == StatusCode::OK && !token.is_empty() => token,
            _ => return Err(ForwardError::NoToken(reply.status.as_u16())),
        };
        token.set_sensitive(true);
        let until = now + Duration::from_secs(seconds).saturating_sub(EARLY);
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some((token.clone(), until));
        Ok(token)
    }

    async fn send(&self, method: Method, path: &str, header: (&str, HeaderValue)) -> Result<Forwarded, ForwardError> {
        let unreachable = |error: &dyn std::error::Error| {
            let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            ForwardError::Unreachable(format!("{error}{cause}"))
        };
        let uri: Uri = format!("{}{path}", self.endpoint).parse().map_err(|error| unreachable(&error))?;
        let request = Request::builder().method(method).uri(uri).header(header.0, header.1).body(Empty::new());
        let request = request.map_err(|error| unreachable(&error))?;
        let reply = self.client.request(request).await.map_err(|error| unreachable(&error))?;
        let (head, body) = reply.into_parts();
        let body =
            Limited::new(body, MOST_BYTES).collect().await.map_err(|error| ForwardError::Body(error.to_string()))?;
        let content_type = head.headers.get(CONTENT_TYPE).cloned();
        Ok(Forwarded { status: head.status, content_type, body: body.to_bytes() })
    }
}
