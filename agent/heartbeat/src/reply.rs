//! Pure: what a reply says, if the safeguard signed it and if it is to what was sent.

use http::StatusCode;
use safeguard_protocol::{Digest, Envelope, EnvelopeError, Kind, PublicKey, Refusal, limits};
use serde::de::DeserializeOwned;

/// Why there is nothing to act upon.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The safeguard refused, and signed that.
    Refused(Refusal),
    /// There was no reply, or none that counts.
    NoReply(String),
}

/// A reply that refers to what was sent.
pub(crate) trait InReply: DeserializeOwned {
    /// Its kind.
    const KIND: Kind;
    /// What it says it is the reply to; `None` for a kind that refers to nothing.
    fn in_reply_to(&self) -> Option<Digest>;
}

impl InReply for safeguard_protocol::Challenge {
    const KIND: Kind = Kind::Challenge;
    fn in_reply_to(&self) -> Option<Digest> {
        None
    }
}

impl InReply for safeguard_protocol::Enrolled {
    const KIND: Kind = Kind::Enrolled;
    fn in_reply_to(&self) -> Option<Digest> {
        Some(self.in_reply_to)
    }
}

impl InReply for safeguard_protocol::Acknowledgement {
    const KIND: Kind = Kind::Acknowledgement;
    fn in_reply_to(&self) -> Option<Digest> {
        Some(self.in_reply_to)
    }
}

/// What was sent: the digest of the payload, and of the body for a refusal by who could not read a payload in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent {
    pub(crate) payload: Digest,
    pub(crate) body: Digest,
}

impl Sent {
    /// A body.
    pub(crate) fn new(payload: Digest, body: &[u8]) -> Self {
        Self { payload, body: Digest::of(body) }
    }

    /// A request without a body.
    pub(crate) fn nothing() -> Self {
        Self::new(Digest::of(b""), b"")
    }
}

/// The reply, as one of the keys signed it.
pub(crate) fn read<T: InReply>(status: StatusCode, body: &[u8], sent: &Sent, keys: &[PublicKey]) -> Result<T, Failure> {
    let envelope = open(status, body)?;
    if envelope.kind() == Some(Kind::Refusal) {
        return Err(refusal(&envelope, status, sent, keys));
    }
    let opened = envelope.open_any::<T>(T::KIND, keys).map_err(|error| unsigned(status, &error))?;
    match opened.content.in_reply_to() {
        Some(other) if other != sent.payload => Err(stray()),
        _ => Ok(opened.content),
    }
}

/// Whether a report was taken; that has no body.
pub(crate) fn read_empty(status: StatusCode, body: &[u8], sent: &Sent, keys: &[PublicKey]) -> Result<(), Failure> {
    if status == StatusCode::NO_CONTENT {
        return Ok(());
    }
    Err(refusal(&open(status, body)?, status, sent, keys))
}

fn open(status: StatusCode, body: &[u8]) -> Result<Envelope, Failure> {
    Envelope::read(body, limits::REPLY_BYTES).map_err(|error| unsigned(status, &error))
}

fn refusal(envelope: &Envelope, status: StatusCode, sent: &Sent, keys: &[PublicKey]) -> Failure {
    match envelope.open_any::<Refusal>(Kind::Refusal, keys) {
        Ok(opened) if [sent.payload, sent.body].contains(&opened.content.in_reply_to) => {
            Failure::Refused(opened.content)
        }
        Ok(_) => stray(),
        Err(error) => unsigned(status, &error),
    }
}

fn stray() -> Failure {
    Failure::NoReply("the reply is to something else than what was sent".to_owned())
}

fn unsigned(status: StatusCode, error: &EnvelopeError) -> Failure {
    Failure::NoReply(match error {
        EnvelopeError::UnknownKey(key) => format!(
            "the reply (HTTP {}) is signed with the key {key}, which is not in `heartbeat.server_keys`",
            status.as_u16()
        ),
        error => format!("the reply (HTTP {}) is not one of the safeguard: {error}", status.as_u16()),
    })
}

#[cfg(test)]
mod tests {
    use safeguard_protocol::{Code, Enrolled, SigningKey, VERSION};

    use super::*;

    fn key(n: u8) -> SigningKey {
        SigningKey::from_seed(&[n; 32]).unwrap()
    }

    fn refusal_to(digest: Digest, signer: &SigningKey) -> Vec<u8> {
        let refusal = Refusal {
            version: VERSION,
            in_reply_to: digest,
            code: Code::RetiredKey,
            message: "no".to_owned(),
            server_time_ms: 1,
            retry_after_s: None,
        };
        Envelope::seal_json(Kind::Refusal, &refusal, signer).unwrap().0.to_bytes()
    }

    /// Who answers in the place of the safeguard must not make a node throw its key away.
    #[test]
    fn a_refusal_counts_only_if_it_is_signed_and_to_what_was_sent() {
        let (right, wrong) = (key(1), key(2));
        let sent = Sent::new(Digest::of(b"payload"), b"body");
        let keys = [right.public()];
        let read = |body: &[u8]| read::<Enrolled>(StatusCode::UNAUTHORIZED, body, &sent, &keys).unwrap_err();
        for digest in [sent.payload, sent.body] {
            assert!(matches!(read(&refusal_to(digest, &right)), Failure::Refused(r) if r.code == Code::RetiredKey));
        }
        for body in [
            refusal_to(sent.payload, &wrong),
            refusal_to(Digest::of(b"another beat"), &right),
            b"<html>401 by a proxy</html>".to_vec(),
            Vec::new(),
            vec![b' '; limits::REPLY_BYTES + 1],
        ] {
            assert!(matches!(read(&body), Failure::NoReply(_)));
        }
    }

    #[test]
    fn a_reply_of_another_kind_is_none() {
        let signer = key(1);
        let sent = Sent::nothing();
        let body = Envelope::seal_json(Kind::Challenge, &serde_json::json!({}), &signer).unwrap().0.to_bytes();
        let read = read::<Enrolled>(StatusCode::OK, &body, &sent, &[signer.public()]);
        assert!(matches!(read, Err(Failure::NoReply(why)) if why.contains("does not belong here")));
    }
}
