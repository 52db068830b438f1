//! Listening, connections, and their end. What is served is a [`Serve`].

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    body::Body,
    listen::Listen,
    locked,
    tls::Tls,
    wire::{Control, Meter, Wire},
};

/// What answers the requests of a listener.
pub(crate) trait Serve: Send + Sync + 'static {
    /// Answers one request, or ends the connection.
    fn respond(
        &self,
        line: &Line,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<Body>, Closed>> + Send;

    /// A connection was accepted.
    fn accepted(&self) {}

    /// Counts the bytes of its connections.
    fn meter(&self) -> Arc<Meter> {
        Arc::default()
    }

    /// More than one request on a connection.
    fn keep_alive(&self) -> bool {
        true
    }

    /// Something came that is not HTTP, or whose request line is not. `seen` is what arrived since the last request.
    fn unreadable(&self, _line: &Line, _seen: Vec<u8>) {}
}

/// The connection of a request.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// Who connected. An IPv4 peer of a dual-stack listener has its IPv4 address.
    pub(crate) peer: SocketAddr,
    pub(crate) control: Control,
}

/// Ends the connection without a reply.
#[derive(Debug)]
pub(crate) struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the stand-in closed the connection")
    }
}

impl std::error::Error for Closed {}

impl From<Infallible> for Closed {
    fn from(never: Infallible) -> Closed {
        match never {}
    }
}

/// A listener that can go down and come up again. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Door<S> {
    service: Arc<S>,
    listen: Listen,
    addr: SocketAddr,
    tls: Option<Tls>,
    running: Mutex<Option<Running>>,
}

impl<S: Serve> Door<S> {
    pub(crate) fn open(
        listen: Listen,
        listener: TcpListener,
        tls: Option<Tls>,
        service: Arc<S>,
    ) -> io::Result<Door<S>> {
        let addr = listener.local_addr()?;
        let running = start(listener, Arc::clone(&service), tls.as_ref());
        Ok(Door { service, listen, addr, tls, running: Mutex::new(Some(running)) })
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The URL, without a last slash.
    pub(crate) fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.addr)
    }

    pub(crate) fn ca_pem(&self) -> Option<String> {
        self.tls.as_ref().map(|tls| tls.ca_pem().to_owned())
    }

    /// Closes the listener and every connection. Does nothing when it is down.
    pub(crate) async fn go_down(&self) {
        let running = locked(&self.running).take();
        if let Some(running) = running {
            running.stop().await;
        }
    }

    /// Listens again where it did before. Does nothing when it is up.
    pub(crate) async fn come_up(&self) -> io::Result<()> {
        if locked(&self.running).is_some() {
            return Ok(());
        }
        let listener = self.listen.bind(Some(self.addr)).await?;
        *locked(&self.running) = Some(start(listener, Arc::clone(&self.service), self.tls.as_ref()));
        Ok(())
    }
}

/// A listener at work. Dropping it ends the listener and all of its connections.
#[derive(Debug)]
struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    /// Closes the listener and every connection, and waits until they are gone.
    async fn stop(self) {
        drop(self.stop);
        // A panic in the accept loop has been reported by the panic hook; the listener is gone either way.
        drop(self.task.await);
    }
}

fn start<S: Serve>(listener: TcpListener, service: Arc<S>, tls: Option<&Tls>) -> Running {
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(accept(listener, service, tls.map(Tls::acceptor), stopped));
    Running { stop, task }
}

async fn accept<S: Serve>(
    listener: TcpListener,
    service: Arc<S>,
    tls: Option<TlsAcceptor>,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(connection(stream, peer, Arc::clone(&service), tls.clone()));
                }
                // Out of file descriptors, most likely: they come back when connections end.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            },
        }
    }
    drop(listener);
    connections.shutdown().await;
}

async fn connection<S: Serve>(stream: TcpStream, peer: SocketAddr, service: Arc<S>, tls: Option<TlsAcceptor>) {
    // Only latency suffers when this fails.
    drop(stream.set_nodelay(true));
    service.accepted();
    let line = Line { peer: SocketAddr::new(peer.ip().to_canonical(), peer.port()), control: Control::default() };
    let wire = Wire::new(stream, service.meter(), line.control.clone());
    match tls {
        None => converse(wire, line, service).await,
        Some(acceptor) => {
            // A peer that does not trust the certificate ends here; that is its business.
            let handshake = tokio::time::timeout(Duration::from_secs(10), acceptor.accept(wire)).await;
            if let Ok(Ok(stream)) = handshake {
                converse(stream, line, service).await;
            }
        }
    }
}

async fn converse<S: Serve>(stream: impl AsyncRead + AsyncWrite + Unpin, line: Line, service: Arc<S>) {
    let answer = service_fn(|request| {
        let (service, line) = (Arc::clone(&service), line.clone());
        async move {
            line.control.forget_seen();
            service.respond(&line, request).await
        }
    });
    let mut http = http1::Builder::new();
    http.keep_alive(service.keep_alive());
    let ended = http.serve_connection(TokioIo::new(stream), answer).await;
    // Peers leave in the middle of requests all the time, and faults end connections on purpose.
    if ended.is_err_and(|error| error.is_parse()) {
        service.unreadable(&line, line.control.seen());
    }
}
