//! PKCS#7 SignedData (RFC 5652), as the metadata service gives it: BER with indefinite lengths, or DER.
//!
//! Only what the message signs is taken from it. Certificates inside are passed over: whoever can write a message can put one
//! in, so it proves nothing.

use aws_lc_rs::digest;
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use bcder::decode::{Constructed, DecodeError, SliceSource, Source};
use bcder::{ConstOid, Mode, OctetString, Oid, Tag};
use bytes::Bytes;

/// The longest message. Those of AWS have about 2 KiB, and the protocol takes 48 KiB for a whole enrolment.
pub(crate) const MAX_BYTES: usize = 16 * 1024;
/// How deep values may lie in values. AWS's attributes are at 9; a certificate inside is at 12.
const MAX_DEPTH: usize = 24;
/// Bytes of a signature by an RSA key of 2048 bits.
const SIGNATURE_BYTES: usize = 256;

// RFC 5652, sections 4, 5.1, 11.1 and 11.2; RFC 5754, section 2.2; RFC 8017, appendix C.
const SIGNED_DATA: ConstOid = Oid(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02]);
const DATA: ConstOid = Oid(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01]);
const CONTENT_TYPE: ConstOid = Oid(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x03]);
const MESSAGE_DIGEST: ConstOid = Oid(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x04]);
const SHA256: ConstOid = Oid(&[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01]);
const RSA: ConstOid = Oid(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01]);
const RSA_SHA256: ConstOid = Oid(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b]);

/// Why a message cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the PKCS#7 message cannot be used: {0}")]
pub(crate) struct Pkcs7Error(String);

impl<E: std::fmt::Display> From<DecodeError<E>> for Pkcs7Error {
    fn from(error: DecodeError<E>) -> Self {
        Self(error.to_string())
    }
}

/// A message that is well formed and of the right kind. Who signed it is not known yet.
#[derive(Debug)]
pub(crate) struct SignedMessage {
    content: Bytes,
    /// What the signature is of: the content, or the attributes that hold its digest.
    signed: Bytes,
    signature: Bytes,
}

impl SignedMessage {
    /// Reads a message: one signer, RSA with SHA-256, with or without signed attributes.
    pub(crate) fn read(message: &[u8]) -> Result<Self, Pkcs7Error> {
        if message.len() > MAX_BYTES {
            return Err(Pkcs7Error(format!("it has more than {MAX_BYTES} bytes")));
        }
        check_form(message)?;
        let Parts { content, attributes, signature } = Mode::Ber.decode(SliceSource::new(message), content_info)?;
        if signature.len() != SIGNATURE_BYTES {
            return Err(Pkcs7Error(format!("its signature is not of RSA with {} bits", SIGNATURE_BYTES * 8)));
        }
        let signed = match attributes {
            None => content.clone(),
            Some(attributes) => {
                let set = as_set(&attributes);
                if digest_of_attributes(&set)?.as_ref() != digest::digest(&digest::SHA256, &content).as_ref() {
                    return Err(Pkcs7Error("its content is not what its attributes have the digest of".to_owned()));
                }
                set
            }
        };
        Ok(Self { content, signed, signature })
    }

    /// What was signed.
    pub(crate) fn content(&self) -> &[u8] {
        &self.content
    }

    /// Whether this key signed it: `RSAPublicKey` (RFC 8017, appendix A.1.1) in DER.
    pub(crate) fn is_signed_by(&self, public_key: &[u8]) -> bool {
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public_key);
        key.verify(&self.signed, &self.signature).is_ok()
    }
}

struct Parts {
    content: Bytes,
    attributes: Option<Bytes>,
    signature: Bytes,
}

/// One value, nothing behind it, and not too deep. Found without recursion, before anything else is read.
fn check_form(message: &[u8]) -> Result<(), Pkcs7Error> {
    let mut source = SliceSource::new(message);
    Mode::Ber.decode(&mut source, |cons| {
        cons.skip(|_, _, depth| if depth < MAX_DEPTH { Ok(()) } else { Err("it is nested too deeply".into()) })
    })?;
    if source.is_empty() { Ok(()) } else { Err(Pkcs7Error("something follows it".to_owned())) }
}

fn content_info<S: Source>(cons: &mut Constructed<S>) -> Result<Parts, DecodeError<S::Error>> {
    cons.take_sequence(|cons| {
        SIGNED_DATA.skip_if(cons)?;
        cons.take_constructed_if(Tag::CTX_0, |cons| cons.take_sequence(signed_data))
    })
}

fn signed_data<S: Source>(cons: &mut Constructed<S>) -> Result<Parts, DecodeError<S::Error>> {
    version(cons)?;
    // The signer says again which it used.
    cons.take_set(skip_rest)?;
    let content = cons.take_sequence(|cons| {
        DATA.skip_if(cons)?;
        cons.take_constructed_if(Tag::CTX_0, OctetString::take_from)
    })?;
    // Certificates and revocation lists.
    cons.take_opt_constructed_if(Tag::CTX_0, skip_rest)?;
    cons.take_opt_constructed_if(Tag::CTX_1, skip_rest)?;
    // A second signer would be left over, which is an error.
    let (attributes, signature) = cons.take_set(|cons| cons.take_sequence(signer_info))?;
    Ok(Parts { content: content.into_bytes(), attributes, signature })
}

type Signer = (Option<Bytes>, Bytes);

fn signer_info<S: Source>(cons: &mut Constructed<S>) -> Result<Signer, DecodeError<S::Error>> {
    version(cons)?;
    // Who it says it is: issuer and number, or the key's name. The key decides.
    if cons.take_opt_sequence(skip_rest)?.is_none() {
        cons.take_value_if(Tag::CTX_0, |content| OctetString::from_content(content).map(|_| ()))?;
    }
    algorithm(cons, &[SHA256])?;
    #[expect(clippy::redundant_closure, reason = "the function by itself is not general enough in its lifetimes")]
    let attributes = cons.take_opt_constructed_if(Tag::CTX_0, |cons| cons.capture(|cons| skip_rest(cons)))?;
    algorithm(cons, &[RSA, RSA_SHA256])?;
    let signature = OctetString::take_from(cons)?.into_bytes();
    cons.take_opt_constructed_if(Tag::CTX_1, skip_rest)?;
    Ok((attributes.map(bcder::Captured::into_bytes), signature))
}

fn version<S: Source>(cons: &mut Constructed<S>) -> Result<(), DecodeError<S::Error>> {
    // RFC 5652, sections 5.1 and 5.3: 1, and 3 where the signer is named by its key.
    match cons.take_u8()? {
        1 | 3 => Ok(()),
        _ => Err(cons.content_err("it has a version that is not known")),
    }
}

/// One of these, with no parameters or NULL.
fn algorithm<S: Source>(cons: &mut Constructed<S>, allowed: &[ConstOid]) -> Result<(), DecodeError<S::Error>> {
    cons.take_sequence(|cons| {
        let oid = Oid::take_from(cons)?;
        cons.take_opt_null()?;
        if allowed.iter().any(|allowed| *allowed == oid) {
            Ok(())
        } else {
            Err(cons.content_err("its algorithm is not RSA with SHA-256"))
        }
    })
}

// `skip_all` of the crate takes the end of an indefinite value for an error.
fn skip_rest<S: Source>(cons: &mut Constructed<S>) -> Result<(), DecodeError<S::Error>> {
    while cons.skip_opt(|_, _, _| Ok(()))?.is_some() {}
    Ok(())
}

/// RFC 5652, section 5.4: what is signed is the attributes in DER, under the tag of a SET. They have to be in DER in the message.
fn as_set(attributes: &[u8]) -> Bytes {
    let length = attributes.len();
    let [.., high, low] = length.to_be_bytes();
    let mut set = vec![0x31];
    match length {
        0..=0x7f => set.push(low),
        0x80..=0xff => set.extend([0x81, low]),
        // No message has more than 16 KiB.
        _ => set.extend([0x82, high, low]),
    }
    set.extend_from_slice(attributes);
    set.into()
}

/// The digest of the content, of attributes that are for such content.
fn digest_of_attributes(set: &[u8]) -> Result<Bytes, Pkcs7Error> {
    let (mut is_data, mut digest) = (false, None);
    Mode::Der.decode(SliceSource::new(set), |cons| {
        cons.take_set(|cons| {
            while let Some((oid, values)) = cons.take_opt_sequence(|cons| {
                let oid = Oid::take_from(cons)?;
                Ok((oid, cons.capture_all()?))
            })? {
                let twice = if oid == CONTENT_TYPE {
                    let values = values.decode(|cons| cons.take_set(|cons| DATA.skip_if(cons)));
                    values.map_err(|_| cons.content_err("its attributes are for other content"))?;
                    std::mem::replace(&mut is_data, true)
                } else if oid == MESSAGE_DIGEST {
                    let found = values.decode(|cons| cons.take_set(OctetString::take_from));
                    let found = found.map_err(|_| cons.content_err("its attributes have no digest"))?;
                    digest.replace(found.into_bytes()).is_some()
                } else {
                    false
                };
                if twice {
                    return Err(cons.content_err("an attribute comes twice"));
                }
            }
            Ok(())
        })
    })?;
    digest.filter(|_| is_data).ok_or_else(|| Pkcs7Error("an attribute is missing".to_owned()))
}

#[cfg(test)]
mod tests;
