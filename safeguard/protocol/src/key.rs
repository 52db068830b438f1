//! Ed25519 keys (RFC 8032), and how they are named.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::Digest;
use crate::digest::{hex, unhex};

/// Why a key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text is no public key.
    #[error("a public key is 32 bytes, written in base64url without padding (43 characters)")]
    Public,
    /// The bytes are no private key.
    #[error("a private key is PKCS#8 (RFC 8410) of an Ed25519 key")]
    Private,
    /// The system gave no random bytes.
    #[error("the system gave no random bytes to make a key of")]
    Random,
    /// The text is no name of a key.
    #[error("a key is named by 64 lower-case hexadecimal digits")]
    Name,
}

/// A key that signs. It is never printed.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("public", &self.public).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// Makes a key. Returns it and its PKCS#8 form (RFC 8410), which is a secret.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn generate() -> Result<(Self, Vec<u8>), KeyError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| KeyError::Random)?;
        let document = pair.to_pkcs8v1().map_err(|_| KeyError::Random)?;
        Ok((Self::of(pair)?, document.as_ref().to_vec()))
    }

    /// The key of a PKCS#8 form.
    ///
    /// # Errors
    /// When it is not one of an Ed25519 key.
    pub fn from_pkcs8(document: &[u8]) -> Result<Self, KeyError> {
        Self::of(Ed25519KeyPair::from_pkcs8_maybe_unchecked(document).map_err(|_| KeyError::Private)?)
    }

    /// The key of a seed: 32 random bytes, which are a secret.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, KeyError> {
        Self::of(Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyError::Private)?)
    }

    fn of(pair: Ed25519KeyPair) -> Result<Self, KeyError> {
        let public = pair.public_key().as_ref().try_into().map_err(|_| KeyError::Private)?;
        Ok(Self { pair, public: PublicKey(public) })
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// A secret for another use that only the holder of this key can make, always the same for a use: the SHA-256 of a signature,
    /// which in Ed25519 depends on key and message alone (RFC 8032, 5.1.6). No envelope begins like what is signed here.
    #[must_use]
    pub fn derive(&self, usage: &str) -> [u8; 32] {
        *Digest::of(&self.sign(format!("safeguard secret 1 {usage}").as_bytes())).as_bytes()
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.pair.sign(message).as_ref());
        signature
    }
}

/// The public half of a key; in JSON and in settings base64url without padding.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// A key from its 32 bytes. Whether they are a point on the curve is seen when a signature is verified.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId(*Digest::of(&self.0).as_bytes())
    }

    /// Whether a signature of a message is this key's.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(message, signature).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| KeyError::Public)?;
        bytes.try_into().map(Self).map_err(|_| KeyError::Public)
    }
}

crate::text::as_text!(PublicKey);

/// The name of a key: the SHA-256 of its 32 public bytes, as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; 32]);

impl KeyId {
    /// A name from its 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(hex(&self.0).as_str())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for KeyId {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        unhex(text).map(Self).ok_or(KeyError::Name)
    }
}

crate::text::as_text!(KeyId);

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032, section 7.1, test 2.
    #[test]
    fn it_signs_as_the_standard_says() {
        let seed = unhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb").unwrap();
        let key = SigningKey::from_seed(&seed).unwrap();
        let public = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
        assert_eq!(hex(key.public().as_bytes()).as_str(), public);
        let signature = key.sign(&[0x72]);
        assert!(signature.starts_with(&[0x92, 0xa0, 0x09, 0xa9, 0xf0, 0xd4, 0xca, 0xb8]));
        assert!(key.public().verifies(&[0x72], &signature));
        assert!(!key.public().verifies(&[0x73], &signature));
    }

    #[test]
    fn a_derived_secret_is_of_one_key_and_one_use() {
        let (one, two) = (SigningKey::from_seed(&[1; 32]).unwrap(), SigningKey::from_seed(&[2; 32]).unwrap());
        let again = SigningKey::from_seed(&[1; 32]).unwrap();
        assert_eq!(one.derive("a"), again.derive("a"));
        assert!(one.derive("a") != one.derive("b") && one.derive("a") != two.derive("a"));
    }

    #[test]
    fn a_key_comes_back_from_its_secret_form_and_is_never_printed() {
        let (key, document) = SigningKey::generate().unwrap();
        let again = SigningKey::from_pkcs8(&document).unwrap();
        assert_eq!(again.public(), key.public());
        assert_eq!(format!("{key:?}"), format!("SigningKey {{ public: {}, .. }}", key.public()));
        assert!(SigningKey::from_pkcs8(document.get(..40).unwrap()).is_err());
    }
}
