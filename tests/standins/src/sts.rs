//! A strict, real HTTP stand-in for the AWS Security Token Service.
//!
//! # Layout
//! - `answer`: the way of one request; `parameters` and `reply` are its two ends. `call`: what is kept of each one.
//! - `assume`, `role`: AssumeRole, and who may. `limits`: the numbers. `error`: the service's words.
//! - `presigned`: presigned GetCallerIdentity URLs as tokens for EKS.
//!
//! Keys come from the [`Account`], so that what one stand-in issues another accepts. Rules that the API reference
//! states are enforced. Not there: the size of packed policies, and what session policies allow.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

mod answer;
mod assume;
mod call;
mod error;
pub mod limits;
mod parameters;
mod presigned;
mod reply;
mod role;

pub use call::{Call, Outcome, StsOp};
pub use presigned::TokenCheck;
pub use role::Role;

use crate::{Account, Clock, Listen, Tls, Trouble, Troubles, locked, serve::Door};

/// How the stand-in behaves.
#[derive(Clone, Debug)]
pub struct StsOptions {
    /// Where it listens. Default `127.0.0.1:0`.
    pub listen: Listen,
    /// Issues keys and finds them.
    pub account: Arc<Account>,
    /// Judges signatures and expiry, and goes out in `Date`. Default the system's.
    pub clock: Clock,
    /// The region that requests have to be signed for. Default `us-east-1`.
    pub region: String,
    /// Speak TLS, with a certificate of [`Sts::ca_pem`]'s authority. Default false.
    pub tls: bool,
}

impl StsOptions {
    /// The service in `us-east-1`, for this account.
    #[must_use]
    pub fn new(account: Arc<Account>) -> StsOptions {
        StsOptions {
            listen: Listen::default(),
            account,
            clock: Clock::default(),
            region: "us-east-1".to_owned(),
            tls: false,
        }
    }
}

/// What all connections share.
#[derive(Debug)]
struct Core {
    options: StsOptions,
    roles: Mutex<BTreeMap<String, Role>>,
    calls: Mutex<Calls>,
    troubles: Troubles<StsOp, Call>,
}

#[derive(Debug, Default)]
struct Calls {
    serial: u64,
    all: Vec<Call>,
}

/// A running stand-in. Dropping it ends it.
#[derive(Debug)]
pub struct Sts {
    core: Arc<Core>,
    door: Door<Core>,
}

impl Sts {
    /// Starts listening, on the caller's tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be bound, or the TLS certificate cannot be made.
    pub async fn start(options: StsOptions) -> io::Result<Sts> {
        let listen = options.listen.clone();
        let listener = listen.bind(None).await?;
        let tls = options.tls.then(Tls::generate).transpose()?;
        let core =
            Arc::new(Core { options, roles: Mutex::default(), calls: Mutex::default(), troubles: Troubles::default() });
        let door = Door::open(listen, listener, tls, Arc::clone(&core))?;
        Ok(Sts { core, door })
    }

    /// The endpoint URL, without a last slash.
    #[must_use]
    pub fn url(&self) -> String {
        self.door.url()
    }

    /// Where it listens, or listened before [`Sts::go_down`].
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

    /// Adds a role, or replaces the one of the same ARN.
    pub fn put_role(&self, role: Role) {
        locked(&self.core.roles).insert(role.arn.clone(), role);
    }

    /// Deletes a role; sessions that it has go on.
    pub fn delete_role(&self, arn: &str) {
        locked(&self.core.roles).remove(arn);
    }

    /// Every call, in the order of arrival.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        locked(&self.core.calls).all.clone()
    }

    /// The calls of AssumeRole, in the order of arrival.
    #[must_use]
    pub fn assumed(&self) -> Vec<Call> {
        let calls = locked(&self.core.calls);
        calls.all.iter().filter(|call| call.op == StsOp::AssumeRole).cloned().collect()
    }

    /// Forgets the calls so far.
    pub fn forget_calls(&self) {
        locked(&self.core.calls).all.clear();
    }

    /// The script of troubles.
    #[must_use]
    pub fn troubles(&self) -> &Troubles<StsOp, Call> {
        &self.core.troubles
    }
}

/// 400 `Throttling`, "Rate exceeded".
#[must_use]
pub fn throttled() -> Trouble {
    Trouble::refused(400, "Throttling", "Rate exceeded")
}

/// 500 `InternalFailure`.
#[must_use]
pub fn internal() -> Trouble {
    Trouble::refused(
        500,
        "InternalFailure",
        "The request processing has failed because of an unknown error, exception or failure.",
    )
}

/// 503 `ServiceUnavailable`.
#[must_use]
pub fn unavailable() -> Trouble {
    Trouble::refused(503, "ServiceUnavailable", "The request has failed due to a temporary failure of the server.")
}

/// 403 `AccessDenied`, as for a role that does not trust the caller.
#[must_use]
pub fn denied() -> Trouble {
    Trouble::refused(403, "AccessDenied", "User is not authorized to perform: sts:AssumeRole")
}

/// 403 `ExpiredToken`.
#[must_use]
pub fn expired_token() -> Trouble {
    Trouble::refused(403, "ExpiredToken", "The security token included in the request is expired")
}
