//! A strict, real HTTP stand-in for the API server of Kubernetes: pods, namespaces and nodes, to be read, listed and
//! watched.
//!
//! # Layout
//! - `answer`: the way of one request. `resource`: paths and field selectors. `access`: tokens and rights.
//! - `list`, `watch`: what they are named for; `form` is the shape of objects in both, `status` that of failures.
//! - `store`: objects, versions and history. `objects`, `change`: how a test writes them. `call`: what is kept.
//!
//! Rules of "Kubernetes API Concepts" are enforced: versions, pages, bookmarks, 410 for what is too old, 504 for what
//! does not exist yet. Not there: writing through the API, label selectors, history of lists with
//! `resourceVersionMatch=Exact`, compression, other formats than JSON.

use std::{
    collections::BTreeSet,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::Value;
use tokio::{runtime::Handle, sync::watch as channel};

mod access;
mod answer;
mod call;
mod change;
mod form;
mod list;
mod objects;
mod resource;
mod status;
mod store;
mod watch;

pub use access::Eks;
pub use call::Call;
pub use objects::{PodSpec, namespace, node};
pub use resource::{Resource, Verb};

use crate::{Clock, Listen, Tls, Troubles, locked, serve::Door};
use access::Access;
use answer::Api;
use store::Store;
use watch::Signal;

/// How the stand-in behaves.
#[derive(Clone, Debug)]
pub struct KubernetesOptions {
    /// Where it listens. Default `127.0.0.1:0`.
    pub listen: Listen,
    /// Default the system's.
    pub clock: Clock,
    /// Speak TLS, with a certificate of [`Kubernetes::ca_pem`]'s authority. Default false.
    pub tls: bool,
    /// How often a watch that allows bookmarks gets one. Default 1 s; the API server takes about a minute.
    pub bookmark_interval: Duration,
    /// Accept tokens of EKS. Default none.
    pub eks: Option<Eks>,
}

impl Default for KubernetesOptions {
    fn default() -> KubernetesOptions {
        KubernetesOptions {
            listen: Listen::default(),
            clock: Clock::default(),
            tls: false,
            bookmark_interval: Duration::from_secs(1),
            eks: None,
        }
    }
}

/// How a watch is told that its version is too old.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gone {
    /// Status 200, and an event of type `ERROR` with code 410, as from the watch cache.
    #[default]
    Event,
    /// Status 410.
    Status,
}

/// What all connections share.
#[derive(Debug)]
struct Core {
    options: KubernetesOptions,
    store: Mutex<Store>,
    access: Mutex<Access>,
    calls: Mutex<Calls>,
    troubles: Troubles<Verb, Call>,
    later: change::Later,
    gone: Mutex<Gone>,
    bookmark_interval: Mutex<Duration>,
    signals: channel::Sender<Signal>,
    watching: channel::Sender<usize>,
    runtime: Handle,
}

#[derive(Debug, Default)]
struct Calls {
    serial: u64,
    uids: u64,
    all: Vec<Call>,
}

/// A running stand-in. Dropping it ends it.
#[derive(Debug)]
pub struct Kubernetes {
    core: Arc<Core>,
    door: Door<Api>,
}

impl Kubernetes {
    /// Starts listening, on the caller's tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be bound, or the TLS certificate cannot be made.
    pub async fn start(options: KubernetesOptions) -> io::Result<Kubernetes> {
        let listen = options.listen.clone();
        let listener = listen.bind(None).await?;
        let tls = options.tls.then(Tls::generate).transpose()?;
        let core = Arc::new(Core {
            bookmark_interval: Mutex::new(options.bookmark_interval),
            options,
            store: Mutex::default(),
            access: Mutex::default(),
            calls: Mutex::default(),
            troubles: Troubles::default(),
            later: change::Later::default(),
            gone: Mutex::default(),
            signals: channel::Sender::default(),
            watching: channel::Sender::default(),
            runtime: Handle::current(),
        });
        let door = Door::open(listen, listener, tls, Arc::new(Api(Arc::clone(&core))))?;
        Ok(Kubernetes { core, door })
    }

    /// The server's URL, without a last slash.
    #[must_use]
    pub fn url(&self) -> String {
        self.door.url()
    }

    /// Where it listens, or listened before [`Kubernetes::go_down`].
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.door.addr()
    }

    /// The certificate that clients have to trust, when it speaks TLS.
    #[must_use]
    pub fn ca_pem(&self) -> Option<String> {
        self.door.ca_pem()
    }

    /// Closes the listener and every connection, so that connecting is refused. Does nothing when it is down.
    pub async fn go_down(&self) {
        self.door.go_down().await;
    }

    /// Listens again. Does nothing when it is up.
    ///
    /// # Errors
    /// When it cannot listen where it did.
    pub async fn come_up(&self) -> io::Result<()> {
        self.door.come_up().await
    }
}

/// Who may what.
impl Kubernetes {
    /// A new token of a user, such as `system:serviceaccount:safeguard:proxy`.
    pub fn issue_token(&self, user: &str) -> String {
        let mut access = locked(&self.core.access);
        access.issued += 1;
        let token = format!("token-{}-{}", self.door.addr().port(), access.issued);
        access.tokens.insert(token.clone(), user.to_owned());
        token
    }

    /// Forgets a token: it gets 401 from now on. Watches that it has go on, as they do.
    pub fn revoke_token(&self, token: &str) {
        locked(&self.core.access).tokens.remove(token);
    }

    /// Lets a user do this, in one namespace or in all. From the first grant on, nobody may do what is not granted.
    pub fn grant(&self, user: &str, verbs: &[Verb], resource: Resource, namespace: Option<&str>) {
        let mut access = locked(&self.core.access);
        let grants = access.grants.get_or_insert_default();
        grants.extend(verbs.iter().map(|verb| (user.to_owned(), *verb, resource, namespace.map(str::to_owned))));
    }

    /// Takes every grant back: nobody may do anything.
    pub fn revoke_grants(&self) {
        locked(&self.core.access).grants = Some(BTreeSet::new());
    }

    /// Treats a user as the node's own: it lists and watches pods only with `fieldSelector=spec.nodeName=NODE`, and
    /// reads no pods of other nodes.
    pub fn bind_to_node(&self, user: &str, node: &str) {
        locked(&self.core.access).nodes.insert(user.to_owned(), node.to_owned());
    }
}

/// What there is. Objects are of [`PodSpec`], [`namespace`] and [`node`], or written out.
impl Kubernetes {
    /// Makes a pod, or replaces it. One of the same name with another uid is deleted before.
    pub fn add_pod(&self, pod: impl Into<Value>) {
        self.core.put(Resource::Pods, pod.into());
    }

    /// Replaces a pod; false when there is none of that name. Without a uid it is the same pod.
    pub fn update_pod(&self, pod: impl Into<Value>) -> bool {
        self.update(Resource::Pods, pod.into())
    }

    /// Deletes a pod; true when it existed.
    pub fn delete_pod(&self, namespace: &str, name: &str) -> bool {
        self.core.delete(&(Resource::Pods, namespace.to_owned(), name.to_owned()))
    }

    /// A pod, as clients see it.
    #[must_use]
    pub fn pod(&self, namespace: &str, name: &str) -> Option<Value> {
        let key = (Resource::Pods, namespace.to_owned(), name.to_owned());
        locked(&self.core.store).get(&key).map(|object| Value::clone(object))
    }

    /// Makes a namespace, or replaces it.
    pub fn add_namespace(&self, namespace: impl Into<Value>) {
        self.core.put(Resource::Namespaces, namespace.into());
    }

    /// Replaces a namespace; false when there is none of that name. Without a uid it is the same one.
    pub fn update_namespace(&self, namespace: impl Into<Value>) -> bool {
        self.update(Resource::Namespaces, namespace.into())
    }

    /// Deletes a namespace, but not what is in it; true when it existed.
    pub fn delete_namespace(&self, name: &str) -> bool {
        self.core.delete(&(Resource::Namespaces, String::new(), name.to_owned()))
    }

    /// Makes a node, or replaces it.
    pub fn add_node(&self, node: impl Into<Value>) {
        self.core.put(Resource::Nodes, node.into());
    }

    /// Makes a lease, or replaces it. The kubelet's are in the namespace `kube-node-lease`.
    pub fn put_lease(&self, lease: impl Into<Value>) {
        self.core.put(Resource::Leases, lease.into());
    }

    /// Deletes a node, but not what is on it; true when it existed.
    pub fn delete_node(&self, name: &str) -> bool {
        self.core.delete(&(Resource::Nodes, String::new(), name.to_owned()))
    }

    fn update(&self, resource: Resource, mut object: Value) -> bool {
        let before = locked(&self.core.store).get(&change::key(resource, &object)).cloned();
        let Some(before) = before else { return false };
        for member in ["uid", "creationTimestamp"] {
            if object["metadata"][member].as_str().is_none_or(str::is_empty) {
                object["metadata"][member] = before["metadata"][member].clone();
            }
        }
        self.core.put(resource, object);
        true
    }

    /// The status of pods made from now on is `Pending` and without addresses for so long.
    pub fn set_status_delay(&self, delay: Duration) {
        self.core.set_status_delay(delay);
    }

    /// The version that a list would show.
    #[must_use]
    pub fn version(&self) -> u64 {
        locked(&self.core.store).version()
    }
}

/// What goes wrong with watches and versions.
impl Kubernetes {
    /// Watches that are open.
    #[must_use]
    pub fn watches(&self) -> usize {
        *self.core.watching.borrow()
    }

    /// Waits until at least so many watches are open.
    pub async fn watched(&self, count: usize) {
        // The sender lives in the core, so that waiting cannot fail.
        drop(self.core.watching.subscribe().wait_for(|open| *open >= count).await);
    }

    /// Watches stay open and send nothing, no bookmarks either, while this holds. What changes meanwhile comes
    /// afterwards.
    pub fn stall_watches(&self, stalled: bool) {
        self.core.signals.send_modify(|signal| signal.stalled = stalled);
    }

    /// Ends all watches as if their time were over.
    pub fn end_watches(&self) {
        self.core.signals.send_modify(|signal| signal.ends += 1);
    }

    /// Ends the connections of all watches in the middle.
    pub fn cut_watches(&self) {
        self.core.signals.send_modify(|signal| signal.cuts += 1);
    }

    /// Makes every version that a client can know too old, and tells all open watches so.
    pub fn expire_watches(&self) {
        self.compact();
        self.core.signals.send_modify(|signal| signal.expiries += 1);
    }

    /// Makes every version that a client can know too old: watches that are open go on, but do not come back.
    pub fn compact(&self) {
        locked(&self.core.store).compact();
    }

    /// How watches that begin too late are told so.
    pub fn set_gone(&self, gone: Gone) {
        *locked(&self.core.gone) = gone;
    }

    /// The next `n` changes reach no watch, not even one that begins later; only a list shows them. To make clients
    /// list again, use [`Kubernetes::compact`] and [`Kubernetes::cut_watches`], or [`Kubernetes::expire_watches`].
    pub fn drop_changes(&self, n: u32) {
        locked(&self.core.store).silence(n);
    }

    /// The next change reaches watches after the one that follows it.
    pub fn reorder_changes(&self) {
        locked(&self.core.store).reorder();
    }

    /// How often watches that begin from now on get bookmarks.
    pub fn set_bookmark_interval(&self, interval: Duration) {
        *locked(&self.core.bookmark_interval) = interval;
    }

    /// The script of troubles.
    #[must_use]
    pub fn troubles(&self) -> &Troubles<Verb, Call> {
        &self.core.troubles
    }
}

/// What was asked.
impl Kubernetes {
    /// Every call, in the order of arrival.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        locked(&self.core.calls).all.clone()
    }

    /// Forgets the calls so far.
    pub fn forget_calls(&self) {
        locked(&self.core.calls).all.clear();
    }

    /// The rights that a user needed for its calls so far: verb, resource, and the namespace if there was one.
    #[must_use]
    pub fn rights_used(&self, user: &str) -> BTreeSet<(Verb, Resource, Option<String>)> {
        let calls = locked(&self.core.calls);
        let own = calls.all.iter().filter(|call| call.user.as_deref() == Some(user));
        own.filter_map(|call| Some((call.verb, call.resource?, call.namespace.clone()))).collect()
    }
}
