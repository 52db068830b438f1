//! Reads a CA bundle and looks at it before the TLS library does, which panics on one that is broken.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// All of Mozilla's authorities are 250 KiB of PEM.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// The text of a bundle that holds at least one certificate and nothing that cannot be one.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, String> {
    let pem = load(path).map_err(|error| error.to_string())?;
    if pem.len() as u64 > MAX_BYTES {
        return Err(format!("it is larger than {MAX_BYTES} bytes"));
    }
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| format!("certificate {}: {error}", roots.len() + 1))?;
    }
    if roots.is_empty() {
        return Err("there is no certificate in it".to_owned());
    }
    Ok(pem)
}

#[expect(clippy::disallowed_methods, reason = "a file that the operator named for this process, not one of the host's")]
fn load(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut pem = Vec::new();
    // Looked at first: opening a FIFO waits for a writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut pem)?;
    Ok(pem)
}
