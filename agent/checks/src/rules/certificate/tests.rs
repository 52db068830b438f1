use proptest::prelude::*;

use super::*;
use crate::fixture::Fixture;

/// RSA of 2048 bits, in force for 365 days from [`BEGINS`] on.
const RSA: &str = include_str!("rsa2048.pem");
/// RSA of 1024 bits, at the same time.
const WEAK: &str = include_str!("rsa1024.pem");
/// P-256, at the same time.
const EC: &str = include_str!("ec.pem");
/// 2026-11-27T06:32:04Z, in seconds since the epoch.
const BEGINS: i64 = 1_795_761_124;

const PATH: &str = "/etc/kubernetes/pki/ca.crt";

/// A host with a certificate file, so many days after it began.
fn host(content: impl AsRef<[u8]>, day: i64) -> Fixture {
    let mut fixture = Fixture::new();
    fixture.inputs.now_ms = (BEGINS + 60) * 1000 + day * DAY_MS;
    fixture.file(PATH, content);
    fixture
}

fn wants(more: &str) -> String {
    format!("certificate: {{path: {PATH}{more}}}")
}

#[test]
fn a_certificate_is_in_force_between_its_ends() {
    host(RSA, -1).fails(&wants(""));
    host(RSA, 0).holds(&wants(""));
    let verdict = host(RSA, 364).holds(&wants(""));
    assert_eq!(verdict.evidence[0].observed, "ends in 0 days, RSA of 2048 bits");
    let verdict = host(RSA, 365).fails(&wants(""));
    assert_eq!(verdict.evidence[0].observed, "has ended, RSA of 2048 bits");
}

#[test]
fn days_that_are_left_are_whole() {
    host(RSA, 334).holds(&wants(", days_left: 30"));
    host(RSA, 335).fails(&wants(", days_left: 30"));
}

#[test]
fn only_keys_of_rsa_are_asked_for_their_bits() {
    host(RSA, 0).holds(&wants(", rsa_bits: 2048"));
    host(RSA, 0).fails(&wants(", rsa_bits: 2049"));
    host(WEAK, 0).fails(&wants(", rsa_bits: 2048"));
    host(EC, 0).holds(&wants(", rsa_bits: 2048"));
    assert_eq!(bits(&[0, 0x7f, 0xff]), 15);
    assert_eq!(bits(&[]), 0);
}

#[test]
fn the_first_certificate_of_a_file_counts() {
    let key = "-----BEGIN PRIVATE KEY-----\nbm90IGEga2V5\n-----END PRIVATE KEY-----\n";
    host(format!("Bag Attributes\n{key}{WEAK}{RSA}"), 0).fails(&wants(", rsa_bits: 2048"));
    host(format!("{RSA}{WEAK}"), 0).holds(&wants(", rsa_bits: 2048"));
    host(key, 0).unknown(&wants(""));
}

#[test]
fn what_cannot_be_read_is_unknown() {
    for garbage in [
        &b""[..],
        b"\xff\x00\x30\x82",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\nAA",
    ] {
        assert!(host(garbage, 0).unknown(&wants("")).starts_with(PATH));
    }
    let fixture = Fixture::new();
    fixture.dir(PATH);
    fixture.unknown(&wants(""));
    Fixture::new().unknown("certificate: {}");
}

#[test]
fn no_such_file_is_what_the_policy_says() {
    Fixture::new().fails(&wants(""));
    Fixture::new().holds(&wants(", absent: holds"));
    Fixture::new().not_applicable(&wants(", absent: not-applicable"));
}

#[test]
fn the_dead_have_certificates_too() {
    let mut fixture = host(RSA, 0);
    fixture.phase = crate::host::Phase::Build;
    fixture.holds(&wants(""));
}

/// The kubelet names its certificate: from the cluster, key and all in one file.
#[test]
fn the_kubelet_names_its_certificate() {
    let fixture = host("", 0);
    fixture
        .file("/proc/1/comm", "systemd\n")
        .file("/proc/812/comm", "kubelet\n")
        .file("/proc/812/cmdline", "/usr/bin/kubelet\0--rotate-server-certificates\0--cert-dir=/pki\0")
        .file("/pki/kubelet-server-current.pem", RSA);
    fixture.holds("certificate: {from: kubelet-server-certificate, days_left: 30}");
    fixture.fails("certificate: {from: kubelet-client-ca}");
    Fixture::dead().not_applicable("certificate: {from: kubelet-server-certificate}");
}

proptest! {
    #[test]
    fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0..1000_usize, with in any::<u8>()) {
        let mut broken = RSA.as_bytes().to_vec();
        if let Some(byte) = broken.get_mut(at) {
            *byte = with;
        }
        parse(&bytes).ok();
        parse(&broken).ok();
    }
}
