//! Who may ask the Security Token Service: signatures in headers and in URLs, tokens for EKS, and the protocol.

use std::{
    sync::atomic::Ordering,
    time::{Duration, UNIX_EPOCH},
};

use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign},
    sign::v4,
};
use safeguard_standins::{Credential, Principal, sts::TokenCheck};

use crate::{
    client::{Signing, credentials},
    http::{Reply, send},
    sts::{ID, Rig},
};

const IDENTITY: &str = "Action=GetCallerIdentity&Version=2011-06-15";
type Change = fn(&mut http::Request<Vec<u8>>);

/// Posts a body, signed, then changed.
async fn post(rig: &Rig, signing: &Signing, body: &str, change: impl FnOnce(&mut http::Request<Vec<u8>>)) -> Reply {
    let mut request = http::Request::post("/")
        .header("host", rig.sts.addr().to_string())
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body.as_bytes().to_vec())
        .unwrap();
    signing.apply(&mut request);
    change(&mut request);
    send(rig.sts.addr(), request).await.unwrap()
}

fn signing(rig: &Rig, key: &Credential) -> Signing {
    Signing { service: "sts".to_owned(), at_ms: rig.clock.load(Ordering::Relaxed), ..Signing::new(key) }
}

/// What stands between the first `<name>` and `</name>`.
fn element<'a>(reply: &'a Reply, name: &str) -> &'a str {
    let after = reply.body.split_once(&format!("<{name}>")).unwrap_or_else(|| panic!("{}", reply.body)).1;
    after.split_once(&format!("</{name}>")).unwrap().0
}

fn refused(reply: &Reply) -> (u16, &str) {
    assert!(reply.body.starts_with("<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"));
    assert_eq!(reply.header("content-type"), "text/xml");
    assert_eq!(element(reply, "RequestId"), reply.header("x-amzn-requestid"));
    assert_eq!(element(reply, "Type"), if reply.status < 500 { "Sender" } else { "Receiver" });
    (reply.status, element(reply, "Code"))
}

#[tokio::test]
async fn signatures_are_refused_in_the_services_words() {
    let rig = Rig::new().await;
    let right = signing(&rig, &rig.user);
    let good = post(&rig, &right, IDENTITY, |_| {}).await;
    assert_eq!((good.status, element(&good, "Arn")), (200, "arn:aws:iam::123456789012:user/alice"));

    let changes: [(Change, u16, &str); 5] = [
        (|r| drop(r.headers_mut().remove("authorization")), 403, "MissingAuthenticationToken"),
        (
            |r| drop(r.headers_mut().insert("authorization", "AWS4-HMAC-SHA256 x".parse().unwrap())),
            400,
            "IncompleteSignature",
        ),
        (|r| r.body_mut().extend_from_slice(b"&x=1"), 403, "SignatureDoesNotMatch"),
        (|r| drop(r.headers_mut().insert("host", "elsewhere".parse().unwrap())), 403, "SignatureDoesNotMatch"),
        (|r| drop(r.headers_mut().insert("x-amz-more", "y".parse().unwrap())), 403, "SignatureDoesNotMatch"),
    ];
    for (change, status, code) in changes {
        assert_eq!(refused(&post(&rig, &right, IDENTITY, change).await), (status, code));
    }
    let wrong = Credential { secret_access_key: "wrong".to_owned(), ..rig.user.clone() };
    let unknown = Credential { access_key_id: "AKIANOBODY".to_owned(), ..rig.user.clone() };
    let now = rig.clock.load(Ordering::Relaxed);
    let expired = rig.account.issue_temporary(Principal::user(ID, "bob"), Some(now));
    let stripped = rig.account.issue_temporary(Principal::user(ID, "bob"), None);
    let stripped = Credential { session_token: None, ..stripped };
    for (signing, code) in [
        (Signing { credential: wrong, ..right.clone() }, "SignatureDoesNotMatch"),
        (Signing { credential: unknown, ..right.clone() }, "InvalidClientTokenId"),
        (Signing { credential: stripped, ..right.clone() }, "InvalidClientTokenId"),
        (Signing { credential: expired, ..right.clone() }, "ExpiredToken"),
        (Signing { region: "eu-west-1".to_owned(), ..right.clone() }, "SignatureDoesNotMatch"),
        (Signing { service: "iam".to_owned(), ..right.clone() }, "SignatureDoesNotMatch"),
        (Signing { at_ms: now - 901_000, ..right.clone() }, "SignatureDoesNotMatch"),
        (Signing { at_ms: now + 901_000, ..right.clone() }, "SignatureDoesNotMatch"),
    ] {
        assert_eq!(refused(&post(&rig, &signing, IDENTITY, |_| {}).await), (403, code));
    }
    let late = post(&rig, &Signing { at_ms: now - 901_000, ..right.clone() }, IDENTITY, |_| {}).await;
    assert!(element(&late, "Message").ends_with("- 15 min.)"), "{}", late.body);
    let calls = rig.sts.calls();
    assert_eq!(calls.iter().filter(|call| call.caller.is_some()).count(), 1);
    for at_ms in [now - 900_000, now + 899_000] {
        assert_eq!(post(&rig, &Signing { at_ms, ..right.clone() }, IDENTITY, |_| {}).await.status, 200);
    }
}

#[tokio::test]
async fn the_protocol_has_one_path_two_methods_and_one_version() {
    let rig = Rig::new().await;
    let right = signing(&rig, &rig.user);
    for (body, status, code) in [
        ("Version=2011-06-15", 400, "MissingAction"),
        ("Action=GetCallerIdentity", 400, "InvalidAction"),
        ("Action=GetCallerIdentity&Version=2011-06-16", 400, "InvalidAction"),
        ("Action=getCallerIdentity&Version=2011-06-15", 400, "InvalidAction"),
        ("Action=GetFederationToken&Version=2011-06-15", 400, "InvalidAction"),
        ("Action=AssumeRole&Version=2011-06-15", 400, "ValidationError"),
        (
            "Action=AssumeRole&Version=2011-06-15&RoleArn=arn:aws:iam::123456789012:role/r&RoleSessionName=ab&DurationSeconds=1e3",
            400,
            "ValidationError",
        ),
    ] {
        assert_eq!(refused(&post(&rig, &right, body, |_| {}).await), (status, code), "{body}");
    }
    let nothing = post(&rig, &right, "Action=AssumeRole&Version=2011-06-15", |_| {}).await;
    assert!(element(&nothing, "Message").starts_with("2 validation errors detected: Value null at 'roleArn'"));
    let changes: [Change; 3] = [
        |r| *r.uri_mut() = "/other".parse().unwrap(),
        |r| *r.method_mut() = http::Method::PUT,
        |r| drop(r.headers_mut().insert("content-type", "application/json".parse().unwrap())),
    ];
    for change in changes {
        assert_eq!(refused(&post(&rig, &right, IDENTITY, change).await).0, 404);
    }
    let large = post(&rig, &right, &"x".repeat(70_000), |_| {}).await;
    assert_eq!(refused(&large), (413, "RequestEntityTooLarge"));
    let hostile = post(&rig, &right, "Action=%3Ca%3E%26&Version=%22", |_| {}).await;
    assert!(element(&hostile, "Message").contains("&lt;a&gt;&amp; for version &quot;"));
}

/// Presigns a GET at a time, with more headers that are signed.
fn presign(key: &Credential, url: &str, at_ms: i64, expires: u64, headers: &[(&str, &str)]) -> String {
    let identity = credentials(key).into();
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(Duration::from_secs(expires));
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region("us-east-1")
        .name("sts")
        .time(UNIX_EPOCH + Duration::from_millis(u64::try_from(at_ms).unwrap()))
        .settings(settings)
        .build()
        .unwrap()
        .into();
    let signable = SignableRequest::new("GET", url, headers.iter().copied(), SignableBody::Bytes(b"")).unwrap();
    let (instructions, _) = sign(signable, &params).unwrap().into_parts();
    let mut request = http::Request::get(url).body(()).unwrap();
    instructions.apply_to_request_http1x(&mut request);
    request.uri().to_string()
}

#[tokio::test]
async fn a_presigned_url_says_who_signed_it() {
    let rig = Rig::new().await;
    let now = rig.clock.load(Ordering::Relaxed);
    let key = rig.account.issue_temporary(Principal::session(format!("arn:aws:iam::{ID}:role/p/r"), "s"), None);
    let get = |url: String| {
        let addr = rig.sts.addr();
        let target = url.split_once(&addr.to_string()).unwrap().1.to_owned();
        async move {
            let request = http::Request::get(target).header("host", addr.to_string()).body(Vec::new()).unwrap();
            send(addr, request).await.unwrap()
        }
    };
    let base = format!("{}/?{IDENTITY}", rig.sts.url());
    let url = presign(&key, &base, now, 60, &[]);
    let reply = get(url.clone()).await;
    assert_eq!(element(&reply, "Arn"), "arn:aws:sts::123456789012:assumed-role/r/s");
    for (from, to) in [("GetCallerIdentity", "GetCallerIdentitx"), ("X-Amz-Expires=60", "X-Amz-Expires=61")] {
        let changed = get(url.replace(from, to)).await;
        assert!(changed.status >= 400, "{to}");
    }
    assert_eq!(refused(&get(format!("{url}&x=1")).await), (403, "SignatureDoesNotMatch"));
    assert_eq!(refused(&get(format!("{url}&X-Amz-Date=20260102T030405Z")).await), (403, "SignatureDoesNotMatch"));
    assert_eq!(refused(&get(base).await), (403, "MissingAuthenticationToken"));
    let old = presign(&key, &format!("{}/?{IDENTITY}", rig.sts.url()), now - 901_000, 60, &[]);
    assert_eq!(refused(&get(old).await), (403, "SignatureDoesNotMatch"));
}

#[tokio::test]
async fn a_token_for_eks_names_its_cluster_and_lasts_15_minutes() {
    let rig = Rig::new().await;
    let now = rig.clock.load(Ordering::Relaxed);
    let session = Principal::session(format!("arn:aws:iam::{ID}:role/node"), "i-1");
    let key = rig.account.issue_temporary(session.clone(), None);
    let base = format!("https://sts.us-east-1.amazonaws.com/?{IDENTITY}");
    let cluster = [("x-k8s-aws-id", "blue")];
    let check = TokenCheck { account: &rig.account, region: "us-east-1", cluster: "blue", endpoints: &[], now_ms: now };
    let url = presign(&key, &base, now, 60, &cluster);
    let token = |url: &str| format!("k8s-aws-v1.{}", base64_simd::URL_SAFE_NO_PAD.encode_to_string(url));
    assert_eq!(check.verify(&token(&url)), Ok(session.clone()));
    assert_eq!(TokenCheck { now_ms: now + 899_000, ..check }.verify(&token(&url)), Ok(session.clone()));

    let fails = |check: TokenCheck<'_>, url: &str, words: &str| {
        let error = check.verify(&token(url)).unwrap_err();
        assert!(error.contains(words), "{words}: {error}");
    };
    fails(TokenCheck { now_ms: now + 901_000, ..check }, &url, "Signature expired");
    fails(TokenCheck { cluster: "green", ..check }, &url, "does not match");
    fails(check, &presign(&key, &base, now, 60, &[]), "x-amz-signedheaders");
    fails(check, &presign(&key, &base, now, 901, &cluster), "x-amz-expires");
    let other = base.replace("GetCallerIdentity", "GetAccessKeyInfo");
    fails(check, &presign(&key, &other, now, 60, &cluster), "action");
    fails(check, &presign(&key, &format!("{base}&Extra=1"), now, 60, &cluster), "non-whitelisted");
    fails(check, &format!("{url}&Version=2011-06-15"), "multiple values");
    let elsewhere = presign(&key, &base.replace("sts.us-east-1", "sts.evil"), now, 60, &cluster);
    fails(check, &elsewhere, "unexpected endpoint");
    fails(check, &url.replace("https", "http"), "unexpected endpoint");
    fails(check, &url.replace("amazonaws.com/", "amazonaws.com/x"), "unexpected path");
    rig.account.revoke(&key.access_key_id);
    fails(check, &url, "UnknownKey");
    assert!(check.verify(&url).unwrap_err().contains("prefix"));
    assert!(check.verify("k8s-aws-v1.%").is_err());

    let endpoints = [rig.sts.url()];
    let check = TokenCheck { endpoints: &endpoints, ..check };
    let own = presign(&rig.user, &format!("{}/?{IDENTITY}", rig.sts.url()), now, 60, &cluster);
    assert_eq!(check.verify(&token(&own)), Ok(Principal::user(ID, "alice")));
}
