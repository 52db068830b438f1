//! The pod-facing port: connections in, replies out. It serves nothing but metadata.
//!
//! What a request may look like is checked here, before anybody asks who sent it: method, host, headers, target, body.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, SERVER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use safeguard_daemon::shutdown::Shutdown;
use safeguard_daemon::telemetry::Gate;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::answer::{Asked, Reply, Stages};
use crate::connections::{Connections, Seat};
use crate::head;
use crate::limits;
use crate::metrics::Outcome;
use crate::path::{Route, is_our_host, route};
use crate::settings::Limits;

const TOKEN: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token");
const TOKEN_SECONDS: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token-ttl-seconds");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// What the real service calls itself.
const EC2: HeaderValue = HeaderValue::from_static("EC2ws");
const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// Headers of a request. SDKs send less than ten.
const HEADERS: usize = 32;

/// For requests under way when the end has come.
const GRACE: Duration = Duration::from_secs(2);

/// Between two attempts to accept while the process is out of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How often a repeated failure to accept is told.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Accepts until `stop`; then requests under way are finished, and connections end.
pub(crate) async fn serve(listener: TcpListener, stages: Arc<Stages>, connections: Connections, stop: Shutdown) {
    let mut open = JoinSet::new();
    let mut gate = Gate::new(SAY_EVERY);
    loop {
        tokio::select! {
            () = stop.requested() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    while open.try_join_next().is_some() {}
                    admit(stream, peer, &stages, &connections, &stop, &mut open);
                }
                Err(error) => {
                    if let Some(suppressed) = gate.allow(Instant::now()) {
                        tracing::warn!(%error, suppressed, "Connections of pods cannot be accepted; it is tried again.");
                    }
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    // What is in the queue already was promised a connection: it is served like the others.
    while let Some(Ok((stream, peer))) = futures_util::FutureExt::now_or_never(listener.accept()) {
        admit(stream, peer, &stages, &connections, &stop, &mut open);
    }
    drop(listener);
    let ended = timeout(GRACE, async { while open.join_next().await.is_some() {} }).await;
    if ended.is_err() {
        tracing::debug!(connections = open.len(), "Connections were cut at the end.");
    }
}

fn admit(
    stream: TcpStream,
    peer: SocketAddr,
    stages: &Arc<Stages>,
    connections: &Connections,
    stop: &Shutdown,
    open: &mut JoinSet<()>,
) {
    let peer = peer.ip().to_canonical();
    // Without a seat the stream is dropped, which closes it.
    if let Some(seat) = connections.enter(peer) {
        open.spawn(connection(stream, peer, stages.clone(), seat, stop.clone()));
    }
}

async fn connection(stream: TcpStream, peer: IpAddr, stages: Arc<Stages>, seat: Seat, stop: Shutdown) {
    // Only latency suffers when this fails.
    drop(stream.set_nodelay(true));
    let first = timeout(stages.settings.limits.header_deadline, head::whole(&stream));
    let first = tokio::select! {
        first = first => first,
        () = seat.evicted() => return,
    };
    if let Ok(Ok(())) = first {
        // In a box: who only waits does not hold the state of HTTP.
        Box::pin(requests(stream, peer, stages, seat, stop)).await;
    }
}

async fn requests(stream: TcpStream, peer: IpAddr, stages: Arc<Stages>, seat: Seat, stop: Shutdown) {
    let limits: Limits = stages.settings.limits;
    let answer = |request: Request<Incoming>| {
        let busy = seat.busy();
        let stages = &stages;
        async move {
            let reply = respond(stages, peer, &request).await;
            drop(busy);
            Ok::<_, Infallible>(into_response(reply, &request))
        }
    };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // It counts while a kept connection waits for its next request, too.
        .header_read_timeout(limits.header_deadline)
        .max_buf_size(head::MOST_BYTES)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(stream), service_fn(answer));
    tokio::pin!(connection);
    tokio::select! {
        // Clients leave in the middle of requests all the time.
        _ = connection.as_mut() => {}
        () = seat.evicted() => {}
        () = stop.requested() => {
            connection.as_mut().graceful_shutdown();
            // The end of `serve` bounds this.
            drop(connection.await);
        }
    }
}

async fn respond(stages: &Stages, peer: IpAddr, request: &Request<Incoming>) -> Reply {
    match understand(stages, request) {
        Ok((asked, route)) => stages.answer(peer, asked, &route).await,
        Err(Bad { status, reason }) => {
            stages.tally.count(Outcome::BadRequest);
            Reply::refusal(status, reason)
        }
    }
}

/// A request that nobody honest sends, or not here.
struct Bad {
    status: StatusCode,
    reason: &'static str,
}

const fn bad(status: StatusCode, reason: &'static str) -> Bad {
    Bad { status, reason }
}

/// What a request asks, if it is one that the metadata service would take.
fn understand<'r>(stages: &Stages, request: &'r Request<Incoming>) -> Result<(Asked<'r>, Route), Bad> {
    let (uri, headers) = (request.uri(), request.headers());
    // Somebody relays this: the real service refuses it for the same reason (EC2 User Guide, "Use IMDSv2").
    if headers.contains_key(FORWARDED_FOR) {
        return Err(bad(StatusCode::FORBIDDEN, "requests that were forwarded are not answered\n"));
    }
    // The absolute form names a host in the target; a second opinion in `Host` does not help it.
    let named = uri.authority().map(|authority| authority.as_str());
    let hosts = headers.get_all(HOST).iter().map(|host| host.to_str().unwrap_or("?")).chain(named);
    if !hosts.into_iter().all(is_our_host) || headers.get_all(HOST).iter().count() > 1 {
        return Err(bad(StatusCode::FORBIDDEN, "this is not the host of that name\n"));
    }
    let route = route(uri.path(), &stages.forwarded);
    if route == Route::Malformed {
        return Err(bad(StatusCode::BAD_REQUEST, "the path cannot be understood\n"));
    }
    match (request.method(), &route) {
        (&Method::PUT, Route::Token) => Ok((Asked::Token { seconds: seconds(headers)? }, route)),
        (&Method::GET | &Method::HEAD, Route::Token) => {
            Err(bad(StatusCode::METHOD_NOT_ALLOWED, "a token is asked for with PUT\n"))
        }
        (&Method::GET | &Method::HEAD, _) => Ok((Asked::Data { token: token(headers)? }, route)),
        // Whatever the path: what is there is not told to whoever cannot ask for it.
        _ => Err(bad(StatusCode::METHOD_NOT_ALLOWED, "allowed are GET and HEAD, and PUT for a token\n")),
    }
}

/// How long the token shall last (EC2 User Guide: 1 to 21,600 seconds; without it, or beyond that, 400).
fn seconds(headers: &HeaderMap) -> Result<u64, Bad> {
    let mut values = headers.get_all(TOKEN_SECONDS).iter();
    let seconds = values.next().and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
    match seconds.filter(|seconds| limits::TOKEN_TTL.contains(seconds)) {
        Some(seconds) if values.next().is_none() => Ok(seconds),
        _ => Err(bad(
            StatusCode::BAD_REQUEST,
            "X-aws-ec2-metadata-token-ttl-seconds has to be a number from 1 to 21600\n",
        )),
    }
}

fn token(headers: &HeaderMap) -> Result<Option<&[u8]>, Bad> {
    let mut values = headers.get_all(TOKEN).iter();
    let token = values.next().map(HeaderValue::as_bytes);
    if values.next().is_some() {
        return Err(bad(StatusCode::BAD_REQUEST, "there is more than one token\n"));
    }
    Ok(token)
}

fn into_response(reply: Reply, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(reply.body));
    *response.status_mut() = reply.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, reply.content_type);
    headers.insert(SERVER, EC2);
    if let Some(seconds) = reply.token_seconds {
        headers.insert(TOKEN_SECONDS, HeaderValue::from(seconds));
    }
    if reply.status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD, PUT"));
    }
    // A body that nobody asked for is not read: what comes after it on this connection would be anybody's guess. An error ends its
    // connection, as with the real service: some clients read no further (AWS's ec2-metadata-service for JavaScript), and keep it open
    // until this end closes it.
    if !request.body().is_end_stream() || !reply.status.is_success() {
        headers.insert(CONNECTION, CLOSE);
    }
    response
}

#[cfg(test)]
mod tests;
