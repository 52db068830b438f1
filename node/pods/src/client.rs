//! Asks the API server one question, and hands over its answer piece by piece.
//!
//! HTTP/1.1 on purpose: each watch has a connection of its own, so that a list never waits behind one, and cutting a watch
//! that is stuck cuts nothing else.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::{Instant, timeout, timeout_at};

use crate::limits::{MAX_ERROR_BYTES, RETRY_AFTER_MOST};
use crate::server::{ApiServer, Deadlines};
use crate::trouble::{Status, Trouble};

/// Bytes of an answer that are held at most before they are taken.
const READ_BUFFER: usize = 64 * 1024;
/// A dead peer is found in about half a minute also where no answer is due.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// The first API group, which has no name.
pub(crate) const CORE: &str = "api/v1";

/// A question to the API server.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) verb: &'static str,
    /// Group and version, and the namespace if there is one: what stands before the resource in the path.
    pub(crate) group: &'static str,
    pub(crate) resource: &'static str,
    /// One object of it. Holds nothing that a path would understand otherwise.
    pub(crate) name: Option<String>,
    /// Behind the `?`.
    pub(crate) query: String,
}

/// Whoever answers questions: the API server, or a script in a test.
pub(crate) trait Api {
    type Answer: Answer;

    /// The answer, if it is a good one. Deadlines are kept inside.
    fn ask(&self, question: &Question) -> impl Future<Output = Result<Self::Answer, Trouble>> + Send;
}

/// An answer on its way.
pub(crate) trait Answer {
    /// The next piece of it; `None` at its orderly end. The caller keeps the deadline.
    fn piece(&mut self) -> impl Future<Output = Result<Option<Bytes>, Trouble>> + Send;
}

/// Connections to the API server.
#[derive(Debug)]
pub(crate) struct Client {
    http: legacy::Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    server: ApiServer,
}

impl Client {
    pub(crate) fn new(server: ApiServer) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(server.deadlines.connect));
        tcp.set_keepalive(Some(KEEPALIVE));
        tcp.set_keepalive_interval(Some(KEEPALIVE));
        tcp.set_keepalive_retries(Some(2));
        let tls = (*server.tls).clone();
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(tcp);
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(1)
            .pool_idle_timeout(Duration::from_secs(20))
            .http1_max_buf_size(READ_BUFFER)
            .build(connector);
        Self { http, server }
    }

    pub(crate) fn deadlines(&self) -> Deadlines {
        self.server.deadlines
    }

    async fn ask_once(&self, question: &Question) -> Result<Response<Incoming>, Trouble> {
        let token = self.server.token.token().await?;
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
            .map_err(|_| Trouble::Token(crate::TokenError::Unusable))?;
        bearer.set_sensitive(true);
        let unreachable = |reason: String| Trouble::Unreachable { server: self.server.base.clone(), reason };
        let name = question.name.as_ref().map(|name| format!("/{name}")).unwrap_or_default();
        let (base, Question { group, resource, query, .. }) = (&self.server.base, question);
        let request = Request::get(format!("{base}/{group}/{resource}{name}?{query}"))
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, self.server.user_agent.clone())
            .header(AUTHORIZATION, bearer)
            .body(Empty::new())
            .map_err(|error| unreachable(error.to_string()))?;
        self.http.request(request).await.map_err(|error| unreachable(causes(&error)))
    }

    /// Within the deadline, and once more if the token was refused: it may just have been replaced.
    async fn ask_twice(&self, question: &Question) -> Result<Response<Incoming>, Trouble> {
        let after = self.server.deadlines.answer;
        let silent = |_| Trouble::Silent { what: "an answer", after };
        let answer = timeout(after, self.ask_once(question)).await.map_err(silent)??;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        self.server.token.rejected();
        timeout(after, self.ask_once(question)).await.map_err(silent)?
    }
}

impl Api for Client {
    type Answer = Incoming;

    async fn ask(&self, question: &Question) -> Result<Incoming, Trouble> {
        let answer = self.ask_twice(question).await?;
        let (head, body) = answer.into_parts();
        if head.status == StatusCode::OK {
            return Ok(body);
        }
        let status = Status::read(&beginning(body, self.server.deadlines.answer).await);
        Err(refusal(question, head.status.as_u16(), &head.headers, &status))
    }
}

impl Answer for Incoming {
    async fn piece(&mut self) -> Result<Option<Bytes>, Trouble> {
        loop {
            match self.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(Trouble::Cut { reason: causes(&error) }),
                // Trailers are no data.
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }
}

fn refusal(question: &Question, code: u16, headers: &HeaderMap, status: &Status) -> Trouble {
    let (verb, resource, message) = (question.verb, question.resource, status.message());
    match code {
        401 => Trouble::Unauthorized { message },
        403 => Trouble::Forbidden { verb, resource, message },
        410 => Trouble::Expired,
        _ => Trouble::Refused { verb, resource, code, message, retry_after: retry_after(headers) },
    }
}

/// `Retry-After` in seconds; the API server sends no dates.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MOST))
}

/// What can be had of an error's text in time.
async fn beginning(mut body: Incoming, within: Duration) -> Vec<u8> {
    let deadline = Instant::now() + within;
    let mut text = Vec::new();
    while let Ok(Ok(Some(piece))) = timeout_at(deadline, body.piece()).await {
        text.extend_from_slice(&piece);
        if text.len() > MAX_ERROR_BYTES {
            break;
        }
    }
    text
}

/// An error with what caused it: the outermost says little.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
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
