//! A node that enrols and beats, and a server for it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use safeguard::config::Settings;
use safeguard::server::Server;
use safeguard::vouching::Vouching;
use safeguard_daemon::clock;
use safeguard_protocol::{
    Acknowledgement, Assessment, Beat, Challenge, Code, Counts, Digest, Enrolled, Enrolment, Envelope, Exceptions,
    IdentityProof, Kind, Membership, Program, Proofs, PublicKey, Refusal, RoleMapping, SigningKey, Spool, Statement,
    StsProof,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::TempDir;

/// A server, and the directory that it lives in.
pub(crate) struct Safeguard {
    pub(crate) dir: TempDir,
    pub(crate) server: Server,
}

/// Settings of a server in a directory, on a port of its own.
pub(crate) fn settings(dir: &TempDir) -> Settings {
    let mut settings = Settings::default();
    settings.server.listen = "127.0.0.1:0".to_owned();
    settings.server.state_dir = dir.path().join("state");
    settings
}

impl Safeguard {
    pub(crate) async fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), clock::now_ms).await
    }

    pub(crate) async fn start_in(dir: TempDir, now_ms: fn() -> i64) -> Self {
        let server = Server::start_with(&settings(&dir), Vouching::Simulation, now_ms).await.unwrap();
        Self { dir, server }
    }

    /// Ends it, and starts it again on what it stored.
    pub(crate) async fn restart(self) -> Self {
        self.server.shutdown().await;
        Self::start_in(self.dir, clock::now_ms).await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// What a query of one value says of the store.
    pub(crate) fn stored<T: rusqlite::types::FromSql>(&self, sql: &str) -> T {
        let db = rusqlite::Connection::open(self.dir.path().join("state/safeguard.db")).unwrap();
        db.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    pub(crate) async fn node(&self, n: u32) -> Node {
        let mut node = Node::new(self.url(), self.server.public_key(), n);
        node.enrol().await.unwrap();
        node
    }
}

/// Asks over HTTP.
pub(crate) async fn ask(method: Method, url: &str, body: impl Into<Bytes>) -> (StatusCode, Bytes) {
    ask_by(&client(), method, url, body).await
}

/// Who keeps connections.
pub(crate) type Asker = Client<HttpConnector, Full<Bytes>>;

/// A new one.
pub(crate) fn client() -> Asker {
    Client::builder(TokioExecutor::new()).build_http()
}

async fn ask_by(client: &Asker, method: Method, url: &str, body: impl Into<Bytes>) -> (StatusCode, Bytes) {
    let request = Request::builder().method(method).uri(url).body(Full::new(body.into())).unwrap();
    let response = client.request(request).await.unwrap();
    let status = response.status();
    (status, response.into_body().collect().await.unwrap().to_bytes())
}

/// A node: what its agent knows.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) url: String,
    /// Its connections.
    pub(crate) client: Asker,
    server: PublicKey,
    pub(crate) n: u32,
    pub(crate) key: SigningKey,
    pub(crate) boot: String,
    pub(crate) sequence: u64,
    pub(crate) previous: Option<Digest>,
    /// Of the last reply.
    pub(crate) contact: Mutex<Option<String>>,
    pub(crate) critical: Vec<String>,
    pub(crate) report: Digest,
    pub(crate) cluster: String,
    /// Its proofs hold a request to STS.
    pub(crate) sts: bool,
}

/// An answer, or why there is none.
pub(crate) type Answer<T> = Result<T, Refusal>;

static SEED: AtomicI64 = AtomicI64::new(1);

impl Node {
    pub(crate) fn new(url: String, server: PublicKey, n: u32) -> Self {
        let key = new_key();
        Self {
            url,
            client: client(),
            server,
            n,
            key,
            boot: "boot-1".to_owned(),
            sequence: 0,
            previous: None,
            contact: Mutex::default(),
            critical: Vec::new(),
            report: Digest::of(b"report"),
            cluster: "prod".to_owned(),
            sts: true,
        }
    }

    /// The same node, as a copy of its disk would be.
    pub(crate) fn copy(&self) -> Self {
        let seed = SigningKey::from_seed(&self.seed()).unwrap();
        Self {
            key: seed,
            url: self.url.clone(),
            client: client(),
            server: self.server,
            boot: self.boot.clone(),
            critical: self.critical.clone(),
            cluster: self.cluster.clone(),
            contact: Mutex::new(self.contact()),
            ..*self
        }
    }

    pub(crate) fn contact(&self) -> Option<String> {
        self.contact.lock().unwrap().clone()
    }

    fn seed(&self) -> [u8; 32] {
        SEEDS.lock().unwrap().iter().find(|(key, _)| *key == self.key.public()).unwrap().1
    }

    pub(crate) fn new_key(&mut self) {
        (self.key, self.sequence, self.previous) = (new_key(), 0, None);
    }

    /// Sends a signed payload; the answer has to be signed too, and an answer to it.
    pub(crate) async fn send<T: Serialize, A: DeserializeOwned>(
        &self,
        kind: (Kind, Kind),
        path: &str,
        content: &T,
    ) -> Answer<A> {
        let (envelope, digest) = Envelope::seal_json(kind.0, content, &self.key).unwrap();
        let url = format!("{}{path}", self.url);
        let (status, body) = ask_by(&self.client, Method::POST, &url, envelope.to_bytes()).await;
        self.read(kind.1, status, &body, Some(digest))
    }

    pub(crate) fn read<A: DeserializeOwned>(
        &self,
        kind: Kind,
        status: StatusCode,
        body: &[u8],
        of: Option<Digest>,
    ) -> Answer<A> {
        let envelope = Envelope::read(body, 16_384).unwrap();
        if envelope.kind() == Some(Kind::Refusal) {
            let refusal: Refusal = envelope.open(Kind::Refusal, &self.server).unwrap().content;
            assert_eq!(status.as_u16(), refusal.code.status(), "{refusal:?}");
            assert!(!refusal.message.is_empty());
            return Err(refusal);
        }
        assert_eq!(status, StatusCode::OK);
        let opened = envelope.open::<serde_json::Value>(kind, &self.server).unwrap();
        if let Some(digest) = of {
            assert_eq!(opened.content["in_reply_to"], digest.to_string());
        }
        Ok(serde_json::from_value(opened.content).unwrap())
    }

    pub(crate) async fn nonce(&self) -> String {
        self.challenge().await.unwrap().nonce
    }

    async fn challenge(&self) -> Answer<Challenge> {
        let (status, body) = ask_by(&self.client, Method::GET, &format!("{}/v1/challenge", self.url), "").await;
        self.read::<Challenge>(Kind::Challenge, status, &body, None)
    }

    pub(crate) fn enrolment(&self, nonce: String) -> Enrolment {
        let document = serde_json::json!({
            "accountId": "111122223333", "region": "eu-central-1", "instanceId": format!("i-{:017x}", self.n), "imageId": "ami-1",
        });
        let sts = StsProof {
            url: "https://sts.eu-central-1.amazonaws.com/".to_owned(),
            headers: Vec::new(),
            body: String::new(),
        };
        Enrolment {
            version: 1,
            tenant: "acme".to_owned(),
            nonce,
            public_key: self.key.public(),
            cluster: self.cluster.clone(),
            node_group: Some("workers".to_owned()),
            node_name: format!("node-{}", self.n),
            boot_id: self.boot.clone(),
            program: Program { version: "0.1.0".to_owned(), binary: None },
            sent_at_ms: clock::now_ms(),
            last_sequence: self.sequence,
            proofs: Proofs {
                identity: Some(IdentityProof { document: document.to_string(), rsa2048: String::new() }),
                sts: self.sts.then_some(sts),
                service_account_token: None,
            },
        }
    }

    pub(crate) async fn enrol(&mut self) -> Answer<Enrolled> {
        let enrolment = self.enrolment(self.challenge().await?.nonce);
        let enrolled: Enrolled = self.send((Kind::Enrolment, Kind::Enrolled), "/v1/enroll", &enrolment).await?;
        *self.contact.lock().unwrap() = Some(enrolled.nonce.clone());
        Ok(enrolled)
    }

    /// The next statement. It is not sent, and counts as said.
    pub(crate) fn next(&mut self) -> Statement {
        self.sequence += 1;
        let statement = self.statement();
        self.previous = Some(Digest::of(&serde_json::to_vec(&statement).unwrap()));
        statement
    }

    pub(crate) fn statement(&self) -> Statement {
        let now = clock::now_ms();
        Statement {
            version: 1,
            tenant: "acme".to_owned(),
            account: "111122223333".to_owned(),
            region: "eu-central-1".to_owned(),
            instance_id: format!("i-{:017x}", self.n),
            image_id: "ami-1".to_owned(),
            cluster: self.cluster.clone(),
            node_group: Some("workers".to_owned()),
            node_name: format!("node-{}", self.n),
            key_id: self.key.public().id(),
            beat: Beat {
                sequence: self.sequence,
                previous: self.previous,
                boot_id: self.boot.clone(),
                made_at_ms: now,
                uptime_ms: 1,
                clock_offset_ms: None,
                server_nonce: self.contact(),
                next_due_s: 60,
            },
            program: Program { version: "0.1.0".to_owned(), binary: None },
            configuration: Digest::of(b"configuration"),
            policies: Vec::new(),
            assessment: Some(Assessment {
                started_at_ms: now - 10,
                finished_at_ms: now,
                report: self.report,
                counts: Counts { pass: 10, ..Counts::default() },
                changed: Vec::new(),
                changed_more: 0,
                critical: self.critical.clone(),
                critical_more: 0,
            }),
            exceptions: Exceptions::default(),
            membership: Membership { ready: Some(true), lease_age_s: Some(3), role_mapping: RoleMapping::Seen },
            logs: None,
            proxy: None,
            spool: Spool::default(),
        }
    }

    pub(crate) async fn say(&self, statement: &Statement) -> Answer<Acknowledgement> {
        let taken: Answer<Acknowledgement> =
            self.send((Kind::Statement, Kind::Acknowledgement), "/v1/beat", statement).await;
        if let Ok(taken) = &taken {
            *self.contact.lock().unwrap() = Some(taken.nonce.clone());
        }
        taken
    }

    pub(crate) async fn beat(&mut self) -> Answer<Acknowledgement> {
        let statement = self.next();
        self.say(&statement).await
    }
}

pub(crate) fn code<T: std::fmt::Debug>(answer: Answer<T>) -> Code {
    answer.unwrap_err().code
}

static SEEDS: Mutex<Vec<(PublicKey, [u8; 32])>> = Mutex::new(Vec::new());

fn new_key() -> SigningKey {
    let mut seed = [7; 32];
    seed[..8].copy_from_slice(&SEED.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    let key = SigningKey::from_seed(&seed).unwrap();
    SEEDS.lock().unwrap().push((key.public(), seed));
    key
}
