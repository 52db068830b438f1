//! What nodes send, over HTTP: read within bounds, verified, handed to the registrar, answered and signed.
//!
//! In this order, so that what costs nothing to refuse costs nothing: length, form, key, signature, rate, content. Nothing of a
//! payload is looked at before its signature holds.

mod contact;
mod limiter;
mod nonces;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Extension, Router};
use safeguard_protocol::{
    Acknowledgement, Challenge, Code, Digest, Enrolled, Envelope, EnvelopeError, Kind, Opened, Received, Refusal,
    SigningKey, Statement, VERSION, limits,
};
use serde::Serialize;
use tokio::sync::Semaphore;

use crate::registrar::{Desk, Job, Refused};
use crate::serve::ComesAgain;
use crate::vouching::Vouching;
use contact::Contact;
use limiter::Limiter;
use nonces::Nonces;

/// Enrolments that are verified at the same time: each asks STS.
const ENROLLING: usize = 32;
/// How long an enrolment waits for its turn.
const TURN: std::time::Duration = std::time::Duration::from_secs(5);
/// Beats of one key that are taken at once: what a node has spooled comes in one go.
const BURST: u32 = 120;
/// Beats of one key that are taken each second after that.
const PER_SECOND: u32 = 2;
/// Challenges of one address that are given at once, and each second after that. A whole cluster may share one address.
const CHALLENGES: (u32, u32) = (2_000, 200);

/// What answers nodes.
#[derive(Debug)]
pub struct Ingest {
    desk: Desk,
    vouching: Vouching,
    key: SigningKey,
    nonces: Nonces,
    contact: Contact,
    beats: Limiter<[u8; 32]>,
    challenges: Limiter<std::net::IpAddr>,
    enrolling: Semaphore,
    interval_s: u32,
    now_ms: fn() -> i64,
}

impl Ingest {
    /// Answers with this key. `interval_s`: what nodes are told to wait between beats.
    #[must_use]
    pub fn new(desk: Desk, vouching: Vouching, key: SigningKey, interval_s: u32, now_ms: fn() -> i64) -> Arc<Self> {
        Arc::new(Self {
            desk,
            vouching,
            contact: Contact::new(&key),
            key,
            nonces: Nonces::default(),
            beats: Limiter::new(BURST, PER_SECOND),
            challenges: Limiter::new(CHALLENGES.0, CHALLENGES.1),
            enrolling: Semaphore::new(ENROLLING),
            interval_s,
            now_ms,
        })
    }

    /// The routes of nodes.
    pub fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/v1/challenge", get(challenge))
            .route("/v1/enroll", post(enrol))
            .route("/v1/beat", post(beat))
            .route("/v1/reports/{digest}", put(report))
            .with_state(self)
    }

    fn signed<T: Serialize>(&self, kind: Kind, status: StatusCode, content: &T) -> Response {
        let Ok((envelope, _)) = Envelope::seal_json(kind, content, &self.key) else {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        };
        (status, [(header::CONTENT_TYPE, "application/json")], envelope.to_bytes()).into_response()
    }

    fn refuse(&self, in_reply_to: Digest, refused: Refused) -> Response {
        let Refused { code, message, retry_after_s } = refused;
        let server_time_ms = (self.now_ms)();
        let refusal = Refusal { version: VERSION, in_reply_to, code, message, server_time_ms, retry_after_s };
        let status = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = self.signed(Kind::Refusal, status, &refusal);
        if let Some(seconds) = retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }

    async fn enrolled(&self, body: &[u8]) -> Result<Enrolled, (Digest, Refused)> {
        let unread = Digest::of(body);
        let envelope = Envelope::read(body, limits::ENROLMENT_BYTES).map_err(|e| (unread, unfit(&e)))?;
        let opened = envelope.open_enrolment().map_err(|e| (unread, unfit(&e)))?;
        let in_reply_to = opened.digest;
        self.enrol(opened).await.map_err(|refused| (in_reply_to, refused))
    }

    async fn enrol(&self, opened: Opened<safeguard_protocol::Enrolment>) -> Result<Enrolled, Refused> {
        let now_ms = (self.now_ms)();
        let said = &opened.content;
        if said.version != VERSION {
            return Err(Refused::new(Code::Version, format!("this server speaks version {VERSION}")));
        }
        said.check().map_err(|why| Refused::new(Code::Malformed, why))?;
        if !self.nonces.take(&said.nonce, now_ms) {
            return Err(Refused::new(Code::Nonce, "the nonce was never given, was used, or is too old"));
        }
        let busy = || Refused {
            retry_after_s: Some(2 + fastrand::u32(..30)),
            ..Refused::new(Code::Busy, "too many enrol at once")
        };
        let turn = tokio::time::timeout(TURN, self.enrolling.acquire()).await;
        let _turn = turn.map_err(|_| busy())?.map_err(|_| busy())?;
        let verified = self.vouching.verify(said, now_ms).await.map_err(|denied| {
            let (code, detail) = (denied.code.as_str(), &denied.detail);
            tracing::warn!(tenant = said.tenant, node = said.node_name, code, detail, "An enrolment is refused.");
            Refused::new(denied.code, denied.message)
        })?;
        let (in_reply_to, key, assurance) = (opened.digest, opened.key, verified.assurance);
        let known = self
            .desk
            .ask(|answer| Job::Enrol { enrolment: Box::new(opened), verified: Box::new(verified), answer })
            .await?;
        let now_ms = (self.now_ms)();
        Ok(Enrolled {
            version: VERSION,
            in_reply_to,
            key_id: key.id(),
            assurance,
            sequence: known.sequence,
            server_time_ms: now_ms,
            nonce: self.contact.give(&key, now_ms),
            interval_s: self.interval_s,
        })
    }

    async fn acknowledged(&self, body: Vec<u8>) -> Result<Acknowledgement, (Digest, Refused)> {
        let refused = |refused: Refused| (Digest::of(&body), refused);
        let envelope = Envelope::read(&body, limits::BEAT_BYTES).map_err(|e| refused(unfit(&e)))?;
        let id = envelope.key_id().ok_or_else(|| refused(Refused::new(Code::Malformed, "there is no signature")))?;
        let unknown = || refused(Refused::new(Code::UnknownKey, "no node is known by this key"));
        let key = self.desk.keys.get(&id).ok_or_else(unknown)?;
        let opened: Opened<Statement> = envelope.open(Kind::Statement, &key).map_err(|e| refused(unfit(&e)))?;
        let in_reply_to = opened.digest;
        let result = self.beat(opened, body).await;
        result.map_err(|refused| (in_reply_to, refused))
    }

    async fn beat(&self, opened: Opened<Statement>, envelope: Vec<u8>) -> Result<Acknowledgement, Refused> {
        if opened.content.version != VERSION {
            return Err(Refused::new(Code::Version, format!("this server speaks version {VERSION}")));
        }
        opened.content.check().map_err(|why| Refused::new(Code::Malformed, why))?;
        if !self.beats.allows(*opened.key.as_bytes(), (self.now_ms)()) {
            let message = "more beats than are taken of one node";
            return Err(Refused { retry_after_s: Some(30), ..Refused::new(Code::RateLimited, message) });
        }
        let (in_reply_to, key, sequence) = (opened.digest, opened.key, opened.content.beat.sequence);
        let contact_ms = opened.content.beat.server_nonce.as_ref().and_then(|nonce| self.contact.given_ms(&key, nonce));
        let beat = |answer| Job::Beat { statement: Box::new(opened), contact_ms, envelope, answer };
        let taken = self.desk.ask(beat).await?;
        let now_ms = (self.now_ms)();
        Ok(Acknowledgement {
            version: VERSION,
            in_reply_to,
            key_id: key.id(),
            sequence,
            received: taken.received,
            server_time_ms: now_ms,
            nonce: self.contact.give(&key, now_ms),
            interval_s: self.interval_s,
            want: taken.want,
            posture: taken.posture,
        })
    }
}

/// Why an envelope is not taken, in the words of the protocol.
fn unfit(error: &EnvelopeError) -> Refused {
    let code = match error {
        EnvelopeError::TooLong { .. } => Code::TooLong,
        EnvelopeError::Signature(_) => Code::Signature,
        EnvelopeError::UnknownKey(_) => Code::UnknownKey,
        _ => Code::Malformed,
    };
    Refused::new(code, error.to_string())
}

/// A body of at most so many bytes; nothing of a longer one is kept.
async fn whole(body: Body, most: usize) -> Result<Vec<u8>, Refused> {
    let too_long = |_| Refused::new(Code::TooLong, format!("the body cannot be read, or has more than {most} bytes"));
    to_bytes(body, most).await.map(Vec::from).map_err(too_long)
}

async fn challenge(State(ingest): State<Arc<Ingest>>, peer: Option<Extension<ConnectInfo<SocketAddr>>>) -> Response {
    let now_ms = (ingest.now_ms)();
    let allowed = peer.is_none_or(|Extension(ConnectInfo(peer))| ingest.challenges.allows(peer.ip(), now_ms));
    let Some(nonce) = ingest.nonces.give(now_ms).filter(|_| allowed) else {
        let message = "more challenges than are given at once";
        return ingest
            .refuse(Digest::of(b""), Refused { retry_after_s: Some(10), ..Refused::new(Code::Busy, message) });
    };
    let challenge = Challenge { version: VERSION, nonce, expires_in_s: limits::NONCE_SECONDS, server_time_ms: now_ms };
    ingest.signed(Kind::Challenge, StatusCode::OK, &challenge)
}

async fn enrol(State(ingest): State<Arc<Ingest>>, body: Body) -> Response {
    let result = match whole(body, limits::ENROLMENT_BYTES).await {
        Ok(body) => ingest.enrolled(&body).await,
        Err(refused) => Err((Digest::of(b""), refused)),
    };
    match result {
        Ok(enrolled) => ingest.signed(Kind::Enrolled, StatusCode::OK, &enrolled),
        Err((digest, refused)) => ingest.refuse(digest, refused),
    }
}

async fn beat(State(ingest): State<Arc<Ingest>>, body: Body) -> Response {
    let result = match whole(body, limits::BEAT_BYTES).await {
        Ok(body) => ingest.acknowledged(body).await,
        Err(refused) => Err((Digest::of(b""), refused)),
    };
    match result {
        Ok(acknowledgement) => {
            let response = ingest.signed(Kind::Acknowledgement, StatusCode::OK, &acknowledgement);
            // One beat, sent over and over, holds one connection.
            if acknowledgement.received == Received::Live { holding(response) } else { response }
        }
        Err((digest, refused)) => ingest.refuse(digest, refused),
    }
}

async fn report(
    State(ingest): State<Arc<Ingest>>,
    Path(digest): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let unread = Digest::of(b"");
    let Ok(digest) = digest.parse::<Digest>() else {
        return ingest.refuse(unread, Refused::new(Code::Malformed, "the path does not end with a digest"));
    };
    let read = async {
        let body = whole(body, limits::REPORT_BYTES).await?;
        match headers.get(header::CONTENT_ENCODING).map(|coding| coding.as_bytes()) {
            None | Some(b"identity") => Ok(body),
            Some(b"gzip") => unpack(&body),
            Some(_) => Err(Refused::new(Code::Malformed, "a report is sent as it is, or as gzip")),
        }
    };
    let stored = async {
        let body = read.await?;
        ingest.desk.ask(|answer| Job::Report { digest, body, answer }).await
    };
    match stored.await {
        // It was asked for with the acknowledgement of a beat.
        Ok(()) => holding(StatusCode::NO_CONTENT.into_response()),
        Err(refused) => ingest.refuse(digest, refused),
    }
}

/// The node comes again.
fn holding(mut response: Response) -> Response {
    response.extensions_mut().insert(ComesAgain);
    response
}

/// Unpacks no more than a report may have, whatever the packed form promises.
fn unpack(packed: &[u8]) -> Result<Vec<u8>, Refused> {
    use std::io::Read as _;
    let mut body = Vec::new();
    let most = u64::try_from(limits::REPORT_BYTES).unwrap_or(u64::MAX);
    let read = flate2::read::GzDecoder::new(packed).take(most + 1).read_to_end(&mut body);
    match read {
        Ok(n) if n <= limits::REPORT_BYTES => Ok(body),
        Ok(_) => Err(Refused::new(Code::TooLong, format!("the report has more than {most} bytes"))),
        Err(error) => Err(Refused::new(Code::Malformed, format!("the report is no gzip: {error}"))),
    }
}
