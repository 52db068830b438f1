//! Who may ask: signatures, keys, clocks. Requests are signed by the SDK's own signer.

use safeguard_standins::{CloudWatch, Credential, Op, Options};
use serde_json::json;

use crate::client::{Clock, NOW, Reply, Signing, batch, request, sdk, sdk_with, send};

async fn signed() -> (CloudWatch, Clock) {
    let clock = Clock::new();
    let cloud = CloudWatch::start(clock.options()).await.unwrap();
    cloud.create_stream("g", "s");
    (cloud, clock)
}

async fn put_signed(cloud: &CloudWatch, signing: &Signing) -> Reply {
    put_changed(cloud, signing, |_| {}).await
}

/// Signs a PutLogEvents, then changes it.
async fn put_changed(cloud: &CloudWatch, signing: &Signing, change: impl FnOnce(&mut http::Request<Vec<u8>>)) -> Reply {
    let mut request = request(cloud, "PutLogEvents", batch(&[(NOW, "x")]).to_string());
    signing.apply(&mut request);
    change(&mut request);
    send(cloud, request).await.unwrap()
}

#[tokio::test]
async fn lasting_and_temporary_keys_are_accepted() {
    let (cloud, _) = signed().await;
    for credential in [cloud.credential(), cloud.issue(None), cloud.issue(Some(1))] {
        assert_eq!(put_signed(&cloud, &Signing::new(&credential)).await.status, 200);
    }
    assert_eq!(cloud.events("g", "s").len(), 3);
}

#[tokio::test]
async fn five_minutes_of_skew_are_the_limit() {
    let (cloud, _) = signed().await;
    for (skew, accepted) in [(-300_000, true), (-301_000, false), (300_000, true), (301_000, false)] {
        let signing = Signing { at_ms: NOW + skew, ..Signing::new(&cloud.credential()) };
        let reply = put_signed(&cloud, &signing).await;
        assert_eq!(reply.kind(), if accepted { "" } else { "InvalidSignatureException" }, "{skew}");
        assert_eq!(reply.headers["date"], "Fri, 02 Jan 2026 03:04:05 GMT");
    }
    let late = Signing { at_ms: NOW - 301_000, ..Signing::new(&cloud.credential()) };
    assert_eq!(
        put_signed(&cloud, &late).await.message(),
        "Signature expired: 20260102T025904Z is now earlier than 20260102T025905Z (20260102T030405Z - 5 min.)"
    );
}

#[tokio::test]
async fn anything_changed_after_signing_is_noticed() {
    let (cloud, _) = signed().await;
    let signing = Signing::new(&cloud.issue(None));
    type Change = fn(&mut http::Request<Vec<u8>>);
    let changes: [(&str, Change); 7] = [
        ("body", |r| *r.body_mut() = batch(&[(NOW, "y")]).to_string().into_bytes()),
        ("target", |r| drop(r.headers_mut().insert("x-amz-target", "Logs_20140328.DeleteLogGroup".parse().unwrap()))),
        ("host", |r| drop(r.headers_mut().insert("host", "elsewhere".parse().unwrap()))),
        ("date", |r| drop(r.headers_mut().insert("x-amz-date", "20260102T030406Z".parse().unwrap()))),
        ("query", |r| *r.uri_mut() = "/?x=1".parse().unwrap()),
        ("unsigned header", |r| drop(r.headers_mut().insert("x-amz-logs-format", "json/emf".parse().unwrap()))),
        ("claimed hash", |r| {
            drop(r.headers_mut().insert("x-amz-content-sha256", "UNSIGNED-PAYLOAD".parse().unwrap()));
        }),
    ];
    for (what, change) in changes {
        assert_eq!(put_changed(&cloud, &signing, change).await.kind(), "InvalidSignatureException", "{what}");
    }
    assert!(cloud.events("g", "s").is_empty());
    assert_eq!(cloud.groups().len(), 1);
}

#[tokio::test]
async fn the_scope_is_this_service_in_this_region() {
    let (cloud, _) = signed().await;
    let right = Signing::new(&cloud.credential());
    for wrong in [
        Signing { region: "eu-west-1".to_owned(), ..right.clone() },
        Signing { service: "s3".to_owned(), ..right.clone() },
    ] {
        assert_eq!(put_signed(&cloud, &wrong).await.kind(), "InvalidSignatureException");
    }
    assert_eq!(put_signed(&cloud, &right).await.status, 200);
}

#[tokio::test]
async fn keys_that_are_wrong_in_each_way_get_their_own_error() {
    let (cloud, clock) = signed().await;
    let temporary = cloud.issue(Some(60_000));
    let cases = [
        (Credential { access_key_id: "AKIANOBODY".to_owned(), ..temporary.clone() }, "UnrecognizedClientException"),
        (Credential { session_token: None, ..temporary.clone() }, "UnrecognizedClientException"),
        (Credential { session_token: Some("other".to_owned()), ..temporary.clone() }, "UnrecognizedClientException"),
        (Credential { session_token: Some("any".to_owned()), ..cloud.credential() }, "UnrecognizedClientException"),
        (Credential { secret_access_key: "wrong".to_owned(), ..temporary.clone() }, "InvalidSignatureException"),
        (temporary.clone(), ""),
    ];
    for (credential, kind) in cases {
        assert_eq!(put_signed(&cloud, &Signing::new(&credential)).await.kind(), kind);
    }
    clock.set(NOW + 59_999);
    assert_eq!(put_signed(&cloud, &Signing::new(&temporary)).await.status, 200);
    clock.set(NOW + 60_000);
    assert_eq!(put_signed(&cloud, &Signing::new(&temporary)).await.kind(), "ExpiredTokenException");
    cloud.revoke(&temporary.access_key_id);
    assert_eq!(put_signed(&cloud, &Signing::new(&temporary)).await.kind(), "UnrecognizedClientException");
    assert_eq!(cloud.counts().errors(Op::PutLogEvents, "ExpiredTokenException"), 1);
}

#[tokio::test]
async fn an_unsigned_or_half_signed_request_is_refused() {
    let (cloud, _) = signed().await;
    let signing = Signing::new(&cloud.credential());
    let missing = put_changed(&cloud, &signing, |r| drop(r.headers_mut().remove("authorization"))).await;
    assert_eq!(missing.kind(), "MissingAuthenticationTokenException");
    let no_date = put_changed(&cloud, &signing, |r| drop(r.headers_mut().remove("x-amz-date"))).await;
    assert_eq!(no_date.kind(), "IncompleteSignatureException");
    for header in ["Bearer x", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host"] {
        let reply =
            put_changed(&cloud, &signing, |r| drop(r.headers_mut().insert("authorization", header.parse().unwrap())))
                .await;
        assert_eq!(reply.kind(), "IncompleteSignatureException", "{header}");
    }
}

#[tokio::test]
async fn the_sdk_is_accepted_and_told_why_when_not() {
    let cloud = CloudWatch::start(Options::default()).await.unwrap();
    sdk(&cloud).create_log_group().log_group_name("g").send().await.unwrap();
    let temporary = cloud.issue(Some(600_000));
    sdk_with(&cloud, &temporary).create_log_group().log_group_name("h").send().await.unwrap();
    cloud.revoke(&temporary.access_key_id);
    let error = sdk_with(&cloud, &temporary).create_log_group().log_group_name("i").send().await.unwrap_err();
    let meta = error.as_service_error().unwrap().meta().clone();
    assert_eq!(meta.code(), Some("UnrecognizedClientException"));
    assert_eq!(meta.message(), Some("The security token included in the request is invalid."));
}

#[tokio::test]
async fn the_credentials_endpoint_gives_keys_that_work_and_expire() {
    let (cloud, clock) = signed().await;
    cloud.set_credentials_lifetime(900_000);
    let (status, body) = get(&cloud.credentials_url(), None).await;
    assert_eq!(status, 200);
    assert_eq!(body["Expiration"], json!("2026-01-02T03:19:05Z"));
    let text = |member: &str| body[member].as_str().unwrap().to_owned();
    let credential = Credential {
        access_key_id: text("AccessKeyId"),
        secret_access_key: text("SecretAccessKey"),
        session_token: Some(text("Token")),
        expires_at_ms: None,
    };
    assert_eq!(put_signed(&cloud, &Signing::new(&credential)).await.status, 200);
    clock.set(NOW + 900_000);
    let now = Signing { at_ms: NOW + 900_000, ..Signing::new(&credential) };
    assert_eq!(put_signed(&cloud, &now).await.kind(), "ExpiredTokenException");
    let (_, other) = get(&cloud.credentials_url(), None).await;
    assert_ne!(other["AccessKeyId"], body["AccessKeyId"]);
    assert_eq!(cloud.credentials_served(), 2);

    cloud.set_credentials_authorization(Some("secret token".to_owned()));
    assert_eq!(get(&cloud.credentials_url(), None).await.0, 401);
    assert_eq!(get(&cloud.credentials_url(), Some("secret token")).await.0, 200);
    cloud.set_credentials_status(500);
    assert_eq!(get(&cloud.credentials_url(), Some("secret token")).await.0, 500);
}

async fn get(url: &str, authorization: Option<&str>) -> (u16, serde_json::Value) {
    use http_body_util::{BodyExt as _, Empty};
    let uri: http::Uri = url.parse().unwrap();
    let stream = tokio::net::TcpStream::connect(uri.authority().unwrap().as_str()).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut request = http::Request::get(uri.path()).header("host", "x");
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    let reply = sender.send_request(request.body(Empty::<bytes::Bytes>::new()).unwrap()).await.unwrap();
    let status = reply.status().as_u16();
    let body = reply.into_body().collect().await.unwrap().to_bytes();
    connection.abort();
    (status, serde_json::from_slice(&body).unwrap())
}
