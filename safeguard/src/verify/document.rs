//! The instance identity document, which AWS signs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use safeguard_protocol::{Code, IdentityProof};
use serde::Deserialize;

use super::certificates::Certificates;
use super::pkcs7::{self, SignedMessage};
use super::region::Region;
use super::{Denied, arn, dates};

/// The longest document. Those of AWS have about 500 bytes.
const MAX_DOCUMENT_BYTES: usize = 8 * 1024;

const NOT_SIGNED: &str = "AWS has not signed this identity document for its region";
const NO_CERTIFICATE: &str = "the safeguard has no certificate that is valid for the region of this identity document";

/// What AWS says of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Document {
    pub(crate) account: String,
    pub(crate) region: Region,
    pub(crate) instance_id: String,
    pub(crate) image_id: String,
    pub(crate) pending_time_ms: Option<i64>,
}

// AWS may add members; one that comes twice is an error.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Claims {
    account_id: String,
    region: String,
    instance_id: String,
    image_id: String,
    #[serde(default)]
    pending_time: Option<String>,
}

impl Document {
    /// The document, if a certificate of its region that is valid now signed exactly these bytes.
    pub(crate) fn verify(proof: &IdentityProof, certificates: &Certificates, now_ms: i64) -> Result<Self, Denied> {
        let refused = |detail: String| Denied::new(Code::ProofIdentity, NOT_SIGNED, detail);
        let document = Self::read(&proof.document).map_err(|reason| refused(reason.to_owned()))?;
        let region = document.region.name();
        let mut keys = certificates.keys(region, now_ms).peekable();
        if keys.peek().is_none() {
            let detail = format!("no pinned certificate of {region} is valid now");
            return Err(Denied::new(Code::ProofIdentity, NO_CERTIFICATE, detail));
        }
        let message = decode(&proof.rsa2048).ok_or_else(|| refused("rsa2048 is no base64, or too long".to_owned()))?;
        let message = SignedMessage::read(&message).map_err(|error| refused(error.to_string()))?;
        // spiffe/spire before 1.13.6 took another document under a valid signature.
        if message.content() != proof.document.as_bytes() {
            return Err(refused("the document is not what the message signs".to_owned()));
        }
        if !keys.any(|key| message.is_signed_by(key)) {
            return Err(refused(format!("the signature is of no pinned certificate of {region}")));
        }
        Ok(document)
    }

    /// What it claims, before anything vouches for it.
    fn read(text: &str) -> Result<Self, &'static str> {
        if text.len() > MAX_DOCUMENT_BYTES {
            return Err("the document is too long");
        }
        let claims: Claims = serde_json::from_str(text).map_err(|_| "the document is not in the form of AWS")?;
        let Claims { account_id, region, instance_id, image_id, pending_time } = claims;
        let region = Region::named(&region).ok_or("the document's region is not known")?;
        if !arn::is_account(&account_id) || !arn::is_instance(&instance_id) || !arn::is_image(&image_id) {
            return Err("the document names no account, instance or image");
        }
        let pending_time_ms = match pending_time {
            None => None,
            Some(text) => Some(dates::rfc3339_ms(&text).ok_or("the document's pending time is none")?),
        };
        Ok(Self { account: account_id, region, instance_id, image_id, pending_time_ms })
    }
}

/// Base64 in lines, as the metadata service gives it.
fn decode(text: &str) -> Option<Vec<u8>> {
    // A third on top, and a line end for every 64 characters.
    if text.len() > pkcs7::MAX_BYTES * 3 / 2 {
        return None;
    }
    let packed: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    STANDARD.decode(packed).ok()
}
