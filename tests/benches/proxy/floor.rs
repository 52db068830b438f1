//! The rig's own ceiling: a server that does nothing, at the place of the proxy, behind the same redirect.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::ensure;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use safeguard_tests::fabric::Place;
use safeguard_tests::proxied::{PATIENCE, Proxied};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

/// Where the redirect brings pods (`redirect.address_v4` and `redirect.port`).
const HERE: &str = "169.254.168.252:8181";

/// As long as a document with credentials.
const BODY: Bytes = Bytes::from_static(&[b'x'; 650]);

pub(crate) async fn serve(address: SocketAddr) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let answer = |_: Request<Incoming>| async {
                let mut response = Response::new(Full::new(BODY));
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
                Ok::<_, Infallible>(response)
            };
            // wrk cuts its connections at the end.
            drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)).await);
        });
    }
}

/// The server as a process in a node's network. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Floor(Child);

impl Floor {
    /// Starts it and waits until pod 0 is answered.
    pub(crate) async fn start(node: &Proxied) -> anyhow::Result<Self> {
        let here = std::env::current_exe()?;
        let mut command = node.fabric.command_in(Place::Node, here.to_str().unwrap_or_default());
        let floor = Self(command.args(["floor", HERE]).stdin(Stdio::null()).spawn()?);
        let late = Instant::now() + PATIENCE;
        while node.get(0, "/").is_err() {
            ensure!(Instant::now() < late, "the trivial server does not answer");
            sleep(Duration::from_millis(10)).await;
        }
        Ok(floor)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
