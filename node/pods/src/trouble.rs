//! What can go wrong between us and the API server, and how often that is said.

use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;

use crate::limits::{MAX_MESSAGE_CHARS, SAY_AGAIN};
use crate::token::TokenError;

/// Why a list or a watch did not work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("the API server at {server} cannot be reached: {reason}. What was known stays known until it can")]
    Unreachable { server: String, reason: String },
    #[error("the API server was silent for {} s while it should have sent {what}", after.as_secs_f32())]
    Silent { what: &'static str, after: Duration },
    #[error("the API server does not accept our token: {message}. Is the service account or access entry still there?")]
    Unauthorized { message: String },
    #[error(
        "the API server does not allow us to {verb} {resource}: {message}. Grant `get`, `list` and `watch` on {resource} to \
         this identity in a ClusterRole"
    )]
    Forbidden { verb: &'static str, resource: &'static str, message: String },
    #[error("the API server answered {code} to {verb} {resource}: {message}")]
    Refused { verb: &'static str, resource: &'static str, code: u16, message: String, retry_after: Option<Duration> },
    #[error("the API server has forgotten the version that we know; starting over")]
    Expired,
    #[error("the API server's list is older than what is known; asking for the most recent one")]
    Stale,
    #[error("the connection to the API server was cut: {reason}")]
    Cut { reason: String },
    #[error("the API server sent what cannot be read as {what}")]
    Unreadable { what: &'static str },
}

impl Trouble {
    /// How long the API server wants us to wait.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether a list of a certain version cannot be had, and only the most recent one can.
    pub(crate) fn wants_most_recent(&self) -> bool {
        match self {
            Self::Expired | Self::Stale => true,
            // "Too large resource version" (k8s.io/apimachinery, `ResourceVersionTooLarge`): an API server that is behind
            // what we saw, or a cluster that was restored from a backup.
            Self::Refused { code, message, .. } => *code == 504 && message.contains("Too large resource version"),
            _ => false,
        }
    }

    /// Troubles of one kind are said once.
    fn kind(&self) -> (u8, u16) {
        match self {
            Self::Token(_) => (0, 0),
            Self::Unreachable { .. } => (1, 0),
            Self::Silent { .. } => (2, 0),
            Self::Unauthorized { .. } => (3, 0),
            Self::Forbidden { .. } => (4, 0),
            Self::Refused { code, .. } => (5, *code),
            Self::Expired => (6, 0),
            Self::Stale => (7, 0),
            Self::Cut { .. } => (8, 0),
            Self::Unreadable { .. } => (9, 0),
        }
    }
}

/// `Status` (Kubernetes API, meta/v1), in which the API server says what is wrong.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Status {
    #[serde(default)]
    code: Option<u16>,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    message: Option<String>,
}

impl Status {
    /// Whatever can be read of an answer that is an error.
    pub(crate) fn read(body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_default()
    }

    /// The code in it, 0 if there is none.
    pub(crate) fn code(&self) -> u16 {
        self.code.unwrap_or_default()
    }

    pub(crate) fn is_expired(&self) -> bool {
        self.code == Some(410) || matches!(self.reason.as_deref(), Some("Expired" | "Gone"))
    }

    /// The API server's words, short and in one line.
    pub(crate) fn message(&self) -> String {
        let text = self.message.as_deref().or(self.reason.as_deref()).unwrap_or("it gives no reason");
        text.chars().take(MAX_MESSAGE_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect()
    }
}

/// Says a trouble once, then seldom, and its end.
#[derive(Debug, Default)]
pub(crate) struct Says {
    said: Option<((u8, u16), Instant)>,
    since: Option<Instant>,
    unsaid: u64,
}

impl Says {
    /// Whether to speak of `trouble` now; if so, how many of them were not spoken of.
    pub(crate) fn failed(&mut self, trouble: &Trouble, now: Instant) -> Option<u64> {
        self.since.get_or_insert(now);
        let known = self.said.is_some_and(|(kind, at)| kind == trouble.kind() && now < at + SAY_AGAIN);
        if known {
            self.unsaid += 1;
            return None;
        }
        self.said = Some((trouble.kind(), now));
        Some(std::mem::take(&mut self.unsaid))
    }

    /// It works; for how long it did not, if that was spoken of.
    pub(crate) fn well(&mut self, now: Instant) -> Option<Duration> {
        let since = self.since.take()?;
        *self = Self::default();
        Some(now - since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_same_trouble_is_said_once_and_then_seldom() {
        let (mut says, start) = (Says::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        let forbidden = Trouble::Forbidden { verb: "list", resource: "pods", message: String::new() };
        assert_eq!(says.failed(&forbidden, start), Some(0));
        assert_eq!((says.failed(&forbidden, after(1)), says.failed(&forbidden, after(599))), (None, None));
        assert_eq!(says.failed(&Trouble::Expired, after(599)), Some(2), "another trouble is said at once");
        assert_eq!(says.failed(&Trouble::Expired, after(1199)), Some(0));
        assert_eq!(says.well(after(1200)), Some(Duration::from_secs(1200)));
        assert_eq!(says.well(after(1201)), None);
    }

    #[test]
    fn the_api_servers_words_are_cut_to_one_short_line() {
        let status = Status::read(format!("{{\"message\": \"a\\n{}\", \"code\": 403}}", "b".repeat(1000)).as_bytes());
        assert_eq!((status.message().chars().count(), status.message().starts_with("a b")), (MAX_MESSAGE_CHARS, true));
        assert_eq!(Status::read(b"<html>").message(), "it gives no reason");
        assert!(Status::read(br#"{"reason": "Expired"}"#).is_expired());
    }
}
