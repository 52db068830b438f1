//! Every kind of path, by every method, with every kind of token.

use std::sync::atomic::Ordering;

use super::rig::Rig;
use crate::testing;

const LIST: &str = "/latest/meta-data/iam/security-credentials/";

#[tokio::test]
async fn a_pod_gets_the_credentials_of_its_own_role() {
    let rig = Rig::new().await;
    for (from, role) in [(1, "one"), (2, "two")] {
        let list = rig.get(from, LIST).await;
        assert_eq!((list.status, list.body.as_str()), (200, role), "no line ends it: clients put it into a URL");
        let got = rig.get(from, &format!("{LIST}{role}")).await;
        let document: serde_json::Value = serde_json::from_str(&got.body).unwrap();
        assert_eq!(document["AccessKeyId"], format!("ASIA-{role}"));
        assert_eq!((&document["Code"], &document["Type"]), (&"Success".into(), &"AWS-HMAC".into()));
        assert_eq!(got.headers["content-type"], "text/plain");
        assert_eq!(got.headers["server"], "EC2ws");
        let extended = rig.get(from, &format!("/latest/meta-data/iam/security-credentials-extended/{role}")).await;
        let document: serde_json::Value = serde_json::from_str(&extended.body).unwrap();
        assert_eq!(document["AccountId"], "123456789012");
    }
    let info = rig.get(1, "/latest/meta-data/iam/info").await;
    let info: serde_json::Value = serde_json::from_str(&info.body).unwrap();
    assert_eq!(info["InstanceProfileArn"], "arn:aws:iam::123456789012:instance-profile/one");
    assert_eq!(rig.sts.calls.load(Ordering::SeqCst), 2);
    rig.nothing_leaked();
}

/// jtblin/kube2iam#15: the role in the path has to be the pod's.
#[tokio::test]
async fn no_pod_gets_another_role_by_naming_it() {
    let rig = Rig::new().await;
    for name in ["two", "four", "node", "arn:aws:iam::123456789012:role/two", "One", "one/two", "x/../two", "%74wo"] {
        let got = rig.get(1, &format!("{LIST}{name}")).await;
        assert_eq!(got.status, 404, "{name}");
        assert!(!got.body.contains("ASIA"), "{name}");
    }
    for name in ["one", "one/", "%6fne", "arn:aws:iam::123456789012:role/one"] {
        assert_eq!(rig.get(1, &format!("{LIST}{name}")).await.status, 200, "{name}");
    }
}

#[tokio::test]
async fn whoever_has_no_role_or_may_not_have_it_is_told_so_at_once() {
    let rig = Rig::new().await;
    for path in
        [LIST, "/latest/meta-data/iam/security-credentials", &format!("{LIST}one"), "/latest/meta-data/iam/info"]
    {
        assert_eq!(rig.get(3, path).await.status, 404, "no role: {path}");
        assert_eq!(rig.get(4, path).await.status, 403, "not allowed: {path}");
        assert_eq!(rig.get(9, path).await.status, 503, "nobody: {path}");
    }
    let denied = rig.get(4, &format!("{LIST}four")).await;
    assert!(!denied.body.contains("123456789012") && !denied.body.contains("four"), "{}", denied.body);
    assert_eq!(rig.sts.calls.load(Ordering::SeqCst), 0);
    rig.nothing_leaked();
}

/// Research section 2: {path} x {method} x {token}. What is sensitive is never forwarded, no answer is a redirect, and what a pod gets
/// does not depend on how it writes the path.
#[tokio::test]
async fn every_path_by_every_method_with_every_token() {
    let rig = Rig::new().await;
    let (own, other) = (rig.token(1).await, rig.token(2).await);
    let real = "AQAEALcfrUhW_0wSd8lC3iVyDxvVpzoxLm_5oWgmTzHgBBcKfrEQzQ==".to_owned();
    let tokens = [
        ("none", None),
        ("own", Some(own)),
        ("another pod's", Some(other)),
        ("the real service's", Some(real)),
        ("empty", Some(String::new())),
        ("long", Some("A".repeat(3_000))),
    ];
    let credentials = [
        format!("{LIST}one"),
        format!("{LIST}one/"),
        "//latest/meta-data/iam/security-credentials/one".to_owned(),
        "/latest/./meta-data/iam/x/../security-credentials/one".to_owned(),
        "/latest/meta-data/%69am/security%2dcredentials/one".to_owned(),
        "/2021-03-23/meta-data/iam/security-credentials-extended/one".to_owned(),
    ];
    let withheld = [
        "/latest/user-data",
        "/latest/dynamic/instance-identity/document",
        "/latest/dynamic/instance-identity/pkcs7",
        "/latest/meta-data/identity-credentials/ec2/security-credentials/ec2-instance",
        "/latest/meta-data/IAM/security-credentials/node",
        "/latest/meta-data/iam/security-credentials;a=b/node",
        "/latest/meta-data/public-keys/0/openssh-key",
        "/healthz",
        "/metrics",
        "/debug/store",
        "/",
    ];
    let malformed = [
        "/latest/meta-data/iam%252fsecurity-credentials/node",
        "/latest/meta-data/iam/security-credentials/%00",
        "/latest/meta-data/iam\\security-credentials",
        "/latest/meta-data/iam/security-credentials/a%20b",
    ];
    for (whose, token) in &tokens {
        let headers: Vec<_> = token.iter().map(|token| ("X-aws-ec2-metadata-token", token.as_str())).collect();
        let good = matches!(*whose, "none" | "own");
        for method in ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH"] {
            let data = matches!(method, "GET" | "HEAD");
            let expected = |status: u16| match (data, good) {
                (false, _) => 405,
                (true, false) => 401,
                (true, true) => status,
            };
            let check = async |path: &str, status: u16| {
                let got = rig.ask(1, method, path, &headers).await;
                assert_eq!(got.status, status, "{method} {path} with the token {whose}");
                assert_eq!(got.body.contains("ASIA"), status == 200 && method == "GET", "{method} {path}");
                assert!(!(300..400).contains(&got.status) && !got.headers.contains_key("location"));
            };
            for path in &credentials {
                check(path, expected(200)).await;
            }
            for path in withheld {
                check(path, expected(404)).await;
            }
            for path in malformed {
                check(path, 400).await;
            }
        }
    }
    rig.nothing_leaked();
}

#[tokio::test]
async fn tokens_are_made_as_the_real_service_makes_them() {
    let rig = Rig::new().await;
    let put = async |headers: &[(&str, &str)]| rig.ask(1, "PUT", "/latest/api/token", headers).await.status;
    const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
    assert_eq!(put(&[(TTL, "1")]).await, 200);
    assert_eq!(put(&[(TTL, "21600")]).await, 200);
    for bad in ["0", "21601", "-1", "x", "", "1.5", "99999999999999999999"] {
        assert_eq!(put(&[(TTL, bad)]).await, 400, "{bad}");
    }
    assert_eq!(put(&[]).await, 400);
    assert_eq!(put(&[(TTL, "60"), (TTL, "60")]).await, 400);
    // jtblin/kube2iam#241: whoever forwards is refused.
    assert_eq!(put(&[(TTL, "60"), ("X-Forwarded-For", "10.0.0.1")]).await, 403);
    assert_eq!(rig.ask(1, "GET", "/latest/api/token", &[]).await.status, 405);
    assert_eq!(rig.ask(1, "PUT", "/2021-03-23/api/token", &[(TTL, "60")]).await.status, 405);
    assert_eq!(rig.ask(9, "PUT", "/latest/api/token", &[(TTL, "60")]).await.status, 503);
    assert_eq!(rig.imds.requests_seen(), 0, "no token depends on the node's service");
}

/// uswitch/kiam PR#381: where tokens are required, nothing is answered without one.
#[tokio::test]
async fn a_namespace_can_require_tokens() {
    let mut rig = Rig::new().await;
    let annotations = [("iam.amazonaws.com/allowed-roles", r#"["one"]"#), ("safeguard.io/imdsv2", "required")];
    rig.put_namespace("2", testing::namespace(&annotations));
    for path in [LIST, &format!("{LIST}one"), "/latest/meta-data/instance-id", "/latest/meta-data/iam/info"] {
        assert_eq!(rig.get(1, path).await.status, 401, "{path}");
        let token = rig.token(1).await;
        assert_eq!(rig.ask(1, "GET", path, &[("X-aws-ec2-metadata-token", &token)]).await.status, 200, "{path}");
    }
}

/// Research row 48: another name, or a relay, is not answered.
#[tokio::test]
async fn only_requests_for_the_metadata_service_are_answered() {
    let rig = Rig::new().await;
    for host in ["evil.example", "localhost", "127.0.0.1", "", "169.254.169.254.evil.example"] {
        assert_eq!(rig.ask(1, "GET", LIST, &[("Host", host)]).await.status, 403, "{host}");
    }
    for host in ["169.254.169.254:80", "instance-data", "[fd00:ec2::254]"] {
        assert_eq!(rig.ask(1, "GET", LIST, &[("Host", host)]).await.status, 200, "{host}");
    }
    assert_eq!(rig.ask(1, "GET", LIST, &[("X-Forwarded-For", "1.2.3.4")]).await.status, 403);
    assert_eq!(rig.ask(1, "GET", "http://evil.example/latest/user-data", &[]).await.status, 403);
    assert_eq!(rig.ask(1, "GET", "http://169.254.169.254/latest/user-data", &[]).await.status, 404);
    assert_eq!(rig.ask(1, "GET", &format!("http://169.254.169.254{LIST}"), &[]).await.status, 200);
    let without = rig.raw(1, format!("GET {LIST} HTTP/1.0\r\n\r\n").as_bytes()).await;
    assert!(without.starts_with("HTTP/1.0 200"), "{without}");
    rig.nothing_leaked();
}

#[tokio::test]
async fn harmless_paths_come_from_the_nodes_service() {
    let rig = Rig::new().await;
    let got = rig.get(3, "/latest/meta-data/instance-id").await;
    assert_eq!(got.status, 200);
    assert!(got.body.starts_with("i-"), "{}", got.body);
    let zone = rig.get(1, "//latest/meta-data/placement/availability-zone").await;
    assert_eq!(zone.status, 200);
    assert_eq!(rig.get(1, "/latest/meta-data/placement/no-such-thing").await.status, 404);
    assert_eq!(rig.get(9, "/latest/meta-data/instance-id").await.status, 503, "nobody gets nothing");
    let index = rig.get(1, "/latest/meta-data/").await;
    assert!(index.body.lines().any(|line| line == "iam/"), "{}", index.body);
    rig.imds.expire_tokens();
    assert_eq!(rig.get(1, "/latest/meta-data/instance-id").await.status, 200, "a new token is fetched");
    rig.nothing_leaked();
    rig.imds.go_down().await;
    assert_eq!(rig.get(1, "/latest/meta-data/instance-id").await.status, 503);
    assert_eq!(rig.get(1, &format!("{LIST}one")).await.status, 200, "credentials do not depend on it");
}
