#![expect(clippy::disallowed_methods, reason = "the test owns its directory")]

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use safeguard_standins::IdentityCa;

use super::*;

/// 2026-03-14T15:09:26Z
const NOW: i64 = 1_773_500_966_000;
const DAY: i64 = 24 * 3600 * 1000;

fn directory(index: &str, files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join(INDEX), index).unwrap();
    for (name, text) in files {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    directory
}

fn load(directory: &tempfile::TempDir) -> Result<Certificates, String> {
    Certificates::load(Some(directory.path())).map_err(|error| error.to_string())
}

#[test]
fn a_directory_adds_to_ours() {
    let (old, new) = (IdentityCa::with_years("xx", 2015, 2030).unwrap(), IdentityCa::new("xx").unwrap());
    let index = [("2030-01-01T00:00:00Z", &old), ("2195-01-01T00:00:00Z", &new)]
        .map(|(end, ca)| ca.index_entry(end).replace("\"xx\"", "\"af-south-9\""))
        .concat();
    let both = format!("{}\n{}", old.certificate_pem(), new.certificate_pem());
    let all = load(&directory(&index, &[("both.pem", &both), ("notes.txt", "-----BEGIN CERTIFICATE-----")])).unwrap();
    assert_eq!(all.keys("af-south-9", NOW).collect::<Vec<_>>(), [old.public_key(), new.public_key()]);
    assert_eq!(all.keys("af-south-8", NOW).count(), 0);
    // 2031
    assert_eq!(all.keys("af-south-9", NOW + 1800 * DAY).collect::<Vec<_>>(), [new.public_key()]);
    // 2014
    assert_eq!(all.keys("af-south-9", NOW - 4400 * DAY).count(), 0);
}

#[test]
fn an_end_is_told_well_before_it_comes() {
    let ca = IdentityCa::with_years("af-south-9", 2015, 2027).unwrap();
    let all = load(&directory(&ca.index_entry("2027-01-01T00:00:00Z"), &[("a.pem", ca.certificate_pem())])).unwrap();
    let end = dates::rfc3339_ms("2027-01-01T00:00:00Z").unwrap();
    let named = |now_ms| all.expiring(now_ms).iter().any(|expiring| expiring.region == "af-south-9");
    assert!(!named(end - 91 * DAY) && named(end - 89 * DAY) && named(end + DAY));
    assert_eq!((all.keys("af-south-9", end).count(), all.keys("af-south-9", end + 1).count()), (1, 0));
}

#[test]
fn what_the_index_does_not_say_is_no_trust() {
    let ca = IdentityCa::new("af-south-9").unwrap();
    let (entry, pem) = (ca.index_entry("2195-01-01T00:00:00Z"), ca.certificate_pem());
    let other = IdentityCa::new("af-south-9").unwrap();
    for (index, pem, why) in [
        (String::new(), pem.to_owned(), "does not name"),
        (entry.clone(), format!("{pem}{}", other.certificate_pem()), "does not name"),
        (entry.clone(), other.certificate_pem().to_owned(), "no file has"),
        (entry.replace("2195", "2196"), pem.to_owned(), "does not end at"),
        (entry.replace("af-south-9", "nowhere"), pem.to_owned(), "no region"),
        (format!("{entry}{entry}"), pem.to_owned(), "two regions"),
        (entry.replace("source", "origin"), pem.to_owned(), "index.toml"),
        (entry.clone(), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(), "X.509"),
    ] {
        let error = load(&directory(&index, &[("a.pem", &pem)])).unwrap_err();
        assert!(error.contains(why), "{why}: {error}");
    }
    let missing = Certificates::load(Some(Path::new("/nowhere/at/all"))).unwrap_err().to_string();
    assert!(missing.contains("/nowhere/at/all/index.toml"), "{missing}");
}

#[test]
fn keys_of_another_kind_are_refused() {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
    let error = load(&directory("", &[("a.pem", &certificate.pem())])).unwrap_err();
    assert!(error.contains("RSA with 2048 bits"), "{error}");
    let error = load(&directory("", &[("a.pem", RSA_1024)])).unwrap_err();
    assert!(error.contains("RSA with 2048 bits"), "{error}");
}

/// What is pinned is whole, to the byte: a certificate that signs itself cannot have been copied wrongly.
#[test]
fn ours_are_those_of_aws_and_signed_by_themselves() {
    let all = Certificates::load(None).unwrap();
    let regions: Vec<&str> = all.0.keys().map(String::as_str).collect();
    assert_eq!(regions.len(), 13, "{regions:?}");
    for region in ["us-east-1", "us-west-2", "eu-central-1", "eu-west-1", "ap-northeast-1"] {
        assert_eq!(all.keys(region, NOW).count(), 1, "{region}");
    }
    assert!(all.expiring(NOW).is_empty());
    let mut count = 0;
    for der in CertificateDer::pem_slice_iter(OURS.as_bytes()) {
        let der = der.unwrap();
        let (_, certificate) = X509Certificate::from_der(&der).unwrap();
        let name = "C=US, ST=Washington State, L=Seattle, O=Amazon Web Services LLC";
        assert_eq!(
            (certificate.subject().to_string().as_str(), certificate.issuer().to_string().as_str()),
            (name, name)
        );
        let key =
            UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &certificate.public_key().subject_public_key.data);
        key.verify(certificate.tbs_certificate.as_ref(), &certificate.signature_value.data).unwrap();
        count += 1;
    }
    assert_eq!(count, regions.len());
}

/// A certificate of a key with 1024 bits, made once with `openssl req -x509 -newkey rsa:1024`; nobody has its private half.
const RSA_1024: &str = "-----BEGIN CERTIFICATE-----
MIICCjCCAXOgAwIBAgIUInN7wmC8WsP9Lb8+g0altCirxhcwDQYJKoZIhvcNAQEL
BQAwFjEUMBIGA1UEAwwLYSBzbWFsbCBrZXkwIBcNMjYxMTI3MTEzNzQ4WhgPMjEy
NjExMDMxMTM3NDhaMBYxFDASBgNVBAMMC2Egc21hbGwga2V5MIGfMA0GCSqGSIb3
DQEBAQUAA4GNADCBiQKBgQC+atT21w9lLvnzoLjxtdmhZgDHEsFD1bIYNQvQrRNa
keCm2n5h1f6/wmEBTHRSnonBUKxwPghvinUY3RSI0BWjo+taf+4cKK5OFwddoAPO
km0Y5PpPqOdW8HBDSdURnnNRIM83Jm8c57fhYSOK8bUKXd4ojveWAaD+y0a5cwxT
MwIDAQABo1MwUTAdBgNVHQ4EFgQU9uOIdkJ5pny44XkgwB5nSYe0BEEwHwYDVR0j
BBgwFoAU9uOIdkJ5pny44XkgwB5nSYe0BEEwDwYDVR0TAQH/BAUwAwEB/zANBgkq
hkiG9w0BAQsFAAOBgQCWQrIZPzdTwbQPd2GmtYA/r42E3NsaQZYouVy07AsZsyp1
V7flJT0QofTlnWAkCfka4iTh6yNUiPbDpVuSPQvew60eaGo4rPYvbGcp5s+QA6PG
krBP6AAEHrCxvSEwcbw78OIFznAESga0fR/AIv6WhWZA5NkeMTeU5ftrChlHFA==
-----END CERTIFICATE-----
";
