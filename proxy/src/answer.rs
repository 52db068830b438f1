//! The stages in their order: who asks, what may it have, and what is answered.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::HeaderValue;
use safeguard_daemon::clock;
use safeguard_pods::Pod;
use tokio::time::{Instant, sleep};

use crate::assume::{AssumeErrorKind, Sessions, rfc3339};
use crate::audit::Audit;
use crate::authorise::{Decision, Grant, Refusal};
use crate::decide::Decide;
use crate::forward::Forward;
use crate::identify::{Identified, Identify, Unidentified};
use crate::metrics::{Outcome, Tally};
use crate::path::{Forwarded, Route};
use crate::rate::Rates;
use crate::settings::{Imdsv2, Settings};
use crate::token::Tokens;

/// Between two looks while a namespace is waited for.
const NAMESPACE_EVERY: Duration = Duration::from_millis(10);

/// What is sent back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) content_type: HeaderValue,
    pub(crate) body: Bytes,
    /// Seconds that a token lasts, echoed.
    pub(crate) token_seconds: Option<u64>,
}

pub(crate) const TEXT: HeaderValue = HeaderValue::from_static("text/plain");

impl Reply {
    pub(crate) fn text(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self { status, content_type: TEXT, body: body.into(), token_seconds: None }
    }

    fn ok(body: impl Into<Bytes>) -> Self {
        Self::text(StatusCode::OK, body)
    }

    /// Why there is nothing, in words that name no account, no role and no other pod.
    pub(crate) fn refusal(status: StatusCode, reason: &'static str) -> Self {
        Self::text(status, reason)
    }
}

/// What a request says besides its path; see [`crate::serve`].
#[derive(Debug, Clone, Copy)]
pub(crate) enum Asked<'a> {
    /// PUT, with the seconds that the token shall last.
    Token { seconds: u64 },
    /// GET or HEAD, perhaps with a token.
    Data { token: Option<&'a [u8]> },
}

/// Everything that answering takes.
#[derive(Debug)]
pub(crate) struct Stages {
    pub(crate) settings: Arc<Settings>,
    pub(crate) identify: Identify,
    pub(crate) decide: Decide,
    pub(crate) sessions: Sessions,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) forward: Forward,
    pub(crate) forwarded: Forwarded,
    pub(crate) audit: Arc<Audit>,
    pub(crate) rates: Rates,
    pub(crate) tally: Tally,
}

impl Stages {
    /// Answers a request from `peer` that was found well-formed.
    pub(crate) async fn answer(&self, peer: IpAddr, asked: Asked<'_>, route: &Route) -> Reply {
        let peer = peer.to_canonical();
        if !self.rates.admit(peer, Instant::now()) {
            self.tally.count(Outcome::TooMany);
            self.audit.refused(
                &peer.to_string(),
                None,
                peer,
                "too_many_requests",
                "more requests than one pod may make",
            );
            return Reply::refusal(StatusCode::TOO_MANY_REQUESTS, "too many requests; credentials are to be kept\n");
        }
        let identified = match self.identify.identify(peer).await {
            Ok(identified) => identified,
            Err(unidentified) => return self.unidentified(peer, &unidentified),
        };
        match asked {
            Asked::Token { seconds } => self.token(&identified, seconds),
            Asked::Data { token } => self.data(&identified, peer, token, route).await,
        }
    }

    fn unidentified(&self, peer: IpAddr, unidentified: &Unidentified) -> Reply {
        self.tally.count(Outcome::Unidentified);
        self.audit.refused(&peer.to_string(), None, peer, unidentified.code(), &unidentified.to_string());
        if unidentified.may_change() {
            // SDKs try again on 503 and give up on 404.
            return Reply::refusal(StatusCode::SERVICE_UNAVAILABLE, "this pod is not known yet; try again\n");
        }
        Reply::refusal(StatusCode::FORBIDDEN, "no running pod with a network of its own has this address\n")
    }

    fn token(&self, identified: &Identified, seconds: u64) -> Reply {
        let Some(token) = self.tokens.make(&identified.uid, seconds, now_seconds()) else {
            self.tally.count(Outcome::Failed);
            return Reply::refusal(StatusCode::INTERNAL_SERVER_ERROR, "no random numbers can be had\n");
        };
        self.tally.count(Outcome::Token);
        Reply { token_seconds: Some(seconds), ..Reply::ok(token) }
    }

    async fn data(&self, identified: &Identified, peer: IpAddr, token: Option<&[u8]>, route: &Route) -> Reply {
        let decision = self.decided(&identified.pod).await;
        match token {
            Some(token) if !self.tokens.is_good(token, &identified.uid, now_seconds()) => {
                self.tally.count(Outcome::BadToken);
                return Reply::refusal(StatusCode::UNAUTHORIZED, "the token is not one of this pod, or has expired\n");
            }
            None if decision.imdsv2 == Imdsv2::Required => {
                self.tally.count(Outcome::NoToken);
                return Reply::refusal(
                    StatusCode::UNAUTHORIZED,
                    "IMDSv2 is required here: PUT /latest/api/token first\n",
                );
            }
            _ => {}
        }
        match route {
            Route::Forward(path) => self.forwarded(path).await,
            Route::Index => Reply::ok(self.forwarded.index()),
            Route::Iam => Reply::ok("info\nsecurity-credentials/"),
            Route::IamInfo | Route::Roles | Route::Credentials { .. } => {
                let grant = match &decision.outcome {
                    Ok(grant) => grant,
                    Err(refusal) => return self.refused(identified, peer, refusal),
                };
                if let Some(reported) = &decision.reported {
                    self.audit.reported(&identified.pod, peer, reported.code(), &reported.to_string());
                }
                self.granted(identified, peer, grant, route).await
            }
            Route::Token | Route::Withheld | Route::Unknown | Route::Malformed => {
                self.tally.count(Outcome::NotFound);
                Reply::refusal(StatusCode::NOT_FOUND, "nothing is served here\n")
            }
        }
    }

    /// What a pod may have. A namespace that is not known yet is waited for, as a pod is: both are told of on watches of their own.
    async fn decided(&self, pod: &Arc<Pod>) -> Arc<Decision> {
        let late = Instant::now() + self.settings.unknown_pod_wait;
        loop {
            let decision = self.decide.about(pod);
            if decision.outcome != Err(Refusal::NamespaceNotKnown) || Instant::now() >= late {
                return decision;
            }
            sleep(NAMESPACE_EVERY).await;
        }
    }

    async fn forwarded(&self, path: &str) -> Reply {
        match self.forward.get(path).await {
            Ok(reply) => {
                self.tally.count(Outcome::Forwarded);
                let content_type = reply.content_type.unwrap_or(TEXT);
                Reply { status: reply.status, content_type, body: reply.body, token_seconds: None }
            }
            Err(error) => {
                self.tally.count(Outcome::Failed);
                tracing::debug!(%error, path, "A path could not be forwarded.");
                Reply::refusal(StatusCode::SERVICE_UNAVAILABLE, "the node's metadata service does not answer\n")
            }
        }
    }

    fn refused(&self, identified: &Identified, peer: IpAddr, refusal: &Refusal) -> Reply {
        let pod = &identified.pod;
        match refusal {
            Refusal::NoRole => {
                self.tally.count(Outcome::NoRole);
                return Reply::refusal(StatusCode::NOT_FOUND, "this pod has no role\n");
            }
            Refusal::NamespaceNotKnown => self.tally.count(Outcome::Unidentified),
            _ => self.tally.count(Outcome::Refused),
        }
        self.audit.refused(&pod.uid, Some(pod), peer, refusal.code(), &refusal.to_string());
        match refusal {
            Refusal::NamespaceNotKnown => {
                Reply::refusal(StatusCode::SERVICE_UNAVAILABLE, "the namespace is not known yet; try again\n")
            }
            _ => Reply::refusal(StatusCode::FORBIDDEN, "this pod may not have the role that it asks for\n"),
        }
    }

    async fn granted(&self, identified: &Identified, peer: IpAddr, grant: &Grant, route: &Route) -> Reply {
        match route {
            Route::Roles => {
                // The client will ask for the credentials next.
                self.sessions.prefetch(grant);
                self.tally.count(Outcome::Roles);
                Reply::ok(self.settings.base.shown(grant.role()).to_owned())
            }
            Route::Credentials { role, extended } => {
                // jtblin/kube2iam#15: the name in the path is not for show.
                if self.settings.base.role(role).as_ref() != Ok(grant.role()) {
                    self.tally.count(Outcome::NotFound);
                    return Reply::refusal(StatusCode::NOT_FOUND, "this pod has another role, or none of this name\n");
                }
                self.credentials(identified, peer, grant, *extended).await
            }
            _ => Reply::ok(info(grant)),
        }
    }

    async fn credentials(&self, identified: &Identified, peer: IpAddr, grant: &Grant, extended: bool) -> Reply {
        match self.sessions.get(grant, self.settings.credentials_deadline).await {
            Ok(session) => {
                self.tally.count(Outcome::Credentials);
                self.audit.delivered(&identified.pod, peer, grant.key(), &session);
                Reply::ok(session.document(extended))
            }
            Err(error) => {
                self.tally.count(Outcome::Failed);
                let pod = &identified.pod;
                // What STS said is in the log with the failure itself.
                self.audit.refused(&pod.uid, Some(pod), peer, "not_issued", &error.code);
                match error.kind {
                    AssumeErrorKind::Denied => {
                        Reply::refusal(StatusCode::FORBIDDEN, "AWS does not let this pod's role be assumed\n")
                    }
                    AssumeErrorKind::Unavailable => {
                        Reply::refusal(StatusCode::SERVICE_UNAVAILABLE, "AWS has given no credentials; try again\n")
                    }
                }
            }
        }
    }
}

/// `iam/info`, as the real service has it. A pod has no instance profile: the names are those of its role.
fn info(grant: &Grant) -> String {
    let role = grant.role();
    let digits = role
        .as_str()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    format!(
        "{{\n  \"Code\" : \"Success\",\n  \"LastUpdated\" : \"{}\",\n  \"InstanceProfileArn\" : \
         \"arn:{}:iam::{}:instance-profile/{}\",\n  \"InstanceProfileId\" : \"AIPA{digits:016X}A\"\n}}",
        rfc3339(clock::now_ms()),
        role.partition(),
        role.account(),
        role.name(),
    )
}

fn now_seconds() -> u64 {
    u64::try_from(clock::now_ms().div_euclid(1_000)).unwrap_or(0)
}
