//! The envelope: DSSE version 1.0.2 (secure-systems-lab/dsse), with exactly one Ed25519 signature.
//!
//! The signature is of the payload's bytes and their type, so nothing has to be written in a canonical form, and a beat can
//! never be taken for an enrolment.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Digest, KeyId, PublicKey, SigningKey};

/// What a payload is. The media type is part of what is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// [`crate::Enrolment`].
    Enrolment,
    /// [`crate::Statement`].
    Statement,
    /// [`crate::Challenge`].
    Challenge,
    /// [`crate::Enrolled`].
    Enrolled,
    /// [`crate::Acknowledgement`].
    Acknowledgement,
    /// [`crate::Refusal`].
    Refusal,
}

impl Kind {
    /// The media type.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Enrolment => "application/vnd.safeguard.enrolment.v1+json",
            Self::Statement => "application/vnd.safeguard.statement.v1+json",
            Self::Challenge => "application/vnd.safeguard.challenge.v1+json",
            Self::Enrolled => "application/vnd.safeguard.enrolled.v1+json",
            Self::Acknowledgement => "application/vnd.safeguard.acknowledgement.v1+json",
            Self::Refusal => "application/vnd.safeguard.refusal.v1+json",
        }
    }

    fn of(media_type: &str) -> Option<Self> {
        use Kind::{Acknowledgement, Challenge, Enrolled, Enrolment, Refusal, Statement};
        let all = [Enrolment, Statement, Challenge, Enrolled, Acknowledgement, Refusal];
        all.into_iter().find(|kind| kind.media_type() == media_type)
    }
}

/// A signed payload, as it goes over the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// The media type of the payload.
    #[serde(rename = "payloadType")]
    pub payload_type: String,
    /// The payload in standard base64 with padding.
    pub payload: String,
    /// Exactly one.
    pub signatures: Vec<Signature>,
}

/// A signature in an envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// The key that signed. A hint, until the signature is verified.
    pub keyid: KeyId,
    /// The 64 bytes of the signature in standard base64 with padding.
    pub sig: String,
}

/// Why an envelope is not taken.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// It is no JSON, or not of this form.
    #[error("the envelope is not of the form that docs/protocol.md gives: {0}")]
    Form(serde_json::Error),
    /// It is longer than what is allowed.
    #[error("the envelope has {len} bytes; at most {most} are taken")]
    TooLong {
        /// Its length in bytes.
        len: usize,
        /// The bound in bytes.
        most: usize,
    },
    /// The payload or the signature is not base64.
    #[error("the payload or the signature is not base64")]
    Base64,
    /// There is not exactly one signature.
    #[error("the envelope has {0} signatures; it must have exactly one")]
    Signatures(usize),
    /// The payload is of another type than what belongs here.
    #[error("the payload is {found:?}, which does not belong here")]
    Kind {
        /// The media type that was found, cut to 80 characters.
        found: String,
    },
    /// No key that is trusted here has this name.
    #[error("the key {0} is not known here")]
    UnknownKey(KeyId),
    /// The signature is not of this payload and this key.
    #[error("the signature is not of this payload by the key {0}")]
    Signature(KeyId),
    /// The payload, well signed, is not of its form.
    #[error("the payload is not of the form that docs/protocol.md gives: {0}")]
    Payload(serde_json::Error),
}

/// A payload whose signature was verified.
#[derive(Debug, Clone)]
pub struct Opened<T> {
    /// What was signed.
    pub content: T,
    /// The key that signed.
    pub key: PublicKey,
    /// The digest of the payload's bytes: what the next statement and the reply refer to.
    pub digest: Digest,
}

/// Room for a payload: most statements have no more bytes. A vector that grows by itself is copied each time.
const PAYLOAD_BYTES: usize = 2_048;

fn json<T: Serialize>(content: &T, room: usize) -> serde_json::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(room);
    serde_json::to_writer(&mut bytes, content)?;
    Ok(bytes)
}

/// What comes before a payload of so many bytes where it is signed (DSSE, "PAE"): lengths are decimal, in bytes.
fn head(media_type: &str, len: usize) -> String {
    format!("DSSEv1 {} {media_type} {len} ", media_type.len())
}

/// What was signed, in one piece.
struct Signed {
    bytes: Vec<u8>,
    head: usize,
}

impl Signed {
    /// `None` if the payload is not base64.
    fn of(kind: Kind, encoded: &str) -> Option<Self> {
        let padding = encoded.bytes().rev().take_while(|byte| *byte == b'=').count();
        let len = (encoded.len() / 4 * 3).checked_sub(padding)?;
        let head = head(kind.media_type(), len);
        // The payload is decoded to where it is signed.
        let mut bytes = Vec::with_capacity(head.len() + base64::decoded_len_estimate(encoded.len()));
        bytes.extend_from_slice(head.as_bytes());
        STANDARD.decode_vec(encoded, &mut bytes).ok()?;
        (bytes.len() == head.len() + len).then_some(Self { bytes, head: head.len() })
    }

    fn payload(&self) -> &[u8] {
        self.bytes.get(self.head..).unwrap_or_default()
    }
}

impl Envelope {
    /// Signs the bytes of a payload.
    #[must_use]
    pub fn seal(kind: Kind, payload: &[u8], key: &SigningKey) -> Self {
        let signature = key.sign(&[head(kind.media_type(), payload.len()).as_bytes(), payload].concat());
        Self {
            payload_type: kind.media_type().to_owned(),
            payload: STANDARD.encode(payload),
            signatures: vec![Signature { keyid: key.public().id(), sig: STANDARD.encode(signature) }],
        }
    }

    /// Writes a payload as JSON and signs it. Returns the digest of the payload too.
    ///
    /// # Errors
    /// When it cannot be written as JSON; the types of this crate can.
    pub fn seal_json<T: Serialize>(kind: Kind, content: &T, key: &SigningKey) -> serde_json::Result<(Self, Digest)> {
        let payload = json(content, PAYLOAD_BYTES)?;
        Ok((Self::seal(kind, &payload, key), Digest::of(&payload)))
    }

    /// Reads an envelope of at most `most` bytes. Nothing of it is verified yet.
    ///
    /// # Errors
    /// When it is too long, or not an envelope with exactly one signature.
    pub fn read(bytes: &[u8], most: usize) -> Result<Self, EnvelopeError> {
        if bytes.len() > most {
            return Err(EnvelopeError::TooLong { len: bytes.len(), most });
        }
        let envelope: Self = serde_json::from_slice(bytes).map_err(EnvelopeError::Form)?;
        match envelope.signatures.len() {
            1 => Ok(envelope),
            other => Err(EnvelopeError::Signatures(other)),
        }
    }

    /// As it goes over the wire.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // The names of its parts, a key and a signature are some 300 bytes.
        json(self, self.payload.len() + 512).expect("an envelope is three strings, which JSON can hold")
    }

    /// What its payload claims to be.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        Kind::of(&self.payload_type)
    }

    /// The key that it claims to be signed by.
    #[must_use]
    pub fn key_id(&self) -> Option<KeyId> {
        self.signatures.first().map(|s| s.keyid)
    }

    /// Opens it with a key that is trusted: the only way to what it holds.
    ///
    /// # Errors
    /// When the payload is of another kind, the key is another one, or the signature or the payload is wrong.
    pub fn open<T: DeserializeOwned>(&self, kind: Kind, key: &PublicKey) -> Result<Opened<T>, EnvelopeError> {
        let signed = self.verified(kind, key)?;
        let content = serde_json::from_slice(signed.payload()).map_err(EnvelopeError::Payload)?;
        Ok(Opened { content, key: *key, digest: Digest::of(signed.payload()) })
    }

    /// Opens it with whichever of the trusted keys signed it.
    ///
    /// # Errors
    /// As [`Envelope::open`]; also when none of them has the key's name.
    pub fn open_any<T: DeserializeOwned>(&self, kind: Kind, keys: &[PublicKey]) -> Result<Opened<T>, EnvelopeError> {
        let id = self.key_id().ok_or(EnvelopeError::Signatures(0))?;
        let key = keys.iter().find(|key| key.id() == id).ok_or(EnvelopeError::UnknownKey(id))?;
        self.open(kind, key)
    }

    /// Opens an enrolment with the key that it brings: that it holds that key is all this proves.
    ///
    /// # Errors
    /// As [`Envelope::open`].
    pub fn open_enrolment(&self) -> Result<Opened<crate::Enrolment>, EnvelopeError> {
        let payload = STANDARD.decode(&self.payload).map_err(|_| EnvelopeError::Base64)?;
        let claimed: crate::Enrolment = serde_json::from_slice(&payload).map_err(EnvelopeError::Payload)?;
        self.open(Kind::Enrolment, &claimed.public_key)
    }

    fn verified(&self, kind: Kind, key: &PublicKey) -> Result<Signed, EnvelopeError> {
        if self.payload_type != kind.media_type() {
            return Err(EnvelopeError::Kind { found: self.payload_type.chars().take(80).collect() });
        }
        let [signature] = self.signatures.as_slice() else {
            return Err(EnvelopeError::Signatures(self.signatures.len()));
        };
        let id = key.id();
        if signature.keyid != id {
            return Err(EnvelopeError::UnknownKey(signature.keyid));
        }
        let signed = Signed::of(kind, &self.payload).ok_or(EnvelopeError::Base64)?;
        let sig = STANDARD.decode(&signature.sig).map_err(|_| EnvelopeError::Base64)?;
        if !key.verifies(&signed.bytes, &sig) {
            return Err(EnvelopeError::Signature(id));
        }
        Ok(signed)
    }
}

#[cfg(test)]
mod tests;
