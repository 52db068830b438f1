//! A certificate authority made for one stand-in, and a certificate of it for 127.0.0.1, ::1 and localhost.

use std::{fmt, io, sync::Arc};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio_rustls::TlsAcceptor;

/// What a TLS listener needs, and the certificate its clients have to trust.
#[derive(Clone)]
pub struct Tls {
    ca_pem: String,
    certificate_pem: String,
    key_pem: String,
    acceptor: TlsAcceptor,
}

impl Tls {
    /// Makes a new authority and a server certificate.
    ///
    /// # Errors
    /// When the cryptography provider cannot make keys.
    pub fn generate() -> io::Result<Tls> {
        Tls::generate_for(&["localhost", "127.0.0.1", "::1"])
    }

    /// Makes a new authority and a server certificate for these names and addresses alone.
    ///
    /// # Errors
    /// When a name is none, or the cryptography provider cannot make keys.
    pub fn generate_for(names: &[&str]) -> io::Result<Tls> {
        generate(names).map_err(io::Error::other)
    }

    /// The authority's certificate.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The server's certificate, for a server that reads its own.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The key of the server's certificate.
    #[must_use]
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

fn generate(names: &[&str]) -> Result<Tls, Box<dyn std::error::Error + Send + Sync>> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.distinguished_name.push(DnType::CommonName, "stand-in authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let authority_key = KeyPair::generate()?;
    let ca_pem = authority.self_signed(&authority_key)?.pem();
    let issuer = Issuer::new(authority, authority_key);

    let mut leaf = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?;
    leaf.distinguished_name.push(DnType::CommonName, "stand-in");
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    leaf.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = leaf.signed_by(&key, &issuer)?;

    let (certificate_pem, key_pem) = (certificate.pem(), key.serialize_pem());
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Tls { ca_pem, certificate_pem, key_pem, acceptor: TlsAcceptor::from(Arc::new(config)) })
}
