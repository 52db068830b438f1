use super::*;
use crate::token::{FixedToken, Token};

fn token() -> Arc<dyn TokenSource> {
    Arc::new(FixedToken(Token::new("t").unwrap()))
}

fn authority() -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    rcgen::CertificateParams::new(vec![]).unwrap().self_signed(&key).unwrap().pem()
}

#[test]
fn a_token_is_never_sent_in_the_clear_to_another_machine() {
    for url in ["http://10.0.0.1", "http://api.example.com:80", "http://[fd00::1]"] {
        assert!(matches!(ApiServer::new(url, None, token()), Err(ApiServerError::Plain { .. })), "{url}");
    }
    for url in ["http://127.0.0.1:1", "http://localhost", "http://[::1]:8001"] {
        assert!(ApiServer::new(url, None, token()).is_ok(), "{url}");
    }
}

#[test]
fn https_needs_an_authority_that_is_one() {
    let url = "https://10.0.0.1";
    assert!(matches!(ApiServer::new(url, None, token()), Err(ApiServerError::NoAuthority { .. })));
    for wrong in ["", "not PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let result = ApiServer::new(url, Some(wrong.as_bytes()), token());
        assert!(matches!(result, Err(ApiServerError::Authority { .. })), "{wrong}");
    }
    assert!(ApiServer::new(url, Some(authority().as_bytes()), token()).is_ok());
}

#[test]
fn what_is_no_url_of_a_server_is_refused() {
    let authority = authority();
    for url in [
        "",
        "10.0.0.1",
        "/api",
        "ftp://10.0.0.1",
        "https://",
        "https://a?b=c",
        "https://user:word@a",
        "https://a:b",
        "https://a:99999",
    ] {
        let result = ApiServer::new(url, Some(authority.as_bytes()), token());
        assert!(matches!(result, Err(ApiServerError::Url { .. })), "{url}");
    }
    let kept = ApiServer::new("https://rancher.example.com/k8s/clusters/c-1/", Some(authority.as_bytes()), token());
    assert_eq!(kept.unwrap().base, "https://rancher.example.com/k8s/clusters/c-1");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the test writes the files that it reads")]
fn a_pod_is_told_of_its_api_server_by_files_and_two_words() {
    let dir = tempfile::tempdir().unwrap();
    let error = ApiServer::in_cluster(dir.path(), "10.0.0.1", "443").unwrap_err().to_string();
    assert!(error.contains("ca.crt"), "{error}");
    std::fs::write(dir.path().join("ca.crt"), authority()).unwrap();
    for (host, base) in [("10.0.0.1", "https://10.0.0.1:443"), ("fd00::1", "https://[fd00::1]:443")] {
        assert_eq!(ApiServer::in_cluster(dir.path(), host, "443").unwrap().base, base);
    }
    assert!(ApiServer::in_cluster(dir.path(), "10.0.0.1", "https").is_err());
}
