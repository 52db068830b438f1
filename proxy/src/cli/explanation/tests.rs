use super::*;
use safeguard_proxy::explain::{Decision, Imdsv2, StsError, VERSION};

const PLAIN: Style = Style { colour: false };
const NOW: i64 = 1_632_197_813_000;
const MINUTE: i64 = 60_000;

fn served() -> Explanation {
    Explanation {
        version: VERSION,
        at_ms: NOW,
        asked: "shop/cart-1".to_owned(),
        pod: Some(Who {
            uid: "0a1b".to_owned(),
            namespace: "shop".to_owned(),
            name: "cart-1".to_owned(),
            service_account: "cart".to_owned(),
            addresses: vec!["10.0.0.9".parse().unwrap()],
            host_network: false,
            phase: "Running".to_owned(),
            deleting: false,
        }),
        found: Found::CniResult { file: "/var/lib/cni/results/aws-cni-1-eth0".to_owned() },
        role: Some(Role {
            from: Some("the pod's annotation iam.amazonaws.com/role".to_owned()),
            written: Some("shop-cart".to_owned()),
            arn: Some("arn:aws:iam::123456789012:role/shop-cart".to_owned()),
            error: None,
            external_id: None,
        }),
        namespace: Some(Rule {
            policy: "enforce".to_owned(),
            allowed: true,
            annotation: Some("iam.amazonaws.com/allowed-roles".to_owned()),
            entry: Some("shop-*".to_owned()),
            reason: None,
        }),
        imdsv2: Some(Imdsv2 { required: false, from: "the setting imds.imdsv2".to_owned() }),
        session: Some(Session {
            state: State::Ready,
            name: "shop.cart-1".to_owned(),
            access_key_id: Some("ASIAEXAMPLE".to_owned()),
            issued_at_ms: Some(NOW - 12 * MINUTE - 3_000),
            expires_at_ms: Some(NOW + 48 * MINUTE),
            refresh_at_ms: Some(NOW + 90 * MINUTE),
            last_error: None,
        }),
        decision: Decision {
            served: true,
            status: 200,
            reason: "served".to_owned(),
            sentence: "it gets the credentials of its role".to_owned(),
            remedy: None,
        },
    }
}

#[test]
fn each_fact_has_a_line_and_the_decision_comes_first() {
    let text = text(&served(), PLAIN);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines,
        [
            "shop/cart-1: it gets the credentials of its role (served, HTTP 200)",
            "pod          shop/cart-1, 10.0.0.9, Running, service account cart, UID 0a1b",
            "found        by the CNI's result /var/lib/cni/results/aws-cni-1-eth0",
            "role         arn:aws:iam::123456789012:role/shop-cart: \"shop-cart\" in the pod's annotation \
             iam.amazonaws.com/role",
            "namespace    allows it: entry \"shop-*\" of iam.amazonaws.com/allowed-roles (policy enforce)",
            "IMDSv2       optional (the setting imds.imdsv2)",
            "session      ready; name shop.cart-1, access key ASIAEXAMPLE",
            "issued       2021-09-21T04:04:50Z, 12m03s ago",
            "expires      2021-09-21T05:04:53Z, in 48m00s",
            "refresh      2021-09-21T05:46:53Z, in 1h30m",
        ]
    );
}

#[test]
fn a_refusal_says_why_and_what_to_do() {
    let mut refused = served();
    refused.session = None;
    refused.namespace = Some(Rule {
        policy: "enforce".to_owned(),
        allowed: false,
        annotation: None,
        entry: None,
        reason: Some(
            "the namespace has no annotation iam.amazonaws.com/allowed-roles, so it allows no role".to_owned(),
        ),
    });
    refused.decision = Decision {
        served: false,
        status: 403,
        reason: "namespace_allows_nothing".to_owned(),
        sentence: "it gets nothing.".to_owned(),
        remedy: Some("annotate the namespace".to_owned()),
    };
    let said = text(&refused, PLAIN);
    assert!(
        said.starts_with("shop/cart-1: it gets nothing (namespace_allows_nothing, HTTP 403)\nremedy       annotate"),
        "{said}"
    );
    assert!(said.contains("does not allow it: the namespace has no annotation"), "{said}");
    refused.namespace.as_mut().unwrap().policy = "report".to_owned();
    assert!(text(&refused, PLAIN).contains("(policy report, given all the same)"));
    refused.namespace.as_mut().unwrap().policy = "off".to_owned();
    assert!(text(&refused, PLAIN).contains("not looked at"));
}

#[test]
fn nobody_and_no_role_and_a_failing_sts_are_told() {
    let mut nobody = served();
    (nobody.pod, nobody.role, nobody.namespace, nobody.imdsv2, nobody.session) = (None, None, None, None, None);
    nobody.found = Found::Nobody { reason: "no pod of this node has this address".to_owned() };
    assert_eq!(text(&nobody, PLAIN).lines().nth(1), Some("found        no: no pod of this node has this address"));

    let mut failing = served();
    failing.role = Some(Role { from: None, written: None, arn: None, error: None, external_id: None });
    let session = failing.session.as_mut().unwrap();
    session.state = State::Failing;
    session.last_error = Some(StsError {
        at_ms: NOW - 5_000,
        code: "AccessDenied".to_owned(),
        message: "User: x is not authorized".to_owned(),
        retry_at_ms: Some(NOW + 20_000),
    });
    let said = text(&failing, PLAIN);
    assert!(said.contains("role         none: neither the pod"), "{said}");
    let error =
        "STS error    2021-09-21T04:16:48Z, 5s ago, AccessDenied: User: x is not authorized; asked again in 20s";
    assert!(said.contains(error), "{said}");
}

/// Annotations are written by whoever may create a pod, and read here by root.
#[test]
fn what_others_wrote_cannot_draw_on_the_terminal() {
    let mut hostile = served();
    let evil = "\u{1b}[2J\u{1b}]0;owned\u{7}\r\nsession      ready";
    hostile.asked = evil.to_owned();
    hostile.pod.as_mut().unwrap().name = evil.to_owned();
    hostile.role = Some(Role {
        from: Some(evil.to_owned()),
        written: Some(evil.to_owned()),
        arn: None,
        error: Some(evil.to_owned()),
        external_id: Some(evil.to_owned()),
    });
    hostile.namespace.as_mut().unwrap().entry = Some(evil.to_owned());
    let said = text(&hostile, PLAIN);
    assert!(said.chars().all(|c| !c.is_control() || c == '\n'), "{said:?}");
    assert_eq!(said.lines().filter(|line| line.starts_with("session")).count(), 1, "{said}");
}

#[test]
fn colours_are_only_paint() {
    let strip = |text: String| {
        ["\u{1b}[31m", "\u{1b}[32m", "\u{1b}[33m", "\u{1b}[1m", "\u{1b}[0m"]
            .iter()
            .fold(text, |text, code| text.replace(code, ""))
    };
    let coloured = text(&served(), Style { colour: true });
    assert!(coloured.contains("\u{1b}[32m"));
    assert_eq!(strip(coloured), text(&served(), PLAIN));
}
