//! The certificates that AWS signs identity documents with, pinned for each region.
//!
//! They are data: `safeguard/certificates` in this repository, and a directory of the operator's for what AWS publishes later.
//! An index says which certificate, by its SHA-256, is of which region, until when, and where it was taken from. A certificate
//! that the index does not name is refused: a file that somebody dropped there must not become trust.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use safeguard_daemon::settings::read_regular;
use serde::Deserialize;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;

use super::dates;
use super::region::Region;
use super::settings::SettingsError;

const OURS: &str = include_str!("../../certificates/aws.pem");
const OUR_INDEX: &str = include_str!("../../certificates/index.toml");

/// Where our own are said to be in messages.
const OUR_PATH: &str = "safeguard/certificates";
/// The index in a directory.
const INDEX: &str = "index.toml";
/// AWS has some forty regions with a certificate of 1.5 KiB each.
const MAX_FILE_BYTES: u64 = 1024 * 1024;
/// `rsa2048` is signed with such a key (EC2 User Guide, "Verify instance identity documents").
const KEY_BITS: usize = 2048;
/// How long before its end a certificate is warned of: AWS publishes the next one some months ahead.
const WARN_MS: i64 = 90 * 24 * 3600 * 1000;

/// A certificate that ends soon, or has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiring {
    /// Its region.
    pub region: String,
    /// Its SHA-256 in hexadecimal digits.
    pub sha256: String,
    /// From when on it is not believed, in milliseconds since 1970.
    pub not_after_ms: i64,
}

#[derive(Debug)]
struct Pinned {
    sha256: String,
    public_key: Vec<u8>,
    not_before_ms: i64,
    not_after_ms: i64,
}

impl Pinned {
    fn is_valid(&self, now_ms: i64) -> bool {
        (self.not_before_ms..=self.not_after_ms).contains(&now_ms)
    }
}

/// Certificates by region. A region may have several, while AWS exchanges one for the next.
#[derive(Debug, Default)]
pub(crate) struct Certificates(BTreeMap<String, Vec<Pinned>>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Index {
    #[serde(default)]
    certificate: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    region: String,
    sha256: String,
    not_after: String,
    /// For people.
    #[serde(rename = "source")]
    _source: String,
}

impl Certificates {
    /// Ours, and those of a directory.
    pub(crate) fn load(directory: Option<&Path>) -> Result<Self, SettingsError> {
        let mut all = Self::default();
        all.add(Path::new(OUR_PATH), OUR_INDEX, &[OURS.to_owned()])?;
        if let Some(directory) = directory {
            let index = directory.join(INDEX);
            let index = read_regular(&index, MAX_FILE_BYTES).map_err(|error| SettingsError::file(&index, error))?;
            let mut files = Vec::new();
            for path in pem_files(directory).map_err(|error| SettingsError::file(directory, error))? {
                files.push(read_regular(&path, MAX_FILE_BYTES).map_err(|error| SettingsError::file(&path, error))?);
            }
            all.add(directory, &index, &files)?;
        }
        Ok(all)
    }

    /// Keys of a region whose certificates are valid now: `RSAPublicKey` in DER.
    pub(crate) fn keys<'a>(&'a self, region: &str, now_ms: i64) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let pinned = self.0.get(region).map(Vec::as_slice).unwrap_or_default();
        pinned.iter().filter(move |pinned| pinned.is_valid(now_ms)).map(|pinned| pinned.public_key.as_slice())
    }

    pub(crate) fn expiring(&self, now_ms: i64) -> Vec<Expiring> {
        let mut expiring = Vec::new();
        for (region, pinned) in &self.0 {
            let ends = pinned.iter().filter(|pinned| pinned.not_after_ms.saturating_sub(now_ms) < WARN_MS);
            expiring.extend(ends.map(|pinned| Expiring {
                region: region.clone(),
                sha256: pinned.sha256.clone(),
                not_after_ms: pinned.not_after_ms,
            }));
        }
        expiring
    }

    fn add(&mut self, path: &Path, index: &str, files: &[String]) -> Result<(), SettingsError> {
        let wrong = |reason: String| SettingsError::file(path, reason);
        let index: Index = toml::from_str(index).map_err(|error| wrong(format!("{INDEX}: {error}")))?;
        let mut found = BTreeMap::new();
        for file in files {
            for certificate in CertificateDer::pem_slice_iter(file.as_bytes()) {
                let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
                let pinned = pin(&certificate).map_err(&wrong)?;
                found.insert(pinned.sha256.clone(), pinned);
            }
        }
        for Entry { region, sha256, not_after, .. } in index.certificate {
            if Region::named(&region).is_none() {
                return Err(wrong(format!("{INDEX}: {region:?} is no region that is known here")));
            }
            let pinned = found.remove(&sha256).ok_or_else(|| {
                wrong(format!("{INDEX}: no file has the certificate {sha256}, or two regions have it"))
            })?;
            if dates::rfc3339_ms(&not_after) != Some(pinned.not_after_ms) {
                return Err(wrong(format!("{INDEX}: the certificate of {region} does not end at {not_after}")));
            }
            self.0.entry(region).or_default().push(pinned);
        }
        match found.keys().next() {
            Some(sha256) => Err(wrong(format!("{INDEX} does not name the certificate {sha256}"))),
            None => Ok(()),
        }
    }
}

fn pin(certificate: &[u8]) -> Result<Pinned, String> {
    let sha256: String = digest(&SHA256, certificate).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let wrong = |reason: &str| format!("the certificate {sha256}: {reason}");
    let (rest, parsed) = X509Certificate::from_der(certificate).map_err(|_| wrong("it is not X.509"))?;
    if !rest.is_empty() {
        return Err(wrong("something follows it"));
    }
    let key = parsed.public_key();
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) if rsa.key_size() == KEY_BITS => {}
        _ => return Err(wrong("its key is not RSA with 2048 bits")),
    }
    let ms = |seconds: i64| seconds.saturating_mul(1000);
    Ok(Pinned {
        public_key: key.subject_public_key.data.to_vec(),
        not_before_ms: ms(parsed.validity().not_before.timestamp()),
        not_after_ms: ms(parsed.validity().not_after.timestamp()),
        sha256,
    })
}

#[expect(clippy::disallowed_methods, reason = "a directory that the operator named for this process")]
fn pem_files(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "pem") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests;
