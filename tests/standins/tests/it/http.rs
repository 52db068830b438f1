//! A client that sends what a test writes, to any stand-in.

use std::net::SocketAddr;

use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// Sends a request on a connection of its own; an error when the connection ends without a whole reply.
pub(crate) async fn send(addr: SocketAddr, request: http::Request<Vec<u8>>) -> Result<Reply, String> {
    let stream = TcpStream::connect(addr).await.map_err(|error| error.to_string())?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
    let connection = tokio::spawn(connection);
    let request = request.map(|body| Full::new(bytes::Bytes::from(body)));
    let reply = sender.send_request(request).await.map_err(|error| format!("{error:?}"))?;
    let (head, body) = reply.into_parts();
    let body = body.collect().await.map_err(|error| format!("{error:?}"))?.to_bytes();
    connection.abort();
    let body = String::from_utf8(body.to_vec()).unwrap();
    Ok(Reply { status: head.status.as_u16(), headers: head.headers, body })
}

pub(crate) fn request(method: &str, target: &str, headers: &[(&str, &str)]) -> http::Request<Vec<u8>> {
    let mut request = http::Request::builder().method(method).uri(target).header("host", "stand-in");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Vec::new()).unwrap()
}

/// Writes bytes on a connection and gives everything that comes back until it ends.
pub(crate) async fn raw(addr: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut back = Vec::new();
    let read = tokio::time::timeout(std::time::Duration::from_secs(5), stream.read_to_end(&mut back));
    drop(read.await.unwrap());
    String::from_utf8_lossy(&back).into_owned()
}
