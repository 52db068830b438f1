//! The action `webhook`: tells somebody of each change of a node's state. docs/webhook.md is for who is told.
//!
//! Comes in: the outbox, which is written with the changes themselves. Goes out: signed requests, for one node in the order of what
//! happened, until they are taken.
//!
//! Never: drops what is younger than a week, or follows a redirect.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use bytes::Bytes;
use http::{Method, Request, Uri, header};
use http_body_util::Full;
use safeguard_daemon::settings::read_regular;
use safeguard_daemon::shutdown::Shutdown;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::https::{Https, is_safe};
use crate::store::outbox::{self, Waiting};
use crate::verify::SettingsError;

/// How often the outbox is looked into.
const LOOK: Duration = Duration::from_secs(1);
/// Requests at the same time, each of another node.
const TOGETHER: u32 = 8;
/// The first pause after a failure, in milliseconds; doubled with each further one.
const FIRST_PAUSE_MS: i64 = 2_000;
/// The longest pause, in milliseconds.
const LONGEST_PAUSE_MS: i64 = 3_600_000;
/// What could not be told for so long is dropped, in milliseconds.
const MOST_MS: i64 = 7 * 86_400_000;
/// What is read of a reply: only its status counts.
const REPLY: usize = 16 * 1024;
/// A secret of fewer bytes can be guessed (RFC 2104 asks for as many as the hash has).
const LEAST_SECRET: usize = 32;

/// The settings `[webhook]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where changes of state are sent. Without it they are only reported.
    pub url: Option<String>,
    /// File with the secret that requests are signed with.
    pub secret_file: Option<PathBuf>,
    /// PEM file with the only authorities to trust, in the place of the system's.
    pub ca: Option<PathBuf>,
}

/// Whether requests can be sent there: `https`, or plain `http` on this machine.
#[must_use]
pub fn is_allowed(url: &str) -> bool {
    url.parse::<Uri>().is_ok_and(|uri| is_safe(&uri))
}

/// Sends what is in the outbox.
#[derive(Debug)]
pub(crate) struct Webhook {
    https: Https,
    url: String,
    key: hmac::Key,
    store: PathBuf,
    now_ms: fn() -> i64,
}

impl Webhook {
    /// Reads the secret; `None` if nobody is to be told.
    pub(crate) fn new(settings: &Settings, store: &Path, now_ms: fn() -> i64) -> Result<Option<Self>, SettingsError> {
        let Some(url) = settings.url.clone() else { return Ok(None) };
        let path = settings.secret_file.as_deref().unwrap_or(Path::new(""));
        let wrong = |reason: String| SettingsError::file(path, reason);
        let secret = read_regular(path, 4_096).map_err(|error| wrong(error.to_string()))?;
        let secret = secret.trim();
        if secret.len() < LEAST_SECRET {
            return Err(wrong(format!(
                "it has fewer than {LEAST_SECRET} characters: `openssl rand -hex 32` makes a good one"
            )));
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        Ok(Some(Self { https: Https::new(settings.ca.as_deref())?, url, key, store: store.to_owned(), now_ms }))
    }

    /// Sends until the end.
    pub(crate) async fn run(self, shutdown: Shutdown) {
        let me = Arc::new(self);
        let send = async {
            loop {
                let sent = me.clone().round().await;
                if sent == 0 {
                    tokio::time::sleep(LOOK).await;
                }
            }
        };
        tokio::select! {
            () = send => {}
            // What is under way may arrive, and is sent again: at least once.
            () = shutdown.requested() => {}
        }
    }

    /// Sends what is due. Gives how many were tried.
    async fn round(self: Arc<Self>) -> usize {
        let now_ms = (self.now_ms)();
        let due = match self.clone().stored(move |store| outbox::due(store, now_ms, TOGETHER)).await {
            Some(due) => due,
            None => return 0,
        };
        let mut under_way = JoinSet::new();
        let tried = due.len();
        for waiting in due {
            under_way.spawn(self.clone().one(waiting));
        }
        while under_way.join_next().await.is_some() {}
        tried
    }

    async fn one(self: Arc<Self>, waiting: Waiting) {
        let told = self.send(&waiting).await;
        let (id, now_ms) = (waiting.id, (self.now_ms)());
        let Err(why) = told else {
            self.stored(move |store| outbox::done(store, id)).await;
            return;
        };
        if now_ms.saturating_sub(waiting.at_ms) > MOST_MS {
            tracing::error!(id, why, "A change of state could not be told for a week. It is dropped.");
            self.stored(move |store| outbox::dropped(store, &waiting, &why, now_ms)).await;
            return;
        }
        if waiting.tries == 0 {
            tracing::warn!(id, url = self.url, why, "A change of state could not be told. It is tried again.");
        }
        let next_ms = now_ms.saturating_add(pause_ms(waiting.tries, fastrand::i64(0..100)));
        self.stored(move |store| outbox::again(store, id, next_ms)).await;
    }

    async fn send(&self, waiting: &Waiting) -> Result<(), String> {
        let body = with_id(&waiting.body, waiting.id);
        let seconds = (self.now_ms)().div_euclid(1_000);
        let request = Request::builder()
            .method(Method::POST)
            .uri(&self.url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, concat!("safeguard/", env!("CARGO_PKG_VERSION")))
            .header("safeguard-signature", signature(&self.key, seconds, &body))
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| error.to_string())?;
        let reply = self.https.ask(request, REPLY).await.map_err(|error| error.to_string())?;
        if reply.status.is_success() { Ok(()) } else { Err(format!("HTTP {}", reply.status.as_u16())) }
    }

    /// Does something with the store, beside the runtime's threads. An error is told, and nothing is lost by it.
    async fn stored<T: Send + 'static>(
        self: Arc<Self>,
        work: impl FnOnce(&Path) -> rusqlite::Result<T> + Send + 'static,
    ) -> Option<T> {
        let store = self.store.clone();
        match tokio::task::spawn_blocking(move || work(&store)).await {
            Ok(Ok(done)) => Some(done),
            Ok(Err(error)) => {
                tracing::warn!(%error, "The webhook's outbox cannot be used.");
                tokio::time::sleep(LOOK).await;
                None
            }
            Err(_) => None,
        }
    }
}

/// The body with the number of what is told.
fn with_id(body: &str, id: i64) -> Vec<u8> {
    let mut document: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    if let Some(members) = document.as_object_mut() {
        members.insert("id".to_owned(), id.into());
    }
    document.to_string().into_bytes()
}

/// `t=SECONDS,v1=HEX`: the HMAC-SHA256 of the seconds since 1970, a dot, and the body.
fn signature(key: &hmac::Key, seconds: i64, body: &[u8]) -> String {
    let mut context = hmac::Context::with_key(key);
    context.update(format!("{seconds}.").as_bytes());
    context.update(body);
    let hex: String = context.sign().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={seconds},v1={hex}")
}

/// How long to wait after so many failures before: half of it is random.
fn pause_ms(tries: u32, random: i64) -> i64 {
    let pause = FIRST_PAUSE_MS.saturating_mul(1 << tries.min(20)).min(LONGEST_PAUSE_MS);
    pause / 2 + pause * random / 200
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tls_leaves_this_machine() {
        for url in ["https://example.com/hook?x=1", "http://127.0.0.1:1/hook", "http://[::1]/"] {
            assert!(is_allowed(url), "{url}");
        }
        for url in ["", "http://example.com/", "https://u:p@example.com/", "ftp://127.0.0.1/", "/hook"] {
            assert!(!is_allowed(url), "{url}");
        }
    }

    #[test]
    fn pauses_grow_to_an_hour() {
        let pauses: Vec<i64> = [0, 1, 2, 10, 11, 12, 99].into_iter().map(|tries| pause_ms(tries, 0) / 1_000).collect();
        assert_eq!(pauses, [1, 2, 4, 1_024, 1_800, 1_800, 1_800]);
        assert!(pause_ms(99, 99) <= LONGEST_PAUSE_MS);
    }

    /// `printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef`
    #[test]
    fn it_signs_as_others_do() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"0123456789abcdef0123456789abcdef");
        let signed = signature(&key, 1_700_000_000, br#"{"a":1}"#);
        assert_eq!(signed, "t=1700000000,v1=f05f2539e3ae1c49aec5f8cfdad75ef6b06480b133973ffbb7ec9e18827af177");
    }
}
