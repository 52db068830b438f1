use super::*;
use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::time::Instant;

const IDENTITY: &str = r#"{"accountId":"123456789012","architecture":"x86_64","availabilityZone":"eu-central-1b",
    "imageId":"ami-1","instanceId":"i-0123456789abcdef0","instanceType":"m7i.large","privateIp":"10.0.0.9",
    "region":"eu-central-1","version":"2017-09-30"}"#;

/// Answers version 2 alone: a token is fetched with PUT and shown with every GET.
pub(crate) async fn service(answer: fn(&str) -> (u16, &'static str)) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(move |request: Request<Incoming>| async move {
                let shown = request.headers().get("x-aws-ec2-metadata-token").is_some_and(|token| token == "secret");
                let (status, body) = match (request.method(), request.uri().path()) {
                    (&Method::PUT, "/latest/api/token") => (200, "secret"),
                    (&Method::GET, path) if shown => answer(path),
                    _ => (401, "no token"),
                };
                let response = Response::builder().status(status);
                let response = response.header("x-aws-ec2-metadata-token-ttl-seconds", "21600");
                Ok::<_, Infallible>(response.body(Full::new(Bytes::from_static(body.as_bytes()))).unwrap())
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    url
}

#[tokio::test]
async fn the_document_is_read_with_a_token() {
    let url = service(|path| if path == DOCUMENT { (200, IDENTITY) } else { (404, "") }).await;
    let identity = identity(Some(&url), Wanted::default()).await.unwrap();
    assert_eq!(identity.region, "eu-central-1");
    assert_eq!(identity.account, "123456789012");
    assert_eq!(identity.instance_id, "i-0123456789abcdef0");
    assert_eq!((identity.instance_type.as_str(), identity.availability_zone.as_str()), ("m7i.large", "eu-central-1b"));
    assert_eq!((identity.local_hostname, identity.tags.len()), (None, 0));
}

#[tokio::test]
async fn host_name_and_tags_are_read_where_they_are_wanted() {
    let url = service(|path| match path {
        DOCUMENT => (200, IDENTITY),
        LOCAL_HOSTNAME => (200, "ip-10-0-0-9.internal ip-10-0-0-9.example"),
        "/latest/meta-data/tags/instance" => (200, "Name\neks:cluster-name\nkubernetes.io/cluster/prod\nwith blank"),
        "/latest/meta-data/tags/instance/eks:cluster-name" => (200, "prod"),
        "/latest/meta-data/tags/instance/kubernetes.io/cluster/prod" => (200, "owned"),
        "/latest/meta-data/tags/instance/with%20blank" => (200, "yes"),
        _ => (500, "not asked for"),
    })
    .await;
    let wanted = Wanted { local_hostname: true, tags: &["eks:cluster-name", "kubernetes.io/cluster/*", "with blank"] };
    let identity = identity(Some(&url), wanted).await.unwrap();
    assert_eq!(identity.local_hostname.as_deref(), Some("ip-10-0-0-9.internal"));
    let tags: Vec<(&str, &str)> = identity.tags.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(tags, [("eks:cluster-name", "prod"), ("kubernetes.io/cluster/prod", "owned"), ("with blank", "yes")]);
}

#[tokio::test]
async fn tags_that_are_not_enabled_are_no_error() {
    let url = service(|path| if path == DOCUMENT { (200, IDENTITY) } else { (404, "") }).await;
    let wanted = Wanted { local_hostname: true, tags: &["eks:cluster-name"] };
    let identity = identity(Some(&url), wanted).await.unwrap();
    assert_eq!((identity.local_hostname, identity.tags.len()), (None, 0));
}

#[tokio::test]
async fn a_refusal_names_what_was_asked_for() {
    let url = service(|_| (403, "forbidden")).await;
    let error = identity(Some(&url), Wanted::default()).await.unwrap_err().to_string();
    assert!(error.contains(DOCUMENT) && error.contains("403"), "{error}");
    let url = service(|_| (200, "<html>")).await;
    let error = identity(Some(&url), Wanted::default()).await.unwrap_err().to_string();
    assert!(error.contains("identity document"), "{error}");
    let error = identity(Some("not a url"), Wanted::default()).await.unwrap_err().to_string();
    assert!(error.contains("not a url"), "{error}");
}

#[tokio::test]
async fn a_service_that_hangs_costs_five_seconds_at_most() {
    // Connections wait in the backlog and are never answered.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let start = Instant::now();
    let error = identity(Some(&url), Wanted::default()).await.unwrap_err();
    assert!(start.elapsed() < DEADLINE + Duration::from_secs(2), "{:?}", start.elapsed());
    assert!(!error.to_string().is_empty());
    drop(listener);
}
