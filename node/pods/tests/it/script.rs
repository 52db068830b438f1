//! An API server that answers as a test says.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) resource: String,
    pub(crate) watches: bool,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) bearer: String,
    pub(crate) agent: String,
    /// How many requests there were before it for the same thing.
    pub(crate) nth: usize,
    pub(crate) at: Instant,
}

impl Asked {
    pub(crate) fn query(&self, key: &str) -> Option<&str> {
        self.query.get(key).map(String::as_str)
    }
}

/// A step of an answer.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Send(String),
    Wait(Duration),
    /// Nothing more, and no end.
    Hang,
    /// The connection breaks.
    Cut,
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    steps: Vec<Step>,
}

impl Reply {
    /// A whole answer.
    pub(crate) fn json(value: &Value) -> Self {
        Self::steps([Step::Send(value.to_string())])
    }

    /// An answer piece by piece; its end is an orderly one.
    pub(crate) fn steps(steps: impl IntoIterator<Item = Step>) -> Self {
        Self { status: 200, headers: Vec::new(), steps: steps.into_iter().collect() }
    }

    /// A watch: these events, then nothing for a long time.
    pub(crate) fn events(events: impl IntoIterator<Item = Value>) -> Self {
        Self::steps(events.into_iter().map(|event| Step::Send(format!("{event}\n"))).chain([Step::Hang]))
    }

    /// With another status.
    pub(crate) fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// A refusal as the API server words it.
    pub(crate) fn error(status: u16, reason: &str, message: &str) -> Self {
        let body = serde_json::json!({
            "kind": "Status", "status": "Failure", "code": status, "reason": reason, "message": message,
        });
        Self { status, ..Self::json(&body) }
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

type Handler = Box<dyn Fn(&Asked) -> Reply + Send + Sync>;

struct State {
    handler: Handler,
    log: Mutex<Vec<Asked>>,
}

/// A running server. It stops when it is dropped, and its connections break.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    accepting: AbortHandle,
}

impl Server {
    pub(crate) async fn start(handler: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), None, handler).await
    }

    pub(crate) async fn start_at(
        address: SocketAddr,
        tls: Option<TlsAcceptor>,
        handler: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(address).unwrap();
        let listener = socket.listen(64).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State { handler: Box::new(handler), log: Mutex::default() });
        let accepting = tokio::spawn(accept(listener, tls, state.clone())).abort_handle();
        Self { address, state, accepting }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests so far.
    pub(crate) fn log(&self) -> Vec<Asked> {
        self.state.log.lock().unwrap().clone()
    }

    pub(crate) fn lists(&self) -> Vec<Asked> {
        self.log().into_iter().filter(|asked| !asked.watches).collect()
    }

    pub(crate) fn watches(&self) -> Vec<Asked> {
        self.log().into_iter().filter(|asked| asked.watches).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, state: Arc<State>) {
    // Dropped with this future: its connections go with the server.
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (state, tls) = (state.clone(), tls.clone());
        connections.spawn(async move {
            match tls {
                None => serve(stream, state).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, state).await;
                    }
                }
            }
        });
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, state: Arc<State>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let state = state.clone();
        async move { Ok::<_, Infallible>(answer(&request, &state)) }
    });
    // Whether it ended well is the client's business.
    drop(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}

fn answer(request: &Request<Incoming>, state: &State) -> Response<Steps> {
    let header = |name: &str| request.headers().get(name).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
    let path = request.uri().path().to_owned();
    // Of another group, all of it.
    let resource = path.strip_prefix("/api/v1/").unwrap_or(&path).to_owned();
    let query: HashMap<String, String> =
        form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()).into_owned().collect();
    let watches = query.get("watch").is_some_and(|watch| watch == "true");
    let asked = {
        let mut log = state.log.lock().unwrap();
        let nth = log.iter().filter(|asked| asked.resource == resource && asked.watches == watches).count();
        let bearer = header("authorization").strip_prefix("Bearer ").unwrap().to_owned();
        let query = query.into_iter().collect();
        let asked =
            Asked { path, resource, watches, query, bearer, agent: header("user-agent"), nth, at: Instant::now() };
        log.push(asked.clone());
        asked
    };
    let reply = (state.handler)(&asked);
    let (sender, steps) = mpsc::channel(1);
    tokio::spawn(play(reply.steps, sender));
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(Steps(steps)).unwrap()
}

async fn play(steps: Vec<Step>, sender: mpsc::Sender<Result<Bytes, std::io::Error>>) {
    for step in steps {
        let sent = match step {
            Step::Send(text) => sender.send(Ok(text.into())).await,
            Step::Wait(time) => {
                tokio::time::sleep(time).await;
                Ok(())
            }
            Step::Hang => {
                sender.closed().await;
                return;
            }
            Step::Cut => sender.send(Err(std::io::Error::other("cut"))).await,
        };
        if sent.is_err() {
            return;
        }
    }
}

/// A body that comes step by step.
struct Steps(mpsc::Receiver<Result<Bytes, std::io::Error>>);

impl Body for Steps {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(cx).map(|step| step.map(|step| step.map(Frame::data)))
    }
}
