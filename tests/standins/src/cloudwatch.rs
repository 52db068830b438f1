//! A strict, real HTTP stand-in for Amazon CloudWatch Logs.
//!
//! # Layout
//! - `server`: the way of one request; `reply` is its end. Listening and connections are in the crate's `serve`.
//! - `credentials`, `quotas`: who may ask, and how often. Keys and signatures are in the crate's `account` and `sigv4`.
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
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

mod counts;
mod credentials;
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
mod store;
mod validation;

pub use crate::{Credential, Tls};
pub use counts::{Counts, OpCounts, Rejections};
pub use faults::{Fault, Faults, RejectIndexes, RequestView};
pub use operation::Op;

use crate::{Account, Listen, Principal, clock, locked, serve::Door, wire::Meter};
use server::{Credentials, Logs};
use store::{Group, Store, Stream};

/// How a stand-in behaves. [`Options::default`] is the service as it is, without quotas.
#[derive(Clone)]
pub struct Options {
    /// Where to listen; port 0 picks a free one. Default `127.0.0.1:0`.
    pub listen: SocketAddr,
    /// What to listen on instead of `listen`. Default none.
    pub listener: Option<Listen>,
    /// Where keys come from and are looked up; shared with other stand-ins, it makes their keys valid here. Default
    /// none: an account of its own.
    pub keys: Option<Arc<Account>>,
    /// Verify AWS Signature Version 4 and the keys behind it. Default true.
    pub verify_signatures: bool,
    /// Check and count events but do not keep them, for benchmarks. Default false.
    pub discard: bool,
    /// Enforce the service's requests a second, per operation. Default false.
    pub quotas: bool,
    /// Speak TLS, with a certificate of [`CloudWatch::ca_pem`]'s authority. Default false.
    pub tls: bool,
    /// What that certificate is for. Default `localhost` and the loopback addresses.
    pub tls_names: Vec<String>,
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
            listener: None,
            keys: None,
            verify_signatures: true,
            discard: false,
            quotas: false,
            tls: false,
            tls_names: ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec(),
            max_event_bytes: limits::MAX_EVENT_BYTES,
            max_request_bytes: 16 * 1_048_576,
            max_groups: limits::MAX_GROUPS,
            region: "us-east-1".to_owned(),
            account: "123456789012".to_owned(),
            now: Arc::new(clock::system),
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
    keys: Arc<Account>,
    endpoint: credentials::Endpoint,
    faults: Faults,
    meter: Arc<Meter>,
    serial: AtomicU64,
}

impl Core {
    fn now(&self) -> i64 {
        (self.options.now)()
    }

    /// Whom keys belong to that a test asks for.
    fn tester(&self) -> Principal {
        Principal::user(self.keys.id(), "tester")
    }

    /// The ARN of a group, without the `:*` that some operations add.
    fn group_arn(&self, name: &str) -> String {
        format!("arn:aws:logs:{}:{}:log-group:{name}", self.options.region, self.options.account)
    }
}

/// A running stand-in. Dropping it ends it.
#[derive(Debug)]
pub struct CloudWatch {
    core: Arc<Core>,
    door: Door<Logs>,
    credential: Credential,
    // Never goes down with the service: on a node, credentials come from an agent on the node.
    credentials: Door<Credentials>,
}

impl CloudWatch {
    /// Starts listening, on the caller's tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be bound, the TLS certificate cannot be made, or there is no randomness for keys.
    pub async fn start(options: Options) -> io::Result<CloudWatch> {
        let listen = options.listener.clone().unwrap_or_else(|| Listen::at(options.listen));
        let listener = listen.bind(None).await?;
        let beside = Listen::at(SocketAddr::new(options.listen.ip(), 0));
        let credentials_listener = beside.bind(None).await?;
        let names: Vec<&str> = options.tls_names.iter().map(String::as_str).collect();
        let tls = options.tls.then(|| Tls::generate_for(&names)).transpose()?;
        let keys = match &options.keys {
            Some(keys) => Arc::clone(keys),
            None => Account::new(options.account.clone())?,
        };
        let core = Arc::new(Core {
            keys,
            endpoint: credentials::Endpoint::default(),
            options,
            store: Mutex::default(),
            counts: Mutex::default(),
            quotas: Mutex::default(),
            faults: Faults::default(),
            meter: Arc::default(),
            serial: AtomicU64::new(0),
        });
        let credential = core.keys.issue_lasting(core.tester());
        let door = Door::open(listen, listener, tls, Arc::new(Logs(Arc::clone(&core))))?;
        let credentials = Credentials(Arc::clone(&core));
        let credentials = Door::open(beside, credentials_listener, None, Arc::new(credentials))?;
        Ok(CloudWatch { core, door, credential, credentials })
    }

    /// The endpoint URL, without a last slash.
    #[must_use]
    pub fn url(&self) -> String {
        self.door.url()
    }

    /// Where it listens, or listened before [`CloudWatch::go_down`].
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.door.addr()
    }

    /// The certificate that clients have to trust, when it speaks TLS.
    #[must_use]
    pub fn ca_pem(&self) -> Option<String> {
        self.door.ca_pem()
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
        self.door.go_down().await;
    }

    /// Listens again on the same address. Does nothing when it is up.
    ///
    /// # Errors
    /// When another program took the port in between.
    pub async fn come_up(&self) -> io::Result<()> {
        self.door.come_up().await
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
        self.core.keys.issue_temporary(self.core.tester(), expires)
    }

    /// Forgets a key: it gets `UnrecognizedClientException` from now on.
    pub fn revoke(&self, access_key_id: &str) {
        self.core.keys.revoke(access_key_id);
    }

    /// A URL whose GET gives a fresh key in the format of container credentials. It is plain HTTP, on a port of its
    /// own, and stays up while the service is down.
    #[must_use]
    pub fn credentials_url(&self) -> String {
        format!("{}/v1/credentials", self.credentials.url())
    }

    /// How long keys from [`CloudWatch::credentials_url`] last. Default 6 hours, as with EKS Pod Identity.
    pub fn set_credentials_lifetime(&self, ms: i64) {
        self.core.endpoint.lifetime_ms.store(ms, Ordering::Relaxed);
    }

    /// Makes [`CloudWatch::credentials_url`] answer with this status instead of a key; 200 ends that.
    pub fn set_credentials_status(&self, status: u16) {
        self.core.endpoint.status.store(status, Ordering::Relaxed);
    }

    /// Makes [`CloudWatch::credentials_url`] demand this `Authorization` header, or none.
    pub fn set_credentials_authorization(&self, token: Option<String>) {
        *locked(&self.core.endpoint.token) = token;
    }

    /// Keys that [`CloudWatch::credentials_url`] has given.
    #[must_use]
    pub fn credentials_served(&self) -> u64 {
        self.core.endpoint.calls.load(Ordering::Relaxed)
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
