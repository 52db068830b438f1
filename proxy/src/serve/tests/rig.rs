//! A proxy in the test's process: pods are addresses of 127.0.0.0/8, STS is a script, the node's metadata service is the strict one.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use safeguard_daemon::clock;
use safeguard_daemon::shutdown::Shutdown;
use safeguard_host::HostRoot;
use safeguard_pods::{Namespace, Writer, index};
use safeguard_standins::{Account, Imds, ImdsOptions};
use secrecy::SecretString;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::answer::Stages;
use crate::assume::{Assume, Assumed, Credentials, Sessions};
use crate::audit::Audit;
use crate::authorise::SessionKey;
use crate::cni::CniCache;
use crate::connections::Connections;
use crate::decide::Decide;
use crate::forward::Forward;
use crate::identify::Identify;
use crate::metrics::Tally;
use crate::path::Forwarded;
use crate::rate::Rates;
use crate::serve::serve;
use crate::settings::Settings;
use crate::testing;

/// An STS that gives everybody what he asks for, and says whose it is.
#[derive(Debug, Default)]
pub(super) struct Generous {
    pub(super) calls: AtomicU32,
}

impl Assume for Generous {
    fn assume<'a>(&'a self, key: &'a SessionKey) -> Assumed<'a> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        Box::pin(std::future::ready(Ok(Credentials {
            access_key_id: format!("ASIA-{}", key.role.name()),
            secret_access_key: SecretString::from(format!("secret of {}", key.role)),
            token: SecretString::from("token"),
            expires_ms: clock::now_ms() + 3_600_000,
        })))
    }
}

pub(super) struct Rig {
    pub(super) imds: Imds,
    pub(super) sts: Arc<Generous>,
    pub(super) connections: Connections,
    writer: Writer,
    address: SocketAddr,
    stop: Shutdown,
    _root: TempDir,
}

/// What came back: status, headers in lower case, body.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HashMap<String, String>,
    pub(super) body: String,
}

/// The address of a pod.
fn pod(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 1, number)
}

impl Rig {
    /// Pods 1 and 2 have the roles `one` and `two`, pod 3 has none, pod 4 one that its namespace does not allow; pod 9 is nobody.
    pub(super) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(super) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = testing::settings();
        settings.unknown_pod_wait = Duration::from_millis(20);
        settings.limits.requests_per_second = 0;
        change(&mut settings);
        let settings = Arc::new(settings);
        let account = Account::new("123456789012").unwrap();
        let imds = Imds::start(ImdsOptions { keep_alive: true, ..ImdsOptions::new(account) }).await.unwrap();
        let (mut writer, pods) = index();
        let allowed = [("iam.amazonaws.com/allowed-roles", r#"["one","two"]"#)];
        writer.put_namespace("ns", "1", testing::namespace(&allowed));
        for (number, role) in [(1, Some("one")), (2, Some("two")), (3, None), (4, Some("four"))] {
            let annotations: Vec<_> = role.map(|role| ("iam.amazonaws.com/role", role)).into_iter().collect();
            let mut made = testing::pod(&format!("uid-{number}"), &annotations);
            made.name = format!("pod-{number}").into();
            made.addresses = vec![pod(number).into()];
            writer.put_pod("1", made);
        }
        let sts = Arc::<Generous>::default();
        let audit = Arc::<Audit>::default();
        let root = tempfile::tempdir().unwrap();
        let cni = CniCache::new(HostRoot::open(root.path()).unwrap(), "/none".as_ref());
        let stages = Arc::new(Stages {
            identify: Identify::new(settings.identity, cni, pods.clone(), settings.unknown_pod_wait),
            decide: Decide::new(pods, settings.clone(), "node-1".to_owned()),
            sessions: Sessions::new(sts.clone(), audit.clone(), clock::now_ms),
            tokens: Arc::default(),
            forward: Forward::new(&imds.url()),
            forwarded: Forwarded::new(&settings.forwarded),
            audit,
            rates: Rates::new(settings.limits.requests_per_second),
            tally: Tally::default(),
            settings: settings.clone(),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let limits = settings.limits;
        let connections = Connections::new(limits.connections_per_pod, limits.connections);
        let stop = Shutdown::new();
        tokio::spawn(serve(listener, stages, connections.clone(), stop.clone()));
        Self { imds, sts, connections, writer, address, stop, _root: root }
    }

    pub(super) fn put_namespace(&mut self, version: &str, namespace: Namespace) {
        self.writer.put_namespace("ns", version, namespace);
    }

    /// Asks the server to end.
    pub(super) fn stop(&self) {
        self.stop.trigger();
    }

    /// A connection of a pod.
    pub(super) async fn connect(&self, from: u8) -> std::io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((pod(from), 0).into())?;
        socket.connect(self.address).await
    }

    /// Sends these bytes and reads until the other side closes or is silent for a while.
    pub(super) async fn raw(&self, from: u8, bytes: &[u8]) -> String {
        let mut stream = self.connect(from).await.unwrap();
        // Whoever refuses early may close before all is sent.
        drop(stream.write_all(bytes).await);
        let mut answer = Vec::new();
        let mut buffer = [0; 4_096];
        while let Ok(Ok(read @ 1..)) = tokio::time::timeout(Duration::from_millis(500), stream.read(&mut buffer)).await
        {
            answer.extend_from_slice(&buffer[..read]);
        }
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// One request on a connection of its own.
    pub(super) async fn ask(&self, from: u8, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
        let mut text = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            text.push_str("Host: 169.254.169.254\r\n");
        }
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        let mut stream = self.connect(from).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        Reply::parse(&String::from_utf8(answer).unwrap())
    }

    pub(super) async fn get(&self, from: u8, path: &str) -> Reply {
        self.ask(from, "GET", path, &[]).await
    }

    pub(super) async fn token(&self, from: u8) -> String {
        let reply =
            self.ask(from, "PUT", "/latest/api/token", &[("X-aws-ec2-metadata-token-ttl-seconds", "300")]).await;
        assert_eq!((reply.status, reply.headers["x-aws-ec2-metadata-token-ttl-seconds"].as_str()), (200, "300"));
        reply.body
    }

    /// Design section 6: nothing of the node's own is ever asked for because of a pod.
    pub(super) fn nothing_leaked(&self) {
        assert_eq!(self.imds.sensitive_requests(|_| false), []);
        let forwarded = self.imds.requests().iter().any(|request| !request.forwarded().is_empty());
        assert!(!forwarded, "X-Forwarded-For and its like never go to the metadata service");
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop.trigger();
    }
}

impl Reply {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
        let header = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        Self { status: status.unwrap_or(0), headers: lines.filter_map(header).collect(), body: body.to_owned() }
    }
}
