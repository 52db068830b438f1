//! A strict, real HTTP stand-in for Amazon CloudWatch Logs.
//!
//! # Layout
//! - `server`: listening, connections, and the way of one request; `wire` and `reply` are its two ends.
//! - `sigv4`, `credentials`, `quotas`: who may ask, and how often.
//! - `put`, `manage`, `describe`, `read`: the operations; `validation`, `pattern` and `limits` are their rules.
//! - `store`, `counts`: what is kept. `faults`: what goes wrong when a test says so.
//!
//! Rules that the API reference states are enforced to the byte. What the service does not document is marked where
//! it is decided.

use std::{
    collections::BTreeMap,
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::net::TcpListener;

mod counts;
mod credentials;
mod dates;
mod describe;
mod error;
mod faults;
pub mod limits;
mod manage;
mod operation;
mod pattern;
mod put;
mod quotas;
mod read;
mod reply;
mod server;
mod sigv4;
mod store;
mod tls;
mod validation;
mod wire;

pub use counts::{Counts, OpCounts, Rejections};
pub use credentials::Credential;
pub use faults::{Fault, Faults, RejectIndexes, RequestView};
pub use operation::Op;
pub use tls::Tls;

use server::{Role, Running};
use store::{Group, Store, Stream};

/// How a stand-in behaves. [`Options::default`] is the service as it is, without quotas.
#[derive(Clone)]
pub struct Options {
    /// Where to listen; port 0 picks a free one. Default `127.0.0.1:0`.
    pub listen: SocketAddr,
    /// Verify AWS Signature Version 4 and the keys behind it. Default true.
    pub verify_signatures: bool,
    /// Check and count events but do not keep them, for benchmarks. Default false.
    pub discard: bool,
    /// Enforce the service's requests a second, per operation. Default false.
    pub quotas: bool,
    /// Speak TLS, with a certificate of [`CloudWatch::ca_pem`]'s authority. Default false.
    pub tls: bool,
    /// Bytes of one event, the overhead of 26 included. Default 1 MiB; 256 KiB where a region lags.
    pub max_event_bytes: usize,
    /// Bytes of one request as it comes over the wire. The service documents none above the batch's 1 MiB, which
    /// JSON escapes can double or more. Default 16 MiB.
    pub max_request_bytes: usize,
    /// Groups of the account. Default 1,000,000.
    pub max_groups: usize,
    /// The region in signatures and ARNs. Default `us-east-1`.
    pub region: String,
    /// The account in ARNs. Default `123456789012`.
    pub account: String,
    /// The service's clock, in milliseconds since the epoch: judges timestamps, signatures, expiry and quotas, and
    /// goes out in `Date`. Default the system clock.
    pub now: Arc<dyn Fn() -> i64 + Send + Sync>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            verify_signatures: true,
            discard: false,
            quotas: false,
            tls: false,
            max_event_bytes: limits::MAX_EVENT_BYTES,
            max_request_bytes: 16 * 1_048_576,
            max_groups: limits::MAX_GROUPS,
            region: "us-east-1".to_owned(),
            account: "123456789012".to_owned(),
            now: Arc::new(system_clock),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("listen", &self.listen)
            .field("verify_signatures", &self.verify_signatures)
            .field("discard", &self.discard)
            .field("quotas", &self.quotas)
            .field("tls", &self.tls)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

#[expect(clippy::disallowed_methods, reason = "the stand-in is another machine: it has a clock of its own")]
fn system_clock() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A group, as a test sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupInfo {
    /// Its name.
    pub name: String,
    /// Milliseconds since the epoch.
    pub created_ms: i64,
    /// None keeps events for ever.
    pub retention_days: Option<i64>,
    /// `STANDARD`, `INFREQUENT_ACCESS`, `DELIVERY` or `ESSENTIALS`.
    pub class: String,
    /// The ARN of its KMS key.
    pub kms_key: Option<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// DeleteLogGroup is refused.
    pub deletion_protected: bool,
    /// The names of its streams, sorted.
    pub streams: Vec<String>,
}

/// A stream, as a test sees it. In discard mode the numbers count what would have been kept.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamInfo {
    /// Its name.
    pub name: String,
    /// Milliseconds since the epoch.
    pub created_ms: i64,
    /// Events accepted.
    pub events: u64,
    /// UTF-8 bytes of their messages.
    pub message_bytes: u64,
    /// The lowest timestamp, in milliseconds since the epoch.
    pub first_timestamp: Option<i64>,
    /// The highest timestamp, in milliseconds since the epoch.
    pub last_timestamp: Option<i64>,
    /// When the last event was accepted, in milliseconds since the epoch.
    pub last_ingestion: Option<i64>,
}

/// An event that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Milliseconds since the epoch, as sent.
    pub timestamp: i64,
    /// Milliseconds since the epoch, by the service's clock.
    pub ingestion_time: i64,
    /// The text, as sent.
    pub message: String,
    /// The number of the PutLogEvents request that brought it, among all requests from 1.
    pub request: u64,
    /// The event's place in the order of arrival over all streams, from 1.
    pub arrival: u64,
}

/// An event that was accepted, borrowed from the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventRef<'a> {
    /// Milliseconds since the epoch, as sent.
    pub timestamp: i64,
    /// Milliseconds since the epoch, by the service's clock.
    pub ingestion_time: i64,
    /// The text, as sent.
    pub message: &'a str,
    /// The number of the PutLogEvents request that brought it, among all requests from 1.
    pub request: u64,
    /// The event's place in the order of arrival over all streams, from 1.
    pub arrival: u64,
}

impl EventRef<'_> {
    fn to_stored(self) -> StoredEvent {
        StoredEvent {
            timestamp: self.timestamp,
            ingestion_time: self.ingestion_time,
            message: self.message.to_owned(),
            request: self.request,
            arrival: self.arrival,
        }
    }
}

impl<'a> From<&'a store::Record> for EventRef<'a> {
    fn from(record: &'a store::Record) -> EventRef<'a> {
        EventRef {
            timestamp: record.timestamp,
            ingestion_time: record.ingestion,
            message: &record.message,
            request: record.request,
            arrival: record.id,
        }
    }
}

/// What all connections share.
#[derive(Debug)]
struct Core {
    options: Options,
    store: Mutex<Store>,
    counts: Mutex<Counts>,
    quotas: Mutex<quotas::Quotas>,
    keys: credentials::Keys,
    faults: Faults,
    meter: Arc<wire::Meter>,
    serial: AtomicU64,
}

impl Core {
    fn now(&self) -> i64 {
        (self.options.now)()
    }

    /// The ARN of a group, without the `:*` that some operations add.
    fn group_arn(&self, name: &str) -> String {
        format!("arn:aws:logs:{}:{}:log-group:{name}", self.options.region, self.options.account)
    }
}

/// A request that panicked must not hide what the others did.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running stand-in. Dropping it ends it.
#[derive(Debug)]
pub struct CloudWatch {
    core: Arc<Core>,
    addr: SocketAddr,
    tls: Option<Tls>,
    credential: Credential,
    running: Mutex<Option<Running>>,
    credentials_addr: SocketAddr,
    // Never goes down with the service: on a node, credentials come from an agent on the node.
    _credentials: Running,
}

impl CloudWatch {
    /// Starts listening, on the caller's tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be bound, or the TLS certificate cannot be made.
    pub async fn start(options: Options) -> io::Result<CloudWatch> {
        let listener = TcpListener::bind(options.listen).await?;
        let addr = listener.local_addr()?;
        let credentials_listener = TcpListener::bind((addr.ip(), 0)).await?;
        let credentials_addr = credentials_listener.local_addr()?;
        let tls = options.tls.then(Tls::generate).transpose()?;
        let core = Arc::new(Core {
            keys: credentials::Keys::new(u64::from(addr.port())),
            options,
            store: Mutex::default(),
            counts: Mutex::default(),
            quotas: Mutex::default(),
            faults: Faults::default(),
            meter: Arc::default(),
            serial: AtomicU64::new(0),
        });
        let credential = core.keys.issue(false, None);
        let acceptor = tls.as_ref().map(Tls::acceptor);
        let running = server::listen(listener, Arc::clone(&core), acceptor, Role::Logs);
        let credentials = server::listen(credentials_listener, Arc::clone(&core), None, Role::Credentials);
        Ok(CloudWatch {
            core,
            addr,
            tls,
            credential,
            running: Mutex::new(Some(running)),
            credentials_addr,
            _credentials: credentials,
        })
    }

    /// The endpoint URL, without a last slash.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.addr)
    }

    /// Where it listens, or listened before [`CloudWatch::go_down`].
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The certificate that clients have to trust, when it speaks TLS.
    #[must_use]
    pub fn ca_pem(&self) -> Option<String> {
        self.tls.as_ref().map(|tls| tls.ca_pem().to_owned())
    }

    /// The region that requests have to be signed for.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.core.options.region
    }

    /// The script of faults.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.core.faults
    }

    /// What was asked and answered so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = locked(&self.core.counts).clone();
        counts.bytes_received = self.core.meter.received.load(Ordering::Relaxed);
        counts.bytes_sent = self.core.meter.sent.load(Ordering::Relaxed);
        counts
    }

    /// Closes the listener and every connection, so that connecting is refused. Does nothing when it is down.
    pub async fn go_down(&self) {
        let running = locked(&self.running).take();
        if let Some(running) = running {
            running.stop().await;
        }
    }

    /// Listens again on the same address. Does nothing when it is up.
    ///
    /// # Errors
    /// When another program took the port in between.
    pub async fn come_up(&self) -> io::Result<()> {
        if locked(&self.running).is_some() {
            return Ok(());
        }
        let listener = TcpListener::bind(self.addr).await?;
        let acceptor = self.tls.as_ref().map(Tls::acceptor);
        *locked(&self.running) = Some(server::listen(listener, Arc::clone(&self.core), acceptor, Role::Logs));
        Ok(())
    }
}

/// Keys.
impl CloudWatch {
    /// The key that is valid from the start: lasting, without a session token.
    #[must_use]
    pub fn credential(&self) -> Credential {
        self.credential.clone()
    }

    /// A new temporary key, with a session token; it expires after `valid_for_ms`, or never.
    #[must_use]
    pub fn issue(&self, valid_for_ms: Option<i64>) -> Credential {
        let expires = valid_for_ms.map(|lifetime| self.core.now().saturating_add(lifetime));
        self.core.keys.issue(true, expires)
    }

    /// Forgets a key: it gets `UnrecognizedClientException` from now on.
    pub fn revoke(&self, access_key_id: &str) {
        self.core.keys.revoke(access_key_id);
    }

    /// A URL whose GET gives a fresh key in the format of container credentials. It is plain HTTP, on a port of its
    /// own, and stays up while the service is down.
    #[must_use]
    pub fn credentials_url(&self) -> String {
        format!("http://{}/v1/credentials", self.credentials_addr)
    }

    /// How long keys from [`CloudWatch::credentials_url`] last. Default 6 hours, as with EKS Pod Identity.
    pub fn set_credentials_lifetime(&self, ms: i64) {
        self.core.keys.lifetime_ms.store(ms, Ordering::Relaxed);
    }

    /// Makes [`CloudWatch::credentials_url`] answer with this status instead of a key; 200 ends that.
    pub fn set_credentials_status(&self, status: u16) {
        self.core.keys.endpoint_status.store(status, Ordering::Relaxed);
    }

    /// Makes [`CloudWatch::credentials_url`] demand this `Authorization` header, or none.
    pub fn set_credentials_authorization(&self, token: Option<String>) {
        *locked(&self.core.keys.endpoint_token) = token;
    }

    /// Keys that [`CloudWatch::credentials_url`] has given.
    #[must_use]
    pub fn credentials_served(&self) -> u64 {
        self.core.keys.endpoint_calls.load(Ordering::Relaxed)
    }
}

/// What is kept, read and changed directly, without a request.
impl CloudWatch {
    /// All groups, by name.
    #[must_use]
    pub fn groups(&self) -> Vec<GroupInfo> {
        locked(&self.core.store).groups.iter().map(|(name, group)| group.info(name)).collect()
    }

    /// The names of a group's streams, sorted; none when there is no such group.
    #[must_use]
    pub fn streams(&self, group: &str) -> Vec<String> {
        let store = locked(&self.core.store);
        store.groups.get(group).map(|group| group.streams.keys().cloned().collect()).unwrap_or_default()
    }

    /// One stream.
    #[must_use]
    pub fn stream(&self, group: &str, stream: &str) -> Option<StreamInfo> {
        let store = locked(&self.core.store);
        store.groups.get(group)?.streams.get(stream).map(|held| held.info(stream))
    }

    /// The events of a stream in (timestamp, arrival) order; none when there is no such stream.
    #[must_use]
    pub fn events(&self, group: &str, stream: &str) -> Vec<StoredEvent> {
        let mut store = locked(&self.core.store);
        let Some(stream) = store.groups.get_mut(group).and_then(|group| group.streams.get_mut(stream)) else {
            return Vec::new();
        };
        stream.records().iter().map(|record| EventRef::from(record).to_stored()).collect()
    }

    /// All events as (group, stream, event), by group, then stream, then (timestamp, arrival).
    #[must_use]
    pub fn all_events(&self) -> Vec<(String, String, StoredEvent)> {
        let mut events = Vec::new();
        self.for_each_event(|group, stream, event| {
            events.push((group.to_owned(), stream.to_owned(), event.to_stored()));
        });
        events
    }

    /// Visits all events as (group, stream, event) in the order of [`CloudWatch::all_events`], without copying.
    /// Requests wait meanwhile; the visitor must not call the stand-in.
    pub fn for_each_event(&self, mut visit: impl FnMut(&str, &str, EventRef<'_>)) {
        let mut store = locked(&self.core.store);
        for (group_name, group) in &mut store.groups {
            for (stream_name, stream) in &mut group.streams {
                for record in stream.records() {
                    visit(group_name, stream_name, EventRef::from(record));
                }
            }
        }
    }

    /// Makes a group; one that exists stays as it is.
    pub fn create_group(&self, name: &str) {
        let now = self.core.now();
        locked(&self.core.store).groups.entry(name.to_owned()).or_insert_with(|| Group::new(now));
    }

    /// Makes a stream, and its group when it is missing; one that exists stays as it is.
    pub fn create_stream(&self, group: &str, stream: &str) {
        let now = self.core.now();
        let mut store = locked(&self.core.store);
        let group = store.groups.entry(group.to_owned()).or_insert_with(|| Group::new(now));
        group.streams.entry(stream.to_owned()).or_insert_with(|| Stream::new(now));
    }

    /// Deletes a group with its streams and events; true when it existed.
    pub fn delete_group(&self, name: &str) -> bool {
        locked(&self.core.store).groups.remove(name).is_some()
    }

    /// Deletes a stream with its events; true when it existed.
    pub fn delete_stream(&self, group: &str, stream: &str) -> bool {
        let mut store = locked(&self.core.store);
        store.groups.get_mut(group).is_some_and(|group| group.streams.remove(stream).is_some())
    }
}
