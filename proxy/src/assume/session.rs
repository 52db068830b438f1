//! Credentials of a role, and the documents that clients read them from.

use std::fmt;
use std::time::Duration;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use bytes::Bytes;
use secrecy::{ExposeSecret, SecretString};

use crate::authorise::SessionKey;
use crate::limits::{LEFT_AT_LEAST, LEFT_NORMALLY};

/// What STS gave.
#[derive(Debug)]
pub(crate) struct Credentials {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: SecretString,
    pub(crate) token: SecretString,
    /// Milliseconds since the epoch.
    pub(crate) expires_ms: i64,
}

/// A session, ready to be served.
pub(crate) struct Session {
    pub(crate) access_key_id: String,
    pub(crate) issued_ms: i64,
    pub(crate) expires_ms: i64,
    /// The same by this node's clock, which may be wrong: it lives no longer than was asked for.
    ends_ms: i64,
    /// From then on a new one is fetched.
    pub(crate) refresh_ms: i64,
    /// What is served, made once: it is asked for far more often than it changes.
    document: Bytes,
    extended: Bytes,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { access_key_id, issued_ms, expires_ms, refresh_ms, .. } = self;
        f.debug_struct("Session")
            .field("access_key_id", access_key_id)
            .field("issued_ms", issued_ms)
            .field("expires_ms", expires_ms)
            .field("refresh_ms", refresh_ms)
            .finish_non_exhaustive()
    }
}

/// Bytes that are overwritten when the last of their holders is gone.
struct Wiped(SecretString);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl Session {
    pub(crate) fn new(key: &SessionKey, credentials: Credentials, now_ms: i64) -> Self {
        let document = document(&credentials, now_ms, None);
        let extended = document_for(&credentials, now_ms, key);
        let ends_ms = credentials.expires_ms.min(now_ms.saturating_add(i64::from(key.duration) * 1_000));
        Self {
            refresh_ms: refresh_at(now_ms, ends_ms, fastrand::f64()),
            ends_ms,
            access_key_id: credentials.access_key_id,
            issued_ms: now_ms,
            expires_ms: credentials.expires_ms,
            document,
            extended,
        }
    }

    /// The document under `security-credentials/`, or under `security-credentials-extended/`.
    pub(crate) fn document(&self, extended: bool) -> Bytes {
        if extended { self.extended.clone() } else { self.document.clone() }
    }

    pub(crate) fn is_old(&self, now_ms: i64) -> bool {
        now_ms >= self.refresh_ms || !self.may_be_served(now_ms)
    }

    /// Whether it lasts long enough to be of use.
    pub(crate) fn may_be_served(&self, now_ms: i64) -> bool {
        now_ms < self.serve_until_ms()
    }

    pub(crate) fn serve_until_ms(&self) -> i64 {
        self.ends_ms - milliseconds(LEFT_AT_LEAST)
    }

    pub(crate) fn left_ms(&self, now_ms: i64) -> i64 {
        self.ends_ms - now_ms
    }
}

/// When to fetch the next: so early that what is served has more than [`LEFT_NORMALLY`] to live also if the first tries fail. Sessions
/// too short for that are fetched again at half of their life at the latest. `chance`, 0 to 1, keeps the sessions of a node, and the
/// nodes of a fleet, apart.
fn refresh_at(issued_ms: i64, expires_ms: i64, chance: f64) -> i64 {
    let life = (expires_ms - issued_ms).max(0);
    let minutes = |minutes: u64| milliseconds(Duration::from_secs(minutes * 60));
    let (late, early) = match life - milliseconds(LEFT_NORMALLY) - minutes(10) {
        room if room > 0 => (life - milliseconds(LEFT_NORMALLY) - minutes(5), room),
        _ => (life / 2, life * 2 / 5),
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "some minutes in milliseconds")]
    let spread = ((late - early) as f64 * chance.clamp(0.0, 1.0)) as i64;
    issued_ms + early + spread
}

fn document_for(credentials: &Credentials, now_ms: i64, key: &SessionKey) -> Bytes {
    document(credentials, now_ms, Some(key.role.account()))
}

/// The document of the real service, to the byte of its layout: people read it with grep and sed (research section 2.2).
fn document(credentials: &Credentials, now_ms: i64, account: Option<&str>) -> Bytes {
    let text = |value: &str| serde_json::Value::from(value).to_string();
    let account = account.map(|account| format!(",\n  \"AccountId\" : {}", text(account))).unwrap_or_default();
    let written = format!(
        "{{\n  \"Code\" : \"Success\",\n  \"LastUpdated\" : {},\n  \"Type\" : \"AWS-HMAC\",\n  \"AccessKeyId\" : {},\n  \
         \"SecretAccessKey\" : {},\n  \"Token\" : {},\n  \"Expiration\" : {}{account}\n}}",
        text(&rfc3339(now_ms)),
        text(&credentials.access_key_id),
        text(credentials.secret_access_key.expose_secret()),
        text(credentials.token.expose_secret()),
        text(&rfc3339(credentials.expires_ms)),
    );
    Bytes::from_owner(Wiped(SecretString::from(written)))
}

/// `2021-09-21T04:16:53Z`, the one form that every SDK reads (botocore goes wrong with fractions).
pub(crate) fn rfc3339(ms: i64) -> String {
    let seconds = DateTime::from_secs(ms.div_euclid(1_000));
    // Beyond the year 9999 there is no such form; nothing of that year is served.
    seconds.fmt(Format::DateTime).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    #[test]
    fn an_hour_is_fetched_again_with_more_than_half_an_hour_left() {
        for chance in [0.0, 0.5, 1.0] {
            let left = 60 * MINUTE - refresh_at(0, 60 * MINUTE, chance);
            assert!((35 * MINUTE..=40 * MINUTE).contains(&left), "{left}");
        }
        for chance in [0.0, 1.0] {
            let at = refresh_at(0, 15 * MINUTE, chance);
            assert!((6 * MINUTE..=15 * MINUTE / 2).contains(&at), "{at}");
        }
        assert_eq!(refresh_at(5, 3, 0.3), 5, "a clock that is wrong");
    }

    #[test]
    fn dates_are_written_as_every_sdk_reads_them() {
        assert_eq!(rfc3339(1_632_197_813_999), "2021-09-21T04:16:53Z");
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_782_400_000), "2000-02-29T00:00:00Z");
        assert_eq!(rfc3339(4_107_542_399_000), "2100-02-28T23:59:59Z");
    }

    #[test]
    fn the_document_is_that_of_the_real_service() {
        let credentials = Credentials {
            access_key_id: "ASIAX".to_owned(),
            secret_access_key: SecretString::from("s/\"+".to_owned()),
            token: SecretString::from("t==".to_owned()),
            expires_ms: 1_632_221_413_000,
        };
        let plain = document(&credentials, 1_632_197_813_000, None);
        assert_eq!(
            std::str::from_utf8(&plain).unwrap(),
            "{\n  \"Code\" : \"Success\",\n  \"LastUpdated\" : \"2021-09-21T04:16:53Z\",\n  \"Type\" : \"AWS-HMAC\",\n  \
             \"AccessKeyId\" : \"ASIAX\",\n  \"SecretAccessKey\" : \"s/\\\"+\",\n  \"Token\" : \"t==\",\n  \
             \"Expiration\" : \"2021-09-21T10:50:13Z\"\n}"
        );
        let extended = document(&credentials, 0, Some("123456789012"));
        let value: serde_json::Value = serde_json::from_slice(&extended).unwrap();
        assert_eq!(value["AccountId"], "123456789012");
        assert!(!format!("{credentials:?}").contains("s/"), "secrets are not for logs");
    }
}
