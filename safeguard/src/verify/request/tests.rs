use super::*;

/// 2026-03-14T15:09:26Z
const NOW: i64 = 1_773_500_966_000;
const HOST: &str = "sts.eu-central-1.amazonaws.com";
const BOUND: &str = "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a";

fn authorization(scope: &str, signed: &str) -> String {
    let signature = "0123456789abcdef".repeat(4);
    format!("AWS4-HMAC-SHA256 Credential=ASIAEXAMPLE0000TEST1/{scope}, SignedHeaders={signed}, Signature={signature}")
}

const SCOPE: &str = "20260314/eu-central-1/sts/aws4_request";
const ALL: &str = "content-type;host;x-amz-date;x-amz-security-token;x-safeguard-bind";

fn proof() -> StsProof {
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    StsProof {
        url: format!("https://{HOST}/"),
        headers: vec![
            header("authorization", &authorization(SCOPE, ALL)),
            header("content-type", "application/x-www-form-urlencoded"),
            header("host", HOST),
            header("x-amz-date", "20260314T150926Z"),
            header("x-amz-security-token", "a-secret-token"),
            header("x-safeguard-bind", BOUND),
        ],
        body: BODY.to_owned(),
    }
}

fn set(proof: &mut StsProof, name: &str, value: &str) {
    proof.headers.iter_mut().find(|header| header.0 == name).unwrap().1 = value.to_owned();
}

fn check(proof: &StsProof) -> Result<CallerRequest, Denied> {
    CallerRequest::check(proof, &Region::named("eu-central-1").unwrap(), BOUND, false, NOW)
}

/// It is refused, and what is said of it holds no secret.
fn refused(proof: &StsProof, why: &str) {
    let denied = check(proof).unwrap_err();
    assert_eq!(denied.code, Code::ProofSts);
    assert!(denied.detail.contains(why), "{why}: {denied}");
    assert!(!format!("{denied:?}").contains("secret"), "{denied:?}");
}

#[test]
fn what_an_agent_signs_is_sent_on_as_it_is() {
    let request = check(&proof()).unwrap();
    assert_eq!((request.host.as_str(), request.body), (HOST, BODY));
    assert_eq!(request.headers.len(), 6);
    assert_eq!(request.headers.get("x-safeguard-bind").unwrap(), BOUND);
    assert!(!format!("{request:?}").contains("secret"), "{request:?}");
    // Lasting keys have no session token.
    let mut lasting = proof();
    lasting.headers.retain(|header| header.0 != SESSION_TOKEN);
    set(&mut lasting, "authorization", &authorization(SCOPE, "content-type;host;x-amz-date;x-safeguard-bind"));
    assert!(check(&lasting).is_ok());
}

/// CVE-2020-16250: the caller chose the host that says who the caller is.
#[test]
fn nobody_but_sts_of_the_documents_region_is_asked() {
    for url in [
        "https://sts.eu-central-1.amazonaws.com.evil/",
        "https://sts.eu-central-1.amazonaws.com@evil/",
        "https://user:pass@sts.eu-central-1.amazonaws.com/",
        "https://evil/#sts.eu-central-1.amazonaws.com/",
        "https://evil\\@sts.eu-central-1.amazonaws.com/",
        "https://sts.eu-central-1.amazonaws.com:443/",
        "https://sts.eu-central-1.amazonaws.com./",
        "https://sts.eu-central-1.amazonaws.com/x",
        "https://sts.eu-central-1.amazonaws.com//",
        "https://sts.eu-central-1.amazonaws.com/?Action=AssumeRole",
        "https://sts.eu-central-1.amazonaws.com/#",
        "https://sts.eu-central-1.amazonaws.com",
        "http://sts.eu-central-1.amazonaws.com/",
        "HTTPS://sts.eu-central-1.amazonaws.com/",
        "https://STS.eu-central-1.amazonaws.com/",
        "https://sts.eu-central-1.ａmazonaws.com/",
        "https://sts.eu-central-1.amazonaws.com\u{0}/",
        "https://sts.eu-central-1.amazonaws.com\r\nhost: evil/",
        "https://sts.eu-west-1.amazonaws.com/",
        "https://sts.amazonaws.com/",
        "https://sts.cn-north-1.amazonaws.com.cn/",
        "https://169.254.169.254/",
        "https://evilsts.eu-central-1.amazonaws.com/",
        " https://sts.eu-central-1.amazonaws.com/",
        "https:///",
        "",
    ] {
        // The node says the same in its header, so that nothing but the list stands in its way.
        let mut proof = StsProof { url: url.to_owned(), ..proof() };
        refused(&proof, "URL");
        let host = url.trim_start_matches("https://").trim_end_matches('/').to_owned();
        if !host.is_empty() {
            set(&mut proof, "host", &host);
            refused(&proof, "URL");
        }
    }
}

#[test]
fn the_host_header_is_the_hosts() {
    for host in [
        "evil",
        "sts.eu-central-1.amazonaws.com.",
        "sts.eu-central-1.amazonaws.com:443",
        "STS.eu-central-1.amazonaws.com",
    ] {
        let mut proof = proof();
        set(&mut proof, "host", host);
        refused(&proof, "host");
    }
}

#[test]
fn all_hosts_of_a_region_and_the_global_one_where_it_is_allowed() {
    let of = |host: &str, scope: &str, global: bool| {
        let mut proof = StsProof { url: format!("https://{host}/"), ..proof() };
        set(&mut proof, "host", host);
        set(&mut proof, "authorization", &authorization(scope, ALL));
        CallerRequest::check(&proof, &Region::named("eu-central-1").unwrap(), BOUND, global, NOW)
    };
    for host in [HOST, "sts-fips.eu-central-1.amazonaws.com", "sts.eu-central-1.api.aws"] {
        assert!(of(host, SCOPE, false).is_ok(), "{host}");
    }
    let virginia = "20260314/us-east-1/sts/aws4_request";
    assert!(of("sts.amazonaws.com", virginia, true).is_ok());
    assert!(of("sts.amazonaws.com", virginia, false).is_err());
    assert!(of("sts.amazonaws.com", SCOPE, true).is_err());
    assert!(of(HOST, virginia, true).is_err());
}

/// CVE-2022-2385: of two with one name, one was checked and the other one counted.
#[test]
fn a_header_comes_once_in_lower_case_and_is_known() {
    for (name, value, why) in [
        ("x-safeguard-bind", BOUND, "twice"),
        ("host", HOST, "twice"),
        ("authorization", "AWS4-HMAC-SHA256", "twice"),
        ("Host", HOST, "six"),
        ("X-Safeguard-Bind", BOUND, "six"),
        ("x-forwarded-host", "evil", "six"),
        ("transfer-encoding", "chunked", "six"),
        ("content-length", "0", "six"),
        ("x-amz-target", "AssumeRole", "six"),
        ("x-safeguard-bind ", BOUND, "six"),
        ("", "", "six"),
    ] {
        let mut proof = proof();
        proof.headers.push((name.to_owned(), value.to_owned()));
        refused(&proof, why);
    }
}

#[test]
fn values_are_plain() {
    let long = "x".repeat(MAX_VALUE_BYTES + 1);
    for value in ["", " x", "x ", "a  b", "a\r\nx-evil: 1", "a\nb", "a\0b", "a\tb", "ü", "\u{7f}", &long] {
        let mut proof = proof();
        set(&mut proof, "x-amz-security-token", value);
        refused(&proof, "plain");
    }
}

#[test]
fn the_signature_covers_every_header() {
    for signed in [
        "content-type;host;x-amz-date;x-amz-security-token",
        "content-type;host;x-amz-security-token;x-safeguard-bind",
        "content-type;x-amz-date;x-amz-security-token;x-safeguard-bind",
        "host;x-amz-date;x-amz-security-token;x-safeguard-bind",
        "content-type;host;x-amz-date;x-safeguard-bind",
        "content-type;host;x-amz-date;x-amz-security-token;x-safeguard-bind;x-other",
        "content-type;host;x-amz-date;x-amz-security-token;x-safeguard-bind;x-safeguard-bind",
        "CONTENT-TYPE;host;x-amz-date;x-amz-security-token;x-safeguard-bind",
        "",
    ] {
        let mut proof = proof();
        set(&mut proof, "authorization", &authorization(SCOPE, signed));
        refused(&proof, "cover");
    }
    // A header that is signed and not there.
    for name in ["x-safeguard-bind", "x-amz-date", "host", "content-type", "x-amz-security-token", "authorization"] {
        let mut proof = proof();
        proof.headers.retain(|header| header.0 != name);
        assert!(check(&proof).is_err(), "{name}");
    }
    // One that is neither.
    let mut unbound = proof();
    unbound.headers.retain(|header| header.0 != BINDING);
    set(&mut unbound, "authorization", &authorization(SCOPE, "content-type;host;x-amz-date;x-amz-security-token"));
    refused(&unbound, "x-safeguard-bind is missing");
}

#[test]
fn the_signature_is_for_sts_here_and_today() {
    for scope in [
        "20260314/eu-west-1/sts/aws4_request",
        "20260313/eu-central-1/sts/aws4_request",
        "20260314/eu-central-1/s3/aws4_request",
        "20260314/eu-central-1/sts/aws4_request/x",
        "20260314/eu-central-1/sts",
        "",
    ] {
        let mut proof = proof();
        set(&mut proof, "authorization", &authorization(scope, ALL));
        refused(&proof, "signature");
    }
    let right = authorization(SCOPE, ALL);
    for wrong in [
        right.replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
        right.replace("0123456789abcdef", "0123456789ABCDEF"),
        right.replace(", ", ","),
        right.replace("ASIAEXAMPLE0000TEST1", "A"),
        format!("{right}0"),
        format!("{right}, Signature=x"),
        "Basic dXNlcjpwdw==".to_owned(),
    ] {
        let mut proof = proof();
        set(&mut proof, "authorization", &wrong);
        refused(&proof, "signature");
    }
}

#[test]
fn nothing_but_get_caller_identity_is_asked() {
    for body in [
        "",
        "Action=AssumeRole&Version=2011-06-15",
        "Action=GetCallerIdentity&Version=2011-06-15&Action=AssumeRole",
        "Action=GetCallerIdentity&Version=2011-06-15\n",
        "Version=2011-06-15&Action=GetCallerIdentity",
    ] {
        refused(&StsProof { body: body.to_owned(), ..proof() }, "body");
    }
    let mut json = proof();
    set(&mut json, "content-type", "application/json");
    refused(&json, "form");
}

#[test]
fn a_proof_is_for_one_binding() {
    for bind in [BOUND.to_uppercase(), "0".repeat(64), BOUND.get(..63).unwrap().to_owned()] {
        let mut proof = proof();
        set(&mut proof, "x-safeguard-bind", &bind);
        refused(&proof, "tenant, nonce and key");
    }
}

#[test]
fn a_proof_lives_for_fifteen_minutes() {
    let at = |now_ms| CallerRequest::check(&proof(), &Region::named("eu-central-1").unwrap(), BOUND, false, now_ms);
    for now in [NOW, NOW + MAX_AGE_MS, NOW - MAX_AHEAD_MS] {
        assert!(at(now).is_ok(), "{now}");
    }
    for now in [NOW + MAX_AGE_MS + 1, NOW - MAX_AHEAD_MS - 1, 0, i64::MAX, i64::MIN] {
        assert_eq!(at(now).unwrap_err().message, CLOCK, "{now}");
    }
    let mut none = proof();
    set(&mut none, "x-amz-date", "20260314T250926Z");
    refused(&none, "date");
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(url in ".{0,80}", headers in proptest::collection::vec((".{0,20}", ".{0,200}"), 0..8), body in ".{0,60}") {
        let proof = StsProof { url, headers, body };
        proptest::prop_assert!(check(&proof).is_err());
    }

    #[test]
    fn no_signature_makes_it_panic(text in "(AWS4-HMAC-SHA256 Credential=)?[A-Z0-9/,;= a-z-]{0,200}") {
        let mut proof = proof();
        set(&mut proof, "authorization", &text);
        proptest::prop_assert!(check(&proof).is_err());
    }
}
