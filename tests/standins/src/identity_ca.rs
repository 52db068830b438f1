//! Signs instance identity documents as AWS does: an RSA-2048 key, a certificate for a region, and PKCS#7 in BER with indefinite
//! lengths and octet strings in pieces, which is what the metadata service gives as `rsa2048`.

use std::{fmt, io};

use aws_lc_rs::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    rsa::KeyPair,
    signature::{KeyPair as _, RSA_PKCS1_SHA256},
};
use rcgen::{CertificateParams, DnType, PKCS_RSA_SHA256, RsaKeySize, date_time_ymd};

mod encode;

use encode::{Encoder, Oid, der};

/// How a message is put together. The default is what AWS does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// Lengths are left open where BER allows it, and the content comes in pieces. Else it is DER.
    pub indefinite: bool,
    /// The signature is of attributes that hold the content's digest. Else it is of the content.
    pub attributes: bool,
    /// The certificate is in the message.
    pub certificate: bool,
    /// What the signer says that it used.
    pub digest: Hash,
}

impl Default for Form {
    fn default() -> Form {
        Form { indefinite: true, attributes: true, certificate: false, digest: Hash::Sha256 }
    }
}

/// A hash by the name that a message gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-1. Nothing is computed with it: a message that names it has to be refused before anything is verified.
    Sha1,
}

/// A key that signs documents for a region.
pub struct IdentityCa {
    region: String,
    key: KeyPair,
    certificate_pem: String,
    certificate: Vec<u8>,
}

impl fmt::Debug for IdentityCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentityCa").field("region", &self.region).finish_non_exhaustive()
    }
}

impl IdentityCa {
    /// A new key with a certificate from 2015 to 2195, as most of AWS's have it.
    ///
    /// # Errors
    /// When the cryptography provider cannot make keys.
    pub fn new(region: &str) -> io::Result<IdentityCa> {
        IdentityCa::with_years(region, 2015, 2195)
    }

    /// The same with a certificate that is valid from the beginning of one year to the beginning of another.
    ///
    /// # Errors
    /// When the cryptography provider cannot make keys.
    pub fn with_years(region: &str, first: i32, end: i32) -> io::Result<IdentityCa> {
        let rsa = rcgen::KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).map_err(io::Error::other)?;
        let mut parameters = CertificateParams::new(Vec::new()).map_err(io::Error::other)?;
        parameters.not_before = date_time_ymd(first, 1, 1);
        parameters.not_after = date_time_ymd(end, 1, 1);
        parameters.distinguished_name.push(DnType::CommonName, format!("stand-in for {region}"));
        let certificate = parameters.self_signed(&rsa).map_err(io::Error::other)?;
        let key = KeyPair::from_pkcs8(&rsa.serialize_der()).map_err(io::Error::other)?;
        let (certificate_pem, certificate) = (certificate.pem(), certificate.der().to_vec());
        Ok(IdentityCa { region: region.to_owned(), key, certificate_pem, certificate })
    }

    /// The region.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The certificate.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The entry of an `index.toml` that pins the certificate. `not_after` as it is in it, such as `2195-01-01T00:00:00Z`.
    #[must_use]
    pub fn index_entry(&self, not_after: &str) -> String {
        let hash = digest(&SHA256, &self.certificate);
        let sha256: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let region = &self.region;
        format!(
            "[[certificate]]\nregion = \"{region}\"\nsha256 = \"{sha256}\"\nnot_after = \"{not_after}\"\nsource = \"test\"\n"
        )
    }

    /// `rsa2048` of a document, as the metadata service gives it.
    #[must_use]
    pub fn rsa2048(&self, document: &str) -> String {
        let base64 = base64_simd::STANDARD.encode_to_string(self.sign(document.as_bytes(), Form::default()));
        let lines: Vec<&str> = base64.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
        lines.join("\n")
    }

    /// PKCS#7 of some content.
    #[must_use]
    pub fn sign(&self, content: &[u8], form: Form) -> Vec<u8> {
        let attributes = form.attributes.then(|| attributes(content));
        // What is signed is the attributes as a SET.
        let signature = match &attributes {
            Some(attributes) => self.signature(&der(0x31, attributes)),
            None => self.signature(content),
        };
        self.message(content, attributes.as_deref(), &signature, form)
    }

    /// PKCS#7 of some content with attributes and a signature that need not belong to it.
    #[must_use]
    pub fn message(&self, content: &[u8], attributes: Option<&[u8]>, signature: &[u8], form: Form) -> Vec<u8> {
        let ber = Encoder { indefinite: form.indefinite };
        let digest = match form.digest {
            Hash::Sha256 => Oid::Sha256,
            Hash::Sha1 => Oid::Sha1,
        };
        let content = ber.constructed(0x30, &[Oid::Data.encode(), ber.constructed(0xa0, &[ber.octets(content)])]);
        let mut signer = vec![der(0x02, &[1]), self.issuer_and_number(), digest.algorithm()];
        signer.extend(attributes.map(|attributes| der(0xa0, attributes)));
        signer.push(Oid::Rsa.algorithm());
        signer.push(der(0x04, signature));
        let mut parts = vec![der(0x02, &[1]), der(0x31, &digest.algorithm()), content];
        if form.certificate {
            parts.push(ber.constructed(0xa0, std::slice::from_ref(&self.certificate)));
        }
        parts.push(der(0x31, &der(0x30, &signer.concat())));
        let data = ber.constructed(0x30, &parts);
        ber.constructed(0x30, &[Oid::SignedData.encode(), ber.constructed(0xa0, &[data])])
    }

    /// RSA with SHA-256 of anything.
    #[must_use]
    pub fn signature(&self, message: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.key.public_modulus_len()];
        let signed = self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature);
        debug_assert!(signed.is_ok(), "the key and the buffer fit each other");
        signature
    }

    /// The public half: `RSAPublicKey` in DER.
    #[must_use]
    pub fn public_key(&self) -> &[u8] {
        self.key.public_key().as_ref()
    }

    fn issuer_and_number(&self) -> Vec<u8> {
        let name = [Oid::CommonName.encode(), der(0x0c, format!("stand-in for {}", self.region).as_bytes())].concat();
        der(0x30, &[der(0x30, &der(0x31, &der(0x30, &name))), der(0x02, &[1])].concat())
    }
}

/// Content type, signing time and digest, in DER: sorted, as a SET has to be.
#[must_use]
pub fn attributes(content: &[u8]) -> Vec<u8> {
    let attribute = |oid: Oid, value: &[u8]| der(0x30, &[oid.encode(), der(0x31, value)].concat());
    let mut all = [
        attribute(Oid::ContentType, &Oid::Data.encode()),
        attribute(Oid::SigningTime, &der(0x17, b"260314150926Z")),
        attribute(Oid::MessageDigest, &der(0x04, digest(&SHA256, content).as_ref())),
    ];
    all.sort();
    all.concat()
}
