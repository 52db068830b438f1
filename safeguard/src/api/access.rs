//! Who may ask: a bearer token, or the session that a token opened.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::rand;
use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use safeguard_protocol::Digest;
use tokio::time::{Duration, Instant};

use crate::store::read::{self, ReadError, Reader};

/// The cookie of a session. `__Host-` would need TLS, which a safeguard on loopback has not.
pub(crate) const COOKIE: &str = "safeguard-session";
/// How long a session lasts, in seconds.
pub(crate) const SESSION_S: u64 = 12 * 3_600;
/// Sessions that are open at the same time; the one that ends first makes room.
const SESSIONS: usize = 1_024;
/// The longest token that is looked at, in bytes.
const TOKEN: usize = 512;

/// What a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scope {
    /// Everything that changes nothing.
    Read,
    /// Also what changes something.
    Operate,
}

/// Who may ask.
#[derive(Debug)]
pub(crate) struct Access {
    reader: Reader,
    open: bool,
    sessions: Mutex<HashMap<Digest, Session>>,
}

/// A session ends with its token: that one is looked up again each time.
#[derive(Debug, Clone, Copy)]
struct Session {
    token: Digest,
    until: Instant,
}

impl Access {
    pub(crate) fn new(reader: Reader, open: bool) -> Self {
        Self { reader, open, sessions: Mutex::new(HashMap::new()) }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    /// What a request may do; `None` for nothing. A session, and a page that is open, are good for reading alone, so that no other
    /// site can make a browser change something.
    pub(crate) async fn of(&self, headers: &HeaderMap, needed: Scope) -> Result<Option<Scope>, ReadError> {
        if let Some(value) = headers.get(header::AUTHORIZATION) {
            let token = value.to_str().ok().and_then(|value| value.strip_prefix("Bearer ")).map(str::trim);
            return match token.filter(|token| !token.is_empty() && token.len() <= TOKEN) {
                Some(token) => self.scope(Digest::of(token.as_bytes())).await,
                None => Ok(None),
            };
        }
        if self.open && needed == Scope::Read {
            return Ok(Some(Scope::Read));
        }
        let Some(session) = cookie(headers).and_then(|cookie| self.session(cookie)) else { return Ok(None) };
        Ok(self.scope(session.token).await?.map(|_| Scope::Read))
    }

    /// Opens a session with a token: the value of its cookie, or `None` if the token is good for nothing.
    pub(crate) async fn sign_in(&self, token: &str) -> Result<Option<String>, ReadError> {
        let token = token.trim();
        if token.is_empty() || token.len() > TOKEN {
            return Ok(None);
        }
        let token = Digest::of(token.as_bytes());
        if self.scope(token).await?.is_none() {
            return Ok(None);
        }
        let mut bytes = [0_u8; 32];
        if rand::fill(&mut bytes).is_err() {
            return Ok(None);
        }
        let value = URL_SAFE_NO_PAD.encode(bytes);
        let now = Instant::now();
        let mut sessions = self.sessions();
        sessions.retain(|_, session| session.until > now);
        while sessions.len() >= SESSIONS {
            let Some(oldest) = sessions.iter().min_by_key(|(_, session)| session.until).map(|(id, _)| *id) else {
                break;
            };
            sessions.remove(&oldest);
        }
        let until = now + Duration::from_secs(SESSION_S);
        sessions.insert(Digest::of(value.as_bytes()), Session { token, until });
        Ok(Some(value))
    }

    /// Ends the session of a request.
    pub(crate) fn sign_out(&self, headers: &HeaderMap) {
        if let Some(cookie) = cookie(headers) {
            self.sessions().remove(&Digest::of(cookie.as_bytes()));
        }
    }

    async fn scope(&self, token: Digest) -> Result<Option<Scope>, ReadError> {
        self.reader.ask(move |db| read::token_scope(db, &token)).await.map(|scope| match scope.as_deref() {
            Some("read") => Some(Scope::Read),
            Some("operate") => Some(Scope::Operate),
            _ => None,
        })
    }

    fn session(&self, cookie: &str) -> Option<Session> {
        let session = self.sessions().get(&Digest::of(cookie.as_bytes())).copied()?;
        (session.until > Instant::now()).then_some(session)
    }

    fn sessions(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, value)| *name == COOKIE && value.len() <= 64).map(|(_, value)| value)
}
