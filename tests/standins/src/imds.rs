//! A strict, real HTTP stand-in for the EC2 instance metadata service.
//!
//! # Layout
//! - `answer`: the way of one request; `reply` is its end. `request`: what is kept of each one.
//! - `tokens`: IMDSv2. `tree`, `instance`: paths and what is there. `role`: the node's credentials.
//! - `state`: what a test may change while it runs.
//!
//! Rules that the EC2 User Guide states are enforced: tokens by PUT to `/latest/api/token` alone, with a life of 1 to
//! 21600 seconds; 403 for a PUT that was forwarded; 401 for a token that is not valid, also where none is needed;
//! replies to the PUT that pass one hop. What is not documented: slashes in a row count as one and a percent-encoding
//! is decoded once (AWS's own JavaScript client sends `//latest`), case counts, other methods get 405.
//!
//! Every request is kept, so that a test can assert that no pod ever caused one for what is the node's alone: see
//! [`Imds::sensitive_requests`].

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

mod answer;
mod instance;
mod reply;
mod request;
mod role;
mod state;
mod tokens;
mod tree;

pub use instance::Instance;
pub use request::{Request, Shown};
pub use role::NodeRole;
pub use tokens::MAX_TTL_SECONDS;

use crate::{Account, Clock, IdentityCa, Listen, Troubles, locked, serve::Door};
use state::State;

/// Whether requests need a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HttpTokens {
    /// Requests without a token are answered too: IMDSv1.
    Optional,
    /// Requests without a token get 401.
    #[default]
    Required,
}

/// The two kinds of requests that troubles are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// PUT.
    Token,
    /// All others.
    Data,
}

/// How the stand-in behaves.
#[derive(Clone, Debug)]
pub struct ImdsOptions {
    /// Where it listens. Default `127.0.0.1:0`.
    pub listen: Listen,
    /// Issues the node's keys.
    pub account: Arc<Account>,
    /// Default the system's.
    pub clock: Clock,
    /// Default required.
    pub http_tokens: HttpTokens,
    /// Routers that replies to the token's PUT may pass, plus one: their IP TTL. 0 limits nothing. Default 1.
    pub hop_limit: u8,
    /// More than one request on a connection. Default false: captured replies of the service carry
    /// `Connection: close` (jtblin/kube2iam#119, uswitch/kiam#116).
    pub keep_alive: bool,
    /// `iam/security-credentials-extended/` is there. Default true.
    pub extended: bool,
    /// What it tells of its instance.
    pub instance: Instance,
    /// Signs the identity document. Default none: the signature is then one in its shape alone.
    pub identity_ca: Option<Arc<IdentityCa>>,
    /// The node's role. Default `node` in the account.
    pub role: Option<NodeRole>,
    /// Requests that are kept; beyond, only sensitive ones are. Default 100,000.
    pub max_requests: usize,
}

impl ImdsOptions {
    /// The service of an instance with the role `node` of this account.
    #[must_use]
    pub fn new(account: Arc<Account>) -> ImdsOptions {
        ImdsOptions {
            listen: Listen::default(),
            clock: Clock::default(),
            http_tokens: HttpTokens::default(),
            hop_limit: 1,
            keep_alive: false,
            extended: true,
            instance: Instance::default(),
            identity_ca: None,
            role: Some(NodeRole::new(account.id(), "node")),
            max_requests: 100_000,
            account,
        }
    }
}

/// What all connections share.
#[derive(Debug)]
struct Core {
    options: ImdsOptions,
    state: Mutex<State>,
    troubles: Troubles<Part, Request>,
    started_ms: i64,
}

/// A running stand-in. Dropping it ends it.
#[derive(Debug)]
pub struct Imds {
    core: Arc<Core>,
    door: Door<Core>,
}

impl Imds {
    /// Starts listening, on the caller's tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(options: ImdsOptions) -> io::Result<Imds> {
        let listen = options.listen.clone();
        let listener = listen.bind(None).await?;
        let started_ms = options.clock.now_ms();
        let state = Mutex::new(State::new(&options, started_ms));
        let core = Arc::new(Core { options, state, troubles: Troubles::default(), started_ms });
        let door = Door::open(listen, listener, None, Arc::clone(&core))?;
        Ok(Imds { core, door })
    }

    /// The endpoint URL, without a last slash.
    #[must_use]
    pub fn url(&self) -> String {
        self.door.url()
    }

    /// Where it listens, or listened before [`Imds::go_down`].
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.door.addr()
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

    /// The script of troubles.
    #[must_use]
    pub fn troubles(&self) -> &Troubles<Part, Request> {
        &self.core.troubles
    }
}

/// What was asked.
impl Imds {
    /// Every request that is kept, in the order of arrival.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        locked(&self.core.state).requests.clone()
    }

    /// How many requests arrived, kept or not.
    #[must_use]
    pub fn requests_seen(&self) -> u64 {
        locked(&self.core.state).serial
    }

    /// How many were not kept, for their number.
    #[must_use]
    pub fn requests_dropped(&self) -> u64 {
        locked(&self.core.state).dropped
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        locked(&self.core.state).requests.clear();
    }

    /// Requests that may have been for credentials, `iam`, user data or the instance's identity, by the most
    /// suspicious reading, answered or not, and also those that could not be read as HTTP. `own` tells those that the
    /// node made for itself, by its peer address, its `User-Agent` or its [`Request::mark`]; they are left out.
    #[must_use]
    pub fn sensitive_requests(&self, own: impl Fn(&Request) -> bool) -> Vec<Request> {
        let state = locked(&self.core.state);
        let asked = |request: &&Request| (request.method.is_empty() || request.is_sensitive()) && !own(request);
        state.requests.iter().filter(asked).cloned().collect()
    }

    /// Requests from now on carry this mark, such as the name of a test's phase.
    pub fn mark(&self, mark: impl Into<String>) {
        locked(&self.core.state).mark = mark.into();
    }

    /// The ids of every access key it has handed out, the node's and the instance's own.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        locked(&self.core.state).keys.iter().cloned().collect()
    }

    /// True when it has handed out this key: nobody but the node may hold it.
    #[must_use]
    pub fn is_node_key(&self, access_key_id: &str) -> bool {
        locked(&self.core.state).keys.contains(access_key_id)
    }
}

/// What changes while it runs.
impl Imds {
    /// `HttpEndpoint`: when it is off, everything gets 403.
    pub fn set_enabled(&self, enabled: bool) {
        locked(&self.core.state).enabled = enabled;
    }

    /// Whether tokens are required, from now on.
    pub fn set_http_tokens(&self, http_tokens: HttpTokens) {
        locked(&self.core.state).http_tokens = http_tokens;
    }

    /// Whether `iam/security-credentials-extended/` is there, from now on.
    pub fn set_extended(&self, extended: bool) {
        locked(&self.core.state).extended = extended;
    }

    /// Ends all tokens.
    pub fn expire_tokens(&self) {
        locked(&self.core.state).tokens.expire();
    }

    /// Exchanges the node's role, or takes the instance profile away: `iam/` is 404 then.
    pub fn set_role(&self, role: Option<NodeRole>) {
        locked(&self.core.state).set_role(role, &self.core.options.instance.instance_id);
    }

    /// The next key of the node lives this long, in milliseconds. Default 6 hours.
    pub fn set_credentials_lifetime(&self, ms: i64) {
        if let Some((_, held)) = &mut locked(&self.core.state).role {
            held.set_lifetime(ms);
        }
    }

    /// The next request for the node's credentials gets a new key.
    pub fn renew_credentials(&self) {
        if let Some((_, held)) = &mut locked(&self.core.state).role {
            held.renew();
        }
    }

    /// The node's credentials come as an error with this `Code`, such as `AssumeRoleUnauthorizedAccess`, and status
    /// 200; none ends that.
    pub fn set_failure(&self, code: Option<String>) {
        locked(&self.core.state).failure = code;
    }

    /// Sets the document at a path below a version, such as `meta-data/spot/instance-action`, or takes it away.
    /// `iam/` and `identity-credentials/` are not set this way.
    pub fn set(&self, path: &str, text: Option<&str>) {
        let mut state = locked(&self.core.state);
        match text {
            Some(text) => state.tree.set(path, text),
            None => state.tree.remove(path),
        }
    }
}
