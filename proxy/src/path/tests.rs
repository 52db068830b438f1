use proptest::prelude::*;

use super::*;

fn forwarded() -> Forwarded {
    Forwarded::new(&["instance-id", "placement/*", "services/*"].map(str::to_owned))
}

fn of(path: &str) -> Route {
    route(path, &forwarded())
}

fn credentials(role: &str) -> Route {
    Route::Credentials { role: role.to_owned(), extended: false }
}

/// jtblin/kube2iam#127, PR#119, uswitch/kiam#42, #116, #383: with and without slashes, in every encoding, with an ARN, a path and
/// dots, and never a redirect (aws-sdk-kotlin#1303, aws-sdk-rust#560).
#[test]
fn every_way_to_write_a_path_means_the_same() {
    for path in [
        "/latest/meta-data/iam/security-credentials",
        "/latest/meta-data/iam/security-credentials/",
        "//latest/meta-data/iam/security-credentials/",
        "/latest//meta-data///iam/security-credentials",
        "/latest/./meta-data/iam/x/../security-credentials",
        "/latest/meta-data/%69am/security%2dcredentials/",
        "/latest%2fmeta-data%2Fiam/security-credentials",
        "/latest/meta-data/iam/%2e/security-credentials/",
        "/2021-03-23/meta-data/iam/security-credentials/",
        "/1.0/meta-data/iam/security-credentials-extended/",
        "/x/../latest/meta-data/iam/security-credentials/",
        "/latest/meta-data/instance-id/%2e%2e/iam/security-credentials",
    ] {
        assert_eq!(of(path), Route::Roles, "{path}");
    }
    for path in [
        "/latest/meta-data/iam/security-credentials/reader",
        "/latest/meta-data/iam/security-credentials/reader/",
        "//latest/meta-data/iam/security-credentials/%72eader",
    ] {
        assert_eq!(of(path), credentials("reader"), "{path}");
    }
    assert_eq!(of("/latest/meta-data/iam/security-credentials/a/b"), credentials("a/b"));
    let arn = "arn:aws:iam::123456789012:role/reader";
    assert_eq!(of(&format!("/latest/meta-data/iam/security-credentials/{arn}")), credentials(arn));
    let extended = Route::Credentials { role: "reader".to_owned(), extended: true };
    assert_eq!(of("/latest/meta-data/iam/security-credentials-extended/reader"), extended);
    assert_eq!(of("/latest/api/token"), Route::Token);
    assert_eq!(of("/latest/api/token/"), Route::Token);
    assert_eq!(of("/latest/meta-data/iam/info/"), Route::IamInfo);
    assert_eq!(of("/latest/meta-data/iam/"), Route::Iam);
    assert_eq!(of("/latest/meta-data/"), Route::Index);
}

/// Research facts 2, 3 and section 2.2; jtblin/kube2iam#129: what proves who the node is, or holds its secrets, stays with the node,
/// even where the settings would forward everything.
#[test]
fn what_is_the_nodes_is_withheld() {
    let everything = Forwarded::new(&["*".to_owned()]);
    for path in [
        "/latest/user-data",
        "/latest/user-data/",
        "/latest/User-Data",
        "/2021-03-23/user-data",
        "/latest/dynamic/instance-identity/document",
        "/latest/dynamic/instance-identity/pkcs7",
        "/latest/DYNAMIC/instance-identity/rsa2048",
        "/latest/meta-data/identity-credentials/ec2/security-credentials/ec2-instance",
        "/latest/meta-data/identity%2dcredentials/ec2/info",
        "/latest/meta-data/IAM/security-credentials/",
        "/latest/meta-data/iam/unknown",
        "/latest/meta-data/iam/Security-Credentials/reader",
        "/latest/meta-data/iam/security-credentials;a=b/reader",
        "/latest/meta-data/managed-ssh-keys/signer-cert",
        "/latest/meta-data/public-keys/0/openssh-key",
    ] {
        assert_eq!(route(path, &everything), Route::Withheld, "{path}");
    }
}

#[test]
fn what_is_not_known_is_not_found() {
    for path in [
        "/",
        "/latest",
        "/latest/",
        "/x/meta-data/iam/security-credentials/",
        "/latest;x/meta-data/iam/security-credentials/",
        "/LATEST/meta-data/iam/security-credentials/",
        "/latest/Meta-Data/iam/security-credentials/",
        "/2021-03-23/api/token",
        "/latest/api/tokens",
        "/latest/meta-data/mac",
        "/latest/meta-data/instance-id/x",
        "/latest/meta-data/placements",
        "/healthz",
        "/metrics",
        "/debug/store",
    ] {
        assert_eq!(of(path), Route::Unknown, "{path}");
    }
}

#[test]
fn what_no_honest_client_sends_is_refused() {
    for path in [
        "",
        "latest/meta-data",
        "*",
        "/latest/meta-data/iam%252fsecurity-credentials",
        "/latest/meta-data/iam/security-credentials/%00",
        "/latest/meta-data/iam/security-credentials/a%20b",
        "/latest/meta-data/iam/security-credentials/a%0d%0ab",
        "/latest\\meta-data",
        "/latest/%5cmeta-data",
        "/latest/meta-data/%",
        "/latest/meta-data/%4",
        "/latest/meta-data/%zz",
        "/latest/meta-data/%+1",
        "/latest/meta-data/%c0%af",
        "/latest/\u{fc}",
    ] {
        assert_eq!(of(path), Route::Malformed, "{path}");
    }
    assert_eq!(of(&format!("/latest/{}", "a/".repeat(3_000))), Route::Malformed);
}

#[test]
fn a_path_is_forwarded_as_it_was_understood() {
    let forward = |path: &str| Route::Forward(path.to_owned());
    assert_eq!(of("/latest/meta-data/instance-id"), forward("/latest/meta-data/instance-id"));
    assert_eq!(of("//latest/meta-data/./%69nstance-id"), forward("/latest/meta-data/instance-id"));
    assert_eq!(of("/latest/meta-data/placement/region"), forward("/latest/meta-data/placement/region"));
    assert_eq!(of("/latest/meta-data/placement/"), forward("/latest/meta-data/placement/"));
    assert_eq!(of("/latest/meta-data/placement"), forward("/latest/meta-data/placement"));
    assert_eq!(forwarded().index(), "iam/\ninstance-id\nplacement/\nservices/");
    let macs =
        Forwarded::new(&["network/interfaces/macs", "network/interfaces/macs/*/vpc-id", "a*"].map(str::to_owned));
    let of = |path: &str| route(path, &macs);
    assert_eq!(of("/latest/meta-data/network/interfaces/macs/"), forward("/latest/meta-data/network/interfaces/macs/"));
    let vpc = "/latest/meta-data/network/interfaces/macs/0e:00:00:00:00:01/vpc-id";
    assert_eq!(of(vpc), forward(vpc));
    assert_eq!(of("/latest/meta-data/network/interfaces/macs/0e:00:00:00:00:01/owner-id"), Route::Unknown);
    assert_eq!(of("/latest/meta-data/network/interfaces/macs/x/y/vpc-id"), Route::Unknown);
    assert_eq!(of("/latest/meta-data/ami-id"), forward("/latest/meta-data/ami-id"));
    assert_eq!(of("/latest/meta-data/ami-id/x"), Route::Unknown);
}

/// Research row 48: a page in a browser, or an open proxy in a pod, comes with another name.
#[test]
fn only_the_names_of_the_metadata_service_are_answered() {
    for host in [
        "169.254.169.254",
        "169.254.169.254:80",
        "[fd00:ec2::254]",
        "[FD00:EC2::254]:80",
        "instance-data",
        "instance-data.ec2.internal:80",
    ] {
        assert!(is_our_host(host), "{host}");
    }
    for host in [
        "",
        "localhost",
        "evil.example",
        "169.254.169.254.evil.example",
        "169.254.169.254:",
        "169.254.169.254:x",
        "169.254.169.254:80:80",
        "169.254.169.25",
        "user@169.254.169.254",
        "instance-data.",
        "fd00:ec2::254",
    ] {
        assert!(!is_our_host(host), "{host}");
    }
}

proptest! {
    /// uswitch/kiam#516: whatever is sent, what is forwarded is harmless.
    #[test]
    fn nothing_of_the_nodes_own_is_ever_forwarded(path in "/[a-z0-9%./;A-Z_-]{0,80}|(/(latest|meta-data|iam|user-data|\\.\\.|\\.|%2e%2e|%2f|placement|security-credentials)){0,8}") {
        for list in ["*", "placement/*", "placement*"] {
            if let Route::Forward(to) = route(&path, &Forwarded::new(&[list.to_owned()])) {
                let lower = to.to_ascii_lowercase();
                prop_assert!(!lower.contains('%') && !lower.contains("//") && !lower.contains("/../"), "{}", to);
                let below = lower.splitn(4, '/').nth(3).unwrap_or_default();
                prop_assert!(lower.contains("/meta-data/"), "{}", to);
                for never in NEVER_BELOW_META_DATA {
                    prop_assert!(!below.starts_with(never) || below.as_bytes().get(never.len()).is_some_and(|b| *b != b'/'), "{}", to);
                }
            }
        }
    }

    #[test]
    fn no_path_is_too_odd(path in "\\PC{0,200}") {
        let _ = of(&path);
    }
}
