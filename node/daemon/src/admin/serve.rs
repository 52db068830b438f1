//! Serving: many connections at once, one request on each, a bound on everything.

use super::{BoxFuture, Handler, Limits, Response};
use crate::shutdown::Shutdown;
use crate::telemetry::Gate;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

/// What running requests get after shutdown was asked for.
const GRACE: Duration = Duration::from_secs(1);
/// Between two attempts to accept while the process is out of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections beyond the limit that are told so; those beyond that are closed without a word.
const MAX_REFUSALS: usize = 8;
/// For such a client to send its request. It is read first: a client that is answered before it has asked, or whose
/// socket is closed with its request unread, reports a broken connection and not the answer.
const REFUSAL_DEADLINE: Duration = Duration::from_secs(1);
/// Request line and headers; hyper's least is 8 KiB.
const MAX_HEAD: usize = 16 * 1024;
/// How often a repeated failure to accept is logged.
const SAY_EVERY: Duration = Duration::from_secs(60);

pub(super) trait Accept: Send + Sync {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    fn accept_one(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Accept for UnixListener {
    type Stream = UnixStream;
    async fn accept_one(&self) -> io::Result<UnixStream> {
        self.accept().await.map(|(stream, _)| stream)
    }
}

impl Accept for TcpListener {
    type Stream = TcpStream;
    async fn accept_one(&self) -> io::Result<TcpStream> {
        self.accept().await.map(|(stream, _)| stream)
    }
}

pub(super) async fn serve<L: Accept>(listener: L, limits: Limits, handler: Arc<dyn Handler>, shutdown: Shutdown) {
    let mut connections = JoinSet::new();
    let mut refusals = JoinSet::new();
    let mut gate = Gate::new(SAY_EVERY);
    loop {
        tokio::select! {
            () = shutdown.requested() => break,
            // Reaps; a panic in a handler was reported by the panic hook.
            Some(_) = connections.join_next() => {}
            Some(_) = refusals.join_next() => {}
            accepted = listener.accept_one() => match accepted {
                Ok(stream) => {
                    while connections.try_join_next().is_some() || refusals.try_join_next().is_some() {}
                    if connections.len() < limits.connections {
                        connections.spawn(connection(stream, limits, Arc::clone(&handler)));
                    } else if refusals.len() < MAX_REFUSALS {
                        refusals.spawn(connection(stream, limits.for_refusal(), Arc::new(Busy)));
                    }
                }
                Err(error) => {
                    if let Some(suppressed) = gate.allow(Instant::now()) {
                        tracing::warn!(%error, suppressed, "the admin server cannot accept connections; it goes on trying");
                    }
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let drained = timeout(GRACE, async { while connections.join_next().await.is_some() {} }).await;
    if drained.is_err() {
        tracing::debug!(connections = connections.len(), "admin connections were cut at shutdown");
    }
}

/// What a connection too many is answered.
struct Busy;

impl Handler for Busy {
    fn handle<'a>(&'a self, _: &'a Method, _: &'a str, _: Option<&'a str>) -> BoxFuture<'a, Response> {
        Box::pin(std::future::ready(Response::text(503, "too many connections, retry later\n")))
    }
}

impl Limits {
    fn for_refusal(self) -> Self {
        Self { header_read: REFUSAL_DEADLINE, request: REFUSAL_DEADLINE, connection: REFUSAL_DEADLINE, ..self }
    }
}

async fn connection<S>(stream: S, limits: Limits, handler: Arc<dyn Handler>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request| {
        let handler = Arc::clone(&handler);
        async move { Ok::<_, Infallible>(on_the_wire(answer(request, handler.as_ref(), limits).await)) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_read)
        .max_buf_size(MAX_HEAD)
        // One request a connection: an idle client holds none of the few.
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(limits.connection, served).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "an admin connection ended early"),
        Err(_) => tracing::debug!("an admin connection was cut at its deadline"),
    }
}

async fn answer(request: Request<Incoming>, handler: &dyn Handler, limits: Limits) -> Response {
    let (head, body) = request.into_parts();
    match timeout(limits.request, discard(body, limits.body)).await {
        Ok(Ok(())) => {}
        Ok(Err(refusal)) => return refusal,
        Err(_) => return Response::text(408, "the request's body did not arrive in time\n"),
    }
    match timeout(limits.request, handler.handle(&head.method, head.uri.path(), head.uri.query())).await {
        Ok(response) => response,
        Err(_) => Response::text(503, format!("no answer within {:?}, retry later\n", limits.request)),
    }
}

/// Reads a body to its end, since some clients only then read the answer, and keeps nothing of it.
async fn discard(body: Incoming, limit: usize) -> Result<(), Response> {
    let too_large = || Response::text(413, format!("the request's body is larger than {limit} bytes\n"));
    if body.size_hint().lower() > u64::try_from(limit).unwrap_or(u64::MAX) {
        return Err(too_large());
    }
    let mut body = Limited::new(body, limit);
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(_) => {}
            Err(error) if error.is::<LengthLimitError>() => return Err(too_large()),
            Err(error) => return Err(Response::text(400, format!("the request's body is broken: {error}\n"))),
        }
    }
    Ok(())
}

fn on_the_wire(response: Response) -> hyper::Response<Full<Bytes>> {
    let mut wire = hyper::Response::new(Full::new(response.body));
    *wire.status_mut() = StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Ok(content_type) = HeaderValue::from_str(response.content_type) {
        wire.headers_mut().insert(CONTENT_TYPE, content_type);
    }
    wire
}
