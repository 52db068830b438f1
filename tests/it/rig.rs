//! What a test of the log room needs: a stand-in of CloudWatch Logs, a host root, and the room between them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_cloudwatchlogs::config::{BehaviorVersion, Credentials, Region, SharedCredentialsProvider};
use safeguard_host::HostRoot;
use safeguard_logs::{
    Deadlines, Drained, Exclusions, FileSettings, Format, GroupClass, LogName, LogStatus, Logs, MultilineSettings,
    NameKind, NewGroups, NodeNames, Oversize, SdkLogs, Selector, Settings, Status, Template,
};
use safeguard_standins::{CloudWatch, Credential, Options};

/// How long a test waits for what has to come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(45);

pub(crate) const APPLICATION: &str = "/aws/containerinsights/prod/application";

/// A node with its log room. Dropping [`Rig::logs`] is a crash: nothing is drained and nothing saved.
pub(crate) struct Rig {
    pub(crate) service: Arc<CloudWatch>,
    pub(crate) root: tempfile::TempDir,
    /// The host root, if it is not `root`.
    pub(crate) host: Option<PathBuf>,
    pub(crate) settings: Settings,
    pub(crate) deadlines: Deadlines,
    pub(crate) logs: Option<Logs>,
    /// What the room is told before it reads anything.
    pub(crate) exclusions: Option<Exclusions>,
}

/// Settings as an operator would have them, but quick.
pub(crate) fn settings(state_dir: PathBuf) -> Settings {
    let group = |t: &str| Template::new(NameKind::Group, t).unwrap();
    Settings {
        pods_dir: "/var/log/pods".into(),
        state_dir,
        node: NodeNames { cluster: "prod".into(), node: "node-1".into(), ..NodeNames::default() },
        application_group: group("/aws/containerinsights/{cluster}/application"),
        dataplane_group: group("/aws/containerinsights/{cluster}/dataplane"),
        dataplane: vec![Selector::new("kube-system/coredns-*").unwrap()],
        host_group: group("/aws/containerinsights/{cluster}/host"),
        stream: Template::new(NameKind::Stream, "{node}").unwrap(),
        host_stream: Template::new(NameKind::Stream, "{node}").unwrap(),
        format: Format::Raw,
        oversize: Oversize::Split,
        include: Vec::new(),
        exclude: Vec::new(),
        files: FileSettings::default(),
        journal: None,
        multiline: MultilineSettings { period: Duration::from_secs(1), ..MultilineSettings::default() },
        new_groups: NewGroups {
            create: true,
            retention_days: Some(30),
            kms_key: None,
            class: GroupClass::Standard,
            tags: std::collections::BTreeMap::new(),
        },
        gzip_level: Some(1),
        flush_interval: Duration::from_millis(200),
        max_puts_per_second: 20,
        memory_budget: 16 * 1024 * 1024,
        rescan_interval: Duration::from_secs(2),
        pinned_bytes: 1024 * 1024 * 1024,
        checkpoint_interval: Duration::from_millis(500),
        quiet_period: Duration::from_secs(1),
        partial_period: Duration::from_secs(3),
        missing_period: Duration::from_secs(60),
    }
}

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::with(Options::default()).await
    }

    pub(crate) async fn with(options: Options) -> Self {
        let service = Arc::new(CloudWatch::start(options).await.unwrap());
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("var/log/pods")).unwrap();
        let settings = settings(root.path().join("state"));
        let deadlines =
            Deadlines { connect: Duration::from_secs(1), read: Duration::from_secs(2), total: Duration::from_secs(3) };
        Self { service, root, host: None, settings, deadlines, logs: None, exclusions: None }
    }

    /// A started room with default settings.
    pub(crate) async fn started() -> Self {
        let mut rig = Self::new().await;
        rig.start();
        rig
    }

    pub(crate) fn client(&self, credential: &Credential) -> SdkLogs {
        let credentials = Credentials::new(
            &credential.access_key_id,
            &credential.secret_access_key,
            credential.session_token.clone(),
            None,
            "test",
        );
        self.client_with(SharedCredentialsProvider::new(credentials))
    }

    pub(crate) fn client_with(&self, credentials: SharedCredentialsProvider) -> SdkLogs {
        self.client_to(&self.service.url(), self.service.region(), credentials)
    }

    /// A client for a service of another kind.
    pub(crate) fn client_to(&self, url: &str, region: &str, credentials: SharedCredentialsProvider) -> SdkLogs {
        let config = aws_sdk_cloudwatchlogs::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region.to_owned()))
            .endpoint_url(url)
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .credentials_provider(credentials)
            .build();
        SdkLogs::new(&config, self.deadlines)
    }

    pub(crate) fn start(&mut self) {
        let client = self.client(&self.service.credential());
        self.start_with(client);
    }

    pub(crate) fn start_with(&mut self, client: SdkLogs) {
        let host = HostRoot::open(self.host.as_deref().unwrap_or(self.root.path())).unwrap();
        let (now_ms, first) = (safeguard_daemon::clock::now_ms, self.exclusions.clone());
        let logs = Logs::start(self.settings.clone(), host, client, now_ms, first).unwrap();
        self.logs = Some(logs);
    }

    /// Ends without a word, as a crash does.
    pub(crate) async fn crash(&mut self) {
        self.logs = None;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    pub(crate) async fn restart(&mut self) {
        self.crash().await;
        self.start();
    }

    pub(crate) async fn drain(&mut self) -> Drained {
        self.logs.take().unwrap().drain(Duration::from_secs(20)).await.unwrap()
    }

    pub(crate) async fn drain_within(&mut self, grace: Duration) -> Drained {
        self.logs.take().unwrap().drain(grace).await.unwrap()
    }

    pub(crate) async fn status(&self) -> Status {
        self.logs.as_ref().unwrap().status(Duration::from_secs(5)).await.unwrap()
    }

    pub(crate) fn pods(&self) -> PathBuf {
        self.root.path().join("var/log/pods")
    }

    /// The log of a container, its directory made.
    pub(crate) fn log(&self, pod: &str, container: &str) -> LogPath {
        let dir = self.pods().join(format!("default_{pod}_uid-{pod}")).join(container);
        std::fs::create_dir_all(&dir).unwrap();
        LogPath(dir)
    }

    /// Every message delivered to the application group, in the order of the service.
    pub(crate) fn messages(&self) -> Vec<String> {
        let mut messages = Vec::new();
        for stream in self.service.streams(APPLICATION) {
            messages.extend(self.service.events(APPLICATION, &stream).into_iter().map(|e| e.message));
        }
        messages
    }

    /// Waits until something holds, and says what was there instead if it does not.
    pub(crate) async fn until(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !holds(self) {
            if tokio::time::Instant::now() > deadline {
                let status = match &self.logs {
                    Some(logs) => logs.status(Duration::from_secs(2)).await,
                    None => None,
                };
                let messages = self.messages();
                let shown: Vec<_> = messages.iter().take(10).map(|m| m.chars().take(80).collect::<String>()).collect();
                panic!("{what}: {} messages {shown:?}, {:?}, {status:#?}", messages.len(), self.service.counts());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until exactly these messages were delivered, in any order.
    pub(crate) async fn delivered(&self, expected: &[&str]) {
        let mut expected: Vec<String> = expected.iter().map(|m| (*m).to_owned()).collect();
        expected.sort();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let mut messages = self.messages();
            messages.sort();
            if messages == expected {
                return;
            }
            if tokio::time::Instant::now() > deadline {
                let missing: Vec<_> = expected.iter().filter(|m| messages.binary_search(m).is_err()).collect();
                let other: Vec<_> = messages.iter().filter(|m| expected.binary_search(m).is_err()).take(5).collect();
                let twice = messages.windows(2).filter(|w| w[0] == w[1]).count();
                let status = self.logs.as_ref().unwrap().status(Duration::from_secs(2)).await;
                panic!(
                    "{} of {} missing: {:?}...{:?}; {twice} twice; unexpected {other:?}; {:?}; {status:#?}",
                    missing.len(),
                    expected.len(),
                    missing.first(),
                    missing.last(),
                    self.service.counts(),
                );
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until every account balances, nothing is in flight and nothing is behind.
    pub(crate) async fn settled(&self) -> Status {
        for _ in 0..400 {
            let status = self.status().await;
            if status.total.in_flight.events == 0 && status.behind_bytes == 0 {
                balances(&status);
                return status;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("never settled: {:#?}", self.status().await);
    }
}

/// What the status says of the containers of a pod.
pub(crate) fn of_pod<'a>(status: &'a Status, pod: &str) -> &'a LogStatus {
    let is_of = |name: &LogName| matches!(name, LogName::Container(key) if key.pod == pod);
    status.logs.iter().find(|log| is_of(&log.name)).unwrap()
}

/// The ledger's equation, for every container and in total.
pub(crate) fn balances(status: &Status) {
    for log in &status.logs {
        assert_eq!(log.ledger.imbalance(), None, "{}", log.name);
    }
    assert_eq!(status.total.imbalance(), None);
}

/// A container's log directory.
#[derive(Debug, Clone)]
pub(crate) struct LogPath(pub(crate) PathBuf);

impl LogPath {
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Appends lines to a file, as standard output.
    pub(crate) fn write<S: AsRef<str>>(&self, name: &str, lines: &[S]) {
        let text: String = lines.iter().map(|l| line(l.as_ref())).collect();
        self.append(name, text.as_bytes());
    }

    pub(crate) fn append(&self, name: &str, bytes: &[u8]) {
        use std::io::Write;
        let mut file = std::fs::File::options().append(true).create(true).open(self.path(name)).unwrap();
        file.write_all(bytes).unwrap();
    }

    pub(crate) fn rename(&self, from: &str, to: &str) {
        std::fs::rename(self.path(from), self.path(to)).unwrap();
    }

    /// Compresses as the kubelet does: beside it, renamed when complete, then the plain file goes.
    pub(crate) fn gzip(&self, name: &str) {
        gzip(&self.path(name));
    }
}

pub(crate) fn gzip(path: &Path) {
    use std::io::Write;
    let packed = PathBuf::from(format!("{}.gz", path.display()));
    let tmp = PathBuf::from(format!("{}.tmp", packed.display()));
    let mut encoder =
        flate2::write::GzEncoder::new(std::fs::File::create(&tmp).unwrap(), flate2::Compression::default());
    encoder.write_all(&std::fs::read(path).unwrap()).unwrap();
    encoder.finish().unwrap();
    std::fs::rename(tmp, packed).unwrap();
    std::fs::remove_file(path).unwrap();
}

/// The present time as the runtime writes it. Every call is later than the one before.
pub(crate) fn now() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NANOS: AtomicU64 = AtomicU64::new(0);
    let unique = NANOS.fetch_add(1, Ordering::Relaxed) % 1_000_000;
    let ms = safeguard_daemon::clock::now_ms();
    time_of(ms, unique)
}

/// RFC 3339 with nanoseconds.
pub(crate) fn time_of(ms: i64, nanos: u64) -> String {
    let days = ms.div_euclid(86_400_000);
    let (z, of_day) = (days + 719_468, ms.rem_euclid(86_400_000));
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (day, month) = (doy - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    let year = yoe + era * 400 + i64::from(month <= 2);
    let (h, m, s) = (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{:03}{nanos:06}Z", of_day % 1000)
}

pub(crate) fn line(content: &str) -> String {
    format!("{} stdout F {content}\n", now())
}

pub(crate) fn piece(stream: &str, tag: &str, content: &str) -> String {
    format!("{} {stream} {tag} {content}\n", now())
}
