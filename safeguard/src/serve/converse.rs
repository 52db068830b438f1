//! One connection: HTTP/1.1 while something is said. A connection that is held for a node keeps no more in between than two keys.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};

use axum::extract::ConnectInfo;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use safeguard_daemon::shutdown::Shutdown;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::timeout;
use tower_service::Service as _;

use super::caller::{Caller, HELD};
use super::resumed::Resumed;
use super::wire::Wire;
use super::{HEAD, HEAD_BYTES, WHOLE};

/// Room for the request of a node: its beat has at most 4 KiB, and mostly less than 3.
const FIRST_BYTES: usize = 4_096;

/// Answers what is asked over a connection, until it ends. Ten thousand of these are at rest: what is large is boxed, and ends before.
pub(super) async fn converse<S>(stream: S, caller: Arc<Caller>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let wire = match &caller.host.tls {
        None => Wire::Plain(stream),
        Some(tls) => match Box::pin(timeout(HEAD, Wire::accept(tls.clone(), stream))).await {
            Ok(Ok(wire)) => wire,
            _ => return,
        },
    };
    let mut stream = Resumed::new(wire);
    loop {
        match Box::pin(speak(stream, &caller)).await {
            Some(Ok(spoken)) => stream = spoken,
            _ => return,
        }
        if !rest(&mut stream, &caller.host.shutdown).await {
            return;
        }
    }
}

/// Answers until the connection ends; gives it, ready to rest, if it is held instead.
async fn speak<S>(stream: Resumed<Wire<S>>, caller: &Arc<Caller>) -> Option<io::Result<Resumed<Wire<S>>>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    caller.begins();
    let asker = caller.clone();
    let service = hyper::service::service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(ConnectInfo(asker.peer));
        // Also one that came while the answer before was on its way out.
        asker.begins();
        let (mut router, caller, stays) = (asker.host.router.clone(), asker.clone(), Caller::stays(&request));
        Box::pin(async move {
            let mut response = match timeout(WHOLE, router.call(request)).await {
                Ok(Ok(response)) => response,
                Err(_) => StatusCode::REQUEST_TIMEOUT.into_response(),
            };
            caller.answers(&mut response, stays);
            Ok::<_, Infallible>(response)
        })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut lets_go = false;
    let ended = {
        let end = poll_fn(|context| {
            if !lets_go {
                let polled = Pin::new(&mut connection).poll(context);
                if polled.is_ready() || !caller.rests() {
                    return polled;
                }
                // It has just answered that the connection is held, and goes when that is sent.
                Pin::new(&mut connection).graceful_shutdown();
                lets_go = true;
            }
            connection.poll_without_shutdown(context)
        });
        tokio::select! {
            ended = end => Some(ended),
            () = caller.host.shutdown.requested() => None,
        }
    };
    match ended {
        // How it ended is the client's business.
        Some(Ok(())) if !lets_go => None,
        Some(ended) => {
            let parts = connection.into_parts();
            let mut stream = parts.io.into_inner();
            // Where the end of an answer is still in a buffer of HTTP it is lost, and what comes next would be taken for it.
            if ended.is_ok() && caller.rests() && stream.is_flushed() {
                stream.put_back(&parts.read_buf);
                return Some(stream.map(Wire::rested));
            }
            drop(timeout(HEAD, stream.shutdown()).await);
            None
        }
        None => {
            Pin::new(&mut connection).graceful_shutdown();
            drop(connection.await);
            None
        }
    }
}

/// Waits until something more is said. Ends the connection if it is nothing.
async fn rest<S>(stream: &mut Resumed<S>, shutdown: &Shutdown) -> bool
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let begins = poll_fn(|context| {
        // A request of a node whole, so that the kernel is asked once. It is here only while it is read.
        let mut bytes = [0; FIRST_BYTES];
        let mut first = ReadBuf::new(&mut bytes);
        ready!(Pin::new(&mut *stream).poll_read(context, &mut first))?;
        stream.put_back(first.filled());
        Poll::Ready(io::Result::Ok(!first.filled().is_empty()))
    });
    let said = tokio::select! {
        begins = timeout(HELD, begins) => matches!(begins, Ok(Ok(true))),
        () = shutdown.requested() => false,
    };
    if !said {
        drop(timeout(HEAD, stream.shutdown()).await);
    }
    said
}
