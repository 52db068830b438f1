//! Unary gRPC calls over a unix socket, which is all that the Container Runtime Interface needs here.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, Request, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::UnixStream;

/// Length of what precedes every message: a compression flag and a 32-bit length ("Length-Prefixed-Message" in gRPC
/// over HTTP/2).
const PREFIX: usize = 5;

/// Largest answer that is read, in bytes. `ContainerStatus` and the like are a few kilobytes.
const MAX_ANSWER: usize = 1 << 20;

/// One HTTP/2 connection. Calls may run at the same time.
#[derive(Clone, Debug)]
pub(super) struct Client {
    sender: SendRequest<Full<Bytes>>,
}

impl Client {
    /// Connects; the connection lives on a task of its own until the last clone is dropped.
    pub(super) async fn connect(socket: &Path) -> anyhow::Result<Self> {
        let stream = UnixStream::connect(socket).await.with_context(|| format!("connect to {}", socket.display()))?;
        let (sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.context("HTTP/2 handshake")?;
        tokio::spawn(connection);
        Ok(Self { sender })
    }

    /// Calls `method` (such as `runtime.v1.RuntimeService/Status`) and waits at most `deadline`.
    pub(super) async fn call<A: Message + Default>(
        &self,
        method: &str,
        request: &impl Message,
        deadline: Duration,
    ) -> anyhow::Result<A> {
        match tokio::time::timeout(deadline, self.exchange(method, request)).await {
            Ok(answer) => answer.with_context(|| format!("call {method}")),
            Err(_) => bail!("call {method}: no answer in {deadline:?}"),
        }
    }

    async fn exchange<A: Message + Default>(&self, method: &str, request: &impl Message) -> anyhow::Result<A> {
        let length = request.encoded_len();
        let mut body = BytesMut::with_capacity(PREFIX + length);
        body.put_u8(0);
        body.put_u32(u32::try_from(length).context("request is longer than gRPC allows")?);
        request.encode(&mut body)?;
        let request = Request::post(format!("http://localhost/{method}"))
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::TE, "trailers")
            .body(Full::new(body.freeze()))?;

        let (head, body) = self.sender.clone().send_request(request).await?.into_parts();
        if head.status != http::StatusCode::OK {
            bail!("HTTP status {}", head.status);
        }
        let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(anyhow::Error::from_boxed)?;
        // An answer without a message carries its status in the headers ("Trailers-Only").
        check_status(body.trailers().unwrap_or(&head.headers))?;
        let mut body = body.to_bytes();
        if body.len() < PREFIX || body[0] != 0 {
            bail!("answer is not one uncompressed message");
        }
        Ok(A::decode(body.split_off(PREFIX))?)
    }
}

/// The error that `grpc-status` and `grpc-message` tell of, if any.
fn check_status(headers: &HeaderMap) -> anyhow::Result<()> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match text("grpc-status") {
        "0" => Ok(()),
        "" => bail!("answer has no gRPC status"),
        status => bail!("gRPC status {status}: {}", text("grpc-message")),
    }
}
