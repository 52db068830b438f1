//! An X.509 certificate on disk: it can be read, is in force, and is not about to end.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;

use super::Absent;
use super::file::From;
use crate::facts::Facts;
use crate::observed::{Cause, Unobserved};
use crate::verdict::{Evidence, Verdict};

/// What a certificate has to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// One path of the host, or `from`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Those that a fact names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<From>,
    /// It has to be in force for at least so many days more.
    #[serde(default)]
    pub days_left: u32,
    /// Its key has to have at least so many bits if it is RSA; 0 does not ask.
    #[serde(default)]
    pub rsa_bits: u32,
    /// What no such file means.
    #[serde(default)]
    pub absent: Absent,
}

/// How many milliseconds a day has.
const DAY_MS: i64 = 86_400_000;

/// Most bytes of a file of certificates: a bundle of all public CAs has about 220 KiB.
const MAX_FILE: u64 = 1 << 20;

/// What a certificate says of itself.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    /// Seconds since the epoch.
    not_before: i64,
    /// Seconds since the epoch.
    not_after: i64,
    /// Bits of its key, if it is RSA.
    rsa_bits: Option<usize>,
}

impl Certificate {
    pub(crate) fn judge(&self, facts: &Facts<'_>) -> Verdict {
        let files = match (&self.path, self.from) {
            (Some(path), None) => Ok(vec![PathBuf::from(path)]),
            (None, Some(from)) => from.files(facts),
            _ => Err(Unobserved::new(Cause::Parse, "the policy has to give exactly one of path and from")),
        };
        let files = match files {
            Ok(files) => files,
            Err(why) => return Verdict::unknown(why),
        };
        if files.is_empty() {
            let place = self.from.map(|from| from.to_string()).unwrap_or_default();
            return self.absent.verdict(&place, &self.expected());
        }
        Verdict::all(files.iter().map(|path| self.judge_one(facts, path)))
    }

    fn judge_one(&self, facts: &Facts<'_>, path: &Path) -> Verdict {
        let bytes = match facts.host().bytes(path, MAX_FILE) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return self.absent.verdict(&path.display().to_string(), &self.expected()),
            Err(why) => return Verdict::unknown(why),
        };
        match parse(&bytes) {
            Ok(seen) => self.weigh(path, &seen, facts.now_ms()),
            Err(problem) => Verdict::unknown(Unobserved::file(path, problem)),
        }
    }

    fn weigh(&self, path: &Path, seen: &Seen, now_ms: i64) -> Verdict {
        let (begins, ends) = (seen.not_before.saturating_mul(1000), seen.not_after.saturating_mul(1000));
        let days = ends.saturating_sub(now_ms).div_euclid(DAY_MS);
        let mut observed = if begins > now_ms {
            "is not in force yet".to_owned()
        } else if ends < now_ms {
            "has ended".to_owned()
        } else {
            format!("ends in {days} days")
        };
        if let Some(bits) = seen.rsa_bits {
            observed.push_str(&format!(", RSA of {bits} bits"));
        }
        let wanted = usize::try_from(self.rsa_bits).unwrap_or(usize::MAX);
        let holds = begins <= now_ms
            && ends >= now_ms
            && days >= i64::from(self.days_left)
            && seen.rsa_bits.is_none_or(|bits| bits >= wanted);
        Verdict::of(Evidence::new(path.display().to_string(), observed, self.expected(), holds))
    }

    fn expected(&self) -> String {
        let mut expected = format!("in force for {} days more", self.days_left);
        if self.rsa_bits > 0 {
            expected.push_str(&format!(", RSA of at least {} bits", self.rsa_bits));
        }
        expected
    }
}

/// The first certificate of a file: PEM, between keys and chains and text, or DER.
fn parse(bytes: &[u8]) -> Result<Seen, &'static str> {
    let is_pem = bytes.windows(BEGIN.len()).any(|window| window == BEGIN);
    if !is_pem {
        let (_, certificate) = X509Certificate::from_der(bytes).map_err(|_| "has no certificate that can be read")?;
        return Ok(Seen::of(&certificate));
    }
    for block in Pem::iter_from_buffer(bytes) {
        let block = block.map_err(|_| "is no PEM that can be read")?;
        if matches!(block.label.as_str(), "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE") {
            let certificate = block.parse_x509().map_err(|_| "has a certificate that cannot be read")?;
            return Ok(Seen::of(&certificate));
        }
    }
    Err("has no certificate")
}

/// How a block of PEM begins.
const BEGIN: &[u8] = b"-----BEGIN ";

impl Seen {
    fn of(certificate: &X509Certificate<'_>) -> Self {
        let validity = certificate.validity();
        let rsa_bits = match certificate.public_key().parsed() {
            Ok(PublicKey::RSA(key)) => Some(bits(key.modulus)),
            _ => None,
        };
        Self { not_before: validity.not_before.timestamp(), not_after: validity.not_after.timestamp(), rsa_bits }
    }
}

/// The bits of a number, most significant byte first.
fn bits(number: &[u8]) -> usize {
    let mut digits = number.iter().skip_while(|byte| **byte == 0);
    let first = digits.next().map_or(0, |byte| u8::BITS - byte.leading_zeros());
    usize::try_from(first).unwrap_or(8) + 8 * digits.count()
}

#[cfg(test)]
mod tests;
