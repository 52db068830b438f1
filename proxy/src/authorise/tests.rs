use super::*;
use crate::role::RoleBase;
use crate::settings::{PatternKind, SessionTags};
use crate::testing;

fn decide(settings: &Settings, of_pod: &[(&str, &str)], of_namespace: &[(&str, &str)]) -> Decision {
    let namespace = testing::namespace(of_namespace);
    authorise(&testing::pod("uid-1", of_pod), Some(&rules_of(&namespace, settings)), settings, "node-1")
}

const ROLE: &str = "iam.amazonaws.com/role";
const ALLOWED: &str = "iam.amazonaws.com/allowed-roles";
const PERMITTED: &str = "iam.amazonaws.com/permitted";
const ARN: &str = "arn:aws:iam::123456789012:role/reader";

fn code(decision: &Decision) -> &'static str {
    decision.outcome.as_ref().err().map_or("granted", Refusal::code)
}

#[test]
fn a_role_that_the_namespace_allows_is_granted() {
    for written in ["reader", "/reader", ARN] {
        for allowed in
            [r#"["reader"]"#, r#"["x", "read*"]"#, r#"["*"]"#, &format!("[\"{ARN}\"]"), "reader", r#"["/reader"]"#]
        {
            let decision = decide(&testing::settings(), &[(ROLE, written)], &[(ALLOWED, allowed)]);
            let grant = decision.outcome.unwrap_or_else(|refusal| panic!("{written} by {allowed}: {refusal}"));
            assert_eq!(grant.role().as_str(), ARN);
            assert_eq!(grant.key().session_name, "shop.web-0");
            assert_eq!(grant.key().duration, 3_600);
        }
    }
}

/// jtblin/kube2iam#341, #239: what is not allowed is refused, also where a namespace says nothing.
#[test]
fn what_the_namespace_does_not_allow_is_refused() {
    let settings = testing::settings();
    let of = |role, rules: &[(&str, &str)]| code(&decide(&settings, &[(ROLE, role)], rules));
    assert_eq!(of("reader", &[]), "namespace_allows_nothing");
    assert_eq!(of("reader", &[(ALLOWED, "[]")]), "namespace_allows_nothing");
    assert_eq!(of("reader", &[(ALLOWED, r#"["read"]"#)]), "role_not_allowed");
    assert_eq!(of("reader", &[(ALLOWED, r#"["eader"]"#)]), "role_not_allowed");
    assert_eq!(of("readers", &[(ALLOWED, r#"["reader"]"#)]), "role_not_allowed");
    let foreign = "arn:aws:iam::999999999999:role/reader";
    assert_eq!(of(foreign, &[(ALLOWED, r#"["reader"]"#)]), "role_not_allowed", "another account's");
    assert_eq!(of(foreign, &[(ALLOWED, r#"["read*"]"#)]), "role_not_allowed");
    assert_eq!(of("reader", &[(ALLOWED, "[")]), "bad_namespace_rules");
    assert_eq!(of("reader", &[(ALLOWED, r#"{"reader": true}"#)]), "bad_namespace_rules");
    assert_eq!(of("reader", &[(ALLOWED, &format!("[\"{}\"]", "a".repeat(3_000)))]), "bad_namespace_rules");
}

/// jtblin/kube2iam#110: an expression has to match the whole; uswitch/kiam: `a|b` does not escape the anchors.
#[test]
fn an_expression_has_to_match_all_of_the_role() {
    let mut settings = testing::settings();
    settings.pattern = PatternKind::Regexp;
    let of = |role, allowed: &str| code(&decide(&settings, &[(ROLE, role)], &[(ALLOWED, allowed)]));
    assert_eq!(of("reader", r#"["read.*"]"#), "granted");
    assert_eq!(of("reader", r#"["read"]"#), "role_not_allowed");
    assert_eq!(of("reader-admin", r#"["reader|x"]"#), "role_not_allowed");
    assert_eq!(of("x-reader", r#"["x|reader"]"#), "role_not_allowed");
    assert_eq!(of("reader", r#"["arn:aws:iam::\\d+:role/(reader|writer)"]"#), "granted");
    assert_eq!(of("reader", r#"["(reader"]"#), "bad_namespace_rules");
    assert_eq!(of("reader", r#"["(a{500}){500}"]"#), "bad_namespace_rules", "an expression that eats memory");
    let kiam = |permitted| code(&decide(&testing::settings(), &[(ROLE, "reader")], &[(PERMITTED, permitted)]));
    assert_eq!(kiam("read.*|write.*"), "granted");
    assert_eq!(kiam(".*"), "granted");
    assert_eq!(kiam("write|eader"), "role_not_allowed");
}

#[test]
fn a_policy_that_only_reports_lets_through_and_says_what_it_would_refuse() {
    let mut settings = testing::settings();
    settings.namespace_policy = NamespacePolicy::Report;
    let decision = decide(&settings, &[(ROLE, "reader")], &[]);
    assert_eq!(code(&decision), "granted");
    assert_eq!(decision.reported.map(|r| r.code()), Some("namespace_allows_nothing"));
    assert_eq!(code(&decide(&settings, &[(ROLE, "../reader")], &[])), "bad_role", "what is no role stays none");
    settings.namespace_policy = NamespacePolicy::Off;
    assert!(decide(&settings, &[(ROLE, "reader")], &[]).reported.is_none());
}

/// jtblin/kube2iam#46, kubernetes-sigs/external-dns#292: a default is for pods that are known to ask for nothing.
#[test]
fn a_default_is_only_for_those_that_name_none() {
    let mut settings = testing::settings();
    assert_eq!(code(&decide(&settings, &[], &[])), "no_role");
    assert_eq!(code(&decide(&settings, &[(ROLE, " ")], &[])), "no_role");
    let default = ("safeguard.io/default-role", "team");
    let decision = decide(&settings, &[], &[default]);
    assert_eq!(decision.role.as_ref().map(RoleArn::name), Some("team"));
    assert_eq!(code(&decision), "granted");
    settings.default_role = Some("everybody".to_owned());
    assert_eq!(decide(&settings, &[], &[]).role.as_ref().map(RoleArn::name), Some("everybody"));
    assert_eq!(decide(&settings, &[], &[default]).role.as_ref().map(RoleArn::name), Some("team"));
    assert_eq!(code(&decide(&settings, &[(ROLE, "other")], &[default])), "namespace_allows_nothing");
    // Nothing is decided for a namespace that is not known: it may have a default, or forbid one.
    let decision = authorise(&testing::pod("uid-1", &[]), None, &settings, "node-1");
    assert_eq!(code(&decision), "namespace_not_known");
    let decision = authorise(&testing::pod("uid-1", &[(ROLE, "reader")]), None, &settings, "node-1");
    assert_eq!(code(&decision), "namespace_not_known");
}

#[test]
fn a_role_may_be_for_some_service_accounts_only() {
    let rules = |accounts| [(ALLOWED, r#"["*"]"#), ("safeguard.io/allowed-service-accounts", accounts)];
    let of = |accounts| code(&decide(&testing::settings(), &[(ROLE, "reader")], &rules(accounts)));
    assert_eq!(of(r#"{"reader": ["web"]}"#), "granted");
    assert_eq!(of(r#"{"read*": ["x", "web"]}"#), "granted");
    assert_eq!(of(r#"{"reader": ["other"]}"#), "service_account_not_allowed");
    assert_eq!(of(r#"{"writer": ["web"]}"#), "service_account_not_allowed");
    assert_eq!(of("{}"), "service_account_not_allowed");
    assert_eq!(of("web"), "bad_namespace_rules");
}

/// jtblin/kube2iam PR#177, PR#316: the external id is part of what a session is.
#[test]
fn two_pods_with_different_external_ids_share_no_session() {
    let settings = testing::settings();
    let with = |id| decide(&settings, &[(ROLE, "reader"), ("iam.amazonaws.com/external-id", id)], &[(ALLOWED, "*")]);
    let without = decide(&settings, &[(ROLE, "reader")], &[(ALLOWED, "*")]);
    let (one, two) = (with("one").outcome.unwrap(), with("two").outcome.unwrap());
    assert_ne!(one.key(), two.key());
    assert_ne!(one.key(), without.outcome.unwrap().key());
    for bad in ["", "x", "a b", "a\nb", "\u{fc}\u{fc}", &"x".repeat(1_225)] {
        assert_eq!(code(&with(bad)), "bad_external_id", "{bad:?}");
    }
}

#[test]
fn tags_are_given_where_they_are_wanted() {
    let mut settings = testing::settings();
    assert!(decide(&settings, &[(ROLE, "reader")], &[(ALLOWED, "*")]).outcome.unwrap().key().tags.is_empty());
    settings.session_tags = SessionTags { enabled: true };
    settings.cluster = Some("prod".to_owned());
    let tags = decide(&settings, &[(ROLE, "reader")], &[(ALLOWED, "*")]).outcome.unwrap().key().tags.clone();
    let names: Vec<&str> = tags.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "eks-cluster-name",
            "kubernetes-namespace",
            "kubernetes-pod-name",
            "kubernetes-pod-uid",
            "kubernetes-service-account"
        ]
    );
}

#[test]
fn a_namespace_may_require_tokens() {
    let of = |value| decide(&testing::settings(), &[(ROLE, "reader")], &[("safeguard.io/imdsv2", value)]).imdsv2;
    assert_eq!(of("required"), Imdsv2::Required);
    assert_eq!(of("optional"), Imdsv2::Optional);
    assert_eq!(of("requird"), Imdsv2::Required, "a slip asks for more, not less");
    assert_eq!(of(""), Imdsv2::Optional);
}

/// What is written is somebody else's: it is cut, and harmless in a log.
#[test]
fn a_refusal_quotes_little_and_safely() {
    let written = format!("evil\r\n\u{1b}[31m{}", "x".repeat(10_000));
    let decision = decide(&testing::settings(), &[(ROLE, &written)], &[]);
    let text = decision.outcome.unwrap_err().to_string();
    assert!(text.len() < 400 && text.chars().all(|c| !c.is_control()), "{text}");
}

#[test]
fn the_base_may_have_a_path() {
    let mut settings = testing::settings();
    settings.base = RoleBase::new("arn:aws:iam::123456789012:role/eks/").unwrap();
    let decision = decide(&settings, &[(ROLE, "reader")], &[(ALLOWED, r#"["read*"]"#)]);
    assert_eq!(decision.outcome.unwrap().role().as_str(), "arn:aws:iam::123456789012:role/eks/reader");
}
