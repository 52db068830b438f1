use super::*;
use crate::sdk::imds_client;
use aws_config::provider_config::ProviderConfig;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Answers 200 to everything and keeps the first lines of what it was sent.
async fn listener() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::<Mutex<Vec<String>>>::default();
    let lines = seen.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4096];
            let length = stream.read(&mut head).await.unwrap();
            let line = String::from_utf8_lossy(&head[..length]).lines().next().unwrap_or_default().to_owned();
            lines.lock().unwrap().push(line);
            let answer = "HTTP/1.1 200 OK\r\nx-aws-ec2-metadata-token-ttl-seconds: 60\r\ncontent-length: 2\r\n\
                          connection: close\r\n\r\nok";
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (url, seen)
}

/// Asks `endpoint` through a client with these proxies; what matters is who was connected to.
async fn ask(endpoint: &str, proxies: Proxies) {
    let http = http_client(&HttpOptions { ca_bundle: None, proxies }).unwrap();
    let provider = ProviderConfig::without_region().with_http_client(http);
    let client = imds_client(Some(endpoint), &provider).unwrap();
    drop(client.get("/x").await);
}

fn first(seen: &Mutex<Vec<String>>) -> Option<String> {
    seen.lock().unwrap().first().cloned()
}

#[tokio::test]
async fn plain_http_goes_through_its_proxy() {
    let (proxy, seen) = listener().await;
    ask("http://service.test", Proxies { http: Some(proxy), ..Proxies::default() }).await;
    assert_eq!(first(&seen).as_deref(), Some("PUT http://service.test/latest/api/token HTTP/1.1"));
}

#[tokio::test]
async fn https_makes_a_tunnel_through_its_proxy() {
    let (proxy, seen) = listener().await;
    let (other, unused) = listener().await;
    ask("https://service.test", Proxies { https: Some(proxy), http: Some(other), none: None }).await;
    assert_eq!(first(&seen).as_deref(), Some("CONNECT service.test:443 HTTP/1.1"));
    assert_eq!(first(&unused), None);
}

#[tokio::test]
async fn this_machine_and_what_is_listed_are_reached_directly() {
    let (proxy, seen) = listener().await;
    let (service, served) = listener().await;
    let proxies = Proxies { http: Some(proxy.clone()), https: Some(proxy), none: Some(".internal".to_owned()) };
    ask(&service, proxies.clone()).await;
    assert_eq!(first(&served).as_deref(), Some("PUT /latest/api/token HTTP/1.1"));
    // Nobody has that name; what counts is that the proxy is not asked.
    ask("http://service.internal", proxies).await;
    assert_eq!(first(&seen), None);
}

#[test]
fn the_metadata_services_are_never_behind_a_proxy() {
    for address in ["169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::254", "fd00:ec2::23"] {
        assert!(DIRECT.split(',').any(|direct| direct == address), "{address}");
    }
}

#[test]
fn a_proxy_that_is_no_url_is_refused_without_its_password() {
    let proxies = Proxies { https: Some("user:hunter2 @proxy".to_owned()), ..Proxies::default() };
    let debug = format!("{proxies:?}");
    let error = http_client(&HttpOptions { ca_bundle: None, proxies }).unwrap_err().to_string();
    assert!(
        error.contains("HTTPS_PROXY") && !error.contains("hunter2") && !debug.contains("hunter2"),
        "{error} {debug}"
    );
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the test writes the file that it reads")]
fn a_bundle_that_would_make_the_tls_library_panic_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.pem");
    let key = rcgen::KeyPair::generate().unwrap();
    let good = rcgen::CertificateParams::new(vec![]).unwrap().self_signed(&key).unwrap().pem();
    let refusal = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let options = HttpOptions { ca_bundle: Some(path.clone()), ..HttpOptions::default() };
        http_client(&options).err().map(|error| error.to_string())
    };
    assert_eq!(refusal(&good), None);
    assert_eq!(refusal(&format!("# two of them\n{good}\n{good}")), None);
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for text in ["", "not PEM", broken, &format!("{good}{broken}"), "-----BEGIN CERTIFICATE-----\n%%%"] {
        let refusal = refusal(text).unwrap_or_else(|| panic!("taken: {text}"));
        assert!(refusal.contains(path.to_str().unwrap()), "{refusal}");
    }
    let options = HttpOptions { ca_bundle: Some(dir.path().to_owned()), ..HttpOptions::default() };
    assert!(http_client(&options).unwrap_err().to_string().contains("regular file"));
}
