//! The Security Token Service through the SDK: AssumeRole, its rules, and what goes wrong.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use aws_sdk_sts::{
    Client,
    config::{BehaviorVersion, Region, retry::RetryConfig, timeout::TimeoutConfig},
    error::SdkError,
    operation::assume_role::builders::AssumeRoleFluentBuilder,
    types::Tag,
};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use safeguard_standins::{
    Account, Clock, CloudWatch, Credential, Options, Principal, Sts, StsOptions, Trouble,
    sts::{self, Outcome, Role, StsOp},
};

use crate::client::{credentials, sdk_with};

pub(crate) const ID: &str = "123456789012";
const NODE: &str = "arn:aws:iam::123456789012:role/nodes/node";
const BLUE: &str = "arn:aws:iam::123456789012:role/teams/blue";

/// A stand-in whose clock a test moves, the key of a user, and the key of a node's session.
pub(crate) struct Rig {
    pub(crate) account: Arc<Account>,
    pub(crate) sts: Sts,
    pub(crate) clock: Arc<AtomicI64>,
    pub(crate) user: Credential,
    node: Credential,
}

impl Rig {
    pub(crate) async fn new() -> Rig {
        Rig::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut StsOptions)) -> Rig {
        let account = Account::new(ID).unwrap();
        // The SDK signs by the system's clock, so that is where the stand-in's begins.
        let clock = Arc::new(AtomicI64::new(Clock::default().now_ms()));
        let shown = Arc::clone(&clock);
        let mut options = StsOptions::new(Arc::clone(&account));
        options.clock = Clock::new(move || shown.load(Ordering::Relaxed));
        change(&mut options);
        let sts = Sts::start(options).await.unwrap();
        let user = account.issue_lasting(Principal::user(ID, "alice"));
        let node = account.issue_temporary(Principal::session(NODE, "i-1"), None);
        sts.put_role(Role { max_session_seconds: 7_200, ..Role::new(BLUE).trusting(NODE).trusting(root()) });
        Rig { account, sts, clock, user, node }
    }

    fn client(&self, key: &Credential) -> Client {
        let http = match self.sts.ca_pem() {
            None => Builder::new().build_http(),
            Some(pem) => {
                let trust = TrustStore::empty().with_pem_certificate(pem.into_bytes());
                let tls = TlsContext::builder().with_trust_store(trust).build().unwrap();
                Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).tls_context(tls).build_https()
            }
        };
        let config = aws_sdk_sts::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(self.sts.region().to_owned()))
            .credentials_provider(credentials(key))
            .endpoint_url(self.sts.url())
            .http_client(http)
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::builder().operation_timeout(Duration::from_secs(5)).build());
        Client::from_conf(config.build())
    }

    /// A call that succeeds as it is.
    fn assume(&self, key: &Credential) -> AssumeRoleFluentBuilder {
        self.client(key).assume_role().role_arn(BLUE).role_session_name("default.pod-1")
    }
}

fn root() -> String {
    format!("arn:aws:iam::{ID}:root")
}

/// Status, code and message of what is refused.
async fn refusal(call: AssumeRoleFluentBuilder) -> (u16, String, String) {
    match call.send().await {
        Err(SdkError::ServiceError(error)) => {
            let status = error.raw().status().as_u16();
            let meta = error.err().meta();
            (status, meta.code().unwrap_or_default().to_owned(), meta.message().unwrap_or_default().to_owned())
        }
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn a_session_is_called_by_its_role_without_path_and_its_key_works_elsewhere() {
    let rig = Rig::new().await;
    let call = rig.assume(&rig.node).external_id("given-but-not-wanted").duration_seconds(900);
    let reply = call.send().await.unwrap();
    let arn = "arn:aws:sts::123456789012:assumed-role/blue/default.pod-1";
    let user = reply.assumed_role_user().unwrap();
    assert_eq!(user.arn(), arn);
    assert!(user.assumed_role_id().starts_with("AROA") && user.assumed_role_id().ends_with(":default.pod-1"));
    let given = reply.credentials().unwrap();
    assert_eq!(given.expiration().secs(), (rig.clock.load(Ordering::Relaxed) + 900_000) / 1_000);
    let key = Credential {
        access_key_id: given.access_key_id().to_owned(),
        secret_access_key: given.secret_access_key().to_owned(),
        session_token: Some(given.session_token().to_owned()),
        expires_at_ms: None,
    };
    let identity = rig.client(&key).get_caller_identity().send().await.unwrap();
    assert_eq!((identity.arn(), identity.account()), (Some(arn), Some(ID)));
    assert_eq!(identity.user_id(), Some(user.assumed_role_id()));
    let cloud =
        CloudWatch::start(Options { keys: Some(Arc::clone(&rig.account)), ..Options::default() }).await.unwrap();
    sdk_with(&cloud, &key).create_log_group().log_group_name("g").send().await.unwrap();

    let calls = rig.sts.calls();
    assert_eq!((calls.len(), calls[0].op, calls[1].op), (2, StsOp::AssumeRole, StsOp::GetCallerIdentity));
    let call = &calls[0];
    assert_eq!((call.role_arn.as_deref(), call.session_name.as_deref()), (Some(BLUE), Some("default.pod-1")));
    assert_eq!(call.external_id.as_deref(), Some("given-but-not-wanted"));
    assert_eq!(call.duration_seconds.as_deref(), Some("900"));
    assert_eq!(call.caller, Some(Principal::session(NODE, "i-1")));
    assert_eq!(call.outcome, Outcome::Done(Some(key.access_key_id.clone())));
    assert!(call.user_agent.contains("aws-sdk-rust"), "{}", call.user_agent);
    assert_eq!(rig.account.principal(&key.access_key_id), Some(Principal::session(BLUE, "default.pod-1")));
    assert_eq!(calls[1].caller, Some(Principal::session(BLUE, "default.pod-1")));

    let user = rig.client(&rig.user).get_caller_identity().send().await.unwrap();
    assert_eq!(user.arn(), Some("arn:aws:iam::123456789012:user/alice"));
    assert!(user.user_id().unwrap().starts_with("AIDA"));
}

#[tokio::test]
async fn a_key_ends_when_its_session_does() {
    let rig = Rig::new().await;
    let reply = rig.assume(&rig.node).send().await.unwrap();
    let given = reply.credentials().unwrap();
    let began = rig.clock.load(Ordering::Relaxed);
    assert_eq!(given.expiration().secs(), (began + 3_600_000) / 1_000);
    let find = |at_ms| {
        let cloud =
            Options { keys: Some(Arc::clone(&rig.account)), now: Arc::new(move || at_ms), ..Options::default() };
        let key = Credential {
            access_key_id: given.access_key_id().to_owned(),
            secret_access_key: given.secret_access_key().to_owned(),
            session_token: Some(given.session_token().to_owned()),
            expires_at_ms: None,
        };
        async move {
            let cloud = CloudWatch::start(cloud).await.unwrap();
            let error = sdk_with(&cloud, &key).create_log_group().log_group_name("g").send().await.unwrap_err();
            error.as_service_error().unwrap().meta().code().unwrap().to_owned()
        }
    };
    let end = given.expiration().secs() * 1_000;
    // The SDK's clock is an hour behind, which is noticed only once the key counts.
    assert_eq!(find(end - 1).await, "InvalidSignatureException");
    assert_eq!(find(end).await, "ExpiredTokenException");
}

#[tokio::test]
async fn every_parameter_has_its_limits() {
    let rig = Rig::new().await;
    let long = |length: usize| "x".repeat(length);
    let call = || rig.assume(&rig.user);
    let name = |name: &str| call().role_session_name(name);
    let seconds = |seconds| call().duration_seconds(seconds);
    let id = |id: &str| call().external_id(id);
    for accepted in [
        name("ab"),
        name(&long(64)),
        name("A_z0+=,.@-"),
        seconds(900),
        seconds(7_200),
        id("ab"),
        id("a_+=,.@:/-"),
        id(&long(1_224)),
        call().policy(long(2_048)),
    ] {
        let sent = format!("{:?}", accepted.as_input());
        accepted.send().await.unwrap_or_else(|error| panic!("{sent}: {error:?}"));
    }
    for (refused, words) in [
        (name("a"), "Value 'a' at 'roleSessionName' failed to satisfy constraint: Member must have length greater"),
        (name(&long(65)), "less than or equal to 64"),
        (
            name("a b"),
            r"'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\w+=,.@-]*",
        ),
        (name("a/b"), "regular expression"),
        (name("a\u{e9}"), "regular expression"),
        (name("\u{3bb}\r\n"), "regular expression"),
        (
            seconds(899),
            "Value '899' at 'durationSeconds' failed to satisfy constraint: Member must have value greater than or equal to 900",
        ),
        (seconds(43_201), "less than or equal to 43200"),
        (id("a"), "'externalId'"),
        (id(&long(1_225)), "'externalId'"),
        (id("a b"), "regular expression"),
        (call().role_arn("arn:aws:iam::1:r"), "'roleArn'"),
        (call().role_arn(format!("{BLUE}{}", long(2_048))), "'roleArn'"),
        (call().policy(long(2_049)), "'policy'"),
        (call().role_arn(format!("{BLUE}\u{1}")), "'roleArn' failed to satisfy constraint: Member must satisfy"),
        (call().source_identity("x"), "'sourceIdentity'"),
        (name("a").duration_seconds(1), "2 validation errors detected: "),
    ] {
        let sent = format!("{:?}", refused.as_input());
        let (status, code, message) = refusal(refused).await;
        assert_eq!((status, code.as_str()), (400, "ValidationError"), "{sent}");
        assert!(message.contains(words), "{sent}: {message}");
    }
    for arn in [
        "arn:aws:iam::12345678901:role/blue",
        "arn:aws:iam::123456789012:user/blue",
        "arn:aws:iam::123456789012:role/",
        "arn:aws:iam::123456789012:role/a b",
        "arn:aws:iam:us-east-1:123456789012:role/blue",
        "arn:aws:sts::123456789012:assumed-role/blue/x",
        "ARN:aws:iam::123456789012:role/blue",
        "arn:aws:iam::123456789012:role/teams\t/blue",
        "teams/blue/but/twenty/characters",
    ] {
        let (status, code, message) = refusal(call().role_arn(arn)).await;
        assert_eq!((status, code.as_str(), message), (400, "ValidationError", format!("{arn} is invalid")));
    }
}

#[tokio::test]
async fn a_role_is_for_those_it_trusts() {
    let rig = Rig::new().await;
    let role = |name: &str| format!("arn:aws:iam::{ID}:role/{name}");
    let session = "arn:aws:sts::123456789012:assumed-role/node/i-1";
    let cases = [
        ("by-role", Role::new(role("by-role")).trusting(NODE), true, false),
        ("by-session", Role::new(role("by-session")).trusting(session), true, false),
        ("by-root", Role::new(role("by-root")).trusting(root()), true, true),
        ("by-user", Role::new(role("by-user")).trusting("arn:aws:iam::123456789012:user/alice"), false, true),
        ("by-anyone", Role::new(role("by-anyone")).trusting("*"), true, true),
        ("other-root", Role::new(role("other-root")).trusting("arn:aws:iam::210987654321:root"), false, false),
        ("other-path", Role::new(role("other-path")).trusting(role("node")), false, false),
        ("nobody", Role::new(role("nobody")), false, false),
    ];
    for (name, role, node, user) in cases {
        let arn = role.arn.clone();
        rig.sts.put_role(role);
        for (key, trusted) in [(&rig.node, node), (&rig.user, user)] {
            let call = rig.assume(key).role_arn(&arn);
            assert_eq!(call.send().await.is_ok(), trusted, "{name}");
        }
    }
    let refused = refusal(rig.assume(&rig.node).role_arn(role("nobody"))).await;
    let message =
        format!("User: {session} is not authorized to perform: sts:AssumeRole on resource: {}", role("nobody"));
    assert_eq!(refused, (403, "AccessDenied".to_owned(), message));
    let (status, code, _) = refusal(rig.assume(&rig.node).role_arn(role("never-made"))).await;
    assert_eq!((status, code.as_str()), (403, "AccessDenied"));
    rig.sts.delete_role(BLUE);
    assert_eq!(refusal(rig.assume(&rig.node)).await.0, 403);
    assert_eq!(rig.sts.assumed().last().unwrap().outcome, Outcome::Refused("AccessDenied".to_owned()));
}

#[tokio::test]
async fn an_external_id_that_is_demanded_has_to_match() {
    let rig = Rig::new().await;
    rig.sts.put_role(Role::new(BLUE).trusting(NODE).with_external_id("tenant-7"));
    rig.assume(&rig.node).external_id("tenant-7").send().await.unwrap();
    assert_eq!(refusal(rig.assume(&rig.node)).await.1, "AccessDenied");
    assert_eq!(refusal(rig.assume(&rig.node).external_id("tenant-8")).await.1, "AccessDenied");
}

#[tokio::test]
async fn a_session_that_assumes_a_role_gets_an_hour_at_most_and_nobody_gets_more_than_the_roles_maximum() {
    let rig = Rig::new().await;
    rig.assume(&rig.node).duration_seconds(3_600).send().await.unwrap();
    let (status, code, message) = refusal(rig.assume(&rig.node).duration_seconds(3_601)).await;
    assert_eq!((status, code.as_str()), (400, "ValidationError"));
    assert_eq!(
        message,
        "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"
    );
    let (_, code, message) = refusal(rig.assume(&rig.user).duration_seconds(7_201)).await;
    assert_eq!(code, "ValidationError");
    assert_eq!(message, "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.");
}

#[tokio::test]
async fn tags_need_a_right_of_their_own_and_keep_their_rules() {
    let rig = Rig::new().await;
    let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build().unwrap();
    let call = || rig.assume(&rig.node);
    let (status, code, message) = refusal(call().tags(tag("k", "v"))).await;
    assert_eq!((status, code.as_str()), (403, "AccessDenied"));
    assert!(message.contains("perform: sts:TagSession on resource"), "{message}");
    assert!(refusal(call().source_identity("alice")).await.2.contains("sts:SetSourceIdentity"));

    rig.sts.put_role(Role { may_tag: true, may_set_source_identity: true, ..Role::new(BLUE).trusting(NODE) });
    let tagged = call().tags(tag("namespace", "a b")).tags(tag("\u{fc}:/=+-@_.", "")).transitive_tag_keys("namespace");
    let reply = tagged.source_identity("alice").send().await.unwrap();
    assert_eq!(reply.source_identity(), Some("alice"));
    let seen = rig.sts.assumed().pop().unwrap();
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(seen.tags, [pair("namespace", "a b"), pair("\u{fc}:/=+-@_.", "")]);
    assert_eq!(
        (seen.transitive_tag_keys, seen.source_identity.as_deref()),
        (vec!["namespace".to_owned()], Some("alice"))
    );

    let many = |n: usize| call().set_tags(Some((0..n).map(|i| tag(&format!("k{i}"), "")).collect()));
    many(50).send().await.unwrap();
    for refused in [
        many(51),
        call().tags(tag("", "v")),
        call().tags(tag(&"k".repeat(129), "v")),
        call().tags(tag("k", &"v".repeat(257))),
        call().tags(tag("k*", "v")),
        call().tags(tag("k", "v#")),
        call().tags(tag("aws:k", "v")),
        call().tags(tag("k", "v")).tags(tag("K", "w")),
        call().tags(tag("k", "v")).transitive_tag_keys("other"),
    ] {
        let sent = format!("{:?}", refused.as_input());
        assert_eq!(refusal(refused).await.1, "ValidationError", "{sent}");
    }
}

#[tokio::test]
async fn the_sdk_speaks_tls_too() {
    let rig = Rig::with(|options| options.tls = true).await;
    assert!(rig.sts.url().starts_with("https://"));
    rig.assume(&rig.node).send().await.unwrap();
}

#[tokio::test]
async fn troubles_come_in_the_services_words_or_break_the_reply() {
    let rig = Rig::new().await;
    for (trouble, status, code) in [
        (sts::throttled(), 400, "Throttling"),
        (sts::internal(), 500, "InternalFailure"),
        (sts::unavailable(), 503, "ServiceUnavailable"),
        (sts::denied(), 403, "AccessDenied"),
        (sts::expired_token(), 403, "ExpiredToken"),
    ] {
        rig.sts.troubles().next(StsOp::AssumeRole, 1, trouble);
        rig.client(&rig.node).get_caller_identity().send().await.unwrap();
        let (got_status, got_code, _) = refusal(rig.assume(&rig.node)).await;
        assert_eq!((got_status, got_code.as_str()), (status, code));
    }
    rig.sts.forget_calls();
    // Nothing that these give passes for a session.
    for trouble in
        [Trouble::Reset, Trouble::Lost, Trouble::HalfBody, Trouble::CutBody, Trouble::Empty, Trouble::Page(200)]
    {
        rig.sts.troubles().next(StsOp::AssumeRole, 1, trouble.clone());
        let reply = rig.assume(&rig.node).send().await;
        // The SDK takes XML that ends early for a success, with half a token and an end in 1970.
        let ends = reply.ok().and_then(|reply| reply.credentials().map(|given| given.expiration().secs()));
        assert_eq!(ends.unwrap_or(0), 0, "{trouble:?}");
    }
    let made: Vec<bool> = rig.sts.assumed().iter().map(|call| matches!(call.outcome, Outcome::Done(Some(_)))).collect();
    assert_eq!(made, [false, true, true, true, false, false]);

    let slow = Duration::from_millis(60);
    rig.sts.troubles().when(move |call| {
        let blue =
            call.role_arn.as_deref() == Some(BLUE) && call.caller.as_ref().is_some_and(|who| who.role_arn().is_some());
        blue.then_some(Trouble::Latency(slow))
    });
    let began = tokio::time::Instant::now();
    rig.assume(&rig.node).send().await.unwrap();
    assert!(began.elapsed() >= slow);
    rig.sts.troubles().clear();
    rig.sts.troubles().next(StsOp::AssumeRole, 1, Trouble::Hang);
    tokio::time::timeout(slow, rig.assume(&rig.node).send()).await.unwrap_err();
    assert_eq!(rig.sts.assumed().pop().unwrap().outcome, Outcome::None);
    rig.sts.go_down().await;
    assert!(matches!(rig.assume(&rig.node).send().await, Err(SdkError::DispatchFailure(_))));
    rig.sts.come_up().await.unwrap();
    rig.assume(&rig.node).send().await.unwrap();
}

#[tokio::test]
async fn the_session_begins_when_it_is_made() {
    let rig = Rig::new().await;
    rig.sts.troubles().next(StsOp::AssumeRole, 1, Trouble::Latency(Duration::from_millis(100)));
    let call = tokio::spawn(rig.assume(&rig.node).duration_seconds(900).send());
    while rig.sts.assumed().is_empty() {
        tokio::task::yield_now().await;
    }
    rig.clock.fetch_add(60_000, Ordering::Relaxed);
    let expiration = call.await.unwrap().unwrap().credentials().unwrap().expiration().secs();
    assert_eq!(expiration, (rig.clock.load(Ordering::Relaxed) + 900_000) / 1_000);
}
