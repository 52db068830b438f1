//! A safeguard, a node, and what the safeguard stored of it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use safeguard::config::Settings as ServerSettings;
use safeguard::server::Server;
use safeguard::vouching::Vouching;
use safeguard_daemon::clock::now_ms;
use safeguard_heartbeat::{
    Assessment, Clock, Counts, Digest, Exceptions, Future, Heartbeat, IdentityProof, Membership, Node, Posture,
    Program, ProofSource, Proofs, PublicKey, ReportSource, RoleMapping, Settings, Status, StsProof,
};
use tempfile::TempDir;
use tokio::sync::watch;

/// For anything to happen.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const REPORT: &[u8] = br#"{"schema":1,"node":"ip-10-0-0-1","phase":"run","started_ms":0,"policies":[]}"#;

/// What vouches for a node: as much as the test wants.
pub(crate) struct Vouchers {
    pub(crate) instance: Mutex<String>,
    pub(crate) sts: bool,
}

impl ProofSource for Vouchers {
    fn proofs(&self, binding: String) -> Future<'_, Result<Proofs, String>> {
        let document = serde_json::json!({
            "accountId": "111122223333", "region": "eu-central-1", "instanceId": *self.instance.lock().unwrap(), "imageId": "ami-1",
        });
        let sts = self.sts.then(|| StsProof {
            url: "https://sts.eu-central-1.amazonaws.com/".to_owned(),
            headers: vec![("x-safeguard-bind".to_owned(), binding)],
            body: String::new(),
        });
        let identity = Some(IdentityProof { document: document.to_string(), rsa2048: String::new() });
        Box::pin(async move { Ok(Proofs { identity, sts, service_account_token: None }) })
    }
}

/// One report.
struct Reports;

impl ReportSource for Reports {
    fn report(&self, digest: &Digest) -> Option<Arc<[u8]>> {
        (*digest == Digest::of(REPORT)).then(|| REPORT.into())
    }
}

pub(crate) struct Rig {
    dir: TempDir,
    listen: SocketAddr,
    server: Option<Server>,
    pub(crate) server_key: PublicKey,
    pub(crate) settings: Settings,
    pub(crate) vouchers: Arc<Vouchers>,
    pub(crate) postures: watch::Sender<Option<Arc<Posture>>>,
    /// The node's clock.
    pub(crate) now_ms: fn() -> i64,
    heartbeat: Option<Heartbeat>,
}

async fn serve(dir: &Path, listen: &str, change: fn(&mut ServerSettings)) -> Server {
    let mut settings = ServerSettings::default();
    change(&mut settings);
    settings.server.listen = listen.to_owned();
    settings.server.state_dir = dir.join("safeguard");
    Server::start_with(&settings, Vouching::Simulation, now_ms).await.unwrap()
}

impl Rig {
    /// A safeguard, and a node that does not beat yet.
    pub(crate) async fn new() -> Self {
        Self::new_with(|_| {}).await
    }

    /// The same with other settings of the safeguard.
    pub(crate) async fn new_with(change: fn(&mut ServerSettings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = serve(dir.path(), "127.0.0.1:0", change).await;
        let (listen, server_key) = (server.address(), server.public_key());
        let settings = Settings {
            url: format!("http://{listen}"),
            server_keys: vec![server_key],
            tenant: "acme".to_owned(),
            // Longer than the pause between two beats that waited, so that those become fewer.
            interval: Some(Duration::from_millis(600)),
            ca_file: None,
            state_dir: dir.path().join("heartbeat"),
            spool_bytes: 1 << 20,
            spool_age: Duration::from_secs(86_400),
        };
        let instance = Mutex::new("i-0123456789abcdef0".to_owned());
        let vouchers = Arc::new(Vouchers { instance, sts: true });
        let (postures, _) = watch::channel(Some(Arc::new(posture())));
        Self { dir, listen, server: Some(server), server_key, settings, vouchers, postures, now_ms, heartbeat: None }
    }

    pub(crate) fn start(&mut self) {
        let clock = Clock { now_ms: self.now_ms, uptime_ms: || 1_000 };
        let (postures, vouchers) = (self.postures.subscribe(), self.vouchers.clone());
        let started = Heartbeat::start(self.settings.clone(), clock, postures, vouchers, Arc::new(Reports));
        self.heartbeat = Some(started.unwrap());
    }

    pub(crate) fn stop(&mut self) {
        if let Some(heartbeat) = self.heartbeat.take() {
            tokio::task::block_in_place(|| heartbeat.stop());
        }
    }

    /// Where the safeguard listens.
    pub(crate) fn listen(&self) -> SocketAddr {
        self.listen
    }

    pub(crate) async fn server_down(&mut self) {
        self.server.take().unwrap().shutdown().await;
    }

    pub(crate) async fn server_up(&mut self) {
        self.server = Some(serve(self.dir.path(), &self.listen.to_string(), |_| {}).await);
    }

    pub(crate) fn heartbeat(&self) -> &Heartbeat {
        self.heartbeat.as_ref().unwrap()
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Posture)) {
        self.postures.send_modify(|posture| {
            let mut new = posture.as_deref().unwrap().clone();
            change(&mut new);
            *posture = Some(Arc::new(new));
        });
    }

    /// The status, once it is as expected.
    pub(crate) async fn status(&self, what: &str, expected: impl Fn(&Status) -> bool) -> Status {
        let mut statuses = self.heartbeat().subscribe();
        let found = tokio::time::timeout(PATIENCE, statuses.wait_for(|status| expected(status))).await;
        match found {
            Ok(status) => status.unwrap().clone(),
            Err(_) => panic!("not seen: {what}; {:#?}", self.heartbeat().status()),
        }
    }

    /// Acknowledged beats, with a number of at least so much.
    pub(crate) async fn acknowledged(&self, least: u64) -> Status {
        let reached = |status: &Status| status.acknowledged.is_some_and(|a| a.sequence >= least);
        self.status(&format!("an acknowledgement of {least}"), reached).await
    }

    /// What a query of one value says of the safeguard's store.
    pub(crate) fn stored<T: rusqlite::types::FromSql>(&self, sql: &str) -> T {
        let db = rusqlite::Connection::open(self.dir.path().join("safeguard/safeguard.db")).unwrap();
        db.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// Changes what the safeguard stored.
    pub(crate) fn execute(&self, sql: &str) {
        let db = rusqlite::Connection::open(self.dir.path().join("safeguard/safeguard.db")).unwrap();
        assert!(db.execute(sql, []).unwrap() > 0, "{sql}");
    }

    /// Waits until a query of one number says so much.
    pub(crate) async fn stored_is(&self, sql: &str, expected: i64) {
        let look = async {
            while self.stored::<i64>(sql) != expected {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, look).await.is_err() {
            panic!("{sql} is {}, not {expected}", self.stored::<i64>(sql));
        }
    }

    /// Changes what a node has kept.
    pub(crate) fn edit_state(&self, edit: impl FnOnce(&mut serde_json::Value)) {
        let path = self.settings.state_dir.join("state.json");
        let mut state = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        edit(&mut state);
        std::fs::write(&path, state.to_string()).unwrap();
    }

    /// Copies the node's state directory.
    pub(crate) fn snapshot(&self) -> TempDir {
        let to = tempfile::tempdir().unwrap();
        copy(&self.settings.state_dir, to.path());
        to
    }

    /// Puts a copy in the place of the state directory.
    pub(crate) fn restore(&self, from: &TempDir) {
        std::fs::remove_dir_all(&self.settings.state_dir).unwrap();
        copy(from.path(), &self.settings.state_dir);
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop();
    }
}

pub(crate) fn posture() -> Posture {
    let name = |s: &str| s.to_owned();
    Posture {
        node: Node {
            account: name("111122223333"),
            region: name("eu-central-1"),
            instance_id: name("i-0123456789abcdef0"),
            image_id: name("ami-1"),
            cluster: name("prod"),
            node_group: Some(name("workers")),
            node_name: name("ip-10-0-0-1"),
            boot_id: name("boot-1"),
        },
        program: Program { version: name("0.1.0"), binary: None },
        configuration: Digest::of(b"settings"),
        policies: Vec::new(),
        assessment: Some(Assessment {
            started_at_ms: now_ms() - 5,
            finished_at_ms: now_ms(),
            report: Digest::of(REPORT),
            counts: Counts { pass: 3, ..Counts::default() },
            changed: Vec::new(),
            changed_more: 0,
            critical: Vec::new(),
            critical_more: 0,
        }),
        exceptions: Exceptions::default(),
        membership: Membership { ready: Some(true), lease_age_s: Some(1), role_mapping: RoleMapping::Seen },
        logs: None,
        proxy: None,
    }
}
