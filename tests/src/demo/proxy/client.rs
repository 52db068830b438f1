//! What runs in a pod: it asks for its credentials as an SDK does, with a token, again and again. The curious one also tries what
//! is not its own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::HOST;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpSocket;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::pods::Pod;
use super::record::{Answer, Due, Id, Record};

/// Between two askings. SDKs ask once and keep what they get.
const EVERY: Duration = Duration::from_millis(500);

/// For one request: SDKs wait a second, and a busy machine may take longer.
const DEADLINE: Duration = Duration::from_secs(3);

/// Credentials and a session token have less than 2 kB.
const MOST_BYTES: usize = 64 << 10;

/// How often a client that was told to stop still asks for the answer that it is due.
const LAST_TRIES: u32 = 10;

const TOKEN: &str = "x-aws-ec2-metadata-token";
const TOKEN_SECONDS: &str = "x-aws-ec2-metadata-token-ttl-seconds";

const LIST: &str = "/latest/meta-data/iam/security-credentials/";

/// Anybody may know that; it comes from the node's metadata service.
const HARMLESS: &str = "/latest/meta-data/placement/availability-zone";

/// What is the node's or another pod's, in spellings that have fooled others (research rows 9, 10, 16, 18).
const FORBIDDEN: [&str; 12] = [
    "/latest/meta-data/iam/security-credentials/node",
    "/latest/meta-data/iam/security-credentials/shop-pay",
    "/latest/meta-data/iam/security-credentials-extended/node",
    "//latest//meta-data//iam/security-credentials/node",
    "/latest/meta-data/placement/../iam/security-credentials/node",
    "/latest/meta-data/iam%2fsecurity-credentials/node",
    "/latest/meta-data/iam%252fsecurity-credentials/node",
    "/latest/meta-data/identity-credentials/ec2/security-credentials/ec2-instance",
    "/latest/user-data",
    "/latest/dynamic/instance-identity/document",
    "/metrics",
    "/v1/explain?ip=127.0.1.1",
];

/// All clients.
#[derive(Debug)]
pub(super) struct Clients {
    to: SocketAddr,
    record: Arc<Record>,
    running: Mutex<Vec<Running>>,
}

#[derive(Debug)]
struct Running {
    id: Id,
    pod: Option<Pod>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Clients {
    pub(super) fn new(to: SocketAddr, record: Arc<Record>) -> Self {
        Self { to, record, running: Mutex::default() }
    }

    fn running(&self) -> MutexGuard<'_, Vec<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A pod, or nobody, begins to ask from `address`.
    pub(super) fn start(&self, pod: Option<Pod>, address: Ipv4Addr, due: Due) {
        let id = self.record.enter(pod, address, due);
        let (stop, stopped) = watch::channel(false);
        let client = Client { source: address.into(), to: self.to, curious: pod.is_some_and(|pod| pod.curious) };
        let task = tokio::spawn(client.live(id, self.record.clone(), stopped));
        self.running().push(Running { id, pod, stop, task });
    }

    /// What a pod is to get from now on.
    pub(super) fn now_due(&self, pod: Pod, due: Due) {
        let id = self.running().iter().find(|running| running.pod == Some(pod)).map(|running| running.id);
        if let Some(id) = id {
            self.record.now_due(id, due);
        }
    }

    /// Whether STS is away from now on.
    pub(super) fn sts_is_away(&self, away: bool) {
        self.record.sts_is_away(away);
    }

    /// A pod ends: it asks no more when this returns.
    pub(super) async fn end(&self, pod: Pod) {
        let at = self.running().iter().position(|running| running.pod == Some(pod));
        let ended = at.map(|at| self.running().swap_remove(at));
        if let Some(ended) = ended {
            let id = ended.id;
            ended.end().await;
            self.record.gone(id);
        }
    }

    /// All of them end.
    pub(super) async fn stop(&self) {
        let all = std::mem::take(&mut *self.running());
        for running in &all {
            running.stop.send_replace(true);
        }
        for running in all {
            running.end().await;
        }
    }
}

impl Running {
    async fn end(self) {
        self.stop.send_replace(true);
        // A client that panicked has asked no more, and the record shows it.
        drop(self.task.await);
    }
}

#[derive(Debug, Clone, Copy)]
struct Client {
    source: IpAddr,
    to: SocketAddr,
    curious: bool,
}

/// A connection to the proxy.
struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    requests: u64,
}

impl Client {
    async fn live(self, id: Id, record: Arc<Record>, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            self.ask(id, &record).await;
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => {}
                () = sleep(EVERY) => {}
            }
        }
        for _ in 0..LAST_TRIES {
            if record.is_served(id) {
                return;
            }
            self.ask(id, &record).await;
        }
    }

    /// One asking, and what came of it.
    async fn ask(self, id: Id, record: &Record) {
        let begun = Instant::now();
        match self.connect().await {
            Ok(mut connection) => {
                let mut token = None;
                let answer = match connection.credentials(&mut token).await {
                    Ok(answer) => answer,
                    Err(why) => Answer::None(why),
                };
                record.took(id, begun, answer);
                if let Some(token) = token {
                    if self.curious {
                        self.pry(id, record, &token).await;
                    } else {
                        record.show_token(id, token);
                    }
                }
                record.requested(connection.requests);
            }
            Err(why) => record.took(id, begun, Answer::None(why)),
        }
    }

    /// Tries what is not its own, with a token of its own and with another pod's.
    async fn pry(self, id: Id, record: &Record, token: &str) {
        for path in FORBIDDEN {
            match self.get_once(record, path, token).await {
                Ok((status, body)) => record.tried(id, path, status, &body),
                Err(why) => record.took(id, Instant::now(), Answer::None(why)),
            }
        }
        if let Some(stolen) = record.token_of_another(id) {
            match self.get_once(record, HARMLESS, &stolen).await {
                Ok((status, body)) => record.tried(id, "a token of another pod", status, &body),
                Err(why) => record.took(id, Instant::now(), Answer::None(why)),
            }
        }
    }

    /// On a connection of its own: the proxy ends one with the first error, as the real service does.
    async fn get_once(self, record: &Record, path: &str, token: &str) -> Result<(u16, String), String> {
        let mut connection = self.connect().await?;
        let answer = connection.get(path, token).await;
        record.requested(connection.requests);
        answer
    }

    async fn connect(self) -> Result<Connection, String> {
        let connect = async {
            let socket = TcpSocket::new_v4()?;
            socket.bind(SocketAddr::new(self.source, 0))?;
            socket.connect(self.to).await
        };
        let stream = timeout(DEADLINE, connect).await.map_err(|_| "no connection in time".to_owned())?;
        let stream = stream.map_err(|error| format!("no connection: {error}"))?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        // It ends with the sender; what goes wrong shows there.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Connection { sender, requests: 0 })
    }
}

impl Connection {
    /// As SDKs do: a token, the name of the role, its credentials. The token comes out, too.
    async fn credentials(&mut self, token: &mut Option<String>) -> Result<Answer, String> {
        let (status, body) = self.send(Method::PUT, "/latest/api/token", (TOKEN_SECONDS, "300")).await?;
        if status != 200 {
            return Ok(Answer::Refused(status));
        }
        let own = token.insert(body);
        let (status, role) = self.get(LIST, own).await?;
        if status != 200 {
            return Ok(Answer::Refused(status));
        }
        let (status, document) = self.get(&format!("{LIST}{role}"), own).await?;
        if status != 200 {
            return Ok(Answer::Refused(status));
        }
        let (status, zone) = self.get(HARMLESS, own).await?;
        if status != 200 || zone.is_empty() {
            return Err(format!("{HARMLESS} was answered with {status}"));
        }
        let document: serde_json::Value = serde_json::from_str(&document).map_err(|error| error.to_string())?;
        let key = document["AccessKeyId"].as_str().ok_or("a document without an access key id")?;
        Ok(Answer::Key(key.to_owned()))
    }

    async fn get(&mut self, path: &str, token: &str) -> Result<(u16, String), String> {
        self.send(Method::GET, path, (TOKEN, token)).await
    }

    async fn send(&mut self, method: Method, path: &str, header: (&str, &str)) -> Result<(u16, String), String> {
        let request = Request::builder().method(method).uri(path).header(HOST, "169.254.169.254");
        let request = request.header(header.0, header.1).body(Empty::new()).map_err(|error| error.to_string())?;
        self.requests += 1;
        let exchange = async {
            self.sender.ready().await.map_err(|error| error.to_string())?;
            let reply = self.sender.send_request(request).await.map_err(|error| error.to_string())?;
            let status = reply.status().as_u16();
            let body =
                Limited::new(reply.into_body(), MOST_BYTES).collect().await.map_err(|error| error.to_string())?;
            Ok((status, String::from_utf8_lossy(&body.to_bytes()).into_owned()))
        };
        timeout(DEADLINE, exchange).await.unwrap_or_else(|_| Err(format!("no answer to {path} in time")))
    }
}
