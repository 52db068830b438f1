//! The endpoint that hands out keys as EKS Pod Identity does.

use std::sync::{
    Mutex,
    atomic::{AtomicI64, AtomicU16, AtomicU64, Ordering},
};

use crate::{Account, Principal, dates, locked};

#[derive(Debug)]
pub(crate) struct Endpoint {
    /// How long its keys last, in milliseconds.
    pub(crate) lifetime_ms: AtomicI64,
    /// The status it answers with; 200 gives a key.
    pub(crate) status: AtomicU16,
    /// The `Authorization` header it demands.
    pub(crate) token: Mutex<Option<String>>,
    /// Keys it gave.
    pub(crate) calls: AtomicU64,
}

impl Default for Endpoint {
    fn default() -> Endpoint {
        Endpoint {
            lifetime_ms: AtomicI64::new(6 * 3_600_000),
            status: AtomicU16::new(200),
            token: Mutex::new(None),
            calls: AtomicU64::new(0),
        }
    }
}

impl Endpoint {
    /// Answers the endpoint's GET: a status and a JSON body.
    pub(crate) fn hand_out(&self, account: &Account, authorization: Option<&str>, now_ms: i64) -> (u16, String) {
        let expected = locked(&self.token).clone();
        if expected.is_some() && expected.as_deref() != authorization {
            return (401, r#"{"code":"AccessDenied","message":"The authorization token is not valid."}"#.to_owned());
        }
        let status = self.status.load(Ordering::Relaxed);
        if status != 200 {
            return (status, r#"{"code":"InternalError","message":"No credentials at this time."}"#.to_owned());
        }
        self.calls.fetch_add(1, Ordering::Relaxed);
        let expires = now_ms.saturating_add(self.lifetime_ms.load(Ordering::Relaxed));
        // The text carries whole seconds; the key must not outlive or fall short of what it says.
        let expires = expires.div_euclid(1_000) * 1_000;
        let role = format!("arn:aws:iam::{}:role/pod", account.id());
        let key = account.issue_temporary(Principal::session(role, "eks-pod"), Some(expires));
        let body = serde_json::json!({
            "AccessKeyId": key.access_key_id,
            "SecretAccessKey": key.secret_access_key,
            "Token": key.session_token,
            "Expiration": dates::rfc3339(expires / 1_000),
            "AccountId": account.id(),
        });
        (200, body.to_string())
    }
}
