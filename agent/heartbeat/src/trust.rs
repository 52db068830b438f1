//! Which certificates are trusted.

use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::disk;

/// All of Mozilla's authorities are 250 KiB of PEM.
const MAX_CA_BYTES: u64 = 4 * 1024 * 1024;

/// Why TLS cannot be spoken.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The operator's file is not what it should be.
    #[error("`heartbeat.ca_file` {}: {reason}. It has to be a PEM file with the authority of the safeguard's certificate", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The system has none.
    #[error(
        "the system has no certificate authorities ({0}): install ca-certificates, or name a file in `heartbeat.ca_file`"
    )]
    System(String),
    /// The TLS library refuses.
    #[error("TLS cannot be used: {0}")]
    Tls(String),
}

/// The authorities of a PEM file, or the system's.
pub(crate) fn roots(file: Option<&Path>) -> Result<RootCertStore, TrustError> {
    let mut roots = RootCertStore::empty();
    let Some(path) = file else {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        return match roots.is_empty() {
            true => {
                Err(TrustError::System(found.errors.first().map_or_else(|| "none".to_owned(), ToString::to_string)))
            }
            false => Ok(roots),
        };
    };
    let wrong = |reason: String| TrustError::File { path: path.to_owned(), reason };
    let pem = disk::read_followed(path, MAX_CA_BYTES).map_err(|error| wrong(error.to_string()))?;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    if roots.is_empty() { Err(wrong("there is no certificate in it".to_owned())) } else { Ok(roots) }
}
