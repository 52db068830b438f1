//! Access keys, and the endpoint that hands them out as EKS Pod Identity does.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Mutex,
        atomic::{AtomicI64, AtomicU16, AtomicU64, Ordering},
    },
};

use aws_lc_rs::digest;

use crate::cloudwatch::{dates, error::ApiError, locked};

/// An access key that the stand-in issued.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// The public half.
    pub access_key_id: String,
    /// The secret half.
    pub secret_access_key: String,
    /// Goes with temporary keys, in `X-Amz-Security-Token`.
    pub session_token: Option<String>,
    /// Milliseconds since the epoch; from then on the key gets `ExpiredTokenException`.
    pub expires_at_ms: Option<i64>,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("access_key_id", &self.access_key_id)
            .field("expires_at_ms", &self.expires_at_ms)
            .finish_non_exhaustive()
    }
}

pub(crate) struct Secret(pub(crate) String);

#[derive(Debug)]
pub(crate) struct Keys {
    keys: Mutex<HashMap<String, Credential>>,
    issued: AtomicU64,
    // Tells the keys of two stand-ins apart.
    seed: u64,
    /// How long keys from the endpoint last, in milliseconds.
    pub(crate) lifetime_ms: AtomicI64,
    /// The status the endpoint answers with; 200 gives a key.
    pub(crate) endpoint_status: AtomicU16,
    /// The `Authorization` header the endpoint demands.
    pub(crate) endpoint_token: Mutex<Option<String>>,
    /// Keys the endpoint gave.
    pub(crate) endpoint_calls: AtomicU64,
}

impl Keys {
    pub(crate) fn new(seed: u64) -> Keys {
        Keys {
            keys: Mutex::default(),
            issued: AtomicU64::new(0),
            seed,
            lifetime_ms: AtomicI64::new(6 * 3_600_000),
            endpoint_status: AtomicU16::new(200),
            endpoint_token: Mutex::new(None),
            endpoint_calls: AtomicU64::new(0),
        }
    }

    /// Makes a key: a lasting one without a session token, or a temporary one with it.
    pub(crate) fn issue(&self, temporary: bool, expires_at_ms: Option<i64>) -> Credential {
        let number = self.issued.fetch_add(1, Ordering::Relaxed) + 1;
        let text = |what: &str| {
            let hash = digest::digest(&digest::SHA256, format!("{what}/{}/{number}", self.seed).as_bytes());
            hash.as_ref().iter().take(20).map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        let prefix = if temporary { "ASIA" } else { "AKIA" };
        let credential = Credential {
            access_key_id: format!("{prefix}{:06X}{number:010}", self.seed & 0xff_ffff),
            secret_access_key: text("secret"),
            session_token: temporary.then(|| text("token")),
            expires_at_ms,
        };
        locked(&self.keys).insert(credential.access_key_id.clone(), credential.clone());
        credential
    }

    pub(crate) fn revoke(&self, access_key_id: &str) {
        locked(&self.keys).remove(access_key_id);
    }

    /// The secret of a key that is known, goes with this session token, and has not expired.
    pub(crate) fn find(&self, access_key_id: &str, token: Option<&str>, now_ms: i64) -> Result<Secret, ApiError> {
        let keys = locked(&self.keys);
        let known = keys.get(access_key_id).filter(|key| key.session_token.as_deref() == token);
        let Some(key) = known else {
            return Err(ApiError::new(
                "UnrecognizedClientException",
                "The security token included in the request is invalid.",
            ));
        };
        if key.expires_at_ms.is_some_and(|at| now_ms >= at) {
            return Err(ApiError::new(
                "ExpiredTokenException",
                "The security token included in the request is expired",
            ));
        }
        Ok(Secret(key.secret_access_key.clone()))
    }

    /// Answers the endpoint's GET: a status and a JSON body.
    pub(crate) fn hand_out(&self, authorization: Option<&str>, now_ms: i64) -> (u16, String) {
        let expected = locked(&self.endpoint_token).clone();
        if expected.is_some() && expected.as_deref() != authorization {
            return (401, r#"{"code":"AccessDenied","message":"The authorization token is not valid."}"#.to_owned());
        }
        let status = self.endpoint_status.load(Ordering::Relaxed);
        if status != 200 {
            return (status, r#"{"code":"InternalError","message":"No credentials at this time."}"#.to_owned());
        }
        self.endpoint_calls.fetch_add(1, Ordering::Relaxed);
        let expires = now_ms.saturating_add(self.lifetime_ms.load(Ordering::Relaxed));
        // The text carries whole seconds; the key must not outlive or fall short of what it says.
        let expires = expires.div_euclid(1_000) * 1_000;
        let key = self.issue(true, Some(expires));
        let body = serde_json::json!({
            "AccessKeyId": key.access_key_id,
            "SecretAccessKey": key.secret_access_key,
            "Token": key.session_token,
            "Expiration": dates::rfc3339(expires / 1_000),
            "AccountId": "123456789012",
        });
        (200, body.to_string())
    }
}
