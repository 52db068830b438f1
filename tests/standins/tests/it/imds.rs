//! The instance metadata service: tokens, paths, the node's credentials, and the account of who asked for what.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use aws_config::provider_config::ProviderConfig;
use aws_sdk_cloudwatchlogs::config::ProvideCredentials;
use aws_smithy_http_client::Builder as HttpBuilder;
use safeguard_standins::{
    Account, Clock, CloudWatch, Credential, Imds, ImdsOptions, Options, Trouble,
    imds::{HttpTokens, NodeRole, Part, Shown},
};

use crate::{
    client::{NOW, sdk_with},
    http::{Reply, raw, request, send},
};

const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
const TOKEN: &str = "x-aws-ec2-metadata-token";
const CREDENTIALS: &str = "/latest/meta-data/iam/security-credentials";

async fn start() -> Imds {
    start_with(|_| {}).await
}

async fn start_with(change: impl FnOnce(&mut ImdsOptions)) -> Imds {
    let mut options = ImdsOptions::new(Account::new("123456789012").unwrap());
    change(&mut options);
    Imds::start(options).await.unwrap()
}

async fn ask(imds: &Imds, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
    send(imds.addr(), request(method, path, headers)).await.unwrap()
}

async fn token(imds: &Imds) -> String {
    ask(imds, "PUT", "/latest/api/token", &[(TTL, "60")]).await.body
}

/// Reads with a fresh token.
async fn read(imds: &Imds, path: &str) -> Reply {
    let token = token(imds).await;
    ask(imds, "GET", path, &[(TOKEN, &token)]).await
}

fn moved(options: &mut ImdsOptions) -> Arc<AtomicI64> {
    let clock = Arc::new(AtomicI64::new(NOW));
    let shown = Arc::clone(&clock);
    options.clock = Clock::new(move || shown.load(Ordering::Relaxed));
    clock
}

#[tokio::test]
async fn a_token_is_had_by_put_with_a_life_of_1_to_21600_seconds() {
    let imds = start().await;
    for (ttl, status) in [
        ("1", 200),
        ("21600", 200),
        ("0", 400),
        ("21601", 400),
        ("", 400),
        ("+60", 400),
        ("6e1", 400),
        ("-1", 400),
        ("99999999999999999999", 400),
    ] {
        let reply = ask(&imds, "PUT", "/latest/api/token", &[(TTL, ttl)]).await;
        assert_eq!(reply.status, status, "{ttl}");
        if status == 200 {
            assert_eq!((reply.header(TTL), reply.header("content-type")), (ttl, "text/plain"));
            assert_eq!((reply.body.len(), reply.body.ends_with("==")), (56, true));
        }
    }
    assert_eq!(ask(&imds, "PUT", "/latest/api/token", &[]).await.status, 400);
    assert_eq!(ask(&imds, "GET", "/latest/api/token", &[(TTL, "60")]).await.status, 405);
    assert_ne!(token(&imds).await, token(&imds).await);
}

#[tokio::test]
async fn a_put_that_was_forwarded_or_names_a_version_is_forbidden() {
    let imds = start().await;
    let forwarded = ask(&imds, "PUT", "/latest/api/token", &[(TTL, "60"), ("X-Forwarded-For", "10.0.0.1")]).await;
    assert_eq!(forwarded.status, 403);
    assert_eq!(ask(&imds, "PUT", "/2021-03-23/api/token", &[(TTL, "60")]).await.status, 403);
    assert_eq!(ask(&imds, "PUT", "/latest/meta-data/instance-id", &[(TTL, "60")]).await.status, 405);
    assert_eq!(ask(&imds, "POST", "/latest/api/token", &[(TTL, "60")]).await.status, 405);
    let requests = imds.requests();
    assert_eq!(requests[0].forwarded(), [&("x-forwarded-for".to_owned(), "10.0.0.1".to_owned())]);
    assert!(requests[1].forwarded().is_empty());
}

#[tokio::test]
async fn a_token_that_is_wrong_or_past_its_time_is_refused_even_where_none_is_needed() {
    let mut clock = None;
    let imds = start_with(|options| clock = Some(moved(options))).await;
    let clock = clock.unwrap();
    let path = "/latest/meta-data/instance-id";
    let token = token(&imds).await;
    assert_eq!(ask(&imds, "GET", path, &[]).await.status, 401);
    imds.set_http_tokens(HttpTokens::Optional);
    assert_eq!(ask(&imds, "GET", path, &[]).await.body, "i-0123456789abcdef0");
    assert_eq!(ask(&imds, "GET", path, &[(TOKEN, "wrong")]).await.status, 401);
    clock.store(NOW + 59_999, Ordering::Relaxed);
    assert_eq!(ask(&imds, "GET", path, &[(TOKEN, &token)]).await.status, 200);
    clock.store(NOW + 60_000, Ordering::Relaxed);
    assert_eq!(ask(&imds, "HEAD", path, &[(TOKEN, &token)]).await.status, 401);
    let shown: Vec<Shown> = imds.requests().iter().map(|request| request.token).collect();
    assert_eq!(shown, [Shown::None, Shown::None, Shown::None, Shown::Wrong, Shown::Valid, Shown::Expired]);
}

#[tokio::test]
async fn ending_all_tokens_and_turning_it_off_show() {
    let imds = start().await;
    let token = token(&imds).await;
    imds.expire_tokens();
    assert_eq!(ask(&imds, "GET", "/latest/meta-data/", &[(TOKEN, &token)]).await.status, 401);
    imds.set_enabled(false);
    assert_eq!(ask(&imds, "PUT", "/latest/api/token", &[(TTL, "60")]).await.status, 403);
    assert_eq!(ask(&imds, "GET", "/latest/meta-data/", &[]).await.status, 403);
}

#[tokio::test]
async fn replies_have_the_form_of_ec2ws() {
    let imds = start().await;
    let found = read(&imds, "/latest/meta-data/placement/region").await;
    assert_eq!((found.body.as_str(), found.header("content-type")), ("us-east-1", "text/plain"));
    assert_eq!((found.header("server"), found.header("connection")), ("EC2ws", "close"));
    assert_eq!(found.header("accept-ranges"), "none");
    let missing = read(&imds, "/latest/meta-data/nothing").await;
    assert_eq!((missing.status, missing.header("content-type")), (404, "text/html"));
    assert!(missing.body.starts_with("<?xml version=\"1.0\" encoding=\"iso-8859-1\"?>\n<!DOCTYPE html"));
    assert!(missing.body.contains("<title>404 - Not Found</title>"));
    let keeping = start_with(|options| options.keep_alive = true).await;
    assert_eq!(read(&keeping, "/").await.header("connection"), "");
    let token = token(&imds).await;
    let head = ask(&imds, "HEAD", "/latest/meta-data/placement/region", &[(TOKEN, &token)]).await;
    assert_eq!((head.status, head.header("content-length"), head.body.as_str()), (200, "9", ""));
}

#[tokio::test]
async fn paths_are_listed_and_found_with_and_without_slashes() {
    let imds = start().await;
    let versions = read(&imds, "/").await.body;
    assert!(versions.starts_with("1.0\n2007-01-19\n") && versions.ends_with("\n2021-03-23\nlatest"));
    for path in ["/latest", "/latest/", "//latest//", "/2021-03-23"] {
        assert_eq!(read(&imds, path).await.body, "dynamic\nmeta-data\nuser-data", "{path}");
    }
    let list = read(&imds, "/latest/meta-data").await.body;
    assert_eq!(list, read(&imds, "/latest/meta-data/").await.body);
    for name in ["iam/", "identity-credentials/", "instance-id", "placement/", "network/", "hostname"] {
        assert!(list.lines().any(|line| line == name), "{name}");
    }
    let macs = read(&imds, "/latest/meta-data/network/interfaces/macs").await.body;
    assert_eq!(macs, "02:29:96:8f:6a:2d/");
    let vpc = read(&imds, &format!("/latest/meta-data/network/interfaces/macs/{macs}vpc-id")).await;
    assert_eq!(vpc.body, "vpc-0123456789abcdef0");
    for path in ["/Latest/meta-data", "/latest/Meta-Data", "/2222-01-01/meta-data", "/latest/meta-data/%2569am"] {
        assert_eq!(read(&imds, path).await.status, 404, "{path}");
    }
    assert_eq!(read(&imds, "//latest/meta-data//%69nstance-id/").await.body, "i-0123456789abcdef0");
    assert_eq!(read(&imds, "/latest/meta-data/tags/instance").await.status, 404);
    imds.set("meta-data/tags/instance/Name", Some("a b"));
    assert_eq!(read(&imds, "/latest/meta-data/tags/instance/").await.body, "Name");
    imds.set("meta-data/tags", None);
    assert_eq!(read(&imds, "/latest/meta-data/tags/").await.status, 404);
    let document = read(&imds, "/latest/dynamic/instance-identity/document").await.json();
    assert_eq!((&document["region"], &document["accountId"]), (&"us-east-1".into(), &"123456789012".into()));
}

#[tokio::test]
async fn the_nodes_credentials_are_laid_out_as_the_service_does_and_work() {
    let account = Account::new("123456789012").unwrap();
    let imds = Imds::start(ImdsOptions::new(account.clone())).await.unwrap();
    let cloud = CloudWatch::start(Options { keys: Some(account.clone()), ..Options::default() }).await.unwrap();
    for list in [CREDENTIALS.to_owned(), format!("{CREDENTIALS}/"), format!("{CREDENTIALS}-extended/")] {
        assert_eq!(read(&imds, &list).await.body, "node");
    }
    let plain = read(&imds, &format!("{CREDENTIALS}/node")).await;
    let lines: Vec<&str> =
        plain.body.lines().map(|line| line.split_once(" : ").map_or(line, |(name, _)| name)).collect();
    assert_eq!(
        lines,
        [
            "{",
            "  \"Code\"",
            "  \"LastUpdated\"",
            "  \"Type\"",
            "  \"AccessKeyId\"",
            "  \"SecretAccessKey\"",
            "  \"Token\"",
            "  \"Expiration\"",
            "}"
        ]
    );
    assert_eq!(read(&imds, &format!("{CREDENTIALS}/node/")).await.body, plain.body);
    assert_eq!(read(&imds, &format!("{CREDENTIALS}/other")).await.status, 404);
    let extended = read(&imds, &format!("{CREDENTIALS}-extended/node")).await.json();
    assert_eq!(extended["AccountId"], "123456789012");
    let info = read(&imds, "/latest/meta-data/iam/info").await.json();
    assert_eq!(info["InstanceProfileArn"], "arn:aws:iam::123456789012:instance-profile/node");

    let key = credential(&plain);
    let principal = account.principal(&key.access_key_id).unwrap();
    assert_eq!(principal.arn(), "arn:aws:sts::123456789012:assumed-role/node/i-0123456789abcdef0");
    assert!(imds.is_node_key(&key.access_key_id));
    sdk_with(&cloud, &key).create_log_group().log_group_name("g").send().await.unwrap();

    let own = read(&imds, "/latest/meta-data/identity-credentials/ec2/security-credentials/ec2-instance").await;
    let own = credential(&own).access_key_id;
    assert_eq!(
        account.principal(&own).unwrap().arn(),
        "arn:aws:sts::123456789012:assumed-role/aws:ec2-instance/i-0123456789abcdef0"
    );
    assert_eq!(imds.keys().len(), 2);
}

fn credential(reply: &Reply) -> Credential {
    let json = reply.json();
    let text = |name: &str| json[name].as_str().unwrap().to_owned();
    Credential {
        access_key_id: text("AccessKeyId"),
        secret_access_key: text("SecretAccessKey"),
        session_token: Some(text("Token")),
        expires_at_ms: None,
    }
}

#[tokio::test]
async fn keys_live_6_hours_and_are_renewed_every_hour() {
    let mut clock = None;
    let imds = start_with(|options| clock = Some(moved(options))).await;
    let clock = clock.unwrap();
    let path = format!("{CREDENTIALS}/node");
    let first = read(&imds, &path).await.json();
    assert_eq!(
        (&first["LastUpdated"], &first["Expiration"]),
        (&"2026-01-02T03:04:05Z".into(), &"2026-01-02T09:04:05Z".into())
    );
    clock.store(NOW + 3_599_999, Ordering::Relaxed);
    assert_eq!(read(&imds, &path).await.json(), first);
    clock.store(NOW + 3_600_000, Ordering::Relaxed);
    assert_ne!(read(&imds, &path).await.json()["AccessKeyId"], first["AccessKeyId"]);
    imds.set_credentials_lifetime(900_000);
    assert_eq!(read(&imds, &path).await.json()["Expiration"], "2026-01-02T04:19:05Z");
    let second = read(&imds, &path).await.json();
    imds.renew_credentials();
    assert_ne!(read(&imds, &path).await.json(), second);
}

#[tokio::test]
async fn a_role_can_fail_change_and_go() {
    let imds = start_with(|options| options.extended = false).await;
    assert_eq!(read(&imds, &format!("{CREDENTIALS}-extended/")).await.status, 404);
    assert_eq!(read(&imds, "/latest/meta-data/iam").await.body, "info\nsecurity-credentials/");
    imds.set_failure(Some("AssumeRoleUnauthorizedAccess".to_owned()));
    let failed = read(&imds, &format!("{CREDENTIALS}/node")).await;
    assert_eq!((failed.status, &failed.json()["Code"]), (200, &"AssumeRoleUnauthorizedAccess".into()));
    imds.set_failure(None);
    imds.set_role(Some(NodeRole::new("123456789012", "path/other")));
    assert_eq!(read(&imds, CREDENTIALS).await.body, "other");
    imds.set_role(None);
    for path in ["/latest/meta-data/iam/", "/latest/meta-data/iam/info", CREDENTIALS] {
        assert_eq!(read(&imds, path).await.status, 404, "{path}");
    }
    assert!(!read(&imds, "/latest/meta-data/").await.body.contains("iam/"));
}

#[tokio::test]
async fn every_request_is_kept_as_it_came_and_the_sensitive_ones_are_found() {
    let imds = start().await;
    imds.mark("pods");
    ask(&imds, "GET", "//latest/meta-data/%69am/info?x", &[("user-agent", "curl"), ("via", "1.1 p")]).await;
    ask(&imds, "GET", "/latest/meta-data/instance-id", &[]).await;
    imds.mark("node");
    read(&imds, &format!("{CREDENTIALS}/node")).await;
    let requests = imds.requests();
    assert_eq!(requests.len(), 4);
    let first = &requests[0];
    assert_eq!((first.method.as_str(), first.path.as_str()), ("GET", "//latest/meta-data/%69am/info?x"));
    assert_eq!((first.user_agent(), first.status, first.mark.as_str()), ("curl", Some(401), "pods"));
    assert_eq!(first.forwarded(), [&("via".to_owned(), "1.1 p".to_owned())]);
    assert!(first.peer.ip().is_loopback() && first.peer.port() != 0);
    let all: Vec<u64> = imds.sensitive_requests(|_| false).iter().map(|request| request.serial).collect();
    assert_eq!(all, [1, 4]);
    assert_eq!(imds.sensitive_requests(|request| request.mark == "node").len(), 1);
    imds.forget_requests();
    assert!(imds.requests().is_empty());
}

#[tokio::test]
async fn what_is_not_http_is_kept_too() {
    let imds = start().await;
    for bytes in [
        &b"GET /latest/meta-data/iam HTTP/9.9\r\n\r\n"[..],
        b"GET /latest/\x01 HTTP/1.1\r\n\r\n",
        b"GET  /latest/user-data HTTP/1.1\r\nhost: x\r\n\r\n",
    ] {
        assert!(raw(imds.addr(), bytes).await.starts_with("HTTP/1.1 400 "), "{bytes:?}");
    }
    let requests = imds.sensitive_requests(|_| false);
    assert_eq!(requests.len(), 3);
    assert!(requests.iter().all(|request| request.method.is_empty()));
    assert!(requests[0].path.starts_with("GET /latest/meta-data/iam HTTP/9.9"));
}

#[tokio::test]
async fn beyond_the_limit_only_sensitive_requests_are_kept() {
    let imds = start_with(|options| options.max_requests = 1).await;
    for path in ["/", "/latest/meta-data/", "/latest/user-data"] {
        ask(&imds, "GET", path, &[]).await;
    }
    let kept: Vec<String> = imds.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(kept, ["/", "/latest/user-data"]);
    assert_eq!((imds.requests_seen(), imds.requests_dropped()), (3, 1));
}

#[tokio::test]
async fn replies_to_a_put_pass_one_hop_and_others_as_many_as_usual() {
    let imds = start_with(|options| options.http_tokens = HttpTokens::Optional).await;
    assert_eq!(from_afar(&imds, "PUT").await, "nothing");
    assert!(from_afar(&imds, "GET").await.starts_with("HTTP/1.1 200"));
    assert_eq!(imds.requests().len(), 2);
    let unlimited = start_with(|options| options.hop_limit = 0).await;
    assert!(from_afar(&unlimited, "PUT").await.starts_with("HTTP/1.1 200"));
}

/// Asks on a socket that takes only packets that could pass 63 more routers.
async fn from_afar(imds: &Imds, method: &'static str) -> String {
    const SCRIPT: &str = "
import socket, sys
IP_MINTTL = 21
s = socket.socket()
s.setsockopt(socket.IPPROTO_IP, IP_MINTTL, 64)
s.settimeout(1)
s.connect(('127.0.0.1', int(sys.argv[1])))
path = {'PUT': '/latest/api/token', 'GET': '/'}[sys.argv[2]]
s.sendall(f'{sys.argv[2]} {path} HTTP/1.1\\r\\nhost: x\\r\\nx-aws-ec2-metadata-token-ttl-seconds: 60\\r\\n\\r\\n'.encode())
try:
    print(s.recv(12).decode())
except TimeoutError:
    print('nothing')
";
    let port = imds.addr().port().to_string();
    #[expect(clippy::disallowed_methods, reason = "Rust's safe interfaces to sockets cannot ask for IP_MINTTL")]
    let run = move || std::process::Command::new("python3").args(["-c", SCRIPT, &port, method]).output();
    let output = tokio::task::spawn_blocking(run).await.unwrap().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn troubles_happen_to_the_part_they_are_for() {
    let imds = start_with(|options| options.http_tokens = HttpTokens::Optional).await;
    let path = "/latest/meta-data/instance-id";
    imds.troubles().next(Part::Token, 1, Trouble::status(503));
    imds.troubles().next(Part::Data, 1, Trouble::Reset);
    imds.troubles().next(Part::Data, 1, Trouble::CutBody);
    imds.troubles().next(Part::Data, 1, Trouble::HalfBody);
    assert_eq!(imds.troubles().pending(), 4);
    let refused = ask(&imds, "PUT", "/latest/api/token", &[(TTL, "60")]).await;
    assert_eq!((refused.status, refused.header("server")), (503, "EC2ws"));
    assert_eq!(ask(&imds, "PUT", "/latest/api/token", &[(TTL, "60")]).await.status, 200);
    for _ in 0..2 {
        send(imds.addr(), request("GET", path, &[])).await.unwrap_err();
    }
    assert_eq!(ask(&imds, "GET", path, &[]).await.body, "i-0123456");
    let quick = Duration::from_millis(50);
    imds.troubles().when(move |request| request.path.ends_with("mac").then_some(Trouble::Latency(quick)));
    let before = tokio::time::Instant::now();
    assert_eq!(ask(&imds, "GET", path, &[]).await.status, 200);
    assert_eq!(ask(&imds, "GET", "/latest/meta-data/mac", &[]).await.status, 200);
    assert!(before.elapsed() >= quick);
    imds.troubles().clear();
    for trouble in [Trouble::Hang, Trouble::HangAfterHeaders] {
        imds.troubles().next(Part::Data, 1, trouble);
        let hanging = send(imds.addr(), request("GET", path, &[]));
        tokio::time::timeout(quick, hanging).await.unwrap_err();
    }
    imds.troubles().next(Part::Data, 1, Trouble::Page(200).after(quick));
    assert!(ask(&imds, "GET", path, &[]).await.body.starts_with("<html>"));
    imds.troubles().next(Part::Data, 1, Trouble::Empty);
    assert_eq!(ask(&imds, "GET", path, &[]).await.body, "");
    assert_eq!(imds.requests().iter().filter(|request| request.status.is_none()).count(), 2);
    imds.go_down().await;
    send(imds.addr(), request("GET", path, &[])).await.unwrap_err();
    imds.come_up().await.unwrap();
    assert_eq!(ask(&imds, "GET", path, &[]).await.status, 200);
}

#[tokio::test]
async fn the_sdks_client_gets_the_nodes_credentials() {
    let account = Account::new("123456789012").unwrap();
    let imds = Imds::start(ImdsOptions::new(account.clone())).await.unwrap();
    let cloud = CloudWatch::start(Options { keys: Some(account), ..Options::default() }).await.unwrap();
    let provider = ProviderConfig::empty().with_http_client(HttpBuilder::new().build_http());
    let client = aws_config::imds::Client::builder().configure(&provider).endpoint(imds.url()).unwrap().build();
    let region = client.get("/latest/meta-data/placement/region").await.unwrap();
    assert_eq!(region.as_ref(), "us-east-1");
    let credentials = aws_config::imds::credentials::ImdsCredentialsProvider::builder().imds_client(client).build();
    let key = credentials.provide_credentials().await.unwrap();
    assert!(imds.is_node_key(key.access_key_id()));
    assert!(key.expiry().is_some());
    let key = Credential {
        access_key_id: key.access_key_id().to_owned(),
        secret_access_key: key.secret_access_key().to_owned(),
        session_token: key.session_token().map(str::to_owned),
        expires_at_ms: None,
    };
    sdk_with(&cloud, &key).create_log_group().log_group_name("g").send().await.unwrap();
}
